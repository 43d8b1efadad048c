/* SPDX-License-Identifier: Apache-2.0 */
/* Which program a process runs, by the records of fork, execve and exit. */
#include "support.h"

#include <cstring>

extern "C" {
#include "collector/bpf/bpf.h"
}

namespace
{

constexpr uint32_t NOBODY = 1u << 30; /* and above: no process can have such a pid */

class ExeTest : public ::testing::Test
{
      protected:
        void SetUp() override
        {
                char path[4096] = "";
                std::string stat = support::File::read_all("/proc/self/stat");
                size_t at = stat.rfind(')');

                tick = 1000000000u / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
                ASSERT_EQ(cosmos__exes_init(&exes, tick), 0);
                ASSERT_GT(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
                ASSERT_NE(at, std::string::npos);
                for (int i = 0; i < 20; i++)
                        at = stat.find(' ', at + 1);
                own = path;
                self = static_cast<uint32_t>(getpid());
                start = std::stoull(stat.substr(at)) * tick + tick / 2; /* as the kernel has it, to the ns */
        }
        ~ExeTest() override
        {
                cosmos__exes_free(&exes);
        }

        void put(uint32_t pid, uint64_t its_start, const char *exe)
        {
                ASSERT_EQ(cosmos__exes_put(&exes, pid, its_start, exe), 0);
        }
        void fork(uint32_t pid, uint64_t its_start, uint32_t parent)
        {
                ASSERT_EQ(cosmos__exes_fork(&exes, pid, its_start, parent), 0);
        }
        std::string get(uint32_t pid, uint64_t its_start)
        {
                const char *exe = cosmos__exes_get(&exes, pid, its_start);

                return exe ? exe : "";
        }
        const void *address(uint32_t pid, uint64_t its_start)
        {
                return cosmos__exes_get(&exes, pid, its_start);
        }

        cosmos__exes exes = {};
        uint64_t tick, start;
        uint32_t self;
        std::string own;
};

} // namespace

TEST_F(ExeTest, AForkRunsWhatItsParentDoes)
{
        put(NOBODY, 100, "/bin/sh");
        fork(NOBODY + 1, 200, NOBODY);
        fork(NOBODY + 2, 300, NOBODY + 1);
        EXPECT_EQ(get(NOBODY + 1, 200), "/bin/sh");
        EXPECT_EQ(get(NOBODY + 2, 300), "/bin/sh");
        cosmos__exes_remove(&exes, NOBODY, 100);
        EXPECT_EQ(get(NOBODY + 1, 200), "/bin/sh") << "its parent is gone";
}

TEST_F(ExeTest, AnExecveIsOfOneProcess)
{
        put(NOBODY, 100, "/bin/sh");
        fork(NOBODY + 1, 200, NOBODY);
        put(NOBODY + 1, 200, "/bin/ls");
        EXPECT_EQ(get(NOBODY + 1, 200), "/bin/ls");
        EXPECT_EQ(get(NOBODY, 100), "/bin/sh");
        put(NOBODY, 100, "/bin/cat");
        EXPECT_EQ(get(NOBODY, 100), "/bin/cat");
}

TEST_F(ExeTest, AForkOfAProcessThatIsNotKnownIsAskedFor)
{
        fork(NOBODY + 1, 200, NOBODY);
        EXPECT_EQ(get(NOBODY + 1, 200), "");
        fork(self, start, NOBODY);
        EXPECT_EQ(get(self, start), own);
}

TEST_F(ExeTest, WhatIsGoneIsForgotten)
{
        put(NOBODY, 100, "/bin/sh");
        cosmos__exes_remove(&exes, NOBODY, 99);
        EXPECT_EQ(exes.processes.n, 1u) << "the end of an earlier one";
        EXPECT_EQ(get(NOBODY, 100), "/bin/sh");
        cosmos__exes_remove(&exes, NOBODY, 100);
        EXPECT_EQ(exes.processes.n, 0u);
        cosmos__exes_remove(&exes, NOBODY, 100);
        EXPECT_EQ(get(NOBODY, 100), "");
}

TEST_F(ExeTest, AReusedPidIsAnotherProcess)
{
        put(NOBODY, 100, "/bin/sh");
        EXPECT_EQ(get(NOBODY, 101), "");
        EXPECT_EQ(exes.processes.n, 1u);
        put(self, start - tick, "/bin/old");
        EXPECT_EQ(get(self, start), own) << "nobody has told us of this one: it is asked for";
}

TEST_F(ExeTest, WhoIsNotKnownIsAskedForOnce)
{
        EXPECT_EQ(get(self, start), own);
        const void *first = address(self, start);
        EXPECT_EQ(address(self, start), first);
        EXPECT_EQ(exes.processes.n, 1u);
        EXPECT_EQ(exes.texts.n, 1u);
        EXPECT_EQ(get(NOBODY, 100), "") << "no such process";
}

TEST_F(ExeTest, AnotherProcessWithThisPidIsNotAsked)
{
        for (uint64_t wrong : {start + tick, start - tick, uint64_t(0), UINT64_MAX}) {
                EXPECT_EQ(get(self, wrong), "") << wrong;
                put(self, wrong, "/bin/old");
                EXPECT_EQ(get(self, wrong), "/bin/old") << "there is no doubt";
                cosmos__exes_doubt(&exes, self);
                EXPECT_EQ(get(self, wrong), "") << wrong;
        }
}

TEST_F(ExeTest, InDoubtProcIsAsked)
{
        put(self, start, "/bin/old");
        EXPECT_EQ(get(self, start), "/bin/old");
        cosmos__exes_doubt(&exes, self);
        EXPECT_EQ(get(self, start), own);
        put(self, start, "/bin/new");
        EXPECT_EQ(get(self, start), "/bin/new") << "it is not asked again";
        cosmos__exes_doubt(&exes, self);
        put(self, start, "/bin/newer");
        EXPECT_EQ(get(self, start), "/bin/newer") << "a record is beyond doubt";
        cosmos__exes_doubt(&exes, NOBODY);
        EXPECT_EQ(exes.processes.n, 1u) << "nobody is made by it";
}

TEST_F(ExeTest, DoubtIsInherited)
{
        put(NOBODY, 100, "/bin/old");
        cosmos__exes_doubt(&exes, NOBODY);
        fork(self, start, NOBODY);
        EXPECT_EQ(get(self, start), own);
}

TEST_F(ExeTest, WhatTheKernelCannotSayIsNotKnown)
{
        put(self, start, nullptr);
        EXPECT_EQ(get(self, start), "") << "and not asked for either";
        fork(NOBODY, 100, self);
        EXPECT_EQ(get(NOBODY, 100), "");
}

TEST_F(ExeTest, HoldsTheLatest65536)
{
        const uint32_t n = 65536 + 1000;

        for (uint32_t i = 0; i < n; i++) {
                put(NOBODY + i, i, "/bin/sh");
                ASSERT_EQ(get(NOBODY, 0), "/bin/sh") << "one that is used stays: " << i;
        }
        EXPECT_EQ(exes.processes.n, 65536u);
        EXPECT_EQ(get(NOBODY + n - 1, n - 1), "/bin/sh");
        EXPECT_EQ(get(NOBODY + 1, 1), "") << "the first one was forgotten";
        EXPECT_EQ(exes.processes.n, 65536u);
}

/* The parent is the oldest, and makes room for its own child. */
TEST_F(ExeTest, AParentThatMakesRoomIsInheritedFrom)
{
        for (uint32_t i = 0; i < 65536; i++)
                put(NOBODY + i, i, i ? "/bin/sh" : "/bin/first");
        fork(NOBODY + 65536, 65536, NOBODY);
        EXPECT_EQ(get(NOBODY + 65536, 65536), "/bin/first");
        EXPECT_EQ(exes.processes.n, 65536u);
        EXPECT_EQ(get(NOBODY, 0), "");
}

TEST_F(ExeTest, TheSameProgramIsOneText)
{
        put(NOBODY, 100, "/bin/sh");
        const void *first = address(NOBODY, 100);

        put(NOBODY + 1, 200, std::string("/bin/sh").c_str());
        fork(NOBODY + 2, 300, NOBODY);
        EXPECT_EQ(address(NOBODY + 1, 200), first);
        EXPECT_EQ(address(NOBODY + 2, 300), first);
        EXPECT_EQ(exes.texts.n, 1u);
        for (uint32_t i = 0; i < 3; i++)
                cosmos__exes_remove(&exes, NOBODY + i, 100 * (i + 1));
        EXPECT_STREQ(static_cast<const char *>(first), "/bin/sh") << "an event may still be lent";
        EXPECT_EQ(exes.n_idle, 1u);
        put(NOBODY, 400, "/bin/sh");
        EXPECT_EQ(address(NOBODY, 400), first) << "the same program runs again";
        EXPECT_EQ(exes.n_idle, 0u);
}

TEST_F(ExeTest, TextsThatNobodyRunsAreFew)
{
        put(NOBODY, 100, "/bin/kept");
        const void *kept = address(NOBODY, 100);

        for (int i = 0; i < 1000; i++)
                put(NOBODY + 1, 200, ("/bin/" + std::to_string(i)).c_str());
        EXPECT_EQ(exes.n_idle, 256u);
        EXPECT_EQ(exes.texts.n, 258u) << "and the two that run";
        EXPECT_EQ(address(NOBODY, 100), kept);
        EXPECT_EQ(get(NOBODY, 100), "/bin/kept");
        EXPECT_EQ(get(NOBODY + 1, 200), "/bin/999");
        fork(NOBODY + 2, 300, NOBODY);
        cosmos__exes_remove(&exes, NOBODY, 100);
        EXPECT_EQ(exes.n_idle, 256u) << "one that a child runs is not idle";
}

TEST_F(ExeTest, WhatWasNeverMadeCanBeFreed)
{
        cosmos__exes none = {};

        cosmos__exes_free(&none);
        EXPECT_EQ(none.processes.buckets, nullptr);
}
