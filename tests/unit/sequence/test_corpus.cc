/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence/steps.h"

#include <cosmos/error.h>

#include <sys/resource.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <map>
#include <memory>
#include <random>
#include <thread>

using support::contains;
using support::Fifo;
using support::File;

namespace
{

struct Free {
        void operator()(cosmos_corpus *corpus) const
        {
                EXPECT_EQ(cosmos_corpus_free(corpus), nullptr);
        }
        void operator()(cosmos_vocab *vocab) const
        {
                cosmos_vocab_free(vocab);
        }
};
using Corpus = std::unique_ptr<cosmos_corpus, Free>;
using Vocab = std::unique_ptr<cosmos_vocab, Free>;

struct Line {
        int64_t ms;
        int pid;
        std::string syscall, more;

        std::string json() const
        {
                char time[64];

                /* T0 is 04:20:11; a test stays within its hour. */
                snprintf(time, sizeof(time), "2026-11-23T04:%02d:%02d.%03dZ",
                         static_cast<int>(20 + (11000 + ms) / 60000), static_cast<int>((11000 + ms) / 1000 % 60),
                         static_cast<int>(ms % 1000));
                return "{\"timestamp\":\"" + std::string(time) + "\",\"pid\":" + std::to_string(pid) +
                       ",\"comm\":\"c\",\"syscall\":\"" + syscall + "\"" + more + "}\n";
        }
};

Corpus read_paths(const std::vector<const char *> &paths, cosmos_corpus_options options = {}, int *error = nullptr,
                  std::string *text = nullptr)
{
        cosmos_corpus *corpus = nullptr;
        cosmos_diag diag = {""};
        int r;

        options.size = sizeof(options);
        r = cosmos_corpus_read(&corpus, paths.data(), paths.size(), &options, &diag);
        if (error)
                *error = r;
        else
                EXPECT_EQ(r, 0) << diag.text;
        if (text)
                *text = diag.text;
        EXPECT_EQ(corpus != nullptr, r == 0);
        return Corpus(corpus);
}

Corpus read(const std::string &content, cosmos_corpus_options options = {}, int *error = nullptr,
            std::string *text = nullptr)
{
        File file(content);

        return read_paths({file.path()}, options, error, text);
}

cosmos_corpus_trace trace_of(const Corpus &corpus, size_t i)
{
        cosmos_corpus_trace trace = {};

        trace.size = sizeof(trace);
        cosmos_corpus_get_trace(corpus.get(), i, &trace);
        return trace;
}

std::string head(const std::string &source, const std::string &more = "")
{
        return R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace","format":1,"source":")" + source + "\"" + more +
               "}\n";
}

std::vector<std::string> names(const Corpus &corpus)
{
        const cosmos_vocab *vocab = cosmos_corpus_vocab(corpus.get());
        std::vector<std::string> out;

        for (uint32_t id = 0; id < cosmos_vocab_size(vocab); id++)
                out.push_back(cosmos_vocab_name(vocab, id));
        return out;
}

/* Sequence by sequence, the names of its calls. */
std::vector<std::vector<std::string>> calls(const Corpus &corpus)
{
        const uint64_t *offsets = cosmos_corpus_offsets(corpus.get());
        const uint32_t *tokens = cosmos_corpus_tokens(corpus.get());
        std::vector<std::vector<std::string>> out;

        EXPECT_EQ(offsets[0], 0u);
        EXPECT_EQ(offsets[cosmos_corpus_sequences(corpus.get())], cosmos_corpus_calls(corpus.get()));
        for (size_t i = 0; i < cosmos_corpus_sequences(corpus.get()); i++) {
                out.emplace_back();
                for (uint64_t at = offsets[i]; at < offsets[i + 1]; at++)
                        out.back().push_back(cosmos_vocab_name(cosmos_corpus_vocab(corpus.get()),
                                                               tokens[at * COSMOS_TOKEN_FIELDS + COSMOS_TOKEN_NAME]));
        }
        return out;
}

using Sequences = std::vector<std::vector<std::string>>;

} // namespace

TEST(Corpus, MakesItsVocabularyByFrequencyThenName)
{
        std::string trace;

        for (const char *name : {"write", "read", "close", "read", "openat", "write", "read", "brk"})
                trace += Line{0, 5, name, ""}.json();
        Corpus corpus = read(trace);
        EXPECT_EQ(names(corpus),
                  (std::vector<std::string>{"<start>", "<unknown>", "read", "write", "brk", "close", "openat"}));
        EXPECT_EQ(calls(corpus), (Sequences{{"write", "read", "close", "read", "openat", "write", "read", "brk"}}));
}

TEST(Corpus, WhatHasNoNameIsUnknown)
{
        Corpus corpus = read(Line{0, 5, "syscall_999", ""}.json() + Line{0, 5, "read", ""}.json() +
                             Line{0, 5, "<start>", ""}.json() + Line{0, 5, "mmap2", ""}.json());

        EXPECT_EQ(names(corpus), (std::vector<std::string>{"<start>", "<unknown>", "mmap2", "read"}))
            << "mmap2 is a call of i386";
        EXPECT_EQ(calls(corpus), (Sequences{{"<unknown>", "read", "<unknown>", "mmap2"}}));
}

TEST(Corpus, ReadsWithAGivenVocabulary)
{
        const char *const given[] = {"<start>", "<unknown>", "write", "never", "read"};
        cosmos_vocab *vocab = nullptr;
        cosmos_corpus_options options = {};

        ASSERT_EQ(cosmos_vocab_new(&vocab, given, 5, nullptr), 0);
        options.vocab = vocab;
        Corpus corpus = read(
            Line{0, 5, "read", ""}.json() + Line{0, 5, "close", ""}.json() + Line{0, 5, "write", ""}.json(), options);
        cosmos_vocab_free(vocab); /* it was borrowed for the call only */
        EXPECT_EQ(names(corpus), std::vector<std::string>(given, given + 5));
        EXPECT_EQ(calls(corpus), (Sequences{{"read", "<unknown>", "write"}}));
}

TEST(Corpus, SequencesStandInTheOrderOfTheirFirstCalls)
{
        Corpus corpus =
            read(Line{0, 7, "read", ""}.json() + Line{1, 5, "write", ""}.json() + Line{2, 7, "exit_group", ""}.json() +
                 Line{3, 6, "brk", ""}.json() + Line{4, 7, "close", ""}.json() + Line{5, 5, "openat", ""}.json());
        const int64_t *t = cosmos_corpus_timestamps(corpus.get());

        EXPECT_EQ(calls(corpus), (Sequences{{"read", "exit_group"}, {"write", "openat"}, {"brk"}, {"close"}}));
        EXPECT_EQ(std::vector<int64_t>(t, t + 2), (std::vector<int64_t>{support::T0, support::T0 + 2000000}));
        EXPECT_EQ(t[2], support::T0 + 1000000);
        EXPECT_EQ(t[3], support::T0 + 5000000);
}

TEST(Corpus, HasTheErrnoOfEachCall)
{
        Corpus corpus = read(Line{0, 5, "read", ",\"ret\":-2"}.json() + Line{0, 5, "read", ",\"ret\":7"}.json() +
                             Line{0, 5, "read", ""}.json() + Line{0, 5, "read", ",\"ret\":-512"}.json());
        const uint32_t *tokens = cosmos_corpus_tokens(corpus.get());
        std::vector<uint32_t> errnos;

        for (size_t i = 0; i < 4; i++) {
                errnos.push_back(tokens[i * COSMOS_TOKEN_FIELDS + COSMOS_TOKEN_ERRNO]);
                for (size_t field = 2; field < COSMOS_TOKEN_FIELDS; field++)
                        EXPECT_EQ(tokens[i * COSMOS_TOKEN_FIELDS + field], 0u);
        }
        EXPECT_EQ(errnos, (std::vector<uint32_t>{2, 0, 0, 134}));
}

TEST(Corpus, IsOfTheContainersThatAreChosen)
{
        const char *select[] = {"db", "bbbbbbbb"};
        const std::string a(64, 'a'), b(64, 'b'), c(64, 'c');
        const std::string trace =
            Line{0, 5, "read", ",\"container_id\":\"" + a + "\",\"container_name\":\"db\""}.json() +
            Line{0, 6, "write", ",\"container_id\":\"" + b + "\",\"container_name\":\"web\""}.json() +
            Line{0, 7, "close", ",\"container_id\":\"" + c + "\",\"container_name\":\"other\""}.json() +
            Line{0, 8, "brk", ""}.json();
        cosmos_corpus_options options = {};
        std::string text;
        int error;

        EXPECT_EQ(calls(read(trace)), (Sequences{{"read"}, {"write"}, {"close"}, {"brk"}}));
        options.select = select;
        options.n_select = 2;
        EXPECT_EQ(calls(read(trace, options)), (Sequences{{"read"}, {"write"}}));
        options.n_select = 1;
        EXPECT_EQ(names(read(trace, options)).size(), 3u);
        select[0] = "nobody";
        EXPECT_EQ(read(trace, options, &error, &text), nullptr);
        EXPECT_EQ(error, -ENODATA);
        EXPECT_TRUE(contains(text, "chosen")) << text;
}

TEST(Corpus, OfThreads)
{
        cosmos_corpus_options options = {};
        const std::string trace = Line{0, 5, "read", ",\"tid\":5"}.json() + Line{0, 5, "write", ",\"tid\":6"}.json() +
                                  Line{0, 5, "close", ",\"tid\":5"}.json();
        std::string text;
        int error;

        EXPECT_EQ(calls(read(trace)), (Sequences{{"read", "write", "close"}}));
        options.unit = COSMOS_UNIT_THREAD;
        EXPECT_EQ(calls(read(trace, options)), (Sequences{{"read", "close"}, {"write"}}));
        EXPECT_EQ(read(Line{0, 5, "read", ""}.json(), options, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EMISMATCH);
        EXPECT_FALSE(text.empty());
}

TEST(Corpus, SaysTheSourceOfItsTrace)
{
        EXPECT_STREQ(cosmos_corpus_source(read(head("audit") + Line{0, 5, "read", ""}.json()).get()), "audit");
        EXPECT_STREQ(cosmos_corpus_source(read(Line{0, 5, "read", ""}.json()).get()), "");
}

TEST(Corpus, SaysWhyThereIsNone)
{
        const std::string exit = R"({"timestamp":"2026-11-23T04:20:11Z","type":"container_stop","container_id":"c"})";
        const char *nowhere = "/nowhere/trace";
        cosmos_corpus *corpus = nullptr;
        cosmos_corpus_options options = {};
        std::string text;
        int error;

        EXPECT_EQ(read(exit, {}, &error, &text), nullptr);
        EXPECT_EQ(error, -ENODATA);
        EXPECT_TRUE(contains(text, "no call")) << text;
        EXPECT_EQ(read("", {}, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(text, "empty")) << text;
        EXPECT_EQ(read("rubbish\n", {}, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(text, "not a trace")) << text;
        EXPECT_EQ(cosmos_corpus_read(&corpus, &nowhere, 1, nullptr, nullptr), -ENOENT);
        EXPECT_EQ(cosmos_corpus_read(&corpus, &nowhere, 1, &options, nullptr), -EINVAL);
        EXPECT_EQ(cosmos_corpus_read(&corpus, &nowhere, 0, nullptr, nullptr), -EINVAL);
        options.unit = static_cast<cosmos_unit>(3);
        EXPECT_EQ(read(Line{0, 5, "read", ""}.json(), options, &error, &text), nullptr);
        EXPECT_EQ(error, -EINVAL);
        EXPECT_TRUE(contains(text, "unit 3")) << text;
        EXPECT_EQ(corpus, nullptr);
        EXPECT_EQ(cosmos_corpus_free(nullptr), nullptr);
}

TEST(Corpus, WarnsOfLinesThatItSkipsAndDoesNotSpliceOverThem)
{
        support::Log log;
        cosmos_corpus_options options = {};

        options.log = log.hook();
        Corpus corpus = read(Line{0, 5, "read", ""}.json() + "rubbish\n" + Line{0, 5, "write", ""}.json(), options);
        EXPECT_EQ(calls(corpus), (Sequences{{"read"}, {"write"}}));
        ASSERT_EQ(log.lines.size(), 1u);
        EXPECT_TRUE(contains(log.lines[0], ":2: "));
}

/* Many processes at once, some of which end and begin again. */
TEST(Corpus, IsWhatAPlainSortGives)
{
        static const char *const all[] = {"read", "write", "close", "openat", "exit_group", "mmap", "brk"};
        std::mt19937 random(17);
        std::vector<std::pair<size_t, std::pair<std::string, int64_t>>> plain; /* sequence, call */
        std::map<int, size_t> open;
        std::map<std::string, size_t> counts;
        std::string trace;
        size_t opened = 0;

        for (int64_t i = 0; i < 5000; i++) {
                const int pid = static_cast<int>(random() % 40);
                const std::string name = all[std::min(random() % 14, random() % 7)];

                trace += Line{i, pid, name, ""}.json();
                if (!open.count(pid))
                        open[pid] = opened++;
                plain.push_back({open[pid], {name, support::T0 + i * 1000000}});
                counts[name]++;
                if (name == "exit_group")
                        open.erase(pid);
        }
        std::stable_sort(plain.begin(), plain.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
        Corpus corpus = read(trace);
        ASSERT_EQ(cosmos_corpus_sequences(corpus.get()), opened);
        ASSERT_EQ(cosmos_corpus_calls(corpus.get()), plain.size());
        Sequences expected(opened);
        for (size_t i = 0; i < plain.size(); i++) {
                expected[plain[i].first].push_back(plain[i].second.first);
                ASSERT_EQ(cosmos_corpus_timestamps(corpus.get())[i], plain[i].second.second);
        }
        EXPECT_EQ(calls(corpus), expected);
        std::vector<std::string> order = names(corpus);
        ASSERT_EQ(order.size(), counts.size() + 2);
        for (size_t i = 3; i < order.size(); i++)
                EXPECT_TRUE(counts[order[i - 1]] > counts[order[i]] ||
                            (counts[order[i - 1]] == counts[order[i]] && order[i - 1] < order[i]));
}

TEST(Corpus, OfOneCall)
{
        Corpus corpus = read(Line{0, 5, "read", ""}.json());

        EXPECT_EQ(calls(corpus), (Sequences{{"read"}}));
        EXPECT_STREQ(cosmos_corpus_comm(corpus.get(), 0), "c");
}

/* ---- several traces ---------------------------------------------------------------- */

TEST(Corpus, OfSeveralTraces)
{
        const std::string id(64, 'a');
        File one(head("audit") + Line{5, 5, "read", ""}.json() + Line{6, 6, "close", ""}.json()),
            two(head("audit") + Line{0, 5, "write", ",\"image\":\"db:1\",\"container_id\":\"" + id + "\""}.json() +
                Line{1, 5, "write", ""}.json() + Line{2, 7, "read", ""}.json());
        Corpus corpus = read_paths({one.path(), two.path()});
        const int64_t *t = cosmos_corpus_timestamps(corpus.get());

        EXPECT_EQ(calls(corpus), (Sequences{{"read"}, {"close"}, {"write"}, {"write"}, {"read"}}));
        EXPECT_EQ(names(corpus), (std::vector<std::string>{"<start>", "<unknown>", "read", "write", "close"}));
        EXPECT_EQ(t[0], support::T0 + 5000000);
        EXPECT_EQ(t[2], support::T0);
        ASSERT_EQ(cosmos_corpus_traces(corpus.get()), 2u);
        EXPECT_STREQ(trace_of(corpus, 0).path, one.path());
        EXPECT_STREQ(trace_of(corpus, 1).path, two.path());
        EXPECT_EQ(trace_of(corpus, 0).calls, 2u);
        EXPECT_EQ(trace_of(corpus, 0).sequences, 2u);
        EXPECT_EQ(trace_of(corpus, 1).calls, 3u);
        EXPECT_EQ(trace_of(corpus, 1).sequences, 3u);
        EXPECT_STREQ(cosmos_corpus_image(corpus.get(), 0), "db:1");
        EXPECT_EQ(cosmos_corpus_image(corpus.get(), 1), nullptr);
}

TEST(Corpus, HasTheDigestOfEachFile)
{
        const std::string line = R"({"timestamp":"2026-11-23T04:20:11Z","pid":5,"comm":"c","syscall":"read"})";
        char digest[65] = "";
        File file(line + "\n");
        Fifo fifo;
        const std::string command = "sha256sum " + std::string(file.path());
        FILE *sum = popen(command.c_str(), "r");

        ASSERT_NE(sum, nullptr);
        ASSERT_EQ(fscanf(sum, "%64s", digest), 1);
        pclose(sum);
        EXPECT_STREQ(trace_of(read_paths({file.path()}), 0).sha256, digest);
        std::thread writer([&] {
                fifo.put(line + "\n");
                std::this_thread::sleep_for(std::chrono::milliseconds(300));
                fifo.finish();
        });
        Corpus corpus = read_paths({file.path(), fifo.path()});
        writer.join();
        EXPECT_STREQ(trace_of(corpus, 0).sha256, digest);
        EXPECT_STREQ(trace_of(corpus, 1).sha256, "");
        EXPECT_EQ(trace_of(corpus, 1).calls, 1u);
}

TEST(Corpus, TracesMustBeOfOneKind)
{
        const std::string call = Line{0, 5, "read", ",\"tid\":5"}.json(), bare = Line{0, 5, "read", ""}.json();
        File audit(head("audit") + bare), bpf(head("bpf") + call), none(bare),
            some(head("audit", ",\"calls\":\"read,write\"") + bare), both(head("audit") + bare + head("bpf") + call);
        cosmos_corpus_options threads = {};
        std::string text;
        int error;

        EXPECT_EQ(read_paths({bpf.path(), audit.path()}, {}, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EMISMATCH);
        EXPECT_EQ(text, std::string(bpf.path()) + " (bpf) and " + audit.path() +
                            " (audit) are of different sources: train a model for each");
        EXPECT_EQ(read_paths({audit.path(), audit.path(), none.path()}, {}, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EMISMATCH);
        EXPECT_TRUE(contains(text, std::string(none.path()) + " (unknown source)")) << text;
        EXPECT_EQ(read_paths({both.path()}, {}, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EMISMATCH);
        EXPECT_EQ(read_paths({audit.path(), some.path()}, {}, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EMISMATCH);
        EXPECT_EQ(text, std::string(audit.path()) + " and " + some.path() +
                            " hold different sets of calls (cosmos-collect --calls): train a model for each");
        EXPECT_STREQ(cosmos_corpus_call_set(read_paths({some.path(), some.path()}).get()), "read,write");

        /* The unit is that of the first. */
        File tids(call), mixed(call + bare);
        threads.unit = COSMOS_UNIT_NATURAL;
        EXPECT_EQ(read_paths({tids.path(), none.path()}, threads, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EMISMATCH);
        EXPECT_TRUE(contains(text, none.path())) << text;
        EXPECT_FALSE(contains(text, tids.path())) << text;
        EXPECT_EQ(read_paths({mixed.path()}, threads, &error, &text), nullptr);
        EXPECT_EQ(error, -COSMOS_EMISMATCH);
        EXPECT_EQ(calls(read_paths({none.path(), tids.path()}, threads)).size(), 2u);

        /* One that is empty is named. */
        File empty(head("audit"));
        EXPECT_EQ(read_paths({audit.path(), empty.path()}, {}, &error, &text), nullptr);
        EXPECT_EQ(error, -ENODATA);
        EXPECT_TRUE(contains(text, std::string(empty.path()) + ": holds no call")) << text;
}

TEST(Corpus, FindsTheNaturalUnit)
{
        const std::string call = Line{0, 5, "read", ",\"tid\":5"}.json(), bare = Line{0, 5, "read", ""}.json();
        cosmos_corpus_options options = {};

        options.unit = COSMOS_UNIT_NATURAL;
        EXPECT_EQ(cosmos_corpus_unit(read(head("bpf") + call, options).get()), COSMOS_UNIT_THREAD);
        EXPECT_EQ(cosmos_corpus_unit(read(call, options).get()), COSMOS_UNIT_THREAD);
        EXPECT_EQ(cosmos_corpus_unit(read(bare, options).get()), COSMOS_UNIT_PROCESS);
        EXPECT_EQ(cosmos_corpus_unit(read(head("audit") + bare, options).get()), COSMOS_UNIT_PROCESS);
        EXPECT_EQ(cosmos_corpus_unit(read(call).get()), COSMOS_UNIT_PROCESS);
}

TEST(Corpus, KnowsItsImagesAndWhoItsSequencesAre)
{
        std::string trace;

        for (int i = 0; i < 200; i++) {
                std::string id = std::to_string(i % 100);

                id = std::string(64 - id.size(), '0') + id;
                trace += Line{i, i, "read",
                              ",\"container_id\":\"" + id + "\",\"image\":\"i" + std::to_string(i % 100) + "\""}
                             .json();
        }
        trace += R"({"timestamp":"2026-11-23T04:20:12Z","pid":900,"comm":"a name far too long","syscall":"read"})";
        Corpus corpus = read(trace);
        EXPECT_STREQ(cosmos_corpus_image(corpus.get(), 0), "i0");
        EXPECT_STREQ(cosmos_corpus_image(corpus.get(), COSMOS_CORPUS_IMAGES_MAX - 1), "i63");
        EXPECT_EQ(cosmos_corpus_image(corpus.get(), COSMOS_CORPUS_IMAGES_MAX), nullptr);
        EXPECT_STREQ(cosmos_corpus_comm(corpus.get(), 199), "c");
        EXPECT_STREQ(cosmos_corpus_comm(corpus.get(), 200), "a name far too ");
}

/* ---- vocabularies that grow --------------------------------------------------------- */

TEST(Corpus, KeepsPlacesForCallsToCome)
{
        cosmos_corpus_options options = {};
        std::string text;
        int error;

        options.reserve = 2;
        Corpus corpus = read(Line{0, 5, "read", ""}.json() + Line{0, 5, "<reserved-0>", ""}.json(), options);
        EXPECT_EQ(names(corpus),
                  (std::vector<std::string>{"<start>", "<unknown>", "read", "<reserved-0>", "<reserved-1>"}));
        EXPECT_EQ(calls(corpus), (Sequences{{"read", "<unknown>"}}));
        options.reserve = COSMOS_VOCAB_MAX - 3;
        EXPECT_EQ(names(read(Line{0, 5, "read", ""}.json(), options)).size(), COSMOS_VOCAB_MAX);
        options.reserve++;
        EXPECT_EQ(read(Line{0, 5, "read", ""}.json(), options, &error, &text), nullptr);
        EXPECT_EQ(error, -EINVAL);
        EXPECT_TRUE(contains(text, "room for 4093")) << text;
        options.reserve = UINT32_MAX;
        EXPECT_EQ(read(Line{0, 5, "read", ""}.json(), options, &error, &text), nullptr);
        EXPECT_EQ(error, -EINVAL);
}

TEST(Corpus, ExtendsAVocabulary)
{
        const char *const given[] = {"<start>", "<unknown>", "write", "<reserved-0>", "odd", "<reserved-7>"};
        cosmos_vocab *made = nullptr;
        cosmos_corpus_options options = {};
        std::string trace;

        ASSERT_EQ(cosmos_vocab_new(&made, given, 6, nullptr), 0);
        Vocab vocab(made);
        for (const char *name :
             {"brk", "close", "write", "read", "read", "odd", "syscall_999", "brk", "mmap", "<reserved-7>", "read"})
                trace += Line{0, 5, name, ""}.json();
        options.vocab = made;
        options.extend = 1;
        Corpus corpus = read(trace, options);
        EXPECT_EQ(names(corpus), (std::vector<std::string>{"<start>", "<unknown>", "write", "read", "odd", "brk"}));
        EXPECT_EQ(calls(corpus), (Sequences{{"brk", "<unknown>", "write", "read", "read", "odd", "<unknown>", "brk",
                                             "<unknown>", "<unknown>", "read"}}));
        EXPECT_EQ(cosmos_corpus_unplaced(corpus.get()), 2u) << "close and mmap";

        corpus = read(Line{0, 5, "close", ""}.json(), options);
        EXPECT_EQ(names(corpus),
                  (std::vector<std::string>{"<start>", "<unknown>", "write", "close", "odd", "<reserved-7>"}));
        EXPECT_EQ(cosmos_corpus_unplaced(corpus.get()), 0u);
        options.extend = 0;
        EXPECT_EQ(calls(read(Line{0, 5, "close", ""}.json(), options)), (Sequences{{"<unknown>"}}));
}

/* ---- size --------------------------------------------------------------------------- */

namespace
{

/* Bytes that no file stands behind. */
size_t anonymous()
{
        const std::string text = File::read_all("/proc/self/smaps_rollup");
        size_t at = text.find("\nAnonymous:");

        return at == std::string::npos ? 0 : std::stoul(text.substr(at + 11)) * 1024;
}

/* Every eighth call ends a sequence. */
std::string long_trace(int n)
{
        std::string trace;

        trace.reserve(static_cast<size_t>(n) * 100);
        for (int i = 0; i < n; i++)
                trace += Line{i / 10, i % 3, i % 8 == 7 ? "exit_group" : "read", ""}.json();
        return trace;
}

struct Told {
        size_t times = 0;
        uint64_t calls = 0;
        double share = -1;
        int answer = 0;

        static int tell(void *userdata, uint64_t calls, double share)
        {
                Told *t = static_cast<Told *>(userdata);

                EXPECT_GE(calls, t->calls);
                EXPECT_FALSE(share < t->share);
                t->times++;
                t->calls = calls;
                t->share = share;
                return t->answer;
        }
};

} // namespace

TEST(Corpus, StandsInFiles)
{
        File small(long_trace(10000)), large(long_trace(200000));
        cosmos_corpus_options options = {};

        Corpus warm = read_paths({small.path()}, options);
        const size_t before = anonymous();
        if (before == 0)
                GTEST_SKIP() << "this kernel does not say what is anonymous";
        Corpus corpus = read_paths({large.path()}, options);
        const size_t arrays = cosmos_corpus_calls(corpus.get()) * (sizeof(cosmos_token) + sizeof(int64_t));
        EXPECT_EQ(cosmos_corpus_calls(corpus.get()), 200000u);
        EXPECT_LT(anonymous(), before + arrays / 8);
}

TEST(Corpus, SaysThatTheDiskIsFull)
{
        File file(long_trace(100000));
        std::string text;
        int error;
        rlimit limit = {};

        /* A limit stands for a full disk: both are told where room is taken. */
        ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
        const rlimit low = {1536 << 10, limit.rlim_max};
        auto before = signal(SIGXFSZ, SIG_IGN);
        ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
        EXPECT_EQ(read_paths({file.path()}, {}, &error, &text), nullptr);
        setrlimit(RLIMIT_FSIZE, &limit);
        signal(SIGXFSZ, before);
        EXPECT_EQ(error, -EFBIG);
        EXPECT_TRUE(contains(text, "no room in a temporary file")) << text;
        EXPECT_TRUE(contains(text, "TMPDIR")) << text;

        setenv("TMPDIR", "/nowhere/at/all", 1);
        EXPECT_EQ(read_paths({file.path()}, {}, &error, &text), nullptr);
        unsetenv("TMPDIR");
        EXPECT_EQ(error, -ENOENT);
        EXPECT_TRUE(contains(text, "/nowhere/at/all")) << text;
}

TEST(Corpus, TellsHowFarItIs)
{
        const std::string half = long_trace(20000);
        cosmos_corpus_options options = {};
        Told told;
        Fifo fifo;

        options.progress = Told::tell;
        options.userdata = &told;
        std::thread writer([&] {
                fifo.put(half);
                std::this_thread::sleep_for(std::chrono::milliseconds(600));
                fifo.put(half);
                fifo.finish();
        });
        Corpus corpus = read_paths({fifo.path()}, options);
        writer.join();
        EXPECT_EQ(cosmos_corpus_calls(corpus.get()), 40000u);
        EXPECT_GE(told.times, 2u);
        EXPECT_LE(told.times, 20u);
        EXPECT_GE(told.calls, 20000u);
        EXPECT_TRUE(std::isnan(told.share)) << "nobody knows how much is to come";
}

TEST(Corpus, TellsItsShareOfAFileAndCanBeStopped)
{
        File file(long_trace(20000));
        cosmos_corpus_options options = {};
        std::string text;
        int error;
        Told told;

        options.progress = Told::tell;
        options.userdata = &told;
        EXPECT_EQ(cosmos_corpus_calls(read_paths({file.path()}, options).get()), 20000u);
        ASSERT_GE(told.times, 1u) << "the first time is at once";
        EXPECT_GT(told.share, 0);
        EXPECT_LE(told.share, 1);
        told = {};
        told.answer = 1;
        EXPECT_EQ(read_paths({file.path()}, options, &error, &text), nullptr);
        EXPECT_EQ(error, -ECANCELED);
        EXPECT_EQ(told.times, 1u);
}

/* ---- schemes ---------------------------------------------------------------------------- */

TEST(Corpus, TokensHaveTheFieldsOfTheScheme)
{
        const std::string content = Line{0, 1, "read", ",\"ret\":100,\"fd_kind\":\"pipe\""}.json() +
                                    Line{1, 2, "socket", ",\"args\":[\"2\",\"1\"],\"ret\":-97"}.json() +
                                    Line{2, 1, "read", ",\"ret\":9"}.json() +
                                    Line{3, 1, "openat", ",\"ret\":3,\"path\":\"/etc/passwd\""}.json();
        const std::vector<std::pair<const char *, std::vector<std::vector<uint32_t>>>> schemes = {
            {"name,errno,size/half,fd,path,args,frequency/2",
             {{2, 0, 6, 4, 0, 0}, {2, 0, 2, 0, 0, 0}, {3, 0, 0, 0, 2, 0}, {4, 97, 0, 0, 0, 101}}},
            {"name,fd", {{2, 0, 0, 4, 0, 0}, {2, 0, 0, 0, 0, 0}, {3, 0, 0, 0, 0, 0}, {4, 0, 0, 0, 0, 0}}},
        };

        for (const auto &[text, expected] : schemes) {
                cosmos_token_scheme scheme = {};
                cosmos_corpus_options options = {};

                ASSERT_EQ(cosmos_token_scheme_parse(&scheme, text, nullptr), 0);
                options.tokens = &scheme;
                const Corpus corpus = read(content, options);
                const uint32_t *tokens = cosmos_corpus_tokens(corpus.get());
                const float *frequency = cosmos_corpus_frequency(corpus.get());
                const std::vector<float> frequencies = {1, 1, 0.5, 1};

                ASSERT_EQ(names(corpus),
                          (std::vector<std::string>{"<start>", "<unknown>", "read", "openat", "socket"}));
                for (size_t i = 0; i < expected.size(); i++)
                        EXPECT_EQ(std::vector<uint32_t>(tokens + i * COSMOS_TOKEN_FIELDS,
                                                        tokens + (i + 1) * COSMOS_TOKEN_FIELDS),
                                  expected[i])
                            << text << " call " << i;
                ASSERT_EQ(frequency != nullptr, scheme.frequency > 0);
                if (frequency) {
                        EXPECT_EQ(std::vector<float>(frequency, frequency + 4), frequencies);
                }
        }
}
