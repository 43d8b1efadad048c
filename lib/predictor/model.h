/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loaded model, in the layout that the kernels read: every row of a matrix is
 * padded with zeros to COSMOS__LANES floats; a row over the four gates is four
 * such rows, i, f, g, o, one after the other.
 *
 * The embedding is folded into the first layer: what a token adds to that
 * layer's gates is embedding[id] * kernel, which depends on the id alone, so it
 * is a row of a table. The bias is in the table of the first field.
 */
#ifndef COSMOS_PREDICTOR_MODEL_H
#define COSMOS_PREDICTOR_MODEL_H

#include "predictor/kernels/kernels.h"

#include <cosmos/model.h>

#include <jansson.h>
#include <stdatomic.h>

struct cosmos__layer {
        size_t units;
        size_t width;     /* units, padded */
        size_t h, c;      /* where its h and c are in a session's state */
        float *kernel;    /* [units of the layer below, 4 * width]; NULL for the first, see tables */
        float *recurrent; /* [units, 4 * width] */
        float *bias;      /* [4 * width]; NULL for the first, see tables */
};

struct cosmos_model {
        _Atomic size_t refs;
        char *name;
        json_t *metadata;
        cosmos_vocab *vocab;
        struct cosmos_model_info info;
        const struct cosmos__kernels *kernels;

        float *tables[COSMOS_TOKEN_FIELDS]; /* [size of the field, 4 * width of the first layer] */
        struct cosmos__layer layers[COSMOS_MODEL_LAYERS_MAX];
        float *dense;       /* [units of the last layer, vocab_width] */
        float *dense_bias;  /* [vocab_width] */
        size_t vocab_width; /* size of the vocabulary, padded */
        size_t gates_width; /* 4 * width of the widest layer */

        float *start;      /* the state after "<start>" */
        size_t state_size; /* floats */
};

/* A zeroed matrix, aligned for the kernels; `width` is a padded one. NULL: no memory. To be freed with free(). */
float *cosmos__matrix_new(size_t rows, size_t width);

#endif
