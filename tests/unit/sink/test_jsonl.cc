/* SPDX-License-Identifier: Apache-2.0 */
/* Lines as another JSON reader sees them. */
#include "sink/lines.h"

#include <cosmos/version.h>

#include <cmath>
#include <clocale>
#include <cstring>
#include <limits>
#include <random>

using lines::get;
using lines::Json;
using lines::Writer;
using support::call;
using support::Event;
using support::other;

namespace
{

std::string string_of(const Json &json, const char *key)
{
        const char *text = json_string_value(json_object_get(json.get(), key));

        return text ? text : "(none)";
}

cosmos_score plain_score()
{
        cosmos_score s = {};

        s.verdict = COSMOS_ANOMALOUS;
        s.score = 2.5;
        s.threshold = 1.75;
        s.timestamp = support::T0;
        s.timestamp_digits = 3;
        s.window = 100;
        s.calls = 250;
        s.pid = 4242;
        s.comm = "mariadbd";
        s.model = "model.bin";
        return s;
}

/* Doubles that are hard to write, and random ones of every magnitude. */
std::vector<double> doubles()
{
        std::vector<double> out = {0.0,
                                   -0.0,
                                   1.0,
                                   2.0,
                                   1e15,
                                   1e16,
                                   1e17,
                                   1e21,
                                   1e22,
                                   123456789012345678.0,
                                   0.1,
                                   1.0 / 3,
                                   5e-324,
                                   2.2250738585072014e-308,
                                   1.7976931348623157e308,
                                   -1e-7,
                                   4.35,
                                   0.1 + 0.2,
                                   9007199254740993.0,
                                   100.0,
                                   1e100};
        std::mt19937_64 random(23);

        while (out.size() < 5000) {
                uint64_t bits = random();
                double v;

                memcpy(&v, &bits, sizeof(v));
                if (std::isfinite(v))
                        out.push_back(v);
        }
        return out;
}

void expect_exact_doubles()
{
        Writer writer;

        for (double v : doubles()) {
                cosmos_score s = plain_score();

                s.score = v;
                Json json = lines::parse(writer.write(&s));
                json_t *score = json_object_get(json.get(), "score");

                ASSERT_TRUE(json_is_real(score)) << "a real number to any reader: " << v;
                double seen = json_real_value(score);
                ASSERT_EQ(memcmp(&seen, &v, sizeof(v)), 0) << v;
        }
}

} // namespace

/* ---- events -------------------------------------------------------------------------- */

TEST(JsonlEvent, ACallWithAllFields)
{
        Event e = call(4242, "openat", 123);
        Writer writer;

        (*e).known |= COSMOS_KNOWN_SEQ | COSMOS_KNOWN_TID | COSMOS_KNOWN_PPID | COSMOS_KNOWN_NR | COSMOS_KNOWN_RET |
                      COSMOS_KNOWN_PROC_START | COSMOS_KNOWN_THREAD_START | COSMOS_KNOWN_UID | COSMOS_KNOWN_AUID;
        (*e).seq = 90123;
        (*e).tid = 4250;
        (*e).ppid = 4200;
        (*e).nr = 257;
        (*e).ret = -2;
        (*e).proc_start = 12345678;
        (*e).thread_start = 12345702;
        (*e).uid = 999;
        (*e).auid = 1000;
        (*e).arch = COSMOS_ARCH_X86_64;
        (*e).n_args = 4;
        (*e).args[0] = 0xffffff9c;
        (*e).args[1] = UINT64_MAX;
        (*e).container_id = "c0ffee";
        (*e).container_name = "db";
        (*e).image = "mariadb:11";
        (*e).host = "node1";
        (*e).exe = "/usr/sbin/mariadbd";
        (*e).path = "/etc/my.cnf";
        (*e).argv = "a b";
        (*e).addr = "192.0.2.1:80";

        Json json = lines::parse(writer.write(e));
        EXPECT_EQ(json_object_size(json.get()), 23u);
        EXPECT_EQ(get(json, "timestamp"), "\"2026-11-23T04:20:11.123Z\"");
        EXPECT_EQ(get(json, "seq"), "90123");
        EXPECT_EQ(get(json, "container_id"), "\"c0ffee\"");
        EXPECT_EQ(get(json, "container_name"), "\"db\"");
        EXPECT_EQ(get(json, "image"), "\"mariadb:11\"");
        EXPECT_EQ(get(json, "pid"), "4242");
        EXPECT_EQ(get(json, "tid"), "4250");
        EXPECT_EQ(get(json, "ppid"), "4200");
        EXPECT_EQ(get(json, "comm"), "\"comm\"");
        EXPECT_EQ(get(json, "exe"), "\"/usr/sbin/mariadbd\"");
        EXPECT_EQ(get(json, "arch"), "\"x86_64\"");
        EXPECT_EQ(get(json, "syscall"), "\"openat\"");
        EXPECT_EQ(get(json, "nr"), "257");
        EXPECT_EQ(get(json, "args"), R"(["ffffff9c","ffffffffffffffff","0","0"])");
        EXPECT_EQ(get(json, "ret"), "-2");
        EXPECT_EQ(get(json, "path"), "\"/etc/my.cnf\"");
        EXPECT_EQ(get(json, "argv"), "\"a b\"");
        EXPECT_EQ(get(json, "addr"), "\"192.0.2.1:80\"");
        EXPECT_EQ(get(json, "uid"), "999");
        EXPECT_EQ(get(json, "auid"), "1000");
        EXPECT_EQ(get(json, "proc_start"), "12345678");
        EXPECT_EQ(get(json, "thread_start"), "12345702");
        EXPECT_EQ(get(json, "host"), "\"node1\"");
}

TEST(JsonlEvent, WhatIsUnknownIsAbsent)
{
        Event e = call(5, "read");
        Writer writer;

        (*e).seq = (*e).proc_start = 7; /* not said to be known */
        (*e).tid = (*e).ppid = 7;
        (*e).ret = 7;
        Json json = lines::parse(writer.write(e));
        EXPECT_EQ(json_object_size(json.get()), 4u) << "timestamp, pid, comm, syscall";
}

TEST(JsonlEvent, OtherTypes)
{
        Writer writer;
        Event exit = other(COSMOS_EVENT_THREAD_EXIT), loss = other(COSMOS_EVENT_LOSS),
              start = other(COSMOS_EVENT_CONTAINER_START), stop = other(COSMOS_EVENT_CONTAINER_STOP),
              head = other(COSMOS_EVENT_TRACE);

        (*exit).known = COSMOS_KNOWN_PID | COSMOS_KNOWN_TID | COSMOS_KNOWN_THREAD_START;
        (*exit).pid = 1;
        (*exit).tid = 2;
        (*exit).thread_start = 3;
        EXPECT_EQ(writer.write(exit), R"({"timestamp":"2026-11-23T04:20:11.000Z","type":"thread_exit","pid":1,)"
                                      R"("tid":2,"thread_start":3})");
        (*loss).loss_kind = COSMOS_LOSS_ENOBUFS;
        EXPECT_EQ(writer.write(loss), R"({"timestamp":"2026-11-23T04:20:11.000Z","type":"loss","kind":"enobufs"})");
        (*loss).loss_count = 7;
        (*loss).loss_kind = COSMOS_LOSS_KERNEL;
        EXPECT_EQ(writer.write(loss),
                  R"({"timestamp":"2026-11-23T04:20:11.000Z","type":"loss","kind":"kernel_lost","count":7})");
        (*start).container_id = (*stop).container_id = "c0ffee";
        (*start).image = "i";
        EXPECT_EQ(writer.write(start), R"({"timestamp":"2026-11-23T04:20:11.000Z","type":"container_start",)"
                                       R"("container_id":"c0ffee","image":"i"})");
        EXPECT_EQ(writer.write(stop),
                  R"({"timestamp":"2026-11-23T04:20:11.000Z","type":"container_stop","container_id":"c0ffee"})");
        (*head).source = "audit";
        (*head).host = "h";
        Json json = lines::parse(writer.write(head));
        EXPECT_EQ(get(json, "type"), "\"trace\"");
        EXPECT_EQ(get(json, "format"), "1");
        EXPECT_EQ(get(json, "source"), "\"audit\"");
        EXPECT_EQ(get(json, "host"), "\"h\"");
        EXPECT_EQ(string_of(json, "version"), COSMOS_VERSION_STRING);
}

TEST(JsonlEvent, NumbersThatJsonCannotHoldAreLeftOut)
{
        Event e = call(5, "read"), loss = other(COSMOS_EVENT_LOSS);
        Writer writer;

        (*e).known |= COSMOS_KNOWN_SEQ | COSMOS_KNOWN_PROC_START | COSMOS_KNOWN_THREAD_START | COSMOS_KNOWN_RET;
        (*e).ret = INT64_MIN;
        (*e).seq = INT64_MAX;
        (*e).proc_start = static_cast<uint64_t>(INT64_MAX) + 1;
        (*e).thread_start = UINT64_MAX;
        Json json = lines::parse(writer.write(e));
        EXPECT_EQ(get(json, "ret"), "-9223372036854775808");
        EXPECT_EQ(get(json, "seq"), "9223372036854775807");
        EXPECT_EQ(get(json, "proc_start"), "");
        EXPECT_EQ(get(json, "thread_start"), "");
        (*loss).loss_count = UINT64_MAX;
        EXPECT_EQ(get(lines::parse(writer.write(loss)), "count"), "");
}

TEST(JsonlEvent, TimestampsAreAsPreciseAsTheirSource)
{
        const std::string whole = "2026-11-23T04:20:11.123456789";
        Writer writer;
        Event e = call(5, "read");

        (*e).timestamp = support::T0 + 123456789;
        for (uint32_t digits = 0; digits <= 12; digits++) {
                (*e).timestamp_digits = digits;
                EXPECT_EQ(string_of(lines::parse(writer.write(e)), "timestamp"),
                          whole.substr(0, digits ? 20 + std::min(digits, 9u) : 19) + "Z");
        }
}

TEST(JsonlEvent, TimestampsAgreeWithTheSystemsCalendar)
{
        std::mt19937_64 random(29);
        Writer writer;
        Event e = call(5, "read");

        (*e).timestamp_digits = 0;
        for (int i = 0; i < 5000; i++) {
                time_t seconds = static_cast<time_t>(random() % 9223372036u);
                char text[40];
                tm broken;

                if (i % 2)
                        seconds = seconds / 86400 * 86400 - (i % 4 == 1);
                seconds = std::max<time_t>(seconds, 0);
                gmtime_r(&seconds, &broken);
                strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &broken);
                (*e).timestamp = seconds * support::SECOND;
                ASSERT_EQ(string_of(lines::parse(writer.write(e)), "timestamp"), text);
        }
        (*e).timestamp = INT64_MAX;
        (*e).timestamp_digits = 9;
        EXPECT_EQ(string_of(lines::parse(writer.write(e)), "timestamp"), "2262-04-11T23:47:16.854775807Z");
        (*e).timestamp = INT64_MIN;
        EXPECT_EQ(string_of(lines::parse(writer.write(e)), "timestamp"), "1970-01-01T00:00:00.000000000Z");
}

TEST(JsonlEvent, AProcessCannotForgeALine)
{
        Event e = call(5, "read");
        Writer writer;

        (*e).comm = "x\",\"pid\":1,\"a\":\"";
        (*e).path = "/a\n{\"timestamp\":\"2026-11-23T04:20:11Z\"}";
        (*e).exe = "\\\",\\u0022";
        Json json = lines::parse(writer.write(e));
        EXPECT_EQ(string_of(json, "comm"), e->comm);
        EXPECT_EQ(string_of(json, "path"), e->path);
        EXPECT_EQ(string_of(json, "exe"), e->exe);
        EXPECT_EQ(get(json, "pid"), "5");
}

TEST(JsonlEvent, InvalidUtf8IsPercentEncoded)
{
        static const std::pair<std::string, const char *> cases[] = {
            {"\xff", "%FF"},
            {"a\x80z", "a%80z"},
            {"\xc3", "%C3"},
            {"\xc3\xa4", "\xc3\xa4"},
            {"\xc0\x80", "%C0%80"},               /* overlong */
            {"\xe0\x9f\xbf", "%E0%9F%BF"},        /* overlong */
            {"\xed\xa0\x80", "%ED%A0%80"},        /* a surrogate */
            {"\xf4\x90\x80\x80", "%F4%90%80%80"}, /* past U+10FFFF */
            {"\xf0\x9f\x98", "%F0%9F%98"},        /* cut */
            {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
            {"\xf0\x9f\x98\x80\x80", "\xf0\x9f\x98\x80%80"},
            {"\xe2\x82\xc3\xa4", "%E2%82\xc3\xa4"},
            {"%41", "%41"},
            {"\x7f\x01\x1f", "\x7f\x01\x1f"},
        };
        Writer writer;

        for (const auto &[bytes, seen] : cases) {
                Event e = call(5, "read");

                (*e).path = e.keep(bytes);
                EXPECT_EQ(string_of(lines::parse(writer.write(e)), "path"), seen);
        }
}

TEST(JsonlEvent, AnyBytesAreReadable)
{
        std::mt19937 random(31);
        Writer writer;

        for (int i = 0; i < 3000; i++) {
                std::string bytes;
                Event e = call(5, "read");

                for (uint32_t n = random() % 40; n > 0; n--) {
                        const uint32_t kind = random() % 4;

                        bytes += static_cast<char>(kind == 0   ? random() % 255 + 1
                                                   : kind == 1 ? random() % 64 + 0x80
                                                   : kind == 2 ? random() % 64 + 0xc0
                                                               : random() % 127 + 1);
                }
                (*e).comm = e.keep(bytes);
                ASSERT_EQ(string_of(lines::parse(writer.write(e)), "comm"), lines::readable(bytes));
        }
}

/* ---- scores ------------------------------------------------------------------------------- */

TEST(JsonlScore, HasAllThatIsKnown)
{
        cosmos_surprise why[2] = {};
        cosmos_score s = plain_score();
        Writer writer;

        s.first_seq = 10;
        s.last_seq = 20;
        s.end = "exit";
        s.container_id = "c0ffee";
        s.container_name = "db";
        s.image = "i";
        s.known = COSMOS_KNOWN_TID | COSMOS_KNOWN_PROC_START | COSMOS_KNOWN_THREAD_START;
        s.tid = 4250;
        s.proc_start = 1;
        s.thread_start = 2;
        s.exe = "/x";
        s.why = why;
        s.n_why = 2;
        why[0].syscall = "ptrace";
        why[0].nll = 9.5;
        why[0].timestamp = support::T0 + 5000000;
        why[0].seq = 15;
        why[0].ret = -1;
        why[0].has_ret = 1;
        why[0].detail = "/bin/sh \"x\"";
        why[0].expected[0] = "read";
        why[0].expected_p[0] = 0.75;
        why[0].expected[1] = "write";
        why[0].expected_p[1] = 0.25;
        why[1].syscall = "brk";
        why[1].nll = 3.25;
        why[1].timestamp = support::T0;

        Json json = lines::parse(writer.write(&s));
        EXPECT_EQ(get(json, "timestamp"), "\"2026-11-23T04:20:11.000Z\"");
        EXPECT_EQ(get(json, "type"), "\"score\"");
        EXPECT_EQ(get(json, "container_id"), "\"c0ffee\"");
        EXPECT_EQ(get(json, "container_name"), "\"db\"");
        EXPECT_EQ(get(json, "image"), "\"i\"");
        EXPECT_EQ(get(json, "pid"), "4242");
        EXPECT_EQ(get(json, "tid"), "4250");
        EXPECT_EQ(get(json, "proc_start"), "1");
        EXPECT_EQ(get(json, "thread_start"), "2");
        EXPECT_EQ(get(json, "comm"), "\"mariadbd\"");
        EXPECT_EQ(get(json, "exe"), "\"/x\"");
        EXPECT_EQ(get(json, "score"), "2.5");
        EXPECT_EQ(get(json, "threshold"), "1.75");
        EXPECT_EQ(get(json, "verdict"), "\"anomalous\"");
        EXPECT_EQ(get(json, "window"), "100");
        EXPECT_EQ(get(json, "calls"), "250");
        EXPECT_EQ(get(json, "first_seq"), "10");
        EXPECT_EQ(get(json, "last_seq"), "20");
        EXPECT_EQ(get(json, "end"), "\"exit\"");
        EXPECT_EQ(get(json, "model"), "\"model.bin\"");
        EXPECT_EQ(get(json, "why"),
                  R"([{"timestamp":"2026-11-23T04:20:11.005Z","seq":15,"syscall":"ptrace","ret":-1,)"
                  R"("detail":"/bin/sh \"x\"","nll":9.5,)"
                  R"("expected":[{"syscall":"read","p":0.75},{"syscall":"write","p":0.25}]},)"
                  R"({"timestamp":"2026-11-23T04:20:11.000Z","syscall":"brk","nll":3.25,"expected":[]}])");
        EXPECT_EQ(json_object_size(json.get()), 21u);
}

TEST(JsonlScore, WhatIsUnknownIsAbsent)
{
        cosmos_score s = plain_score();
        Writer writer;

        s.verdict = COSMOS_INDETERMINATE;
        s.score = std::nan("");
        s.tid = 7;
        Json json = lines::parse(writer.write(&s));
        EXPECT_EQ(get(json, "verdict"), "\"indeterminate\"");
        for (const char *key :
             {"score", "tid", "proc_start", "thread_start", "container_id", "exe", "first_seq", "end", "why"})
                EXPECT_EQ(get(json, key), "") << key;
        for (double v : {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
                s.score = s.threshold = v;
                json = lines::parse(writer.write(&s));
                EXPECT_EQ(get(json, "score"), "");
                EXPECT_EQ(get(json, "threshold"), "");
        }
}

TEST(JsonlScore, DoublesComeBackBitByBit)
{
        expect_exact_doubles();
}

TEST(JsonlScore, DoublesComeBackUnderALocaleWithADecimalComma)
{
        const std::string before = setlocale(LC_ALL, nullptr);
        std::string comma;

        for (const char *name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "fr_FR.utf8", "es_ES.UTF-8",
                                 "it_IT.UTF-8", "ru_RU.UTF-8", "pl_PL.UTF-8"})
                if (comma.empty() && setlocale(LC_ALL, name) && strcmp(localeconv()->decimal_point, ",") == 0)
                        comma = setlocale(LC_ALL, nullptr);
        if (comma.empty()) {
                setlocale(LC_ALL, before.c_str());
                GTEST_SKIP() << "no locale with a decimal comma is installed";
        }
        expect_exact_doubles();
        EXPECT_EQ(setlocale(LC_ALL, nullptr), comma) << "the program's locale stays";
        char text[16];
        snprintf(text, sizeof(text), "%.1f", 1.5);
        EXPECT_STREQ(text, "1,5");
        setlocale(LC_ALL, before.c_str());
}
