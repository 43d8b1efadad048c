/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels, on the vectors of whoever includes this: LANES, ROWS, `vec`, the v_ functions, exp_v(), sigmoid_v(),
 * tanh_v() and greatest_of().
 */
#ifndef COSMOS_TRAINER_TEMPLATE_H
#define COSMOS_TRAINER_TEMPLATE_H

#include "trainer/kernels/kernels.h"

#include "base/base.h"

#include <math.h>
#include <stdbool.h>

#define TILE ((size_t)4) /* vectors in a panel */
/* Twice as many rows are parted evenly: the two that ROWS leave would wait for the panel longer than they multiply. */
#define FEWER_ROWS (ROWS / 2 + 1)
#define LINE (COSMOS__ALIGNMENT / sizeof(cosmos__real))
#define INTO_L2 2 /* the first level is full of the panel */

/* `rows` by `vectors` outputs at once: their sums are in registers. */
INLINE void tile(size_t rows, size_t vectors, const struct cosmos__matmul *m, size_t row, size_t column, size_t width)
{
        const cosmos__real *a = m->a + row * m->a_row;
        const cosmos__real *b = m->b + column / (TILE * LANES) * (TILE * LANES) * m->inner + column % (TILE * LANES);
        const cosmos__real *from = m->from ? m->from + row * m->from_row + column : NULL;
        cosmos__real *c = m->c + row * m->c_row + column;
        /* Each tile fetches one line of all rows. Those for which none is left, or no `next`, fetch what they have. */
        const size_t line = row / ROWS * LINE;
        const bool fetch = m->next && line < width;
        const cosmos__real *next = fetch ? m->next + line : b;
        const size_t next_row = fetch ? m->next_row : 0, next_a = m->next ? m->inner * m->a_inner : 0;
        vec sum[ROWS][TILE];

        UNROLL
        for (size_t r = 0; r < rows; r++)
                UNROLL
        for (size_t v = 0; v < vectors; v++)
                sum[r][v] = from ? v_load(from + r * m->from_row + v * LANES) : v_set(0);
        /* What c was is of no use, but a store waits for it: it comes while there is something else to do. */
        UNROLL
        for (size_t r = 0; r < rows; r++)
                UNROLL
        for (size_t v = 0; v < vectors; v++)
                __builtin_prefetch(c + r * m->c_row + v * LANES, 1);
        for (size_t k = 0; k < m->inner; k++, a += m->a_inner, b += width, next += next_row) {
                vec columns[TILE];

                __builtin_prefetch(next, 0, INTO_L2);
                __builtin_prefetch(a + next_a, 0, INTO_L2);
                UNROLL
                for (size_t v = 0; v < vectors; v++)
                        columns[v] = v_load(b + v * LANES);
                UNROLL
                for (size_t r = 0; r < rows; r++) {
                        const vec x = v_set(a[r * m->a_row]);

                        UNROLL
                        for (size_t v = 0; v < vectors; v++)
                                sum[r][v] = v_fma(x, columns[v], sum[r][v]);
                }
        }
        UNROLL
        for (size_t r = 0; r < rows; r++)
                UNROLL
        for (size_t v = 0; v < vectors; v++)
                v_store(c + r * m->c_row + v * LANES, sum[r][v]);
}

INLINE void tiles_of(size_t vectors, const struct cosmos__matmul *m, size_t column, size_t width)
{
        size_t r = 0;

        for (; r + ROWS <= m->rows && m->rows - r != 2 * FEWER_ROWS; r += ROWS)
                tile(ROWS, vectors, m, r, column, width);
        for (; r + FEWER_ROWS <= m->rows; r += FEWER_ROWS)
                tile(FEWER_ROWS, vectors, m, r, column, width);
        for (; r + 2 <= m->rows; r += 2)
                tile(2, vectors, m, r, column, width);
        for (; r < m->rows; r++)
                tile(1, vectors, m, r, column, width);
}

static void matmul(const struct cosmos__matmul *m)
{
        for (size_t at = 0; at < m->columns; at += TILE * LANES) {
                const size_t width = MIN(m->columns - at, TILE * LANES);

                if (width == TILE * LANES) {
                        tiles_of(TILE, m, at, width);
                        continue;
                }
                for (size_t v = 0, vectors; v < width / LANES; v += vectors) {
                        vectors = MIN(width / LANES - v, 2);
                        if (vectors == 2)
                                tiles_of(2, m, at + v * LANES, width);
                        else
                                tiles_of(1, m, at + v * LANES, width);
                }
        }
}

INLINE vec sum_at(const cosmos__real *a, const cosmos__real *b, size_t at)
{
        return v_add(v_load(a + at), v_load(b + at));
}

static void forward(cosmos__real *z, const cosmos__real *x, const cosmos__real *c_before, cosmos__real *c,
                    cosmos__real *h, size_t width)
{
        for (size_t u = 0; u < width; u += LANES) {
                const vec i = sigmoid_v(sum_at(z, x, u)), f = sigmoid_v(sum_at(z, x, width + u)),
                          g = tanh_v(sum_at(z, x, 2 * width + u)), o = sigmoid_v(sum_at(z, x, 3 * width + u));
                const vec cell = v_fma(f, v_load(c_before + u), v_mul(i, g));

                v_store(z + u, i);
                v_store(z + width + u, f);
                v_store(z + 2 * width + u, g);
                v_store(z + 3 * width + u, o);
                v_store(c + u, cell);
                v_store(h + u, v_mul(o, tanh_v(cell)));
        }
}

/* d / dx sigmoid(x) = s (1 - s), d / dx tanh(x) = 1 - t^2. */
static void backward(cosmos__real *z, const cosmos__real *c_before, const cosmos__real *c, const cosmos__real *dh,
                     cosmos__real *dc, size_t width)
{
        const vec one = v_set(1);

        for (size_t u = 0; u < width; u += LANES) {
                const vec i = v_load(z + u), f = v_load(z + width + u), g = v_load(z + 2 * width + u),
                          o = v_load(z + 3 * width + u);
                const vec t = tanh_v(v_load(c + u)), d = v_load(dh + u);
                const vec by_c = v_fma(v_mul(d, o), v_sub(one, v_mul(t, t)), v_load(dc + u));

                v_store(z + u, v_mul(v_mul(by_c, g), v_mul(i, v_sub(one, i))));
                v_store(z + width + u, v_mul(v_mul(by_c, v_load(c_before + u)), v_mul(f, v_sub(one, f))));
                v_store(z + 2 * width + u, v_mul(v_mul(by_c, i), v_sub(one, v_mul(g, g))));
                v_store(z + 3 * width + u, v_mul(v_mul(d, t), v_mul(o, v_sub(one, o))));
                v_store(dc + u, v_mul(by_c, f));
        }
}

/* In 16 partial sums, whatever the vectors' length. */
static double sum_of(const cosmos__real *row, size_t n)
{
        cosmos__real part[16] = {0};
        double sum = 0;

        for (size_t k = 0; k + 16 <= n; k += 16)
                for (size_t l = 0; l < 16; l++)
                        part[l] += row[k + l];
        for (size_t k = n / 16 * 16; k < n; k++)
                part[k % 16] += row[k];
        for (size_t l = 0; l < 16; l++)
                sum += (double)part[l];
        return sum;
}

static double cross_entropy(cosmos__real *row, size_t n, size_t target, cosmos__real smoothing, cosmos__real scale,
                            double *loss)
{
        const size_t padded = cosmos__padded(n);
        const cosmos__real greatest = greatest_of(row, padded);
        const double mean = sum_of(row, n) / (double)n, at_target = (double)row[target];
        _Alignas(COSMOS__ALIGNMENT) cosmos__real part[16];
        vec sums[16 / LANES], factor, each;
        double L, sum = 0;

        for (size_t v = 0; v < 16 / LANES; v++)
                sums[v] = v_set(0);
        for (size_t k = 0; k < padded; k += 16)
                UNROLL
        for (size_t v = 0; v < 16 / LANES; v++) {
                cosmos__real *at = row + k + v * LANES;
                const vec e = exp_v(v_max(v_sub(v_load(at), v_set(greatest)), v_set(COSMOS__EXP_MIN)), 1);

                v_store(at, e);
                sums[v] = v_add(sums[v], e);
        }
        for (size_t v = 0; v < 16 / LANES; v++)
                v_store(part + v * LANES, sums[v]);
        for (size_t l = 0; l < 16; l++)
                sum += (double)part[l];
        L = log(sum) + (double)greatest;
        *loss += (1 - (double)smoothing) * (L - at_target) + (double)smoothing * (L - mean);
        factor = v_set((cosmos__real)((double)scale / sum));
        each = v_set(scale * smoothing / (cosmos__real)n);
        for (size_t k = 0; k < n; k += LANES)
                v_store(row + k, v_sub(v_mul(v_load(row + k), factor), each));
        row[target] -= scale * (1 - smoothing);
        for (size_t k = n; k < padded; k++)
                row[k] = 0;
        return L - at_target;
}

static void add(cosmos__real *sum, const cosmos__real *x, cosmos__real factor, size_t n)
{
        const vec f = v_set(factor);

        for (size_t i = 0; i < n; i += LANES)
                v_store(sum + i, v_fma(v_load(x + i), f, v_load(sum + i)));
}

#define TRAINING_KERNELS(name)                                                                                         \
        {                                                                                                              \
                .isa = name, .panel = TILE * LANES, .matmul = matmul, .forward = forward, .backward = backward,        \
                .cross_entropy = cross_entropy, .add = add,                                                            \
        }

#endif
