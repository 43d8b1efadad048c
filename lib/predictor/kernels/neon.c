/* SPDX-License-Identifier: Apache-2.0 */
/* NEON (AArch64): 4 floats; int8 products are of 16 bits, and added in pairs to sums of 32. */
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES ((size_t)4)
#define PANEL ((size_t)8)
#define ROWS 6 /* 24 sums, 4 columns of weights and an input are 29 of the 32 registers */

typedef float32x4_t vec;
typedef int32x4_t ivec;
typedef int8x8_t i_column;

static inline vec v_load(const float *x)
{
        return vld1q_f32(x);
}

static inline void v_store(float *x, vec v)
{
        vst1q_f32(x, v);
}

static inline void v_store_unaligned(float *x, vec v)
{
        vst1q_f32(x, v);
}

static inline vec v_set(float x)
{
        return vdupq_n_f32(x);
}

static inline vec v_set_from(const char *x)
{
        float value;

        memcpy(&value, x, sizeof(value));
        return vdupq_n_f32(value);
}

static inline vec v_add(vec a, vec b)
{
        return vaddq_f32(a, b);
}

static inline vec v_sub(vec a, vec b)
{
        return vsubq_f32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
        return vmulq_f32(a, b);
}

static inline vec v_div(vec a, vec b)
{
        return vdivq_f32(a, b);
}

/* a * b + c */
static inline vec v_fma(vec a, vec b, vec c)
{
        return vfmaq_f32(c, a, b);
}

/* The second one if the first is a NaN. */
static inline vec v_max(vec a, vec b)
{
        return vmaxnmq_f32(a, b);
}

static inline vec v_min(vec a, vec b)
{
        return vminnmq_f32(a, b);
}

static inline vec v_abs(vec a)
{
        return vabsq_f32(a);
}

/* `magnitude`, which is >= 0, with the sign of `sign`. */
static inline vec v_signed(vec magnitude, vec sign)
{
        return vbslq_f32(vdupq_n_u32(0x80000000), sign, magnitude);
}

/* p * 2^n, where the low bits of `shifted` are n. */
static inline vec v_times_2_to(vec p, vec shifted)
{
        const ivec exponent = vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23);

        return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), exponent));
}

static inline ivec v_round(vec a)
{
        return vcvtnq_s32_f32(a);
}

static inline vec v_from_int(ivec a)
{
        return vcvtq_f32_s32(a);
}

static inline vec v_from_int16(const int16_t *x)
{
        return vcvtq_f32_s32(vmovl_s16(vld1_s16(x)));
}

static inline ivec i_load(const int32_t *x)
{
        return vld1q_s32(x);
}

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
