/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels, against the same arithmetic in double. */
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

extern "C" {
#include "predictor/kernels/kernels.h"
}

namespace
{

const cosmos__kernels &kernels = cosmos__kernels_portable;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

double sigmoid(double x)
{
        return 1 / (1 + std::exp(-x));
}

/* h and c of one unit, by gates that are the same in every lane. */
void gates(float i, float f, float g, float o, float *h, float *c)
{
        std::vector<float> z, hs(16, *h), cs(16, *c);
        float *hp = hs.data(), *cp = cs.data();

        for (float gate : {i, f, g, o})
                z.insert(z.end(), 16, gate);
        kernels.gates(&hp, &cp, z.data(), 1, 16);
        *h = hs[0];
        *c = cs[0];
        for (size_t lane = 1; lane < 16; lane++) {
                EXPECT_EQ(hs[lane], hs[0]);
                EXPECT_EQ(cs[lane], cs[0]);
        }
}

} // namespace

TEST(Kernels, Padding)
{
        EXPECT_EQ(cosmos__padded(0), 0u);
        EXPECT_EQ(cosmos__padded(1), 16u);
        EXPECT_EQ(cosmos__padded(16), 16u);
        EXPECT_EQ(cosmos__padded(17), 32u);
}

TEST(Kernels, MultiplyAddsInOrder)
{
        std::mt19937 random(1);
        std::uniform_real_distribution<float> uniform(-1, 1);

        for (size_t n_in : {1, 7, 8, 9, 40})
                for (size_t n_rows : {1, 3, 64})
                        for (size_t n_out : {16, 48, 512}) {
                                std::vector<float> w(n_in * n_out), x(n_rows * n_in), out(n_rows * n_out), expected;
                                std::vector<const float *> rows;

                                for (std::vector<float> *v : {&w, &x, &out})
                                        for (float &value : *v)
                                                value = uniform(random);
                                expected = out;
                                for (size_t r = 0; r < n_rows; r++) {
                                        rows.push_back(&x[r * n_in]);
                                        for (size_t k = 0; k < n_out; k++)
                                                for (size_t j = 0; j < n_in; j++) {
                                                        volatile float product = x[r * n_in + j] * w[j * n_out + k];

                                                        expected[r * n_out + k] += product;
                                                }
                                }
                                kernels.multiply(out.data(), rows.data(), w.data(), n_rows, n_in, n_out);
                                EXPECT_EQ(out, expected) << n_in << " " << n_rows << " " << n_out;
                        }
}

TEST(Kernels, GatesAreThoseOfKeras)
{
        std::mt19937 random(2);
        std::uniform_real_distribution<float> uniform(-9, 9);

        for (int n = 0; n < 20000; n++) {
                const float i = uniform(random), f = uniform(random), g = uniform(random), o = uniform(random);
                const float before = uniform(random);
                const double after = sigmoid(f) * before + sigmoid(i) * std::tanh(static_cast<double>(g));
                float h = 0, c = before;

                gates(i, f, g, o, &h, &c);
                ASSERT_NEAR(c, after, 2e-6);
                ASSERT_NEAR(h, sigmoid(o) * std::tanh(after), 4e-7 + 2e-6);
        }
}

TEST(Kernels, GatesSaturate)
{
        for (float large : {50.0f, 100.0f, 1e10f, 3e38f, infinity}) {
                float h = 0, c = 3;

                gates(large, large, large, large, &h, &c);
                EXPECT_EQ(c, 4);
                EXPECT_NEAR(h, std::tanh(4.0), 2e-7);
                gates(-large, -large, large, large, &h, &c);
                EXPECT_NEAR(c, 0, 1e-17);
                EXPECT_NEAR(h, 0, 1e-17);
        }
        for (float grown = 20; grown < 1e7f; grown *= 1.01f) /* a cell that has only ever grown */
                for (float sign : {1.0f, -1.0f}) {
                        float h = 0, c = sign * grown;

                        gates(-50, 50, 0, 50, &h, &c);
                        EXPECT_EQ(h, sign) << grown;
                }
}

TEST(Kernels, NanGateIsClosed)
{
        float h = 1, c = 1;

        gates(nan_value, nan_value, 1, 1, &h, &c);
        EXPECT_NEAR(c, 0, 1e-17);
        EXPECT_NEAR(h, 0, 1e-17);
        c = 1;
        gates(1, 1, 1, nan_value, &h, &c);
        EXPECT_NEAR(h, 0, 1e-17);
        EXPECT_TRUE(std::isfinite(c));
}

TEST(Kernels, PaddingOfAStateStaysZero)
{
        float h = 0, c = 0;

        gates(0, 0, 0, 0, &h, &c);
        EXPECT_EQ(h, 0);
        EXPECT_EQ(c, 0);
}

TEST(Kernels, LogSoftmax)
{
        std::mt19937 random(3);

        for (size_t n : {2, 3, 15, 16, 17, 31, 500, 4096})
                for (float spread : {0.0f, 1.0f, 20.0f, 200.0f}) {
                        std::uniform_real_distribution<float> uniform(-spread, spread);
                        std::vector<float> row(cosmos__padded(n), 1e9f); /* what is in the padding must not matter */
                        double sum = 0, max = -1e9, total = 0;

                        for (size_t k = 0; k < n; k++) {
                                row[k] = uniform(random);
                                max = std::max(max, static_cast<double>(row[k]));
                        }
                        const std::vector<float> logits = row;
                        for (size_t k = 0; k < n; k++)
                                sum += std::exp(static_cast<double>(row[k]) - max);
                        const double log_sum = kernels.log_softmax(row.data(), n);
                        for (size_t k = 0; k < n; k++) {
                                const double logp = static_cast<double>(row[k]) - log_sum;

                                ASSERT_NEAR(logp, static_cast<double>(logits[k]) - max - std::log(sum),
                                            1e-6 + 1e-7 * static_cast<double>(spread));
                                ASSERT_LE(logp, 0);
                                total += std::exp(logp);
                        }
                        EXPECT_NEAR(total, 1, 1e-5);
                }
}

TEST(Kernels, LogSoftmaxOfWhatOverflowed)
{
        const float odd[] = {infinity, -infinity, nan_value, 3.4e38f, -3.4e38f, 0};
        const double expected[] = {std::log(2.0), 2e30, 2e30, std::log(2.0), 2e30, 1e30};
        std::vector<float> row(16, 7);

        std::copy(std::begin(odd), std::end(odd), row.begin());
        const double log_sum = kernels.log_softmax(row.data(), 6);
        for (size_t k = 0; k < 6; k++)
                EXPECT_NEAR((log_sum - static_cast<double>(row[k])) / expected[k], 1, 1e-6) << k;

        std::vector<float> nothing(16, nan_value);
        EXPECT_NEAR(kernels.log_softmax(nothing.data(), 3), std::log(3.0), 1e-6);
        EXPECT_EQ(nothing[0], 0);
}
