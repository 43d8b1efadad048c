/* SPDX-License-Identifier: Apache-2.0 */
/* Steps: against a plain reference in double, and the promises about batches. */
#include "blob.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <numeric>
#include <thread>

using blob::Blob;

namespace
{

constexpr const char *NAME = "name", *ERRNO = "name,errno";
constexpr const char *ALL = "name,errno,size/half,fd,path,args,frequency/100";

/* The model as a textbook has it: no folding, no padding, no batches. */
class Reference
{
      public:
        explicit Reference(Blob &b) : b(b)
        {
                reset();
        }

        void reset()
        {
                h.clear();
                for (uint32_t units : b.options.layers)
                        h.emplace_back(units, 0.0);
                c = h;
                advance({});
        }

        std::vector<double> log_probabilities()
        {
                std::vector<double> y = times(h.back(), "dense.kernel");
                double max, sum = 0;

                plus(y, "dense.bias");
                max = *std::max_element(y.begin(), y.end());
                for (double v : y)
                        sum += std::exp(v - max);
                for (double &v : y)
                        v -= max + std::log(sum);
                return y;
        }

        void advance(const cosmos_token &token)
        {
                std::vector<double> x(b.options.embedding, 0.0);

                for (const blob::Field &field : blob::fields_of(b.options)) {
                        const uint32_t id = field.field < 0 ? 0 : token.field[field.field];
                        const double times = field.field < 0 ? static_cast<double>(token.frequency) : 1;
                        const std::vector<double> e = row("embedding." + field.name + ".weight", id);

                        for (size_t i = 0; i < x.size(); i++)
                                x[i] += times * e[i];
                }
                for (size_t l = 0; l < h.size(); l++) {
                        const std::string prefix = "lstm." + std::to_string(l) + ".";
                        std::vector<double> z = times(x, prefix + "kernel"),
                                            r = times(h[l], prefix + "recurrent_kernel");
                        const size_t u = h[l].size();

                        plus(z, prefix + "bias");
                        for (size_t k = 0; k < u; k++) {
                                c[l][k] = sigmoid(z[u + k] + r[u + k]) * c[l][k] +
                                          sigmoid(z[k] + r[k]) * std::tanh(z[2 * u + k] + r[2 * u + k]);
                                h[l][k] = sigmoid(z[3 * u + k] + r[3 * u + k]) * std::tanh(c[l][k]);
                        }
                        x = h[l];
                }
        }

      private:
        static double sigmoid(double x)
        {
                return 1 / (1 + std::exp(-x));
        }

        std::vector<double> row(const std::string &name, size_t i)
        {
                const blob::Tensor &t = b.tensor(name);

                return std::vector<double>(t.values.begin() + static_cast<long>(i * t.columns),
                                           t.values.begin() + static_cast<long>((i + 1) * t.columns));
        }

        std::vector<double> times(const std::vector<double> &x, const std::string &name)
        {
                const blob::Tensor &t = b.tensor(name);
                std::vector<double> y(t.columns, 0.0);

                for (size_t k = 0; k < t.columns; k++)
                        for (size_t j = 0; j < t.rows; j++)
                                y[k] += x[j] * static_cast<double>(t.values[j * t.columns + k]);
                return y;
        }

        void plus(std::vector<double> &y, const std::string &name)
        {
                const blob::Tensor &t = b.tensor(name);

                for (size_t k = 0; k < y.size(); k++)
                        y[k] += static_cast<double>(t.values[k]);
        }

        Blob &b;
        std::vector<std::vector<double>> h, c;
};

class Tokens
{
      public:
        Tokens(uint32_t vocab, uint32_t seed) : vocab(vocab), random(seed)
        {
        }

        /* Fields that a model has no table of are not looked at. */
        cosmos_token next()
        {
                static const cosmos_token_scheme all = {(1u << COSMOS_TOKEN_FIELDS) - 1, 1, 1};
                cosmos_token token = {};

                token.field[COSMOS_TOKEN_NAME] = static_cast<uint32_t>(random() % vocab);
                for (int f = 1; f < COSMOS_TOKEN_FIELDS; f++)
                        token.field[f] = static_cast<uint32_t>(
                            random() % cosmos_token_field_size(&all, static_cast<cosmos_token_field>(f)));
                token.frequency = static_cast<float>(random() % 1001) / 1000;
                return token;
        }

      private:
        uint32_t vocab;
        std::mt19937 random;
};

struct Case {
        std::vector<uint32_t> layers;
        uint32_t embedding, vocab;
        const char *tokens;
};

void PrintTo(const Case &c, std::ostream *out)
{
        for (uint32_t units : c.layers)
                *out << units << " ";
        *out << "embedding " << c.embedding << " vocabulary " << c.vocab << " " << c.tokens;
}

blob::Options options_of(const Case &c, uint32_t seed)
{
        blob::Options options;

        options.layers = c.layers;
        options.embedding = c.embedding;
        options.vocab = c.vocab;
        options.tokens = c.tokens;
        options.seed = seed;
        /* Like trained weights: larger where fewer are summed. */
        options.scale = 2 / std::sqrt(static_cast<float>(*std::max_element(c.layers.begin(), c.layers.end()) + 1));
        return options;
}

/* One sequence under a model. */
struct Running {
        Running(const std::string &bytes, cosmos_precision precision, const char *isa)
            : isa(isa), model(blob::load(bytes, precision, isa)), predictor(blob::predictor_of(model.get())),
              session(blob::session_of(model.get()))
        {
        }

        int step(const cosmos_token &token, float *nll, float *logp) const
        {
                cosmos_session *s = session.get();

                return cosmos_predictor_step(predictor.get(), &s, &token, 1, nll, logp);
        }

        const char *isa;
        blob::Model model;
        blob::Predictor predictor;
        blob::Session session;
};

class AgainstReference : public testing::TestWithParam<Case>
{
};

} // namespace

TEST_P(AgainstReference, EveryLogProbability)
{
        for (uint32_t seed = 1; seed <= 3; seed++) {
                Blob b(options_of(GetParam(), seed));
                std::vector<Running> all;
                Reference reference(b);
                Tokens tokens(b.options.vocab, seed);
                std::vector<float> logp(b.options.vocab);
                float nll;

                for (const char *isa : blob::isas())
                        all.emplace_back(b.bytes(), COSMOS_PRECISION_F32, isa);
                for (int i = 0; i < 60; i++) {
                        const cosmos_token token = tokens.next();
                        const std::vector<double> expected = reference.log_probabilities();

                        for (const Running &running : all) {
                                ASSERT_EQ(running.step(token, &nll, logp.data()), 0);
                                for (size_t k = 0; k < logp.size(); k++)
                                        ASSERT_NEAR(static_cast<double>(logp[k]), expected[k], 2e-5)
                                            << running.isa << " step " << i << " id " << k;
                                ASSERT_EQ(nll, -logp[token.field[0]]);
                                ASSERT_GE(nll, 0);
                        }
                        reference.advance(token);
                }
        }
}

/* int8 against the same in double: weights and h rounded, all else exact but for the tables' 16 bits. */
TEST_P(AgainstReference, Int8)
{
        Blob b(options_of(GetParam(), 4));
        Blob rounded = b;
        std::vector<Running> all;
        std::vector<std::vector<float>> logp;
        Tokens tokens(b.options.vocab, 4);
        double sum = 0;
        size_t n = 0;
        float nll;

        for (blob::Tensor &t : rounded.tensors)
                if (t.is_quantised())
                        t.round_to_int8();
        for (const char *isa : blob::isas())
                all.emplace_back(b.bytes(), COSMOS_PRECISION_INT8, isa);
        Reference reference(rounded);
        for (int i = 0; i < 60; i++) {
                const cosmos_token token = tokens.next();
                const std::vector<double> expected = reference.log_probabilities();

                for (const Running &running : all) {
                        logp.assign(1, std::vector<float>(b.options.vocab));
                        ASSERT_EQ(running.step(token, &nll, logp[0].data()), 0);
                        ASSERT_GE(nll, 0);
                        for (size_t k = 0; k < b.options.vocab; k++, n++)
                                sum += std::fabs(static_cast<double>(logp[0][k]) - expected[k]);
                }
                reference.advance(token);
        }
        /* h is off by up to 1 / 254 in each of up to 128 inputs whose weights are up to 2: what is left on average. */
        EXPECT_LT(sum / static_cast<double>(n), 0.05);
}

/* A file that holds int8 weights is what the library makes of the other file when it is loaded as int8; and it can be
 * loaded as f32 too. */
TEST_P(AgainstReference, Int8File)
{
        Blob b(options_of(GetParam(), 5));
        Blob stored = b, rounded = b;
        Tokens tokens(b.options.vocab, 5);

        stored.store_int8();
        for (blob::Tensor &t : rounded.tensors)
                if (t.is_quantised())
                        t.round_to_int8();
        for (const char *isa : blob::isas()) {
                Running at_load(b.bytes(), COSMOS_PRECISION_INT8, isa),
                    file(stored.bytes(), COSMOS_PRECISION_FILE, isa);
                Running as_f32(stored.bytes(), COSMOS_PRECISION_F32, isa),
                    f32(rounded.bytes(), COSMOS_PRECISION_F32, isa);

                for (int i = 0; i < 20; i++) {
                        const cosmos_token token = tokens.next();
                        float nll[4];

                        ASSERT_EQ(at_load.step(token, &nll[0], nullptr), 0);
                        ASSERT_EQ(file.step(token, &nll[1], nullptr), 0);
                        ASSERT_EQ(as_f32.step(token, &nll[2], nullptr), 0);
                        ASSERT_EQ(f32.step(token, &nll[3], nullptr), 0);
                        ASSERT_EQ(nll[0], nll[1]) << isa;
                        ASSERT_EQ(nll[2], nll[3]) << isa;
                }
        }
}

INSTANTIATE_TEST_SUITE_P(Shapes, AgainstReference,
                         testing::Values(Case{{1}, 1, 2, NAME}, Case{{1}, 1, 2, ERRNO}, Case{{1}, 1, 2, ALL},
                                         Case{{3}, 2, 4, NAME}, Case{{3}, 2, 4, "name,frequency/1"},
                                         Case{{16}, 16, 16, ERRNO}, Case{{17}, 5, 33, "name,fd,args"},
                                         Case{{64}, 64, 120, ERRNO}, Case{{64}, 64, 120, ALL},
                                         Case{{31, 15}, 7, 77, "name,size/octave,path,frequency/1000"},
                                         Case{{5, 33}, 9, 15, ERRNO}, Case{{1, 48, 3}, 4, 100, NAME},
                                         Case{{65, 7, 41}, 13, 500, ALL}, Case{{128}, 64, 500, NAME},
                                         Case{{2, 1, 2, 1, 2, 1, 2, 1}, 3, 5, "name,errno,size/quarter"}));

/* ---- what a session is batched with does not matter ------------------------ */

namespace
{

/* NLL and log-probabilities of each step of `n` sequences, stepped in groups of `batch`, in an order of its own each
 * time. */
struct Stepped {
        std::vector<std::vector<float>> nll, logp;

        Stepped(cosmos_model *model, size_t n, size_t steps, size_t batch, uint32_t seed)
        {
                const size_t vocab = cosmos_vocab_size(cosmos_model_vocab(model));
                blob::Predictor predictor = blob::predictor_of(model);
                std::vector<blob::Session> sessions;
                std::vector<Tokens> tokens;
                std::vector<size_t> order(n);
                std::mt19937 random(seed);

                nll.resize(n);
                logp.resize(n);
                std::iota(order.begin(), order.end(), 0);
                for (size_t i = 0; i < n; i++) {
                        sessions.push_back(blob::session_of(model));
                        tokens.emplace_back(static_cast<uint32_t>(vocab), static_cast<uint32_t>(i));
                }
                for (size_t step = 0; step < steps; step++) {
                        std::shuffle(order.begin(), order.end(), random);
                        for (size_t at = 0; at < n; at += batch) {
                                const size_t m = std::min(batch, n - at);
                                std::vector<float> out(m), rows(m * vocab);
                                std::vector<cosmos_session *> s;
                                std::vector<cosmos_token> t;

                                for (size_t i = at; i < at + m; i++) {
                                        s.push_back(sessions[order[i]].get());
                                        t.push_back(tokens[order[i]].next());
                                }
                                EXPECT_EQ(cosmos_predictor_step(predictor.get(), s.data(), t.data(), m, out.data(),
                                                                rows.data()),
                                          0);
                                for (size_t i = 0; i < m; i++) {
                                        nll[order[at + i]].push_back(out[i]);
                                        logp[order[at + i]].insert(logp[order[at + i]].end(),
                                                                   rows.begin() + static_cast<long>(i * vocab),
                                                                   rows.begin() + static_cast<long>((i + 1) * vocab));
                                }
                        }
                }
        }

        bool operator==(const Stepped &other) const
        {
                return nll == other.nll && logp == other.logp;
        }
};

} // namespace

TEST(Predictor, ResultsDoNotDependOnTheBatch)
{
        for (const Case &c : {Case{{19, 37}, 6, 51, ALL}, Case{{128}, 16, 70, NAME}, Case{{24}, 8, 20, ERRNO}})
                for (const char *isa : blob::isas())
                        for (cosmos_precision precision : {COSMOS_PRECISION_F32, COSMOS_PRECISION_INT8}) {
                                blob::Model model = blob::load(Blob(options_of(c, 7)).bytes(), precision, isa);
                                const Stepped alone(model.get(), 200, 6, 1, 1);

                                for (size_t batch : {2, 5, 64, 65, 200})
                                        EXPECT_TRUE(alone ==
                                                    Stepped(model.get(), 200, 6, batch, static_cast<uint32_t>(batch)))
                                            << isa << " " << cosmos_precision_name(precision) << " batch " << batch;
                        }
}

/* A session that is there several times takes its tokens in order, whatever else is in the call. */
TEST(Predictor, ASessionMayStandSeveralTimesInACall)
{
        const size_t n = 700; /* more than a chunk */
        blob::Model model = blob::load(Blob(options_of({{19, 37}, 6, 51, ALL}, 7)).bytes());
        blob::Predictor predictor = blob::predictor_of(model.get());
        std::vector<float> alone(n), together(n), alone_logp(n * 51), together_logp(n * 51);

        for (size_t n_sessions : {1, 2, 9, 300}) {
                std::vector<blob::Session> sessions;
                std::vector<cosmos_session *> all;
                std::vector<cosmos_token> token;
                std::mt19937 random(1);
                Tokens tokens(51, 1);

                for (size_t i = 0; i < n_sessions; i++)
                        sessions.push_back(blob::session_of(model.get()));
                for (size_t i = 0; i < n; i++) {
                        all.push_back(sessions[random() % n_sessions].get());
                        token.push_back(tokens.next());
                        ASSERT_EQ(cosmos_predictor_step(predictor.get(), &all[i], &token[i], 1, &alone[i],
                                                        &alone_logp[i * 51]),
                                  0);
                }
                for (const blob::Session &session : sessions)
                        cosmos_session_reset(session.get());
                ASSERT_EQ(cosmos_predictor_step(predictor.get(), all.data(), token.data(), n, together.data(),
                                                together_logp.data()),
                          0);
                EXPECT_EQ(alone, together) << n_sessions;
                EXPECT_EQ(alone_logp, together_logp) << n_sessions;
        }
}

TEST(Predictor, SharesAModelBetweenThreads)
{
        blob::Model model = blob::load(Blob(options_of({{19, 37}, 6, 51, ALL}, 7)).bytes());
        const Stepped alone(model.get(), 10, 20, 10, 1);
        std::vector<std::thread> threads;

        for (uint32_t i = 0; i < 3; i++)
                threads.emplace_back([&, i] { EXPECT_TRUE(alone == Stepped(model.get(), 10, 20, 3 + i, i)); });
        for (std::thread &thread : threads)
                thread.join();
}

TEST(Session, ResetIsAFreshStart)
{
        blob::Model model = blob::load(Blob(options_of({{9, 4}, 6, 20, ALL}, 3)).bytes());
        blob::Predictor predictor = blob::predictor_of(model.get());
        blob::Session session = blob::session_of(model.get());
        cosmos_session *s = session.get();
        std::vector<float> first;

        for (int round = 0; round < 3; round++) {
                Tokens tokens(20, 5);

                for (size_t i = 0; i < 30; i++) {
                        cosmos_token token = tokens.next();
                        float nll;

                        ASSERT_EQ(cosmos_predictor_step(predictor.get(), &s, &token, 1, &nll, nullptr), 0);
                        if (round == 0)
                                first.push_back(nll);
                        ASSERT_EQ(nll, first[i]);
                }
                cosmos_session_reset(s);
        }
}

/* ---- arguments -------------------------------------------------------------- */

namespace
{

class BadStep : public testing::Test
{
      protected:
        BadStep()
            : model(blob::load(Blob(options_of({{4}, 2, 5, ALL}, 1)).bytes())),
              twin(blob::load(Blob(options_of({{4}, 2, 5, ALL}, 1)).bytes())),
              predictor(blob::predictor_of(model.get())), foreign(blob::session_of(twin.get()))
        {
                for (int i = 0; i < 3; i++) {
                        owned.push_back(blob::session_of(model.get()));
                        sessions.push_back(owned.back().get());
                        tokens.push_back({{2}, 0.5f});
                }
        }

        int step()
        {
                return cosmos_predictor_step(predictor.get(), sessions.data(), tokens.data(), sessions.size(), nll,
                                             nullptr);
        }

        /* No session has moved: each gives the first NLL of a fresh one. */
        void expect_unmoved()
        {
                blob::Session fresh = blob::session_of(model.get());
                cosmos_session *f = fresh.get();
                cosmos_token token = {{3, 7}, 1};
                float expected, got;

                ASSERT_EQ(cosmos_predictor_step(predictor.get(), &f, &token, 1, &expected, nullptr), 0);
                for (const blob::Session &session : owned) {
                        cosmos_session *s = session.get();

                        ASSERT_EQ(cosmos_predictor_step(predictor.get(), &s, &token, 1, &got, nullptr), 0);
                        EXPECT_EQ(got, expected);
                }
        }

        blob::Model model, twin;
        blob::Predictor predictor;
        blob::Session foreign;
        std::vector<blob::Session> owned;
        std::vector<cosmos_session *> sessions;
        std::vector<cosmos_token> tokens;
        float nll[3];
};

} // namespace

TEST_F(BadStep, NameOutOfRange)
{
        for (uint32_t id : {5u, 4096u, UINT32_MAX}) {
                tokens[2].field[COSMOS_TOKEN_NAME] = id;
                EXPECT_EQ(step(), -EINVAL);
        }
        expect_unmoved();
}

TEST_F(BadStep, FieldOutOfRange)
{
        for (const blob::Field &field : blob::fields_of(options_of({{4}, 2, 5, ALL}, 1)))
                for (uint32_t id : {field.size, UINT32_MAX}) {
                        const cosmos_token good = tokens[2];

                        if (field.field < 0)
                                continue;
                        tokens[2].field[field.field] = id;
                        EXPECT_EQ(step(), -EINVAL) << field.name;
                        tokens[2] = good;
                }
        expect_unmoved();
}

TEST_F(BadStep, FrequencyOutOfRange)
{
        for (float frequency : {-1e-30f, 1.0001f, -INFINITY, INFINITY, NAN}) {
                tokens[2].frequency = frequency;
                EXPECT_EQ(step(), -EINVAL) << frequency;
        }
        expect_unmoved();
        for (float frequency : {0.0f, 1.0f}) {
                tokens[2].frequency = frequency;
                EXPECT_EQ(step(), 0) << frequency;
        }
}

TEST_F(BadStep, SessionOfAnotherModel)
{
        sessions[2] = foreign.get();
        EXPECT_EQ(step(), -EINVAL);
        expect_unmoved();
}

TEST_F(BadStep, NullArguments)
{
        cosmos_predictor *p = predictor.get();

        EXPECT_EQ(cosmos_predictor_step(nullptr, sessions.data(), tokens.data(), 3, nll, nullptr), -EINVAL);
        EXPECT_EQ(cosmos_predictor_step(p, nullptr, tokens.data(), 3, nll, nullptr), -EINVAL);
        EXPECT_EQ(cosmos_predictor_step(p, sessions.data(), nullptr, 3, nll, nullptr), -EINVAL);
        EXPECT_EQ(cosmos_predictor_step(p, sessions.data(), tokens.data(), 3, nullptr, nullptr), -EINVAL);
        EXPECT_EQ(cosmos_predictor_step(p, nullptr, nullptr, 0, nullptr, nullptr), 0);
        sessions[1] = nullptr;
        EXPECT_EQ(step(), -EINVAL);
        expect_unmoved();
}

TEST_F(BadStep, Constructors)
{
        cosmos_predictor *p = nullptr;
        cosmos_session *s = nullptr;
        cosmos_diag diag = {""};

        EXPECT_EQ(cosmos_predictor_new(&p, nullptr, &diag), -EINVAL);
        EXPECT_EQ(cosmos_predictor_new(nullptr, model.get(), &diag), -EINVAL);
        EXPECT_EQ(cosmos_session_new(&s, nullptr, &diag), -EINVAL);
        EXPECT_EQ(cosmos_session_new(nullptr, model.get(), nullptr), -EINVAL);
        EXPECT_EQ(cosmos_predictor_free(nullptr), nullptr);
        EXPECT_EQ(cosmos_session_free(nullptr), nullptr);
        EXPECT_EQ(p, nullptr);
        EXPECT_EQ(s, nullptr);
}

TEST(Predictor, FieldsOutsideTheSchemeAreNotRead)
{
        blob::Model model = blob::load(Blob(options_of({{4}, 2, 5, NAME}, 1)).bytes());
        blob::Predictor predictor = blob::predictor_of(model.get());
        blob::Session a = blob::session_of(model.get()), b = blob::session_of(model.get());
        cosmos_session *sessions[] = {a.get(), b.get()};
        const cosmos_token tokens[] = {{{2}, 0}, {{2, UINT32_MAX, 7, UINT32_MAX, 1u << 31, 255}, NAN}};
        float nll[2];

        for (int i = 0; i < 5; i++) {
                ASSERT_EQ(cosmos_predictor_step(predictor.get(), sessions, tokens, 2, nll, nullptr), 0);
                EXPECT_EQ(nll[0], nll[1]);
        }
}

/* ---- finite weights that overflow -------------------------------------------- */

TEST(Predictor, HugeWeightsGiveFiniteScores)
{
        for (float scale : {1e10f, 1e30f, 3.4e38f})
                for (uint32_t seed = 1; seed <= 10; seed++) {
                        blob::Options options = options_of({{7, 18}, 5, 40, ALL}, seed);

                        options.scale = scale;
                        blob::Model model = blob::load(Blob(options).bytes());
                        blob::Predictor predictor = blob::predictor_of(model.get());
                        blob::Session session = blob::session_of(model.get());
                        cosmos_session *s = session.get();
                        Tokens tokens(40, seed);
                        std::vector<float> logp(40);
                        float nll;

                        for (int i = 0; i < 50; i++) {
                                cosmos_token token = tokens.next();

                                ASSERT_EQ(cosmos_predictor_step(predictor.get(), &s, &token, 1, &nll, logp.data()), 0);
                                ASSERT_TRUE(std::isfinite(nll) && nll >= 0) << nll;
                                for (float l : logp)
                                        ASSERT_TRUE(std::isfinite(l) && l <= 0) << l;
                        }
                }
}

/* All the same sign: sums run to infinity, of one sign and then of both. */
TEST(Predictor, InfiniteSumsAreHeld)
{
        for (float bias : {3.4e38f, -3.4e38f}) {
                Blob b(options_of({{20}, 5, 40, NAME}, 1));
                cosmos_token token = {{39}, 0};
                float nll;

                for (blob::Tensor &t : b.tensors)
                        std::fill(t.values.begin(), t.values.end(), 3.4e38f);
                std::fill(b.tensor("dense.bias").values.begin(), b.tensor("dense.bias").values.end(), bias);
                blob::Model model = blob::load(b.bytes());
                blob::Predictor predictor = blob::predictor_of(model.get());
                blob::Session session = blob::session_of(model.get());
                cosmos_session *s = session.get();
                for (int i = 0; i < 5; i++) {
                        ASSERT_EQ(cosmos_predictor_step(predictor.get(), &s, &token, 1, &nll, nullptr), 0);
                        EXPECT_NEAR(nll, std::log(40.0), 1e-5); /* all logits are equal */
                }
        }
}
