/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: values; fields; events; scores.
 *
 * Strings are bytes that an audited process chose. What is valid UTF-8 (RFC
 * 3629) is written as it is, JSON's own characters escaped (RFC 8259); a byte
 * that is part of no valid character is written as %XX.
 */
#include "sink/jsonl.h"

#include "base/base.h"

#include <cosmos/version.h>

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#define TRACE_FORMAT 1

struct writer {
        struct cosmos__buffer *buffer;
        int error;
};

/* ---- values ------------------------------------------------------------------------ */

static void put(struct writer *w, const char *data, size_t n)
{
        int r = cosmos__buffer_append(w->buffer, data, n);

        if (r < 0)
                w->error = r;
}

#define PUT(w, text) put(w, text, sizeof(text) - 1)

static void put_u64(struct writer *w, uint64_t v)
{
        char digits[20];
        size_t i = sizeof(digits);

        do
                digits[--i] = (char)('0' + v % 10);
        while (v /= 10);
        put(w, digits + i, sizeof(digits) - i);
}

static void put_i64(struct writer *w, int64_t v)
{
        if (v < 0)
                PUT(w, "-");
        put_u64(w, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void put_hex(struct writer *w, uint64_t v)
{
        char digits[16];
        size_t i = sizeof(digits);

        do
                digits[--i] = "0123456789abcdef"[v & 15];
        while (v >>= 4);
        put(w, digits + i, sizeof(digits) - i);
}

/* 17 significant digits: every double comes back as it was. Always with a point
 * or an exponent, so that the field stays a real number to any reader. */
static void put_double(struct writer *w, double v)
{
        locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
        char text[40];

        if (!c) {
                w->error = -ENOMEM;
                return;
        }
        before = uselocale(c); /* of this thread only, and only for this call */
        snprintf(text, sizeof(text), "%.17g", v);
        uselocale(before);
        freelocale(c);
        if (!strpbrk(text, ".e"))
                strcat(text, ".0");
        put(w, text, strlen(text));
}

/* Length of the UTF-8 character at `s`, 0 if it is none. */
static size_t utf8_length(const unsigned char *s)
{
#define FOLLOWS(i) ((s[i] & 0xc0) == 0x80)
        if (s[0] < 0x80)
                return 1;
        if (s[0] >= 0xc2 && s[0] <= 0xdf)
                return FOLLOWS(1) ? 2 : 0;
        if (s[0] >= 0xe0 && s[0] <= 0xef) {
                if (!FOLLOWS(1) || !FOLLOWS(2))
                        return 0;
                if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) /* overlong; surrogate */
                        return 0;
                return 3;
        }
        if (s[0] >= 0xf0 && s[0] <= 0xf4) {
                if (!FOLLOWS(1) || !FOLLOWS(2) || !FOLLOWS(3))
                        return 0;
                if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
                        return 0;
                return 4;
        }
        return 0;
#undef FOLLOWS
}

static void put_escaped(struct writer *w, unsigned char c)
{
        char text[8];

        switch (c) {
        case '"':
                PUT(w, "\\\"");
                return;
        case '\\':
                PUT(w, "\\\\");
                return;
        case '\n':
                PUT(w, "\\n");
                return;
        case '\t':
                PUT(w, "\\t");
                return;
        }
        snprintf(text, sizeof(text), c < 0x20 ? "\\u%04x" : "%%%02X", c);
        put(w, text, strlen(text));
}

static void put_string(struct writer *w, const char *text)
{
        const unsigned char *s = (const unsigned char *)text, *run = s;

        PUT(w, "\"");
        while (*s) {
                size_t n = utf8_length(s);

                if (n > 0 && *s >= 0x20 && *s != '"' && *s != '\\') {
                        s += n;
                        continue;
                }
                put(w, (const char *)run, (size_t)(s - run));
                put_escaped(w, *s++);
                run = s;
        }
        put(w, (const char *)run, (size_t)(s - run));
        PUT(w, "\"");
}

static void put_two(char *out, int64_t v)
{
        out[0] = (char)('0' + v / 10 % 10);
        out[1] = (char)('0' + v % 10);
}

/* RFC 3339 in UTC. The date is that of the proleptic Gregorian calendar; years
 * are counted from March, so that the leap day is the last of its year. */
static void put_timestamp(struct writer *w, int64_t ns, uint32_t digits)
{
        int64_t seconds = ns / 1000000000, fraction = ns % 1000000000;
        int64_t day = seconds / 86400, rest = seconds % 86400, era, doe, yoe, doy, m;
        char text[40] = "0000-00-00T00:00:00.000000000Z";
        size_t n;

        if (ns < 0) /* before 1970: of no source that we know */
                day = rest = fraction = 0;
        day += 719468;
        era = day / 146097;
        doe = day % 146097;
        yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        m = (5 * doy + 2) / 153; /* March is 0 */
        put_two(text, (yoe + era * 400 + (m >= 10)) / 100);
        put_two(text + 2, (yoe + era * 400 + (m >= 10)) % 100);
        put_two(text + 5, m < 10 ? m + 3 : m - 9);
        put_two(text + 8, doy - (153 * m + 2) / 5 + 1);
        put_two(text + 11, rest / 3600);
        put_two(text + 14, rest / 60 % 60);
        put_two(text + 17, rest % 60);
        for (int i = 28; i >= 20; i--, fraction /= 10)
                text[i] = (char)('0' + fraction % 10);
        n = digits == 0 ? 19 : 20 + MIN(digits, 9u);
        text[n++] = 'Z';
        PUT(w, "\"");
        put(w, text, n);
        PUT(w, "\"");
}

/* ---- fields -------------------------------------------------------------------------- */

/* Every line begins with its timestamp, so each further field begins with a comma. */
#define KEY(w, key) PUT(w, ",\"" key "\":")

#define STRING(w, key, value)                                                                                          \
        do {                                                                                                           \
                if (value) {                                                                                           \
                        KEY(w, key);                                                                                   \
                        put_string(w, value);                                                                          \
                }                                                                                                      \
        } while (0)

#define NUMBER(w, key, is_known, put_number, value)                                                                    \
        do {                                                                                                           \
                if (is_known) {                                                                                        \
                        KEY(w, key);                                                                                   \
                        put_number(w, value);                                                                          \
                }                                                                                                      \
        } while (0)

/* A 64-bit number. Above 2^63 - 1 the readers of JSON give up: it is left out. */
#define COUNT(w, key, is_known, value) NUMBER(w, key, (is_known) && (value) <= INT64_MAX, put_u64, value)
/* JSON has no NaN and no infinity: they are left out. */
#define REAL(w, key, value) NUMBER(w, key, isfinite(value), put_double, value)

static void put_args(struct writer *w, const struct cosmos_event *e)
{
        if (e->n_args == 0)
                return;
        KEY(w, "args");
        for (uint32_t i = 0; i < MIN(e->n_args, (uint32_t)COSMOS_EVENT_ARGS); i++) {
                put(w, i ? ",\"" : "[\"", 2);
                put_hex(w, e->args[i]);
                PUT(w, "\"");
        }
        PUT(w, "]");
}

static void begin(struct writer *w, int64_t timestamp, uint32_t digits)
{
        PUT(w, "{\"timestamp\":");
        put_timestamp(w, timestamp, digits);
}

static int end(struct writer *w, size_t before)
{
        PUT(w, "}\n");
        if (w->error)
                w->buffer->size = before;
        return w->error;
}

/* ---- events ---------------------------------------------------------------------------- */

static void put_type(struct writer *w, const struct cosmos_event *e)
{
        switch (e->type) {
        case COSMOS_EVENT_CALL: /* the usual type is not said */
                break;
        case COSMOS_EVENT_THREAD_EXIT:
                PUT(w, ",\"type\":\"thread_exit\"");
                break;
        case COSMOS_EVENT_LOSS:
                PUT(w, ",\"type\":\"loss\"");
                STRING(w, "kind", cosmos_loss_kind_name(e->loss_kind));
                COUNT(w, "count", e->loss_count, e->loss_count);
                break;
        case COSMOS_EVENT_CONTAINER_START:
                PUT(w, ",\"type\":\"container_start\"");
                break;
        case COSMOS_EVENT_CONTAINER_STOP:
                PUT(w, ",\"type\":\"container_stop\"");
                break;
        case COSMOS_EVENT_TRACE:
                PUT(w, ",\"type\":\"trace\",\"format\":");
                put_u64(w, TRACE_FORMAT);
                STRING(w, "source", e->source);
                PUT(w, ",\"version\":\"" COSMOS_VERSION_STRING "\"");
                break;
        }
}

static void put_process(struct writer *w, const struct cosmos_event *e)
{
        NUMBER(w, "pid", e->known & COSMOS_KNOWN_PID, put_i64, e->pid);
        NUMBER(w, "tid", e->known & COSMOS_KNOWN_TID, put_i64, e->tid);
        NUMBER(w, "ppid", e->known & COSMOS_KNOWN_PPID, put_i64, e->ppid);
        COUNT(w, "proc_start", e->known & COSMOS_KNOWN_PROC_START, e->proc_start);
        COUNT(w, "thread_start", e->known & COSMOS_KNOWN_THREAD_START, e->thread_start);
        STRING(w, "comm", e->comm);
        STRING(w, "exe", e->exe);
}

static void put_call(struct writer *w, const struct cosmos_event *e)
{
        STRING(w, "arch", cosmos_arch_name(e->arch));
        STRING(w, "syscall", e->syscall);
        NUMBER(w, "nr", e->known & COSMOS_KNOWN_NR, put_u64, e->nr);
        put_args(w, e);
        NUMBER(w, "ret", e->known & COSMOS_KNOWN_RET, put_i64, e->ret);
        STRING(w, "path", e->path);
        STRING(w, "argv", e->argv);
        STRING(w, "addr", e->addr);
        NUMBER(w, "uid", e->known & COSMOS_KNOWN_UID, put_u64, e->uid);
        NUMBER(w, "auid", e->known & COSMOS_KNOWN_AUID, put_u64, e->auid);
}

int cosmos__jsonl_event(struct cosmos__buffer *buffer, const struct cosmos_event *e)
{
        struct writer w = {.buffer = buffer};
        size_t before = buffer->size;

        begin(&w, e->timestamp, e->timestamp_digits);
        put_type(&w, e);
        COUNT(&w, "seq", e->known & COSMOS_KNOWN_SEQ, e->seq);
        STRING(&w, "container_id", e->container_id);
        STRING(&w, "container_name", e->container_name);
        STRING(&w, "image", e->image);
        put_process(&w, e);
        if (e->type == COSMOS_EVENT_CALL)
                put_call(&w, e);
        STRING(&w, "host", e->host);
        return end(&w, before);
}

/* ---- scores ------------------------------------------------------------------------------ */

static void put_surprise(struct writer *w, const struct cosmos_surprise *s, uint32_t digits)
{
        begin(w, s->timestamp, digits);
        COUNT(w, "seq", s->seq, s->seq);
        STRING(w, "syscall", s->syscall);
        NUMBER(w, "ret", s->has_ret, put_i64, s->ret);
        STRING(w, "detail", s->detail);
        REAL(w, "nll", s->nll);
        KEY(w, "expected");
        PUT(w, "[");
        for (size_t i = 0; i < COSMOS_WHY_EXPECTED && s->expected[i]; i++) {
                if (i)
                        PUT(w, ",");
                PUT(w, "{\"syscall\":");
                put_string(w, s->expected[i]);
                REAL(w, "p", s->expected_p[i]);
                PUT(w, "}");
        }
        PUT(w, "]}");
}

static void put_why(struct writer *w, const struct cosmos_score *s)
{
        if (s->n_why == 0)
                return;
        KEY(w, "why");
        PUT(w, "[");
        for (size_t i = 0; i < s->n_why; i++) {
                if (i)
                        PUT(w, ",");
                put_surprise(w, &s->why[i], s->timestamp_digits);
        }
        PUT(w, "]");
}

int cosmos__jsonl_score(struct cosmos__buffer *buffer, const struct cosmos_score *s)
{
        struct writer w = {.buffer = buffer};
        size_t before = buffer->size;

        begin(&w, s->timestamp, s->timestamp_digits);
        PUT(&w, ",\"type\":\"score\"");
        STRING(&w, "container_id", s->container_id);
        STRING(&w, "container_name", s->container_name);
        STRING(&w, "image", s->image);
        KEY(&w, "pid");
        put_i64(&w, s->pid);
        NUMBER(&w, "tid", s->known & COSMOS_KNOWN_TID, put_i64, s->tid);
        COUNT(&w, "proc_start", s->known & COSMOS_KNOWN_PROC_START, s->proc_start);
        COUNT(&w, "thread_start", s->known & COSMOS_KNOWN_THREAD_START, s->thread_start);
        STRING(&w, "comm", s->comm);
        STRING(&w, "exe", s->exe);
        REAL(&w, "score", s->score);
        REAL(&w, "threshold", s->threshold);
        STRING(&w, "verdict", cosmos_verdict_name(s->verdict));
        NUMBER(&w, "window", 1, put_u64, s->window);
        COUNT(&w, "calls", 1, s->calls);
        COUNT(&w, "first_seq", s->first_seq, s->first_seq);
        COUNT(&w, "last_seq", s->last_seq, s->last_seq);
        STRING(&w, "end", s->end);
        STRING(&w, "model", s->model);
        put_why(&w, s);
        return end(&w, before);
}
