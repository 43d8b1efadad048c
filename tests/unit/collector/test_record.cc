/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "collector/records.h"

#include <gtest/gtest.h>

#include <stdint.h>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <vector>

extern "C" {
#include "collector/record.h"
}

namespace
{

struct Bytes : support::Bytes {
        using support::Bytes::Bytes;
        operator cosmos__slice() const
        {
                return {data(), size()};
        }
};

std::string decode(const cosmos__untrusted &value, size_t room = 4096)
{
        std::vector<char> out(room);

        return std::string(out.data(), cosmos__untrusted_decode(&value, out.data(), room));
}

struct Call {
        int error;
        cosmos__syscall_record record;
        std::string comm, exe;
};

Call parse(const std::string &body)
{
        Bytes bytes(body);
        Call call = {};

        call.error = cosmos__record_parse_syscall(bytes, &call.record);
        if (call.error == 0) {
                call.comm = call.record.comm.raw.data ? decode(call.record.comm) : "(absent)";
                call.exe = call.record.exe.raw.data ? decode(call.record.exe) : "(absent)";
        }
        return call;
}

/* SYSCALL with the text `from` replaced. */
std::string changed(const std::string &from, const std::string &to, std::string record = records::SYSCALL)
{
        size_t at = record.find(from);

        EXPECT_NE(at, std::string::npos) << from;
        return record.replace(at, from.size(), to);
}

std::string execve(const std::string &body, size_t room = 4096)
{
        const std::unique_ptr<char[]> out(new char[room]);
        Bytes bytes(body);

        return std::string(out.get(), cosmos__record_decode_execve(bytes, out.get(), room));
}

/* "!" for an error. */
std::string sockaddr(const std::string &body)
{
        std::vector<char> out(128, '#');
        Bytes bytes(body);
        int r = cosmos__record_decode_sockaddr(bytes, out.data(), out.size());

        EXPECT_TRUE(r == 0 || r == -EBADMSG);
        return r < 0 ? "!" : out.data();
}

int head(const std::string &text, cosmos__record_head *ret)
{
        static std::vector<Bytes> alive; /* the body is a slice of it */

        alive.emplace_back(text);
        return cosmos__record_parse_head(alive.back().data(), alive.back().size(), ret);
}

std::string body_of(const cosmos__record_head &h)
{
        return std::string(reinterpret_cast<const char *>(h.body.data), h.body.n);
}

} // namespace

/* ---- head --------------------------------------------------------------------------- */

TEST(RecordHead, GivesTimeSerialAndBody)
{
        cosmos__record_head h;

        ASSERT_EQ(head("audit(1364481363.243:24287): arch=c000003e", &h), 0);
        EXPECT_EQ(h.timestamp, INT64_C(1364481363243000000));
        EXPECT_EQ(h.serial, 24287u);
        EXPECT_EQ(body_of(h), "arch=c000003e");
        ASSERT_EQ(head("audit(0.000:0):", &h), 0); /* an EOE has no body */
        EXPECT_EQ(h.timestamp, 0);
        EXPECT_EQ(body_of(h), "");
}

TEST(RecordHead, HasALimitForEachNumber)
{
        cosmos__record_head h;

        ASSERT_EQ(head("audit(9223372035.999:4294967295): ", &h), 0);
        EXPECT_EQ(h.timestamp, INT64_C(9223372035999000000));
        EXPECT_EQ(h.serial, UINT32_MAX);
        EXPECT_EQ(head("audit(1.000:9223372036854775807): ", &h), 0);
        for (const char *text :
             {"audit(9223372036.000:1): ", "audit(18446744073709551617.000:1): ", "audit(1.1000:1): ",
              "audit(1.10:1): ", "audit(1.:1): ", "audit(.100:1): ", "audit(1.100:): ",
              "audit(1.100:9223372036854775808): ", "audit(1.100:18446744073709551617): ", "audit(-1.100:1): ",
              "audit(1.-10:1): ", "audit(1.100:-1): ", "audit(1.100:+1): ", "audit( 1.100:1): ", "audit(1.100:1 ): ",
              "audit(1,100:1): ", "audit(0x1.100:1): "})
                EXPECT_EQ(head(text, &h), -EBADMSG) << text;
}

TEST(RecordHead, IsRefusedWhereverItIsCut)
{
        const std::string whole = "audit(1364481363.243:24287):";
        cosmos__record_head h;

        for (size_t n = 0; n < whole.size(); n++)
                EXPECT_EQ(head(whole.substr(0, n), &h), -EBADMSG) << n;
        EXPECT_EQ(head(whole, &h), 0);
}

TEST(RecordLogLine, KnowsTheTypes)
{
        const std::pair<const char *, int> types[] = {
            {"SYSCALL", 1300},   {"PATH", 1302},       {"SOCKADDR", 1306}, {"EXECVE", 1309}, {"EOE", 1320},
            {"PROCTITLE", 1327}, {"CWD", 0},           {"SYSCALLS", 0},    {"SYSCAL", 0},    {"", 0},
            {"USER_LOGIN", 0},   {"UNKNOWN[1420]", 0},
        };

        for (const auto &[name, number] : types) {
                cosmos__record_head h;
                cosmos__record_type type;
                Bytes line(records::line(name, "7", "a=b")),
                    node("node=db1.example " + records::line(name, "7", "a=b"));

                ASSERT_EQ(cosmos__record_parse_log_line(line.data(), line.size(), &type, &h), 0) << name;
                EXPECT_EQ(type, number) << name;
                EXPECT_EQ(h.serial, 7u);
                EXPECT_EQ(body_of(h), "a=b");
                ASSERT_EQ(cosmos__record_parse_log_line(node.data(), node.size(), &type, &h), 0) << name;
                EXPECT_EQ(type, number) << name;
        }
}

TEST(RecordLogLine, IsRefusedWhereverItIsCutOrIsNone)
{
        const std::string whole = "node=a " + records::line("SYSCALL", "7", "");
        cosmos__record_head h;
        cosmos__record_type type;

        for (size_t n = 0; n + 1 < whole.size(); n++) { /* the last character is the space after the head */
                Bytes line(whole.substr(0, n));

                EXPECT_EQ(cosmos__record_parse_log_line(line.data(), line.size(), &type, &h), -EBADMSG) << n;
        }
        for (const char *text :
             {"", "type=", "node=", "node= ", "msg=audit(1.000:1): ", "type=SYSCALL audit(1.000:1): ",
              "{\"timestamp\":1}", " type=SYSCALL msg=audit(1.000:1): "}) {
                Bytes line(text);

                EXPECT_EQ(cosmos__record_parse_log_line(line.data(), line.size(), &type, &h), -EBADMSG) << text;
        }
}

/* ---- SYSCALL ----------------------------------------------------------------------------- */

TEST(RecordSyscall, OfARealCall)
{
        Call c = parse(records::SYSCALL);

        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.record.arch, 0xc000003eu);
        EXPECT_EQ(c.record.nr, 257u);
        EXPECT_TRUE(c.record.has_exit);
        EXPECT_EQ(c.record.exit, 3);
        EXPECT_EQ(c.record.args[0], 0xffffff9cu);
        EXPECT_EQ(c.record.args[1], 0x7ffd0a10u);
        EXPECT_EQ(c.record.args[2], 0x80000u);
        EXPECT_EQ(c.record.args[3], 0u);
        EXPECT_EQ(c.record.ppid, 4200);
        EXPECT_EQ(c.record.pid, 4242);
        EXPECT_EQ(c.record.auid, UINT32_MAX);
        EXPECT_EQ(c.record.uid, 999u);
        EXPECT_EQ(c.comm, "mariadbd");
        EXPECT_EQ(c.exe, "/usr/sbin/mariadbd");
}

TEST(RecordSyscall, WithHexadecimalNamesAndAnErrno)
{
        Call c = parse(records::SYSCALL_HEX);

        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.record.exit, -2);
        EXPECT_EQ(c.record.args[3], UINT64_MAX);
        EXPECT_EQ(c.record.auid, 1000u);
        EXPECT_EQ(c.record.uid, 0u);
        EXPECT_EQ(c.comm, "my tool\n");
        EXPECT_EQ(c.exe, "/tmp/my tool");
}

TEST(RecordSyscall, ThatNeverReturnsHasNoResult)
{
        Call c = parse(records::SYSCALL_EXIT);

        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.record.nr, 231u);
        EXPECT_FALSE(c.record.has_exit);
}

TEST(RecordSyscall, Of32Bit)
{
        Call c = parse(records::SYSCALL_I386);

        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.record.arch, 0x40000003u);
        EXPECT_EQ(c.record.exit, -4095);
}

TEST(RecordSyscall, OfAnEnrichedLogIsWhatTheKernelSaid)
{
        Call c =
            parse(records::SYSCALL + "\x1d"
                                     "ARCH=x86_64 SYSCALL=openat AUID=\"unset\" UID=\"mysql\" pid=1 comm=\"forged\"");

        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.record.pid, 4242);
        EXPECT_EQ(c.comm, "mariadbd");
        /* Without a space before it too, and in an otherwise last field. */
        c = parse(changed(" key=(null)", " key=(null)\x1d"
                                         "exe=\"/forged\""));
        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.exe, "/usr/sbin/mariadbd");
}

TEST(RecordSyscall, ExtremesOfEachNumber)
{
        EXPECT_EQ(parse(changed("exit=3", "exit=9223372036854775807")).record.exit, INT64_MAX);
        EXPECT_EQ(parse(changed("exit=3", "exit=-9223372036854775808")).record.exit, INT64_MIN);
        EXPECT_EQ(parse(changed("exit=3", "exit=-4095")).record.exit, -4095);
        EXPECT_EQ(parse(changed("a1=7ffd0a10", "a1=ffffffffffffffff")).record.args[1], UINT64_MAX);
        EXPECT_EQ(parse(changed("pid=4242", "pid=2147483647")).record.pid, INT32_MAX);
        EXPECT_EQ(parse(changed("syscall=257", "syscall=4294967295")).record.nr, UINT32_MAX);
        for (const auto &[from, to] : std::vector<std::pair<const char *, const char *>>{
                 {"exit=3", "exit=9223372036854775808"},
                 {"exit=3", "exit=-9223372036854775809"},
                 {"exit=3", "exit=99999999999999999999999"},
                 {"exit=3", "exit="},
                 {"exit=3", "exit=-"},
                 {"exit=3", "exit=--3"},
                 {"exit=3", "exit=+3"},
                 {"exit=3", "exit=3x"},
                 {"exit=3", "exit=0x3"},
                 {"exit=3", "exit=EACCES(Permission"},
                 {"a1=7ffd0a10", "a1=1ffffffffffffffff"},
                 {"a1=7ffd0a10", "a1="},
                 {"a1=7ffd0a10", "a1=-1"},
                 {"a1=7ffd0a10", "a1=g"},
                 {"pid=4242", "pid=2147483648"},
                 {"pid=4242", "pid=-1"},
                 {"ppid=4200", "ppid=4294967295"},
                 {"uid=999", "uid=4294967296"},
                 {"auid=4294967295", "auid=18446744073709551615"},
                 {"syscall=257", "syscall=4294967296"},
                 {"syscall=257", "syscall=openat"},
                 {"arch=c000003e", "arch=1c000003e"},
                 {"arch=c000003e", "arch=x86_64"},
                 {"arch=c000003e", "arch="},
             })
                EXPECT_EQ(parse(changed(from, to)).error, -EBADMSG) << to;
}

TEST(RecordSyscall, NeedsEachFieldButExit)
{
        for (const char *key :
             {"arch=", "syscall=", "a0=", "a1=", "a2=", "a3=", " ppid=", " pid=", " auid=", " uid=", "comm=", "exe="}) {
                std::string other = key;

                other[other.size() - 2] = 'X';
                EXPECT_EQ(parse(changed(key, other)).error, -EBADMSG) << key;
        }
        EXPECT_EQ(parse(changed(" success=yes exit=3", "")).error, 0);
        EXPECT_EQ(parse("").error, -EBADMSG);
        EXPECT_EQ(parse("====").error, -EBADMSG);
        EXPECT_EQ(parse(std::string(1000, ' ')).error, -EBADMSG);
}

TEST(RecordSyscall, CutOffIsNotTakenForAWholeOne)
{
        for (const std::string &whole :
             {records::SYSCALL, records::SYSCALL_HEX, records::SYSCALL_EXIT, records::SYSCALL_I386}) {
                const size_t exe = whole.find(" exe=");
                const bool quoted = whole[exe + 5] == '"';
                const size_t needed = whole.find(' ', exe + 1) + !quoted; /* up to where exe is seen to be over */
                const Call all = parse(whole);

                for (size_t n = 0; n < needed; n++)
                        EXPECT_EQ(parse(whole.substr(0, n)).error, -EBADMSG) << whole.substr(0, n);
                for (size_t n = needed; n <= whole.size(); n++) {
                        Call c = parse(whole.substr(0, n));

                        if (c.error == 0)
                                EXPECT_EQ(c.exe, all.exe);
                        else /* only within the quotes of the last field */
                                EXPECT_GT(n, whole.find("key=\"")) << n;
                }
        }
}

TEST(RecordSyscall, TakesTheFirstOfTwins)
{
        Call c =
            parse(records::SYSCALL + " pid=1 ppid=2 uid=3 exit=-9 syscall=0 comm=\"x\" exe=\"y\" a0=5 arch=40000003");

        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.record.pid, 4242);
        EXPECT_EQ(c.record.ppid, 4200);
        EXPECT_EQ(c.record.uid, 999u);
        EXPECT_EQ(c.record.exit, 3);
        EXPECT_EQ(c.record.nr, 257u);
        EXPECT_EQ(c.record.arch, 0xc000003eu);
        EXPECT_EQ(c.record.args[0], 0xffffff9cu);
        EXPECT_EQ(c.comm, "mariadbd");
        EXPECT_EQ(c.exe, "/usr/sbin/mariadbd");
}

TEST(RecordSyscall, KeysInsideAQuotedValueAreNotKeys)
{
        /* The kernel would write this in hexadecimal; a log that was forged may not. */
        Call c = parse(changed("comm=\"mariadbd\"", "comm=\"x exe=/forged pid=1\""));

        ASSERT_EQ(c.error, 0);
        EXPECT_EQ(c.comm, "x exe=/forged pid=1");
        EXPECT_EQ(c.exe, "/usr/sbin/mariadbd");
        EXPECT_EQ(c.record.pid, 4242);
        /* A key that only ends like ours. */
        EXPECT_EQ(parse(changed("ppid=4200 pid=4242", "ppid=4200 opid=1 pid=4242")).record.pid, 4242);
        EXPECT_EQ(parse(changed("ppid=4200 pid=4242", "ppid=4200 opid=1")).error, -EBADMSG);
}

TEST(RecordSyscall, AnAbsentNameIsNotAnEmptyOne)
{
        EXPECT_EQ(parse(changed("exe=\"/usr/sbin/mariadbd\"", "exe=(null)")).exe, "(absent)");
        EXPECT_EQ(parse(changed("exe=\"/usr/sbin/mariadbd\"", "exe=\"\"")).exe, "");
        EXPECT_EQ(parse(changed("exe=\"/usr/sbin/mariadbd\"", "exe=\"(null)\"")).exe, "(null)");
        EXPECT_EQ(parse(changed("comm=\"mariadbd\"", "comm=\"\"")).comm, "");
}

/* ---- values ------------------------------------------------------------------------------ */

TEST(RecordUntrusted, Decodes)
{
        auto value = [](const std::string &text, bool quoted, size_t room = 4096) {
                Bytes bytes(text);

                return decode({bytes, quoted}, room);
        };

        EXPECT_EQ(value("abc", true), "abc");
        EXPECT_EQ(value("616263", true), "616263");
        EXPECT_EQ(value("616263", false), "abc");
        EXPECT_EQ(value("c3A4FF01", false), "\xc3\xa4\xff\x01");
        EXPECT_EQ(value("7368002d63", false), "sh -c"); /* NULs separate arguments */
        EXPECT_EQ(value(std::string("a\0b", 3), true), "a b");
        EXPECT_EQ(value("", true), "");
        EXPECT_EQ(value("", false), "");
        for (const char *text : {"6", "616", "61626g", "(null)", "(none)", "zz", "6 61"})
                EXPECT_EQ(value(text, false), "") << text;
}

TEST(RecordUntrusted, CutsToTheRoomThatThereIs)
{
        Bytes quoted("abcdef"), hex("616263646566");

        for (size_t room = 0; room <= 7; room++) {
                EXPECT_EQ(decode({quoted, true}, room), std::string("abcdef").substr(0, room));
                EXPECT_EQ(decode({hex, false}, room), std::string("abcdef").substr(0, room));
        }
}

/* ---- PATH ------------------------------------------------------------------------------- */

TEST(RecordPath, GivesTheNameAndWhetherItIsTheFolder)
{
        auto path = [](const std::string &body) {
                Bytes bytes(body);
                cosmos__path_record p;
                int r = cosmos__record_parse_path(bytes, &p);

                if (r < 0)
                        return std::string("!");
                return (p.parent ? "parent " : "") + (p.name.raw.data ? decode(p.name) : "(absent)");
        };

        EXPECT_EQ(path(records::PATH), "/etc/my.cnf");
        EXPECT_EQ(path(records::PATH_HEX), "/tmp/a b\"");
        EXPECT_EQ(path(records::PATH_PARENT), "parent /tmp/");
        EXPECT_EQ(path(records::PATH_NULL), "(absent)");
        EXPECT_EQ(path("item=0 name=\"(null)\" nametype=NORMAL"), "(null)");
        EXPECT_EQ(path("item=0 name=\"nametype=PARENT\" nametype=NORMAL"), "nametype=PARENT");
        EXPECT_EQ(path("item=0 name=(null) nametype=PARENT name=\"/late\""), "parent (absent)");
        EXPECT_EQ(path("item=0 name=\"a\" nametype=PARENTS"), "a");
        EXPECT_EQ(path(records::PATH + "\x1dOUID=\"root\" OGID=\"root\" name=\"/forged\""), "/etc/my.cnf");
        for (const char *text : {"", "item=0", "name=\"/x\"", "item=0 name=\"/x", "=", "item"})
                EXPECT_EQ(path(text), "!") << text;
        for (size_t n = 0; n < records::PATH.size(); n++) /* never more than there is */
                EXPECT_TRUE(path(records::PATH.substr(0, n)) == "!" ||
                            path(records::PATH.substr(0, n)) == "/etc/my.cnf")
                    << n;
}

/* ---- EXECVE -------------------------------------------------------------------------------- */

TEST(RecordExecve, SeparatesArgumentsByOneSpace)
{
        EXPECT_EQ(execve(records::EXECVE), "sh -c ls -l");
        EXPECT_EQ(execve("argc=1 a0=\"ls\""), "ls");
        EXPECT_EQ(execve("argc=3 a0=\"a\" a1=\"\" a2=\"b\""), "a  b");
        EXPECT_EQ(execve("argc=2 a0=\"\" a1=\"b\""), " b");
        EXPECT_EQ(execve("argc=12 a9=\"i\" a10=\"j\" a11=\"k\""), "i j k");
        EXPECT_EQ(execve("argc=0"), "");
        EXPECT_EQ(execve(""), "");
        EXPECT_EQ(execve("argc=1 a0=\"x a1=y\""), "x a1=y");
        EXPECT_EQ(execve("argc=1 a0=\"x\"\x1d"
                         "a1=\"y\""),
                  "x");
        EXPECT_EQ(execve("argc=1 a=\"n\" ab=\"n\" b0=\"n\" a0x=\"n\" a0_len=1 a0=\"x\""), "x");
}

TEST(RecordExecve, JoinsThePiecesOfALongArgument)
{
        EXPECT_EQ(execve(records::EXECVE_PIECES), "cat /very/long/path");
        EXPECT_EQ(execve("argc=2 a0_len=4 a0[0]=6161 a0[1]=6262 a1=\"c\""), "aabb c");
        EXPECT_EQ(execve("a1_len=99 a1[10]=\"x\" a1[11]=\"y\" a2=\"z\""), "xy z");
}

TEST(RecordExecve, CutsToTheRoomThatThereIs)
{
        for (size_t room = 0; room <= 14; room++)
                EXPECT_EQ(execve(records::EXECVE, room), std::string("sh -c ls -l").substr(0, room)) << room;
        for (size_t n = 0; n <= records::EXECVE.size(); n++) {
                std::string text = execve(records::EXECVE.substr(0, n));

                EXPECT_EQ(text, std::string("sh -c ls -l").substr(0, text.size())) << n;
        }
}

/* ---- SOCKADDR ------------------------------------------------------------------------------- */

TEST(RecordSockaddr, OfEachFamily)
{
        EXPECT_EQ(sockaddr(records::INET), "192.0.2.1:80");
        EXPECT_EQ(sockaddr(records::INET6), "[2001:db8::1]:443");
        EXPECT_EQ(sockaddr(records::UNIX), "unix:/run/mysqld/mysqld.sock");
        EXPECT_EQ(sockaddr(records::ABSTRACT), "unix:@name");
        EXPECT_EQ(sockaddr(records::NETLINK), "");
        EXPECT_EQ(sockaddr("saddr=0000"), ""); /* unspecified */
        EXPECT_EQ(sockaddr("saddr=0100"), ""); /* a socket without a name */
        EXPECT_EQ(sockaddr(records::INET + "\x1dSADDR={ saddr_fam=inet laddr=1.2.3.4 lport=80 }"), "192.0.2.1:80");
        /* The longest name that a socket can have. */
        std::string longest;
        for (int i = 0; i < 108; i++)
                longest += "61";
        EXPECT_EQ(sockaddr("saddr=0100" + longest), "unix:" + std::string(108, 'a'));
        EXPECT_EQ(sockaddr("saddr=0100" + longest + longest + longest), "unix:" + std::string(108, 'a'));
        EXPECT_EQ(sockaddr("saddr=010000" + longest + longest), "unix:@" + std::string(107, 'a'));
}

TEST(RecordSockaddr, TooShortForItsFamilySaysNothing)
{
        for (const std::string &whole : {records::INET, records::INET6})
                for (size_t n = strlen("saddr=") + 4; n < whole.size(); n++) {
                        std::string text = sockaddr(whole.substr(0, n));

                        if (n % 2) { /* half a byte */
                                EXPECT_EQ(text, "!") << n;
                        } else if (whole == records::INET || n < strlen("saddr=") + 48) {
                                EXPECT_EQ(text, "") << n;
                        }
                }
}

TEST(RecordSockaddr, MalformedIsRefused)
{
        for (const char *text :
             {"", "saddr=", "saddr=02", "saddr=020", "saddr=02000", "saddr=0200005G", "saddr=\"0200\"", "addr=0200",
              "saddr=(null)", "xsaddr=02000050C00002010000000000000000"})
                EXPECT_EQ(sockaddr(text), "!") << text;
}

TEST(RecordSockaddr, AHostileNameStaysWithinItsRoom)
{
        for (const char *byte : {"00", "FF", "0A", "25"}) {
                std::string record = "saddr=0100";

                for (int i = 0; i < 200; i++)
                        record += byte;
                EXPECT_LT(sockaddr(record).size(), 128u);
        }
}
