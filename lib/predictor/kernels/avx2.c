/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 with FMA; int8 weights are widened, and vpmaddwd multiplies pairs of 16 bits. */
#include "predictor/kernels/x86_256.h"

#define INT8_ROWS 2 /* 8 sums, a column, 2 inputs and a product */
#define GROUP ((size_t)2)
#define INPUT_SIZE ((size_t)2)
#define INPUT_ZERO 0

static inline void i_store_inputs(char *x, ivec q)
{
        const ivec pairs = _mm256_permute4x64_epi64(_mm256_packs_epi32(q, q), 0x08);

        _mm_store_si128((__m128i *)(void *)x, _mm256_castsi256_si128(pairs));
}

/* A pair of 16 bits, in every lane. */
static inline ivec i_inputs(const char *x)
{
        int32_t value;

        memcpy(&value, x, sizeof(value));
        return _mm256_set1_epi32(value);
}

static inline ivec i_weights(const int8_t *w)
{
        return _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(const void *)w));
}

static inline ivec i_dot(ivec sum, ivec weights, ivec inputs)
{
        return _mm256_add_epi32(sum, _mm256_madd_epi16(weights, inputs));
}

#include "predictor/kernels/simd_f32.h"
#include "predictor/kernels/simd_int8.h"

const struct cosmos__kernels cosmos__avx2_f32 = F32_KERNELS;
const struct cosmos__kernels cosmos__avx2_int8 = INT8_KERNELS;
