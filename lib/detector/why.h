/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why: the most surprising calls of a window, and what had been expected.
 *
 * A window moves on by a hop, so its calls are kept in segments of one hop,
 * each with its own most surprising ones: those of a window are found among
 * those of its segments. That is exact for the windows at the hops, which begin
 * where a segment does; of the last one of a sequence, which need not, a call may
 * stay hidden behind more surprising ones that came before it.
 */
#ifndef COSMOS_WHY_H
#define COSMOS_WHY_H

#include <cosmos/detector.h>
#include <cosmos/event.h>
#include <cosmos/sequence.h>

#include <stdbool.h>

struct cosmos__why;

/* What is kept of a call until it is known how surprising it was, and for as long as it is among the most surprising.
 */
struct cosmos__note {
        bool has_ret;
        int64_t timestamp, ret;
        uint64_t seq;
        char syscall[32];
        char detail[160]; /* as much as is kept */
};

void cosmos__note_take(struct cosmos__note *ret, const struct cosmos_event *event);

/* Keep `keep` calls of each segment; `window` and `hop` in calls. */
int cosmos__why_new(struct cosmos__why **ret, uint32_t keep, uint32_t window, uint32_t hop);
struct cosmos__why *cosmos__why_free(struct cosmos__why *why);

/* The sequence's call number `call` (from 0) had this NLL under `logp` [vocabulary]. */
void cosmos__why_add(struct cosmos__why *why, uint64_t call, const struct cosmos__note *note, float nll,
                     const float *logp, const cosmos_vocab *vocab);

/* The most surprising of the calls from number `first` on; at most `keep` into `ret`.
 * Their strings are the why's and the vocabulary's, valid until the next add. */
size_t cosmos__why_get(const struct cosmos__why *why, uint64_t first, struct cosmos_surprise *ret,
                       const cosmos_vocab *vocab);

#endif
