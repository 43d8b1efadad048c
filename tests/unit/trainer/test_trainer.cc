/* SPDX-License-Identifier: Apache-2.0 */
#include "../support.h"

#include <cosmos/cosmos.h>

#include <malloc.h>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <set>

using support::contains;
using support::File;

namespace
{

template <auto FREE> struct Free {
        template <typename T> void operator()(T *object) const
        {
                FREE(object);
        }
};
using Corpus = std::unique_ptr<cosmos_corpus, Free<cosmos_corpus_free>>;
using Trainer = std::unique_ptr<cosmos_trainer, Free<cosmos_trainer_free>>;
using Model = std::unique_ptr<cosmos_model, Free<cosmos_model_unref>>;

std::string line(int64_t ms, int pid, const std::string &syscall)
{
        char time[64];

        snprintf(time, sizeof(time), "2026-11-23T%02d:%02d:%02d.%03dZ", static_cast<int>(4 + ms / 3600000),
                 static_cast<int>(ms / 60000 % 60), static_cast<int>(ms / 1000 % 60), static_cast<int>(ms % 1000));
        return "{\"timestamp\":\"" + std::string(time) + "\",\"pid\":" + std::to_string(pid) +
               ",\"comm\":\"server\",\"syscall\":\"" + syscall + "\"}\n";
}

// Processes that do the same round of calls, a few of them each twice by a rule that a longer past tells.
std::string rounds(size_t calls, const std::vector<std::string> &round = {"read", "write", "read", "close", "openat"})
{
        std::string trace;

        for (size_t i = 0; i < calls; i++)
                trace +=
                    line(static_cast<int64_t>(i), static_cast<int>(100 + i / 300), round[(i + i / 7) % round.size()]);
        return trace;
}

Corpus read(const std::string &trace, cosmos_corpus_options options = {})
{
        File file(trace);
        const char *path = file.path();
        cosmos_corpus *corpus = nullptr;
        cosmos_diag diag = {""};

        options.size = sizeof(options);
        if (!options.vocab)
                options.reserve = 4;
        EXPECT_EQ(cosmos_corpus_read(&corpus, &path, 1, &options, &diag), 0) << diag.text;
        return Corpus(corpus);
}

cosmos_trainer_options small()
{
        cosmos_trainer_options options;

        cosmos_trainer_options_init(&options);
        options.embedding = 6;
        options.units[0] = 12;
        options.batch = 8;
        options.length = 25;
        options.epochs = 6;
        options.epoch_chunks = 200;
        options.learning_rate = 0.03;
        options.window = 20;
        options.hop = 10;
        options.threads = 1;
        options.keep = 1000;
        return options;
}

int try_make(Trainer &ret, const Corpus &corpus, const cosmos_trainer_options &options, std::string *text = nullptr)
{
        cosmos_trainer *trainer = nullptr;
        cosmos_diag diag = {""};
        const int r = cosmos_trainer_new(&trainer, corpus.get(), &options, &diag);

        EXPECT_EQ(trainer != nullptr, r == 0);
        ret.reset(trainer);
        if (text)
                *text = diag.text;
        return r;
}

Trainer make(const Corpus &corpus, const cosmos_trainer_options &options)
{
        Trainer trainer;
        std::string text;

        EXPECT_EQ(try_make(trainer, corpus, options, &text), 0) << text;
        return trainer;
}

cosmos_trainer_progress progress(const Trainer &trainer)
{
        cosmos_trainer_progress p = {};

        p.size = sizeof(p);
        cosmos_trainer_get_progress(trainer.get(), &p);
        return p;
}

cosmos_trainer_report report(const Trainer &trainer)
{
        cosmos_trainer_report r = {};

        r.size = sizeof(r);
        cosmos_trainer_get_report(trainer.get(), &r);
        return r;
}

/* As far as it goes, or until `enough`; the number of steps. */
size_t run(const Trainer &trainer, size_t enough = SIZE_MAX)
{
        cosmos_diag diag = {""};

        for (size_t i = 0; i < enough; i++) {
                const int r = cosmos_trainer_run(trainer.get(), &diag);

                EXPECT_GE(r, 0) << diag.text;
                if (r <= 0)
                        return i + 1;
        }
        return enough;
}

std::string model_of(const Trainer &trainer)
{
        const void *data = nullptr;
        size_t size = 0;

        cosmos_trainer_get_model(trainer.get(), &data, &size);
        return std::string(static_cast<const char *>(data), size);
}

std::string train(const Corpus &corpus, const cosmos_trainer_options &options)
{
        const Trainer trainer = make(corpus, options);

        run(trainer);
        return model_of(trainer);
}

Model load(const std::string &bytes)
{
        cosmos_model *model = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_model_load(&model, bytes.data(), bytes.size(), "model", nullptr, &diag), 0) << diag.text;
        return Model(model);
}

cosmos_trainer_options going_on(const std::string &model, cosmos_trainer_options options = small())
{
        options.init = model.data();
        options.init_size = model.size();
        return options;
}

cosmos_corpus_options as_of(const Model &model, bool extend = true)
{
        cosmos_corpus_options options = {};

        options.vocab = cosmos_model_vocab(model.get());
        options.extend = extend;
        return options;
}

TEST(Trainer, LearnsAndReports)
{
        const Corpus corpus = read(rounds(6000));
        const Trainer trainer = make(corpus, small());
        std::set<cosmos_trainer_phase> phases;
        cosmos_diag diag;

        do
                phases.insert(progress(trainer).phase);
        while (cosmos_trainer_run(trainer.get(), &diag) > 0);
        EXPECT_EQ(phases, (std::set<cosmos_trainer_phase>{COSMOS_TRAINER_LEARNING, COSMOS_TRAINER_EVALUATING,
                                                          COSMOS_TRAINER_CALIBRATING, COSMOS_TRAINER_COMPARING}));
        EXPECT_EQ(progress(trainer).phase, COSMOS_TRAINER_DONE);
        EXPECT_EQ(cosmos_trainer_run(trainer.get(), &diag), 0);

        const cosmos_trainer_report r = report(trainer);
        EXPECT_EQ(r.learnt + r.stopping + r.calibration, 6000u);
        EXPECT_EQ(r.learnt, 4200u);
        EXPECT_EQ(r.stopping, 900u);
        EXPECT_GE(r.epochs, 3u);
        EXPECT_LT(r.perplexity, r.fivegram_perplexity * 1.5);
        EXPECT_LT(r.fivegram_perplexity, r.unigram_perplexity);
        EXPECT_LT(r.perplexity, r.unigram_perplexity / 1.5);
        EXPECT_GT(r.windows, 50u);
        EXPECT_LE(r.median, r.quantile_score);
        EXPECT_LE(r.quantile_score, r.highest);
        EXPECT_LE(r.quantile_lower, r.quantile_score);
        EXPECT_TRUE(std::isinf(r.quantile_upper)); // 80 windows are too few for 0.999
        EXPECT_GT(r.theta, r.quantile_score);
        EXPECT_EQ(r.above, 0);
        ASSERT_GT(r.n_moments, 0u);
        for (size_t i = 0; i < r.n_moments; i++) {
                EXPECT_STREQ(r.moments[i].comm, "server");
                EXPECT_GT(cosmos_vocab_id(cosmos_corpus_vocab(corpus.get()), r.moments[i].syscall),
                          COSMOS_VOCAB_UNKNOWN);
                EXPECT_GT(r.moments[i].expected_p, 0);
                EXPECT_LE(r.moments[i].expected_p, 1);
                EXPECT_LE(r.moments[i].nll, r.moments[i > 0 ? i - 1 : 0].nll);
        }
}

TEST(Trainer, TheModelIsWhatTheReportSays)
{
        const Corpus corpus = read(rounds(6000));
        const Trainer trainer = make(corpus, small());

        run(trainer);
        const Model model = load(model_of(trainer));
        cosmos_model_info info = {};
        info.size = sizeof(info);
        cosmos_model_get_info(model.get(), &info);
        EXPECT_EQ(info.embedding, 6u);
        EXPECT_EQ(info.units[0], 12u);
        EXPECT_EQ(info.window, 20u);
        EXPECT_EQ(info.hop, 10u);
        EXPECT_TRUE(info.has_threshold);
        EXPECT_EQ(info.threshold, report(trainer).theta);
        EXPECT_EQ(info.threshold_n, report(trainer).windows);
        EXPECT_GT(info.spread, 0);
        EXPECT_EQ(info.quantile, 0.999);
        for (const char *key : {"cosmos.trained_on", "cosmos.training", "cosmos.curve", "cosmos.report", "cosmos.seed",
                                "cosmos.versions", "cosmos.kept"})
                EXPECT_NE(cosmos_model_metadata(model.get(), key), nullptr) << key;
}

TEST(Trainer, OneSeedOneResultOnAnyNumberOfThreads)
{
        const Corpus corpus = read(rounds(4000));
        cosmos_trainer_options options = small();
        options.epochs = 2;
        options.dropout = 0.2;
        const std::string first = train(corpus, options);

        options.threads = 3;
        EXPECT_TRUE(train(corpus, options) == first);
        options.seed = 2;
        EXPECT_FALSE(train(corpus, options) == first);
}

TEST(Trainer, FieldsAndFrequency)
{
        cosmos_trainer_options options = small();
        cosmos_diag diag;
        ASSERT_EQ(cosmos_token_scheme_parse(&options.tokens, "name,errno,size/half,path,args,frequency/20", &diag), 0);
        cosmos_corpus_options reading = {};
        reading.tokens = &options.tokens;
        const Corpus corpus = read(rounds(4000), reading);
        options.epochs = 2;
        const std::string first = train(corpus, options);

        load(first);
        EXPECT_TRUE(contains(first, "kept.frequency"));
        // and on from it
        const Model model = load(first);
        reading = as_of(model);
        reading.tokens = &options.tokens;
        load(train(read(rounds(4000), reading), going_on(first, options)));
}

/* There are nearly as many windows as calls, and each has a score. */
TEST(Trainer, HoldsNoScoresInMemory)
{
        cosmos_trainer_options options = small();
        size_t first = 0, most = 0;

        if (mallinfo2().uordblks == 0)
                GTEST_SKIP() << "this allocator does not say what is in use";
        options.epochs = 1;
        options.hop = 1;
        const Corpus corpus = read(rounds(200000));
        const Trainer trainer = make(corpus, options);
        for (cosmos_diag diag = {""}; cosmos_trainer_run(trainer.get(), &diag) == 1;)
                if (progress(trainer).phase == COSMOS_TRAINER_CALIBRATING) {
                        most = std::max(most, mallinfo2().uordblks + mallinfo2().hblkhd);
                        first = first ? first : most;
                }
        EXPECT_GT(report(trainer).windows, 28000u);
        EXPECT_LT(most - first, report(trainer).windows);
}

// ---- what it refuses -------------------------------------------------------------------------

TEST(Trainer, OptionsOutOfRange)
{
        const Corpus corpus = read(rounds(4000));
        const std::pair<const char *, std::function<void(cosmos_trainer_options &)>> cases[] = {
            {"embedding", [](auto &o) { o.embedding = 0; }},
            {"n_layers", [](auto &o) { o.n_layers = 9; }},
            {"units", [](auto &o) { o.units[0] = 5000; }},
            {"batch", [](auto &o) { o.batch = 0; }},
            {"length", [](auto &o) { o.length = 1; }},
            {"epochs", [](auto &o) { o.epochs = 0; }},
            {"hop", [](auto &o) { o.hop = 21; }},
            {"window", [](auto &o) { o.window = 0; }},
            {"learning_rate", [](auto &o) { o.learning_rate = NAN; }},
            {"dropout", [](auto &o) { o.dropout = 1; }},
            {"quantile", [](auto &o) { o.quantile = 0; }},
            {"margin", [](auto &o) { o.margin = -1; }},
            {"threads", [](auto &o) { o.threads = 100000; }},
        };

        for (const auto &[word, change] : cases) {
                cosmos_trainer_options options = small();
                Trainer trainer;
                std::string text;

                change(options);
                EXPECT_EQ(try_make(trainer, corpus, options, &text), -EINVAL) << word;
                EXPECT_TRUE(contains(text, word)) << text;
        }
}

TEST(Trainer, TooLittle)
{
        Trainer trainer;
        std::string text;

        EXPECT_EQ(try_make(trainer, read(rounds(1)), small(), &text), -ENODATA);
        EXPECT_TRUE(contains(text, "1 call is")) << text;
        EXPECT_EQ(try_make(trainer, read(rounds(500)), small(), &text), -ENODATA);
        EXPECT_TRUE(contains(text, "500 calls")) << text;
}

TEST(Trainer, NoTimeToCutAt)
{
        std::string trace, text;
        Trainer trainer;

        for (int i = 0; i < 3000; i++)
                trace += line(5, 100, i % 3 ? "read" : "write");
        EXPECT_EQ(try_make(trainer, read(trace), small(), &text), -ENODATA);
        EXPECT_TRUE(contains(text, "too close in time")) << text;
}

TEST(Trainer, AnotherScheme)
{
        cosmos_trainer_options options = small();
        cosmos_diag diag;
        Trainer trainer;
        std::string text;

        ASSERT_EQ(cosmos_token_scheme_parse(&options.tokens, "name,frequency/20", &diag), 0);
        EXPECT_EQ(try_make(trainer, read(rounds(4000)), options, &text), -COSMOS_EMISMATCH);
        EXPECT_TRUE(contains(text, "frequenc")) << text;
}

TEST(Trainer, Saving)
{
        const Corpus corpus = read(rounds(4000));
        cosmos_trainer_options options = small();
        options.epochs = 1;
        const Trainer trainer = make(corpus, options);
        File file("an older model");
        cosmos_diag diag;

        EXPECT_EQ(cosmos_trainer_save(trainer.get(), file.path(), &diag), -EINVAL);
        run(trainer);
        EXPECT_EQ(cosmos_trainer_save(trainer.get(), "/dev/full", &diag), -ENOSPC);
        EXPECT_TRUE(contains(diag.text, "/dev/full")) << diag.text;
        EXPECT_EQ(file.read(), "an older model");
        EXPECT_EQ(cosmos_trainer_save(trainer.get(), file.path(), &diag), 0) << diag.text;
        EXPECT_TRUE(file.read() == model_of(trainer));
}

// ---- checkpoints -----------------------------------------------------------------------------

TEST(Checkpoint, GoesOnAsIfNothingHadBeen)
{
        const Corpus corpus = read(rounds(4000));
        cosmos_trainer_options options = small();
        options.epochs = 3;
        options.dropout = 0.1;
        const Trainer whole = make(corpus, options);
        const size_t steps = run(whole);
        cosmos_diag diag;

        ASSERT_GT(steps, 20u);
        for (size_t stop : {size_t(0), size_t(1), steps / 3, steps / 2, steps - 3, steps}) {
                File file;
                {
                        const Trainer first = make(corpus, options);

                        run(first, stop);
                        ASSERT_EQ(cosmos_trainer_checkpoint(first.get(), file.path(), &diag), 0) << diag.text;
                }
                const Trainer second = make(corpus, options);
                ASSERT_EQ(cosmos_trainer_resume(second.get(), file.path(), &diag), 0) << diag.text;
                run(second);
                EXPECT_TRUE(model_of(second) == model_of(whole)) << "stopped after " << stop << " of " << steps;
        }
}

TEST(Checkpoint, OfAnotherTraining)
{
        const Corpus corpus = read(rounds(4000)), other = read(rounds(4001));
        const Trainer trainer = make(corpus, small());
        File file;
        cosmos_diag diag;

        run(trainer, 5);
        ASSERT_EQ(cosmos_trainer_checkpoint(trainer.get(), file.path(), &diag), 0) << diag.text;

        const std::pair<const char *, std::function<void(cosmos_trainer_options &)>> cases[] = {
            {"learning_rate", [](auto &o) { o.learning_rate = 0.02; }},
            {"batch", [](auto &o) { o.batch = 4; }},
            {"layers", [](auto &o) { o.units[0] = 13; }},
            {"seed", [](auto &o) { o.seed = 7; }},
        };
        for (const auto &[word, change] : cases) {
                cosmos_trainer_options options = small();

                change(options);
                EXPECT_EQ(cosmos_trainer_resume(make(corpus, options).get(), file.path(), &diag), -COSMOS_EMISMATCH);
                EXPECT_TRUE(contains(diag.text, word)) << diag.text;
        }
        EXPECT_EQ(cosmos_trainer_resume(make(other, small()).get(), file.path(), &diag), -COSMOS_EMISMATCH);
        EXPECT_TRUE(contains(diag.text, "traces")) << diag.text;
}

TEST(Checkpoint, Damaged)
{
        const Corpus corpus = read(rounds(4000));
        cosmos_trainer_options options = small();
        options.epochs = 1;
        const Trainer trainer = make(corpus, options);
        const std::string whole = train(corpus, options);
        File file;
        cosmos_diag diag;

        run(trainer, 5);
        ASSERT_EQ(cosmos_trainer_checkpoint(trainer.get(), file.path(), &diag), 0) << diag.text;
        const std::string bytes = file.read();

        const Trainer untouched = make(corpus, options);
        for (size_t keep = 0; keep < bytes.size(); keep += 1 + bytes.size() / 50) {
                File cut(bytes.substr(0, keep));

                EXPECT_LT(cosmos_trainer_resume(untouched.get(), cut.path(), &diag), 0) << keep;
                EXPECT_TRUE(contains(diag.text, cut.path())) << diag.text;
        }
        EXPECT_EQ(cosmos_trainer_resume(untouched.get(), "/does/not/exist", &diag), -ENOENT);
        run(untouched);
        EXPECT_TRUE(model_of(untouched) == whole);
}

// What the checkpoint says of `key`, in place of what it said.
std::string lie(const std::string &bytes, const std::string &key, const std::string &value)
{
        const size_t begin = bytes.find("\"" + key + "\":\"") + key.size() + 4, end = bytes.find('"', begin);

        EXPECT_EQ(end - begin, value.size()) << key;
        return bytes.substr(0, begin) + value + bytes.substr(end);
}

// A state that no training could have been in; fuzz_checkpoint.c has more of them.
TEST(Checkpoint, Lies)
{
        const Corpus corpus = read(rounds(4000));
        cosmos_trainer_options options = small();
        options.epochs = 2;
        const Trainer trainer = make(corpus, options);
        const std::string whole = train(corpus, options);
        File file;
        cosmos_diag diag;

        run(trainer, 5);
        ASSERT_EQ(cosmos_trainer_checkpoint(trainer.get(), file.path(), &diag), 0) << diag.text;
        const std::string bytes = file.read();

        const Trainer untouched = make(corpus, options);
        for (const auto &[key, value] : {std::pair("epoch", "3"), {"phase", "6"}, {"drawn", "9!"}, {"epoch", "-"}}) {
                File other(lie(bytes, key, value));
                EXPECT_EQ(cosmos_trainer_resume(untouched.get(), other.path(), &diag), -COSMOS_EFORMAT) << key;
                EXPECT_TRUE(contains(diag.text, "'" + std::string(key) + "' is not as it must be")) << diag.text;
        }
        run(untouched);
        EXPECT_TRUE(model_of(untouched) == whole);
}

TEST(Checkpoint, NoRoom)
{
        const Corpus corpus = read(rounds(4000));
        const Trainer trainer = make(corpus, small());
        cosmos_diag diag;

        run(trainer, 3);
        EXPECT_EQ(cosmos_trainer_checkpoint(trainer.get(), "/dev/full", &diag), -ENOSPC);
        EXPECT_EQ(cosmos_trainer_checkpoint(trainer.get(), "/does/not/exist", &diag), -ENOENT);
        EXPECT_GT(cosmos_trainer_run(trainer.get(), &diag), 0);
}

// ---- going on from a model -------------------------------------------------------------------

TEST(GoingOn, NewCallsEnterAndTheOldStay)
{
        const std::string first = train(read(rounds(5000)), small());
        const Model before = load(first);
        cosmos_trainer_options options = going_on(first);
        options.learn_anomalous = 1;
        const Corpus corpus = read(rounds(5000, {"socket", "connect", "sendto", "recvfrom", "close"}), as_of(before));
        const Trainer trainer = make(corpus, options);

        run(trainer);
        const Model after = load(model_of(trainer));
        const cosmos_trainer_report r = report(trainer);
        EXPECT_EQ(r.new_calls, 4u);
        for (const char *name : {"read", "write", "close", "openat"})
                EXPECT_EQ(cosmos_vocab_id(cosmos_model_vocab(before.get()), name),
                          cosmos_vocab_id(cosmos_model_vocab(after.get()), name));
        EXPECT_GT(cosmos_vocab_id(cosmos_model_vocab(after.get()), "socket"), COSMOS_VOCAB_UNKNOWN);
        EXPECT_GT(r.sifted, 0u);
        EXPECT_GT(r.refused, r.sifted / 2);
        EXPECT_GE(r.refused_spread, 0.9); // all the time: drift
        EXPECT_EQ(r.refused_calls, 0u);   // but it was told to learn them
        EXPECT_EQ(r.trimmed_calls, 0u);
        EXPECT_GT(r.before, 2 * r.perplexity);
        EXPECT_LT(r.kept_after, 1.3 * r.kept_before); // not forgotten
}

// What is held is of each generation, and never learnt: by heart it would be known better than later calls are.
TEST(GoingOn, WhatIsHeldStays)
{
        std::string bytes = train(read(rounds(5000)), small());
        double before = 0;

        for (int generation = 0; generation < 2; generation++) {
                const Model model = load(bytes);
                const Corpus corpus = read(rounds(5000), as_of(model));
                const Trainer trainer = make(corpus, going_on(bytes));

                run(trainer);
                before = report(trainer).kept_before;
                EXPECT_GE(before, 1);
                EXPECT_NEAR(before, report(trainer).before, 0.2 * before);
                bytes = model_of(trainer);
        }
}

TEST(GoingOn, WhatIsAnomalousIsNotLearnt)
{
        const std::string first = train(read(rounds(5000)), small());
        const Model before = load(first);
        std::string trace = rounds(6000);
        for (int i = 0; i < 40; i++)
                trace += line(2000 + i, 7, i % 2 ? "execve" : "ptrace");
        const Corpus corpus = read(trace, as_of(before));
        const Trainer trainer = make(corpus, going_on(first));

        run(trainer);
        const cosmos_trainer_report r = report(trainer);
        EXPECT_EQ(r.refused_sequences, 1u);
        EXPECT_EQ(r.refused_calls, 40u);
        EXPECT_NEAR(r.refused_spread, 0.1, 1e-9);
        EXPECT_EQ(r.learnt + r.stopping + r.calibration + r.trimmed_calls, 6000u);
        EXPECT_EQ(r.new_calls, 2u); // they have a place, but nothing was learnt of them
}

// Mean NLL of the calls, whose names repeat.
double nll(const Model &model, const std::vector<std::string> &round, size_t calls)
{
        cosmos_predictor *predictor = nullptr;
        cosmos_session *session = nullptr;
        cosmos_diag diag;
        double sum = 0;

        EXPECT_EQ(cosmos_predictor_new(&predictor, model.get(), &diag), 0);
        EXPECT_EQ(cosmos_session_new(&session, model.get(), &diag), 0);
        for (size_t i = 0; i < calls; i++) {
                cosmos_token token = {};
                float one;

                token.field[COSMOS_TOKEN_NAME] =
                    cosmos_vocab_id(cosmos_model_vocab(model.get()), round[i % round.size()].c_str());
                EXPECT_EQ(cosmos_predictor_step(predictor, &session, &token, 1, &one, nullptr), 0);
                sum += static_cast<double>(one);
        }
        cosmos_session_free(session);
        cosmos_predictor_free(predictor);
        return sum / static_cast<double>(calls);
}

// With a threshold that nothing is above.
TEST(GoingOn, WhatIsLeastExpectedIsNotLearnt)
{
        const std::vector<std::string> strange = {"openat", "openat", "write", "write"};
        cosmos_trainer_options options = small();
        options.margin = 1;
        const std::string first = train(read(rounds(5000)), options);
        const Model before = load(first);
        std::string trace = rounds(6000);
        for (size_t i = 0; i < 300; i++)
                trace += line(static_cast<int64_t>(2000 + i), 7, strange[i % strange.size()]);
        const Corpus corpus = read(trace, as_of(before));
        options = going_on(first, options);
        const Trainer trainer = make(corpus, options);

        run(trainer);
        const cosmos_trainer_report r = report(trainer);
        EXPECT_EQ(r.refused, 0u);
        EXPECT_GE(r.trimmed_calls, 300u);
        EXPECT_LE(r.trimmed_calls, 630u);
        EXPECT_EQ(r.learnt + r.stopping + r.calibration + r.trimmed_calls, 6300u);
        options.learn_anomalous = 1;
        const Model all = load(train(corpus, options)), after = load(model_of(trainer));
        EXPECT_GT(nll(after, strange, 300), 2 * nll(all, strange, 300));
}

TEST(GoingOn, ResumesWhileItSiftsAndAfter)
{
        const std::string first = train(read(rounds(5000)), small());
        const Model before = load(first);
        const Corpus corpus = read(rounds(5000), as_of(before));
        cosmos_trainer_options options = going_on(first);
        options.epochs = 2;
        const Trainer whole = make(corpus, options);
        const size_t steps = run(whole);
        cosmos_diag diag;

        for (size_t stop : {size_t(0), size_t(2), steps / 2, steps}) {
                const Trainer one = make(corpus, options), two = make(corpus, options);
                File file;

                run(one, stop);
                ASSERT_EQ(cosmos_trainer_checkpoint(one.get(), file.path(), &diag), 0) << diag.text;
                ASSERT_EQ(cosmos_trainer_resume(two.get(), file.path(), &diag), 0) << diag.text;
                run(two);
                EXPECT_TRUE(model_of(two) == model_of(whole)) << stop;
                EXPECT_EQ(report(two).sifted, report(whole).sifted);
                EXPECT_EQ(report(two).kept_before, report(whole).kept_before);
                EXPECT_EQ(report(two).kept_after, report(whole).kept_after);
        }
}

// Of which the checkpoint has the weights, but not what it finds anomalous.
TEST(GoingOn, ACheckpointIsOfItsModel)
{
        cosmos_trainer_options options = small();
        options.keep = 0;
        const Corpus corpus = read(rounds(5000));
        const std::string first = train(corpus, options);
        options.seed = 2;
        const std::string other = train(corpus, options);
        const Trainer trainer = make(corpus, going_on(first));
        File file;
        cosmos_diag diag;

        run(trainer, 20);
        ASSERT_EQ(cosmos_trainer_checkpoint(trainer.get(), file.path(), &diag), 0) << diag.text;
        EXPECT_EQ(cosmos_trainer_resume(make(corpus, going_on(other)).get(), file.path(), &diag), -COSMOS_EMISMATCH);
        EXPECT_TRUE(contains(diag.text, "model")) << diag.text;
        EXPECT_EQ(cosmos_trainer_resume(make(corpus, going_on(first)).get(), file.path(), &diag), 0) << diag.text;
}

TEST(GoingOn, WhatDoesNotFit)
{
        const std::string first = train(read(rounds(5000)), small());
        const Model model = load(first);
        std::string text;
        Trainer trainer;

        EXPECT_EQ(try_make(trainer, read(rounds(5000)), going_on(first), &text), 0) << text; // made of the same names
        EXPECT_EQ(try_make(trainer, read(rounds(5000, {"read", "mmap"})), going_on(first), &text), -COSMOS_EMISMATCH);
        EXPECT_TRUE(contains(text, "vocabulary")) << text;
        EXPECT_EQ(try_make(trainer, read(rounds(5000), as_of(model)), going_on(first.substr(0, 500)), &text),
                  -COSMOS_EFORMAT);
        cosmos_trainer_options options = going_on("");
        EXPECT_EQ(try_make(trainer, read(rounds(5000), as_of(model)), options, &text), -COSMOS_EFORMAT) << text;
}

} // namespace
