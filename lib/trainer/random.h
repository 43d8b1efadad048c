/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that follow from a seed: the same on every machine, and their whole state is one integer. */
#ifndef COSMOS_TRAINER_RANDOM_H
#define COSMOS_TRAINER_RANDOM_H

#include <stdint.h>

/* splitmix64 (Steele, Lea & Flood 2014): the mix of `x`, which may be a counter. */
static inline uint64_t cosmos__mix(uint64_t x)
{
        x += UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

static inline uint64_t cosmos__random(uint64_t *state)
{
        const uint64_t x = cosmos__mix(*state);

        *state += UINT64_C(0x9e3779b97f4a7c15);
        return x;
}

/* 0 .. n-1 (Lemire 2019, without the last step: biased by n / 2^64). */
static inline uint64_t cosmos__random_below(uint64_t *state, uint64_t n)
{
        return (uint64_t)(((unsigned __int128)cosmos__random(state) * n) >> 64);
}

/* In [0, 1). */
static inline double cosmos__random_share(uint64_t *state)
{
        return (double)(cosmos__random(state) >> 11) * 0x1p-53;
}

#endif
