/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network, forwards and backwards through time (Werbos 1990), over a batch of
 * pieces of sequences, and Adam.
 *
 * Parameters are one flat array, in the order and the shapes in which a model file
 * has its tensors; so are gradients, and Adam's moments. A gradient is that
 * of the mean loss over all calls of the batch.
 *
 * Work is parted between the threads of a pool, results do not depend on how many
 * there are: pieces are independent of each other on the way forwards and back,
 * and each element of a matrix's gradient is one sum over all calls, in the order
 * of time.
 */
#ifndef COSMOS_TRAINER_NETWORK_H
#define COSMOS_TRAINER_NETWORK_H

#include "trainer/kernels/kernels.h"
#include "trainer/pool.h"

#include <stdbool.h>
#include <stdint.h>

#define COSMOS__NETWORK_LAYERS_MAX 8
#define COSMOS__NETWORK_FIELDS_MAX 8

struct cosmos__shape {
        uint32_t vocab;
        uint32_t embedding;
        uint32_t n_layers;
        uint32_t units[COSMOS__NETWORK_LAYERS_MAX];
        uint32_t n_fields; /* the first is the name's, of size `vocab` */
        uint32_t field_size[COSMOS__NETWORK_FIELDS_MAX];
        bool frequency; /* a dense input beside the fields */
};

/* A tensor of the parameters. */
struct cosmos__parameter {
        size_t at; /* its first value's place */
        uint32_t rows, columns;
};

/* Where everything stands in the flat array. */
struct cosmos__layout {
        struct cosmos__parameter fields[COSMOS__NETWORK_FIELDS_MAX]; /* [size, embedding] */
        struct cosmos__parameter frequency;                          /* [1, embedding] */
        struct {
                struct cosmos__parameter kernel, recurrent, bias; /* [in, 4 units], [units, 4 units], [1, 4 units] */
        } layers[COSMOS__NETWORK_LAYERS_MAX];
        struct cosmos__parameter dense, dense_bias; /* [units, vocab], [1, vocab] */
        size_t n;                                   /* values in all */
};

void cosmos__layout_init(struct cosmos__layout *ret, const struct cosmos__shape *shape);

/*
 * A batch. Piece p is length[p] calls, 1 .. `steps`, at step 0 and on; it begins with a state of zeros. What the
 * network is given at each, and what it is to say: the arrays go piece by piece, `steps` places for each.
 */
struct cosmos__batch {
        uint32_t pieces, steps;
        const uint32_t *length;  /* [pieces], descending */
        const uint32_t *inputs;  /* [pieces][steps][n_fields] */
        const float *frequency;  /* [pieces][steps]; NULL: there is none */
        const uint32_t *targets; /* [pieces][steps], names */
};

struct cosmos__pass {
        float smoothing;
        float dropout;  /* of each layer's h on its way up; 0: none */
        uint64_t noise; /* what the dropped units follow from */
};

/* What a batch came to. */
struct cosmos__loss {
        uint64_t calls;
        double nll;  /* summed over the calls, nats */
        double loss; /* likewise, what the gradient is of: with label smoothing */
};

struct cosmos__network;

/* For batches of up to `pieces` by `steps`. -ENOMEM. `pool` is borrowed. */
int cosmos__network_new(struct cosmos__network **ret, const struct cosmos__shape *shape, uint32_t pieces,
                        uint32_t steps, const struct cosmos__training_kernels *kernels, struct cosmos__pool *pool);
struct cosmos__network *cosmos__network_free(struct cosmos__network *network);

/* The parameters, [layout.n]: to be set, and moved by cosmos__network_learn(). */
cosmos__real *cosmos__network_parameters(struct cosmos__network *network);
/* Adam's moments, [2][layout.n]. */
cosmos__real *cosmos__network_moments(struct cosmos__network *network);
const struct cosmos__layout *cosmos__network_layout(const struct cosmos__network *network);

/* The loss alone; `pass` as in training, or smoothing and dropout 0. */
void cosmos__network_evaluate(struct cosmos__network *network, const struct cosmos__batch *batch,
                              const struct cosmos__pass *pass, struct cosmos__loss *ret);
/* The loss and its gradient, [layout.n], which is lent until the next call. */
const cosmos__real *cosmos__network_gradient(struct cosmos__network *network, const struct cosmos__batch *batch,
                                             const struct cosmos__pass *pass, struct cosmos__loss *ret);
/*
 * Move the parameters against the latest gradient, after it was scaled down to a norm of `clip` (0: as it is;
 * Pascanu et al. 2013): step `step` (1, 2, ...) of Adam (Kingma & Ba 2015, with the epsilon-hat at the end of their
 * section 2, as Keras has it), beta 0.9 and 0.999, epsilon 1e-7. Returns the norm.
 */
double cosmos__network_learn(struct cosmos__network *network, double rate, double clip, uint64_t step);

#endif
