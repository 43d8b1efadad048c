/* SPDX-License-Identifier: Apache-2.0 */
/* Which calls are collected, and what is read of each. */
#include "support.h"

#include <cerrno>
#include <memory>
#include <set>

extern "C" {
#include "collector/bpf/bpf.h"
#include "bpf_table.h"
}

namespace
{

struct Settings {
        std::unique_ptr<wire_settings> s{new wire_settings()};
        cosmos_diag diag = {""};
        int r;

        explicit Settings(const std::vector<const char *> &calls = {})
        {
                r = cosmos__bpf_calls(s.get(), calls.data(), calls.size(), &diag);
        }
        uint16_t of(int nr, int arch = 0) const
        {
                return s->calls[arch][nr];
        }
        size_t wanted() const
        {
                size_t n = 0;

                for (const auto &arch : s->calls)
                        for (uint16_t what : arch)
                                n += what & CALL_WANTED;
                return n;
        }
};

bool is_call(const char *name)
{
        return cosmos_syscall_number(COSMOS_ARCH_X86_64, name) >= 0 ||
               cosmos_syscall_number(COSMOS_ARCH_I386, name) >= 0;
}

} // namespace

TEST(BpfCalls, EachNameInTheTableIsACall)
{
        uint16_t what;
        size_t i = 0, n = 0;

        for (const char *const *names; (names = bpf_table(i, &what)); i++) {
                std::set<std::string> once;

                for (; *names; names++, n++) {
                        EXPECT_TRUE(is_call(*names)) << *names;
                        EXPECT_TRUE(once.insert(*names).second) << *names << " stands twice";
                }
        }
        EXPECT_GT(i, 5u);
        EXPECT_GT(n, 100u);
}

TEST(BpfCalls, EachOfThemIsMarkedForBothArchitectures)
{
        const std::pair<cosmos_arch, int> arches[] = {{COSMOS_ARCH_X86_64, 0}, {COSMOS_ARCH_I386, 1}};
        Settings all;
        uint16_t what;

        ASSERT_EQ(all.r, 0) << all.diag.text;
        for (size_t i = 0; const char *const *names = bpf_table(i, &what); i++)
                for (; *names; names++)
                        for (const auto &[arch, index] : arches) {
                                int nr = cosmos_syscall_number(arch, *names);

                                EXPECT_TRUE(nr < 0 || (all.of(nr, index) & what) == what) << *names;
                        }
}

TEST(BpfCalls, WhatIsReadOfSome)
{
        Settings all;

        EXPECT_EQ(all.of(257), CALL_WANTED | CALL_PATH1 | CALL_FD_RET) << "openat";
        EXPECT_EQ(all.of(295, 1), CALL_WANTED | CALL_PATH1 | CALL_FD_RET) << "openat";
        EXPECT_EQ(all.of(195, 1), CALL_WANTED | CALL_PATH0) << "stat64, which only 32 bits have";
        EXPECT_EQ(all.of(195), CALL_WANTED | CALL_PATH0) << "llistxattr, by its own name";
        EXPECT_EQ(all.of(59), CALL_WANTED | CALL_PATH0 | CALL_EXEC) << "execve";
        EXPECT_EQ(all.of(322), CALL_WANTED | CALL_PATH1 | CALL_EXEC) << "execveat";
        EXPECT_EQ(all.of(42), CALL_WANTED | CALL_ADDR1 | CALL_FD0) << "connect";
        EXPECT_EQ(all.of(45), CALL_WANTED | CALL_ADDR4P | CALL_FD0) << "recvfrom";
        EXPECT_EQ(all.of(43), CALL_WANTED | CALL_ADDR1P | CALL_FD_RET) << "accept";
        EXPECT_EQ(all.of(231), CALL_WANTED | CALL_NO_RETURN) << "exit_group";
        EXPECT_EQ(all.of(1, 1), CALL_WANTED | CALL_NO_RETURN) << "exit";
        EXPECT_EQ(all.of(39), CALL_WANTED) << "getpid";
}

/* There is room for one text in a record, and for one descriptor. */
TEST(BpfCalls, NoneIsSaidToBeTwoThings)
{
        Settings all;

        for (const auto &arch : all.s->calls)
                for (size_t nr = 0; nr < WIRE_CALLS; nr++) {
                        EXPECT_LE(__builtin_popcount(arch[nr] & CALL_TEXT & ~CALL_EXEC), 1) << nr;
                        EXPECT_LE(__builtin_popcount(arch[nr] & (CALL_FD0 | CALL_FD_RET)), 1) << nr;
                }
}

TEST(BpfCalls, WithoutASelectionAllAreWanted)
{
        Settings all;

        EXPECT_EQ(all.r, 0);
        EXPECT_EQ(all.wanted(), 2u * WIRE_CALLS) << "also numbers that no table has";
}

TEST(BpfCalls, OnlyWhatIsSelectedIsWanted)
{
        Settings one({"openat"}), twice({"openat", "openat"}), of_32_bits({"socketcall"}), some({"read", "write"});

        EXPECT_EQ(one.r, 0) << one.diag.text;
        EXPECT_EQ(one.wanted(), 2u);
        EXPECT_EQ(one.of(257), CALL_WANTED | CALL_PATH1 | CALL_FD_RET);
        EXPECT_TRUE(one.of(295, 1) & CALL_WANTED);
        EXPECT_FALSE(one.of(511) & CALL_WANTED);
        EXPECT_EQ(one.of(59), CALL_PATH0 | CALL_EXEC) << "known, not wanted";
        EXPECT_EQ(twice.wanted(), 2u);
        EXPECT_EQ(of_32_bits.r, 0);
        EXPECT_EQ(of_32_bits.wanted(), 1u);
        EXPECT_TRUE(of_32_bits.of(102, 1) & CALL_WANTED);
        EXPECT_EQ(some.wanted(), 4u);
}

TEST(BpfCalls, NamesTheOneThatIsNone)
{
        for (const char *name : {"openta", "", "OPENAT", " openat", "syscall_511", "257"}) {
                Settings s({"read", name, "write"});

                EXPECT_EQ(s.r, -EINVAL) << name;
                EXPECT_TRUE(support::contains(s.diag.text, "'" + std::string(name) + "'")) << s.diag.text;
        }
        Settings hostile({"\x1b[2J"}), endless({std::string(100000, 'x').c_str()});
        for (const char *c = hostile.diag.text; *c; c++)
                EXPECT_TRUE(*c >= 0x20 && *c < 0x7f) << hostile.diag.text;
        EXPECT_EQ(hostile.r, -EINVAL);
        EXPECT_EQ(endless.r, -EINVAL);
        EXPECT_TRUE(support::contains(endless.diag.text, "xxx...'")) << endless.diag.text;
}

TEST(BpfCalls, WhichResultsCountBytes)
{
        auto sizes = std::make_unique<struct cosmos__bpf_sizes>();

        cosmos__bpf_sizes(sizes.get());
        EXPECT_TRUE(sizes->moves[0][0]) << "read";
        EXPECT_TRUE(sizes->moves[1][3]) << "read";
        EXPECT_FALSE(sizes->moves[0][3]) << "close";
        EXPECT_FALSE(sizes->moves[1][0]) << "restart_syscall";
        EXPECT_TRUE(sizes->moves[1][239]) << "sendfile64";
        EXPECT_FALSE(sizes->moves[0][511]);
        for (uint32_t nr = 0; nr < WIRE_CALLS; nr++) {
                const char *name = cosmos_syscall_name(COSMOS_ARCH_X86_64, nr);

                EXPECT_EQ(sizes->moves[0][nr], name && cosmos_moves_bytes(name)) << nr;
        }
}
