/* SPDX-License-Identifier: Apache-2.0 */
#include <cosmos/threshold.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace
{

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

/* NaN: could not be made. */
double fitted(const std::vector<double> &scores, double quantile)
{
        cosmos_threshold *threshold = nullptr;
        double theta = nan_value;

        if (cosmos_threshold_new_fitted(&threshold, scores.data(), scores.size(), quantile, nullptr) == 0)
                theta = cosmos_threshold_theta(threshold);
        cosmos_threshold_free(threshold);
        return theta;
}

} // namespace

TEST(Threshold, FixedJudges)
{
        cosmos_threshold *threshold = nullptr;

        ASSERT_EQ(cosmos_threshold_new_fixed(&threshold, 2.5, nullptr), 0);
        EXPECT_EQ(cosmos_threshold_theta(threshold), 2.5);
        EXPECT_EQ(cosmos_threshold_judge(threshold, 2.5), COSMOS_NORMAL);
        EXPECT_EQ(cosmos_threshold_judge(threshold, 0), COSMOS_NORMAL);
        EXPECT_EQ(cosmos_threshold_judge(threshold, -infinity), COSMOS_NORMAL);
        EXPECT_EQ(cosmos_threshold_judge(threshold, std::nextafter(2.5, 3)), COSMOS_ANOMALOUS);
        EXPECT_EQ(cosmos_threshold_judge(threshold, infinity), COSMOS_ANOMALOUS);
        EXPECT_EQ(cosmos_threshold_judge(threshold, nan_value), COSMOS_INDETERMINATE);
        EXPECT_EQ(cosmos_threshold_free(threshold), nullptr);
        EXPECT_EQ(cosmos_threshold_free(nullptr), nullptr);
}

TEST(Threshold, FittedIsDefinition1)
{
        EXPECT_EQ(fitted({3, 1, 2, 4}, 0.25), 1);
        EXPECT_EQ(fitted({3, 1, 2, 4}, 0.26), 2);
        EXPECT_EQ(fitted({3, 1, 2, 4}, 0.5), 2);
        EXPECT_EQ(fitted({3, 1, 2, 4}, 0.75), 3);
        EXPECT_EQ(fitted({3, 1, 2, 4}, 0.76), 4);
        EXPECT_EQ(fitted({3, 1, 2, 4}, 1), 4);
        EXPECT_EQ(fitted({3, 1, 2, 4}, 1e-300), 1);
        EXPECT_EQ(fitted({7}, 0.5), 7);
        EXPECT_EQ(fitted({5, 5, 5, 9}, 0.75), 5);
        EXPECT_EQ(fitted({-1, -3, 0}, 0.5), -1);
}

/* k/100 of 1..100 is k, also where k/100 * 100 is not k in floating point. */
TEST(Threshold, FittedToRoundQuantiles)
{
        for (size_t n : {100u, 1000u}) {
                std::vector<double> scores(n);

                for (size_t i = 0; i < n; i++)
                        scores[i] = static_cast<double>(n - i);
                for (size_t k = 1; k <= n; k++)
                        EXPECT_EQ(fitted(scores, static_cast<double>(k) / static_cast<double>(n)),
                                  static_cast<double>(k));
        }
}

TEST(Threshold, FittedHoldsItsPromise)
{
        std::mt19937 random(1);
        std::uniform_real_distribution<double> uniform(0, 1);

        for (int round = 0; round < 200; round++) {
                std::vector<double> scores(1 + random() % 50);
                const double quantile = 1 - uniform(random);
                size_t at_most = 0, less = 0;

                for (double &score : scores)
                        score = std::floor(uniform(random) * 20); /* with equal ones */
                const double theta = fitted(scores, quantile);
                for (double score : scores) {
                        at_most += score <= theta;
                        less += score < theta;
                }
                EXPECT_NE(std::find(scores.begin(), scores.end(), theta), scores.end());
                EXPECT_GE(static_cast<double>(at_most), quantile * static_cast<double>(scores.size()));
                EXPECT_LT(static_cast<double>(less), quantile * static_cast<double>(scores.size()));
        }
}

TEST(Threshold, FittingLeavesTheScoresAlone)
{
        const std::vector<double> before = {3, 1, 2};
        std::vector<double> scores = before;

        fitted(scores, 0.5);
        EXPECT_EQ(scores, before);
}

TEST(Threshold, BadArguments)
{
        cosmos_threshold *threshold = nullptr;
        const double scores[] = {1, 2, nan_value};
        cosmos_diag diag = {""};

        for (double theta : {nan_value, infinity, -infinity})
                EXPECT_EQ(cosmos_threshold_new_fixed(&threshold, theta, &diag), -EINVAL);
        EXPECT_NE(std::string(diag.text).find("-inf"), std::string::npos) << diag.text;
        EXPECT_EQ(cosmos_threshold_new_fixed(nullptr, 1, &diag), -EINVAL);

        for (double quantile : {0.0, -0.5, 1.0001, nan_value, infinity})
                EXPECT_EQ(cosmos_threshold_new_fitted(&threshold, scores, 2, quantile, &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_new_fitted(&threshold, scores, 0, 0.5, &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_new_fitted(&threshold, nullptr, 2, 0.5, &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_new_fitted(nullptr, scores, 2, 0.5, &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_new_fitted(&threshold, scores, 3, 0.5, &diag), -EINVAL);
        EXPECT_NE(std::string(diag.text).find("score 2"), std::string::npos) << diag.text;
        EXPECT_EQ(threshold, nullptr);
}
