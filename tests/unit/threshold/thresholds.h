/* SPDX-License-Identifier: Apache-2.0 */
/* Thresholds that free themselves. */
#ifndef COSMOS_TEST_THRESHOLDS_H
#define COSMOS_TEST_THRESHOLDS_H

#include <cosmos/threshold.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace thresholds
{

struct Free {
        void operator()(cosmos_threshold *threshold) const
        {
                cosmos_threshold_free(threshold);
        }
};
using Threshold = std::unique_ptr<cosmos_threshold, Free>;

inline Threshold fixed(double theta)
{
        cosmos_threshold *threshold = nullptr;

        EXPECT_EQ(cosmos_threshold_new_fixed(&threshold, theta, nullptr), 0);
        return Threshold(threshold);
}

inline Threshold fitted(const std::vector<double> &scores, double quantile)
{
        cosmos_threshold *threshold = nullptr;

        EXPECT_EQ(cosmos_threshold_new_fitted(&threshold, scores.data(), scores.size(), quantile, nullptr), 0);
        return Threshold(threshold);
}

inline Threshold adaptive(const Threshold &start, cosmos_adaptive_options options = {})
{
        cosmos_threshold *threshold = nullptr;
        cosmos_diag diag = {""};

        options.size = sizeof(options);
        EXPECT_EQ(cosmos_threshold_new_adaptive(&threshold, start.get(), &options, &diag), 0) << diag.text;
        return Threshold(threshold);
}

/* One that starts at `theta`, with a spread of 1. */
inline Threshold adaptive(double theta, double quantile, cosmos_adaptive_options options = {})
{
        options.quantile = quantile;
        options.spread = 1;
        return adaptive(fixed(theta), options);
}

inline cosmos_threshold_info info(const cosmos_threshold *threshold)
{
        cosmos_threshold_info out = {};

        out.size = sizeof(out);
        cosmos_threshold_get_info(threshold, &out);
        return out;
}

} // namespace thresholds

#endif
