/* SPDX-License-Identifier: Apache-2.0 */
/* A threshold that follows the scores: by the equations of its header, and what it promises. */
#include "threshold/thresholds.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

using thresholds::adaptive;
using thresholds::fitted;
using thresholds::fixed;
using thresholds::info;
using thresholds::Threshold;

namespace
{

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

double theta(const Threshold &t)
{
        return cosmos_threshold_theta(t.get());
}

void tell(const Threshold &t, double score, int times = 1)
{
        for (int i = 0; i < times; i++)
                cosmos_threshold_update(t.get(), score);
}

/* The share of `n` scores, after `skipped` ones, that is above theta, theta being what it is when the score comes. */
double share_above(const Threshold &t, size_t n, const std::function<double(size_t)> &score, size_t skipped = 0)
{
        size_t above = 0;

        for (size_t i = 0; i < skipped + n; i++) {
                const double x = score(i);

                above += i >= skipped && cosmos_threshold_judge(t.get(), x) == COSMOS_ANOMALOUS;
                tell(t, x);
        }
        return static_cast<double>(above) / static_cast<double>(n);
}

/* Into an alert: scores above until they do not count any more. */
void alarm(const Threshold &t)
{
        for (int i = 0; i < 16; i++) {
                EXPECT_FALSE(info(t.get()).alert);
                tell(t, 1e6);
        }
        EXPECT_TRUE(info(t.get()).alert);
}

} // namespace

/* ---- steps -------------------------------------------------------------------------------- */

TEST(Adaptive, TheFirstStepsAreThoseOfTheHeader)
{
        const double a = 0.05, follows = 20 / a;
        Threshold t = adaptive(2, 1 - a);
        double expected = 2;

        for (int i = 0; i < 1000; i++) {
                const bool above = i % 20 == 7;
                const double gain = std::max(1 / follows, 1 / (i + follows / 8));

                tell(t, above ? theta(t) + 0.1 : theta(t) - 0.1);
                expected += gain / a * ((above ? 1 : 0) - a);
                ASSERT_NEAR(theta(t), expected, 1e-9) << i;
        }
        EXPECT_EQ(info(t.get()).counted, 1000u);
        EXPECT_EQ(info(t.get()).held, 0u);
}

TEST(Adaptive, HowFarAboveAScoreIsDoesNotMatter)
{
        Threshold little = adaptive(2, 0.9), much = adaptive(2, 0.9);

        tell(little, 2.0000001);
        tell(much, infinity);
        EXPECT_EQ(theta(little), theta(much));
        EXPECT_GT(theta(much), 2);
        EXPECT_LT(theta(much), 2.5);
        tell(little, theta(little)); /* not above */
        tell(much, -infinity);
        EXPECT_EQ(theta(little), theta(much));
}

TEST(Adaptive, ScoresThatAreNoneAreLeftOut)
{
        Threshold t = adaptive(2, 0.9);

        tell(t, nan_value);
        EXPECT_EQ(theta(t), 2);
        EXPECT_EQ(info(t.get()).counted, 0u);
        Threshold still = fixed(2);
        tell(still, 5);
        EXPECT_EQ(theta(still), 2);
        EXPECT_FALSE(info(still.get()).adaptive);
}

TEST(Adaptive, StaysBetweenItsBounds)
{
        cosmos_adaptive_options options = {};

        options.min = 1.9;
        options.max = 2.1;
        Threshold t = adaptive(2, 0.9, options);
        tell(t, 0, 1000);
        EXPECT_EQ(theta(t), 1.9);
        for (int i = 0; i < 1000; i++)
                tell(t, i % 2 ? 9 : 0);
        EXPECT_EQ(theta(t), 2.1);
        EXPECT_EQ(theta(adaptive(5, 0.9, options)), 2.1) << "also where it starts";
}

/* ---- what it promises ---------------------------------------------------------------------- */

/* Down to half as many scores above as there were, and up to 20 times as many. */
TEST(Adaptive, HoldsTheShareWhenTheNormalShifts)
{
        for (double a : {0.2, 0.1, 0.05, 0.01})
                for (double shift : {-0.7, 0.0, 1.0, 3.0}) {
                        std::mt19937 random(1);
                        std::exponential_distribution<double> draw(1);
                        Threshold t = adaptive(-std::log(a), 1 - a);
                        const size_t hour = 3600, day = 24 * hour;

                        const double share = share_above(
                            t, day, [&](size_t) { return draw(random) + shift; }, hour);
                        EXPECT_GT(share, a / 1.1) << a << " " << shift;
                        EXPECT_LT(share, a * 1.1) << a << " " << shift;
                }
}

/* The promise is for any scores whatever: those that come in long runs, one above the other. */
TEST(Adaptive, HoldsTheShareOfScoresThatHangTogether)
{
        std::mt19937 random(2);
        std::normal_distribution<double> draw(0, 1);

        for (double a : {0.2, 0.1, 0.05})
                for (double memory : {0.9, 0.97}) {
                        double x = 0;
                        Threshold t = adaptive(1, 1 - a);
                        const double share = share_above(t, 200000, [&](size_t) {
                                return x = memory * x + std::sqrt(1 - memory * memory) * draw(random);
                        });

                        EXPECT_NEAR(share, a, a / 10) << a << " " << memory;
                        if (memory > 0.95) {
                                EXPECT_GT(info(t.get()).held, 1000u) << "runs of scores above are alerts too";
                        }
                }
}

/* What would come of leaving out the anomalous ones: the same scores, of which those above are not told. */
TEST(Adaptive, LeavingOutWhatIsAboveWouldLetItDriftDown)
{
        std::mt19937 random(3);
        std::exponential_distribution<double> draw(1);
        Threshold all = adaptive(3, 0.95), others = adaptive(3, 0.95);

        for (int i = 0; i < 20000; i++) {
                const double score = draw(random);

                tell(all, score);
                if (cosmos_threshold_judge(others.get(), score) == COSMOS_NORMAL)
                        tell(others, score);
        }
        EXPECT_NEAR(theta(all), 3, 0.5);
        EXPECT_LT(theta(others), 0);
}

/* ---- alerts ---------------------------------------------------------------------------------- */

TEST(Adaptive, AnAlertHoldsItUntilTheShareIsAsPromised)
{
        Threshold t = adaptive(2, 0.9);

        tell(t, -1e6, 100);
        alarm(t);
        const double held = theta(t);
        tell(t, 1e6, 3);
        EXPECT_EQ(theta(t), held);
        tell(t, -1e6, 26); /* 3 of 29 */
        EXPECT_TRUE(info(t.get()).alert);
        EXPECT_EQ(theta(t), held);
        tell(t, -1e6, 1); /* 3 of 30 */
        EXPECT_FALSE(info(t.get()).alert);
        EXPECT_EQ(theta(t), held);
        EXPECT_EQ(info(t.get()).held, 30u);
        EXPECT_EQ(info(t.get()).counted, 116u);
        tell(t, -1e6, 1);
        EXPECT_LT(theta(t), held);
        alarm(t); /* and another can begin */
}

TEST(Adaptive, ScoresAboveThatAreNoRunAreNoAlert)
{
        Threshold t = adaptive(2, 0.9);

        for (int i = 0; i < 1000; i++) {
                tell(t, i % 2 ? 1e6 : -1e6);
                ASSERT_FALSE(info(t.get()).alert);
        }
        EXPECT_GT(theta(t), 2);
}

TEST(Adaptive, AnAlertThatLastsIsANewNormal)
{
        cosmos_adaptive_options options = {};

        options.hold = 50;
        Threshold t = adaptive(2, 0.9, options);
        alarm(t);
        const double held = theta(t);
        tell(t, 1e6, 39);
        tell(t, -1e6, 10);
        EXPECT_EQ(theta(t), held);
        EXPECT_TRUE(info(t.get()).alert);
        tell(t, 1e6);
        EXPECT_FALSE(info(t.get()).alert);
        EXPECT_NEAR(theta(t), held + std::log(0.8 / 0.1), 1e-9) << "40 of 50";
        const double raised = theta(t);
        tell(t, 1e6, 500);
        EXPECT_FALSE(info(t.get()).alert) << "it is tolerated";
        EXPECT_GT(theta(t), raised + 20);
        tell(t, -1e6, 15);
        tell(t, 1e6, 40);
        EXPECT_FALSE(info(t.get()).alert) << "as long as it goes on";
        tell(t, -1e6, 16);
        alarm(t);
}

TEST(Adaptive, HoldsForHalfAsLongAsItFollows)
{
        Threshold t = adaptive(2, 0.9);

        alarm(t);
        tell(t, 1e6, 99);
        EXPECT_TRUE(info(t.get()).alert);
        tell(t, 1e6);
        EXPECT_FALSE(info(t.get()).alert);
}

/* A burst of an intrusion leaves theta where it was: within the scores that it takes to see it. */
TEST(Adaptive, ABurstRaisesItLittle)
{
        std::mt19937 random(4);
        std::exponential_distribution<double> draw(1);
        Threshold t = adaptive(3, 0.95);

        for (int i = 0; i < 5000; i++)
                tell(t, draw(random));
        const double before = theta(t);
        tell(t, 50, 16 + 199);
        EXPECT_LT(theta(t), before + 16.0 / 20 + 1e-9);
        EXPECT_GE(theta(t), before);
}

/* ---- made -------------------------------------------------------------------------------------- */

TEST(Adaptive, TakesQuantileAndSpreadFromTheFit)
{
        std::vector<double> scores;

        for (int i = 1; i <= 1000; i++)
                scores.push_back(i / 100.0);
        Threshold t = adaptive(fitted(scores, 0.9));
        EXPECT_EQ(theta(t), 9);
        EXPECT_EQ(info(t.get()).quantile, 0.9);
        EXPECT_EQ(info(t.get()).n, 1000u);
        EXPECT_EQ(info(t.get()).adaptive, 1);
        const double spread = info(t.get()).spread;
        EXPECT_NEAR(spread, 1 / std::log(3), 0.01);
        tell(t, 10);
        EXPECT_NEAR(theta(t), 9 + 8 * spread * 0.9 / 20, 1e-9);
}

TEST(Adaptive, TheSameScoresGiveTheSameBits)
{
        std::mt19937 random(5);
        std::exponential_distribution<double> draw(1);
        Threshold one = adaptive(3, 0.95), other = adaptive(3, 0.95);

        for (int i = 0; i < 5000; i++) {
                const double score = draw(random) * (i % 1000 < 30 ? 10 : 1);

                tell(one, score);
                tell(other, score);
                ASSERT_EQ(theta(one), theta(other));
        }
}

TEST(Adaptive, EachImageAdaptsByItself)
{
        Threshold start = fitted({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.9), its = fitted({10, 20, 30, 40}, 0.75);

        ASSERT_EQ(cosmos_threshold_add_image(start.get(), "db:1", its.get(), nullptr), 0);
        Threshold t = adaptive(start);
        cosmos_threshold *image = cosmos_threshold_of(t.get(), "db:1");
        ASSERT_NE(image, t.get());
        cosmos_threshold_update(image, 100);
        EXPECT_GT(cosmos_threshold_theta(image), 30);
        EXPECT_EQ(theta(t), 9);
        EXPECT_EQ(info(image).quantile, 0.75);
        EXPECT_EQ(cosmos_threshold_theta(cosmos_threshold_of(start.get(), "db:1")), 30) << "a copy adapts";
        cosmos_adaptive_options options = {};
        options.quantile = 0.5;
        t = adaptive(start, options);
        EXPECT_EQ(info(t.get()).quantile, 0.5);
        EXPECT_EQ(info(cosmos_threshold_of(t.get(), "db:1")).quantile, 0.5);
}

TEST(Adaptive, SaysWhatIsWrongOrNotKnown)
{
        cosmos_threshold *t = nullptr;
        cosmos_diag diag = {""};
        Threshold start = fitted({1, 2, 3}, 0.5), all = fitted({1, 2, 3}, 1), given = fixed(2);
        auto fails = [&](const Threshold &from, double quantile, double min, double max, double spread,
                         const std::string &word) {
                const cosmos_adaptive_options options = {sizeof(options), quantile, min, max, spread, 0};

                EXPECT_EQ(cosmos_threshold_new_adaptive(&t, from.get(), &options, &diag), -EINVAL) << word;
                EXPECT_NE(std::string(diag.text).find(word), std::string::npos) << diag.text;
        };

        for (double quantile : {1.0, -0.1, 2.0, nan_value})
                fails(start, quantile, 0, 0, 0, "quantile");
        for (double spread : {-1.0, 1.1e6, infinity, nan_value})
                fails(start, 0, 0, 0, spread, "spread");
        fails(start, 0, 2, 2, 0, "bounds 2 and 2");
        fails(start, 0, 3, 2, 0, "bounds");
        fails(start, 0, 0, infinity, 0, "bounds");
        fails(start, 0, nan_value, 1, 0, "bounds");
        fails(given, 0, 0, 0, 1, "give a quantile");
        fails(all, 0, 0, 0, 1, "give a quantile");
        fails(given, 0.9, 0, 0, 0, "--calibrate");
        EXPECT_EQ(cosmos_threshold_add_image(start.get(), "db:1", given.get(), nullptr), 0);
        fails(start, 0, 0, 0, 0, "of image 'db:1'");
        EXPECT_EQ(cosmos_threshold_new_adaptive(nullptr, start.get(), nullptr, &diag), -EINVAL);
        EXPECT_EQ(cosmos_threshold_new_adaptive(&t, nullptr, nullptr, &diag), -EINVAL);
        EXPECT_EQ(t, nullptr);
}
