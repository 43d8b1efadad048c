/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the bpf backend's ring buffer to events. */
#include "support.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

extern "C" {
#include "collector/bpf/bpf.h"
}

using namespace std::string_literals;

namespace
{

constexpr uint64_t TICK = 10000000; /* ns: 100 a second */

/* Numbers as the kernel's tables give them. */
enum { READ = 0, CLOSE = 3, RT_SIGRETURN = 15, EXECVE = 59, OPENAT = 257, EXECVEAT = 322 };
enum { READ_32 = 3, EXECVE_32 = 11, RT_SIGRETURN_32 = 173, OPENAT_32 = 295 };

/* Exactly as large as the record: a read past it is seen by a sanitizer. */
using Bytes = std::vector<uint8_t>;

Bytes bytes_of(const void *record, size_t n, const std::string &text = "")
{
        Bytes bytes(n + text.size());

        memcpy(bytes.data(), record, n);
        std::copy(text.begin(), text.end(), bytes.begin() + static_cast<ptrdiff_t>(n));
        return bytes;
}

wire_head head_of(wire_type type, uint8_t flags = 0)
{
        wire_head head = {};

        head.type = static_cast<uint8_t>(type);
        head.flags = flags;
        head.uid = 999;
        head.time = 5000000007;
        head.pid = 4242;
        head.tid = 4250;
        head.ppid = 4200;
        head.proc_start = 1239999999;
        head.thread_start = 1240000000;
        memcpy(head.comm, "mariadbd", 9);
        return head;
}

wire_call call_of(uint32_t nr, int64_t ret, uint8_t flags = 0, wire_type type = WIRE_CALL)
{
        wire_call call = {};

        call.head = head_of(type, flags);
        call.head.nr = nr;
        call.ret = ret;
        for (uint64_t i = 0; i < 6; i++)
                call.args[i] = UINT64_MAX - i;
        return call;
}

Bytes bytes_of(const wire_call &call, const std::string &text = "")
{
        return bytes_of(&call, sizeof(call), text);
}

/* Keeps the event's strings: those of the record and those of its own. */
class Decoder
{
      public:
        explicit Decoder(uint32_t with = 0) : d(new cosmos__bpf_decoder())
        {
                d->offset = support::T0;
                d->tick = TICK;
                d->with = with;
                cosmos__bpf_sizes(&d->sizes);
        }

        const cosmos_event &call(const wire_call &call, const std::string &text = "")
        {
                record = bytes_of(call, text);
                event = {};
                EXPECT_EQ(cosmos__bpf_check(record.data(), record.size()), 0);
                cosmos__bpf_call(d.get(), record.data(), record.size(), &event);
                return event;
        }
        const cosmos_event &call(uint32_t nr, int64_t ret, uint8_t flags = 0, const std::string &text = "")
        {
                return call(call_of(nr, ret, flags), text);
        }
        const cosmos_event &head(const wire_head &head)
        {
                record = bytes_of(&head, sizeof(head));
                event = {};
                cosmos__bpf_head(d.get(), reinterpret_cast<const wire_head *>(record.data()), &event);
                return event;
        }
        const char *exe(const std::string &text, uint8_t flags = 0)
        {
                wire_call call = {};

                call.head = head_of(WIRE_PROCESS, flags);
                record = bytes_of(call, text);
                EXPECT_EQ(cosmos__bpf_check(record.data(), record.size()), 0);
                return cosmos__bpf_exe(d.get(), record.data(), record.size());
        }
        std::string argv(const std::string &text)
        {
                return support::text_of(call(EXECVE, 0, WIRE_ARGV, text).argv);
        }
        std::string addr(const std::string &text)
        {
                return support::text_of(call(42, 0, WIRE_ADDR, text).addr);
        }

        std::unique_ptr<cosmos__bpf_decoder> d;

      private:
        Bytes record;
        cosmos_event event;
};

int check(const Bytes &bytes)
{
        return cosmos__bpf_check(bytes.data(), bytes.size());
}

/* The first `n` bytes of an address. */
template <typename T> std::string raw(const T &address, size_t n = sizeof(T))
{
        return std::string(reinterpret_cast<const char *>(&address), n);
}

sockaddr_in inet()
{
        sockaddr_in in = {};

        in.sin_family = AF_INET;
        in.sin_port = htons(80);
        in.sin_addr.s_addr = htonl(0xc0000201);
        return in;
}

std::string unix_address(const std::string &path)
{
        sa_family_t family = AF_UNIX;

        return raw(family) + path;
}

} // namespace

/* ---- is it whole? ----------------------------------------------------------------------- */

TEST(BpfCheck, ARecordThatIsCutIsRefused)
{
        const std::pair<wire_type, size_t> whole[] = {
            {WIRE_CALL, sizeof(wire_call)},           {WIRE_EXIT, sizeof(wire_call)},
            {WIRE_PROCESS, sizeof(wire_call)},        {WIRE_FORK, sizeof(wire_head)},
            {WIRE_CONTAINER, sizeof(wire_container)}, {WIRE_STOP, sizeof(wire_container)},
            {WIRE_SEED, sizeof(wire_head)},
        };

        for (const auto &[type, size] : whole)
                for (size_t n = 0; n <= size + 8; n++) {
                        wire_head head = head_of(type);
                        Bytes bytes = bytes_of(&head, sizeof(head));

                        bytes.resize(n);
                        bytes.shrink_to_fit();
                        EXPECT_EQ(check(bytes), n < size ? -EBADMSG : 0) << type << ": " << n;
                }
}

TEST(BpfCheck, ATypeThatIsNoneIsRefused)
{
        for (int type = 0; type <= UINT8_MAX; type++) {
                Bytes bytes(1000);

                bytes[0] = static_cast<uint8_t>(type);
                EXPECT_EQ(check(bytes), type >= WIRE_CALL && type <= WIRE_SEED ? 0 : -EBADMSG) << type;
        }
}

TEST(BpfCheck, APathHasItsNul)
{
        for (wire_type type : {WIRE_CALL, WIRE_EXIT})
                for (int more : {0, int(WIRE_ARGV), int(WIRE_ADDR)}) {
                        wire_call call = call_of(OPENAT, 3, static_cast<uint8_t>(WIRE_PATH | more), type);

                        EXPECT_EQ(check(bytes_of(call, "/etc/passwd\0"s)), 0);
                        EXPECT_EQ(check(bytes_of(call, "\0"s)), 0);
                        EXPECT_EQ(check(bytes_of(call, "/etc/passwd")), -EBADMSG) << type;
                        EXPECT_EQ(check(bytes_of(call)), -EBADMSG) << type << ": no text at all";
                }
        EXPECT_EQ(check(bytes_of(call_of(EXECVE, 0, WIRE_ARGV), "cut")), 0) << "arguments are bytes";
        EXPECT_EQ(check(bytes_of(call_of(42, 0, WIRE_ADDR), "x")), 0) << "and so is an address";
}

/* ---- process, thread, time ----------------------------------------------------------------- */

TEST(BpfHead, SaysWhoItWas)
{
        Decoder d;
        const cosmos_event &e = d.head(head_of(WIRE_EXIT));

        EXPECT_EQ(e.known, COSMOS_KNOWN_PID | COSMOS_KNOWN_TID | COSMOS_KNOWN_PPID | COSMOS_KNOWN_PROC_START |
                               COSMOS_KNOWN_THREAD_START | COSMOS_KNOWN_UID);
        EXPECT_EQ(e.pid, 4242);
        EXPECT_EQ(e.tid, 4250);
        EXPECT_EQ(e.ppid, 4200);
        EXPECT_EQ(e.uid, 999u);
        EXPECT_STREQ(e.comm, "mariadbd");
}

TEST(BpfHead, TimeIsThatOfTheWallClock)
{
        Decoder d;

        EXPECT_EQ(d.head(head_of(WIRE_EXIT)).timestamp, support::T0 + 5000000007);
        EXPECT_EQ(d.head(head_of(WIRE_EXIT)).timestamp_digits, 9u);
        d.d->offset = -5000000000; /* a clock that was never set */
        EXPECT_EQ(d.head(head_of(WIRE_EXIT)).timestamp, 7);
}

TEST(BpfHead, StartsAreInWholeTicks)
{
        Decoder d;
        const cosmos_event &e = d.head(head_of(WIRE_EXIT));

        EXPECT_EQ(e.proc_start, 123u) << "as /proc/PID/stat has it: cut, not rounded";
        EXPECT_EQ(e.thread_start, 124u);
        d.d->tick = 1000000;
        EXPECT_EQ(d.head(head_of(WIRE_EXIT)).proc_start, 1239u);
}

TEST(BpfHead, ANameWithoutItsEndIsNone)
{
        wire_head head = head_of(WIRE_EXIT);
        Decoder d;

        memset(head.comm, 'x', sizeof(head.comm));
        EXPECT_STREQ(d.head(head).comm, "");
        head.comm[15] = 0;
        EXPECT_STREQ(d.head(head).comm, "xxxxxxxxxxxxxxx");
}

/* ---- calls ----------------------------------------------------------------------------------- */

TEST(BpfCall, HasNumberArgumentsAndResult)
{
        Decoder d;
        const cosmos_event &e = d.call(OPENAT, -2);

        EXPECT_EQ(e.type, COSMOS_EVENT_CALL);
        EXPECT_EQ(e.arch, COSMOS_ARCH_X86_64);
        EXPECT_STREQ(e.syscall, "openat");
        EXPECT_EQ(e.nr, static_cast<uint32_t>(OPENAT));
        EXPECT_EQ(e.ret, -2);
        EXPECT_EQ(e.pid, 4242);
        EXPECT_EQ(e.known, COSMOS_KNOWN_PID | COSMOS_KNOWN_TID | COSMOS_KNOWN_PPID | COSMOS_KNOWN_PROC_START |
                               COSMOS_KNOWN_THREAD_START | COSMOS_KNOWN_UID | COSMOS_KNOWN_NR | COSMOS_KNOWN_RET);
        ASSERT_EQ(e.n_args, 6u);
        for (uint64_t i = 0; i < 6; i++)
                EXPECT_EQ(e.args[i], UINT64_MAX - i);
        for (const char *text : {e.path, e.argv, e.addr, e.exe, e.container_id})
                EXPECT_EQ(text, nullptr);
}

TEST(BpfCall, Of32BitsIsReadByItsOwnTable)
{
        Decoder d;
        const cosmos_event &e = d.call(OPENAT_32, 3, WIRE_COMPAT);

        EXPECT_EQ(e.arch, COSMOS_ARCH_I386);
        EXPECT_STREQ(e.syscall, "openat");
        EXPECT_EQ(e.nr, static_cast<uint32_t>(OPENAT_32));
        EXPECT_STREQ(d.call(3, 0, WIRE_COMPAT).syscall, "read");
        EXPECT_STREQ(d.call(3, 0).syscall, "close");
}

TEST(BpfCall, ANumberThatNoTableHasIsItsName)
{
        Decoder d;

        EXPECT_STREQ(d.call(511, -38).syscall, "syscall_511");
        EXPECT_STREQ(d.call(0x40000000, -38).syscall, "syscall_1073741824") << "x32";
        EXPECT_STREQ(d.call(UINT32_MAX, -38, WIRE_COMPAT).syscall, "syscall_4294967295");
        EXPECT_EQ(d.call(UINT32_MAX, -38).n_args, 6u);
}

TEST(BpfCall, TheReturnOfASignalIsANameOnly)
{
        Decoder d;

        for (int64_t ret : {0, 5, -4})
                for (uint32_t nr : {int(RT_SIGRETURN), int(RT_SIGRETURN_32)}) {
                        const cosmos_event &e = d.call(nr, ret, nr == RT_SIGRETURN_32 ? WIRE_COMPAT : 0);

                        EXPECT_STREQ(e.syscall, "rt_sigreturn");
                        EXPECT_FALSE(e.known & COSMOS_KNOWN_RET);
                        EXPECT_EQ(e.ret, 0);
                        EXPECT_EQ(e.n_args, 0u);
                        EXPECT_EQ(e.args[0], 0u);
                }
}

TEST(BpfCall, ASuccessfulExecveHasAResultAndNoArguments)
{
        const std::pair<uint32_t, uint8_t> calls[] = {{EXECVE, 0}, {EXECVEAT, 0}, {EXECVE_32, WIRE_COMPAT}};
        Decoder d;

        for (const auto &[nr, flags] : calls) {
                const cosmos_event &e = d.call(nr, 0, static_cast<uint8_t>(flags | WIRE_ARGV), "sh\0-c\0"s);

                EXPECT_TRUE(e.known & COSMOS_KNOWN_RET);
                EXPECT_EQ(e.ret, 0);
                EXPECT_EQ(e.n_args, 0u) << "the registers are the new program's";
                EXPECT_EQ(e.args[0], 0u);
                EXPECT_STREQ(e.argv, "sh -c");
        }
}

TEST(BpfCall, AFailedExecveHasItsArgumentsAndItsPath)
{
        Decoder d;
        const cosmos_event &e = d.call(EXECVE, -2, WIRE_PATH, "/bin/none\0"s);

        EXPECT_EQ(e.ret, -2);
        EXPECT_EQ(e.n_args, 6u);
        EXPECT_STREQ(e.path, "/bin/none");
        EXPECT_EQ(e.argv, nullptr);
}

TEST(BpfCall, ThatNeverReturnedHasNoResult)
{
        Decoder d;
        const cosmos_event &e = d.call(call_of(231, 0, WIRE_HAS_CALL, WIRE_EXIT));

        EXPECT_EQ(e.type, COSMOS_EVENT_CALL);
        EXPECT_STREQ(e.syscall, "exit_group");
        EXPECT_TRUE(e.known & COSMOS_KNOWN_NR);
        EXPECT_FALSE(e.known & COSMOS_KNOWN_RET);
        EXPECT_EQ(e.n_args, 6u);
        EXPECT_EQ(e.args[0], UINT64_MAX);
}

/* seccomp's KILL_THREAD: the old program's registers are all there. */
TEST(BpfCall, AnExecveThatNeverReturnedHasItsArguments)
{
        Decoder d;
        const cosmos_event &e = d.call(call_of(EXECVE, 0, WIRE_HAS_CALL, WIRE_EXIT));

        EXPECT_FALSE(e.known & COSMOS_KNOWN_RET);
        EXPECT_EQ(e.n_args, 6u);
        EXPECT_EQ(e.args[0], UINT64_MAX);
}

/* ---- texts ------------------------------------------------------------------------------------- */

TEST(BpfText, APathIsAsItWasGiven)
{
        Decoder d;

        EXPECT_STREQ(d.call(OPENAT, 3, WIRE_PATH, "/etc/../\xff\n\0"s).path, "/etc/../\xff\n");
        EXPECT_STREQ(d.call(OPENAT, -2, WIRE_PATH, "\0"s).path, "");
        EXPECT_EQ(d.call(OPENAT, 3).path, nullptr);
        EXPECT_EQ(d.call(OPENAT, 3, 0, "/x\0"s).path, nullptr) << "not said to be one";
        const std::string longest(WIRE_TEXT_MAX - 1, 'x');
        EXPECT_EQ(d.call(OPENAT, 3, WIRE_PATH, longest + "\0"s).path, longest);
}

TEST(BpfText, ArgumentsStandWithOneSpaceBetween)
{
        Decoder d;

        EXPECT_EQ(d.argv("sh\0-c\0ls -l\0"s), "'sh -c ls -l'");
        EXPECT_EQ(d.argv("a\0\0b\0"s), "'a  b'") << "an empty one";
        EXPECT_EQ(d.argv("\0a\0"s), "' a'");
        EXPECT_EQ(d.argv("a\0\0\0"s), "'a'") << "empty ones at the end";
        EXPECT_EQ(d.argv("\0"s), "''");
        EXPECT_EQ(d.argv("\0\0\0"s), "''");
        EXPECT_EQ(d.argv("cut off"), "'cut off'");
        EXPECT_EQ(d.argv(""), "-") << "they could not be read";
}

TEST(BpfText, ArgumentsAreCutAtTheirLimit)
{
        const std::string most(WIRE_TEXT_MAX, 'x'), spaced = std::string(WIRE_TEXT_MAX - 2, 'x') + "\0y"s;
        Decoder d;

        EXPECT_EQ(d.argv(most), "'" + most + "'");
        EXPECT_EQ(d.argv(most + "y"), "'" + most + "'");
        EXPECT_EQ(d.argv(spaced), "'" + std::string(WIRE_TEXT_MAX - 2, 'x') + " y'");
        EXPECT_EQ(d.argv(std::string(WIRE_TEXT_MAX, '\0') + "y"), "''");
        EXPECT_EQ(d.argv("short\0"s), "'short'") << "nothing is left of the last one";
}

TEST(BpfText, AddressesOfEachFamily)
{
        sockaddr_in6 in6 = {};
        Decoder d;

        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(65535);
        in6.sin6_addr.s6_addr[0] = 0x20;
        in6.sin6_addr.s6_addr[1] = 0x01;
        in6.sin6_addr.s6_addr[15] = 1;
        EXPECT_EQ(d.addr(raw(inet())), "'192.0.2.1:80'");
        EXPECT_EQ(d.addr(raw(in6)), "'[2001::1]:65535'");
        EXPECT_EQ(d.addr(raw(in6, 24)), "'[2001::1]:65535'") << "without a scope, as old programs have it";
        EXPECT_EQ(d.addr(unix_address("/run/x\0rest"s)), "'unix:/run/x'");
        EXPECT_EQ(d.addr(unix_address("/run/x")), "'unix:/run/x'") << "its size is its end";
        EXPECT_EQ(d.addr(unix_address("\0name"s)), "'unix:@name'");
        EXPECT_EQ(d.addr(unix_address(std::string(108, 'x'))), "'unix:" + std::string(108, 'x') + "'");
        EXPECT_EQ(d.addr(unix_address(std::string(126, 'x'))), "'unix:" + std::string(108, 'x') + "'");
        EXPECT_EQ(d.addr(raw(inet()) + std::string(112, '\xff')), "'192.0.2.1:80'");
        EXPECT_EQ(d.addr(raw(inet()) + std::string(5000, '\xff')), "'192.0.2.1:80'");
}

TEST(BpfText, AnAddressThatIsTooShortIsNone)
{
        const std::string in = raw(inet());
        sockaddr_in6 in6 = {};
        Decoder d;

        in6.sin6_family = AF_INET6;
        ASSERT_EQ(d.addr(in), "'192.0.2.1:80'") << "what follows must not say this again";
        for (size_t n = 0; n < in.size(); n++)
                EXPECT_EQ(d.addr(in.substr(0, n)), "-") << n;
        for (size_t n = 0; n < 24; n++)
                EXPECT_EQ(d.addr(raw(in6, n)), "-") << n;
        EXPECT_EQ(d.addr(unix_address("")), "-") << "a socket without a name";
        for (sa_family_t family : {0, 16 /* AF_NETLINK */, 0xffff})
                EXPECT_EQ(d.addr(raw(family) + std::string(100, 'x')), "-") << family;
}

/* ---- classes --------------------------------------------------------------------------------------- */

TEST(BpfClasses, TheKindOfADescriptor)
{
        Decoder d(COSMOS_BPF_FD_KIND), without(COSMOS_BPF_SIZE_CLASS | COSMOS_BPF_PATH_CLASS);
        wire_call call = call_of(READ, 5);

        EXPECT_FALSE(d.call(call).known & COSMOS_KNOWN_FD_KIND) << "it has none";
        for (int kind = 1; kind <= UINT8_MAX; kind++) {
                call.head.fd_kind = static_cast<uint8_t>(kind);
                EXPECT_TRUE(d.call(call).known & COSMOS_KNOWN_FD_KIND);
                EXPECT_EQ(static_cast<int>(d.call(call).fd_kind), std::min(kind, static_cast<int>(COSMOS_FD_OTHER)));
                EXPECT_FALSE(without.call(call).known & COSMOS_KNOWN_FD_KIND);
                EXPECT_EQ(without.call(call).fd_kind, COSMOS_FD_NONE);
        }
}

TEST(BpfClasses, TheSizeOfWhatMovesBytes)
{
        Decoder d(COSMOS_BPF_SIZE_CLASS), without(COSMOS_BPF_FD_KIND | COSMOS_BPF_PATH_CLASS);
        auto known = [&](const wire_call &call) { return !!(d.call(call).known & COSMOS_KNOWN_SIZE_CLASS); };

        EXPECT_TRUE(known(call_of(READ, 100)));
        EXPECT_EQ(d.call(READ, 100).size_class, cosmos_size_class(100));
        EXPECT_EQ(d.call(READ, INT64_MAX).size_class, cosmos_size_class(INT64_MAX));
        EXPECT_TRUE(known(call_of(READ, 0))) << "the end of a file is a class too";
        EXPECT_FALSE(known(call_of(READ, -9)));
        EXPECT_FALSE(known(call_of(OPENAT, 3)));
        EXPECT_FALSE(known(call_of(READ, 0, WIRE_HAS_CALL, WIRE_EXIT))) << "it never returned";
        EXPECT_TRUE(known(call_of(READ_32, 8, WIRE_COMPAT)));
        EXPECT_FALSE(known(call_of(CLOSE, 8))) << "the same number, not of 32 bits";
        for (uint32_t nr : {uint32_t(WIRE_CALLS), uint32_t(WIRE_CALLS + READ), UINT32_MAX})
                EXPECT_FALSE(known(call_of(nr, 100)));
        EXPECT_FALSE(without.call(READ, 100).known & COSMOS_KNOWN_SIZE_CLASS);
}

TEST(BpfClasses, ThePartOfTheFileSystem)
{
        Decoder d(COSMOS_BPF_PATH_CLASS), without(COSMOS_BPF_FD_KIND | COSMOS_BPF_SIZE_CLASS);

        EXPECT_TRUE(d.call(OPENAT, 3, WIRE_PATH, "/etc/passwd\0"s).known & COSMOS_KNOWN_PATH_CLASS);
        EXPECT_EQ(d.call(OPENAT, 3, WIRE_PATH, "/etc/passwd\0"s).path_class, COSMOS_PATH_ETC);
        EXPECT_FALSE(d.call(READ, 3).known & COSMOS_KNOWN_PATH_CLASS);
        EXPECT_FALSE(d.call(EXECVE, 0, WIRE_ARGV, "/etc/x\0"s).known & COSMOS_KNOWN_PATH_CLASS);
        EXPECT_FALSE(without.call(OPENAT, 3, WIRE_PATH, "/etc/passwd\0"s).known & COSMOS_KNOWN_PATH_CLASS);
}

/* ---- programs ---------------------------------------------------------------------------------------- */

TEST(BpfExe, ComponentsComeInnermostFirst)
{
        Decoder d;

        EXPECT_STREQ(d.exe("bash\0bin\0usr\0"s), "/usr/bin/bash");
        EXPECT_STREQ(d.exe("init\0"s), "/init");
        EXPECT_STREQ(d.exe("bash\0bin\0usr\0/\0"s), "/usr/bin/bash") << "where the root has a name";
        EXPECT_STREQ(d.exe("bash\0bin\0/\0mnt\0"s), "/mnt/bin/bash") << "and where it is one of a mount";
        EXPECT_STREQ(d.exe("a\0\0b\0"s), "/b/a");
        EXPECT_STREQ(d.exe("\xff\n\0b c\0"s), "/b c/\xff\n");
}

TEST(BpfExe, WithoutAPathIsNotKnown)
{
        Decoder d;

        EXPECT_STREQ(d.exe("/\0"s), "/");
        EXPECT_STREQ(d.exe("\0"s), "/");
        EXPECT_EQ(d.exe(""), nullptr);
        EXPECT_EQ(d.exe("", WIRE_DELETED | WIRE_TOO_DEEP), nullptr);
}

TEST(BpfExe, SaysWhatIsOddAboutIt)
{
        Decoder d;

        EXPECT_STREQ(d.exe("x\0tmp\0"s, WIRE_DELETED), "/tmp/x (deleted)");
        EXPECT_STREQ(d.exe("x\0b\0a\0"s, WIRE_TOO_DEEP), "[...]/a/b/x");
        EXPECT_STREQ(d.exe("x\0a\0"s, WIRE_TOO_DEEP | WIRE_DELETED), "[...]/a/x (deleted)");
        EXPECT_STREQ(d.exe("/\0"s, WIRE_DELETED), "/ (deleted)");
        EXPECT_STREQ(d.exe("x\0tmp\0"s), "/tmp/x") << "nothing is left of the last one";
}

TEST(BpfExe, TheLastComponentMayBeCut)
{
        Decoder d;

        EXPECT_STREQ(d.exe("bash\0bin\0us"s, WIRE_TOO_DEEP), "[...]/us/bin/bash");
        EXPECT_STREQ(d.exe("bash"), "/bash");
}

TEST(BpfExe, OneThatIsTooLongIsNotKnown)
{
        Decoder d;
        std::string folders;

        for (size_t n : {WIRE_TEXT_MAX - 1, WIRE_TEXT_MAX - 11, WIRE_TEXT_MAX - 6}) {
                const uint8_t flags = n == WIRE_TEXT_MAX - 11  ? WIRE_DELETED
                                      : n == WIRE_TEXT_MAX - 6 ? WIRE_TOO_DEEP
                                                               : 0;
                const char *path = d.exe(std::string(n, 'x') + "\0"s, flags);

                ASSERT_NE(path, nullptr);
                EXPECT_EQ(strlen(path), static_cast<size_t>(WIRE_TEXT_MAX));
                EXPECT_EQ(d.exe(std::string(n + 1, 'x') + "\0"s, flags), nullptr);
        }
        for (int i = 0; i < 4000; i++)
                folders += "x\0"s;
        EXPECT_EQ(d.exe(folders), nullptr);
        EXPECT_EQ(d.exe(std::string(20000, 'x')), nullptr);
        EXPECT_STREQ(d.exe(std::string(20000, '\0')), "/");
}
