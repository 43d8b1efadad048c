/* SPDX-License-Identifier: Apache-2.0 */
/* A quantile's confidence interval, and the spread of scores near it. */
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

cosmos_threshold_fit fit(const std::vector<double> &scores, double quantile, double confidence = 0.95)
{
        cosmos_threshold_fit out = {};
        cosmos_diag diag = {""};

        out.size = sizeof(out);
        EXPECT_EQ(cosmos_threshold_fit_quantile(&out, scores.data(), scores.size(), quantile, confidence, &diag), 0)
            << diag.text;
        return out;
}

/* The r-th smallest is r. */
std::vector<double> ranks(size_t n)
{
        std::vector<double> scores(n);

        for (size_t i = 0; i < n; i++)
                scores[i] = static_cast<double>(n - i);
        return scores;
}

/* P(B < r), B binomial, term by term. */
long double below(size_t n, long double quantile, size_t r)
{
        long double sum = 0;

        for (size_t k = 0; k < r; k++)
                sum += std::exp(std::lgamma(n + 1.0L) - std::lgamma(k + 1.0L) - std::lgamma(n - k + 1.0L) +
                                static_cast<long double>(k) * std::log(quantile) +
                                static_cast<long double>(n - k) * std::log1p(-quantile));
        return sum;
}

} // namespace

TEST(Fit, TheIntervalIsThatOfTheBinomialDistribution)
{
        for (size_t n : {1, 2, 7, 30, 100, 623, 2000})
                for (double quantile : {0.01, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999999})
                        for (double confidence : {0.5, 0.9, 0.95, 0.99}) {
                                const cosmos_threshold_fit f = fit(ranks(n), quantile, confidence);
                                const long double tail = (1 - static_cast<long double>(confidence)) / 2;

                                SCOPED_TRACE(std::to_string(n) + " scores, quantile " + std::to_string(quantile) +
                                             ", confidence " + std::to_string(confidence));
                                const size_t lower = f.lower == -infinity ? 0 : static_cast<size_t>(f.lower);
                                const size_t upper = f.upper == infinity ? n + 1 : static_cast<size_t>(f.upper);
                                EXPECT_LE(below(n, quantile, lower), tail + 1e-9L);
                                EXPECT_GT(below(n, quantile, lower + 1), tail - 1e-9L);
                                if (upper <= n) {
                                        EXPECT_GE(below(n, quantile, upper), 1 - tail - 1e-9L);
                                }
                                EXPECT_LT(below(n, quantile, upper - 1), 1 - tail + 1e-9L);
                                EXPECT_LE(f.lower, f.theta);
                                EXPECT_GE(f.upper, f.theta);
                        }
}

/* Known from tolerance limits: of 59 values the highest exceeds 95% of all with 95% confidence, of 58 none does
 * (Hahn & Meeker 1991). One side of an interval of 90%. */
TEST(Fit, SaysWhenThereAreTooFewScores)
{
        EXPECT_EQ(fit(ranks(58), 0.95, 0.9).upper, infinity);
        EXPECT_EQ(fit(ranks(59), 0.95, 0.9).upper, 59);
        EXPECT_EQ(fit(ranks(298), 0.99, 0.9).upper, infinity);
        EXPECT_EQ(fit(ranks(299), 0.99, 0.9).upper, 299);
        EXPECT_EQ(fit(ranks(58), 0.05, 0.9).lower, -infinity);
        EXPECT_EQ(fit(ranks(59), 0.05, 0.9).lower, 1);
        EXPECT_EQ(fit(ranks(100), 1).lower, 100);
        EXPECT_EQ(fit(ranks(100), 1).upper, infinity);
        EXPECT_EQ(fit(ranks(100), 1).theta, 100);
}

TEST(Fit, TheIntervalOfMillionsOfScores)
{
        const size_t n = 1000000;
        const cosmos_threshold_fit f = fit(ranks(n), 0.999);

        /* The normal approximation, which is as good as exact here. */
        EXPECT_NEAR(f.lower, 999000 - 1.96 * std::sqrt(n * .999 * .001), 2);
        EXPECT_NEAR(f.upper, 999000 + 1.96 * std::sqrt(n * .999 * .001) + 1, 2);
        EXPECT_EQ(f.theta, 999000);
        EXPECT_EQ(f.n, n);
        EXPECT_EQ(f.quantile, 0.999);
        EXPECT_EQ(f.confidence, 0.95);
}

/* Of many samples, 95% of the intervals or more hold the quantile that the distribution has: here, of skewed scores. */
TEST(Fit, TheIntervalHoldsTheQuantileAsOftenAsItSays)
{
        std::mt19937 random(1);
        std::lognormal_distribution<double> draw(0, 1);
        const double quantile = 0.9, truth = std::exp(1.2815515655446004);
        int inside = 0;
        const int rounds = 2000;

        for (int i = 0; i < rounds; i++) {
                std::vector<double> scores(200);

                for (double &score : scores)
                        score = draw(random);
                const cosmos_threshold_fit f = fit(scores, quantile);
                inside += f.lower <= truth && truth <= f.upper;
        }
        EXPECT_GE(inside, rounds * 0.945);
        EXPECT_LE(inside, rounds * 0.985) << "not so wide that it says nothing";
}

TEST(Fit, TheSpreadIsThatOfAnExponentialTail)
{
        std::mt19937 random(1);
        std::exponential_distribution<double> draw(1 / 0.3);
        std::vector<double> scores(20000);

        for (double &score : scores)
                score = 1 + draw(random);
        for (double quantile : {0.5, 0.8, 0.9, 0.95, 0.99})
                EXPECT_NEAR(fit(scores, quantile).spread, 0.3, 0.05) << quantile;
        EXPECT_NEAR(fit(scores, 0.999).spread, 0.3, 0.2) << "of 20 scores";
        scores.resize(50);
        for (double quantile : {0.8, 0.99, 0.99999, 1.0}) {
                EXPECT_GT(fit(scores, quantile).spread, 0.1) << quantile;
                EXPECT_LT(fit(scores, quantile).spread, 1) << quantile;
        }
}

TEST(Fit, TheSpreadOfEqualScoresIsNotZero)
{
        std::vector<double> scores(1000, 2.0);

        EXPECT_GT(fit(scores, 0.99).spread, 0);
        EXPECT_GT(fit({1}, 0.5).spread, 0);
        EXPECT_GT(fit({1, 1}, 1).spread, 0);
        EXPECT_LT(fit(scores, 0.99).spread, 0.01);
        EXPECT_EQ(fit({-1e308, 1e308}, 0.5).spread, COSMOS_MODEL_SPREAD_MAX) << "also beyond what a double holds";
        for (size_t i = 0; i < 300; i++)
                scores[i] = 1;
        EXPECT_GT(fit(scores, 0.99).spread, 0.01) << "it looks further down";
}

TEST(Fit, BadArguments)
{
        const double scores[] = {1, 2};
        cosmos_threshold_fit out = {};
        cosmos_diag diag = {""};

        out.size = sizeof(out);
        for (double confidence : {0.0, 1.0, -1.0, std::nan("")}) {
                EXPECT_EQ(cosmos_threshold_fit_quantile(&out, scores, 2, 0.5, confidence, &diag), -EINVAL);
                EXPECT_NE(std::string(diag.text).find("confidence"), std::string::npos);
        }
        EXPECT_EQ(cosmos_threshold_fit_quantile(nullptr, scores, 2, 0.5, 0.9, &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_fit_quantile(&out, scores, 0, 0.5, 0.9, &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_fit_quantile(&out, scores, 2, 0, 0.9, &diag), -EINVAL);
        EXPECT_EQ(out.n, 0u);
}
