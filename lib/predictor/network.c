/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/network.h"

#include "predictor/pack.h"

#include <errno.h>
#include <stdlib.h>

static const struct cosmos__layer *last_layer(const cosmos_model *model)
{
        return &model->layers[model->info.n_layers - 1];
}

size_t cosmos__inputs_size(const cosmos_model *model, const struct cosmos__layer *layer)
{
        return layer->width * model->kernels->input_size;
}

int cosmos__scratch_init(struct cosmos__scratch *ret, const cosmos_model *model, size_t n_rows)
{
        const size_t widest = model->width_max * model->kernels->input_size;
        size_t memory = 0;

        *ret = (struct cosmos__scratch){
            .top = cosmos__pack_alloc(n_rows, cosmos__inputs_size(model, last_layer(model)), &memory),
            .own = cosmos__pack_alloc(n_rows, widest, &memory),
            .below = cosmos__pack_alloc(n_rows, widest, &memory),
            .entries = cosmos__pack_alloc(n_rows * (COSMOS_TOKEN_FIELDS + 1), sizeof(*ret->entries), &memory),
        };
        return ret->top && ret->own && ret->below && ret->entries ? 0 : -ENOMEM;
}

void cosmos__scratch_free(struct cosmos__scratch *scratch)
{
        free(scratch->top);
        free(scratch->own);
        free(scratch->below);
        free(scratch->entries);
}

static struct cosmos__entry entry_of(const struct cosmos__table *table, size_t row)
{
        return (struct cosmos__entry){
            .row = (const char *)table->rows + row * table->row_bytes,
            .scale = table->scales ? table->scales[row] : 1,
        };
}

/* A layer's h of all states, as inputs. */
static struct cosmos__product product_of(const cosmos_model *model, const struct cosmos__weights *weights,
                                         const struct cosmos__layer *layer, float *const *states, size_t n_rows,
                                         char *inputs)
{
        const size_t size = cosmos__inputs_size(model, layer);

        for (size_t r = 0; r < n_rows; r++)
                model->kernels->inputs(inputs + r * size, states[r] + layer->h, layer->width);
        return (struct cosmos__product){.weights = weights, .x = inputs, .stride = size};
}

static struct cosmos__entry *put_token(const cosmos_model *model, const struct cosmos_token *token,
                                       struct cosmos__entry *entries)
{
        for (size_t i = 0; i < model->info.n_fields; i++)
                *entries++ = entry_of(&model->fields[i].table, token->field[model->fields[i].field]);
        if (model->info.tokens.frequency) {
                *entries = entry_of(&model->frequency, 0);
                entries++->scale *= token->frequency;
        }
        return entries;
}

/* The first layer is given the tokens' entries, the others their bias and the layer below. */
static void set_entries(const cosmos_model *model, size_t l, const struct cosmos_token *tokens,
                        struct cosmos__entry *entries, struct cosmos__cell *cell)
{
        cell->entries = entries;
        cell->n_entries = l == 0 ? model->info.n_fields + (model->info.tokens.frequency > 0) : 1;
        for (size_t r = 0; r < cell->n_rows; r++) {
                if (l == 0)
                        entries = put_token(model, &tokens[r], entries);
                else
                        *entries++ = entry_of(&model->layers[l].bias, 0);
        }
}

void cosmos__network_advance(const cosmos_model *model, struct cosmos__scratch *scratch, float *const *states,
                             const struct cosmos_token *tokens, size_t n_rows, char *top)
{
        for (size_t l = 0; l < model->info.n_layers; l++) {
                const struct cosmos__layer *layer = &model->layers[l];
                struct cosmos__cell cell = {.n_rows = n_rows, .states = states, .h = layer->h, .c = layer->c};

                set_entries(model, l, tokens, scratch->entries, &cell);
                if (l > 0)
                        cell.products[cell.n_products++] =
                            product_of(model, &layer->kernel, layer - 1, states, n_rows, scratch->below);
                cell.products[cell.n_products++] = product_of(model, &layer->recurrent, layer, states, n_rows,
                                                              layer == last_layer(model) ? top : scratch->own);
                model->kernels->cell(&cell);
        }
}

void cosmos__network_logits(const cosmos_model *model, const char *top, size_t n_rows, float *logits)
{
        const struct cosmos__product product = {
            .weights = &model->dense,
            .x = top,
            .stride = cosmos__inputs_size(model, last_layer(model)),
        };

        model->kernels->dense(&product, n_rows, model->dense_bias, logits);
}
