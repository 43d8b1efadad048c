/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 without VNNI: int8 weights are widened, and vpmaddwd multiplies pairs of 16 bits. */
#include "predictor/kernels/x86_512.h"

#define INT8_ROWS 5
#define GROUP ((size_t)2)
#define INPUT_SIZE ((size_t)2)
#define INPUT_ZERO 0

static inline void i_store_inputs(char *x, ivec q)
{
        _mm256_store_si256((__m256i *)(void *)x, _mm512_cvtepi32_epi16(q));
}

static inline ivec i_weights(const int8_t *w)
{
        return _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)(const void *)w));
}

static inline ivec i_dot(ivec sum, ivec weights, ivec inputs)
{
        return _mm512_add_epi32(sum, _mm512_madd_epi16(weights, inputs));
}

#include "predictor/kernels/simd_f32.h"
#include "predictor/kernels/simd_int8.h"

const struct cosmos__kernels cosmos__avx512_f32 = F32_KERNELS;
const struct cosmos__kernels cosmos__avx512_int8 = INT8_KERNELS;
