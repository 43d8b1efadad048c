/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of training, as a constant table of functions for each instruction
 * set. The portable one is the reference, and can be compiled for double
 * (COSMOS__DOUBLE), in which gradients are held against finite differences.
 *
 * Everything is padded to multiples of COSMOS__WIDTH columns, and rows begin at multiples of
 * COSMOS__ALIGNMENT. Every output is one sum whose terms are added in ascending order,
 * whatever it is computed together with: results do not depend on how the work is
 * parted between threads, and are the same on all instruction sets but the portable
 * one.
 */
#ifndef COSMOS_TRAINER_KERNELS_H
#define COSMOS_TRAINER_KERNELS_H

#include "predictor/kernels/kernels.h"

#include <stddef.h>

#ifdef COSMOS__DOUBLE
typedef double cosmos__real;
#else
typedef float cosmos__real;
#endif

/*
 * c[i][j] = from[i][j] + the sum over k of a(i, k) * b[k][j]. Without `from`, which may be c, it is the sum alone.
 * a(i, k) is at a[i * a_row + k * a_inner]; b is packed, panel by panel.
 *
 * `next`, or NULL: from where the caller will copy the b of a product of the same form, a panel whose rows are next_row
 * apart; its a follows this one's. They are fetched from memory meanwhile.
 */
struct cosmos__matmul {
        cosmos__real *c;
        size_t c_row; /* from a row of c to the next */
        const cosmos__real *from;
        size_t from_row;
        size_t rows, columns, inner;
        const cosmos__real *a;
        size_t a_row, a_inner;
        const cosmos__real *b;
        const cosmos__real *next;
        size_t next_row;
};

struct cosmos__training_kernels {
        const char *isa;
        size_t panel; /* columns that stand together in a packed matrix */

        void (*matmul)(const struct cosmos__matmul *m);

        /* One LSTM cell of `width` units. z + x are the pre-activations of the gates i, f, g, o, each [width], z
         * becomes their activations; c and h are written. (Equations: predictor.h.) */
        void (*forward)(cosmos__real *z, const cosmos__real *x, const cosmos__real *c_before, cosmos__real *c,
                        cosmos__real *h, size_t width);
        /* The derivatives of the loss by the pre-activations, in place of the activations in z, from those by h and c;
         * dc becomes the derivative by c_before. */
        void (*backward)(cosmos__real *z, const cosmos__real *c_before, const cosmos__real *c, const cosmos__real *dh,
                         cosmos__real *dc, size_t width);

        /* Cross-entropy of a row of logits, of which `n` count: its negative log-likelihood at `target` in nats, which
         * is returned, and the derivatives in place of the logits, times `scale`, of the
         * loss (1 - smoothing) * NLL(target) + smoothing * mean NLL of all, which is added to `loss`. */
        double (*cross_entropy)(cosmos__real *row, size_t n, size_t target, cosmos__real smoothing, cosmos__real scale,
                                double *loss);

        /* sum[i] += factor * x[i], `n` padded. */
        void (*add)(cosmos__real *sum, const cosmos__real *x, cosmos__real factor, size_t n);
};

/* Columns of the panel that column `at` of `columns` begins. */
static inline size_t cosmos__panel_columns(const struct cosmos__training_kernels *kernels, size_t at, size_t columns)
{
        return columns - at < kernels->panel ? columns - at : kernels->panel;
}

/* The fastest of this machine; `isa`, one of cosmos_isa_name(), or NULL. */
const struct cosmos__training_kernels *cosmos__training_kernels_get(const char *isa);

extern const struct cosmos__training_kernels cosmos__training_portable, cosmos__training_avx2, cosmos__training_avx512,
    cosmos__training_neon;

#endif
