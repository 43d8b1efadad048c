/* SPDX-License-Identifier: Apache-2.0 */
/* The n-gram model against its definition, taken literally. */
#include <gtest/gtest.h>

#include <stdint.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

extern "C" {
#include "trainer/ngram.h"
}

namespace
{

using Ids = std::vector<uint32_t>;
using Sequences = std::vector<Ids>;

struct Free {
        void operator()(cosmos__ngram *g) const
        {
                EXPECT_EQ(cosmos__ngram_free(g), nullptr);
        }
};
using Ngram = std::unique_ptr<cosmos__ngram, Free>;

Ngram make(uint32_t order, uint32_t vocab, size_t most = COSMOS__NGRAM_MOST)
{
        cosmos__ngram *g = nullptr;

        EXPECT_EQ(cosmos__ngram_new(&g, order, vocab, most), 0);
        return Ngram(g);
}

Ngram learn(const Sequences &sequences, uint32_t order, uint32_t vocab, size_t most = COSMOS__NGRAM_MOST)
{
        Ngram g = make(order, vocab, most);

        for (const Ids &s : sequences)
                EXPECT_EQ(cosmos__ngram_add(g.get(), s.data(), 1, 0, s.size()), 0);
        EXPECT_EQ(cosmos__ngram_fit(g.get()), 0);
        return g;
}

/* Chen & Goodman's equations 14 to 17 over all n-grams in a map. */
class Oracle
{
      public:
        Oracle(const Sequences &sequences, size_t order, uint32_t vocab)
            : order(order), vocab(vocab), counts(order + 1), discounts(order + 1)
        {
                for (const Ids &s : sequences) {
                        Ids padded(order - 1, 0);

                        padded.insert(padded.end(), s.begin(), s.end());
                        for (size_t i = 0; i + order <= padded.size(); i++)
                                counts[order][Ids(padded.begin() + static_cast<long>(i),
                                                  padded.begin() + static_cast<long>(i + order))]++;
                }
                for (size_t k = order; k > 1; k--)
                        for (const auto &longer : counts[k])
                                counts[k - 1][Ids(longer.first.begin() + 1, longer.first.end())]++;
                for (size_t k = 1; k <= order; k++)
                        find_discounts(k);
        }

        double p(Ids context, uint32_t id) const
        {
                const size_t k = context.size() + 1;
                double sum = 0, mass = 0, own = 0;
                double shorter = context.empty() ? 1.0 / vocab : p(Ids(context.begin() + 1, context.end()), id);

                for (const auto &gram : counts[k])
                        if (Ids(gram.first.begin(), gram.first.end() - 1) == context) {
                                const double d = discounts[k][std::min(gram.second, 3) - 1];

                                sum += gram.second;
                                mass += d;
                                if (gram.first.back() == id)
                                        own = gram.second - d;
                        }
                return sum > 0 ? own / sum + mass / sum * shorter : shorter;
        }

        std::set<Ids> contexts() const
        {
                std::set<Ids> found;

                for (const auto &gram : counts[order])
                        found.insert(Ids(gram.first.begin(), gram.first.end() - 1));
                return found;
        }

      private:
        void find_discounts(size_t k)
        {
                double n[5] = {};

                for (const auto &gram : counts[k])
                        if (gram.second <= 4)
                                n[gram.second]++;
                const double y = n[1] / (n[1] + 2 * n[2]);
                const double d[] = {1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]};
                for (int i = 0; i < 3; i++)
                        discounts[k].push_back(d[i] > 0 && d[i] < i + 1 ? d[i] : (i + 1) / 2.0);
        }

        size_t order;
        uint32_t vocab;
        std::vector<std::map<Ids, int>> counts;
        std::vector<std::vector<double>> discounts;
};

/* Sequences with habits, so that some n-grams are frequent and others are not. */
Sequences made_up(uint32_t vocab, size_t n, unsigned seed)
{
        std::mt19937 random(seed);
        Sequences all;

        while (n-- > 0) {
                Ids s;

                for (size_t length = 1 + random() % 60; length > 0; length--) {
                        const uint32_t last = s.empty() ? 0 : s.back();

                        s.push_back(random() % 3 ? 1 + (last * 7 + 3) % (vocab - 2) : 1 + random() % (vocab - 2));
                }
                all.push_back(s);
        }
        return all;
}

/* Over all ids, the one that never came too. */
double sum_of(const cosmos__ngram *g, const Ids &context, uint32_t vocab)
{
        double sum = 0;

        for (uint32_t id = 0; id < vocab; id++) {
                const double p = cosmos__ngram_p(g, context.data(), id);

                EXPECT_GT(p, 0);
                sum += p;
        }
        return sum;
}

} // namespace

TEST(Ngram, IsWhatItsDefinitionSays)
{
        for (uint32_t order = 1; order <= COSMOS__NGRAM_ORDER_MAX; order++) {
                const Sequences sequences = made_up(9, 30, order);
                const Oracle oracle(sequences, order, 9);
                Ngram g = learn(sequences, order, 9);

                for (const Ids &context : oracle.contexts())
                        for (uint32_t id = 0; id < 9; id++)
                                ASSERT_NEAR(cosmos__ngram_p(g.get(), context.data(), id), oracle.p(context, id), 1e-12);
                /* Contexts that never came: of their calls only the latest few are known, or none. */
                std::mt19937 random(3);
                for (int i = 0; i < 100; i++) {
                        Ids context;

                        for (uint32_t k = 1; k < order; k++)
                                context.push_back(random() % 9);
                        for (uint32_t id = 0; id < 9; id++)
                                ASSERT_NEAR(cosmos__ngram_p(g.get(), context.data(), id), oracle.p(context, id), 1e-12);
                }
        }
}

TEST(Ngram, EachDistributionSumsToOne)
{
        const uint32_t vocab = 40;
        const Sequences sequences = made_up(vocab, 300, 11);
        const std::set<Ids> contexts = Oracle(sequences, 5, vocab).contexts();
        std::mt19937 random(5);

        for (size_t most :
             {COSMOS__NGRAM_MOST, static_cast<size_t>(1000), static_cast<size_t>(5), static_cast<size_t>(0)}) {
                Ngram g = learn(sequences, 5, vocab, most);

                for (const Ids &context : contexts)
                        if (random() % 10 == 0) {
                                ASSERT_NEAR(sum_of(g.get(), context, vocab), 1, 1e-9);
                        }
                ASSERT_NEAR(sum_of(g.get(), {39, 39, 39, 39}, vocab), 1, 1e-9);
                EXPECT_LE(cosmos__ngram_size(g.get()), most);
        }
}

TEST(Ngram, OfLittle)
{
        Ngram none = learn({}, 5, 4), one = learn({{2}}, 5, 4);

        EXPECT_NEAR(cosmos__ngram_p(none.get(), Ids(4, 0).data(), 3), 0.25, 1e-12);
        EXPECT_NEAR(sum_of(one.get(), Ids(4, 0), 4), 1, 1e-12);
        EXPECT_GT(cosmos__ngram_p(one.get(), Ids(4, 0).data(), 2), 0.9);
        EXPECT_EQ(cosmos__ngram_size(one.get()), 5u);
        EXPECT_EQ(cosmos__ngram_free(nullptr), nullptr);
}

TEST(Ngram, SumsOverPiecesWithTheirPast)
{
        const Ids s = {2, 3, 4, 2, 3, 5, 2, 3, 4, 2, 3, 4, 6, 2};
        Ngram whole = learn({s}, 3, 8), pieces = make(3, 8);
        std::vector<uint32_t> rows(s.size() * 4, 7); /* tokens of four fields */

        for (size_t i = 0; i < s.size(); i++)
                rows[i * 4] = s[i];
        ASSERT_EQ(cosmos__ngram_add(pieces.get(), rows.data(), 4, 0, 5), 0);
        ASSERT_EQ(cosmos__ngram_add(pieces.get(), rows.data() + 20, 4, 5, 1), 0);
        ASSERT_EQ(cosmos__ngram_add(pieces.get(), rows.data() + 24, 4, 6, s.size() - 6), 0);
        ASSERT_EQ(cosmos__ngram_fit(pieces.get()), 0);

        double expected = 0, unigram = 0;
        Ids padded(2, 0);
        padded.insert(padded.end(), s.begin(), s.end());
        for (size_t i = 0; i < s.size(); i++) {
                expected -= std::log(cosmos__ngram_p(whole.get(), &padded[i], s[i]));
                unigram -= std::log((static_cast<double>(std::count(s.begin(), s.end(), s[i])) + 1) / (14 + 8));
        }
        EXPECT_NEAR(cosmos__ngram_nll(whole.get(), s.data(), 1, 0, s.size()), expected, 1e-9);
        EXPECT_NEAR(cosmos__ngram_nll(pieces.get(), rows.data(), 4, 0, s.size()), expected, 1e-9);
        EXPECT_NEAR(cosmos__ngram_nll(whole.get(), s.data(), 1, 0, 5) +
                        cosmos__ngram_nll(whole.get(), s.data() + 5, 1, 5, s.size() - 5),
                    expected, 1e-9);
        EXPECT_NEAR(cosmos__unigram_nll(pieces.get(), rows.data(), 4, s.size()), unigram, 1e-9);
        EXPECT_EQ(cosmos__ngram_nll(whole.get(), s.data(), 1, 0, 0), 0);
}

/* The longest ids and order: keys do not run into each other. */
TEST(Ngram, TellsTheHighestIdsApart)
{
        Ngram g = learn(Sequences(20, Ids{4095, 4094, 4095, 4095, 4095, 4094}), 5, 4096);

        EXPECT_GT(cosmos__ngram_p(g.get(), Ids{4094, 4095, 4095, 4095}.data(), 4094), 0.5);
        EXPECT_LT(cosmos__ngram_p(g.get(), Ids{4094, 4095, 4095, 4095}.data(), 4093), 1e-3);
        EXPECT_GT(cosmos__ngram_p(g.get(), Ids{0, 0, 0, 0}.data(), 4095), 0.5);
}

TEST(Ngram, BeatsFrequencyWhereThereIsOrder)
{
        const Sequences sequences = made_up(30, 500, 1), later = made_up(30, 50, 2);
        Ngram five = learn(sequences, 5, 30);
        double nll = 0, unigram = 0;

        for (const Ids &s : later) {
                nll += cosmos__ngram_nll(five.get(), s.data(), 1, 0, s.size());
                unigram += cosmos__unigram_nll(five.get(), s.data(), 1, s.size());
        }
        EXPECT_LT(nll, 0.8 * unigram);
}
