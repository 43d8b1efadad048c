/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on float weights, for any instruction set. */
#ifndef COSMOS_KERNELS_SIMD_F32_H
#define COSMOS_KERNELS_SIMD_F32_H

#include "predictor/kernels/simd.h"

static void f32_inputs(void *x, const float *h, size_t n)
{
        memcpy(x, h, n * sizeof(*h));
}

/* One row alone needs a line of weights just as it comes from the second cache. The processor's own prefetching ends
 * with each page. */
#define AHEAD ((size_t)2048) /* bytes */

INLINE void fetch_ahead(const float *w, size_t n)
{
        UNROLL
        for (size_t i = 0; i < n; i += COSMOS__ALIGNMENT / sizeof(*w))
                __builtin_prefetch(w + AHEAD / sizeof(*w) + i);
}

/* acc[r][v] += the sum over k of x[r][k] * w[k][v]. */
INLINE void f32_products(size_t rows, size_t vectors, size_t width, const void *weights, size_t n_in, const char *x,
                         size_t stride, vec acc[ROWS][PANEL])
{
        const float *w = weights;

        for (size_t k = 0; k < n_in; k++, x += sizeof(float), w += width * LANES) {
                vec inputs[ROWS];

                if (rows == 1)
                        fetch_ahead(w, vectors * LANES);
                UNROLL
                for (size_t r = 0; r < rows; r++)
                        inputs[r] = v_set_from(x + r * stride);
                UNROLL
                for (size_t v = 0; v < vectors; v++) {
                        const vec column = v_load(w + v * LANES);

                        UNROLL
                        for (size_t r = 0; r < rows; r++)
                                acc[r][v] = v_fma(inputs[r], column, acc[r][v]);
                }
        }
}

INLINE void f32_sums(size_t rows, size_t vectors, size_t width, const struct cosmos__weights *weights, size_t at,
                     const char *x, size_t stride, vec z[ROWS][PANEL])
{
        const float *panel = (const float *)weights->panels + weights_before(at, width, weights->n_in, 1);
        vec acc[ROWS][PANEL];

        UNROLL
        for (size_t r = 0; r < rows; r++)
                UNROLL
        for (size_t v = 0; v < vectors; v++)
                acc[r][v] = z[r][v];
        f32_products(rows, vectors, width, panel, weights->n_in, x, stride, acc);
        UNROLL
        for (size_t r = 0; r < rows; r++)
                UNROLL
        for (size_t v = 0; v < vectors; v++)
                z[r][v] = acc[r][v];
}

INLINE vec f32_add_entry(vec sum, const struct cosmos__entry *entry, size_t v)
{
        return v_fma(v_load((const float *)entry->row + v * LANES), v_set(entry->scale), sum);
}

static void f32_panel(size_t rows, size_t vectors, size_t width, const struct cosmos__weights *weights, size_t at,
                      const char *x, size_t stride, vec z[ROWS][PANEL])
{
        WITH_ROWS(f32_sums, ROWS, PANEL)
}

static void f32_cell(const struct cosmos__cell *cell)
{
        cell_of(cell, ROWS, PANEL, f32_panel, f32_add_entry);
}

static void f32_dense(const struct cosmos__product *product, size_t n_rows, const float *bias, float *out)
{
        dense_of(product, n_rows, bias, out, ROWS, PANEL, f32_panel);
}

#define F32_KERNELS                                                                                                    \
        {                                                                                                              \
                .lanes = LANES, .panel = PANEL, .group = 1, .input_size = sizeof(float), .inputs = f32_inputs,         \
                .cell = f32_cell, .dense = f32_dense, .log_softmax = log_softmax,                                      \
                .log_probabilities = log_probabilities,                                                                \
        }

#endif
