/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/network.h"

#include <string.h>

/* A row for each state: the part of it that begins at `offset`. */
static void rows_of(float **ret, float *const *states, size_t n_rows, size_t offset)
{
        for (size_t r = 0; r < n_rows; r++)
                ret[r] = states[r] + offset;
}

void cosmos__network_logits(const cosmos_model *model, float *const *states, size_t n_rows, float *logits)
{
        const struct cosmos__layer *top = &model->layers[model->info.n_layers - 1];
        float *h[COSMOS__ROWS_MAX];

        rows_of(h, states, n_rows, top->h);
        for (size_t r = 0; r < n_rows; r++)
                memcpy(logits + r * model->vocab_width, model->dense_bias, model->vocab_width * sizeof(*logits));
        model->kernels->multiply(logits, (const float *const *)h, model->dense, n_rows, top->units, model->vocab_width);
}

/* The first layer's gates, as far as the tokens make them. */
static void gates_from_tokens(const cosmos_model *model, const struct cosmos_token *tokens, size_t n_rows, float *gates)
{
        const size_t width = 4 * model->layers[0].width;

        for (size_t r = 0; r < n_rows; r++) {
                float *row = gates + r * width;

                memcpy(row, model->tables[0] + tokens[r].field[0] * width, width * sizeof(*row));
                for (uint32_t f = 1; f < model->info.n_fields; f++) {
                        const float *entry = model->tables[f] + tokens[r].field[f] * width;

                        for (size_t k = 0; k < width; k++)
                                row[k] += entry[k];
                }
        }
}

/* A higher layer's gates, as far as the layer below makes them. */
static void gates_from_below(const cosmos_model *model, size_t l, float *const *states, size_t n_rows, float *gates)
{
        const struct cosmos__layer *layer = &model->layers[l], *below = &model->layers[l - 1];
        const size_t width = 4 * layer->width;
        float *h[COSMOS__ROWS_MAX];

        rows_of(h, states, n_rows, below->h);
        for (size_t r = 0; r < n_rows; r++)
                memcpy(gates + r * width, layer->bias, width * sizeof(*gates));
        model->kernels->multiply(gates, (const float *const *)h, layer->kernel, n_rows, below->units, width);
}

void cosmos__network_advance(const cosmos_model *model, float *const *states, const struct cosmos_token *tokens,
                             size_t n_rows, float *gates)
{
        float *h[COSMOS__ROWS_MAX], *c[COSMOS__ROWS_MAX];

        for (size_t l = 0; l < model->info.n_layers; l++) {
                const struct cosmos__layer *layer = &model->layers[l];

                if (l == 0)
                        gates_from_tokens(model, tokens, n_rows, gates);
                else
                        gates_from_below(model, l, states, n_rows, gates);
                rows_of(h, states, n_rows, layer->h);
                rows_of(c, states, n_rows, layer->c);
                model->kernels->multiply(gates, (const float *const *)h, layer->recurrent, n_rows, layer->units,
                                         4 * layer->width);
                model->kernels->gates(h, c, gates, n_rows, layer->width);
        }
}
