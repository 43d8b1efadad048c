/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exponentials, gates and maxima on the vectors of an instruction set: whoever
 * includes this has LANES, `vec` (floats) and the v_ functions.
 *
 * All use the same operations in the same order, each rounded once, with a fused
 * multiply-add: float results are the same on all of them, bit for bit.
 */
#ifndef COSMOS_KERNELS_SIMD_MATH_H
#define COSMOS_KERNELS_SIMD_MATH_H

#include "predictor/kernels/kernels.h"

#define INLINE static inline __attribute__((always_inline))
/* Wholly, so that an array that the loop goes through is in registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/*
 * exp(x * scale) = 2^n * 2^r, n = round(t), |r| <= 1/2, t = x * scale / ln 2; 2^r by a polynomial of
 * degree 5 (minimax for the relative error, 1 at 0), 1e-7. Together below 2e-7, and
 * 1e-7 * |t| for the rounding of t. For |t| < 126 only.
 */
INLINE vec exp_v(vec x, float scale)
{
        const vec to_integer = v_set(12582912); /* 1.5 * 2^23: what is added to it is rounded to an integer */
        const vec factor = v_set(scale * 0x1.715476p+0f);
        const vec shifted = v_fma(x, factor, to_integer);
        const vec n = v_sub(shifted, to_integer);
        const vec r = v_fma(x, factor, v_sub(v_set(0), n));
        vec p = v_set(0x1.5bba0cp-10f);

        p = v_fma(p, r, v_set(0x1.3cea88p-7f));
        p = v_fma(p, r, v_set(0x1.c6b752p-5f));
        p = v_fma(p, r, v_set(0x1.ebf9bcp-3f));
        p = v_fma(p, r, v_set(0x1.62e42ap-1f));
        p = v_fma(p, r, v_set(1));
        return v_times_2_to(p, shifted);
}

/* [-limit, limit]; a NaN counts as minus infinity. */
INLINE vec hold(vec x, float limit)
{
        return v_min(v_max(x, v_set(-limit)), v_set(limit));
}

/*
 * c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'). With I = exp(-i), F = exp(-f),
 * O = exp(-o), G = exp(-2|g|) and C = exp(-2|c'|), so sigmoid(i) = 1 / (1 + I) and
 * |tanh(g)| = (1 - G) / (1 + G), each of the two is one division:
 *   c' = (c (1 + I)(1 + G) + sign(g)(1 - G)(1 + F)) / ((1 + F)(1 + I)(1 + G))
 *   h' = sign(c')(1 - C) / ((1 + O)(1 + C))
 */
INLINE void gates(const vec z[COSMOS__GATES], float *h, float *c)
{
        const vec one = v_set(1);
        const vec g = hold(z[2], COSMOS__SATURATED);
        const vec i1 = v_add(one, exp_v(hold(z[0], COSMOS__SATURATED), -1));
        const vec f1 = v_add(one, exp_v(hold(z[1], COSMOS__SATURATED), -1));
        const vec o1 = v_add(one, exp_v(hold(z[3], COSMOS__SATURATED), -1));
        const vec ge = exp_v(v_abs(g), -2);
        const vec ig = v_mul(i1, v_add(one, ge));
        const vec kept = v_mul(v_load(c), ig);
        const vec added = v_mul(v_signed(v_sub(one, ge), g), f1);
        const vec cell = v_div(v_add(kept, added), v_mul(f1, ig));
        const vec ce = exp_v(v_min(v_abs(cell), v_set(COSMOS__SATURATED)), -2);

        v_store(c, cell);
        v_store(h, v_div(v_signed(v_sub(one, ce), cell), v_mul(o1, v_add(one, ce))));
}

/* The 16 partial sums and maxima are the same ones whatever the vectors' length. */
#define PER_16 (16 / LANES)

INLINE float greatest_of(const float *row, size_t n)
{
        vec max[PER_16];
        float lanes[16], greatest;

        for (size_t v = 0; v < PER_16; v++)
                max[v] = v_load(row + v * LANES);
        for (size_t k = 16; k < n; k += 16)
                UNROLL
        for (size_t v = 0; v < PER_16; v++)
                max[v] = v_max(max[v], v_load(row + k + v * LANES));
        for (size_t v = 0; v < PER_16; v++)
                v_store_unaligned(lanes + v * LANES, max[v]);
        greatest = lanes[0];
        for (size_t l = 1; l < 16; l++)
                greatest = lanes[l] > greatest ? lanes[l] : greatest;
        return greatest;
}

#endif
