/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written whole or not at all. */
#include "../support.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <cerrno>
#include <set>

extern "C" {
#include "base/base.h"
}

using support::File;

namespace
{

class Folder : public support::Folder
{
      public:
        /* What cosmos__write_file() says. */
        int put(const std::string &file, const std::string &text) const
        {
                return cosmos__write_file(at(file).c_str(), text.data(), text.size());
        }
        std::string get(const std::string &file) const
        {
                return File::read_all(at(file));
        }
};

using Names = std::set<std::string>;

TEST(WriteFile, MakesAFile)
{
        Folder folder;
        struct stat s;
        const mode_t mask = umask(027);

        EXPECT_EQ(folder.put("model.bin", "text"), 0);
        umask(mask);
        EXPECT_EQ(folder.get("model.bin"), "text");
        EXPECT_EQ(folder.files(), Names{"model.bin"});
        EXPECT_EQ(stat(folder.at("model.bin").c_str(), &s), 0);
        EXPECT_EQ(s.st_mode & 0777, 0640u);
        EXPECT_EQ(folder.put("empty", ""), 0);
        EXPECT_EQ(folder.get("empty"), "");
}

TEST(WriteFile, TakesAnOldOnesPlaceAndPermissions)
{
        Folder folder;
        struct stat before, after;

        EXPECT_EQ(folder.put("model.bin", "a long old text"), 0);
        EXPECT_EQ(chmod(folder.at("model.bin").c_str(), 0604), 0);
        EXPECT_EQ(stat(folder.at("model.bin").c_str(), &before), 0);
        int reader = open(folder.at("model.bin").c_str(), O_RDONLY | O_CLOEXEC);
        EXPECT_EQ(folder.put("model.bin", "new"), 0);
        EXPECT_EQ(stat(folder.at("model.bin").c_str(), &after), 0);
        EXPECT_EQ(folder.get("model.bin"), "new");
        EXPECT_EQ(after.st_mode, before.st_mode);
        EXPECT_NE(after.st_ino, before.st_ino);
        char text[32];
        EXPECT_EQ(read(reader, text, sizeof(text)), 15) << "who reads the old one goes on doing so";
        close(reader);
        EXPECT_EQ(folder.files(), Names{"model.bin"});
}

TEST(WriteFile, InTheWorkingFolder)
{
        Folder folder;
        const int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        ASSERT_EQ(chdir(folder.at("").c_str()), 0);
        EXPECT_EQ(cosmos__write_file("model.bin", "x", 1), 0);
        EXPECT_EQ(fchdir(back), 0);
        close(back);
        EXPECT_EQ(folder.files(), Names{"model.bin"});
}

/* A limit on a file's size is a full disk that needs no rights: the first bytes can be written, the last cannot. */
TEST(WriteFile, AFullDiskLeavesTheOldFile)
{
        Folder folder;
        const std::string big(100000, 'x');
        struct rlimit old, small;
        auto *handler = signal(SIGXFSZ, SIG_IGN);

        EXPECT_EQ(folder.put("model.bin", "old"), 0);
        getrlimit(RLIMIT_FSIZE, &old);
        small = old;
        small.rlim_cur = 5000;
        setrlimit(RLIMIT_FSIZE, &small);
        EXPECT_EQ(folder.put("model.bin", big), -EFBIG);
        EXPECT_EQ(folder.put("other.bin", big), -EFBIG);
        setrlimit(RLIMIT_FSIZE, &old);
        signal(SIGXFSZ, handler);
        EXPECT_EQ(folder.get("model.bin"), "old");
        EXPECT_EQ(folder.files(), Names{"model.bin"});
        EXPECT_EQ(folder.put("model.bin", big), 0);
        EXPECT_EQ(folder.get("model.bin"), big);
}

TEST(WriteFile, FollowsLinks)
{
        Folder folder;

        EXPECT_EQ(symlink("model-1.bin", folder.at("model.bin").c_str()), 0);
        EXPECT_EQ(symlink(folder.at("model.bin").c_str(), folder.at("latest").c_str()), 0);
        EXPECT_EQ(folder.put("latest", "new"), 0) << "where it leads to is not there yet";
        EXPECT_EQ(folder.put("latest", "newer"), 0);
        EXPECT_EQ(folder.get("model-1.bin"), "newer");
        EXPECT_EQ(folder.files(), (Names{"latest", "model.bin", "model-1.bin"}));
        EXPECT_EQ(symlink("loop", folder.at("loop").c_str()), 0);
        EXPECT_EQ(folder.put("loop", "new"), -ELOOP);
}

TEST(WriteFile, WritesToADeviceAsItStands)
{
        support::Fifo pipe;
        char text[8] = "";
        int out = open(pipe.path(), O_RDWR | O_CLOEXEC);

        EXPECT_EQ(cosmos__write_file(pipe.path(), "text", 4), 0);
        EXPECT_EQ(read(out, text, sizeof(text)), 4);
        close(out);
        EXPECT_EQ(cosmos__write_file("/dev/null", "text", 4), 0);
        EXPECT_EQ(cosmos__write_file("/dev/full", "text", 4), -ENOSPC);
}

TEST(WriteFile, SaysWhatIsInTheWay)
{
        Folder folder;
        const std::string longest(NAME_MAX, 'n');

        EXPECT_EQ(folder.put("", "text"), -EISDIR);
        EXPECT_EQ(folder.put("none/model.bin", "text"), -ENOENT);
        EXPECT_EQ(folder.put(longest, "text"), -ENAMETOOLONG);
        EXPECT_EQ(cosmos__write_file("", "text", 4), -ENOENT);
        EXPECT_EQ(cosmos__write_file(std::string(PATH_MAX, '/').c_str(), "text", 4), -ENAMETOOLONG);
        EXPECT_EQ(folder.files(), Names{});
}

TEST(WriteFile, WhatAKilledWriterLeftIsInNobodysWay)
{
        Folder folder;
        const std::string prefix = "model.bin." + std::to_string(getpid()) + "-";

        for (unsigned i = 0; i < 50; i++) /* the numbers go up from one file to the next */
                EXPECT_EQ(folder.put(prefix + std::to_string(i) + ".tmp", "old"), 0);
        for (unsigned i = 50; i < 150; i++)
                EXPECT_EQ(mkdir(folder.at(prefix + std::to_string(i) + ".tmp").c_str(), 0700), 0);
        EXPECT_EQ(folder.put("model.bin", "new"), 0);
        EXPECT_EQ(folder.get("model.bin"), "new");
        EXPECT_EQ(folder.files().size(), 151u);
        for (unsigned i = 50; i < 150; i++)
                rmdir(folder.at(prefix + std::to_string(i) + ".tmp").c_str());
}

} // namespace
