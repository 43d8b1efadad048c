/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward pass, for up to COSMOS__ROWS_MAX states at a time. It goes stage by
 * stage, all rows through each, so that a stage's weights are read once for all
 * rows.
 */
#ifndef COSMOS_NETWORK_H
#define COSMOS_NETWORK_H

#include "predictor/model.h"

#define COSMOS__ROWS_MAX ((size_t)64)

/* What the model makes of the states: `logits` becomes [n_rows, vocab_width]. */
void cosmos__network_logits(const cosmos_model *model, float *const *states, size_t n_rows, float *logits);

/* Move each state on by its token. `gates` is scratch: [n_rows, gates_width]. */
void cosmos__network_advance(const cosmos_model *model, float *const *states, const struct cosmos_token *tokens,
                             size_t n_rows, float *gates);

#endif
