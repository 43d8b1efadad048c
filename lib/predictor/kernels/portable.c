/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable kernels. Plain C whose inner loops run over independent outputs, so
 * that a compiler vectorises them without reordering any sum: built for another
 * instruction set the results are the same, bit for bit (the build switches the
 * contraction of a*b+c off). exp is our own for the same reason, and because
 * that of the C library is a call for each element.
 */
#include "predictor/kernels/kernels.h"

#include "base/base.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Products that are added to one output before it goes back to memory. */
#define UNROLL 8

/* Floats of `out` that are worked on at a time: half of a first-level cache of 32 KiB. */
#define TILE ((size_t)4096)

static void add_products(float *restrict out, const float *restrict x, const float *restrict w, size_t w_stride,
                         size_t n)
{
        const float x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4], x5 = x[5], x6 = x[6], x7 = x[7];
        const float *w1 = w + w_stride, *w2 = w1 + w_stride, *w3 = w2 + w_stride, *w4 = w3 + w_stride;
        const float *w5 = w4 + w_stride, *w6 = w5 + w_stride, *w7 = w6 + w_stride;

        for (size_t k = 0; k < n; k++) {
                float sum = out[k];

                sum += x0 * w[k];
                sum += x1 * w1[k];
                sum += x2 * w2[k];
                sum += x3 * w3[k];
                sum += x4 * w4[k];
                sum += x5 * w5[k];
                sum += x6 * w6[k];
                sum += x7 * w7[k];
                out[k] = sum;
        }
}

static void add_product(float *restrict out, float x, const float *restrict w, size_t n)
{
        for (size_t k = 0; k < n; k++)
                out[k] += x * w[k];
}

static void multiply(float *out, const float *const *x, const float *w, size_t n_rows, size_t n_in, size_t n_out)
{
        size_t columns = TILE / n_rows / COSMOS__LANES * COSMOS__LANES;

        if (columns == 0)
                columns = COSMOS__LANES;
        for (size_t k = 0; k < n_out; k += columns) {
                size_t n = MIN(columns, n_out - k);
                size_t j = 0;

                for (; j + UNROLL <= n_in; j += UNROLL)
                        for (size_t r = 0; r < n_rows; r++)
                                add_products(out + r * n_out + k, x[r] + j, w + j * n_out + k, n_out, n);
                for (; j < n_in; j++)
                        for (size_t r = 0; r < n_rows; r++)
                                add_product(out + r * n_out + k, x[r][j], w + j * n_out + k, n);
        }
}

/*
 * exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln(2)/2, exp(r) by its
 * Taylor series to r^7: relative error below 2e-7. For x in [-87, 87] only: held
 * there by a loop of its own, since a comparison in here would be a branch that
 * keeps the caller's loop from being vectorised.
 */
static inline float exp_f(float x)
{
        const float to_integer = 12582912; /* 1.5 * 2^23: what is added to it is rounded to an integer */
        const float ln2_high = 0x1.62ep-1f, ln2_low = 0x1.0bfbe8p-15f;
        float shifted, n, r, p, scale;
        uint32_t bits;

        shifted = x * 0x1.715476p+0f + to_integer;
        n = shifted - to_integer;
        r = x - n * ln2_high - n * ln2_low;

        p = 1.0f / 5040;
        p = p * r + 1.0f / 720;
        p = p * r + 1.0f / 120;
        p = p * r + 1.0f / 24;
        p = p * r + 1.0f / 6;
        p = p * r + 0.5f;
        p = p * r + 1;
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

/* Beyond this a sigmoid or a tanh is constant in float (sigmoid: to 1e-18), and exp_f() takes twice as much. */
#define SATURATED 43.0f

static inline float sigmoid_f(float x)
{
        return 1 / (1 + exp_f(-x));
}

static inline float tanh_f(float x)
{
        float e = exp_f(-2 * fabsf(x));

        return copysignf((1 - e) / (1 + e), x);
}

static void gates_row(float *restrict h, float *restrict c, float *restrict z, size_t width)
{
        float *restrict o = z + 3 * width;

        hold(z, 4 * width, SATURATED);
        for (size_t k = 0; k < width; k++) {
                float i = sigmoid_f(z[k]);
                float f = sigmoid_f(z[width + k]);
                float g = tanh_f(z[2 * width + k]);

                c[k] = f * c[k] + i * g;
                z[k] = c[k];
        }
        hold(z, width, SATURATED);
        for (size_t k = 0; k < width; k++)
                h[k] = sigmoid_f(o[k]) * tanh_f(z[k]);
}

static void gates(float *const *h, float *const *c, float *z, size_t n_rows, size_t width)
{
        for (size_t r = 0; r < n_rows; r++)
                gates_row(h[r], c[r], z + r * 4 * width, width);
}

static float greatest_of(const float *row, size_t n)
{
        float max[COSMOS__LANES], greatest;

        memcpy(max, row, sizeof(max));
        for (size_t k = COSMOS__LANES; k < n; k += COSMOS__LANES)
                for (size_t lane = 0; lane < COSMOS__LANES; lane++)
                        max[lane] = row[k + lane] > max[lane] ? row[k + lane] : max[lane];
        greatest = max[0];
        for (size_t lane = 1; lane < COSMOS__LANES; lane++)
                greatest = max[lane] > greatest ? max[lane] : greatest;
        return greatest;
}

static double log_softmax(float *row, size_t n)
{
        const size_t width = cosmos__padded(n);
        double sum[COSMOS__LANES] = {0}, total = 0;
        float greatest, x[COSMOS__LANES];

        /* So that differences are finite, and the padding adds nothing to speak of to a sum of 1 and more. */
        hold(row, n, 1e30f);
        for (size_t k = n; k < width; k++)
                row[k] = -INFINITY;
        greatest = greatest_of(row, width);
        for (size_t k = 0; k < width; k += COSMOS__LANES) {
                for (size_t lane = 0; lane < COSMOS__LANES; lane++) {
                        row[k + lane] -= greatest;
                        x[lane] = row[k + lane] > -87 ? row[k + lane] : -87;
                }
                for (size_t lane = 0; lane < COSMOS__LANES; lane++)
                        sum[lane] += (double)exp_f(x[lane]);
        }
        for (size_t lane = 0; lane < COSMOS__LANES; lane++)
                total += sum[lane];
        return log(total);
}

const struct cosmos__kernels cosmos__kernels_portable = {
    .multiply = multiply,
    .gates = gates,
    .log_softmax = log_softmax,
};
