/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of one line of a trace (docs/formats.md) to an event. No I/O; fuzzed by
 * tests/fuzz/fuzz_trace.c. The JSON itself is read by jansson.
 */
#ifndef COSMOS_TRACE_H
#define COSMOS_TRACE_H

#include <cosmos/error.h>
#include <cosmos/event.h>

#include <jansson.h>
#include <stdint.h>

#define COSMOS__TRACE_FORMAT 1 /* newest format that is read */

struct cosmos__trace_line {
        json_t *json; /* holds the event's strings */
        struct cosmos_event event;
};

/* Returns 1: an event; 0: a line of a type that is not an event's; -COSMOS_EFORMAT,
 * -COSMOS_EVERSION or -ENOMEM with a text. What the line held before is freed. */
int cosmos__trace_parse(struct cosmos__trace_line *line, const uint8_t *data, size_t n, struct cosmos_diag *reterr);

void cosmos__trace_line_free(struct cosmos__trace_line *line);

/* RFC 3339 in UTC, "2026-11-23T04:20:11.123456789Z", 0 to 9 decimals,
 * from 1970 to 2262 (what fits into 64 bits). 0 or -EBADMSG. */
int cosmos__timestamp_parse(const char *text, size_t n, int64_t *ret_ns, uint32_t *ret_digits);

#endif
