/* SPDX-License-Identifier: Apache-2.0 */
// Gradients in float: the same bits whatever the number of threads and the instruction set, near the portable ones.
#include "network.h"

#include <cmath>
#include <gtest/gtest.h>

extern "C" {
#include <cosmos/model.h>
}

class Networks : public testing::TestWithParam<Case>
{
};

TEST_P(Networks, AgreeOnAllThreadsAndInstructionSets)
{
        const std::vector<float> portable = Network(GetParam(), cosmos__training_kernels_get("portable")).gradient();
        std::vector<float> simd;
        float largest = 0;

        for (float g : portable)
                largest = std::max(largest, std::abs(g));
        for (size_t i = 0; cosmos_isa_name(i); i++) {
                const std::string isa = cosmos_isa_name(i);

                for (size_t threads : {1, 2, 3, 9}) {
                        const auto gradient =
                            Network(GetParam(), cosmos__training_kernels_get(isa.c_str()), threads).gradient();

                        if (isa == "portable") {
                                EXPECT_EQ(gradient, portable) << threads;
                                continue;
                        }
                        simd = simd.empty() ? gradient : simd;
                        EXPECT_EQ(gradient, simd) << isa << ", " << threads;
                        for (size_t k = 0; k < gradient.size(); k++)
                                ASSERT_NEAR(gradient[k], portable[k], 1e-5f * largest) << isa << ", " << k;
                }
        }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Networks, testing::ValuesIn(cases),
                         [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });
