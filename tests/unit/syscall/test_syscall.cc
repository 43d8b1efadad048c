/* SPDX-License-Identifier: Apache-2.0 */
#include <gtest/gtest.h>

#include <linux/audit.h>
#include <sys/syscall.h>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include <cosmos/event.h>

extern "C" {
#include "syscall/syscall.h"
}

namespace
{

const cosmos_arch ALL[] = {COSMOS_ARCH_X86_64, COSMOS_ARCH_I386, COSMOS_ARCH_AARCH64};

const cosmos__syscall_table &table_of(cosmos_arch arch)
{
        return arch == COSMOS_ARCH_X86_64 ? cosmos__syscalls_x86_64
               : arch == COSMOS_ARCH_I386 ? cosmos__syscalls_i386
                                          : cosmos__syscalls_aarch64;
}

} // namespace

/* Numbers as the kernel's own tables and manual pages give them: they never change. */
TEST(Syscall, KnownNumbers)
{
        static const struct {
                const char *name;
                int x86_64, i386, aarch64; /* -1: there is none */
        } known[] = {
            {"read", 0, 3, 63},
            {"write", 1, 4, 64},
            {"open", 2, 5, -1},
            {"openat", 257, 295, 56},
            {"close", 3, 6, 57},
            {"getppid", 110, 64, 173},
            {"execve", 59, 11, 221},
            {"execveat", 322, 358, 281},
            {"exit", 60, 1, 93},
            {"exit_group", 231, 252, 94},
            {"fork", 57, 2, -1},
            {"clone", 56, 120, 220},
            {"clone3", 435, 435, 435},
            {"socket", 41, 359, 198},
            {"connect", 42, 362, 203},
            {"socketcall", -1, 102, -1},
            {"mmap", 9, 90, 222},
            {"mmap2", -1, 192, -1},
            {"ptrace", 101, 26, 117},
            {"bpf", 321, 357, 280},
            {"rt_sigreturn", 15, 173, 139},
            {"newfstatat", 262, -1, 79},
            {"fstatat64", -1, 300, -1},
            {"futex", 202, 240, 98},
            {"openat2", 437, 437, 437},
            {"restart_syscall", 219, 0, 128},
        };

        for (const auto &k : known) {
                EXPECT_EQ(cosmos_syscall_number(COSMOS_ARCH_X86_64, k.name), k.x86_64) << k.name;
                EXPECT_EQ(cosmos_syscall_number(COSMOS_ARCH_I386, k.name), k.i386) << k.name;
                EXPECT_EQ(cosmos_syscall_number(COSMOS_ARCH_AARCH64, k.name), k.aarch64) << k.name;
        }
}

TEST(Syscall, AgreesWithThisMachinesHeaders)
{
#if defined(__x86_64__)
        const cosmos_arch here = COSMOS_ARCH_X86_64;
#elif defined(__aarch64__)
        const cosmos_arch here = COSMOS_ARCH_AARCH64;
#else
        GTEST_SKIP() << "no table for this machine";
        const cosmos_arch here = COSMOS_ARCH_UNKNOWN;
#endif
#define SAME(name) EXPECT_STREQ(cosmos_syscall_name(here, SYS_##name), #name)
        SAME(accept4);
        SAME(brk);
        SAME(copy_file_range);
        SAME(epoll_pwait);
        SAME(getdents64);
        SAME(io_uring_enter);
        SAME(membarrier);
        SAME(pidfd_open);
        SAME(process_vm_writev);
        SAME(seccomp);
        SAME(setns);
        SAME(unshare);
#undef SAME
}

TEST(Syscall, EveryNameGoesBackToItsNumber)
{
        for (cosmos_arch arch : ALL) {
                const cosmos__syscall_table &table = table_of(arch);
                std::set<std::string> names;

                ASSERT_GT(table.n, 400u);
                for (uint32_t nr = 0; nr < table.n; nr++) {
                        const char *name = cosmos_syscall_name(arch, nr);

                        if (!name)
                                continue;
                        EXPECT_TRUE(names.insert(name).second) << name << " is there twice";
                        EXPECT_EQ(cosmos_syscall_number(arch, name), static_cast<int>(nr)) << name;
                        EXPECT_EQ(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name)) << name;
                }
                EXPECT_GT(names.size(), 300u);
        }
}

TEST(Syscall, UnknownOnesHaveNoName)
{
        for (cosmos_arch arch : ALL) {
                for (uint32_t nr : {table_of(arch).n, 5000u, 0x40000000u, UINT32_MAX})
                        EXPECT_EQ(cosmos_syscall_name(arch, nr), nullptr) << nr;
                for (const char *name : {"", "no_such_call", "READ", "read ", "syscall_0"})
                        EXPECT_EQ(cosmos_syscall_number(arch, name), -1) << name;
        }
        EXPECT_EQ(cosmos_syscall_name(COSMOS_ARCH_X86_64, 400), nullptr); /* a hole in the table */
        for (int arch : {0, 4, 1000}) {
                EXPECT_EQ(cosmos_syscall_name(static_cast<cosmos_arch>(arch), 0), nullptr);
                EXPECT_EQ(cosmos_syscall_number(static_cast<cosmos_arch>(arch), "read"), -1);
                EXPECT_EQ(cosmos_arch_name(static_cast<cosmos_arch>(arch)), nullptr);
        }
}

TEST(Arch, NamesGoBothWays)
{
        const std::map<cosmos_arch, std::string> names = {
            {COSMOS_ARCH_X86_64, "x86_64"}, {COSMOS_ARCH_I386, "i386"}, {COSMOS_ARCH_AARCH64, "aarch64"}};

        for (const auto &[arch, name] : names) {
                EXPECT_EQ(cosmos_arch_name(arch), name);
                EXPECT_EQ(cosmos_arch_from_name(name.c_str()), arch);
        }
        for (const char *name : {"", "arm64", "X86_64", "x86_64 ", "riscv64"})
                EXPECT_EQ(cosmos_arch_from_name(name), COSMOS_ARCH_UNKNOWN) << name;
}

TEST(Arch, FromTheNumbersThatAuditWrites)
{
        /* As they stand in records: arch=c000003e and so on. */
        EXPECT_EQ(cosmos__arch_from_audit(0xc000003e), COSMOS_ARCH_X86_64);
        EXPECT_EQ(cosmos__arch_from_audit(0x40000003), COSMOS_ARCH_I386);
        EXPECT_EQ(cosmos__arch_from_audit(0xc00000b7), COSMOS_ARCH_AARCH64);
        for (uint32_t other : {0u, 0x3eu, 0x8000003eu, static_cast<uint32_t>(AUDIT_ARCH_ARM), 0xc00000f3u, UINT32_MAX})
                EXPECT_EQ(cosmos__arch_from_audit(other), COSMOS_ARCH_UNKNOWN) << other;
}
