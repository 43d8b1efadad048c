/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX-512 with VNNI: vpdpbusd adds four products of an unsigned and a signed byte
 * to each of 16 sums. So inputs are stored as q + 128, and sums begin at -128
 * times the sum of their weights.
 */
#include "predictor/kernels/x86_512.h"

#define INT8_ROWS ROWS
#define GROUP ((size_t)4)
#define INPUT_SIZE ((size_t)1)
#define INPUT_ZERO 128

static inline void i_store_inputs(char *x, ivec q)
{
        const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_add_epi32(q, _mm512_set1_epi32(INPUT_ZERO)));

        _mm_store_si128((__m128i *)(void *)x, bytes);
}

static inline ivec i_weights(const int8_t *w)
{
        return _mm512_load_si512(w);
}

static inline ivec i_dot(ivec sum, ivec weights, ivec inputs)
{
        /* With the intrinsic, GCC 12 copies sums from register to register, and to memory. */
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(inputs), "v"(weights));
        return sum;
}

#include "predictor/kernels/simd_int8.h"

const struct cosmos__kernels cosmos__avx512vnni_int8 = INT8_KERNELS;
