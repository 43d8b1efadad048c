/* SPDX-License-Identifier: Apache-2.0 */
/* NEON; int8 products are of 16 bits, and added in pairs to sums of 32. */
#include "predictor/kernels/aarch64.h"

#define INT8_ROWS ROWS
#define GROUP ((size_t)2)
#define INPUT_SIZE ((size_t)1)
#define INPUT_ZERO 0

static inline void i_store_inputs(char *x, ivec q)
{
        const int16x4_t words = vmovn_s32(q);
        const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));

        vst1_lane_s32((int32_t *)(void *)x, vreinterpret_s32_s8(bytes), 0);
}

/* A pair of bytes, in every lane. */
static inline i_column i_inputs(const char *x)
{
        int16_t value;

        memcpy(&value, x, sizeof(value));
        return vreinterpret_s8_s16(vdup_n_s16(value));
}

static inline i_column i_weights(const int8_t *w)
{
        return vld1_s8(w);
}

static inline ivec i_dot(ivec sum, i_column weights, i_column inputs)
{
        return vpadalq_s16(sum, vmull_s8(weights, inputs));
}

#include "predictor/kernels/simd_f32.h"
#include "predictor/kernels/simd_int8.h"

const struct cosmos__kernels cosmos__neon_f32 = F32_KERNELS;
const struct cosmos__kernels cosmos__neon_int8 = INT8_KERNELS;
