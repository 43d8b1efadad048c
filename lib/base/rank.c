/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rank.h"

#define DIGIT 11 /* bits of a key that are looked at in one go: 16 KiB of stack, six passes */

uint64_t cosmos__key_of_rank(const void *all, size_t n, uint64_t rank,
                             struct cosmos__weighed (*weighed)(const void *all, size_t i))
{
        uint64_t prefix = 0, mask = 0;

        for (int shift = 64 / DIGIT * DIGIT; shift >= 0; shift -= DIGIT) {
                uint64_t weights[1 << DIGIT] = {0}, digit = 0;

                for (size_t i = 0; i < n; i++) {
                        const struct cosmos__weighed w = weighed(all, i);

                        if ((w.key & mask) == prefix)
                                weights[w.key >> shift & ((1 << DIGIT) - 1)] += w.weight;
                }
                while (rank >= weights[digit])
                        rank -= weights[digit++];
                prefix |= digit << shift;
                mask = ~((UINT64_C(1) << shift) - 1);
        }
        return prefix;
}

struct cosmos__weighed cosmos__weighed_int64(const void *all, size_t i)
{
        return (struct cosmos__weighed){cosmos__key_of_int64(((const int64_t *)all)[i]), 1};
}
