/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of NEON (AArch64): 4 floats. */
#ifndef COSMOS_KERNELS_AARCH64_H
#define COSMOS_KERNELS_AARCH64_H

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

#endif
