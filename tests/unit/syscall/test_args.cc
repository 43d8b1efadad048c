/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of arguments: which call has which, that no two kinds share an id, and that all ids are used. */
#include "support.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <csignal>
#include <map>
#include <random>
#include <set>

extern "C" {
#include "syscall/syscall.h"
}

using support::call;
using support::Event;

namespace
{

uint32_t class_of(const std::string &name, std::vector<uint64_t> args, cosmos_arch arch = COSMOS_ARCH_X86_64)
{
        Event event = call(1, name);

        (*event).arch = arch;
        (*event).n_args = static_cast<uint32_t>(args.size());
        for (size_t i = 0; i < args.size(); i++)
                (*event).args[i] = args[i];
        return cosmos_args_class(event);
}

/* Every name of a call that there is. */
std::set<std::string> all_names()
{
        std::set<std::string> names;

        for (cosmos_arch arch : {COSMOS_ARCH_X86_64, COSMOS_ARCH_I386, COSMOS_ARCH_AARCH64})
                for (uint32_t nr = 0; nr < 1000; nr++)
                        if (const char *name = cosmos_syscall_name(arch, nr))
                                names.insert(name);
        return names;
}

} // namespace

TEST(ArgsClass, ByTheFlagsThatMatter)
{
        EXPECT_EQ(class_of("openat", {0, 0x7ff0, O_RDONLY, 0}), 1u);
        EXPECT_EQ(class_of("openat", {0, 0x7ff0, O_RDONLY | O_CLOEXEC, 0}), 1u) << "a flag that does not count";
        EXPECT_EQ(class_of("openat", {0, 0x7ff0, O_RDWR, 0}), 3u);
        EXPECT_EQ(class_of("openat", {0, 0x7ff0, O_WRONLY | O_CREAT | O_TRUNC, 0600}), 1u + 1 + 4 + 8);
        EXPECT_EQ(class_of("open", {0x7ff0, O_WRONLY | O_CREAT | O_TRUNC}), 1u + 1 + 4 + 8) << "the same kind";
        EXPECT_EQ(class_of("mmap", {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS}), 33u + 3 * 4 + 2);
        EXPECT_EQ(class_of("mmap", {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE}), 33u + 5 * 4);
        EXPECT_EQ(class_of("mmap2", {0, 4096, PROT_READ, MAP_SHARED}, COSMOS_ARCH_I386), 33u + 1 * 4 + 1);
        EXPECT_EQ(class_of("mprotect", {0x7ff0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC}), 65u + 7);
        EXPECT_EQ(class_of("socket", {AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0}), 97u + 1 * 4);
        EXPECT_EQ(class_of("socket", {AF_UNIX, SOCK_DGRAM, 0}), 97u + 1);
        EXPECT_EQ(class_of("socket", {AF_PACKET, SOCK_RAW, 0}), 97u + 4 * 4 + 2);
        EXPECT_EQ(class_of("socket", {40, SOCK_SEQPACKET, 0}), 97u + 5 * 4 + 3) << "neither is listed";
        EXPECT_EQ(class_of("futex", {0x7ff0, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1}), 121u + 1);
        EXPECT_EQ(class_of("kill", {17, SIGKILL}), class_of("tgkill", {17, 18, SIGKILL}));
        EXPECT_NE(class_of("kill", {17, SIGKILL}), class_of("kill", {17, SIGTERM}));
        EXPECT_EQ(class_of("setuid", {0}), 215u);
        EXPECT_EQ(class_of("setresuid", {99, UINT64_C(0xffffffff), 99}), 216u);
        EXPECT_EQ(class_of("setresuid", {99, UINT64_MAX, 99}), 216u) << "32 bits count";
        EXPECT_EQ(class_of("dup2", {5, 0}), 250u);
        EXPECT_EQ(class_of("dup2", {5, 77}), COSMOS_ARGS_CLASSES - 1);
}

TEST(ArgsClass, UnknownIs0)
{
        EXPECT_EQ(class_of("openat", {}), 0u);
        EXPECT_EQ(class_of("openat", {0, 0}), 0u) << "the flags are not known";
        EXPECT_EQ(class_of("socket", {AF_INET}), 0u);
        EXPECT_EQ(class_of("read", {3, 0x7ff0, 100}), 0u) << "has no rule";
        EXPECT_EQ(class_of("syscall_999", {1, 2, 3, 4, 5, 6}), 0u);
        EXPECT_EQ(class_of("", {1, 2, 3, 4, 5, 6}), 0u);
        EXPECT_EQ(class_of("mmap", {0x7ff0, 4096, 3, 2}, COSMOS_ARCH_I386), 0u) << "its arguments are in memory";
        EXPECT_EQ(cosmos_args_class(support::other(COSMOS_EVENT_LOSS)), 0u) << "no call";
}

/* Each name's ids are found by trying values; they are those of its kind, and kinds tile the ids. */
TEST(ArgsClass, KindsTileTheIds)
{
        static const uint64_t values[] = {0,      1,      2,      3,      4,      5,      6,          7,
                                          8,      9,      10,     11,     12,     13,     14,         15,
                                          16,     17,     19,     22,     23,     24,     38,         41,
                                          47,     77,     1030,   06000,  0111,   022,    0x4206,     0x5401,
                                          0x5402, 0x5412, 0x5413, 0x541b, 0x5421, 0x5451, 0x53564d41, UINT32_MAX};
        std::set<std::set<uint32_t>> kinds;
        std::map<uint32_t, size_t> used;
        std::mt19937_64 random(5);

        for (const std::string &name : all_names()) {
                const bool has_rule = cosmos__args_rule(name.c_str()) != nullptr;
                std::set<uint32_t> ids;

                for (int i = 0; i < (has_rule ? 20000 : 100); i++) {
                        std::vector<uint64_t> args(COSMOS_EVENT_ARGS);

                        for (uint64_t &arg : args)
                                arg = random() % 3 ? values[random() % (sizeof(values) / sizeof(*values))]
                                                   : random() & (random() % 2 ? UINT64_MAX : random());
                        ids.insert(class_of(name, args));
                }
                if (!has_rule) {
                        EXPECT_EQ(ids, std::set<uint32_t>{0}) << name;
                        continue;
                }
                EXPECT_EQ(ids.count(0), 0u) << name;
                EXPECT_EQ(*ids.rbegin() - *ids.begin() + 1, ids.size()) << name << ": without a hole";
                kinds.insert(ids);
        }
        for (const std::set<uint32_t> &ids : kinds)
                for (uint32_t id : ids)
                        used[id]++;
        EXPECT_EQ(used.size(), COSMOS_ARGS_CLASSES - 1);
        for (const auto &[id, n] : used)
                EXPECT_EQ(n, 1u) << id;
        EXPECT_EQ(used.begin()->first, 1u);
        EXPECT_EQ(used.rbegin()->first, COSMOS_ARGS_CLASSES - 1);
}

/* The rules are looked up by bisection: each is found, and is of a call that there is. */
TEST(ArgsClass, EveryRuleIsFound)
{
        size_t found = 0;

        for (const std::string &name : all_names())
                found += cosmos__args_rule(name.c_str()) != nullptr;
        EXPECT_EQ(found, 61u);
}
