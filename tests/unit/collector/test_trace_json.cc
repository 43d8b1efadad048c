/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace's parser against jansson: the corpus of the fuzzer, calls of all kinds, and what becomes of
 * both when they are damaged (by a fixed seed). The same lines are taken, and the same is read in them.
 */
#include "compare_json.h"
#include "support.h"

#include <cosmos/error.h>

#include <dirent.h>
#include <random>

extern "C" {
#include "collector/trace.h"
}

namespace
{

/* A line with all fields, and lines that have some in another order. */
const char *const LINES[] = {
    (R"({"timestamp":"2026-11-23T04:20:11.123456789Z","seq":90123,"container_id":"0123456789abcdef0123456789abcdef0123)"
     R"(456789abcdef0123456789abcdef","container_name":"db","image":"mariadb:11","pid":4242,"tid":4250,"ppid":4200,)"
     R"("proc_start":12345678,"thread_start":12345702,"comm":"mariadbd","exe":"/usr/sbin/mariadbd","arch":"x86_64",)"
     R"("syscall":"openat","nr":257,"args":["ffffff9c","7ffd0a10c0de","80000","0","12345678","123456789abcdef0"],)"
     R"("ret":-2,"path":"/etc/my.cnf","argv":"a b","addr":"192.0.2.1:80","uid":999,"auid":1000,"fd_kind":"socket",)"
     R"("size_class":7,"path_class":"etc","host":"node1"})"),
    (R"({"uid":0,"nr":1,"args":["0","0","0"],"syscall":"write","comm":"caf\u00e9 \ud83d\ude00","pid":1,"new":{"pid":[1,)"
     R"(2.5,null,{"a":true}]},"timestamp":"2026-11-23T04:20:12Z","ret":9223372036854775807,"path":"/tmp/ä\n\"x\""})"),
    R"( { "timestamp" : "2026-11-23T04:20:11.5Z" , "pid" : 7 , "comm" : "c" , "syscall" : "s" , "args" : [ "1f" , "2" ] } )",
};

std::vector<std::string> seeds()
{
        std::vector<std::string> lines(std::begin(LINES), std::end(LINES));
        DIR *dir = opendir(COSMOS_CORPUS);

        EXPECT_NE(dir, nullptr) << COSMOS_CORPUS;
        while (const dirent *entry = dir ? readdir(dir) : nullptr)
                if (entry->d_name[0] != '.')
                        lines.push_back(support::File::read_all(std::string(COSMOS_CORPUS) + "/" + entry->d_name));
        closedir(dir);
        std::sort(lines.begin() + std::size(LINES), lines.end()); /* a folder has no order */
        return lines;
}

void check_string(const json_t *json, const char *key, const char *ours)
{
        const json_t *value = json_object_get(json, key);

        EXPECT_EQ(value == nullptr, ours == nullptr) << key;
        if (value && ours) {
                EXPECT_STREQ(json_string_value(value), ours) << key;
        }
}

template <typename T>
void check_number(const json_t *json, const char *key, const cosmos_event &e, uint32_t bit, T ours)
{
        const json_t *value = json_object_get(json, key);

        EXPECT_EQ(value != nullptr, (e.known & bit) != 0) << key;
        if (value) {
                EXPECT_EQ(static_cast<T>(json_integer_value(value)), ours) << key;
        }
}

void check_call(const json_t *json, const cosmos_event &e)
{
        const json_t *args = json_object_get(json, "args");
        uint64_t unset = 0;

        check_string(json, "container_id", e.container_id);
        check_string(json, "container_name", e.container_name);
        check_string(json, "image", e.image);
        check_string(json, "host", e.host);
        check_string(json, "comm", e.comm);
        check_string(json, "exe", e.exe);
        check_string(json, "syscall", e.syscall);
        check_string(json, "path", e.path);
        check_string(json, "argv", e.argv);
        check_string(json, "addr", e.addr);
        check_number(json, "seq", e, COSMOS_KNOWN_SEQ, e.seq);
        check_number(json, "pid", e, COSMOS_KNOWN_PID, e.pid);
        check_number(json, "tid", e, COSMOS_KNOWN_TID, e.tid);
        check_number(json, "ppid", e, COSMOS_KNOWN_PPID, e.ppid);
        check_number(json, "nr", e, COSMOS_KNOWN_NR, e.nr);
        check_number(json, "ret", e, COSMOS_KNOWN_RET, e.ret);
        check_number(json, "proc_start", e, COSMOS_KNOWN_PROC_START, e.proc_start);
        check_number(json, "thread_start", e, COSMOS_KNOWN_THREAD_START, e.thread_start);
        check_number(json, "uid", e, COSMOS_KNOWN_UID, e.uid);
        check_number(json, "auid", e, COSMOS_KNOWN_AUID, e.auid);
        check_number(json, "size_class", e, COSMOS_KNOWN_SIZE_CLASS, e.size_class);
        EXPECT_EQ(e.n_args, json_array_size(args));
        for (size_t i = 0; i < COSMOS_EVENT_ARGS; i++)
                EXPECT_EQ(e.args[i],
                          i < e.n_args ? strtoull(json_string_value(json_array_get(args, i)), nullptr, 16) : unset);
}

/* With a parser that has read other lines before, and one that has not. */
void check(cosmos__trace_line *line, const std::string &text)
{
        const char *fault = compare_with_jansson(reinterpret_cast<const uint8_t *>(text.data()), text.size());
        const support::Bytes bytes(text), again(text);
        cosmos_diag diag = {""};

        ASSERT_EQ(fault, nullptr) << text;
        int r = cosmos__trace_parse(line, bytes.data(), bytes.size(), &diag);
        cosmos__trace_line fresh = {};
        cosmos_diag fresh_diag = {""};

        /* What came before changes nothing. */
        ASSERT_EQ(cosmos__trace_parse(&fresh, again.data(), again.size(), &fresh_diag), r) << text;
        ASSERT_STREQ(diag.text, fresh_diag.text) << text;
        if (r == 1) {
                ASSERT_EQ(memcmp(line->event.args, fresh.event.args, sizeof(fresh.event.args)), 0) << text;
        }
        cosmos__trace_line_free(&fresh);
        json_error_t error = {};
        json_t *json = json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, &error);
        bool is_json = json_is_object(json) && text.find('\0') == std::string::npos;
        if (is_json) {
                EXPECT_FALSE(support::contains(diag.text, "not JSON")) << diag.text;
        } else if (!support::contains(error.text, "real number overflow")) {
                EXPECT_EQ(r, -COSMOS_EFORMAT);
                EXPECT_TRUE(support::contains(diag.text, "not JSON: ")) << diag.text;
        }
        if (r == 1 && is_json && line->event.type == COSMOS_EVENT_CALL)
                check_call(json, line->event);
        json_decref(json);
        ASSERT_FALSE(testing::Test::HasFailure()) << text;
}

std::string damage(std::string text, const std::vector<std::string> &all, std::mt19937_64 &random)
{
        static const std::string likely =
            "\"\"\\{}[]:,,0123456789.-+eEuabtfn \t\r\n\x01\x1f\x7f\x80\xc3\xa4\xed\xf0\xff";

        for (uint64_t i = 0, n = 1 + random() % 3; i < n; i++) {
                const std::string &other = all[random() % all.size()];
                size_t at = random() % (text.size() + 1), length = random() % 12;

                switch (random() % 6) {
                case 0: /* a byte becomes another */
                        if (at < text.size())
                                text[at] = likely[random() % likely.size()];
                        break;
                case 1:
                        text.insert(at, 1, likely[random() % likely.size()]);
                        break;
                case 2:
                        text.erase(at, length);
                        break;
                case 3: /* a piece comes twice */
                        text.insert(at, text.substr(at, length * 4));
                        break;
                case 4: /* a piece of another line */
                        text.insert(at, other.substr(random() % (other.size() + 1), length * 4));
                        break;
                case 5:
                        text.resize(random() % 8 ? text.size() : at);
                        break;
                }
        }
        return text;
}

} // namespace

TEST(TraceJson, TheCorpusIsReadAsJanssonReadsIt)
{
        cosmos__trace_line line = {};

        for (const std::string &text : seeds())
                for (int twice = 0; twice < 2; twice++)
                        ASSERT_NO_FATAL_FAILURE(check(&line, text));
        cosmos__trace_line_free(&line);
}

/* As Python's json.dumps() writes lines: again and again, as a parser expects the fields of the line before. */
TEST(TraceJson, SpacesBehindColonsAndCommas)
{
        std::string text = LINES[0];
        cosmos__trace_line line = {};

        for (size_t at = 0; (at = text.find_first_of(":,", at)) != std::string::npos; at++)
                if (text[at - 1] == '"' || text[at + 1] == '"' || text[at + 1] == '[')
                        text.insert(++at, 1, ' ');
        for (int i = 0; i < 3; i++) {
                const support::Bytes bytes(text);
                cosmos_diag diag = {""};

                ASSERT_EQ(cosmos__trace_parse(&line, bytes.data(), bytes.size(), &diag), 1) << diag.text << text;
                EXPECT_EQ(line.event.n_args, 6u);
                EXPECT_STREQ(line.event.path, "/etc/my.cnf");
                ASSERT_NO_FATAL_FAILURE(check(&line, text));
        }
        cosmos__trace_line_free(&line);
}

TEST(TraceJson, EveryPrefixAndEveryDamagedByte)
{
        cosmos__trace_line line = {};

        for (const std::string text : LINES)
                for (size_t n = 0; n < text.size(); n++) {
                        ASSERT_NO_FATAL_FAILURE(check(&line, text.substr(0, n)));
                        for (char c : {'"', '\\', '0', 'e', ',', '}', ' ', '\0', '\xc3'}) {
                                std::string damaged = text;

                                damaged[n] = c;
                                ASSERT_NO_FATAL_FAILURE(check(&line, damaged));
                        }
                }
        cosmos__trace_line_free(&line);
}

TEST(TraceJson, DamagedLinesAreReadAsJanssonReadsThem)
{
        std::vector<std::string> all = seeds();
        cosmos__trace_line line = {};
        std::mt19937_64 random(20261123);

        for (int i = 0; i < 60000; i++) {
                const std::string &text =
                    random() % 2 ? all[random() % all.size()] : LINES[random() % std::size(LINES)];

                ASSERT_NO_FATAL_FAILURE(check(&line, damage(text, all, random)));
        }
        cosmos__trace_line_free(&line);
}
