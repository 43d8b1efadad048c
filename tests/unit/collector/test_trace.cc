/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <cosmos/error.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <random>

extern "C" {
#include "collector/trace.h"
}

using support::contains;
using support::Event;

namespace
{

struct Result {
        int r;
        Event event;
        std::string text;
};

Result parse(const std::string &line)
{
        const support::Bytes bytes(line);
        cosmos__trace_line parsed = {};
        cosmos_diag diag = {""};
        Result result = {};

        result.r = cosmos__trace_parse(&parsed, bytes.data(), bytes.size(), &diag);
        if (result.r == 1)
                result.event = Event(parsed.event);
        result.text = diag.text;
        cosmos__trace_line_free(&parsed);
        return result;
}

const std::string MINIMAL = R"("timestamp":"2026-11-23T04:20:11.123Z","pid":4242,"comm":"mariadbd","syscall":"openat")";

Result call_with(const std::string &field)
{
        return parse("{" + MINIMAL + "," + field + "}");
}

/* A call without one of its core fields. */
std::string without(const std::string &key)
{
        const std::pair<const char *, const char *> fields[] = {
            {"timestamp", "\"2026-11-23T04:20:11Z\""}, {"pid", "1"}, {"comm", "\"c\""}, {"syscall", "\"read\""}};
        std::string out;

        for (const auto &[name, value] : fields)
                if (name != key)
                        out += (out.empty() ? "{\"" : ",\"") + std::string(name) + "\":" + value;
        return out + "}";
}

int timestamp(const std::string &text, int64_t *ns, uint32_t *digits)
{
        const Result got = parse(R"({"pid":1,"comm":"c","syscall":"s","timestamp":")" + text + "\"}");

        if (got.r != 1)
                return -EBADMSG;
        *ns = got.event->timestamp;
        *digits = got.event->timestamp_digits;
        return 0;
}

} // namespace

/* ---- calls ------------------------------------------------------------------------------- */

TEST(Trace, ACallWithAllFields)
{
        Result got = parse(
            R"({"timestamp":"2026-11-23T04:20:11.123456789Z","seq":90123,"container_id":"c0ffee","container_name":"db",)"
            R"("image":"mariadb:11","pid":4242,"tid":4250,"ppid":4200,"comm":"mariadbd","exe":"/usr/sbin/mariadbd",)"
            R"("arch":"x86_64","syscall":"openat","nr":257,"args":["ffffff9c","7FFD0a10","80000","0"],"ret":-2,)"
            R"("path":"/etc/my.cnf","argv":"a b","addr":"192.0.2.1:80","uid":999,"auid":4294967295,)"
            R"("proc_start":12345678,"thread_start":12345702,"host":"node1"})");
        const Event &e = got.event;

        ASSERT_EQ(got.r, 1) << got.text;
        EXPECT_EQ(e->type, COSMOS_EVENT_CALL);
        EXPECT_EQ(e->timestamp, support::T0 + 123456789);
        EXPECT_EQ(e->timestamp_digits, 9u);
        EXPECT_EQ(e->known, COSMOS_KNOWN_SEQ | COSMOS_KNOWN_TID | COSMOS_KNOWN_PPID | COSMOS_KNOWN_NR |
                                COSMOS_KNOWN_RET | COSMOS_KNOWN_PROC_START | COSMOS_KNOWN_THREAD_START |
                                COSMOS_KNOWN_UID | COSMOS_KNOWN_AUID | COSMOS_KNOWN_PID);
        EXPECT_EQ(e->seq, 90123u);
        EXPECT_STREQ(e->container_id, "c0ffee");
        EXPECT_STREQ(e->container_name, "db");
        EXPECT_STREQ(e->image, "mariadb:11");
        EXPECT_STREQ(e->host, "node1");
        EXPECT_EQ(e->pid, 4242);
        EXPECT_EQ(e->tid, 4250);
        EXPECT_EQ(e->ppid, 4200);
        EXPECT_STREQ(e->comm, "mariadbd");
        EXPECT_STREQ(e->exe, "/usr/sbin/mariadbd");
        EXPECT_EQ(e->arch, COSMOS_ARCH_X86_64);
        EXPECT_STREQ(e->syscall, "openat");
        EXPECT_EQ(e->nr, 257u);
        ASSERT_EQ(e->n_args, 4u);
        EXPECT_EQ(e->args[1], 0x7ffd0a10u);
        EXPECT_EQ(e->ret, -2);
        EXPECT_STREQ(e->path, "/etc/my.cnf");
        EXPECT_STREQ(e->argv, "a b");
        EXPECT_STREQ(e->addr, "192.0.2.1:80");
        EXPECT_EQ(e->uid, 999u);
        EXPECT_EQ(e->auid, UINT32_MAX);
        EXPECT_EQ(e->proc_start, 12345678u);
        EXPECT_EQ(e->thread_start, 12345702u);
}

TEST(Trace, TheCoreIsEnoughAndTheRestIsUnknown)
{
        Result got = parse("{" + MINIMAL + "}");
        const Event &e = got.event;

        ASSERT_EQ(got.r, 1) << got.text;
        EXPECT_EQ(e->known, COSMOS_KNOWN_PID);
        EXPECT_EQ(e->timestamp_digits, 3u);
        EXPECT_EQ(e->n_args, 0u);
        EXPECT_EQ(e->arch, COSMOS_ARCH_UNKNOWN);
        for (const char *text :
             {e->container_id, e->container_name, e->image, e->host, e->exe, e->path, e->argv, e->addr, e->source})
                EXPECT_EQ(text, nullptr);
}

TEST(Trace, NamesTheCoreFieldThatIsMissing)
{
        for (const char *key : {"timestamp", "pid", "comm", "syscall"}) {
                Result got = parse(without(key));

                EXPECT_EQ(got.r, -COSMOS_EFORMAT) << key;
                EXPECT_TRUE(contains(got.text, "\"" + std::string(key) + "\"") && contains(got.text, "missing"))
                    << got.text;
        }
        EXPECT_EQ(parse(without("")).r, 1);
}

TEST(Trace, NamesTheFieldOfAWrongType)
{
        const std::pair<std::vector<const char *>, std::vector<const char *>> wrong[] = {
            /* strings */
            {{"container_id", "container_name", "image", "host", "exe", "arch", "path", "argv", "addr", "type",
              "fd_kind", "path_class"},
             {"1", "1.5", "true", "null", "[]", "{}", "[\"x\"]"}},
            /* integers from 0 */
            {{"tid", "ppid", "seq", "proc_start", "thread_start", "nr", "uid", "auid"},
             {"\"1\"", "1.0", "-1", "true", "null", "[]", "{}"}},
            {{"size_class"}, {"\"1\"", "1.0", "-1", "1000", "4294967296", "true", "null", "[]", "{}"}},
            {{"tid", "ppid"}, {"2147483648", "9223372036854775807"}},
            {{"nr", "uid", "auid"}, {"4294967296"}},
            {{"ret"}, {"\"1\"", "1.0", "1e3", "true", "null", "[]", "{}"}},
            {{"args"},
             {"\"0\"", "1", "null", "{}", "[1]", "[null]", "[\"\"]", "[\"g\"]", "[\"-1\"]", "[\"0x1\"]", "[\" 1\"]",
              "[\"11111111111111111\"]", R"(["0","0","0","0","0","0","0"])", "[[\"0\"]]"}},
        };

        for (const auto &[keys, values] : wrong)
                for (const char *key : keys)
                        for (const char *value : values) {
                                Result got = call_with("\"" + std::string(key) + "\":" + value);

                                EXPECT_EQ(got.r, -COSMOS_EFORMAT) << key << " " << value;
                                EXPECT_TRUE(contains(got.text, "\"" + std::string(key) + "\"")) << got.text;
                                EXPECT_TRUE(contains(got.text, "must")) << got.text;
                        }
        for (const char *line : {R"({"timestamp":5,"pid":1,"comm":"c","syscall":"s"})",
                                 R"({"timestamp":"x","pid":1,"comm":"c","syscall":"s"})"})
                EXPECT_TRUE(contains(parse(line).text, "\"timestamp\"")) << parse(line).text;
        EXPECT_TRUE(contains(parse(R"({"timestamp":"2026-11-23T04:20:11Z","pid":"1","comm":"c","syscall":"s"})").text,
                             "\"pid\""));
        EXPECT_TRUE(
            contains(parse(R"({"timestamp":"2026-11-23T04:20:11Z","pid":1,"comm":5,"syscall":"s"})").text, "\"comm\""));
        EXPECT_TRUE(contains(parse(R"({"timestamp":"2026-11-23T04:20:11Z","pid":1,"comm":"c","syscall":[]})").text,
                             "\"syscall\""));
        EXPECT_TRUE(contains(parse(R"({"timestamp":"2026-11-23T04:20:11Z","pid":1,"comm":"c","syscall":""})").text,
                             "\"syscall\""));
        EXPECT_EQ(parse(R"({"timestamp":"2026-11-23T04:20:11Z","pid":1,"comm":"","syscall":"s"})").r, 1);
}

TEST(Trace, TakesTheExtremesOfEachNumber)
{
        EXPECT_EQ(call_with("\"tid\":2147483647").event->tid, INT32_MAX);
        EXPECT_EQ(call_with("\"tid\":0").event->known, COSMOS_KNOWN_PID | COSMOS_KNOWN_TID);
        EXPECT_EQ(call_with("\"nr\":4294967295").event->nr, UINT32_MAX);
        EXPECT_EQ(call_with("\"seq\":9223372036854775807").event->seq, static_cast<uint64_t>(INT64_MAX));
        EXPECT_EQ(call_with("\"ret\":9223372036854775807").event->ret, INT64_MAX);
        EXPECT_EQ(call_with("\"ret\":-9223372036854775808").event->ret, INT64_MIN);
        EXPECT_EQ(call_with("\"ret\":0").event->known, COSMOS_KNOWN_PID | COSMOS_KNOWN_RET);
        EXPECT_EQ(call_with("\"args\":[\"ffffffffffffffff\"]").event->args[0], UINT64_MAX);
        EXPECT_EQ(call_with("\"args\":[]").event->n_args, 0u);
        EXPECT_EQ(call_with(R"("args":["0","1","2","3","4","5"])").event->args[5], 5u);
        EXPECT_EQ(call_with("\"seq\":9223372036854775808").r, -COSMOS_EFORMAT);
        EXPECT_EQ(call_with("\"seq\":1e400").r, -COSMOS_EFORMAT);
}

TEST(Trace, ACallMayHaveClasses)
{
        for (unsigned int i = 0; const char *name = cosmos_fd_kind_name(static_cast<cosmos_fd_kind>(i)); i++) {
                Result got = call_with("\"fd_kind\":\"" + std::string(name) + "\"");

                EXPECT_EQ(static_cast<unsigned int>(got.event->fd_kind), i) << name;
                EXPECT_EQ(got.event->known, COSMOS_KNOWN_PID | COSMOS_KNOWN_FD_KIND) << name;
        }
        for (unsigned int i = 0; const char *name = cosmos_path_class_name(static_cast<enum cosmos_path_class>(i));
             i++) {
                Result got = call_with("\"path_class\":\"" + std::string(name) + "\"");

                EXPECT_EQ(static_cast<unsigned int>(got.event->path_class), i) << name;
                EXPECT_EQ(got.event->known, COSMOS_KNOWN_PID | COSMOS_KNOWN_PATH_CLASS) << name;
        }
        for (uint32_t i : {0u, 1u, COSMOS_SIZE_CLASSES - 1}) {
                Result got = call_with("\"size_class\":" + std::to_string(i));

                EXPECT_EQ(got.event->size_class, i);
                EXPECT_EQ(got.event->known, COSMOS_KNOWN_PID | COSMOS_KNOWN_SIZE_CLASS);
        }
        EXPECT_EQ(call_with("\"size_class\":" + std::to_string(COSMOS_SIZE_CLASSES)).r, -COSMOS_EFORMAT);
        Result all = call_with(R"("fd_kind":"socket","size_class":7,"path_class":"etc")");
        EXPECT_EQ(all.event->fd_kind, COSMOS_FD_SOCKET);
        EXPECT_EQ(all.event->size_class, 7u);
        EXPECT_EQ(all.event->path_class, COSMOS_PATH_ETC);
}

TEST(Trace, AClassOfALaterVersionIsNotKnown)
{
        for (const char *field : {"\"fd_kind\":\"of a later version\"", "\"fd_kind\":\"\"", "\"fd_kind\":\"Socket\"",
                                  "\"path_class\":\"of a later version\"", "\"path_class\":\"socket\""}) {
                Result got = call_with(field);

                ASSERT_EQ(got.r, 1) << got.text;
                EXPECT_EQ(got.event->known, COSMOS_KNOWN_PID) << field;
                EXPECT_EQ(got.event->fd_kind, COSMOS_FD_NONE);
                EXPECT_EQ(got.event->path_class, COSMOS_PATH_NONE);
        }
}

TEST(Trace, IgnoresFieldsThatItDoesNotKnow)
{
        Result got = call_with(R"("zebra":{"pid":9},"Pid":8,"pid ":7,"kind":"gap","count":-1,"format":99,"x":null)");

        ASSERT_EQ(got.r, 1) << got.text;
        EXPECT_EQ(got.event->pid, 4242);
        EXPECT_EQ(call_with("\"arch\":\"riscv64\"").event->arch, COSMOS_ARCH_UNKNOWN);
        EXPECT_EQ(call_with("\"type\":\"call\"").event->type, COSMOS_EVENT_CALL);
}

/* ---- other lines --------------------------------------------------------------------------- */

TEST(Trace, SkipsTypesThatAreNoEvents)
{
        for (const char *type : {"score", "alert", "", "CALL", "of a later version"})
                EXPECT_EQ(parse("{\"type\":\"" + std::string(type) + "\",\"pid\":\"not checked\"}").r, 0) << type;
}

TEST(Trace, AThreadExitSaysWhichThread)
{
        const std::string start = R"({"timestamp":"2026-11-23T04:20:11Z","type":"thread_exit")";
        Result got = parse(start + R"(,"pid":1,"tid":2,"thread_start":3,"container_id":"c"})");

        ASSERT_EQ(got.r, 1) << got.text;
        EXPECT_EQ(got.event->type, COSMOS_EVENT_THREAD_EXIT);
        EXPECT_EQ(got.event->tid, 2);
        EXPECT_EQ(got.event->thread_start, 3u);
        EXPECT_STREQ(got.event->container_id, "c");
        EXPECT_TRUE(contains(parse(start + R"(,"pid":1})").text, "\"tid\" is missing"));
        EXPECT_TRUE(contains(parse(start + R"(,"tid":1})").text, "\"pid\" is missing"));
        EXPECT_EQ(parse(start + R"(,"pid":1,"tid":"2"})").r, -COSMOS_EFORMAT);
}

TEST(Trace, ALossSaysOfWhatKind)
{
        const std::string start = R"({"timestamp":"2026-11-23T04:20:11Z","type":"loss")";
        const std::pair<const char *, cosmos_loss_kind> kinds[] = {{"kernel_lost", COSMOS_LOSS_KERNEL},
                                                                   {"enobufs", COSMOS_LOSS_ENOBUFS},
                                                                   {"gap", COSMOS_LOSS_GAP},
                                                                   {"unaudited", COSMOS_LOSS_UNAUDITED},
                                                                   {"of a later version", COSMOS_LOSS_GAP}};

        for (const auto &[name, kind] : kinds) {
                Result got = parse(start + ",\"kind\":\"" + name + "\",\"count\":7}");

                ASSERT_EQ(got.r, 1) << got.text;
                EXPECT_EQ(got.event->type, COSMOS_EVENT_LOSS);
                EXPECT_EQ(got.event->loss_kind, kind) << name;
                EXPECT_EQ(got.event->loss_count, 7u);
                EXPECT_EQ(got.event->known, 0u);
        }
        EXPECT_EQ(parse(start + R"(,"kind":"gap"})").event->loss_count, 0u);
        EXPECT_EQ(parse(start + R"(,"kind":"gap","container_id":"c","pid":5})").event->pid, 5);
        EXPECT_TRUE(contains(parse(start + "}").text, "\"kind\" is missing"));
        EXPECT_TRUE(contains(parse(start + R"(,"kind":5})").text, "\"kind\""));
        EXPECT_TRUE(contains(parse(start + R"(,"kind":"gap","count":-1})").text, "\"count\""));
}

TEST(Trace, AContainerHasAnId)
{
        for (const auto &[name, type] :
             {std::pair<std::string, cosmos_event_type>{"container_start", COSMOS_EVENT_CONTAINER_START},
              {"container_stop", COSMOS_EVENT_CONTAINER_STOP}}) {
                const std::string start = "{\"timestamp\":\"2026-11-23T04:20:11Z\",\"type\":\"" + name + "\"";

                EXPECT_EQ(parse(start + R"(,"container_id":"c","container_name":"n"})").event->type, type);
                EXPECT_TRUE(contains(parse(start + "}").text, "\"container_id\" is missing"));
        }
}

TEST(Trace, AHeadOfANewerFormatIsRefused)
{
        const std::string start = R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace")";
        Result got = parse(start + R"(,"format":1,"source":"audit","host":"h","version":"9"})");

        ASSERT_EQ(got.r, 1) << got.text;
        EXPECT_EQ(got.event->type, COSMOS_EVENT_TRACE);
        EXPECT_STREQ(got.event->source, "audit");
        EXPECT_STREQ(got.event->host, "h");
        EXPECT_EQ(parse(start + R"(,"format":1})").event->source, nullptr);
        EXPECT_EQ(parse(start + R"(,"format":1})").event->calls, nullptr);
        EXPECT_STREQ(parse(start + R"(,"format":1,"calls":"read,write"})").event->calls, "read,write");
        for (const char *calls : {"1", "null", "[]", "[\"read\"]", "{}"}) {
                got = parse(start + ",\"format\":1,\"calls\":" + calls + "}");
                EXPECT_EQ(got.r, -COSMOS_EFORMAT) << calls;
                EXPECT_TRUE(contains(got.text, "\"calls\"")) << got.text;
        }
        for (const char *format : {"2", "1000000"}) {
                got = parse(start + ",\"format\":" + format + "}");
                EXPECT_EQ(got.r, -COSMOS_EVERSION);
                EXPECT_TRUE(contains(got.text, format) && contains(got.text, "1") && contains(got.text, "newer"))
                    << got.text;
        }
        for (const char *format : {"0", "-1", "\"1\"", "1.0"})
                EXPECT_EQ(parse(start + ",\"format\":" + format + "}").r, -COSMOS_EFORMAT) << format;
        EXPECT_EQ(parse(start + "}").r, -COSMOS_EFORMAT);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

TEST(Trace, SaysThatItIsNotJson)
{
        const std::string whole = "{" + MINIMAL + ",\"args\":[\"0\"],\"ret\":1}";

        for (size_t n = 0; n < whole.size(); n++) {
                Result got = parse(whole.substr(0, n));

                EXPECT_EQ(got.r, -COSMOS_EFORMAT) << n;
                EXPECT_TRUE(contains(got.text, "JSON")) << got.text;
        }
        for (const std::string &line :
             {std::string("[]"), std::string("\"x\""), std::string("5"), std::string("null"), whole + whole,
              whole + "x", std::string("\x1b[2J"), std::string(100000, '['), std::string("\xff\xfe"),
              "{" + MINIMAL + ",\"x\":\"\xc3\"}", "{" + MINIMAL + ",\"x\":\"\xed\xa0\x80\"}", "{" + MINIMAL + ",}"}) {
                Result got = parse(line);

                EXPECT_EQ(got.r, -COSMOS_EFORMAT) << line.substr(0, 100);
                EXPECT_FALSE(got.text.empty());
                for (char c : got.text)
                        EXPECT_TRUE(c >= 0x20 && c < 0x7f) << "a control character in: " << got.text;
        }
        EXPECT_EQ(parse(" \t" + whole + " \r").r, 1);
}

TEST(Trace, NulBytesAreRefused)
{
        const std::string whole = "{" + MINIMAL + "}";

        for (size_t n = 0; n <= whole.size(); n++)
                EXPECT_EQ(parse(whole.substr(0, n) + std::string(1, '\0') + whole.substr(n)).r, -COSMOS_EFORMAT) << n;
        EXPECT_EQ(call_with(R"("path":"/etc\u0000/x")").r, -COSMOS_EFORMAT);
        EXPECT_EQ(call_with(R"("pa\u0000th":"x")").r, -COSMOS_EFORMAT);
}

TEST(Trace, TwinKeysAreRefused)
{
        for (const char *field : {"\"pid\":4242", "\"pid\":1", "\"p\\u0069d\":1", "\"x\":1,\"x\":1"})
                EXPECT_EQ(call_with(field).r, -COSMOS_EFORMAT) << field;
}

TEST(Trace, DecodesEscapes)
{
        EXPECT_STREQ(call_with(R"("path":"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00")").event->path,
                     "\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x98\x80");
}

TEST(Trace, ALineCanBeUsedAgain)
{
        cosmos__trace_line line = {};

        for (int i = 0; i < 3; i++) {
                std::string text = "{" + MINIMAL + ",\"path\":\"/x\",\"new\":1,\"newer\":2}", empty = "{}";

                ASSERT_EQ(cosmos__trace_parse(&line, reinterpret_cast<uint8_t *>(text.data()), text.size(), nullptr),
                          1);
                EXPECT_STREQ(line.event.path, "/x");
                ASSERT_EQ(cosmos__trace_parse(&line, reinterpret_cast<uint8_t *>(empty.data()), 2, nullptr),
                          -COSMOS_EFORMAT);
                EXPECT_EQ(line.event.path, nullptr);
        }
        cosmos__trace_line_free(&line);
        cosmos__trace_line_free(&line);
}

/* ---- timestamps -------------------------------------------------------------------------------- */

TEST(Timestamp, AnyNumberOfDecimals)
{
        int64_t ns;
        uint32_t digits;

        ASSERT_EQ(timestamp("2026-11-23T04:20:11Z", &ns, &digits), 0);
        EXPECT_EQ(ns, support::T0);
        EXPECT_EQ(digits, 0u);
        for (uint32_t n = 1; n <= 9; n++) {
                int64_t unit = 1;

                ASSERT_EQ(timestamp("2026-11-23T04:20:11." + std::string("123456789").substr(0, n) + "Z", &ns, &digits),
                          0);
                for (uint32_t i = n; i < 9; i++)
                        unit *= 10;
                EXPECT_EQ(ns, support::T0 + 123456789 / unit * unit) << n;
                EXPECT_EQ(digits, n);
        }
        EXPECT_EQ(timestamp("2026-11-23T04:20:11.1234567891Z", &ns, &digits), -EBADMSG);
        EXPECT_EQ(timestamp("2026-11-23T04:20:11.Z", &ns, &digits), -EBADMSG);
}

TEST(Timestamp, AgreesWithTheSystemsCalendar)
{
        std::mt19937_64 random(13);

        for (int i = 0; i < 20000; i++) {
                /* Whole days at month ends and starts too, by their closeness to midnight. */
                time_t seconds = static_cast<time_t>(random() % 9214646400u); /* to the end of 2261 */
                char text[40];
                tm broken;
                int64_t ns;
                uint32_t digits;

                if (i % 2)
                        seconds = seconds / 86400 * 86400 - (i % 4 == 1);
                seconds = std::max<time_t>(seconds, 0);
                gmtime_r(&seconds, &broken);
                strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &broken);
                ASSERT_EQ(timestamp(text, &ns, &digits), 0) << text;
                ASSERT_EQ(ns, seconds * support::SECOND) << text;
        }
}

TEST(Timestamp, ReadsWhatFitsInto64BitsOfNanoseconds)
{
        int64_t ns;
        uint32_t digits;

        ASSERT_EQ(timestamp("1970-01-01T00:00:00Z", &ns, &digits), 0);
        EXPECT_EQ(ns, 0);
        ASSERT_EQ(timestamp("2262-04-11T23:47:16.854775807Z", &ns, &digits), 0);
        EXPECT_EQ(ns, INT64_MAX);
        for (const char *text :
             {"2262-04-11T23:47:16.854775808Z", "2262-04-11T23:47:17Z", "2262-04-12T00:00:00Z", "2263-01-01T00:00:00Z",
              "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z"})
                EXPECT_EQ(timestamp(text, &ns, &digits), -EBADMSG) << text;
}

TEST(Timestamp, KnowsLeapYears)
{
        int64_t ns;
        uint32_t digits;

        for (const char *text : {"1972-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2024-02-29T00:00:00Z",
                                 "2028-02-29T12:00:00Z", "2016-12-31T23:59:60Z"})
                EXPECT_EQ(timestamp(text, &ns, &digits), 0) << text;
        EXPECT_EQ(ns, INT64_C(1483228800) * support::SECOND) << "a leap second is the first of the next day";
        for (const char *text :
             {"2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "2026-04-31T00:00:00Z"})
                EXPECT_EQ(timestamp(text, &ns, &digits), -EBADMSG) << text;
}

TEST(Timestamp, RefusesEveryOtherForm)
{
        const std::string whole = "2026-11-23T04:20:11.123Z";
        int64_t ns;
        uint32_t digits;

        for (size_t n = 0; n < whole.size(); n++)
                EXPECT_EQ(timestamp(whole.substr(0, n), &ns, &digits), -EBADMSG) << n;
        for (const char *text :
             {"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
              "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00+00:00",
              "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00Zx", " 2026-01-01T00:00:00Z",
              "2026-1-1T00:00:00Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00.5.5Z", "-026-01-01T00:00:00Z",
              "2026-01-01T-1:00:00Z", "1795407611", ""})
                EXPECT_EQ(timestamp(text, &ns, &digits), -EBADMSG) << text;
}
