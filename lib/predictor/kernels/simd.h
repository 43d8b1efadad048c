/* SPDX-License-Identifier: Apache-2.0 */
/* The layers that all instruction sets share, on the vectors of the one that includes this (simd_math.h). */
#ifndef COSMOS_KERNELS_SIMD_H
#define COSMOS_KERNELS_SIMD_H

#include "predictor/kernels/simd_math.h"

#include "base/base.h"

#include <math.h>
#include <string.h>

static double log_softmax(float *row, size_t n)
{
        const vec greatest = v_set(greatest_of(row, n));
        vec sum[PER_16];
        float lanes[16];

        for (size_t v = 0; v < PER_16; v++)
                sum[v] = v_set(0);
        for (size_t k = 0; k < n; k += 16)
                UNROLL
        for (size_t v = 0; v < PER_16; v++) {
                const vec x = v_sub(v_load(row + k + v * LANES), greatest);

                v_store(row + k + v * LANES, x);
                sum[v] = v_add(sum[v], exp_v(v_max(x, v_set(COSMOS__EXP_MIN)), 1));
        }
        for (size_t v = 0; v < PER_16; v++)
                v_store_unaligned(lanes + v * LANES, sum[v]);
        for (size_t half = 8; half > 0; half /= 2)
                for (size_t l = 0; l < half; l++)
                        lanes[l] += lanes[l + half];
        return log((double)lanes[0]); /* >= 1: the greatest one's exponential is 1 */
}

static void log_probabilities(float *restrict out, const float *restrict row, size_t n, double L)
{
        for (size_t k = 0; k < n; k++)
                out[k] = (float)((double)row[k] - L);
}

/* ---- layers, whatever the precision of their weights -------------------------------- */

/* The weights of the panel that vector `at` is in, from that vector on: how many stand before. */
INLINE size_t weights_before(size_t at, size_t width, size_t n_in, size_t group)
{
        return ((at - at % width) * n_in + at % width * group) * LANES;
}

/* z[r][v] += weights * x for up to ROWS rows and the `vectors` that begin at `at`, of a panel of `width`. More than
 * four are for one row only: the sums of four wait for each other, each for the product before. */
typedef void panel_function(size_t rows, size_t vectors, size_t width, const struct cosmos__weights *weights, size_t at,
                            const char *x, size_t stride, vec z[ROWS][PANEL]);

/* Vector `v` of an entry, added to `sum`. */
typedef vec entry_function(vec sum, const struct cosmos__entry *entry, size_t v);

/* z = what the tokens add to the gates of the units whose vectors begin at `at`. */
INLINE void add_entries(const struct cosmos__entry *entries, size_t n, size_t at, entry_function *add_entry,
                        vec z[COSMOS__GATES])
{
        UNROLL
        for (size_t v = 0; v < COSMOS__GATES; v++) {
                z[v] = v_set(0);
                for (size_t f = 0; f < n; f++)
                        z[v] = add_entry(z[v], &entries[f], at + v);
        }
}

INLINE void cell_of(const struct cosmos__cell *cell, size_t rows_max, size_t panel_max, panel_function *panel,
                    entry_function *add_entry)
{
        const size_t n_vectors = cell->products[0].weights->n_vectors;
        const size_t vectors = cell->n_rows == 1 ? panel_max : COSMOS__GATES;
        vec z[ROWS][PANEL];

        for (size_t at = 0; at < n_vectors; at += vectors)
                for (size_t r = 0, rows; r < cell->n_rows; r += rows) {
                        rows = MIN(cell->n_rows - r, rows_max);
                        for (size_t i = 0; i < rows; i++)
                                for (size_t v = 0; v < vectors; v += COSMOS__GATES)
                                        add_entries(&cell->entries[(r + i) * cell->n_entries], cell->n_entries, at + v,
                                                    add_entry, z[i] + v);
                        for (size_t p = 0; p < cell->n_products; p++) {
                                const struct cosmos__product *product = &cell->products[p];

                                panel(rows, vectors, panel_max, product->weights, at, product->x + r * product->stride,
                                      product->stride, z);
                        }
                        for (size_t i = 0; i < rows; i++)
                                for (size_t v = 0; v < vectors; v += COSMOS__GATES) {
                                        float *state = cell->states[r + i] + (at + v) / COSMOS__GATES * LANES;

                                        gates(z[i] + v, state + cell->h, state + cell->c);
                                }
                }
}

INLINE void dense_of(const struct cosmos__product *product, size_t n_rows, const float *bias, float *out,
                     size_t rows_max, size_t panel_max, panel_function *panel)
{
        const struct cosmos__weights *weights = product->weights;
        const size_t most = n_rows == 1 ? panel_max : COSMOS__GATES;
        vec z[ROWS][PANEL];

        for (size_t at = 0, width, vectors; at < weights->n_vectors; at += vectors) {
                width = cosmos__panel_at(at, weights->n_vectors, panel_max);
                vectors = MIN(width, most);
                for (size_t r = 0, rows; r < n_rows; r += rows) {
                        rows = MIN(n_rows - r, rows_max);
                        for (size_t i = 0; i < rows; i++)
                                for (size_t v = 0; v < vectors; v++)
                                        z[i][v] = v_set(0);
                        panel(rows, vectors, width, weights, at, product->x + r * product->stride, product->stride, z);
                        for (size_t i = 0; i < rows; i++)
                                for (size_t v = 0; v < vectors; v++) {
                                        const size_t k = (at + v) * LANES;
                                        const vec logits = v_add(z[i][v], v_load(bias + k));

                                        v_store(out + (r + i) * weights->n_vectors * LANES + k,
                                                hold(logits, COSMOS__LOGIT_MAX));
                                }
                }
        }
}

/* A panel function's body: each number of rows and of vectors is code of its own, whose sums are in registers. */
#define WITH(sums, rows, vectors) sums(rows, vectors, width, weights, at, x, stride, z)
#define WITH_VECTORS(sums, rows)                                                                                       \
        switch (vectors) {                                                                                             \
        case 4:                                                                                                        \
                WITH(sums, rows, 4);                                                                                   \
                break;                                                                                                 \
        case 2:                                                                                                        \
                WITH(sums, rows, 2);                                                                                   \
                break;                                                                                                 \
        default:                                                                                                       \
                WITH(sums, rows, 1);                                                                                   \
        }
#define WITH_ROWS(sums, rows_max, panel_max)                                                                           \
        if (panel_max > 4 && vectors == panel_max) {                                                                   \
                WITH(sums, 1, panel_max);                                                                              \
        } else if (rows_max > 1 && rows == 1) {                                                                        \
                WITH_VECTORS(sums, 1)                                                                                  \
        } else if (rows_max > 2 && rows == 2) {                                                                        \
                WITH_VECTORS(sums, MIN(rows_max, 2))                                                                   \
        } else if (rows_max > 3 && rows == 3) {                                                                        \
                WITH_VECTORS(sums, MIN(rows_max, 3))                                                                   \
        } else if (rows_max > 4 && rows == 4) {                                                                        \
                WITH_VECTORS(sums, MIN(rows_max, 4))                                                                   \
        } else if (rows_max > 5 && rows == 5) {                                                                        \
                WITH_VECTORS(sums, MIN(rows_max, 5))                                                                   \
        } else {                                                                                                       \
                WITH_VECTORS(sums, rows_max)                                                                           \
        }

#endif
