/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/jsonl.h"

#include "base/base.h"

#include <cosmos/sink.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_BYTES ((size_t)64 << 10)

typedef int (*line_function)(void *userdata, const char *text, size_t length);

struct cosmos_sink {
        const struct sink_ops *ops;
        struct cosmos__buffer buffer;
        size_t written; /* bytes of the buffer that have left already */
        int fd;
        line_function line;
        struct cosmos_sink_callbacks callbacks;
        void *userdata;
};

struct sink_ops {
        int (*event)(cosmos_sink *sink, const struct cosmos_event *event, struct cosmos_diag *reterr);
        int (*score)(cosmos_sink *sink, const struct cosmos_score *score, struct cosmos_diag *reterr);
        int (*flush)(cosmos_sink *sink, struct cosmos_diag *reterr);
};

static int sink_new(cosmos_sink **ret, const struct sink_ops *ops)
{
        cosmos_sink *sink = calloc(1, sizeof(*sink));

        if (!sink)
                return -ENOMEM;
        sink->ops = ops;
        sink->fd = -1;
        *ret = sink;
        return 0;
}

/* ---- JSON Lines to a descriptor -------------------------------------------------- */

/* What has not left goes to the front, for another try. */
static void compact(cosmos_sink *sink)
{
        struct cosmos__buffer *b = &sink->buffer;

        if (sink->written == 0)
                return;
        memmove(b->data, b->data + sink->written, b->size - sink->written);
        b->size -= sink->written;
        sink->written = 0;
}

/* Write the first `n` bytes of the buffer. */
static int fd_write(cosmos_sink *sink, size_t n, struct cosmos_diag *reterr)
{
        while (sink->written < n) {
                ssize_t done = write(sink->fd, sink->buffer.data + sink->written, n - sink->written);

                if (done < 0 && errno == EINTR)
                        continue;
                if (done < 0) {
                        int r = -errno;

                        compact(sink);
                        return cosmos__fail(reterr, r, "cannot write the output: %s", strerrordesc_np(-r));
                }
                sink->written += (size_t)done;
        }
        compact(sink);
        return 0;
}

static int fd_flush(cosmos_sink *sink, struct cosmos_diag *reterr)
{
        return fd_write(sink, sink->buffer.size, reterr);
}

/*
 * The line that no longer fits waits for the next write: 64 KiB is what a pipe
 * holds, and for the few bytes above it we would sleep until its reader has
 * taken a page, and be woken for each.
 */
static int fd_added(cosmos_sink *sink, size_t before, int r, struct cosmos_diag *reterr)
{
        if (r < 0)
                return cosmos__fail(reterr, r, "out of memory for a line");
        return sink->buffer.size > FLUSH_BYTES ? fd_write(sink, before, reterr) : 0;
}

static int fd_event(cosmos_sink *sink, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        size_t before = sink->buffer.size;

        return fd_added(sink, before, cosmos__jsonl_event(&sink->buffer, event), reterr);
}

static int fd_score(cosmos_sink *sink, const struct cosmos_score *score, struct cosmos_diag *reterr)
{
        size_t before = sink->buffer.size;

        return fd_added(sink, before, cosmos__jsonl_score(&sink->buffer, score), reterr);
}

static const struct sink_ops fd_ops = {fd_event, fd_score, fd_flush};

COSMOS_API int cosmos_sink_new_jsonl(cosmos_sink **ret, int fd, struct cosmos_diag *reterr)
{
        int r;

        if (fd < 0)
                return cosmos__fail(reterr, -EBADF, "the descriptor of a JSON Lines sink must be open");
        r = sink_new(ret, &fd_ops);
        if (r == 0)
                (*ret)->fd = fd;
        return r;
}

/* ---- JSON Lines to a function -------------------------------------------------------- */

static int call_line(cosmos_sink *sink, int r, struct cosmos_diag *reterr)
{
        struct cosmos__buffer *b = &sink->buffer;

        if (r < 0)
                return cosmos__fail(reterr, r, "out of memory for a line");
        b->data[b->size - 1] = 0; /* the newline */
        r = sink->line(sink->userdata, b->data, b->size - 1);
        b->size = 0;
        return r < 0 ? cosmos__fail(reterr, r, "the sink's function failed") : 0;
}

static int lines_event(cosmos_sink *sink, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        return call_line(sink, cosmos__jsonl_event(&sink->buffer, event), reterr);
}

static int lines_score(cosmos_sink *sink, const struct cosmos_score *score, struct cosmos_diag *reterr)
{
        return call_line(sink, cosmos__jsonl_score(&sink->buffer, score), reterr);
}

static int nothing_to_flush(cosmos_sink *sink, struct cosmos_diag *reterr)
{
        (void)sink;
        (void)reterr;
        return 0;
}

static const struct sink_ops lines_ops = {lines_event, lines_score, nothing_to_flush};

COSMOS_API int cosmos_sink_new_lines(cosmos_sink **ret, line_function line, void *userdata, struct cosmos_diag *reterr)
{
        int r;

        if (!line)
                return cosmos__fail(reterr, -EINVAL, "a sink of lines needs a function");
        r = sink_new(ret, &lines_ops);
        if (r == 0) {
                (*ret)->line = line;
                (*ret)->userdata = userdata;
        }
        return r;
}

/* ---- structs to callbacks --------------------------------------------------------------- */

static int callback_event(cosmos_sink *sink, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        int r = sink->callbacks.event ? sink->callbacks.event(sink->userdata, event) : 0;

        return r < 0 ? cosmos__fail(reterr, r, "the sink's function failed") : 0;
}

static int callback_score(cosmos_sink *sink, const struct cosmos_score *score, struct cosmos_diag *reterr)
{
        int r = sink->callbacks.score ? sink->callbacks.score(sink->userdata, score) : 0;

        return r < 0 ? cosmos__fail(reterr, r, "the sink's function failed") : 0;
}

static const struct sink_ops callback_ops = {callback_event, callback_score, nothing_to_flush};

COSMOS_API int cosmos_sink_new_callback(cosmos_sink **ret, const struct cosmos_sink_callbacks *callbacks,
                                        struct cosmos_diag *reterr)
{
        struct cosmos_sink_callbacks c;
        int r;

        r = cosmos__options(&c, sizeof(c), callbacks, "cosmos_sink_callbacks", reterr);
        if (r == 0)
                r = sink_new(ret, &callback_ops);
        if (r == 0) {
                (*ret)->callbacks = c;
                (*ret)->userdata = c.userdata;
        }
        return r;
}

/* ---- any sink ---------------------------------------------------------------------------- */

COSMOS_API int cosmos_sink_write_event(cosmos_sink *sink, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        return sink->ops->event(sink, event, reterr);
}

COSMOS_API int cosmos_sink_write_score(cosmos_sink *sink, const struct cosmos_score *score, struct cosmos_diag *reterr)
{
        return sink->ops->score(sink, score, reterr);
}

COSMOS_API int cosmos_sink_flush(cosmos_sink *sink, struct cosmos_diag *reterr)
{
        return sink->ops->flush(sink, reterr);
}

COSMOS_API cosmos_sink *cosmos_sink_free(cosmos_sink *sink)
{
        if (sink) {
                cosmos__buffer_free(&sink->buffer);
                free(sink);
        }
        return NULL;
}
