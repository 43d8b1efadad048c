/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence/steps.h"

#include <cosmos/error.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <random>

using support::contains;
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

Corpus read(const std::string &content, cosmos_corpus_options options = {}, int *error = nullptr,
            std::string *text = nullptr)
{
        File file(content);
        cosmos_corpus *corpus = nullptr;
        cosmos_diag diag = {""};
        int r;

        options.size = sizeof(options);
        r = cosmos_corpus_read(&corpus, file.path(), &options, &diag);
        if (error)
                *error = r;
        else
                EXPECT_EQ(r, 0) << diag.text;
        if (text)
                *text = diag.text;
        EXPECT_EQ(corpus != nullptr, r == 0);
        return Corpus(corpus);
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
        const std::string head = R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace","format":1,"source":"audit"})";

        EXPECT_STREQ(cosmos_corpus_source(read(head + "\n" + Line{0, 5, "read", ""}.json()).get()), "audit");
        EXPECT_STREQ(cosmos_corpus_source(read(Line{0, 5, "read", ""}.json()).get()), "");
}

TEST(Corpus, SaysWhyThereIsNone)
{
        const std::string exit = R"({"timestamp":"2026-11-23T04:20:11Z","type":"container_stop","container_id":"c"})";
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
        EXPECT_EQ(cosmos_corpus_read(&corpus, "/nowhere/trace", nullptr, nullptr), -ENOENT);
        EXPECT_EQ(cosmos_corpus_read(&corpus, "/nowhere/trace", &options, nullptr), -EINVAL);
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
