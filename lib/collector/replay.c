/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: lines of a file or pipe, read as they come, to events. next() never
 * blocks: on a pipe it reads only what is there (input.c).
 */
#include "collector/assembler.h"
#include "collector/backend.h"
#include "collector/input.h"
#include "collector/trace.h"

#include "base/base.h"
#include "base/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)16 << 20)
#define READ_BYTES ((size_t)256 << 10)
#define WARNINGS_MAX 20

enum format {
        FORMAT_UNKNOWN, /* no line has been seen yet */
        FORMAT_TRACE,
        FORMAT_AUDIT_LOG,
};

struct replay_collector {
        cosmos_collector base;
        struct cosmos__input input; /* a descriptor of 0 is not ours */
        char *name;
        bool eof, stopped;
        enum format format;

        struct cosmos__buffer buffer; /* bytes read; lines before `start` are done with */
        size_t start, scanned;        /* no newline between start and scanned */
        uint64_t line_number;
        bool skipping; /* in the middle of a line that is too long */

        struct cosmos__trace_line line;
        struct cosmos__assembler *assembler;
        int64_t newest; /* timestamp in an audit log */
        bool begun;     /* an audit log: its head has been delivered */
        bool has_ends;  /* an audit log: with the records that end an event */

        bool any;                /* an event has been delivered: `gap` has its timestamp */
        bool gap_due;            /* before the next event */
        struct cosmos_event gap; /* loss_count: lines skipped since the latest event */
        uint64_t opened, popped; /* an audit log: events that have begun, and left */
        uint64_t damaged;        /* of those that had begun when the latest line was skipped */
};

/* ---- lines ------------------------------------------------------------------------- */

/* 1: some more bytes, or the end; 0: nothing yet. */
static int fill(struct replay_collector *c)
{
        ssize_t n;
        int r;

        if (c->start > 0) {
                memmove(c->buffer.data, c->buffer.data + c->start, c->buffer.size - c->start);
                c->buffer.size -= c->start;
                c->scanned -= c->start;
                c->start = 0;
        }
        r = cosmos__buffer_reserve(&c->buffer, READ_BYTES);
        if (r < 0)
                return r;
        n = cosmos__input_read(&c->input, c->buffer.data + c->buffer.size, READ_BYTES);
        if (n < 0)
                return n == -EAGAIN ? 0 : (int)n;
        c->eof = n == 0;
        c->buffer.size += (size_t)n;
        if (c->input.fault[0]) /* what was cut off is no line */
                c->start = c->scanned = c->buffer.size;
        return 1;
}

static void malformed(struct replay_collector *c, const char *what)
{
        c->gap.loss_count++;
        c->gap_due = true;
        c->damaged = c->opened;
        if (c->base.stats.malformed++ < WARNINGS_MAX)
                cosmos__log(&c->base.log, COSMOS_LOG_WARNING, "%s:%llu: line skipped: %s", c->name,
                            (unsigned long long)c->line_number, what);
}

/* The line that ends at `end`, without a carriage return before it. */
static void take_line(struct replay_collector *c, size_t end, uint8_t **ret, size_t *ret_n)
{
        *ret = (uint8_t *)c->buffer.data + c->start;
        *ret_n = end - c->start;
        if (*ret_n > 0 && (*ret)[*ret_n - 1] == '\r')
                --*ret_n;
        c->start = c->scanned = MIN(end + 1, c->buffer.size);
        c->line_number++;
        c->base.stats.records++;
}

/* 1: a line, without its newline, lent until the next call; 0: nothing yet; 2: the
 * end; 3: a line that was too long has been skipped. */
static int next_line(struct replay_collector *c, uint8_t **ret, size_t *ret_n)
{
        for (;;) {
                const char *data = c->buffer.data;
                const char *newline =
                    c->buffer.size > c->scanned ? memchr(data + c->scanned, '\n', c->buffer.size - c->scanned) : NULL;
                int r;

                if (newline || (c->eof && (c->buffer.size > c->start || c->skipping))) {
                        bool skip = c->skipping;

                        take_line(c, newline ? (size_t)(newline - data) : c->buffer.size, ret, ret_n);
                        c->skipping = false;
                        if (!skip && *ret_n <= LINE_MAX_BYTES)
                                return 1;
                        malformed(c, "longer than 16 MiB");
                        return 3;
                }
                if (c->eof)
                        return 2;
                c->scanned = c->buffer.size;
                if (c->scanned - c->start > LINE_MAX_BYTES) {
                        c->skipping = true;
                        c->start = c->scanned;
                }
                r = fill(c);
                if (r <= 0)
                        return r;
        }
}

/* ---- lines to events ------------------------------------------------------------------ */

static bool is_blank(const uint8_t *line, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (line[i] != ' ' && line[i] != '\t')
                        return false;
        return true;
}

static enum format guess_format(const uint8_t *line, size_t n)
{
        return n >= 5 && (memcmp(line, "type=", 5) == 0 || memcmp(line, "node=", 5) == 0) ? FORMAT_AUDIT_LOG
                                                                                          : FORMAT_TRACE;
}

static int take_trace_line(struct replay_collector *c, uint8_t *line, size_t n, struct cosmos_diag *reterr)
{
        struct cosmos_diag diag; /* 512 bytes: not to be cleared for each line */
        int r = cosmos__trace_parse(&c->line, line, n, &diag);

        if (r == -COSMOS_EFORMAT) {
                malformed(c, diag.text);
                return 0;
        }
        if (r < 0)
                return cosmos__fail(reterr, r, "%s:%llu: %s", c->name, (unsigned long long)c->line_number,
                                    r == -ENOMEM ? "out of memory" : diag.text);
        c->base.stats.ignored += r == 0;
        return r;
}

/* A log is of the audit backend, as its trace would say. */
static void begin_log(struct replay_collector *c, int64_t timestamp)
{
        c->begun = true;
        c->line.event = (struct cosmos_event){
            .type = COSMOS_EVENT_TRACE, .timestamp = timestamp, .timestamp_digits = 3, .source = "audit"};
}

static int take_log_line(struct replay_collector *c, const uint8_t *line, size_t n)
{
        enum cosmos__record_type type;
        struct cosmos__record_head head;
        int r = cosmos__record_parse_log_line(line, n, &type, &head);

        if (r == 0) {
                c->newest = MAX(c->newest, head.timestamp);
                c->has_ends |= type == COSMOS__RECORD_EOE || type == COSMOS__RECORD_PROCTITLE;
                r = cosmos__assembler_push(c->assembler, type, &head, c->newest);
        }
        if (r == -EBADMSG) {
                malformed(c, "not an audit record that can be read");
                return 0;
        }
        c->opened += r == 1 && type == COSMOS__RECORD_SYSCALL;
        c->base.stats.ignored += r == 0 && type != COSMOS__RECORD_EOE && type != COSMOS__RECORD_PROCTITLE;
        if (r < 0 || c->begun)
                return MIN(r, 0);
        begin_log(c, head.timestamp);
        return 1;
}

/* A log may lack the records that end an event: then it is over when the log has gone on for two seconds. */
static const struct cosmos_event *pop_log_event(struct replay_collector *c, bool end)
{
        const struct cosmos_event *event;
        bool whole;

        if (c->format != FORMAT_AUDIT_LOG)
                return NULL;
        event = cosmos__assembler_pop(c->assembler, c->newest, end, &whole);
        if (event) {
                /* The skipped line was a record somewhere among those in flight: nothing
                 * is known of their order to it. */
                c->gap_due = ++c->popped <= c->damaged;
                c->base.stats.events++;
                c->base.stats.incomplete += !whole && c->has_ends;
        }
        return event;
}

static int at_end(struct replay_collector *c, struct cosmos_diag *reterr)
{
        const struct cosmos_collector_stats *s = &c->base.stats;

        if (c->stopped)
                return 2;
        c->stopped = true; /* what is said here is said once */
        if (s->malformed > WARNINGS_MAX)
                cosmos__log(&c->base.log, COSMOS_LOG_WARNING, "%s: %llu lines skipped in all", c->name,
                            (unsigned long long)s->malformed);
        if (c->input.fault[0])
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "%s: after %llu lines %s", c->name,
                                    (unsigned long long)c->line_number, c->input.fault);
        if (s->records == 0)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "%s: empty: expected a trace (JSON Lines) or an audit.log",
                                    c->name);
        if (s->malformed == s->records)
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "%s: none of its %llu lines could be read: not a trace (JSON Lines) or audit.log",
                                    c->name, (unsigned long long)s->records);
        return 2;
}

/* A line that was skipped may have been a call: what comes after it is not spliced
 * to what came before. */
static const struct cosmos_event *pop_gap(struct replay_collector *c)
{
        if (!c->any || !c->gap_due)
                return NULL;
        c->gap_due = false;
        c->line.event = c->gap;
        c->gap.loss_count = 0;
        return &c->line.event;
}

static int deliver(struct replay_collector *c, const struct cosmos_event *event, const struct cosmos_event **ret_event)
{
        if (!c->any) { /* nothing stands before what was skipped */
                c->gap_due = false;
                c->gap.loss_count = 0;
        }
        c->any = true;
        c->gap.timestamp = event->timestamp;
        c->gap.timestamp_digits = event->timestamp_digits;
        *ret_event = event;
        return 1;
}

static int replay_next(cosmos_collector *base, const struct cosmos_event **ret_event, struct cosmos_diag *reterr)
{
        struct replay_collector *c = CONTAINER_OF(base, struct replay_collector, base);

        while (!c->stopped) {
                const struct cosmos_event *event;
                uint8_t *line = NULL;
                size_t n = 0;
                int r;

                event = pop_gap(c);
                if (!event)
                        event = pop_log_event(c, false);
                if (event)
                        return deliver(c, event, ret_event);
                r = next_line(c, &line, &n);
                if (r == 0)
                        return 0;
                if (r < 0)
                        return cosmos__fail(reterr, r, "%s: cannot read: %s", c->name, strerrordesc_np(-r));
                if (r == 3)
                        continue;
                if (r == 2) {
                        event = pop_log_event(c, true); /* the end ends what was still incomplete */
                        if (!event)
                                break;
                        return deliver(c, event, ret_event);
                }
                if (is_blank(line, n)) {
                        c->base.stats.records--;
                        continue;
                }
                if (c->format == FORMAT_UNKNOWN)
                        c->format = guess_format(line, n);
                r = c->format == FORMAT_TRACE ? take_trace_line(c, line, n, reterr) : take_log_line(c, line, n);
                if (r < 0)
                        return r;
                if (r > 0) {
                        c->base.stats.events += c->line.event.type != COSMOS_EVENT_LOSS;
                        return deliver(c, &c->line.event, ret_event);
                }
        }
        return at_end(c, reterr);
}

/* ---- the collector ------------------------------------------------------------------------ */

static int replay_stop(cosmos_collector *base, struct cosmos_diag *reterr)
{
        (void)reterr;
        CONTAINER_OF(base, struct replay_collector, base)->stopped = true;
        return 0;
}

static int replay_fd(const cosmos_collector *base)
{
        return CONTAINER_OF(base, struct replay_collector, base)->input.fd;
}

static void replay_free(cosmos_collector *base)
{
        struct replay_collector *c = CONTAINER_OF(base, struct replay_collector, base);

        if (c->input.fd > STDIN_FILENO)
                close(c->input.fd);
        cosmos__input_free(&c->input);
        cosmos__trace_line_free(&c->line);
        cosmos__assembler_free(c->assembler);
        cosmos__buffer_free(&c->buffer);
        free(c->name);
        free(c);
}

static const struct cosmos__collector_ops replay_ops = {
    .live = 0,
    .fd = replay_fd,
    .next = replay_next,
    .stop = replay_stop,
    .free = replay_free,
};

static void replay_freep(struct replay_collector **c)
{
        if (*c)
                replay_free(&(*c)->base);
}

static int open_input(struct replay_collector *c, const char *path, struct cosmos_diag *reterr)
{
        char quoted[256];
        struct stat st;

        c->name =
            strcmp(path, "-") == 0 ? strdup("standard input") : strdup(cosmos__quote_str(quoted, sizeof(quoted), path));
        if (!c->name)
                return -ENOMEM;
        if (strcmp(path, "-") != 0)
                c->input.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (c->input.fd < 0 || fstat(c->input.fd, &st) < 0)
                return cosmos__fail(reterr, -errno, "%s: cannot open: %s", c->name, strerrordesc_np(errno));
        if (S_ISDIR(st.st_mode))
                return cosmos__fail(reterr, -EISDIR, "%s: is a folder; give a trace", c->name);
        c->input.regular = S_ISREG(st.st_mode);
        return 0;
}

COSMOS_API int cosmos_collector_open_replay(cosmos_collector **ret, const char *path,
                                            const struct cosmos_replay_options *options, struct cosmos_diag *reterr)
{
        _cleanup_(replay_freep) struct replay_collector *c = NULL;
        struct cosmos_replay_options o;
        int r;

        r = cosmos__options(&o, sizeof(o), options, "cosmos_replay_options", reterr);
        if (r < 0)
                return r;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->base = (cosmos_collector){.ops = &replay_ops, .log = o.log};
        c->gap = (struct cosmos_event){.type = COSMOS_EVENT_LOSS, .loss_kind = COSMOS_LOSS_GAP};
        r = open_input(c, path, reterr);
        if (r == 0)
                r = cosmos__assembler_new(&c->assembler);
        if (r < 0)
                return r;
        *ret = &TAKE_PTR(c)->base;
        return 0;
}
