/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that follow from a seed: the same on every machine, and their whole state is one integer. */
#ifndef COSMOS_TRAINER_RANDOM_H
#define COSMOS_TRAINER_RANDOM_H

#include "base/hash.h"

/* splitmix64 (Steele, Lea & Flood 2014). */
static inline uint64_t cosmos__random(uint64_t *state)
{
        *state += UINT64_C(0x9e3779b97f4a7c15);
        return cosmos__hash_mix(*state);
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
