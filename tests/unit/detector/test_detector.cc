/* SPDX-License-Identifier: Apache-2.0 */
#include "detector/scores.h"

#include <cosmos/error.h>

#include <cerrno>
#include <map>
#include <random>

using scores::Detector;
using scores::Rule;
using support::call;
using support::contains;
using support::Event;
using support::other;

namespace
{

/* Names of calls at random, the same for a seed; none of them ends a process. */
std::vector<std::string> some_calls(size_t n, uint32_t seed = 1)
{
        static const char *const names[] = {"read", "write", "openat", "close", "ptrace"};
        std::mt19937 random(seed);
        std::vector<std::string> out;

        while (out.size() < n)
                out.push_back(names[random() % 5]);
        return out;
}

struct Expected {
        size_t first, end; /* calls first .. end-1 of the sequence */
        std::string why;   /* it ended here */
};

/* The windows of a sequence of `n` calls, by the words of detector.h. */
std::vector<Expected> windows(const Rule &rule, size_t n, const std::string &why)
{
        std::vector<Expected> out;
        size_t scored = 0;

        for (size_t calls = rule.window; calls <= n; calls += rule.hop) {
                out.push_back({calls - rule.window, calls, ""});
                scored = calls;
        }
        if (n > scored)
                out.push_back({n > rule.window ? n - rule.window : 0, n, why});
        return out;
}

double mean(const Rule &rule, const std::vector<float> &nll, const Expected &window)
{
        long double sum = rule.prior_count * rule.prior_mean;

        for (size_t i = window.first; i < window.end; i++)
                sum += nll[i];
        return static_cast<double>(sum / (window.end - window.first + rule.prior_count));
}

void expect_windows(const Rule &rule, size_t n)
{
        blob::Model model = scores::model(rule);
        std::vector<cosmos_token> tokens;
        Detector d(model.get());

        for (const std::string &name : some_calls(n)) {
                Event e = call(5, name, static_cast<int64_t>(tokens.size()));

                (*e).seq = 1000 + tokens.size();
                (*e).known |= COSMOS_KNOWN_SEQ;
                tokens.push_back(scores::token(name));
                ASSERT_EQ(d.feed(e), 0);
        }
        const size_t before_end = d.scores.size();
        ASSERT_EQ(d.feed(nullptr), 0);
        const std::vector<Expected> expected = windows(rule, n, "end_of_trace");
        const std::vector<float> nll = scores::predict(model.get(), tokens).nll;

        ASSERT_EQ(d.scores.size(), expected.size());
        EXPECT_EQ(before_end, expected.size() - (expected.empty() || expected.back().why.empty() ? 0 : 1))
            << "each as soon as its window is full";
        for (size_t i = 0; i < expected.size(); i++) {
                const cosmos_score &s = d.scores[i].s;
                const double score = mean(rule, nll, expected[i]);

                EXPECT_EQ(s.window, expected[i].end - expected[i].first);
                EXPECT_EQ(s.calls, expected[i].end);
                EXPECT_EQ(d.scores[i].end, expected[i].why);
                EXPECT_NEAR(s.score, score, 1e-12 * (1 + score));
                EXPECT_EQ(s.verdict, s.score <= *rule.threshold ? COSMOS_NORMAL : COSMOS_ANOMALOUS);
                EXPECT_EQ(s.first_seq, 1000 + expected[i].first);
                EXPECT_EQ(s.last_seq, 1000 + expected[i].end - 1);
                EXPECT_EQ(s.timestamp, support::T0 + static_cast<int64_t>(expected[i].end - 1) * 1000000);
                EXPECT_EQ(s.timestamp_digits, 3u);
                EXPECT_EQ(s.threshold, *rule.threshold);
        }
}

Event in(Event event, const char *container)
{
        (*event).container_id = event.keep(container);
        (*event).container_name = event.keep(std::string(container) + "-name");
        return event;
}

} // namespace

/* ---- windows --------------------------------------------------------------------------- */

TEST(Detector, ScoresEachHopAndTheRemainder)
{
        static const struct {
                uint32_t window, hop;
        } rules[] = {{10, 5}, {10, 10}, {10, 1}, {10, 3}, {7, 4}, {10, 9}, {1, 1}, {2, 1}, {100, 50}};

        for (const auto &r : rules)
                for (size_t n : {1, 2, 9, 10, 11, 14, 15, 16, 24, 25, 101, 150, 157}) {
                        Rule rule;

                        SCOPED_TRACE("window " + std::to_string(r.window) + " hop " + std::to_string(r.hop) +
                                     " calls " + std::to_string(n));
                        rule.window = r.window;
                        rule.hop = r.hop;
                        expect_windows(rule, n);
                }
}

TEST(Detector, APriorMakesAShortSequenceLessSurprising)
{
        for (double prior_count : {0.5, 8.0, 1000.0}) {
                Rule rule;

                rule.prior_count = prior_count;
                rule.prior_mean = 1.25;
                for (size_t n : {1, 3, 10, 27})
                        expect_windows(rule, n);
        }
}

TEST(Detector, KeepsSequencesApart)
{
        blob::Model model = scores::model();
        std::map<int, std::vector<cosmos_token>> tokens;
        Detector d(model.get());
        Rule rule;
        size_t expected = 0, i = 0;

        for (const std::string &name : some_calls(500)) {
                const int pid = static_cast<int>(i++ % 7);

                tokens[pid].push_back(scores::token(name));
                ASSERT_EQ(d.feed(call(pid, name)), 0);
        }
        ASSERT_EQ(d.feed(nullptr), 0);
        for (const auto &[pid, sequence] : tokens) {
                const std::vector<float> nll = scores::predict(model.get(), sequence).nll;
                const std::vector<Expected> want = windows(rule, sequence.size(), "end_of_trace");
                size_t at = 0;

                for (const scores::Score &s : d.scores)
                        if (s.s.pid == pid) {
                                ASSERT_LT(at, want.size());
                                EXPECT_NEAR(s.s.score, mean(rule, nll, want[at]), 1e-9) << pid;
                                at++;
                        }
                EXPECT_EQ(at, want.size());
                expected += at;
        }
        EXPECT_EQ(d.scores.size(), expected);
}

TEST(Detector, ReadsTheErrnoWhereItsModelDoes)
{
        for (bool with_errno : {false, true}) {
                Rule rule;

                rule.tokens = with_errno ? "name,errno" : "name";
                rule.window = 4;
                rule.hop = 4;
                blob::Model model = scores::model(rule);
                std::vector<cosmos_token> tokens;
                Detector d(model.get());

                for (int64_t ret : {0, -2, 5, -13}) {
                        Event e = call(5, "read");

                        (*e).ret = ret;
                        (*e).known |= COSMOS_KNOWN_RET;
                        tokens.push_back(
                            scores::token("read", with_errno && ret < 0 ? static_cast<uint32_t>(-ret) : 0));
                        ASSERT_EQ(d.feed(e), 0);
                }
                ASSERT_EQ(d.scores.size(), 1u);
                EXPECT_NEAR(d.scores[0].s.score, mean(rule, scores::predict(model.get(), tokens).nll, {0, 4, ""}),
                            1e-12);
        }
}

/* What a sequencer of its own gives by the model's scheme. */
TEST(Detector, ReadsTheFieldsThatItsModelDoes)
{
        for (const char *text : {"name,size/half", "name,errno,size/quarter,fd,path,args,frequency/3"}) {
                Rule rule;

                rule.tokens = text;
                rule.window = 6;
                rule.hop = 6;
                blob::Model model = scores::model(rule);
                cosmos_token_scheme scheme = {};
                std::vector<cosmos_token> tokens;
                cosmos_sequencer *sequencer = nullptr;
                Detector d(model.get());

                ASSERT_EQ(cosmos_token_scheme_parse(&scheme, text, nullptr), 0);
                const cosmos_sequencer_options options = {sizeof(options), COSMOS_UNIT_PROCESS, 0, 0, &scheme};
                ASSERT_EQ(cosmos_sequencer_new(&sequencer, cosmos_model_vocab(model.get()), &options, nullptr), 0);
                for (const auto &[name, ret] : std::vector<std::pair<const char *, int64_t>>{
                         {"openat", 3}, {"read", 4000}, {"read", 70}, {"write", 9}, {"openat", -2}, {"close", 0}}) {
                        cosmos_step step;
                        Event e = call(5, name);

                        (*e).ret = ret;
                        (*e).known |= COSMOS_KNOWN_RET | COSMOS_KNOWN_FD_KIND;
                        (*e).fd_kind = COSMOS_FD_SOCKET;
                        (*e).path = *name == 'o' ? e.keep("/etc/hosts") : nullptr;
                        (*e).n_args = 4;
                        (*e).args[2] = 0x42;
                        ASSERT_EQ(cosmos_sequencer_feed(sequencer, e, nullptr), 0);
                        ASSERT_EQ(cosmos_sequencer_next(sequencer, &step), 1);
                        tokens.push_back(step.token);
                        ASSERT_EQ(cosmos_sequencer_next(sequencer, &step), 0);
                        ASSERT_EQ(d.feed(e), 0);
                }
                cosmos_sequencer_free(sequencer);
                ASSERT_EQ(d.scores.size(), 1u);
                EXPECT_NEAR(d.scores[0].s.score, mean(rule, scores::predict(model.get(), tokens).nll, {0, 6, ""}),
                            1e-12);
        }
}

/* ---- ends ------------------------------------------------------------------------------- */

TEST(Detector, SaysWhyASequenceEnded)
{
        blob::Model model = scores::model();
        cosmos_detector_options options = {};

        options.max_sequences = 2;
        options.idle_ns = 1000 * 1000000;
        Detector d(model.get(), options);
        d.feed(call(1, "read"));
        d.feed(call(1, "exit_group"));
        d.feed(in(call(2, "read"), "aaaa"));
        d.feed(in(other(COSMOS_EVENT_CONTAINER_STOP), "aaaa"));
        d.feed(call(3, "read"));
        d.feed(call(4, "read", 1));
        d.feed(call(5, "read", 1));
        d.feed(call(5, "read", 1500));
        d.feed(nullptr);
        std::vector<std::string> ends;
        for (const scores::Score &s : d.scores)
                ends.push_back(std::to_string(s.s.pid) + " " + s.end + " " + std::to_string(s.s.window));
        EXPECT_EQ(ends, (std::vector<std::string>{"1 exit 2", "2 container_stop 1", "3 evicted 1", "4 idle 1",
                                                  "5 idle 1", "5 end_of_trace 1"}));
        for (const scores::Score &s : d.scores)
                EXPECT_NE(s.s.verdict, COSMOS_INDETERMINATE);
        EXPECT_EQ(d.feed(nullptr), 0);
        EXPECT_EQ(d.scores.size(), 6u) << "once";
}

TEST(Detector, AfterALossTheVerdictIsIndeterminate)
{
        blob::Model model = scores::model(); /* 10, 5 */
        Detector d(model.get());

        for (int i = 0; i < 12; i++)
                d.feed(in(call(5, "read"), "aaaa")); /* scored at 10 */
        for (int i = 0; i < 10; i++)
                d.feed(in(call(6, "read"), "bbbb")); /* nothing since its score */
        for (int i = 0; i < 3; i++)
                d.feed(in(call(7, "read"), "aaaa"));
        ASSERT_EQ(d.scores.size(), 2u);
        d.feed(in(other(COSMOS_EVENT_LOSS), "cccc"));
        EXPECT_EQ(d.scores.size(), 2u) << "of another container";
        d.feed(other(COSMOS_EVENT_LOSS));
        ASSERT_EQ(d.scores.size(), 4u);
        for (size_t i : {2, 3}) {
                EXPECT_EQ(d.scores[i].s.verdict, COSMOS_INDETERMINATE);
                EXPECT_TRUE(std::isnan(d.scores[i].s.score));
                EXPECT_EQ(d.scores[i].end, "loss");
        }
        EXPECT_EQ(d.scores[2].s.pid, 5);
        EXPECT_EQ(d.scores[2].s.calls, 12u);
        EXPECT_EQ(d.scores[3].s.window, 3u);
        EXPECT_EQ(d.stats().indeterminate, 2u);
        EXPECT_EQ(d.stats().losses, 2u);
        /* What comes after is a sequence of its own: as if nothing had been before. */
        for (int i = 0; i < 10; i++)
                d.feed(in(call(5, "read"), "aaaa"));
        ASSERT_EQ(d.scores.size(), 5u);
        EXPECT_EQ(d.scores[4].s.score, d.scores[0].s.score);
        EXPECT_EQ(d.scores[4].s.calls, 10u);
}

TEST(Detector, SaysWhoseAScoreIs)
{
        blob::Model model = scores::model();
        Detector d(model.get());
        Event e = in(call(5, "read"), "aaaa");

        (*e).image = e.keep("image:1");
        (*e).known |= COSMOS_KNOWN_PROC_START | COSMOS_KNOWN_TID;
        (*e).proc_start = 77;
        (*e).tid = 6;
        (*e).comm = e.keep("sh");
        d.feed(e);
        (*e).comm = e.keep("cat");
        (*e).exe = e.keep("/bin/cat");
        d.feed(e);
        d.feed(nullptr);
        ASSERT_EQ(d.scores.size(), 1u);
        EXPECT_EQ(d.scores[0].key, "'aaaa''aaaa-name''image:1' pid 5 start 77") << "no thread: its unit is the process";
        EXPECT_EQ(d.scores[0].comm, "'cat'");
        EXPECT_EQ(d.scores[0].exe, "'/bin/cat'");
        EXPECT_EQ(d.scores[0].model, "'test'");
        EXPECT_EQ(d.scores[0].s.first_seq, 0u) << "not known";
}

/* ---- verdicts ----------------------------------------------------------------------------- */

TEST(Detector, AScoreAtTheThresholdIsNormal)
{
        blob::Model model = scores::model();
        double score;
        {
                Detector d(model.get());

                d.feed(call(5, "read"));
                d.feed(nullptr);
                score = d.scores[0].s.score;
        }
        for (double theta : {score, std::nextafter(score, 0), std::nextafter(score, 100), 0.0, 100.0}) {
                cosmos_threshold *threshold = nullptr;
                cosmos_detector_options options = {};

                ASSERT_EQ(cosmos_threshold_new_fixed(&threshold, theta, nullptr), 0);
                options.threshold = threshold;
                {
                        Detector d(model.get(), options);

                        d.feed(call(5, "read"));
                        d.feed(nullptr);
                        ASSERT_EQ(d.scores.size(), 1u);
                        EXPECT_EQ(d.scores[0].s.verdict, score <= theta ? COSMOS_NORMAL : COSMOS_ANOMALOUS) << theta;
                        EXPECT_EQ(d.scores[0].s.threshold, theta);
                }
                cosmos_threshold_free(threshold);
        }
}

TEST(Detector, NeedsAThreshold)
{
        Rule rule;
        cosmos_detector *d = nullptr;
        cosmos_diag diag = {""};
        scores::Kept kept;

        rule.threshold.reset();
        blob::Model model = scores::model(rule);
        EXPECT_EQ(cosmos_detector_new(&d, model.get(), kept.sink, nullptr, &diag), -EINVAL);
        EXPECT_TRUE(contains(diag.text, "threshold") && contains(diag.text, "test")) << diag.text;
        EXPECT_EQ(d, nullptr);
}

TEST(Detector, RefusesBadOptions)
{
        blob::Model model = scores::model();
        cosmos_detector *d = nullptr;
        cosmos_detector_options options = {};
        scores::Kept kept;

        EXPECT_EQ(cosmos_detector_new(&d, model.get(), kept.sink, &options, nullptr), -EINVAL) << "size 0";
        options.size = sizeof(options);
        options.why = COSMOS_WHY_MAX + 1;
        EXPECT_EQ(cosmos_detector_new(&d, model.get(), kept.sink, &options, nullptr), -EINVAL);
        options.why = 0;
        options.max_sequences = UINT32_MAX;
        EXPECT_EQ(cosmos_detector_new(&d, model.get(), kept.sink, &options, nullptr), -EINVAL);
        EXPECT_EQ(d, nullptr);
        EXPECT_EQ(cosmos_detector_free(nullptr), nullptr);
}

TEST(Detector, RefusesATraceOfAnotherSource)
{
        Rule rule;
        Event head = other(COSMOS_EVENT_TRACE);

        rule.source = "audit";
        for (const auto &[source, fits] : std::vector<std::pair<const char *, bool>>{
                 {"audit", true}, {nullptr, true}, {"bpf", false}, {"audit2", false}, {"", false}}) {
                blob::Model model = scores::model(rule);
                Detector d(model.get());

                (*head).source = source;
                EXPECT_EQ(d.feed(head), fits ? 0 : -COSMOS_EMISMATCH) << support::text_of(source);
                EXPECT_TRUE(fits || contains(d.diag.text, "\"audit\"")) << d.diag.text;
        }
        blob::Model any = scores::model();
        Detector d(any.get());
        (*head).source = "bpf";
        EXPECT_EQ(d.feed(head), 0) << "a model that does not say fits all";
}

TEST(Detector, RefusesATraceOfOtherCalls)
{
        const char *const sets[] = {nullptr, "execve", "connect,execve"};
        Event head = other(COSMOS_EVENT_TRACE);
        Rule rule;

        (*head).source = "bpf";
        for (const char *learnt : {"all", "execve", "connect,execve"})
                for (const char *given : sets) {
                        rule.calls = learnt;
                        blob::Model model = scores::model(rule);
                        Detector d(model.get());
                        bool fits = std::string(learnt) == (given ? given : "all");

                        (*head).calls = given;
                        EXPECT_EQ(d.feed(head), fits ? 0 : -COSMOS_EMISMATCH) << learnt << support::text_of(given);
                        EXPECT_TRUE(fits || contains(d.diag.text, learnt)) << d.diag.text;
                }
        blob::Model any = scores::model();
        Detector d(any.get());
        EXPECT_EQ(d.feed(head), 0) << "a model that does not say fits all";
}

TEST(Detector, RefusesProcessesForAModelOfThreads)
{
        Rule rule;

        rule.unit = "thread";
        blob::Model model = scores::model(rule);
        Detector d(model.get());
        EXPECT_EQ(d.feed(call(5, "read")), -COSMOS_EMISMATCH);
        EXPECT_TRUE(contains(d.diag.text, "thread")) << d.diag.text;
        Event e = call(5, "read");
        (*e).tid = 6;
        (*e).known |= COSMOS_KNOWN_TID;
        EXPECT_EQ(d.feed(e), 0);
        EXPECT_EQ(d.feed(nullptr), 0);
        ASSERT_EQ(d.scores.size(), 1u);
        EXPECT_EQ(d.scores[0].s.tid, 6);
        EXPECT_TRUE(d.scores[0].s.known & COSMOS_KNOWN_TID);
}

/* ---- the rest ------------------------------------------------------------------------------ */

TEST(Detector, GoesOnAfterItsSinkHasFailed)
{
        blob::Model model = scores::model();
        Detector good(model.get()), d(model.get());

        for (int i = 0; i < 40; i++) {
                Event e = call(5 + i % 3, i == 30 ? "exit_group" : "read");

                d.kept.answer = i >= 25 && i < 33 ? -EIO : 0;
                const size_t before = d.scores.size();
                const int r = d.feed(e);
                EXPECT_EQ(r, d.scores.size() > before ? d.kept.answer : 0);
                EXPECT_EQ(good.feed(e), 0);
        }
        d.kept.answer = -EIO;
        EXPECT_EQ(d.feed(nullptr), -EIO);
        EXPECT_EQ(good.feed(nullptr), 0);
        d.kept.answer = 0;
        EXPECT_EQ(d.feed(call(9, "read")), 0);
        EXPECT_EQ(d.stats().open, 1u) << "all that had ended is over";
        ASSERT_EQ(d.scores.size(), good.scores.size());
        for (size_t i = 0; i < d.scores.size(); i++)
                EXPECT_EQ(d.scores[i].text(), good.scores[i].text());
}

TEST(Detector, HoldsItsModel)
{
        blob::Model model = scores::model();
        Detector d(model.get());

        model.reset();
        for (int i = 0; i < 10; i++)
                EXPECT_EQ(d.feed(call(5, "read")), 0);
        ASSERT_EQ(d.scores.size(), 1u);
        EXPECT_EQ(d.scores[0].model, "'test'");
        d.feed(call(6, "read")); /* and may be freed with sequences open */
}

TEST(Detector, Counts)
{
        blob::Model model = scores::model();
        cosmos_threshold *threshold = nullptr;
        cosmos_detector_options options = {};
        std::mt19937 random(41);
        std::map<int, bool> open;
        std::map<int, int> generation;
        std::map<std::pair<int, int>, bool> anomalous;
        cosmos_detector_stats want = {}, got;

        ASSERT_EQ(cosmos_threshold_new_fixed(&threshold, 2.2, nullptr), 0);
        options.threshold = threshold;
        Detector d(model.get(), options);
        for (const std::string &name : some_calls(3000, 5)) {
                const int pid = static_cast<int>(random() % 5);
                const uint32_t what = random() % 200;
                const size_t before = d.scores.size();
                const int era = generation[pid];

                if (what == 0) {
                        ASSERT_EQ(d.feed(other(COSMOS_EVENT_LOSS)), 0);
                        want.losses++;
                        for (auto &[p, is_open] : open) {
                                generation[p] += is_open;
                                is_open = false;
                        }
                } else {
                        const bool exit = what == 1;

                        want.calls++;
                        want.sequences += !open[pid];
                        want.unknown_calls += !exit && name == "ptrace";
                        open[pid] = !exit;
                        generation[pid] += exit;
                        ASSERT_EQ(d.feed(call(pid, exit ? "exit_group" : name)), 0);
                }
                for (size_t i = before; i < d.scores.size(); i++) {
                        const scores::Score &s = d.scores[i];

                        want.normal += s.s.verdict == COSMOS_NORMAL;
                        want.anomalous += s.s.verdict == COSMOS_ANOMALOUS;
                        want.indeterminate += s.s.verdict == COSMOS_INDETERMINATE;
                        if (s.s.verdict == COSMOS_ANOMALOUS)
                                want.anomalous_sequences += !std::exchange(anomalous[{pid, era}], true);
                }
        }
        for (const auto &[pid, is_open] : open)
                want.open += is_open;
        got = d.stats();
        EXPECT_EQ(got.calls, want.calls);
        EXPECT_EQ(got.unknown_calls, want.unknown_calls);
        EXPECT_EQ(got.sequences, want.sequences);
        EXPECT_EQ(got.open, want.open);
        EXPECT_EQ(got.losses, want.losses);
        EXPECT_EQ(got.normal, want.normal);
        EXPECT_EQ(got.anomalous, want.anomalous);
        EXPECT_EQ(got.indeterminate, want.indeterminate);
        EXPECT_EQ(got.anomalous_sequences, want.anomalous_sequences);
        EXPECT_GT(want.normal, 10u);
        EXPECT_GT(want.anomalous, 10u) << "a threshold that tells nothing apart tests nothing";
        EXPECT_GT(want.indeterminate, 10u);
        cosmos_threshold_free(threshold);
}
