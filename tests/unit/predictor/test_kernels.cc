/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of every instruction set that this machine has, against the same arithmetic in double. */
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <vector>

extern "C" {
#include "predictor/pack.h"
}

namespace
{

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

/* Floats that are aligned for the kernels. */
class Floats
{
      public:
        explicit Floats(size_t n, float value = 0)
            : data(static_cast<float *>(aligned_alloc(64, (4 * n + 63) / 64 * 64)))
        {
                std::fill_n(data.get(), n, value);
        }
        float *get() const
        {
                return data.get();
        }
        float &operator[](size_t i) const
        {
                return data.get()[i];
        }

      private:
        struct Free {
                void operator()(float *p) const
                {
                        free(p);
                }
        };
        std::unique_ptr<float, Free> data;
};

/* A random matrix, and as the kernels have it. */
class Matrix
{
      public:
        Matrix(const cosmos__kernels *kernels, bool int8, uint32_t rows, uint32_t columns, size_t n_parts,
               uint32_t seed)
            : columns(columns), values(rows * columns)
        {
                std::mt19937 random(seed);
                std::normal_distribution<float> normal(0, 0.3f);
                size_t memory = 0;

                for (float &value : values)
                        value = normal(random);
                tensor.shape[0] = rows;
                tensor.shape[1] = columns;
                tensor.n = values.size();
                tensor.data = reinterpret_cast<const uint8_t *>(values.data());
                EXPECT_EQ(cosmos__pack_weights(&packed, kernels, int8, &tensor, n_parts, &memory), 0);
                EXPECT_GE(memory, values.size() * (int8 ? 1 : 4));
                effective.assign(values.begin(), values.end());
                if (int8)
                        quantise(rows);
        }
        Matrix(const Matrix &) = delete;
        ~Matrix()
        {
                free(packed.panels);
                free(packed.scales);
                free(packed.offsets);
        }

        /* As it is multiplied with. */
        double at(size_t row, size_t column) const
        {
                return effective[row * columns + column];
        }

        cosmos__weights packed{};

      private:
        void quantise(size_t rows)
        {
                for (size_t c = 0; c < columns; c++) {
                        float max = 0;

                        for (size_t r = 0; r < rows; r++)
                                max = std::max(max, std::fabs(values[r * columns + c]));
                        const float scale = max / 127;
                        for (size_t r = 0; r < rows; r++)
                                effective[r * columns + c] =
                                    static_cast<double>(std::rint(values[r * columns + c] / scale)) *
                                    static_cast<double>(scale);
                }
        }

        size_t columns;
        std::vector<float> values;
        std::vector<double> effective;
        cosmos__tensor tensor{};
};

double sigmoid(double x)
{
        return 1 / (1 + std::exp(-x));
}

struct Kernel {
        const char *isa;
        bool int8;
        const cosmos__kernels *kernels;
};

void PrintTo(const Kernel &k, std::ostream *out)
{
        *out << k.isa << (k.int8 ? " int8" : " f32");
}

std::vector<Kernel> all_kernels()
{
        std::vector<Kernel> all;

        for (size_t i = 0; i < cosmos__n_isas; i++)
                if (cosmos__isas[i].supported()) {
                        all.push_back({cosmos__isas[i].name, false, cosmos__isas[i].f32});
                        all.push_back({cosmos__isas[i].name, true, cosmos__isas[i].int8});
                }
        return all;
}

std::string name_of(const testing::TestParamInfo<Kernel> &info)
{
        return std::string(info.param.isa) + (info.param.int8 ? "_int8" : "_f32");
}

class Kernels : public testing::TestWithParam<Kernel>
{
      protected:
        const cosmos__kernels *k = GetParam().kernels;
        bool int8 = GetParam().int8;

        /* h in [-1, 1] of `n` rows, padded; and the inputs from them. */
        struct Inputs {
                std::vector<Floats> h;
                Floats x;
                size_t stride;
        };

        Inputs inputs(size_t n, size_t width, uint32_t seed) const
        {
                const size_t padded = cosmos__padded(width);
                std::mt19937 random(seed);
                std::uniform_real_distribution<float> uniform(-1, 1);
                Inputs ret{{}, Floats(n * padded), padded * k->input_size};

                for (size_t r = 0; r < n; r++) {
                        ret.h.emplace_back(padded);
                        for (size_t j = 0; j < width; j++)
                                ret.h[r][j] = r == 0 && j < 2 ? 1 - 2 * static_cast<float>(j) : uniform(random);
                        k->inputs(reinterpret_cast<char *>(ret.x.get()) + r * ret.stride, ret.h[r].get(), padded);
                }
                return ret;
        }

        double input(float h) const
        {
                return static_cast<double>(int8 ? std::rint(h * 127) / 127 : h);
        }

        cosmos__product product(const Matrix &m, const Inputs &in) const
        {
                return {&m.packed, reinterpret_cast<const char *>(in.x.get()), in.stride};
        }
};

} // namespace

INSTANTIATE_TEST_SUITE_P(Machine, Kernels, testing::ValuesIn(all_kernels()), name_of);

TEST(Padding, IsToWholeVectors)
{
        EXPECT_EQ(cosmos__padded(0), 0u);
        EXPECT_EQ(cosmos__padded(1), 16u);
        EXPECT_EQ(cosmos__padded(16), 16u);
        EXPECT_EQ(cosmos__padded(17), 32u);
}

TEST_P(Kernels, DenseAgainstDouble)
{
        for (uint32_t n_in : {1u, 2u, 7u, 16u, 33u, 128u})
                for (uint32_t n_out : {2u, 15u, 16u, 17u, 40u, 49u, 97u, 113u, 341u}) {
                        const Matrix m(k, int8, n_in, n_out, 1, n_in * n_out);
                        const size_t width = cosmos__padded(n_out);
                        Floats bias(width, -1e30f), all(13 * width), one(width);

                        for (size_t o = 0; o < n_out; o++)
                                bias[o] = static_cast<float>(o % 7) / 3;
                        for (size_t n_rows : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 13u}) {
                                const Inputs in = inputs(n_rows, n_in, n_in);
                                cosmos__product p = product(m, in);

                                k->dense(&p, n_rows, bias.get(), all.get());
                                for (size_t r = 0; r < n_rows; r++) {
                                        for (size_t o = 0; o < n_out; o++) {
                                                double sum = static_cast<double>(bias[o]);

                                                for (size_t j = 0; j < n_in; j++)
                                                        sum += input(in.h[r][j]) * m.at(j, o);
                                                ASSERT_NEAR(static_cast<double>(all[r * width + o]), sum, 1e-5)
                                                    << n_in << " " << n_out << " row " << r << " of " << n_rows;
                                        }
                                        for (size_t o = n_out; o < width; o++)
                                                ASSERT_EQ(all[r * width + o], -1e30f);
                                        /* Alone it is the same, to the bit. */
                                        p.x = product(m, in).x + r * in.stride;
                                        k->dense(&p, 1, bias.get(), one.get());
                                        ASSERT_EQ(memcmp(one.get(), &all[r * width], width * sizeof(float)), 0);
                                        p.x = product(m, in).x;
                                }
                        }
                }
}

namespace
{

/* Tables of `fields` for a layer of `units`, and what each adds to a gate. */
struct Tables {
        std::vector<cosmos__table> tables;
        std::vector<std::vector<float>> values;

        Tables(const cosmos__kernels *k, bool int8, size_t units, size_t n_fields, uint32_t seed)
        {
                std::mt19937 random(seed);
                std::uniform_real_distribution<float> uniform(-3, 3);
                size_t memory = 0;

                for (size_t f = 0; f < n_fields; f++) {
                        cosmos__tensor tensor{};

                        values.emplace_back(4 * units);
                        for (float &value : values[f])
                                value = uniform(random);
                        tensor.shape[0] = static_cast<uint32_t>(4 * units);
                        tensor.n = values[f].size();
                        tensor.data = reinterpret_cast<const uint8_t *>(values[f].data());
                        tables.push_back({});
                        EXPECT_EQ(cosmos__pack_table(&tables[f], k, int8, nullptr, nullptr, &tensor, &memory), 0);
                }
        }
        Tables(const Tables &) = delete;
        ~Tables()
        {
                for (cosmos__table &t : tables) {
                        free(t.rows);
                        free(t.scales);
                }
        }

        /* What row `r` multiplies table `f` with: the first one's with 1, as a bias. */
        static float times(size_t r, size_t f)
        {
                return f == 0 ? 1 : static_cast<float>(r % 5) / 4;
        }

        std::vector<cosmos__entry> entries(size_t n_rows) const
        {
                std::vector<cosmos__entry> all;

                for (size_t r = 0; r < n_rows; r++)
                        for (size_t f = 0; f < tables.size(); f++)
                                all.push_back(
                                    {tables[f].rows, (tables[f].scales ? tables[f].scales[0] : 1) * times(r, f)});
                return all;
        }
};

} // namespace

TEST_P(Kernels, CellAgainstDouble)
{
        for (uint32_t units : {1u, 3u, 16u, 17u, 37u, 64u})
                for (uint32_t below : {0u, 5u, 32u})
                        for (size_t n_rows : {1u, 2u, 5u, 6u, 11u}) {
                                const Matrix recurrent(k, int8, units, 4 * units, 4, units),
                                    kernel(k, int8, below + 1, 4 * units, 4, below + 1);
                                const Tables tables(k, int8, units, below ? 1 : 2, units);
                                const Inputs own = inputs(n_rows, units, 3), lower = inputs(n_rows, below + 1, 4);
                                const std::vector<cosmos__entry> entries = tables.entries(n_rows);
                                const size_t width = cosmos__padded(units);
                                std::vector<Floats> states;
                                std::vector<float *> at;
                                cosmos__cell cell{};

                                for (size_t r = 0; r < n_rows; r++) {
                                        states.emplace_back(2 * width);
                                        at.push_back(states[r].get());
                                        for (size_t u = 0; u < units; u++)
                                                states[r][width + u] = static_cast<float>(u % 5) - 2;
                                }
                                const auto run = [&](size_t first, size_t n) {
                                        cell.n_rows = n;
                                        cell.entries = entries.data() + first * tables.tables.size();
                                        cell.n_entries = tables.tables.size();
                                        cell.n_products = 0;
                                        if (below)
                                                cell.products[cell.n_products++] = product(kernel, lower);
                                        cell.products[cell.n_products++] = product(recurrent, own);
                                        for (size_t p = 0; p < cell.n_products; p++)
                                                cell.products[p].x += first * cell.products[p].stride;
                                        cell.states = at.data() + first;
                                        cell.h = 0;
                                        cell.c = width;
                                        k->cell(&cell);
                                };
                                run(0, n_rows);
                                for (size_t r = 0; r < n_rows; r++) {
                                        for (size_t u = 0; u < units; u++) {
                                                double z[4];

                                                for (size_t g = 0; g < 4; g++) {
                                                        z[g] = 0;
                                                        for (size_t f = 0; f < tables.values.size(); f++)
                                                                z[g] += static_cast<double>(
                                                                            tables.values[f][g * units + u]) *
                                                                        static_cast<double>(Tables::times(r, f));
                                                        for (size_t j = 0; j < units; j++)
                                                                z[g] +=
                                                                    input(own.h[r][j]) * recurrent.at(j, g * units + u);
                                                        for (size_t j = 0; below && j < below + 1; j++)
                                                                z[g] +=
                                                                    input(lower.h[r][j]) * kernel.at(j, g * units + u);
                                                }
                                                const double c = sigmoid(z[1]) * (static_cast<double>(u % 5) - 2) +
                                                                 sigmoid(z[0]) * std::tanh(z[2]);
                                                /* A table's 16 bits are off by 3 / 65534 at most. */
                                                const double tolerance = int8 ? 3e-4 : 2e-6;

                                                ASSERT_NEAR(static_cast<double>(states[r][width + u]), c, tolerance)
                                                    << units << " " << below << " " << r << " " << u;
                                                ASSERT_NEAR(static_cast<double>(states[r][u]),
                                                            sigmoid(z[3]) * std::tanh(c), tolerance);
                                        }
                                        for (size_t u = units; u < width; u++) {
                                                ASSERT_EQ(states[r][u], 0);
                                                ASSERT_EQ(states[r][width + u], 0);
                                        }
                                }
                                /* Row by row it is the same, to the bit. */
                                const std::vector<Floats> together = std::move(states);
                                states.clear();
                                for (size_t r = 0; r < n_rows; r++) {
                                        states.emplace_back(2 * width);
                                        at[r] = states[r].get();
                                        for (size_t u = 0; u < units; u++)
                                                states[r][width + u] = static_cast<float>(u % 5) - 2;
                                        run(r, 1);
                                        ASSERT_EQ(memcmp(at[r], together[r].get(), 2 * width * sizeof(float)), 0);
                                }
                        }
}

/* ---- the functions of one number -------------------------------------------------- */

namespace
{

class Functions : public testing::TestWithParam<Kernel>
{
      protected:
        const cosmos__kernels *k = GetParam().kernels;
        Matrix zero{k, false, 1, 4, 4, 1};
        Floats x{16};

        /* h and c of one unit by its gates. */
        void gates(float i, float f, float g, float o, float *h, float *c)
        {
                Floats row(4 * 16), state(32);
                float *at = state.get();
                const float z[] = {i, f, g, o};
                cosmos__entry entry = {row.get(), 1};
                cosmos__cell cell{};

                for (size_t gate = 0; gate < 4; gate++)
                        for (size_t lane = 0; lane < k->lanes; lane++)
                                row[gate * k->lanes + lane] = z[gate];
                for (size_t u = 0; u < 16; u++)
                        state[16 + u] = *c;
                cell.n_rows = 1;
                cell.entries = &entry;
                cell.n_entries = 1;
                cell.products[0] = {&zero.packed, reinterpret_cast<const char *>(x.get()), 64};
                cell.n_products = 1;
                cell.states = &at;
                cell.c = 16;
                k->cell(&cell);
                *h = state[0];
                *c = state[16];
                for (size_t lane = 1; lane < k->lanes; lane++) {
                        EXPECT_EQ(state[lane], *h);
                        EXPECT_EQ(state[16 + lane], *c);
                }
        }
};

std::vector<Kernel> float_kernels()
{
        std::vector<Kernel> all = all_kernels(), ret;

        for (const Kernel &kernel : all)
                if (!kernel.int8)
                        ret.push_back(kernel);
        return ret;
}

} // namespace

INSTANTIATE_TEST_SUITE_P(Machine, Functions, testing::ValuesIn(float_kernels()), name_of);

/* The bounds that simd.h and portable.c state. */
TEST_P(Functions, ExpSigmoidTanhAreWithinTheirBounds)
{
        double exp_error = 0, sigmoid_error = 0, tanh_error = 0;

        for (float v = -43; v <= 43; v += 0.0037f) {
                float h, c = 0;

                gates(v, -50, 50, 50, &h, &c); /* sigmoid(v) */
                sigmoid_error =
                    std::max(sigmoid_error, std::fabs(static_cast<double>(c) - sigmoid(static_cast<double>(v))));
                if (v < -20) { /* where it is exp(v), to 2e-9 */
                        const double t = std::fabs(static_cast<double>(v)) / std::log(2.0);
                        const double relative = static_cast<double>(c) / sigmoid(static_cast<double>(v)) - 1;

                        exp_error = std::max(exp_error, std::fabs(relative) / (2e-7 + 1e-7 * t));
                }
                c = 0;
                gates(50, -50, v, 50, &h, &c);
                tanh_error =
                    std::max(tanh_error, std::fabs(static_cast<double>(c) - std::tanh(static_cast<double>(v))));
        }
        EXPECT_LE(exp_error, 1);
        EXPECT_LE(sigmoid_error, 2e-7);
        EXPECT_LE(tanh_error, 2e-7);
        EXPECT_GT(sigmoid_error, 0); /* it is measured */
}

TEST_P(Functions, GatesAreThoseOfKeras)
{
        std::mt19937 random(2);
        std::uniform_real_distribution<float> uniform(-9, 9);

        for (int n = 0; n < 20000; n++) {
                const float i = uniform(random), f = uniform(random), g = uniform(random), o = uniform(random);
                const float before = uniform(random);
                const double after = sigmoid(static_cast<double>(f)) * static_cast<double>(before) +
                                     sigmoid(static_cast<double>(i)) * std::tanh(static_cast<double>(g));
                float h = 0, c = before;

                gates(i, f, g, o, &h, &c);
                ASSERT_NEAR(static_cast<double>(c), after, 2e-6);
                ASSERT_NEAR(static_cast<double>(h), sigmoid(static_cast<double>(o)) * std::tanh(after), 1e-6);
        }
}

TEST_P(Functions, GatesSaturate)
{
        for (float large : {50.0f, 100.0f, 1e10f, 3e38f, infinity}) {
                float h = 0, c = 3;

                gates(large, large, large, large, &h, &c);
                EXPECT_EQ(c, 4);
                EXPECT_NEAR(static_cast<double>(h), std::tanh(4.0), 2e-7);
                gates(-large, -large, large, large, &h, &c);
                EXPECT_NEAR(static_cast<double>(c), 0, 1e-17);
                EXPECT_NEAR(static_cast<double>(h), 0, 1e-17);
        }
        for (float grown = 20; grown < 1e7f; grown *= 1.01f) /* a cell that has only ever grown */
                for (float sign : {1.0f, -1.0f}) {
                        float h = 0, c = sign * grown;

                        gates(-50, 50, 0, 50, &h, &c);
                        EXPECT_EQ(h, sign) << grown;
                }
}

TEST_P(Functions, NanGateIsClosed)
{
        float h = 1, c = 1;

        gates(nan_value, nan_value, 1, 1, &h, &c);
        EXPECT_NEAR(static_cast<double>(c), 0, 1e-17);
        EXPECT_NEAR(static_cast<double>(h), 0, 1e-17);
        c = 1;
        gates(1, 1, 1, nan_value, &h, &c);
        EXPECT_NEAR(static_cast<double>(h), 0, 1e-17);
        EXPECT_TRUE(std::isfinite(c));
        c = 1;
        gates(1, 1, nan_value, 1, &h, &c);
        EXPECT_NEAR(static_cast<double>(c), 0, 1e-6); /* sigmoid(1) * 1 + sigmoid(1) * -1 */
}

TEST_P(Functions, PaddingOfAStateStaysZero)
{
        float h = 0, c = 0;

        gates(0, 0, 0, 0, &h, &c);
        EXPECT_EQ(h, 0);
        EXPECT_EQ(c, 0);
}

TEST_P(Functions, LogSoftmax)
{
        std::mt19937 random(3);

        for (size_t n : {2, 3, 15, 16, 17, 31, 500, 4096})
                for (float spread : {0.0f, 1.0f, 20.0f, 200.0f}) {
                        std::uniform_real_distribution<float> uniform(-spread, spread);
                        const size_t width = cosmos__padded(n);
                        const Floats row(width, -1e30f), logits(width);
                        double sum = 0, max = -1e9, total = 0;

                        for (size_t i = 0; i < n; i++) {
                                row[i] = logits[i] = uniform(random);
                                max = std::max(max, static_cast<double>(row[i]));
                        }
                        for (size_t i = 0; i < n; i++)
                                sum += std::exp(static_cast<double>(row[i]) - max);
                        const double log_sum = k->log_softmax(row.get(), width);
                        std::vector<float> out(n + 1, 77);
                        k->log_probabilities(out.data(), row.get(), n, log_sum);
                        EXPECT_EQ(out[n], 77) << "behind the last one";
                        for (size_t i = 0; i < n; i++) {
                                const double logp = static_cast<double>(row[i]) - log_sum;

                                ASSERT_EQ(out[i], static_cast<float>(logp));

                                ASSERT_NEAR(logp, static_cast<double>(logits[i]) - max - std::log(sum),
                                            2e-6 + 1e-7 * static_cast<double>(spread));
                                ASSERT_LE(logp, 0);
                                total += std::exp(logp);
                        }
                        EXPECT_NEAR(total, 1, 1e-5);
                }
}

TEST_P(Functions, OverflowIsHeld)
{
        const float odd[] = {infinity, -infinity, nan_value, 3.4e38f, -3.4e38f, 0};
        const double expected[] = {std::log(2.0), 2e30, 2e30, std::log(2.0), 2e30, 1e30};
        const Matrix m(k, false, 1, 6, 1, 1);
        const Floats bias(16, -1e30f), out(16), input(16);
        const cosmos__product p = {&m.packed, reinterpret_cast<const char *>(input.get()), 64};

        std::copy(std::begin(odd), std::end(odd), bias.get());
        k->dense(&p, 1, bias.get(), out.get());
        const double log_sum = k->log_softmax(out.get(), 16);
        for (size_t i = 0; i < 6; i++)
                EXPECT_NEAR((log_sum - static_cast<double>(out[i])) / expected[i], 1, 1e-6) << i;
}

/* All but the portable kernels fuse products and sums, and agree to the bit. */
TEST(InstructionSets, Agree)
{
        const std::vector<Kernel> all = all_kernels();

        for (bool int8 : {false, true}) {
                std::vector<float> first;

                for (const Kernel &kernel : all) {
                        if (kernel.int8 != int8 || !strcmp(kernel.isa, "portable"))
                                continue;
                        const Matrix m(kernel.kernels, int8, 33, 77, 1, 5);
                        const size_t width = cosmos__padded(77);
                        const Floats bias(width), out(width), h(48), x(48);
                        const cosmos__product p = {&m.packed, reinterpret_cast<const char *>(x.get()), 0};
                        std::mt19937 random(1);
                        std::uniform_real_distribution<float> uniform(-1, 1);

                        for (size_t j = 0; j < 33; j++)
                                h[j] = uniform(random);
                        kernel.kernels->inputs(x.get(), h.get(), 48);
                        kernel.kernels->dense(&p, 1, bias.get(), out.get());
                        const double log_sum = kernel.kernels->log_softmax(out.get(), width);
                        std::vector<float> values(out.get(), out.get() + 77);

                        values.push_back(static_cast<float>(log_sum));
                        if (first.empty())
                                first = values;
                        EXPECT_EQ(values, first) << kernel.isa;
                }
        }
}
