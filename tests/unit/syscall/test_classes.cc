/* SPDX-License-Identifier: Apache-2.0 */
/* The classes of sizes and paths, and the names of all classes. */
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <string>

#include <cosmos/event.h>

TEST(SizeClass, BeginsWhereTheHeaderSays)
{
        const std::pair<uint64_t, uint32_t> known[] = {{0, 0},   {1, 1},   {7, 1},     {8, 2},       {31, 2}, {32, 3},
                                                       {45, 3},  {46, 4},  {63, 4},    {64, 5},      {90, 5}, {91, 6},
                                                       {127, 6}, {128, 7}, {4096, 17}, {1 << 20, 33}};

        for (const auto &[bytes, size_class] : known)
                EXPECT_EQ(cosmos_size_class(bytes), size_class) << bytes;
}

TEST(SizeClass, TwoForEachOctave)
{
        for (uint32_t octave = 5; octave < 63; octave++) {
                const uint64_t first = UINT64_C(1) << octave;
                const long double middle = std::ceil(std::sqrt(2.0L) * static_cast<long double>(first));
                const uint64_t second = static_cast<uint64_t>(middle);
                const uint32_t size_class = 3 + 2 * (octave - 5);

                EXPECT_EQ(cosmos_size_class(first - 1), octave == 5 ? 2 : size_class - 1) << octave;
                EXPECT_EQ(cosmos_size_class(first), size_class) << octave;
                EXPECT_EQ(cosmos_size_class(first + (first >> 2)), size_class) << octave;
                EXPECT_EQ(cosmos_size_class(first + (first >> 1)), size_class + 1) << octave;
                if (octave < 32) { /* above, to the 2^32nd part of it */
                        EXPECT_EQ(cosmos_size_class(second - 1), size_class) << octave;
                        EXPECT_EQ(cosmos_size_class(second), size_class + 1) << octave;
                }
        }
}

TEST(SizeClass, GrowsWithTheSizeAndStaysBelowItsLimit)
{
        std::mt19937_64 random(17);
        std::set<uint64_t> sizes = {0, INT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 63) + (UINT64_C(1) << 62),
                                    UINT64_MAX};
        uint32_t before = 0;

        for (int i = 0; i < 100000; i++)
                sizes.insert(random() >> random() % 64);
        for (uint64_t bytes : sizes) {
                uint32_t size_class = cosmos_size_class(bytes);

                EXPECT_GE(size_class, before) << bytes;
                ASSERT_LT(size_class, COSMOS_SIZE_CLASSES) << bytes;
                before = size_class;
        }
        EXPECT_EQ(before, COSMOS_SIZE_CLASSES - 1) << "and not far below";
}

TEST(MovesBytes, WhatReadsAndWrites)
{
        for (const char *name : {"read", "write", "pread64", "writev", "preadv2", "sendto", "recvmsg", "sendfile",
                                 "splice", "copy_file_range", "getdents64", "process_vm_readv"})
                EXPECT_TRUE(cosmos_moves_bytes(name)) << name;
        for (const char *name : {"openat", "close", "lseek", "readlink", "readahead", "recvmmsg", "rea", "reads", ""})
                EXPECT_FALSE(cosmos_moves_bytes(name)) << name;
}

TEST(PathClass, ByTheFolder)
{
        const std::pair<const char *, enum cosmos_path_class> known[] = {
            {"", COSMOS_PATH_NONE},
            {"x", COSMOS_PATH_RELATIVE},
            {"./etc/passwd", COSMOS_PATH_RELATIVE},
            {"../lib.so", COSMOS_PATH_RELATIVE},
            {"/etc", COSMOS_PATH_ETC},
            {"/etc/", COSMOS_PATH_ETC},
            {"/etc/ld.so.cache", COSMOS_PATH_ETC},
            {"/etcetera", COSMOS_PATH_OTHER},
            {"/proc/self/maps", COSMOS_PATH_PROC},
            {"/process", COSMOS_PATH_OTHER},
            {"/sys/fs/cgroup", COSMOS_PATH_SYS},
            {"/dev/null", COSMOS_PATH_DEV},
            {"/dev/shm/x", COSMOS_PATH_TMP},
            {"/dev/shm", COSMOS_PATH_TMP},
            {"/dev/shmem", COSMOS_PATH_DEV},
            {"/tmp/x", COSMOS_PATH_TMP},
            {"/var/tmp/x", COSMOS_PATH_TMP},
            {"/var/run/x", COSMOS_PATH_RUN},
            {"/run/x", COSMOS_PATH_RUN},
            {"/var/lib/mysql/x", COSMOS_PATH_VAR},
            {"/var", COSMOS_PATH_VAR},
            {"/bin/sh", COSMOS_PATH_BIN},
            {"/sbin/init", COSMOS_PATH_BIN},
            {"/usr/bin/env", COSMOS_PATH_BIN},
            {"/usr/sbin/x", COSMOS_PATH_BIN},
            {"/usr/local/bin/x", COSMOS_PATH_BIN},
            {"/home/u/.ssh", COSMOS_PATH_HOME},
            {"/root/.ssh", COSMOS_PATH_HOME},
            {"/rootfs", COSMOS_PATH_OTHER},
            {"/lib/x", COSMOS_PATH_LIB},
            {"/lib64/ld-linux-x86-64.so.2", COSMOS_PATH_LIB},
            {"/usr/lib/python3/x.py", COSMOS_PATH_LIB},
            {"/usr/libexec/x", COSMOS_PATH_LIB},
            {"/usr/share/x", COSMOS_PATH_OTHER},
            {"/opt/x/libfoo.so", COSMOS_PATH_LIB},
            {"/opt/x/libfoo.so.6.1", COSMOS_PATH_LIB},
            {"/opt/x.sock", COSMOS_PATH_OTHER},
            {"/", COSMOS_PATH_OTHER},
            {"/data/x", COSMOS_PATH_OTHER},
        };

        EXPECT_EQ(cosmos_path_class_of(nullptr), COSMOS_PATH_NONE);
        for (const auto &[path, path_class] : known)
                EXPECT_STREQ(cosmos_path_class_name(cosmos_path_class_of(path)), cosmos_path_class_name(path_class))
                    << path;
}

TEST(PathClass, ASharedObjectIsKnownByItsEnd)
{
        EXPECT_EQ(cosmos_path_class_of("/opt/app.source/libfoo.so"), COSMOS_PATH_LIB);
        EXPECT_EQ(cosmos_path_class_of("/opt/my.socket/libfoo.so.6"), COSMOS_PATH_LIB);
        EXPECT_EQ(cosmos_path_class_of("/opt/libfoo.so/notes"), COSMOS_PATH_OTHER);
        EXPECT_EQ(cosmos_path_class_of("/opt/libfoo.so.d/notes"), COSMOS_PATH_OTHER);
}

TEST(ClassNames, AreThoseOfTheConstants)
{
        const char *const kinds[] = {"none", "file", "directory", "socket", "pipe", "character", "block", "other"};
        const char *const classes[] = {"none", "relative", "etc", "proc", "sys", "dev",  "tmp",
                                       "run",  "lib",      "bin", "home", "var", "other"};

        for (unsigned int i = 0; i <= COSMOS_FD_OTHER; i++)
                EXPECT_STREQ(cosmos_fd_kind_name(static_cast<cosmos_fd_kind>(i)), kinds[i]);
        for (unsigned int i = 0; i <= COSMOS_PATH_OTHER; i++)
                EXPECT_STREQ(cosmos_path_class_name(static_cast<enum cosmos_path_class>(i)), classes[i]);
        EXPECT_STREQ(cosmos_fd_kind_name(COSMOS_FD_PIPE), "pipe");
        EXPECT_STREQ(cosmos_path_class_name(COSMOS_PATH_TMP), "tmp");
        EXPECT_EQ(cosmos_fd_kind_name(static_cast<cosmos_fd_kind>(COSMOS_FD_OTHER + 1)), nullptr);
        EXPECT_EQ(cosmos_path_class_name(static_cast<enum cosmos_path_class>(COSMOS_PATH_OTHER + 1)), nullptr);
}
