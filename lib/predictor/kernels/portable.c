/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable kernels, in C11 without any extension. The inner loops run over
 * independent outputs, so that a compiler vectorises them without reordering any
 * sum: built for another instruction set the results are the same, bit for bit (the
 * build switches the contraction of a*b+c off). exp is our own for the same reason,
 * and because that of the C library is a call for each element.
 */
#include "predictor/kernels/kernels.h"

#include <math.h>
#include <string.h>

#define LANES ((size_t)16)
#define PANEL ((size_t)4)
#define WIDEST (PANEL * LANES) /* outputs of a panel */

/* Products that are added to one output before it goes back to memory. */
#define UNROLL ((size_t)8)

/*
 * exp(x) = 2^n * 2^r, n = round(x / ln 2), |r| <= 1/2; see simd.h for the polynomial. Relative
 * error below 2e-7, and 1e-7 * |x / ln 2|. For |x| <= 87 only: held there by a loop of
 * its own, since a comparison in here would be a branch that keeps the caller's loop
 * from being vectorised.
 */
static inline float exp_f(float x)
{
        const float to_integer = 12582912; /* 1.5 * 2^23: what is added to it is rounded to an integer */
        const float t = x * 0x1.715476p+0f;
        const float shifted = t + to_integer;
        const float r = t - (shifted - to_integer);
        float p = 0x1.5bba0cp-10f, scale;
        uint32_t bits;

        p = p * r + 0x1.3cea88p-7f;
        p = p * r + 0x1.c6b752p-5f;
        p = p * r + 0x1.ebf9bcp-3f;
        p = p * r + 0x1.62e42ap-1f;
        p = p * r + 1;

        /* The low bits of `shifted` are n: put n, biased, where an exponent is. */
        memcpy(&bits, &shifted, sizeof(bits));
        bits = (bits + 127) << 23;
        memcpy(&scale, &bits, sizeof(scale));
        return p * scale;
}

/* [-limit, limit]; a NaN counts as minus infinity. */
static void hold(float *x, size_t n, float limit)
{
        for (size_t k = 0; k < n; k++) {
                float y = x[k] > -limit ? x[k] : -limit;

                x[k] = y < limit ? y : limit;
        }
}

static inline float sigmoid_f(float x)
{
        return 1 / (1 + exp_f(-x));
}

static inline float tanh_f(float x)
{
        float e = exp_f(-2 * fabsf(x));

        return copysignf((1 - e) / (1 + e), x);
}

/* Of LANES units, by z: [i, f, g, o][LANES]. */
static void gates(float *restrict h, float *restrict c, float *restrict z)
{
        float held[WIDEST];

        hold(z, WIDEST, COSMOS__SATURATED);
        for (size_t k = 0; k < LANES; k++) {
                c[k] = sigmoid_f(z[LANES + k]) * c[k] + sigmoid_f(z[k]) * tanh_f(z[2 * LANES + k]);
                held[k] = c[k];
        }
        hold(held, LANES, COSMOS__SATURATED);
        for (size_t k = 0; k < LANES; k++)
                h[k] = sigmoid_f(z[3 * LANES + k]) * tanh_f(held[k]);
}

static double log_softmax(float *row, size_t n)
{
        float greatest = row[0], sum[LANES] = {0}, x[LANES];

        for (size_t k = 1; k < n; k++)
                greatest = row[k] > greatest ? row[k] : greatest;
        for (size_t k = 0; k < n; k += LANES) {
                for (size_t lane = 0; lane < LANES; lane++) {
                        row[k + lane] -= greatest;
                        x[lane] = row[k + lane] > COSMOS__EXP_MIN ? row[k + lane] : COSMOS__EXP_MIN;
                }
                for (size_t lane = 0; lane < LANES; lane++)
                        sum[lane] += exp_f(x[lane]);
        }
        for (size_t half = LANES / 2; half > 0; half /= 2)
                for (size_t lane = 0; lane < half; lane++)
                        sum[lane] += sum[lane + half];
        return log((double)sum[0]); /* >= 1: the greatest one's exponential is 1 */
}

static void log_probabilities(float *restrict out, const float *restrict row, size_t n, double L)
{
        for (size_t k = 0; k < n; k++)
                out[k] = (float)((double)row[k] - L);
}

/* ---- f32 ------------------------------------------------------------------------ */

static void f32_inputs(void *x, const float *h, size_t n)
{
        memcpy(x, h, n * sizeof(*h));
}

static void f32_add_entry(float *restrict z, const struct cosmos__entry *entry, size_t at)
{
        const float *row = (const float *)entry->row + at * LANES;

        for (size_t k = 0; k < WIDEST; k++)
                z[k] += row[k] * entry->scale;
}

/* z += weights * x for the panel of `n` outputs that begins at vector `at`. */
static void f32_panel(float *restrict z, size_t n, const struct cosmos__weights *weights, size_t at, const char *inputs)
{
        const float *w = (const float *)weights->panels + at * LANES * weights->n_in;
        const float *x = (const float *)(const void *)inputs;

        /* The number of inputs is a multiple of LANES, and that of UNROLL. */
        for (size_t j = 0; j < weights->n_in; j += UNROLL, x += UNROLL, w += UNROLL * n)
                for (size_t k = 0; k < n; k++) {
                        float sum = z[k];

                        sum += x[0] * w[k];
                        sum += x[1] * w[k + n];
                        sum += x[2] * w[k + 2 * n];
                        sum += x[3] * w[k + 3 * n];
                        sum += x[4] * w[k + 4 * n];
                        sum += x[5] * w[k + 5 * n];
                        sum += x[6] * w[k + 6 * n];
                        sum += x[7] * w[k + 7 * n];
                        z[k] = sum;
                }
}

/* ---- int8 ----------------------------------------------------------------------- */

static void int8_inputs(void *x, const float *h, size_t n)
{
        const float to_integer = 12582912; /* as in exp_f() */
        int16_t *q = x;

        for (size_t k = 0; k < n; k++)
                q[k] = (int16_t)((h[k] * COSMOS__Q_MAX + to_integer) - to_integer);
}

static void int8_add_entry(float *restrict z, const struct cosmos__entry *entry, size_t at)
{
        const int16_t *row = (const int16_t *)entry->row + at * LANES;

        for (size_t k = 0; k < WIDEST; k++)
                z[k] += (float)row[k] * entry->scale;
}

static void int8_panel(float *restrict z, size_t n, const struct cosmos__weights *weights, size_t at,
                       const char *inputs)
{
        const int8_t *w = (const int8_t *)weights->panels + at * LANES * weights->n_in;
        const int16_t *x = (const int16_t *)(const void *)inputs;
        int32_t sum[WIDEST] = {0};

        for (size_t j = 0; j < weights->n_in; j += 2, w += 2 * n)
                for (size_t k = 0; k < n; k++)
                        sum[k] += x[j] * w[k] + x[j + 1] * w[n + k];
        for (size_t k = 0; k < n; k++)
                z[k] += (float)sum[k] * weights->scales[at * LANES + k];
}

/* ---- layers, whatever the precision of their weights -------------------------------- */

typedef void panel_function(float *restrict z, size_t n, const struct cosmos__weights *weights, size_t at,
                            const char *inputs);
typedef void entry_function(float *restrict z, const struct cosmos__entry *entry, size_t at);

static void cell_of(const struct cosmos__cell *cell, panel_function *panel, entry_function *add_entry)
{
        const size_t n_vectors = cell->products[0].weights->n_vectors;

        for (size_t at = 0; at < n_vectors; at += PANEL)
                for (size_t r = 0; r < cell->n_rows; r++) {
                        const size_t unit = at / PANEL * LANES;
                        float z[WIDEST] = {0};

                        for (size_t f = 0; f < cell->n_entries; f++)
                                add_entry(z, &cell->entries[r * cell->n_entries + f], at);
                        for (size_t p = 0; p < cell->n_products; p++)
                                panel(z, WIDEST, cell->products[p].weights, at,
                                      cell->products[p].x + r * cell->products[p].stride);
                        gates(cell->states[r] + cell->h + unit, cell->states[r] + cell->c + unit, z);
                }
}

static void dense_of(const struct cosmos__product *product, size_t n_rows, const float *bias, float *out,
                     panel_function *panel)
{
        const struct cosmos__weights *weights = product->weights;

        for (size_t at = 0, vectors; at < weights->n_vectors; at += vectors) {
                vectors = cosmos__panel_at(at, weights->n_vectors, PANEL);
                for (size_t r = 0; r < n_rows; r++) {
                        float *z = out + (r * weights->n_vectors + at) * LANES;

                        memset(z, 0, vectors * LANES * sizeof(*z));
                        panel(z, vectors * LANES, weights, at, product->x + r * product->stride);
                        for (size_t k = 0; k < vectors * LANES; k++)
                                z[k] += bias[at * LANES + k];
                        hold(z, vectors * LANES, COSMOS__LOGIT_MAX);
                }
        }
}

static void f32_cell(const struct cosmos__cell *cell)
{
        cell_of(cell, f32_panel, f32_add_entry);
}

static void f32_dense(const struct cosmos__product *product, size_t n_rows, const float *bias, float *out)
{
        dense_of(product, n_rows, bias, out, f32_panel);
}

static void int8_cell(const struct cosmos__cell *cell)
{
        cell_of(cell, int8_panel, int8_add_entry);
}

static void int8_dense(const struct cosmos__product *product, size_t n_rows, const float *bias, float *out)
{
        dense_of(product, n_rows, bias, out, int8_panel);
}

const struct cosmos__kernels cosmos__portable_f32 = {
    .lanes = LANES,
    .panel = PANEL,
    .group = 1,
    .input_size = sizeof(float),
    .inputs = f32_inputs,
    .cell = f32_cell,
    .dense = f32_dense,
    .log_softmax = log_softmax,
    .log_probabilities = log_probabilities,
};

const struct cosmos__kernels cosmos__portable_int8 = {
    .lanes = LANES,
    .panel = PANEL,
    .group = 1,
    .input_size = sizeof(int16_t),
    .inputs = int8_inputs,
    .cell = int8_cell,
    .dense = int8_dense,
    .log_softmax = log_softmax,
    .log_probabilities = log_probabilities,
};
