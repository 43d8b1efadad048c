/* SPDX-License-Identifier: Apache-2.0 */
// A network with random parameters and a random batch for it.
#ifndef COSMOS_TESTS_TRAINER_NETWORK_H
#define COSMOS_TESTS_TRAINER_NETWORK_H

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "trainer/network.h"
}

struct Case {
        const char *name;
        std::vector<uint32_t> fields; // their sizes; the first is the vocabulary
        bool frequency;
        uint32_t embedding;
        std::vector<uint32_t> units;
        std::vector<uint32_t> lengths; // descending
        float smoothing, dropout;
};

inline const Case cases[] = {
    {"one_unit", {3}, false, 1, {1}, {1}, 0, 0},
    {"names", {17}, false, 5, {16}, {9, 9, 4, 1}, 0, 0},
    {"errno_and_smoothing", {40, 13}, false, 8, {20}, {12, 7, 7, 3, 2}, 0.01f, 0},
    {"three_layers", {33, 7, 5}, false, 6, {24, 7, 18}, {10, 10, 6}, 0.001f, 0},
    {"all_with_dropout", {70, 9, 11, 4}, true, 10, {33, 20}, {11, 8, 8, 8, 5, 2, 1}, 0.01f, 0.3f},
};

inline std::ostream &operator<<(std::ostream &out, const Case &c)
{
        return out << c.name;
}

class Network
{
      public:
        explicit Network(const Case &c, const cosmos__training_kernels *kernels, size_t threads = 1)
        {
                shape.vocab = c.fields[0];
                shape.embedding = c.embedding;
                shape.n_layers = (uint32_t)c.units.size();
                std::copy(c.units.begin(), c.units.end(), shape.units);
                shape.n_fields = (uint32_t)c.fields.size();
                std::copy(c.fields.begin(), c.fields.end(), shape.field_size);
                shape.frequency = c.frequency;
                pass = {c.smoothing, c.dropout, 12345};
                lengths = c.lengths;
                batch.pieces = (uint32_t)lengths.size();
                batch.steps = lengths[0];
                draw_batch();
                cosmos__pool_new(&pool, threads);
                cosmos__network_new(&network, &shape, batch.pieces, batch.steps, kernels, pool);
                std::uniform_real_distribution<float> weight(-0.5f, 0.5f);
                for (size_t i = 0; i < n(); i++)
                        parameters()[i] = (cosmos__real)weight(random);
        }
        ~Network()
        {
                cosmos__network_free(network);
                cosmos__pool_free(pool);
        }
        Network(const Network &) = delete;
        Network &operator=(const Network &) = delete;

        size_t n() const
        {
                return cosmos__network_layout(network)->n;
        }
        cosmos__real *parameters()
        {
                return cosmos__network_parameters(network);
        }

        double loss()
        {
                cosmos__loss ret;

                cosmos__network_evaluate(network, &batch, &pass, &ret);
                return ret.loss / (double)ret.calls;
        }
        std::vector<cosmos__real> gradient()
        {
                cosmos__loss ret;
                const cosmos__real *g = cosmos__network_gradient(network, &batch, &pass, &ret);

                return {g, g + n()};
        }

        cosmos__shape shape = {};
        cosmos__batch batch = {};
        cosmos__pass pass = {};
        cosmos__network *network = nullptr;
        cosmos__pool *pool = nullptr;

      private:
        void draw_batch()
        {
                const size_t places = (size_t)batch.pieces * batch.steps;
                std::uniform_real_distribution<float> share(0, 1);

                for (size_t i = 0; i < places; i++) {
                        for (uint32_t f = 0; f < shape.n_fields; f++)
                                inputs.push_back((uint32_t)(random() % shape.field_size[f]));
                        targets.push_back((uint32_t)(random() % shape.vocab));
                        frequency.push_back(share(random));
                }
                batch.length = lengths.data();
                batch.inputs = inputs.data();
                batch.targets = targets.data();
                batch.frequency = shape.frequency ? frequency.data() : nullptr;
        }

        std::mt19937 random{7};
        std::vector<uint32_t> lengths, inputs, targets;
        std::vector<float> frequency;
};

#endif
