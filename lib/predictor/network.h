/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward pass, many rows at a time. It goes stage by stage, all rows through
 * each, so that a stage's weights are read once for all rows.
 */
#ifndef COSMOS_NETWORK_H
#define COSMOS_NETWORK_H

#include "predictor/model.h"

#include <cosmos/sequence.h>

/* What a pass over `n_rows` needs beside the states. */
struct cosmos__scratch {
        char *top;                     /* inputs from the last layer's h: [n_rows], cosmos__inputs_size() bytes each */
        char *own;                     /* inputs from any other layer's h */
        char *below;                   /* inputs from the h of the layer below */
        struct cosmos__entry *entries; /* [n_rows][COSMOS_TOKEN_FIELDS + 1] */
};

/* -ENOMEM; what there is must be freed also then. */
int cosmos__scratch_init(struct cosmos__scratch *ret, const cosmos_model *model, size_t n_rows);
void cosmos__scratch_free(struct cosmos__scratch *scratch);

/* Bytes of the inputs that a layer's h makes. */
size_t cosmos__inputs_size(const cosmos_model *model, const struct cosmos__layer *layer);

/* Move each state on by its token. `top` is set to the inputs that the last layer's h made before: what
 * the model thinks of the token follows from them. */
void cosmos__network_advance(const cosmos_model *model, struct cosmos__scratch *scratch, float *const *states,
                             const struct cosmos_token *tokens, size_t n_rows, char *top);

/* What the model makes of `top`: `logits` becomes [n_rows, vocab_width]. */
void cosmos__network_logits(const cosmos_model *model, const char *top, size_t n_rows, float *logits);

#endif
