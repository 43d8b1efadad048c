/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines, byte by byte, against a writer without any art; and the room that they
 * are written into. Strings end where their memory ends, and so does the room:
 * a build with AddressSanitizer sees whoever goes beyond it.
 */
#include "support.h"

#include <cosmos/version.h>

#include <climits>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

extern "C" {
#include "sink/jsonl.h"

int __real_cosmos__buffer_grow(struct cosmos__buffer *b, size_t n);
int __wrap_cosmos__buffer_grow(struct cosmos__buffer *b, size_t n);
}

using support::SECOND;

namespace
{

bool exact;               /* memory is of just the size that was asked for */
int grows_left = INT_MAX; /* then it has run out */

} // namespace

int __wrap_cosmos__buffer_grow(struct cosmos__buffer *b, size_t n)
{
        if (grows_left-- <= 0)
                return -ENOMEM;
        if (!exact)
                return __real_cosmos__buffer_grow(b, n);
        b->room = b->size + n;
        b->data = static_cast<char *>(realloc(b->data, b->room));
        return 0;
}

namespace
{

/* ---- a writer without any art ---------------------------------------------------------- */

/* Length of the UTF-8 character at `i`, 0 if it is none. */
size_t character(const std::string &s, size_t i)
{
        const auto byte = [&](size_t at) { return at < s.size() ? static_cast<unsigned char>(s[at]) : 0u; };
        const uint32_t lead = byte(i);
        const size_t n = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        uint32_t code = n < 2 ? lead : lead & (0x7f >> n);

        for (size_t k = 1; k < n; k++) {
                if (byte(i + k) >> 6 != 2)
                        return 0;
                code = code << 6 | (byte(i + k) & 0x3f);
        }
        return n > 0 && code >= least[n] && code <= 0x10ffff && code >> 11 != 27 ? n : 0; /* 27: surrogates */
}

std::string string_of(const std::string &s)
{
        std::string out = "\"";

        for (size_t i = 0, n; i < s.size(); i += std::max<size_t>(n, 1)) {
                const unsigned char c = static_cast<unsigned char>(s[i]);
                char text[8];

                n = character(s, i);
                snprintf(text, sizeof(text), n == 0 ? "%%%02X" : "\\u%04x", c);
                out += c == '"'             ? "\\\""
                       : c == '\\'          ? "\\\\"
                       : c == '\n'          ? "\\n"
                       : c == '\t'          ? "\\t"
                       : n == 0 || c < 0x20 ? text
                                            : s.substr(i, n);
        }
        return out + "\"";
}

std::string timestamp_of(int64_t ns, uint32_t digits)
{
        const time_t seconds = std::max<int64_t>(ns, 0) / SECOND;
        char date[40], fraction[40];
        tm broken;

        gmtime_r(&seconds, &broken);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &broken);
        snprintf(fraction, sizeof(fraction), ".%09d", static_cast<int>(std::max<int64_t>(ns, 0) % SECOND));
        return '"' + std::string(date) + std::string(fraction).substr(0, digits ? 1 + digits : 0) + "Z\"";
}

std::string real_of(double v)
{
        char text[40];

        snprintf(text, sizeof(text), "%.17g", v);
        return text + std::string(strpbrk(text, ".e") ? "" : ".0");
}

class Object
{
      public:
        void put(const char *key, const std::string &value)
        {
                text += (text.empty() ? "{\"" : ",\"") + std::string(key) + "\":" + value;
        }
        void string(const char *key, const char *value)
        {
                if (value)
                        put(key, string_of(value));
        }
        template <typename T> void number(const char *key, bool known, T value)
        {
                if (known && (value < 0 || static_cast<uint64_t>(value) <= INT64_MAX))
                        put(key, std::to_string(value));
        }
        void real(const char *key, double value)
        {
                if (std::isfinite(value))
                        put(key, real_of(value));
        }
        std::string end() const
        {
                return text + "}";
        }

      private:
        std::string text;
};

void put_call(Object &o, const cosmos_event &e)
{
        char text[24];

        o.string("arch", cosmos_arch_name(e.arch));
        o.string("syscall", e.syscall);
        o.number("nr", e.known & COSMOS_KNOWN_NR, e.nr);
        if (e.n_args) {
                std::string args;

                for (uint32_t i = 0; i < std::min(e.n_args, 6u); i++) {
                        snprintf(text, sizeof(text), "\"%" PRIx64 "\"", e.args[i]);
                        args += (i ? "," : "") + std::string(text);
                }
                o.put("args", "[" + args + "]");
        }
        o.number("ret", e.known & COSMOS_KNOWN_RET, e.ret);
        o.string("path", e.path);
        o.string("argv", e.argv);
        o.string("addr", e.addr);
        if (e.known & COSMOS_KNOWN_FD_KIND)
                o.string("fd_kind", cosmos_fd_kind_name(e.fd_kind));
        o.number("size_class", e.known & COSMOS_KNOWN_SIZE_CLASS, e.size_class);
        if (e.known & COSMOS_KNOWN_PATH_CLASS)
                o.string("path_class", cosmos_path_class_name(e.path_class));
        o.number("uid", e.known & COSMOS_KNOWN_UID, e.uid);
        o.number("auid", e.known & COSMOS_KNOWN_AUID, e.auid);
}

std::string line_of(const cosmos_event &e)
{
        static const char *const types[] = {nullptr,           "thread_exit",    "loss",
                                            "container_start", "container_stop", "trace"};
        Object o;

        o.put("timestamp", timestamp_of(e.timestamp, e.timestamp_digits));
        o.string("type", types[e.type]);
        if (e.type == COSMOS_EVENT_LOSS) {
                o.string("kind", cosmos_loss_kind_name(e.loss_kind));
                o.number("count", e.loss_count, e.loss_count);
        }
        if (e.type == COSMOS_EVENT_TRACE) {
                o.put("format", "1");
                o.string("source", e.source);
                o.string("calls", e.calls);
                o.string("version", COSMOS_VERSION_STRING);
        }
        o.number("seq", e.known & COSMOS_KNOWN_SEQ, e.seq);
        o.string("container_id", e.container_id);
        o.string("container_name", e.container_name);
        o.string("image", e.image);
        o.number("pid", e.known & COSMOS_KNOWN_PID, e.pid);
        o.number("tid", e.known & COSMOS_KNOWN_TID, e.tid);
        o.number("ppid", e.known & COSMOS_KNOWN_PPID, e.ppid);
        o.number("proc_start", e.known & COSMOS_KNOWN_PROC_START, e.proc_start);
        o.number("thread_start", e.known & COSMOS_KNOWN_THREAD_START, e.thread_start);
        o.string("comm", e.comm);
        o.string("exe", e.exe);
        if (e.type == COSMOS_EVENT_CALL)
                put_call(o, e);
        o.string("host", e.host);
        return o.end() + "\n";
}

std::string surprise_of(const cosmos_surprise &s, uint32_t digits)
{
        std::string expected;
        Object o;

        o.put("timestamp", timestamp_of(s.timestamp, digits));
        o.number("seq", s.seq, s.seq);
        o.string("syscall", s.syscall);
        o.number("ret", s.has_ret, s.ret);
        o.string("detail", s.detail);
        o.real("nll", s.nll);
        for (size_t i = 0; i < COSMOS_WHY_EXPECTED && s.expected[i]; i++) {
                Object one;

                one.string("syscall", s.expected[i]);
                one.real("p", s.expected_p[i]);
                expected += (i ? "," : "") + one.end();
        }
        o.put("expected", "[" + expected + "]");
        return o.end();
}

std::string line_of(const cosmos_score &s)
{
        std::string why;
        Object o;

        o.put("timestamp", timestamp_of(s.timestamp, s.timestamp_digits));
        o.string("type", "score");
        o.string("container_id", s.container_id);
        o.string("container_name", s.container_name);
        o.string("image", s.image);
        o.number("pid", true, s.pid);
        o.number("tid", s.known & COSMOS_KNOWN_TID, s.tid);
        o.number("proc_start", s.known & COSMOS_KNOWN_PROC_START, s.proc_start);
        o.number("thread_start", s.known & COSMOS_KNOWN_THREAD_START, s.thread_start);
        o.string("comm", s.comm);
        o.string("exe", s.exe);
        o.real("score", s.score);
        o.real("threshold", s.threshold);
        o.string("verdict", cosmos_verdict_name(s.verdict));
        o.number("window", true, s.window);
        o.number("calls", true, s.calls);
        o.number("first_seq", s.first_seq, s.first_seq);
        o.number("last_seq", s.last_seq, s.last_seq);
        o.string("end", s.end);
        o.string("model", s.model);
        for (size_t i = 0; i < s.n_why; i++)
                why += (i ? "," : "") + surprise_of(s.why[i], s.timestamp_digits);
        if (s.n_why)
                o.put("why", "[" + why + "]");
        return o.end() + "\n";
}

/* ---- hostile events and scores ----------------------------------------------------------- */

class Maker
{
      public:
        explicit Maker(uint32_t seed) : random(seed)
        {
        }

        cosmos_event event()
        {
                cosmos_event e = {};

                texts.clear();
                e.type = static_cast<cosmos_event_type>(random() % 3 ? 0 : random() % 6);
                e.known = static_cast<uint32_t>(random()) % (COSMOS_KNOWN_PID << 1);
                e.timestamp = timestamp();
                e.timestamp_digits = static_cast<uint32_t>(random() % 10);
                e.loss_kind = static_cast<cosmos_loss_kind>(random() % 4);
                e.arch = static_cast<cosmos_arch>(random() % 4);
                e.n_args = static_cast<uint32_t>(random() % 9);
                for (uint64_t *v : {&e.seq, &e.proc_start, &e.thread_start, &e.loss_count})
                        *v = number();
                for (uint64_t &v : e.args)
                        v = number();
                for (int32_t *v : {&e.pid, &e.tid, &e.ppid})
                        *v = static_cast<int32_t>(number());
                for (uint32_t *v : {&e.uid, &e.auid, &e.nr})
                        *v = static_cast<uint32_t>(number());
                e.ret = static_cast<int64_t>(number());
                for (const char **s : {&e.container_id, &e.container_name, &e.image, &e.host, &e.comm, &e.exe,
                                       &e.syscall, &e.path, &e.argv, &e.addr, &e.source, &e.calls})
                        *s = random() % 3 ? text() : nullptr;
                e.fd_kind = static_cast<cosmos_fd_kind>(random() % (COSMOS_FD_OTHER + 1));
                e.path_class = static_cast<cosmos_path_class>(random() % (COSMOS_PATH_OTHER + 1));
                e.size_class = static_cast<uint32_t>(number());
                return e;
        }

        /* `why` is the maker's, up to the next one. */
        cosmos_score score()
        {
                cosmos_score s = {};

                texts.clear();
                s.verdict = static_cast<cosmos_verdict>(random() % 3);
                s.score = real();
                s.threshold = real();
                s.timestamp = timestamp();
                s.timestamp_digits = static_cast<uint32_t>(random() % 10);
                s.known = static_cast<uint32_t>(random());
                s.window = static_cast<uint32_t>(number());
                s.pid = static_cast<int32_t>(number());
                s.tid = static_cast<int32_t>(number());
                for (uint64_t *v : {&s.first_seq, &s.last_seq, &s.proc_start, &s.thread_start})
                        *v = number();
                s.calls = number() >> 1;
                for (const char **t : {&s.end, &s.container_id, &s.container_name, &s.image, &s.comm, &s.exe, &s.model})
                        *t = random() % 3 ? text() : nullptr;
                why.assign(random() % 12, cosmos_surprise{});
                for (cosmos_surprise &one : why)
                        surprise(one);
                s.why = why.data();
                s.n_why = why.size();
                return s;
        }

        /* A copy whose memory ends with its NUL. */
        const char *keep(const std::string &bytes)
        {
                texts.emplace_back(new char[bytes.size() + 1]);
                memcpy(texts.back().get(), bytes.c_str(), bytes.size() + 1);
                return texts.back().get();
        }

        std::mt19937_64 random;

      private:
        /* Of any length in bits. */
        uint64_t number()
        {
                const uint64_t v = random() >> random() % 64;

                return random() % 4 ? v : 0 - v;
        }

        double real()
        {
                const double odd[] = {0, 1, 0.1, 1e300, -5e-324, std::nan(""), std::numeric_limits<double>::infinity()};

                return random() % 2 ? static_cast<double>(random()) / 1e19 : odd[random() % 7];
        }

        /* Also just before and after the turn of a second, a day, a year, a leap day. */
        int64_t timestamp()
        {
                const int64_t turns[] = {0,
                                         1795407611,
                                         951782400 /* 2000-02-29 */,
                                         951868800,
                                         1709164800 /* 2024-02-29 */,
                                         1709251200,
                                         1735689600 /* 2025-01-01 */,
                                         4107542400 /* 2100-03-01 */};
                const int64_t v = turns[random() % 8] + static_cast<int64_t>(random() % 5) - 2;

                return random() % 3 ? v * SECOND + static_cast<int64_t>(random() % 3) - 1
                                    : static_cast<int64_t>(random() >> random() % 8);
        }

        const char *text()
        {
                static const std::string pieces[] = {"\"",
                                                     "\\",
                                                     "\n",
                                                     "\t",
                                                     "\x01",
                                                     "\x1f",
                                                     "\x7f",
                                                     "\x80",
                                                     "\xff",
                                                     "\xc3",
                                                     "\xc3\xa4",
                                                     "\xe2\x82\xac",
                                                     "\xe2\x82",
                                                     "\xed\xa0\x80",
                                                     "\xf0\x9f\x98\x80",
                                                     "\xf0\x9f\x98",
                                                     "\xf4\x90\x80\x80",
                                                     "%41"};
                const size_t size = random() % 50 ? random() % 70 : 4000 + random() % 200;
                const uint64_t plain = random() % 20 + 1;
                std::string out;

                while (out.size() < size)
                        out += random() % plain ? std::string(1, static_cast<char>(' ' + random() % 95))
                                                : pieces[random() % 18];
                return keep(out.substr(0, size));
        }

        void surprise(cosmos_surprise &s)
        {
                s.syscall = random() % 4 ? text() : nullptr;
                s.detail = random() % 2 ? text() : nullptr;
                s.nll = real();
                s.timestamp = timestamp();
                s.seq = number();
                s.ret = static_cast<int64_t>(number());
                s.has_ret = random() % 2;
                for (size_t i = 0; i < COSMOS_WHY_EXPECTED && random() % 4; i++) {
                        s.expected[i] = text();
                        s.expected_p[i] = real();
                }
        }

        std::vector<std::unique_ptr<char[]>> texts;
        std::vector<cosmos_surprise> why;
};

/* ---- what is written ----------------------------------------------------------------------- */

class Buffer
{
      public:
        Buffer() = default;
        ~Buffer()
        {
                cosmos__buffer_free(&b);
        }
        Buffer(const Buffer &) = delete;
        Buffer &operator=(const Buffer &) = delete;

        int write(const cosmos_event &e)
        {
                return cosmos__jsonl_event(&b, &e);
        }
        int write(const cosmos_score &s)
        {
                return cosmos__jsonl_score(&b, &s);
        }
        std::string content() const
        {
                return std::string(b.data, b.size);
        }
        template <typename T> std::string line(const T &what)
        {
                b.size = 0;
                EXPECT_EQ(write(what), 0);
                return content();
        }

      private:
        cosmos__buffer b = {};
};

template <typename T> std::string alone(const T &what)
{
        return Buffer().line(what);
}

/* Memory of just the size that is asked for, and none after `left` times. */
class Memory
{
      public:
        explicit Memory(int left = INT_MAX)
        {
                exact = true;
                grows_left = left;
        }
        ~Memory()
        {
                exact = false;
                grows_left = INT_MAX;
        }
};

cosmos_event plain_call()
{
        cosmos_event e = {};

        e.known = COSMOS_KNOWN_PID;
        e.timestamp = support::T0;
        e.comm = "c";
        e.syscall = "read";
        return e;
}

/* Whatever runs out, and whenever: an error, and nothing of the line. */
template <typename T> void expect_all_or_nothing(const T &what)
{
        const std::string whole = line_of(what);

        for (int left = 0;; left++) {
                Buffer buffer;
                int r;

                ASSERT_EQ(buffer.write(plain_call()), 0);
                const std::string before = buffer.content();
                {
                        Memory memory(left);

                        r = buffer.write(what);
                }
                if (r == 0) {
                        ASSERT_EQ(buffer.content(), before + whole);
                        return;
                }
                ASSERT_EQ(r, -ENOMEM);
                ASSERT_EQ(buffer.content(), before);
        }
}

} // namespace

TEST(JsonlBytes, OfAnyEvent)
{
        Maker maker(1);
        Buffer buffer;

        for (int i = 0; i < 4000; i++) {
                const cosmos_event e = maker.event();

                ASSERT_EQ(buffer.line(e), line_of(e));
        }
}

TEST(JsonlBytes, OfAnyScore)
{
        Maker maker(2);
        Buffer buffer;

        for (int i = 0; i < 1000; i++) {
                const cosmos_score s = maker.score();

                ASSERT_EQ(buffer.line(s), line_of(s));
        }
}

/* Whatever is not plain, at every place of strings of every length around eight bytes and their multiples. */
TEST(JsonlBytes, OfAnyByteAtAnyPlace)
{
        Maker maker(3);
        Buffer buffer;
        cosmos_event e = plain_call();

        for (int c = 1; c < 256; c++)
                for (size_t size = 1; size <= 26; size++)
                        for (size_t at = 0; at < size; at++) {
                                std::string bytes(size, 'x');

                                bytes[at] = static_cast<char>(c);
                                const std::unique_ptr<char, decltype(&free)> copy(strdup(bytes.c_str()), free);
                                e.path = copy.get();
                                ASSERT_EQ(buffer.line(e), line_of(e)) << c << " at " << at << " of " << size;
                        }
}

TEST(JsonlBytes, OfAnyTwoBytes)
{
        Buffer buffer;
        cosmos_event e = plain_call();

        for (const char *before : {"", "123456", "1234567"})
                for (int c = 1; c < 256 * 256; c++) {
                        const char two[] = {static_cast<char>(c >> 8), static_cast<char>(c), 0};
                        const std::string bytes = before + std::string(two[0] ? two : two + 1) + "\x80";

                        e.path = bytes.c_str();
                        ASSERT_EQ(buffer.line(e), line_of(e)) << before << " and " << c;
                }
}

TEST(JsonlBytes, OfNumbers)
{
        std::vector<uint64_t> numbers;
        Buffer buffer;
        cosmos_event e = plain_call();

        for (uint64_t i = 0; i < 10000; i++) {
                numbers.push_back(i);
                numbers.push_back(i * 10000);
        }
        for (uint64_t power = 1; power < UINT64_MAX / 10; power *= 10)
                for (uint64_t digit = 1; digit < 10; digit++)
                        for (uint64_t one : {-1, 0, 1})
                                numbers.push_back(power * digit + one);
        for (int bit = 0; bit < 64; bit++)
                for (uint64_t one : {-1, 0, 1})
                        numbers.push_back((UINT64_C(1) << bit) + one);
        e.known |= COSMOS_KNOWN_SEQ | COSMOS_KNOWN_NR | COSMOS_KNOWN_RET;
        e.n_args = 1;
        for (uint64_t v : numbers) {
                e.seq = e.args[0] = v;
                e.nr = static_cast<uint32_t>(v);
                e.pid = static_cast<int32_t>(0 - v);
                e.ret = static_cast<int64_t>(0 - v);
                ASSERT_EQ(buffer.line(e), line_of(e)) << v;
        }
}

TEST(JsonlBytes, OfTimestampsAtTheTurnOfEachDay)
{
        Buffer buffer;
        cosmos_event e = plain_call();

        for (int64_t day = 0; day < INT64_MAX / SECOND / 86400; day++)
                for (int64_t ns : {-1, 0}) {
                        e.timestamp = day * 86400 * SECOND + ns;
                        e.timestamp_digits = static_cast<uint32_t>(day % 10);
                        ASSERT_EQ(buffer.line(e), line_of(e)) << e.timestamp;
                }
}

TEST(JsonlBytes, OfTimestampsAtEachSecondOfADay)
{
        Buffer buffer;
        cosmos_event e = plain_call();

        e.timestamp_digits = 9;
        for (int64_t second = 0; second < 86400; second++) {
                e.timestamp = support::T0 + second * SECOND + second * 11574 % SECOND;
                ASSERT_EQ(buffer.line(e), line_of(e)) << e.timestamp;
        }
}

/* ---- room ------------------------------------------------------------------------------------ */

TEST(JsonlRoom, SufficesForAnything)
{
        Maker maker(4);
        Memory memory;

        for (int i = 0; i < 1000; i++) {
                const cosmos_event e = maker.event();

                ASSERT_EQ(alone(e), line_of(e));
        }
        for (int i = 0; i < 400; i++) {
                const cosmos_score s = maker.score();

                ASSERT_EQ(alone(s), line_of(s));
        }
}

/* Every field there, every number as long as it can be, every byte of a string \u00XX. */
TEST(JsonlRoom, SufficesForTheLongestLines)
{
        cosmos_event e = {};
        cosmos_score s = {};
        cosmos_surprise why = {};
        Memory memory;

        e.known = s.known = COSMOS_KNOWN_PID * 2 - 1;
        e.timestamp = s.timestamp = why.timestamp = support::T0;
        e.timestamp_digits = s.timestamp_digits = 9;
        e.arch = COSMOS_ARCH_AARCH64;
        e.n_args = 6;
        std::fill(e.args, e.args + 6, UINT64_MAX);
        e.ret = why.ret = INT64_MIN;
        e.seq = e.proc_start = e.thread_start = e.loss_count = s.calls = s.first_seq = s.last_seq = s.proc_start =
            s.thread_start = why.seq = INT64_MAX;
        e.pid = e.tid = e.ppid = s.pid = s.tid = INT32_MIN;
        e.nr = e.uid = e.auid = s.window = UINT32_MAX;
        s.score = s.threshold = why.nll = -2.2250738585072014e-308;
        why.has_ret = 1;
        std::fill(why.expected_p, why.expected_p + COSMOS_WHY_EXPECTED, -2.2250738585072014e-308);
        for (size_t size : {0, 1, 7, 8, 9, 2000}) {
                const std::string text(size, '\x01');

                for (const char **field : {&e.container_id,
                                           &e.container_name,
                                           &e.image,
                                           &e.host,
                                           &e.comm,
                                           &e.exe,
                                           &e.syscall,
                                           &e.path,
                                           &e.argv,
                                           &e.addr,
                                           &e.source,
                                           &s.container_id,
                                           &s.container_name,
                                           &s.image,
                                           &s.comm,
                                           &s.exe,
                                           &s.end,
                                           &s.model,
                                           &why.syscall,
                                           &why.detail,
                                           &why.expected[0],
                                           &why.expected[1],
                                           &why.expected[2]})
                        *field = text.c_str();
                for (int type = COSMOS_EVENT_CALL; type <= COSMOS_EVENT_TRACE; type++) {
                        e.type = static_cast<cosmos_event_type>(type);
                        ASSERT_EQ(alone(e), line_of(e));
                        expect_all_or_nothing(e);
                }
                for (size_t n : {0, 1, 2, 7}) {
                        const std::vector<cosmos_surprise> many(n, why);

                        s.why = many.data();
                        s.n_why = n;
                        ASSERT_EQ(alone(s), line_of(s));
                        expect_all_or_nothing(s);
                }
        }
}

TEST(JsonlRoom, WithoutMemoryThereIsNoLine)
{
        Maker maker(5);

        for (int i = 0; i < 500; i++) {
                expect_all_or_nothing(maker.event());
                expect_all_or_nothing(maker.score());
        }
}
