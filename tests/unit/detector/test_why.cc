/* SPDX-License-Identifier: Apache-2.0 */
/* The most surprising calls of a window, against a plain sort. */
#include "detector/scores.h"

#include <algorithm>
#include <random>

using scores::Detector;
using scores::Rule;
using scores::Surprise;
using support::call;
using support::Event;

namespace
{

struct Recording {
        std::vector<Event> events;
        std::vector<cosmos_token> tokens;
};

/* Calls of one process, with all that a surprise can tell. */
Recording some_run(size_t n, uint32_t seed)
{
        static const char *const names[] = {"read", "write", "openat", "close", "ptrace"};
        std::mt19937 random(seed);
        Recording run;

        for (size_t i = 0; i < n; i++) {
                Event e = call(5, names[random() % 5], static_cast<int64_t>(i));

                if (random() % 2) {
                        (*e).known |= COSMOS_KNOWN_RET;
                        (*e).ret = static_cast<int64_t>(random() % 100) - 50;
                }
                (*e).known |= COSMOS_KNOWN_SEQ;
                (*e).seq = 100 + i;
                if (random() % 4 == 0)
                        (*e).path = e.keep("/path" + std::to_string(i));
                if (random() % 4 == 0)
                        (*e).argv = e.keep("argv " + std::to_string(i));
                if (random() % 4 == 0)
                        (*e).addr = e.keep("addr" + std::to_string(i));
                run.tokens.push_back(scores::token(e->syscall));
                run.events.push_back(e);
        }
        return run;
}

Surprise surprise(const Recording &run, const scores::Steps &steps, size_t i)
{
        const cosmos_event &e = *static_cast<const cosmos_event *>(run.events[i]);
        std::vector<uint32_t> ids;
        Surprise out = {e.syscall,
                        e.argv   ? e.argv
                        : e.path ? e.path
                        : e.addr ? e.addr
                                 : "",
                        static_cast<double>(steps.nll[i]),
                        e.timestamp,
                        e.ret,
                        e.seq,
                        (e.known & COSMOS_KNOWN_RET) != 0,
                        {}};

        for (uint32_t id = 1; id < scores::NAMES.size(); id++) /* all but <start> */
                ids.push_back(id);
        std::stable_sort(ids.begin(), ids.end(),
                         [&](uint32_t a, uint32_t b) { return steps.logp[i][a] > steps.logp[i][b]; });
        for (size_t k = 0; k < 3; k++)
                out.expected.emplace_back(scores::NAMES[ids[k]], std::exp(static_cast<double>(steps.logp[i][ids[k]])));
        return out;
}

/* The `keep` most surprising of calls first .. end-1, equal ones in their order. */
std::vector<Surprise> top(const Recording &run, const scores::Steps &steps, size_t first, size_t end, size_t keep)
{
        std::vector<size_t> calls;
        std::vector<Surprise> out;

        for (size_t i = first; i < end; i++)
                calls.push_back(i);
        std::stable_sort(calls.begin(), calls.end(), [&](size_t a, size_t b) { return steps.nll[a] > steps.nll[b]; });
        for (size_t i = 0; i < std::min(keep, calls.size()); i++)
                out.push_back(surprise(run, steps, calls[i]));
        return out;
}

void expect_same(const Surprise &a, const Surprise &b)
{
        EXPECT_EQ(a.seq, b.seq);
        EXPECT_EQ(a.syscall, b.syscall);
        EXPECT_EQ(a.detail, b.detail);
        EXPECT_EQ(a.nll, b.nll);
        EXPECT_EQ(a.timestamp, b.timestamp);
        EXPECT_EQ(a.has_ret, b.has_ret);
        EXPECT_TRUE(!b.has_ret || a.ret == b.ret);
        ASSERT_EQ(a.expected.size(), b.expected.size());
        for (size_t i = 0; i < b.expected.size(); i++) {
                EXPECT_EQ(a.expected[i].first, b.expected[i].first);
                EXPECT_NEAR(a.expected[i].second, b.expected[i].second, 1e-6);
                EXPECT_TRUE(a.expected[i].second >= 0 && a.expected[i].second <= 1);
        }
}

} // namespace

TEST(Why, OfEachWindowAtAHopIsExact)
{
        static const struct {
                uint32_t window, hop, keep;
        } rules[] = {{10, 5, 1},  {10, 5, 3}, {10, 10, 3},  {10, 1, 2}, {10, 3, 4},
                     {12, 4, 16}, {1, 1, 1},  {100, 50, 5}, {3, 2, 16}};

        for (const auto &r : rules) {
                Rule rule;
                cosmos_detector_options options = {};

                SCOPED_TRACE("window " + std::to_string(r.window) + " hop " + std::to_string(r.hop));
                rule.window = r.window;
                rule.hop = r.hop;
                options.why = r.keep;
                blob::Model model = scores::model(rule);
                Detector d(model.get(), options);
                Recording run = some_run(333, r.window);
                for (const Event &e : run.events)
                        ASSERT_EQ(d.feed(e), 0);
                const scores::Steps steps = scores::predict(model.get(), run.tokens);
                ASSERT_EQ(d.scores.size(), (333 - r.window) / r.hop + 1);
                for (const scores::Score &s : d.scores) {
                        std::vector<Surprise> expected = top(run, steps, s.s.calls - r.window, s.s.calls, r.keep);

                        ASSERT_EQ(s.why.size(), expected.size());
                        for (size_t i = 0; i < expected.size(); i++)
                                expect_same(s.why[i], expected[i]);
                }
        }
}

TEST(Why, OfAShortSequenceIsExact)
{
        for (size_t n : {1, 2, 5, 9}) {
                blob::Model model = scores::model();
                cosmos_detector_options options = {};

                options.why = 4;
                Detector d(model.get(), options);
                Recording run = some_run(n, static_cast<uint32_t>(n));
                for (const Event &e : run.events)
                        ASSERT_EQ(d.feed(e), 0);
                ASSERT_EQ(d.feed(nullptr), 0);
                std::vector<Surprise> expected = top(run, scores::predict(model.get(), run.tokens), 0, n, 4);
                ASSERT_EQ(d.scores.size(), 1u);
                ASSERT_EQ(d.scores[0].why.size(), std::min<size_t>(n, 4));
                for (size_t i = 0; i < expected.size(); i++)
                        expect_same(d.scores[0].why[i], expected[i]);
        }
}

/* The last window need not begin with a segment: what is told is of it, and in order. */
TEST(Why, OfTheRemainderIsOfItsWindow)
{
        for (size_t n = 11; n < 60; n++) {
                Rule rule;
                cosmos_detector_options options = {};

                rule.hop = 4;
                options.why = 3;
                blob::Model model = scores::model(rule);
                Detector d(model.get(), options);
                Recording run = some_run(n, static_cast<uint32_t>(n));
                for (const Event &e : run.events)
                        ASSERT_EQ(d.feed(e), 0);
                const size_t before = d.scores.size();
                ASSERT_EQ(d.feed(nullptr), 0);
                if (d.scores.size() == before)
                        continue;
                const scores::Score &s = d.scores.back();
                const scores::Steps steps = scores::predict(model.get(), run.tokens);
                ASSERT_EQ(s.why.size(), 3u);
                for (size_t i = 0; i < 3; i++) {
                        ASSERT_TRUE(s.why[i].seq >= 100 + n - 10 && s.why[i].seq < 100 + n);
                        expect_same(s.why[i], surprise(run, steps, s.why[i].seq - 100));
                        EXPECT_TRUE(i == 0 || s.why[i - 1].nll >= s.why[i].nll);
                }
        }
}

/* Where no call of a segment is left out, nothing can be hidden. */
TEST(Why, OfTheRemainderIsExactWhereAllCallsAreKept)
{
        for (size_t n = 11; n < 60; n++) {
                Rule rule;
                cosmos_detector_options options = {};

                rule.hop = 4;
                options.why = COSMOS_WHY_MAX;
                blob::Model model = scores::model(rule);
                Detector d(model.get(), options);
                Recording run = some_run(n, static_cast<uint32_t>(n));
                for (const Event &e : run.events)
                        ASSERT_EQ(d.feed(e), 0);
                ASSERT_EQ(d.feed(nullptr), 0);
                std::vector<Surprise> expected = top(run, scores::predict(model.get(), run.tokens), n - 10, n, 10);
                ASSERT_EQ(d.scores.back().why.size(), 10u);
                for (size_t i = 0; i < 10; i++)
                        expect_same(d.scores.back().why[i], expected[i]);
        }
}

/* One call again and again: soon each is as likely as the one before it. */
TEST(Why, OfEquallySurprisingCallsTheFirstOnes)
{
        blob::Model model = scores::model();
        cosmos_detector_options options = {};
        Recording run;

        options.why = 3;
        Detector d(model.get(), options);
        for (size_t i = 0; i < 400; i++) {
                Event e = call(5, "read", static_cast<int64_t>(i));

                (*e).known |= COSMOS_KNOWN_SEQ;
                (*e).seq = 100 + i;
                run.events.push_back(e);
                run.tokens.push_back(scores::token("read"));
                ASSERT_EQ(d.feed(e), 0);
        }
        const scores::Steps steps = scores::predict(model.get(), run.tokens);
        ASSERT_EQ(steps.nll[380], steps.nll[399]) << "they are not equal: this tests nothing";
        for (const scores::Score &s : d.scores) {
                std::vector<Surprise> expected = top(run, steps, s.s.calls - 10, s.s.calls, 3);

                for (size_t i = 0; i < 3; i++)
                        expect_same(s.why[i], expected[i]);
        }
}

TEST(Why, IsNotGivenUnlessAskedFor)
{
        blob::Model model = scores::model();
        Detector d(model.get());

        for (int i = 0; i < 10; i++)
                d.feed(call(5, "read"));
        ASSERT_EQ(d.scores.size(), 1u);
        EXPECT_EQ(d.scores[0].s.n_why, 0u);
}

TEST(Why, IsOfTheCallsBeforeALossToo)
{
        blob::Model model = scores::model();
        cosmos_detector_options options = {};

        options.why = 3;
        Detector d(model.get(), options);
        Recording run = some_run(4, 1);
        for (const Event &e : run.events)
                d.feed(e);
        d.feed(support::other(COSMOS_EVENT_LOSS));
        ASSERT_EQ(d.scores.size(), 1u);
        EXPECT_EQ(d.scores[0].s.verdict, COSMOS_INDETERMINATE);
        std::vector<Surprise> expected = top(run, scores::predict(model.get(), run.tokens), 0, 4, 3);
        ASSERT_EQ(d.scores[0].why.size(), 3u);
        for (size_t i = 0; i < 3; i++)
                expect_same(d.scores[0].why[i], expected[i]);
}

TEST(Why, ALongDetailIsCut)
{
        blob::Model model = scores::model();
        cosmos_detector_options options = {};
        Event e = call(5, std::string(500, 's'));

        options.why = 1;
        Detector d(model.get(), options);
        (*e).argv = e.keep(std::string(5000, 'a'));
        d.feed(e);
        d.feed(nullptr);
        ASSERT_EQ(d.scores.size(), 1u);
        ASSERT_EQ(d.scores[0].why.size(), 1u);
        EXPECT_GE(d.scores[0].why[0].detail.size(), 100u);
        EXPECT_EQ(d.scores[0].why[0].detail, std::string(d.scores[0].why[0].detail.size(), 'a'));
        EXPECT_EQ(d.scores[0].why[0].syscall, std::string(d.scores[0].why[0].syscall.size(), 's'));
}
