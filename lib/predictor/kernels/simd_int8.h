/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on int8 weights. The instruction set also defines INT8_ROWS, GROUP, INPUT_SIZE, INPUT_ZERO and the i_
 * functions. */
#ifndef COSMOS_KERNELS_SIMD_INT8_H
#define COSMOS_KERNELS_SIMD_INT8_H

#include "predictor/kernels/simd.h"

static void int8_inputs(void *x, const float *h, size_t n)
{
        for (size_t k = 0; k < n; k += LANES)
                i_store_inputs((char *)x + k * INPUT_SIZE, v_round(v_mul(v_load(h + k), v_set(COSMOS__Q_MAX))));
}

INLINE void int8_products(size_t rows, size_t vectors, size_t width, const void *weights, size_t n_in, const char *x,
                          size_t stride, ivec acc[ROWS][COSMOS__GATES])
{
        const int8_t *w = weights;

        for (size_t k = 0; k < n_in; k += GROUP, x += GROUP * INPUT_SIZE, w += width * LANES * GROUP) {
                i_column inputs[ROWS];

                UNROLL
                for (size_t r = 0; r < rows; r++)
                        inputs[r] = i_inputs(x + r * stride);
                UNROLL
                for (size_t v = 0; v < vectors; v++) {
                        const i_column column = i_weights(w + v * LANES * GROUP);

                        UNROLL
                        for (size_t r = 0; r < rows; r++)
                                acc[r][v] = i_dot(acc[r][v], column, inputs[r]);
                }
        }
}

INLINE void int8_sums(size_t rows, size_t vectors, size_t width, const struct cosmos__weights *weights, size_t at,
                      const char *x, size_t stride, vec z[ROWS][PANEL])
{
        const int8_t *panel = (const int8_t *)weights->panels + weights_before(at, width, weights->n_in, GROUP);
        ivec acc[ROWS][COSMOS__GATES];

        UNROLL
        for (size_t r = 0; r < rows; r++)
                UNROLL
        for (size_t v = 0; v < vectors; v++)
                acc[r][v] = i_load(weights->offsets + (at + v) * LANES);
        int8_products(rows, vectors, width, panel, weights->n_in, x, stride, acc);
        UNROLL
        for (size_t r = 0; r < rows; r++)
                UNROLL
        for (size_t v = 0; v < vectors; v++)
                z[r][v] = v_fma(v_from_int(acc[r][v]), v_load(weights->scales + (at + v) * LANES), z[r][v]);
}

INLINE vec int8_add_entry(vec sum, const struct cosmos__entry *entry, size_t v)
{
        return v_fma(v_from_int16((const int16_t *)entry->row + v * LANES), v_set(entry->scale), sum);
}

static void int8_panel(size_t rows, size_t vectors, size_t width, const struct cosmos__weights *weights, size_t at,
                       const char *x, size_t stride, vec z[ROWS][PANEL])
{
        WITH_ROWS(int8_sums, INT8_ROWS, COSMOS__GATES)
}

static void int8_cell(const struct cosmos__cell *cell)
{
        cell_of(cell, INT8_ROWS, COSMOS__GATES, int8_panel, int8_add_entry);
}

static void int8_dense(const struct cosmos__product *product, size_t n_rows, const float *bias, float *out)
{
        dense_of(product, n_rows, bias, out, INT8_ROWS, COSMOS__GATES, int8_panel);
}

#define INT8_KERNELS                                                                                                   \
        {                                                                                                              \
                .lanes = LANES, .panel = COSMOS__GATES, .group = GROUP, .input_size = INPUT_SIZE,                      \
                .input_zero = INPUT_ZERO, .inputs = int8_inputs, .cell = int8_cell, .dense = int8_dense,               \
                .log_softmax = log_softmax, .log_probabilities = log_probabilities,                                    \
        }

#endif
