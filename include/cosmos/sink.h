/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sink: where events and scores go. JSON Lines (docs/formats.md) to a
 * descriptor or to a function, or the structs themselves to a callback. What a
 * reader of JSON cannot hold (an integer above 2^63 - 1, NaN, infinity) is left out.
 *
 * Thread safety: one thread at a time for each sink.
 */
#ifndef COSMOS_SINK_H
#define COSMOS_SINK_H

#include <cosmos/error.h>
#include <cosmos/event.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_sink cosmos_sink;

/* JSON Lines to `fd`, which is borrowed. Lines are gathered in a buffer of 64 KiB;
 * flush() when the source has nothing more for now. A blocking fd blocks. After an
 * error of write_*() or flush(), -EAGAIN among them, the lines that have not left are
 * kept and go first at the next try: flush() again, and write none of them twice. */
int cosmos_sink_new_jsonl(cosmos_sink **ret, int fd, struct cosmos_diag *reterr);

/* JSON Lines to a function, one call for each line, without its newline but
 * NUL-terminated. A negative return becomes that of write_*(). */
int cosmos_sink_new_lines(cosmos_sink **ret, int (*line)(void *userdata, const char *text, size_t length),
                          void *userdata, struct cosmos_diag *reterr);

/* The structs, lent for the call. Either function may be NULL. */
struct cosmos_sink_callbacks {
        size_t size; /* sizeof(struct cosmos_sink_callbacks) */
        int (*event)(void *userdata, const struct cosmos_event *event);
        int (*score)(void *userdata, const struct cosmos_score *score);
        void *userdata;
};
int cosmos_sink_new_callback(cosmos_sink **ret, const struct cosmos_sink_callbacks *callbacks,
                             struct cosmos_diag *reterr);

int cosmos_sink_write_event(cosmos_sink *sink, const struct cosmos_event *event, struct cosmos_diag *reterr);
int cosmos_sink_write_score(cosmos_sink *sink, const struct cosmos_score *score, struct cosmos_diag *reterr);
/* Everything written so far has left the sink when this returns 0. */
int cosmos_sink_flush(cosmos_sink *sink, struct cosmos_diag *reterr);
/* Takes NULL. Does not flush: an error could not be told. Returns NULL. */
cosmos_sink *cosmos_sink_free(cosmos_sink *sink);

#ifdef __cplusplus
}
#endif
#endif
