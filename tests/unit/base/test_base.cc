/* SPDX-License-Identifier: Apache-2.0 */
#include <gtest/gtest.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <cosmos/event.h>
#include <cosmos/version.h>

extern "C" {
#include "base/base.h"
}

namespace
{

std::string quote(const std::string &bytes, size_t room)
{
        std::vector<char> buf(room, '#'); /* exactly as large: an overrun is seen by a sanitizer */

        return cosmos__quote(buf.data(), buf.size(), bytes.data(), bytes.size());
}

std::string describe(int error)
{
        char buf[64];

        memset(buf, '#', sizeof(buf));
        EXPECT_EQ(cosmos_strerror(error, buf, sizeof(buf)), buf);
        return buf;
}

struct Options {
        size_t size;
        int a;
        const char *b;
};

struct NewerOptions {
        Options known;
        int c, d;
};

struct File {
        std::string path = "/tmp/cosmos-test-XXXXXX";

        explicit File(const std::string &content)
        {
                int fd = mkstemp(path.data());

                EXPECT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
                close(fd);
        }
        ~File()
        {
                unlink(path.c_str());
        }
};

int read_file(const std::string &path, size_t max, std::string *ret)
{
        char *data = nullptr;
        size_t size = 12345;
        int r = cosmos__read_file(path.c_str(), max, &data, &size);

        if (r == 0) {
                EXPECT_EQ(data[size], 0);
                ret->assign(data, size);
        } else {
                EXPECT_EQ(data, nullptr);
                EXPECT_EQ(size, 12345u);
        }
        free(data);
        return r;
}

} // namespace

/* ---- texts ---------------------------------------------------------------------- */

TEST(Quote, LeavesPrintableAsciiAsItIs)
{
        std::string all;

        for (char c = 0x20; c < 0x7f; c++)
                all += c;
        EXPECT_EQ(quote(all, 200), all);
        EXPECT_EQ(quote("", 200), "");
        EXPECT_STREQ(cosmos__quote_str(std::vector<char>(8).data(), 8, nullptr), "");
}

TEST(Quote, EscapesEveryOtherByte)
{
        EXPECT_EQ(quote(std::string("a\0b\n\x1b[31m\x7f\xc3\xa4", 12), 200), "a\\x00b\\x0a\\x1b[31m\\x7f\\xc3\\xa4");
}

TEST(Quote, CutsAndSaysSo)
{
        for (size_t room = 5; room < 60; room++) {
                std::string text = quote(std::string(100, 'x'), room);

                EXPECT_LT(text.size(), room);
                EXPECT_EQ(text.substr(text.size() - 3), "...") << room;
                text = quote(std::string(100, '\n'), room);
                EXPECT_LT(text.size(), room);
                EXPECT_EQ(text.substr(text.size() - 3), "...") << room; /* never half of an escape */
                EXPECT_EQ((text.size() - 3) % 4, 0u) << text;
        }
        for (size_t room = 1; room < 5; room++)
                EXPECT_LT(quote(std::string(100, 'x'), room).size(), room);
}

TEST(Fail, SetsTheTextAndReturnsTheError)
{
        cosmos_diag diag = {"untouched"};

        EXPECT_EQ(cosmos__fail(&diag, -EIO, "%s:%d", "file", 7), -EIO);
        EXPECT_STREQ(diag.text, "file:7");
        EXPECT_EQ(cosmos__fail(nullptr, -COSMOS_EFORMAT, "x"), -COSMOS_EFORMAT);
        EXPECT_EQ(cosmos__fail(&diag, -EIO, "%s", std::string(5000, 'y').c_str()), -EIO);
        EXPECT_EQ(strlen(diag.text), sizeof(diag.text) - 1);
}

TEST(Log, HandsOnFinishedLines)
{
        std::vector<std::string> lines;
        cosmos_log log = {[](void *userdata, cosmos_log_level level, const char *text) {
                                  static_cast<std::vector<std::string> *>(userdata)->push_back(std::to_string(level) +
                                                                                               text);
                          },
                          &lines};
        cosmos_log silent = {};

        cosmos__log(&log, COSMOS_LOG_INFO, "%d %s", 5, "x");
        cosmos__log(&log, COSMOS_LOG_WARNING, "%s", std::string(5000, 'y').c_str());
        cosmos__log(&silent, COSMOS_LOG_WARNING, "nobody hears");
        ASSERT_EQ(lines.size(), 2u);
        EXPECT_EQ(lines[0], "15 x");
        EXPECT_EQ(lines[1].substr(0, 3), "0yy");
}

TEST(Strerror, DescribesOurErrorsAndTheSystemsWithEitherSign)
{
        std::set<std::string> texts;

        for (int error : {COSMOS_EFORMAT, COSMOS_EVERSION, COSMOS_EMISMATCH, COSMOS_EOWNER, COSMOS_EUNAVAILABLE}) {
                std::string text = describe(error);

                EXPECT_EQ(describe(-error), text);
                EXPECT_NE(text, describe(4999));
                EXPECT_LT(text.size(), 63u) << "64 bytes are promised to be enough";
                texts.insert(text);
        }
        EXPECT_EQ(texts.size(), 5u);
        EXPECT_EQ(describe(ENOENT), "No such file or directory");
        EXPECT_EQ(describe(-ENOENT), "No such file or directory");
        for (int error : {4999, 5005, 100000, INT32_MAX, INT32_MIN})
                EXPECT_EQ(describe(error), "unknown error") << error;
}

TEST(Strerror, StaysWithinItsBuffer)
{
        char buf[8];

        EXPECT_EQ(cosmos_strerror(-ENOENT, buf, sizeof(buf)), buf);
        EXPECT_STREQ(buf, "No such");
        buf[0] = '#';
        cosmos_strerror(ENOENT, buf, 0);
        EXPECT_EQ(buf[0], '#');
}

TEST(Version, IsThatOfTheHeaders)
{
        EXPECT_STREQ(cosmos_version(), COSMOS_VERSION_STRING);
        EXPECT_EQ(std::string(COSMOS_VERSION_STRING), std::to_string(COSMOS_VERSION_MAJOR) + "." +
                                                          std::to_string(COSMOS_VERSION_MINOR) + "." +
                                                          std::to_string(COSMOS_VERSION_PATCH));
}

TEST(Names, AreThoseOfTheHeader)
{
        EXPECT_STREQ(cosmos_verdict_name(COSMOS_NORMAL), "normal");
        EXPECT_STREQ(cosmos_verdict_name(COSMOS_ANOMALOUS), "anomalous");
        EXPECT_STREQ(cosmos_verdict_name(COSMOS_INDETERMINATE), "indeterminate");
        EXPECT_EQ(cosmos_verdict_name(static_cast<cosmos_verdict>(3)), nullptr);
        EXPECT_STREQ(cosmos_loss_kind_name(COSMOS_LOSS_KERNEL), "kernel_lost");
        EXPECT_STREQ(cosmos_loss_kind_name(COSMOS_LOSS_ENOBUFS), "enobufs");
        EXPECT_STREQ(cosmos_loss_kind_name(COSMOS_LOSS_GAP), "gap");
        EXPECT_STREQ(cosmos_loss_kind_name(COSMOS_LOSS_UNAUDITED), "unaudited");
        EXPECT_EQ(cosmos_loss_kind_name(static_cast<cosmos_loss_kind>(4)), nullptr);
}

/* ---- structs with a size ------------------------------------------------------------- */

TEST(Options, NullIsAllDefaults)
{
        Options ours = {9, 9, "9"};

        ASSERT_EQ(cosmos__options(&ours, sizeof(ours), nullptr, "options", nullptr), 0);
        EXPECT_EQ(ours.a, 0);
        EXPECT_EQ(ours.b, nullptr);
}

TEST(Options, OfOurOwnSizeAreCopied)
{
        Options theirs = {sizeof(theirs), 5, "b"}, ours;

        ASSERT_EQ(cosmos__options(&ours, sizeof(ours), &theirs, "options", nullptr), 0);
        EXPECT_EQ(ours.a, 5);
        EXPECT_STREQ(ours.b, "b");
}

TEST(Options, AnOlderStructLeavesTheRestAtItsDefault)
{
        Options theirs = {offsetof(Options, b), 5, "not part of it"}, ours;

        ASSERT_EQ(cosmos__options(&ours, sizeof(ours), &theirs, "options", nullptr), 0);
        EXPECT_EQ(ours.a, 5);
        EXPECT_EQ(ours.b, nullptr);
}

TEST(Options, ANewerStructPassesOnlyWhereWhatWeDoNotKnowIsZero)
{
        NewerOptions theirs = {{sizeof(theirs), 5, "b"}, 0, 0};
        cosmos_diag diag = {""};
        Options ours;

        ASSERT_EQ(cosmos__options(&ours, sizeof(ours), &theirs, "cosmos_x_options", &diag), 0);
        EXPECT_EQ(ours.a, 5);
        theirs.d = 1;
        EXPECT_EQ(cosmos__options(&ours, sizeof(ours), &theirs, "cosmos_x_options", &diag), -E2BIG);
        EXPECT_NE(std::string(diag.text).find("cosmos_x_options"), std::string::npos) << diag.text;
        EXPECT_NE(std::string(diag.text).find(std::to_string(offsetof(NewerOptions, d))), std::string::npos);
}

TEST(Options, ASizeThatWasNotSetIsRefused)
{
        cosmos_diag diag = {""};
        Options theirs = {}, ours;

        for (size_t size = 0; size < sizeof(size_t); size++) {
                theirs.size = size;
                EXPECT_EQ(cosmos__options(&ours, sizeof(ours), &theirs, "cosmos_x_options", &diag), -EINVAL);
                EXPECT_NE(std::string(diag.text).find("size"), std::string::npos) << diag.text;
        }
        /* One that was never written is most likely enormous: it must not be read up to there. */
        auto lone = std::make_unique<Options>();
        for (size_t size : {SIZE_MAX, size_t(0xaaaaaaaaaaaaaaaa), size_t(1) << 20}) {
                lone->size = size;
                EXPECT_EQ(cosmos__options(&ours, sizeof(ours), lone.get(), "cosmos_x_options", &diag), -E2BIG);
                EXPECT_NE(std::string(diag.text).find("size"), std::string::npos) << diag.text;
        }
}

TEST(Fill, KeepsWithinTheCallersSize)
{
        Options ours = {0, 7, "x"};
        NewerOptions theirs = {{offsetof(Options, b), 1, "kept"}, 3, 4};

        cosmos__fill(&theirs, &ours, sizeof(ours)); /* an older caller */
        EXPECT_EQ(theirs.known.size, offsetof(Options, b));
        EXPECT_EQ(theirs.known.a, 7);
        EXPECT_STREQ(theirs.known.b, "kept");
        theirs.known.size = sizeof(theirs);
        cosmos__fill(&theirs, &ours, sizeof(ours)); /* a newer one: what we do not know is 0 */
        EXPECT_STREQ(theirs.known.b, "x");
        EXPECT_EQ(theirs.c, 0);
        EXPECT_EQ(theirs.d, 0);
        EXPECT_EQ(theirs.known.size, sizeof(theirs));
        theirs = {{0, 1, "kept"}, 3, 4};
        cosmos__fill(&theirs, &ours, sizeof(ours));
        EXPECT_EQ(theirs.known.a, 1);
        EXPECT_EQ(theirs.d, 4);
}

/* ---- files --------------------------------------------------------------------------- */

TEST(ReadFile, ReadsItWhole)
{
        for (size_t n : {0, 1, 4095, 4096, 4097, 8192, 300000}) {
                std::string content, seen;

                for (size_t i = 0; i < n; i++)
                        content += static_cast<char>(i * 7); /* NULs too */
                File file(content);
                ASSERT_EQ(read_file(file.path, 1 << 20, &seen), 0) << n;
                EXPECT_TRUE(seen == content) << n;
        }
}

TEST(ReadFile, RefusesMoreThanTheLimit)
{
        std::string seen;

        for (size_t n : {1, 4095, 4096, 4097, 5000, 100000}) {
                File file(std::string(n, 'x'));

                EXPECT_EQ(read_file(file.path, n, &seen), 0) << n;
                EXPECT_EQ(seen.size(), n);
                EXPECT_EQ(read_file(file.path, n - 1, &seen), -EFBIG) << n;
        }
        File empty("");
        EXPECT_EQ(read_file(empty.path, 0, &seen), 0);
        EXPECT_EQ(read_file("/dev/zero", 1 << 20, &seen), -EFBIG);
}

TEST(ReadFile, SaysWhyItCannot)
{
        std::string seen;

        EXPECT_EQ(read_file("/nowhere/at/all", 100, &seen), -ENOENT);
        EXPECT_EQ(read_file("/tmp", 100, &seen), -EISDIR);
}

TEST(ReadFile, ReadsAPipeThatIsFilledSlowly)
{
        std::string path = "/tmp/cosmos-test-fifo-" + std::to_string(getpid()), seen;

        ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
        std::thread writer([&] {
                int fd = open(path.c_str(), O_WRONLY);

                for (int i = 0; i < 20; i++) {
                        EXPECT_EQ(write(fd, std::string(500, 'x').data(), 500), 500);
                        usleep(1000);
                }
                close(fd);
        });
        EXPECT_EQ(read_file(path, 1 << 20, &seen), 0);
        writer.join();
        EXPECT_EQ(seen, std::string(10000, 'x'));
        unlink(path.c_str());
}

TEST(Clock, GoesOn)
{
        int64_t now = cosmos__now(), boot = cosmos__boottime();

        EXPECT_GT(now, INT64_C(1700000000) * 1000000000); /* ns, and since 1970 */
        usleep(2000);
        EXPECT_GE(cosmos__boottime() - boot, 2000000);
}
