/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of one line of a trace (docs/formats.md) to an event. No I/O; fuzzed by
 * tests/fuzz/fuzz_trace.c.
 *
 * The JSON is read by base/json.h, in place: the event's strings are the line's own bytes, and
 * nothing is allocated for a line of known fields. tests/bench/reader.py says how it compares to jansson,
 * which reads all other JSON here.
 */
#ifndef COSMOS_TRACE_H
#define COSMOS_TRACE_H

#include "base/json.h"

#include <cosmos/error.h>
#include <cosmos/event.h>

#include <stdint.h>

#define COSMOS__TRACE_FORMAT 1 /* newest format that is read */
#define COSMOS__TRACE_FIELDS 32
#define COSMOS__SECOND_LENGTH 19

/* A parser: the latest event, and what lines of a trace have in common. Begins as {0}. */
struct cosmos__trace_line {
        struct cosmos_event event;
        struct cosmos__json json;
        /* Which field came behind which, lately and before that: most lines have the same ones in the
         * same order, and what is expected is found at once. */
        uint8_t next[COSMOS__TRACE_FIELDS + 1][2];
        /* The latest line's second, "2026-11-23T04:20:11" and since 1970: many lines are of the same one. */
        char second_text[COSMOS__SECOND_LENGTH];
        int64_t second;
};

/* Returns 1: an event, whose strings lie in `data`, which is overwritten; 0: a line of a type that is not
 * an event's; -COSMOS_EFORMAT, -COSMOS_EVERSION or -ENOMEM with a text. */
int cosmos__trace_parse(struct cosmos__trace_line *line, uint8_t *data, size_t n, struct cosmos_diag *reterr);

void cosmos__trace_line_free(struct cosmos__trace_line *line);

#endif
