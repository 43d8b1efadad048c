/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of AVX2 with FMA: 8 floats. */
#ifndef COSMOS_KERNELS_X86_256_H
#define COSMOS_KERNELS_X86_256_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES ((size_t)8)
#define PANEL ((size_t)8)
#define ROWS 3 /* 12 sums, a column of weights and 3 inputs are the 16 registers */

typedef __m256 vec;
typedef __m256i ivec, i_column; /* int32 */

static inline vec v_load(const float *x)
{
        return _mm256_load_ps(x);
}

static inline void v_store(float *x, vec v)
{
        _mm256_store_ps(x, v);
}

static inline void v_store_unaligned(float *x, vec v)
{
        _mm256_storeu_ps(x, v);
}

static inline vec v_set(float x)
{
        return _mm256_set1_ps(x);
}

static inline vec v_set_from(const char *x)
{
        float value;

        memcpy(&value, x, sizeof(value));
        return _mm256_set1_ps(value);
}

static inline vec v_add(vec a, vec b)
{
        return _mm256_add_ps(a, b);
}

static inline vec v_sub(vec a, vec b)
{
        return _mm256_sub_ps(a, b);
}

static inline vec v_mul(vec a, vec b)
{
        return _mm256_mul_ps(a, b);
}

static inline vec v_div(vec a, vec b)
{
        return _mm256_div_ps(a, b);
}

/* a * b + c */
static inline vec v_fma(vec a, vec b, vec c)
{
        return _mm256_fmadd_ps(a, b, c);
}

/* The second one if either is a NaN. */
static inline vec v_max(vec a, vec b)
{
        return _mm256_max_ps(a, b);
}

static inline vec v_min(vec a, vec b)
{
        return _mm256_min_ps(a, b);
}

static inline vec v_abs(vec a)
{
        return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

/* `magnitude`, which is >= 0, with the sign of `sign`. */
static inline vec v_signed(vec magnitude, vec sign)
{
        return _mm256_or_ps(magnitude, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}

/* p * 2^n, where the low bits of `shifted` are n. */
static inline vec v_times_2_to(vec p, vec shifted)
{
        const ivec exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);

        return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
}

static inline ivec v_round(vec a)
{
        return _mm256_cvtps_epi32(a);
}

static inline vec v_from_int(ivec a)
{
        return _mm256_cvtepi32_ps(a);
}

static inline vec v_from_int16(const int16_t *x)
{
        return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_load_si128((const __m128i *)(const void *)x)));
}

static inline ivec i_load(const int32_t *x)
{
        return _mm256_load_si256((const __m256i *)(const void *)x);
}

#endif
