/* SPDX-License-Identifier: Apache-2.0 */
/* The same events give the same scores, bit by bit, whichever way they come. */
#include "detector/scores.h"

#include <cosmos/collector.h>
#include <cosmos/container.h>
#include <cosmos/sink.h>

#include <random>

using scores::Detector;
using support::Event;
using support::File;

namespace
{

std::vector<Event> some_events(uint32_t seed, int n = 3000)
{
        static const char *const names[] = {"read", "write", "openat", "close", "ptrace", "exit_group"};
        static const char *const comms[] = {"sh", "bash", "mariadbd"};
        std::mt19937 random(seed);
        std::vector<Event> out;
        Event head = support::other(COSMOS_EVENT_TRACE);

        (*head).source = "audit";
        out.push_back(head);
        for (int i = 0; i < n; i++) {
                Event e =
                    support::call(static_cast<int>(random() % 6 + 1), names[std::min<uint32_t>(random() % 40, 5)], i);

                if (random() % 400 == 0)
                        e = support::other(COSMOS_EVENT_LOSS, i);
                else if (random() % 400 == 0)
                        e = support::other(COSMOS_EVENT_CONTAINER_STOP, i);
                (*e).timestamp += random() % 1000000;
                (*e).timestamp_digits = 9;
                if (e->type == COSMOS_EVENT_CONTAINER_STOP || (e->type == COSMOS_EVENT_CALL && random() % 2))
                        (*e).container_id = random() % 2 ? "aaaa" : "bbbb";
                if (e->type == COSMOS_EVENT_CALL) {
                        (*e).known |= COSMOS_KNOWN_SEQ | COSMOS_KNOWN_RET | COSMOS_KNOWN_PROC_START;
                        (*e).seq = static_cast<uint64_t>(i);
                        (*e).ret = static_cast<int64_t>(random() % 200) - 100;
                        (*e).proc_start = static_cast<uint64_t>(e->pid) * 100;
                        (*e).path = "/some/path";
                        (*e).comm = comms[random() % 3]; /* that of a score is that of its last call */
                }
                out.push_back(e);
        }
        return out;
}

scores::Rule rule()
{
        scores::Rule r;

        r.tokens = "name,errno";
        r.prior_count = 3;
        r.prior_mean = 1.1;
        r.hop = 3;
        r.source = "audit";
        return r;
}

cosmos_detector_options with_why()
{
        cosmos_detector_options options = {};

        options.why = 5;
        return options;
}

std::vector<std::string> texts(const std::vector<scores::Score> &all)
{
        std::vector<std::string> out;

        for (const scores::Score &s : all)
                out.push_back(s.text());
        return out;
}

std::vector<std::string> fed(cosmos_model *model, const std::vector<Event> &events,
                             const cosmos_detector_options &options)
{
        Detector d(model, options);

        for (const Event &e : events)
                EXPECT_EQ(d.feed(e), 0) << d.diag.text;
        EXPECT_EQ(d.feed(nullptr), 0);
        return texts(d.scores);
}

std::string trace_of(const std::vector<Event> &events)
{
        cosmos_sink *sink = nullptr;
        File file;
        int fd = open(file.path(), O_WRONLY | O_CLOEXEC);

        EXPECT_EQ(cosmos_sink_new_jsonl(&sink, fd, nullptr), 0);
        for (const Event &e : events)
                EXPECT_EQ(cosmos_sink_write_event(sink, e, nullptr), 0);
        EXPECT_EQ(cosmos_sink_flush(sink, nullptr), 0);
        cosmos_sink_free(sink);
        close(fd);
        return file.read();
}

/* A replay and a resolver of replays over it. */
struct Source {
        cosmos_collector *collector = nullptr;
        cosmos_resolver *resolver = nullptr;

        explicit Source(const char *path)
        {
                cosmos_resolver_options options = {};
                cosmos_diag diag = {""};

                options.size = sizeof(options);
                EXPECT_EQ(cosmos_collector_open_replay(&collector, path, nullptr, &diag), 0) << diag.text;
                EXPECT_EQ(cosmos_resolver_new(&resolver, &options, &diag), 0) << diag.text;
        }
        ~Source()
        {
                cosmos_resolver_free(resolver);
                cosmos_collector_free(collector);
        }
};

} // namespace

/* step by step, or many at a time */
TEST(SameScores, FedOrReplayedFromAFileOrAPipe)
{
        for (uint32_t seed = 0; seed < 6; seed++) {
                const cosmos_detector_options options = seed % 2 ? with_why() : cosmos_detector_options{};
                blob::Model model = scores::model(rule());
                std::vector<Event> events = some_events(seed);
                std::vector<std::string> direct = fed(model.get(), events, options);
                const std::string trace = trace_of(events);

                ASSERT_GT(direct.size(), 500u);
                {
                        File file(trace);
                        Source source(file.path());
                        Detector d(model.get(), options);

                        EXPECT_EQ(cosmos_detector_run(d.d, source.collector, source.resolver, &d.diag), 2)
                            << d.diag.text;
                        EXPECT_EQ(texts(d.scores), direct);
                        EXPECT_EQ(cosmos_detector_run(d.d, source.collector, source.resolver, &d.diag), 2);
                        EXPECT_EQ(d.scores.size(), direct.size()) << "the end is the end";
                }
                {
                        support::Fifo pipe;
                        Source source(pipe.path());
                        Detector d(model.get(), options);

                        for (size_t at = 0; at < trace.size(); at += 3001) {
                                pipe.put(trace.substr(at, 3001));
                                ASSERT_EQ(cosmos_detector_run(d.d, source.collector, source.resolver, &d.diag), 0);
                        }
                        pipe.finish();
                        ASSERT_EQ(cosmos_detector_run(d.d, source.collector, source.resolver, &d.diag), 2);
                        EXPECT_EQ(texts(d.scores), direct);
                }
        }
}

/* More than run() takes at a time, and names that the queue has no room for. */
TEST(SameScores, OfALongTraceWithLongNames)
{
        const std::string long_name(70000, 'n');
        blob::Model model = scores::model(rule());
        std::vector<Event> events = some_events(7, 40000);
        int r, runs = 0;

        for (Event &e : events)
                if (e->container_id && !strcmp(e->container_id, "bbbb") && &e - events.data() < 500)
                        (*e).container_name = long_name.c_str();
        const std::vector<std::string> direct = fed(model.get(), events, {});
        File file(trace_of(events));
        Source source(file.path());
        Detector d(model.get());

        while ((r = cosmos_detector_run(d.d, source.collector, source.resolver, &d.diag)) == 1)
                runs++;
        EXPECT_EQ(r, 2) << d.diag.text;
        EXPECT_GE(runs, 2);
        EXPECT_EQ(texts(d.scores), direct);
}

/* Sequences that are stepped beside others do not change each other. */
TEST(SameScores, WhateverElseIsInTheTrace)
{
        blob::Model model = scores::model(rule());
        std::vector<Event> all = some_events(9), alone;
        std::vector<std::string> together, one;
        Detector d(model.get());

        for (const Event &e : all) {
                if (e->type == COSMOS_EVENT_CALL && e->pid == 3)
                        alone.push_back(e);
                else if (e->type != COSMOS_EVENT_CALL)
                        alone.push_back(e);
                EXPECT_EQ(d.feed(e), 0);
        }
        d.feed(nullptr);
        Detector lone(model.get());
        for (const Event &e : alone)
                EXPECT_EQ(lone.feed(e), 0);
        lone.feed(nullptr);
        for (const scores::Score &s : d.scores)
                if (s.s.pid == 3)
                        together.push_back(s.text());
        EXPECT_EQ(texts(lone.scores), together);
        EXPECT_GT(together.size(), 50u);
}

TEST(SameScores, RunFlushesItsSinkWhenThereIsNoMore)
{
        blob::Model model = scores::model();
        cosmos_sink *sink = nullptr;
        cosmos_detector *d = nullptr;
        support::Fifo pipe;
        Source source(pipe.path());
        std::vector<Event> events;
        File file;
        int fd = open(file.path(), O_WRONLY | O_CLOEXEC);

        for (int i = 0; i < 12; i++)
                events.push_back(support::call(5, "read", i));
        ASSERT_EQ(cosmos_sink_new_jsonl(&sink, fd, nullptr), 0);
        ASSERT_EQ(cosmos_detector_new(&d, model.get(), sink, nullptr, nullptr), 0);
        pipe.put(trace_of(events));
        EXPECT_EQ(cosmos_detector_run(d, source.collector, source.resolver, nullptr), 0);
        const std::string first = file.read();
        EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 1);
        EXPECT_EQ(cosmos_detector_run(d, source.collector, source.resolver, nullptr), 0);
        pipe.finish();
        EXPECT_EQ(cosmos_detector_run(d, source.collector, source.resolver, nullptr), 2);
        const std::string second = file.read();
        EXPECT_EQ(std::count(second.begin(), second.end(), '\n'), 2);
        cosmos_detector_free(d);
        cosmos_sink_free(sink);
        close(fd);
}

TEST(SameScores, RunPassesErrorsOn)
{
        scores::Rule audit = rule();
        blob::Model model = scores::model(audit);
        File empty, bpf(R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace","format":1,"source":"bpf"})");
        {
                Source source(empty.path());
                Detector d(model.get());

                EXPECT_EQ(cosmos_detector_run(d.d, source.collector, source.resolver, &d.diag), -COSMOS_EFORMAT);
                EXPECT_TRUE(support::contains(d.diag.text, "empty")) << d.diag.text;
        }
        Source source(bpf.path());
        Detector d(model.get());
        EXPECT_EQ(cosmos_detector_run(d.d, source.collector, source.resolver, &d.diag), -COSMOS_EMISMATCH);
        EXPECT_TRUE(support::contains(d.diag.text, "bpf")) << d.diag.text;
}
