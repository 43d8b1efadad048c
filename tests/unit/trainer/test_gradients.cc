/* SPDX-License-Identifier: Apache-2.0 */
// The gradient of each parameter against finite differences, in a build of the network for double.
#include "network.h"

#include <cmath>
#include <gtest/gtest.h>

class Gradients : public testing::TestWithParam<Case>
{
};

TEST_P(Gradients, AgreeWithFiniteDifferences)
{
        Network network(GetParam(), &cosmos__training_portable);
        const std::vector<double> gradient = network.gradient();
        double worst = 0, largest = 0;

        for (double g : gradient)
                largest = std::max(largest, std::abs(g));
        const size_t stride = network.n() / 2000 + 1; // of the large ones every few: each costs four passes
        for (size_t i = 0; i < network.n(); i += stride) {
                const double step = 1e-3, was = network.parameters()[i];
                double at[4];

                for (int k = 0; k < 4; k++) {
                        network.parameters()[i] = was + step * (k < 2 ? k - 2 : k - 1);
                        at[k] = network.loss();
                }
                network.parameters()[i] = was;
                const double expected = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step);

                // What is less than a millionth of the largest drowns in the differences' own rounding.
                worst = std::max(worst, std::abs(gradient[i] - expected) /
                                            std::max({std::abs(gradient[i]), std::abs(expected), 1e-6 * largest}));
        }
        EXPECT_GT(largest, 0);
        EXPECT_LT(worst, 1e-4);
        RecordProperty("relative_error", std::to_string(worst));
        printf("%s: %zu parameters, relative error at most %.1e\n", GetParam().name, network.n(), worst);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Gradients, testing::ValuesIn(cases),
                         [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });
