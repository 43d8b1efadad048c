/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assembler: interleaved audit records to whole events.
 *
 * The records of one event share a timestamp and a serial; those of different
 * events interleave, and an event is whole at its EOE or PROCTITLE record.
 * Events leave in the order in which their first record came: for each thread
 * that is the order of its calls, since the kernel queues all records of a call
 * before the thread can make the next. So an event that lacks its last record
 * holds back those behind it, for two seconds at most, or until 1,024 wait.
 *
 * Nothing is allocated once the slots' buffers have reached their working size.
 */
#ifndef COSMOS_ASSEMBLER_H
#define COSMOS_ASSEMBLER_H

#include "collector/record.h"

#include <cosmos/event.h>

struct cosmos__assembler;

int cosmos__assembler_new(struct cosmos__assembler **ret);
struct cosmos__assembler *cosmos__assembler_free(struct cosmos__assembler *assembler);

/* Is there room for one more record? If not, pop first. */
bool cosmos__assembler_full(const struct cosmos__assembler *assembler);

/*
 * Take one record in; `now` in ns is any clock that goes on with the records
 * (live the boot time, in a replay the records' own timestamps). Returns 1 if it
 * was taken, 0 if it is of no event that we know, -EBADMSG if it is malformed,
 * -ENOMEM.
 */
int cosmos__assembler_push(struct cosmos__assembler *assembler, enum cosmos__record_type type,
                           const struct cosmos__record_head *head, int64_t now);

/*
 * The oldest event if it is whole, or has waited too long by `now`, or if there
 * is no more room, or if `flush`; else NULL. Lent until the next call.
 * `ret_whole`: whether all of its records had come.
 */
const struct cosmos_event *cosmos__assembler_pop(struct cosmos__assembler *assembler, int64_t now, bool flush,
                                                 bool *ret_whole);

#endif
