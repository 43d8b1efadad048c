/* SPDX-License-Identifier: Apache-2.0 */
/* Order statistics against a sorted copy. */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

extern "C" {
#include "base/rank.h"
}

namespace
{

using Weighed = cosmos__weighed;

Weighed weighed(const void *all, size_t i)
{
        return static_cast<const Weighed *>(all)[i];
}

} // namespace

TEST(Rank, IsThatOfASortedCopy)
{
        std::mt19937_64 random(7);

        /* Keys that share none, some or all but their last bits. */
        for (int shared : {0, 11, 33, 54, 55, 63})
                for (size_t n : {1, 2, 50, 700}) {
                        std::vector<Weighed> all(n), sorted;
                        uint64_t rank = 0;

                        for (Weighed &w : all)
                                w = {shared ? ~uint64_t{0} << (64 - shared) | random() >> shared : random(),
                                     random() % 4};
                        all[n / 2].weight = 1; /* or there may be nothing at all */
                        sorted = all;
                        std::sort(sorted.begin(), sorted.end(),
                                  [](const Weighed &a, const Weighed &b) { return a.key < b.key; });
                        for (const Weighed &w : sorted)
                                for (uint64_t k = 0; k < w.weight; k++)
                                        ASSERT_EQ(cosmos__key_of_rank(all.data(), n, rank++, weighed), w.key)
                                            << n << " keys, " << shared << " bits shared";
                }
}

TEST(Rank, KeysAreInOrder)
{
        const double infinity = std::numeric_limits<double>::infinity();
        const std::vector<double> reals = {
            -infinity, -1e300, -2, -1, std::nextafter(-1.0, 0.0), -5e-324, -0.0, 0.0, 5e-324, 0.5, 1, 1e300, infinity};
        const std::vector<int64_t> integers = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX};

        for (size_t i = 0; i < reals.size(); i++) {
                const double back = cosmos__double_of_key(cosmos__key_of_double(reals[i]));

                EXPECT_EQ(back, reals[i]);
                EXPECT_EQ(std::signbit(back), std::signbit(reals[i]));
                EXPECT_TRUE(i == 0 || cosmos__key_of_double(reals[i - 1]) < cosmos__key_of_double(reals[i])) << i;
        }
        for (size_t i = 0; i < integers.size(); i++) {
                EXPECT_EQ(cosmos__int64_of_key(cosmos__key_of_int64(integers[i])), integers[i]);
                EXPECT_TRUE(i == 0 || cosmos__key_of_int64(integers[i - 1]) < cosmos__key_of_int64(integers[i])) << i;
        }
}
