/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loaded model, in the layout that its kernels read (kernels/kernels.h).
 *
 * The embedding is folded into the first layer: what a token adds to that
 * layer's gates is embedding[id] * kernel, which depends on the id alone, so it
 * is a row of a table. The bias is in the table of the first field, the name. What
 * multiplies the frequency is a table of one row, which is scaled. The other layers'
 * biases are tables of one row too.
 */
#ifndef COSMOS_PREDICTOR_MODEL_H
#define COSMOS_PREDICTOR_MODEL_H

#include "predictor/kernels/kernels.h"

#include <cosmos/model.h>

#include <jansson.h>
#include <stdatomic.h>

struct cosmos__layer {
        size_t width;                  /* units, padded */
        size_t h, c;                   /* where its h and c are in a session's state */
        struct cosmos__weights kernel; /* of the layer below's h; none in the first, see tables */
        struct cosmos__weights recurrent;
        struct cosmos__table bias; /* none in the first */
};

struct cosmos_model {
        _Atomic size_t refs;
        char *name;
        json_t *metadata;
        cosmos_vocab *vocab;
        struct cosmos_model_info info;
        const struct cosmos__kernels *kernels;

        struct { /* of a token that it reads, info.n_fields of them */
                enum cosmos_token_field field;
                uint32_t size;
                struct cosmos__table table;
        } fields[COSMOS_TOKEN_FIELDS];
        struct cosmos__table frequency; /* if info.tokens has it */
        struct cosmos__layer layers[COSMOS_MODEL_LAYERS_MAX];
        struct cosmos__weights dense;
        float *dense_bias;  /* [vocab_width] */
        size_t vocab_width; /* size of the vocabulary, padded */
        size_t width_max;   /* of the widest layer */

        float *start;      /* the state after "<start>" */
        size_t state_size; /* floats */
};

#endif
