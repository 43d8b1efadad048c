/* SPDX-License-Identifier: Apache-2.0 */
/* A small model, a detector whose scores are kept, and scores as texts. */
#ifndef COSMOS_TEST_SCORES_H
#define COSMOS_TEST_SCORES_H

#include "predictor/blob.h"
#include "support.h"

#include <cosmos/detector.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace scores
{

inline const std::vector<std::string> NAMES = {"<start>", "<unknown>", "read",      "write",
                                               "openat",  "close",     "exit_group"};

struct Rule {
        uint32_t window = 10, hop = 5;
        double prior_count = 0, prior_mean = 0;
        std::optional<double> threshold = 1.9;
        std::string unit = "process", source = "", calls = "";
        std::string tokens = "name";
};

inline blob::Model model(const Rule &rule = Rule())
{
        blob::Options options;

        options.vocab = static_cast<uint32_t>(NAMES.size());
        options.layers = {5};
        options.embedding = 3;
        options.tokens = rule.tokens;
        options.scale = 1.5; /* so that the calls differ in likelihood */
        blob::Blob b(options);
        std::string vocab = "[";

        for (const std::string &name : NAMES)
                vocab += (vocab.size() > 1 ? ",\"" : "\"") + name + "\"";
        b.set("vocab", vocab + "]");
        b.set("window", std::to_string(rule.window));
        b.set("hop", std::to_string(rule.hop));
        b.set("prior_count", std::to_string(rule.prior_count));
        b.set("prior_mean", std::to_string(rule.prior_mean));
        b.set("unit", rule.unit);
        if (rule.threshold)
                b.set("threshold", std::to_string(*rule.threshold));
        if (!rule.source.empty())
                b.set("source", rule.source);
        if (!rule.calls.empty())
                b.set("calls", rule.calls);
        return blob::load(b.bytes());
}

struct Surprise {
        std::string syscall, detail;
        double nll;
        int64_t timestamp, ret;
        uint64_t seq;
        bool has_ret;
        std::vector<std::pair<std::string, double>> expected;
};

/* A score that owns its strings. */
struct Score {
        cosmos_score s;
        std::string end, key, comm, exe, model;
        std::vector<Surprise> why;

        explicit Score(const cosmos_score &score)
            : s(score), end(score.end ? score.end : ""), comm(support::text_of(score.comm)),
              exe(support::text_of(score.exe)), model(support::text_of(score.model))
        {
                key = support::text_of(s.container_id) + support::text_of(s.container_name) +
                      support::text_of(s.image) + " pid " + std::to_string(s.pid);
                if (s.known & COSMOS_KNOWN_TID)
                        key += " tid " + std::to_string(s.tid);
                if (s.known & COSMOS_KNOWN_PROC_START)
                        key += " start " + std::to_string(s.proc_start);
                for (size_t i = 0; i < score.n_why; i++) {
                        const cosmos_surprise &w = score.why[i];
                        Surprise one = {w.syscall, w.detail ? w.detail : "", w.nll, w.timestamp, w.ret,
                                        w.seq,     w.has_ret != 0,           {}};

                        for (size_t e = 0; e < COSMOS_WHY_EXPECTED && w.expected[e]; e++)
                                one.expected.emplace_back(w.expected[e], w.expected_p[e]);
                        why.push_back(one);
                }
        }

        /* Every bit of it. */
        std::string text() const
        {
                char number[64];
                std::string out =
                    std::string(cosmos_verdict_name(s.verdict)) + " " + end + " " + key + " " + comm + exe;
                auto bits = [&](double v) {
                        snprintf(number, sizeof(number), " %a", v);
                        out += number;
                };

                bits(s.score);
                bits(s.threshold);
                for (uint64_t n : {static_cast<uint64_t>(s.timestamp), uint64_t{s.timestamp_digits}, s.first_seq,
                                   s.last_seq, uint64_t{s.window}, s.calls})
                        out += " " + std::to_string(n);
                for (const Surprise &w : why) {
                        out += " [" + w.syscall + " " + w.detail + " " + std::to_string(w.timestamp) + " " +
                               std::to_string(w.seq) + (w.has_ret ? " ret " + std::to_string(w.ret) : "");
                        bits(w.nll);
                        for (const auto &[name, p] : w.expected) {
                                out += " " + name;
                                bits(p);
                        }
                        out += "]";
                }
                return out;
        }
};

/* A sink that keeps scores; fails with `answer` while that is not 0. */
class Kept
{
      public:
        Kept()
        {
                cosmos_sink_callbacks callbacks = {};

                callbacks.size = sizeof(callbacks);
                callbacks.score = [](void *userdata, const cosmos_score *score) {
                        static_cast<Kept *>(userdata)->scores.emplace_back(*score);
                        return static_cast<Kept *>(userdata)->answer;
                };
                callbacks.userdata = this;
                EXPECT_EQ(cosmos_sink_new_callback(&sink, &callbacks, nullptr), 0);
        }
        ~Kept()
        {
                cosmos_sink_free(sink);
        }
        Kept(const Kept &) = delete;
        Kept &operator=(const Kept &) = delete;

        cosmos_sink *sink = nullptr;
        std::vector<Score> scores;
        int answer = 0;
};

class Detector
{
      public:
        explicit Detector(cosmos_model *model, cosmos_detector_options options = {})
        {
                options.size = sizeof(options);
                EXPECT_EQ(cosmos_detector_new(&d, model, kept.sink, &options, &diag), 0) << diag.text;
        }
        ~Detector()
        {
                EXPECT_EQ(cosmos_detector_free(d), nullptr);
        }
        int feed(const cosmos_event *event)
        {
                return cosmos_detector_feed(d, event, &diag);
        }
        cosmos_detector_stats stats() const
        {
                cosmos_detector_stats s = {};

                s.size = sizeof(s);
                cosmos_detector_get_stats(d, &s);
                return s;
        }

        Kept kept;
        std::vector<Score> &scores = kept.scores;
        cosmos_detector *d = nullptr;
        cosmos_diag diag = {""};
};

/* What the predictor alone says of one sequence. */
struct Steps {
        std::vector<float> nll;
        std::vector<std::vector<float>> logp;
};

inline Steps predict(cosmos_model *model, const std::vector<cosmos_token> &tokens)
{
        blob::Predictor predictor = blob::predictor_of(model);
        blob::Session session = blob::session_of(model);
        cosmos_session *one = session.get();
        Steps out;

        for (const cosmos_token &token : tokens) {
                std::vector<float> logp(NAMES.size());
                float nll;

                EXPECT_EQ(cosmos_predictor_step(predictor.get(), &one, &token, 1, &nll, logp.data()), 0);
                out.nll.push_back(nll);
                out.logp.push_back(logp);
        }
        return out;
}

inline cosmos_token token(const std::string &name, uint32_t error = 0)
{
        cosmos_token out = {};

        out.field[COSMOS_TOKEN_NAME] = COSMOS_VOCAB_UNKNOWN;
        for (uint32_t id = 2; id < NAMES.size(); id++)
                if (NAMES[id] == name)
                        out.field[COSMOS_TOKEN_NAME] = id;
        out.field[COSMOS_TOKEN_ERRNO] = error;
        return out;
}

} // namespace scores

#endif
