/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the predictor, as a constant table of functions: one table
 * for each instruction set. The portable one is the reference for the others.
 *
 * Every kernel works on rows, one for each session, and computes a row in the
 * same way whatever the other rows are and however many there are: results do
 * not depend on what a session is batched with.
 *
 * Overflow: finite weights can still add up to an infinity or, from two of
 * opposite sign, a NaN. Every kernel takes a NaN for minus infinity and gives
 * finite results.
 *
 * Row widths are multiples of COSMOS__LANES floats and rows are aligned to 64
 * bytes; the padding of weights and states is zero.
 */
#ifndef COSMOS_KERNELS_H
#define COSMOS_KERNELS_H

#include <stddef.h>

#define COSMOS__LANES ((size_t)16)
#define COSMOS__ALIGNMENT ((size_t)64)

static inline size_t cosmos__padded(size_t n)
{
        return (n + COSMOS__LANES - 1) / COSMOS__LANES * COSMOS__LANES;
}

struct cosmos__kernels {
        /* out[r][k] += x[r][j] * w[j][k] for j = 0, 1, .. n_in-1, added in that
         * order and each product rounded. out: [n_rows, n_out], w: [n_in, n_out]. */
        void (*multiply)(float *out, const float *const *x, const float *w, size_t n_rows, size_t n_in, size_t n_out);

        /* The LSTM's update of h[r] and c[r], `width` floats each, by the gates'
         * pre-activations z: [n_rows, 4, width] in the order i, f, g, o. Uses z up. */
        void (*gates)(float *const *h, float *const *c, float *z, size_t n_rows, size_t width);

        /* Log-softmax of the `n` logits of one row of padded(n) floats: leaves
         * logit - max in the row (<= 0, finite) and returns the log L >= 0 of
         * the sum of their exponentials: log-probability k is row[k] - L. */
        double (*log_softmax)(float *row, size_t n);
};

extern const struct cosmos__kernels cosmos__kernels_portable;

#endif
