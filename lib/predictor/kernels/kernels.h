/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the predictor, as a constant table of functions for each
 * instruction set and precision. The portable ones are the reference for the
 * others.
 *
 * Every kernel works on rows, one for each session and call, and computes a row
 * in the same way whatever the other rows are and however many there are: each
 * output is one sum whose terms are added in the order of the inputs. So results
 * do not depend on what a session is batched with.
 *
 * Overflow: finite weights can still add up to an infinity or, from two of
 * opposite sign, a NaN. Every kernel takes a NaN for minus infinity and gives
 * finite results.
 *
 * Layout. Outputs go by vectors of `lanes`. Those of a cell are the gates i, f,
 * g, o of its first `lanes` units, then those of the next ones; so four vectors
 * are all that these units need, and their pre-activations never leave the
 * registers. The dense layer's are its logits in order. Weights stand panel by
 * panel, each [n_in / group][vectors of the panel][lanes][group]. One row alone reads
 * them in that order; of several rows each takes the panel's first four vectors, then
 * the next four.
 *
 * int8: a weight is q * scale of its output, q in -127..127; an input, which is in
 * [-1, 1], is q / 127. Sums of products of the two q are exact in 32 bits.
 */
#ifndef COSMOS_KERNELS_H
#define COSMOS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define COSMOS__GATES ((size_t)4)
#define COSMOS__WIDTH ((size_t)16) /* of which everything is padded to a multiple */
#define COSMOS__ALIGNMENT ((size_t)64)
#define COSMOS__Q_MAX 127       /* int8 */
#define COSMOS__TABLE_MAX 32767 /* 16-bit entries of a table */

/* Beyond this a sigmoid or a tanh is constant in float (sigmoid: to 1e-18), and products of two exponentials are
 * finite. */
#define COSMOS__SATURATED 43.0f
/* Logits are held within this, so that their differences are finite. */
#define COSMOS__LOGIT_MAX 1e30f
/* exp() of less adds nothing to a sum of 1 and more. */
#define COSMOS__EXP_MIN (-87.0f)

static inline size_t cosmos__padded(size_t n)
{
        return (n + COSMOS__WIDTH - 1) / COSMOS__WIDTH * COSMOS__WIDTH;
}

/* Vectors in the panel of vector `at` of `n`: `most`, a power of 2. Those that are left go in smaller powers, where
 * `at` is the first of one. Each begins at a multiple of its size. */
static inline size_t cosmos__panel_at(size_t at, size_t n, size_t most)
{
        if (at >= n / most * most)
                while (most > n - at)
                        most /= 2;
        return most;
}

/* Weights as the kernels read them. */
struct cosmos__weights {
        void *panels;
        float *scales;    /* int8, by output: of the product of two q; else NULL */
        int32_t *offsets; /* int8, by output: what its sum begins at; else NULL */
        size_t n_in;      /* padded */
        size_t n_vectors;
};

/* What tokens, or a bias, add to a layer's gates: a row for each id. */
struct cosmos__table {
        void *rows;    /* float, or int16_t: 4 * width of the layer in each */
        float *scales; /* of each row of int16_t; NULL: floats */
        size_t row_bytes;
};

/* A row of a table, and what it is multiplied with: its own scale, if it has one, times that of the caller. */
struct cosmos__entry {
        const void *row;
        float scale;
};

/* weights * x for every row. */
struct cosmos__product {
        const struct cosmos__weights *weights;
        const char *x; /* rows of inputs, as the kernels' inputs() makes them */
        size_t stride; /* bytes from a row to the next */
};

/* One step of one LSTM layer. */
struct cosmos__cell {
        size_t n_rows;
        const struct cosmos__entry *entries; /* [n_rows][n_entries] */
        size_t n_entries;
        struct cosmos__product products[2]; /* of the layer below and its own */
        size_t n_products;
        float *const *states; /* [n_rows] */
        size_t h, c;          /* where the layer's are in a state */
};

struct cosmos__kernels {
        size_t lanes;
        size_t panel;       /* vectors in a panel: 4 or 8 */
        size_t group;       /* inputs whose weights for one output stand together */
        size_t input_size;  /* bytes of an input */
        int32_t input_zero; /* int8: what a q of 0 is stored as */

        /* `n` inputs from floats in [-1, 1]; `n` is padded, x and h are aligned to 16 of them. */
        void (*inputs)(void *x, const float *h, size_t n);

        /* Update h and c of every state: the gates' pre-activations are the sum of the row's entries and products.
         * (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.) */
        void (*cell)(const struct cosmos__cell *cell);

        /* out: [n_rows][n_vectors * lanes], product + bias, held within +-COSMOS__LOGIT_MAX. The bias comes
         * last: it is often larger than the product, whose terms would be rounded to its size one by one. */
        void (*dense)(const struct cosmos__product *product, size_t n_rows, const float *bias, float *out);

        /* Log-softmax of a row of `n` logits, a multiple of 16: leaves logit - max in the row and
         * returns the log L >= 0 of the sum of their exponentials: log-probability k is row[k] - L. */
        double (*log_softmax)(float *row, size_t n);
        /* out[k] = row[k] - L, for any `n`, rounded once. */
        void (*log_probabilities)(float *out, const float *row, size_t n, double L);
};

/* What a machine may have. */
struct cosmos__isa {
        const char *name;
        int (*supported)(void);
        const struct cosmos__kernels *f32, *int8;
};

/* Fastest first; the last one is portable and always supported. */
extern const struct cosmos__isa cosmos__isas[];
extern const size_t cosmos__n_isas;

extern const struct cosmos__kernels cosmos__portable_f32, cosmos__portable_int8;
extern const struct cosmos__kernels cosmos__avx2_f32, cosmos__avx2_int8;
extern const struct cosmos__kernels cosmos__avx512_f32, cosmos__avx512_int8;
extern const struct cosmos__kernels cosmos__avx512vnni_int8;
extern const struct cosmos__kernels cosmos__neon_f32, cosmos__neon_int8;

#endif
