/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of AVX-512 (F, BW, DQ, VL): 16 floats. */
#ifndef COSMOS_KERNELS_X86_512_H
#define COSMOS_KERNELS_X86_512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES ((size_t)16)
#define PANEL ((size_t)4)
#define ROWS 6 /* 24 sums, 4 columns of weights and an input are 29 of the 32 registers */

typedef __m512 vec;
typedef __m512i ivec, i_column; /* int32 */

static inline vec v_load(const float *x)
{
        return _mm512_load_ps(x);
}

static inline void v_store(float *x, vec v)
{
        _mm512_store_ps(x, v);
}

static inline void v_store_unaligned(float *x, vec v)
{
        _mm512_storeu_ps(x, v);
}

static inline vec v_set(float x)
{
        return _mm512_set1_ps(x);
}

static inline vec v_set_from(const char *x)
{
        float value;

        memcpy(&value, x, sizeof(value));
        return _mm512_set1_ps(value);
}

static inline vec v_add(vec a, vec b)
{
        return _mm512_add_ps(a, b);
}

static inline vec v_sub(vec a, vec b)
{
        return _mm512_sub_ps(a, b);
}

static inline vec v_mul(vec a, vec b)
{
        return _mm512_mul_ps(a, b);
}

static inline vec v_div(vec a, vec b)
{
        return _mm512_div_ps(a, b);
}

/* a * b + c */
static inline vec v_fma(vec a, vec b, vec c)
{
        return _mm512_fmadd_ps(a, b, c);
}

/* The second one if either is a NaN. */
static inline vec v_max(vec a, vec b)
{
        return _mm512_max_ps(a, b);
}

static inline vec v_min(vec a, vec b)
{
        return _mm512_min_ps(a, b);
}

static inline vec v_abs(vec a)
{
        return _mm512_abs_ps(a);
}

/* `magnitude`, which is >= 0, with the sign of `sign`. */
static inline vec v_signed(vec magnitude, vec sign)
{
        return _mm512_or_ps(magnitude, _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}

/* p * 2^n, where the low bits of `shifted` are n. */
static inline vec v_times_2_to(vec p, vec shifted)
{
        const ivec exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);

        return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

static inline ivec v_round(vec a)
{
        return _mm512_cvtps_epi32(a);
}

static inline vec v_from_int(ivec a)
{
        return _mm512_cvtepi32_ps(a);
}

static inline vec v_from_int16(const int16_t *x)
{
        return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_load_si256((const __m256i *)(const void *)x)));
}

static inline ivec i_load(const int32_t *x)
{
        return _mm512_load_si512(x);
}

/* Four bytes, in every lane. */
static inline ivec i_inputs(const char *x)
{
        int32_t value;

        memcpy(&value, x, sizeof(value));
        return _mm512_set1_epi32(value);
}

#endif
