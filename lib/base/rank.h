/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order statistics of arrays that may be larger than memory: found digit by digit, with one pass over the array for
 * each and no copy of it (radix selection).
 */
#ifndef COSMOS_RANK_H
#define COSMOS_RANK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What stands in order by its key, and counts for so much. */
struct cosmos__weighed {
        uint64_t key, weight;
};

/* The key at which the weights, summed in the order of the keys, exceed `rank`, which is less than all of them. */
uint64_t cosmos__key_of_rank(const void *all, size_t n, uint64_t rank,
                             struct cosmos__weighed (*weighed)(const void *all, size_t i));

/* Of an array of int64_t, each of which counts once. */
struct cosmos__weighed cosmos__weighed_int64(const void *all, size_t i);

#define COSMOS__SIGN (UINT64_C(1) << 63)

/* Keys that are in the order of what they are of. */
static inline uint64_t cosmos__key_of_int64(int64_t value)
{
        return (uint64_t)value ^ COSMOS__SIGN;
}

static inline int64_t cosmos__int64_of_key(uint64_t key)
{
        return (int64_t)(key ^ COSMOS__SIGN);
}

/* Not NaN. -0 is before 0. */
static inline uint64_t cosmos__key_of_double(double value)
{
        uint64_t bits;

        memcpy(&bits, &value, sizeof(bits));
        return bits & COSMOS__SIGN ? ~bits : bits | COSMOS__SIGN;
}

static inline double cosmos__double_of_key(uint64_t key)
{
        const uint64_t bits = key & COSMOS__SIGN ? key ^ COSMOS__SIGN : ~key;
        double value;

        memcpy(&value, &bits, sizeof(value));
        return value;
}

#endif
