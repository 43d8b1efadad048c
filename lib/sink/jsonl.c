/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: room; numbers; strings; timestamps; fields; events; scores.
 *
 * Strings are bytes that an audited process chose. What is valid UTF-8 (RFC
 * 3629) is written as it is, JSON's own characters escaped (RFC 8259); a byte
 * that is part of no valid character is written as %XX.
 *
 * A collector writes hundreds of thousands of lines a second. So room is made
 * for a string and all that follows it at once, not for each piece; `p`, which
 * every function takes and returns, is where the next piece goes; and digits and
 * strings are written by eight bytes even where fewer are meant: what is too
 * much is overwritten by the next piece.
 */
#include "sink/jsonl.h"

#include "base/base.h"

#include <cosmos/version.h>

#include <endian.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#define TRACE_FORMAT 1

/* ---- room ---------------------------------------------------------------------------- */

/* More than all that is no string in a line, or in one call of its `why`: keys,
 * numbers, punctuation, and the bytes that are written too much at the end. */
#define LINE_ROOM 1024
/* The longest that a byte of a string becomes: \u00XX. */
#define ESCAPE_ROOM 6

struct writer {
        struct cosmos__buffer *buffer;
        int error;
};

/*
 * Room for a string of `n` bytes, whatever they are, and LINE_ROOM behind it. A
 * line begins with LINE_ROOM, and so does each call of its `why`. So what is no
 * string needs no check; without memory neither, for a string that gets no room
 * is left out and uses up none of the room that there is for what follows. Such
 * a line is dropped at its end.
 */
static inline char *make_room(struct writer *w, char *p, size_t n)
{
        struct cosmos__buffer *b = w->buffer;
        int r;

        b->size = (size_t)(p - b->data);
        r = cosmos__buffer_reserve(b, n < SIZE_MAX / 8 ? ESCAPE_ROOM * n + LINE_ROOM : SIZE_MAX);
        if (r < 0)
                w->error = r;
        return r < 0 ? NULL : b->data + b->size;
}

static inline char *put(char *p, const char *data, size_t n)
{
        memcpy(p, data, n);
        return p + n;
}

#define PUT(p, text) put(p, text, sizeof(text) - 1)

/* ---- numbers --------------------------------------------------------------------------- */

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Eight digits as numbers, the first one in the lowest byte: halves of four digits are
 * divided by 100, and these by 10, side by side. */
static inline uint64_t eight_digits(uint32_t v)
{
        uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32, tens;

        tens = x * 10486 >> 20 & 0x0000007f0000007f;
        x = tens | (x - tens * 100) << 16;
        tens = x * 103 >> 10 & 0x000f000f000f000f;
        return tens | (x - tens * 10) << 8;
}

static inline char *put_eight(char *p, uint64_t bytes, unsigned skip)
{
        bytes = htole64(bytes >> 8 * skip);
        memcpy(p, &bytes, sizeof(bytes));
        return p + 8 - skip;
}

static char *put_u64(char *p, uint64_t v)
{
        uint64_t digits;

        if (v >= 100000000) {
                p = put_u64(p, v / 100000000);
                return put_eight(p, eight_digits((uint32_t)(v % 100000000)) + EACH_BYTE('0'), 0);
        }
        digits = eight_digits((uint32_t)v);
        /* the last digit is written even if it is zero */
        return put_eight(p, digits + EACH_BYTE('0'), (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8);
}

static inline char *put_i64(char *p, int64_t v)
{
        *p = '-';
        return put_u64(p + (v < 0), v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Eight hexadecimal digits, the first one in the highest byte. */
static inline uint64_t eight_hex(uint32_t v)
{
        uint64_t x = v, letters;

        x = (x | x << 16) & 0x0000ffff0000ffff;
        x = (x | x << 8) & 0x00ff00ff00ff00ff;
        x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
        letters = (x + EACH_BYTE(6)) >> 4 & EACH_BYTE(1);
        return x + EACH_BYTE('0') + letters * ('a' - '9' - 1);
}

static inline char *put_hex(char *p, uint64_t v)
{
        unsigned digits = (unsigned)(64 - __builtin_clzll(v | 1) + 3) / 4;
        uint64_t high, low;

        v <<= 64 - 4 * digits;
        high = htobe64(eight_hex((uint32_t)(v >> 32)));
        low = htobe64(eight_hex((uint32_t)v));
        memcpy(p, &high, sizeof(high));
        memcpy(p + 8, &low, sizeof(low));
        return p + digits;
}

/* 17 significant digits: every double comes back as it was. Always with a point
 * or an exponent, so that the field stays a real number to any reader. */
static char *put_double(struct writer *w, char *p, double v)
{
        locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
        char text[40];

        if (!c) {
                w->error = -ENOMEM;
                return p;
        }
        before = uselocale(c); /* of this thread only, and only for this call */
        snprintf(text, sizeof(text), "%.17g", v);
        uselocale(before);
        freelocale(c);
        if (!strpbrk(text, ".e"))
                strcat(text, ".0");
        return put(p, text, strlen(text));
}

/* ---- strings --------------------------------------------------------------------------- */

/* Length of the UTF-8 character of more than one byte at `s`, 0 if it is none. */
static size_t multibyte_length(const unsigned char *s)
{
#define FOLLOWS(i) ((s[i] & 0xc0) == 0x80)
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

static char *put_escaped(char *p, unsigned char c)
{
        switch (c) {
        case '"':
                return PUT(p, "\\\"");
        case '\\':
                return PUT(p, "\\\\");
        case '\n':
                return PUT(p, "\\n");
        case '\t':
                return PUT(p, "\\t");
        }
        p = c < 0x20 ? PUT(p, "\\u00") : PUT(p, "%");
        p[0] = "0123456789ABCDEF"[c >> 4];
        p[1] = (c < 0x20 ? "0123456789abcdef" : "0123456789ABCDEF")[c & 15];
        return p + 2;
}

static bool is_plain(unsigned char c)
{
        return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* How many of eight bytes are plain, from the first one on. A byte's top bit is set where
 * it is not; the borrows of a subtraction only reach bytes behind such a one. */
static inline unsigned plain_bytes(uint64_t bytes)
{
        uint64_t x = le64toh(bytes), quote = x ^ EACH_BYTE('"'), backslash = x ^ EACH_BYTE('\\'), other;

        other = x | (x - EACH_BYTE(0x20)) | (quote - EACH_BYTE(1)) | (backslash - EACH_BYTE(1));
        other &= EACH_BYTE(0x80);
        return other ? (unsigned)__builtin_ctzll(other) / 8 : 8;
}

/* Up to seven bytes, the first one in the lowest byte; zero behind them. */
static inline uint64_t few_bytes(const unsigned char *s, size_t n)
{
        uint32_t first, last;

        if (n < 4)
                return n == 0 ? 0 : s[0] | (uint64_t)s[n / 2] << 8 * (n / 2) | (uint64_t)s[n - 1] << 8 * (n - 1);
        memcpy(&first, s, 4);
        memcpy(&last, s + n - 4, 4);
        return le32toh(first) | (uint64_t)le32toh(last) << 8 * (n - 4);
}

/* Copy plain bytes up to the first one that is not; how many. Eight more may be written. */
static inline size_t copy_plain(char *p, const unsigned char *s, size_t n)
{
        uint64_t bytes;

        if (n < 8) {
                bytes = htole64(few_bytes(s, n));
                memcpy(p, &bytes, 8);
                return plain_bytes(bytes); /* no zero is plain */
        }
        for (size_t i = 0; i < n; i += 8) {
                size_t at = MIN(i, n - 8); /* the last eight again rather than a few */
                unsigned plain;

                memcpy(&bytes, s + at, 8);
                memcpy(p + at, &bytes, 8);
                plain = plain_bytes(bytes);
                if (plain < 8)
                        return at + plain;
        }
        return n;
}

static char *put_string(struct writer *w, char *p, const char *text)
{
        const unsigned char *s = (const unsigned char *)text, *end = s + strlen(text), *run;
        char *there = make_room(w, p, (size_t)(end - s));

        if (!there)
                return p;
        p = PUT(there, "\"");
        for (;;) {
                size_t n = copy_plain(p, s, (size_t)(end - s));

                s += n;
                p += n;
                if (s == end)
                        break;
                for (run = s; (n = multibyte_length(s)) > 0;) /* characters beyond ASCII, as they are */
                        s += n;
                p = put(p, (const char *)run, (size_t)(s - run));
                while (s < end && !is_plain(*s) && multibyte_length(s) == 0)
                        p = put_escaped(p, *s++);
        }
        return PUT(p, "\"");
}

/* ---- timestamps ------------------------------------------------------------------------ */

/* v < 100 */
static inline void put_two(char *p, uint32_t v)
{
        p[0] = (char)('0' + v / 10);
        p[1] = (char)('0' + v % 10);
}

/* RFC 3339 in UTC. The date is that of the proleptic Gregorian calendar; years
 * are counted from March, so that the leap day is the last of its year. */
static char *put_timestamp(char *p, int64_t timestamp, uint32_t digits)
{
        uint64_t ns = timestamp < 0 ? 0 : (uint64_t)timestamp; /* before 1970: of no source that we know */
        uint64_t seconds = ns / 1000000000;
        uint32_t fraction = (uint32_t)(ns % 1000000000), rest = (uint32_t)(seconds % 86400);
        uint32_t day = (uint32_t)(seconds / 86400) + 719468, era = day / 146097, doe = day % 146097, yoe, doy, m, year;

        yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        m = (5 * doy + 2) / 153; /* March is 0 */
        year = yoe + era * 400 + (m >= 10);
        PUT(p, "\"0000-00-00T00:00:00.");
        put_two(p + 1, year / 100);
        put_two(p + 3, year % 100);
        put_two(p + 6, m < 10 ? m + 3 : m - 9);
        put_two(p + 9, doy - (153 * m + 2) / 5 + 1);
        put_two(p + 12, rest / 3600);
        put_two(p + 15, rest / 60 % 60);
        put_two(p + 18, rest % 60);
        put_eight(p + 21, eight_digits(fraction / 10) + EACH_BYTE('0'), 0);
        p[29] = (char)('0' + fraction % 10);
        p += digits == 0 ? 20 : 21 + MIN(digits, 9u);
        return PUT(p, "Z\"");
}

/* ---- fields -------------------------------------------------------------------------- */

/* Every line begins with its timestamp, so each further field begins with a comma. */
#define KEY(p, key) PUT(p, ",\"" key "\":")

#define STRING(w, p, key, value)                                                                                       \
        do {                                                                                                           \
                if (value)                                                                                             \
                        (p) = put_string(w, KEY(p, key), value);                                                       \
        } while (0)

#define NUMBER(p, key, is_known, put_number, value)                                                                    \
        do {                                                                                                           \
                if (is_known)                                                                                          \
                        (p) = put_number(KEY(p, key), value);                                                          \
        } while (0)

/* A 64-bit number. Above 2^63 - 1 the readers of JSON give up: it is left out. */
#define COUNT(p, key, is_known, value) NUMBER(p, key, (is_known) && (value) <= INT64_MAX, put_u64, value)

/* JSON has no NaN and no infinity: they are left out. */
#define REAL(w, p, key, value)                                                                                         \
        do {                                                                                                           \
                if (isfinite(value))                                                                                   \
                        (p) = put_double(w, KEY(p, key), value);                                                       \
        } while (0)

static char *put_args(char *p, const struct cosmos_event *e)
{
        if (e->n_args == 0)
                return p;
        p = KEY(p, "args");
        for (uint32_t i = 0; i < MIN(e->n_args, (uint32_t)COSMOS_EVENT_ARGS); i++) {
                p = put(p, i ? ",\"" : "[\"", 2);
                p = put_hex(p, e->args[i]);
                p = PUT(p, "\"");
        }
        return PUT(p, "]");
}

static char *put_start(char *p, int64_t timestamp, uint32_t digits)
{
        return put_timestamp(PUT(p, "{\"timestamp\":"), timestamp, digits);
}

/* The whole line, or nothing of it. */
static int end(struct writer *w, char *p, size_t before)
{
        p = PUT(p, "}\n");
        w->buffer->size = w->error ? before : (size_t)(p - w->buffer->data);
        return w->error;
}

/* ---- events ---------------------------------------------------------------------------- */

static char *put_type(struct writer *w, char *p, const struct cosmos_event *e)
{
        switch (e->type) {
        case COSMOS_EVENT_CALL: /* the usual type is not said */
                break;
        case COSMOS_EVENT_THREAD_EXIT:
                return PUT(p, ",\"type\":\"thread_exit\"");
        case COSMOS_EVENT_LOSS:
                p = PUT(p, ",\"type\":\"loss\"");
                STRING(w, p, "kind", cosmos_loss_kind_name(e->loss_kind));
                COUNT(p, "count", e->loss_count, e->loss_count);
                break;
        case COSMOS_EVENT_CONTAINER_START:
                return PUT(p, ",\"type\":\"container_start\"");
        case COSMOS_EVENT_CONTAINER_STOP:
                return PUT(p, ",\"type\":\"container_stop\"");
        case COSMOS_EVENT_TRACE:
                p = put_u64(PUT(p, ",\"type\":\"trace\",\"format\":"), TRACE_FORMAT);
                STRING(w, p, "source", e->source);
                STRING(w, p, "calls", e->calls);
                return PUT(p, ",\"version\":\"" COSMOS_VERSION_STRING "\"");
        }
        return p;
}

static char *put_process(struct writer *w, char *p, const struct cosmos_event *e)
{
        NUMBER(p, "pid", e->known & COSMOS_KNOWN_PID, put_i64, e->pid);
        NUMBER(p, "tid", e->known & COSMOS_KNOWN_TID, put_i64, e->tid);
        NUMBER(p, "ppid", e->known & COSMOS_KNOWN_PPID, put_i64, e->ppid);
        COUNT(p, "proc_start", e->known & COSMOS_KNOWN_PROC_START, e->proc_start);
        COUNT(p, "thread_start", e->known & COSMOS_KNOWN_THREAD_START, e->thread_start);
        STRING(w, p, "comm", e->comm);
        STRING(w, p, "exe", e->exe);
        return p;
}

static char *put_call(struct writer *w, char *p, const struct cosmos_event *e)
{
        STRING(w, p, "arch", cosmos_arch_name(e->arch));
        STRING(w, p, "syscall", e->syscall);
        NUMBER(p, "nr", e->known & COSMOS_KNOWN_NR, put_u64, e->nr);
        p = put_args(p, e);
        NUMBER(p, "ret", e->known & COSMOS_KNOWN_RET, put_i64, e->ret);
        STRING(w, p, "path", e->path);
        STRING(w, p, "argv", e->argv);
        STRING(w, p, "addr", e->addr);
        if (e->known & COSMOS_KNOWN_FD_KIND)
                STRING(w, p, "fd_kind", cosmos_fd_kind_name(e->fd_kind));
        NUMBER(p, "size_class", e->known & COSMOS_KNOWN_SIZE_CLASS, put_u64, e->size_class);
        if (e->known & COSMOS_KNOWN_PATH_CLASS)
                STRING(w, p, "path_class", cosmos_path_class_name(e->path_class));
        NUMBER(p, "uid", e->known & COSMOS_KNOWN_UID, put_u64, e->uid);
        NUMBER(p, "auid", e->known & COSMOS_KNOWN_AUID, put_u64, e->auid);
        return p;
}

int cosmos__jsonl_event(struct cosmos__buffer *buffer, const struct cosmos_event *e)
{
        struct writer w = {.buffer = buffer};
        size_t before = buffer->size;
        char *p;

        if (cosmos__buffer_reserve(buffer, LINE_ROOM) < 0)
                return -ENOMEM;
        p = put_start(buffer->data + before, e->timestamp, e->timestamp_digits);
        p = put_type(&w, p, e);
        COUNT(p, "seq", e->known & COSMOS_KNOWN_SEQ, e->seq);
        STRING(&w, p, "container_id", e->container_id);
        STRING(&w, p, "container_name", e->container_name);
        STRING(&w, p, "image", e->image);
        p = put_process(&w, p, e);
        if (e->type == COSMOS_EVENT_CALL)
                p = put_call(&w, p, e);
        STRING(&w, p, "host", e->host);
        return end(&w, p, before);
}

/* ---- scores ------------------------------------------------------------------------------ */

static char *put_surprise(struct writer *w, char *p, const struct cosmos_surprise *s, uint32_t digits)
{
        p = put_start(p, s->timestamp, digits);
        COUNT(p, "seq", s->seq, s->seq);
        STRING(w, p, "syscall", s->syscall);
        NUMBER(p, "ret", s->has_ret, put_i64, s->ret);
        STRING(w, p, "detail", s->detail);
        REAL(w, p, "nll", s->nll);
        p = PUT(p, ",\"expected\":[");
        for (size_t i = 0; i < COSMOS_WHY_EXPECTED && s->expected[i]; i++) {
                if (i)
                        p = PUT(p, ",");
                p = put_string(w, PUT(p, "{\"syscall\":"), s->expected[i]);
                REAL(w, p, "p", s->expected_p[i]);
                p = PUT(p, "}");
        }
        return PUT(p, "]}");
}

static char *put_why(struct writer *w, char *p, const struct cosmos_score *s)
{
        if (s->n_why == 0)
                return p;
        p = PUT(p, ",\"why\":[");
        for (size_t i = 0; i < s->n_why; i++) {
                char *there = make_room(w, p, 0);

                if (!there)
                        break;
                p = i ? PUT(there, ",") : there;
                p = put_surprise(w, p, &s->why[i], s->timestamp_digits);
        }
        return PUT(p, "]");
}

int cosmos__jsonl_score(struct cosmos__buffer *buffer, const struct cosmos_score *s)
{
        struct writer w = {.buffer = buffer};
        size_t before = buffer->size;
        char *p;

        if (cosmos__buffer_reserve(buffer, LINE_ROOM) < 0)
                return -ENOMEM;
        p = put_start(buffer->data + before, s->timestamp, s->timestamp_digits);
        p = PUT(p, ",\"type\":\"score\"");
        STRING(&w, p, "container_id", s->container_id);
        STRING(&w, p, "container_name", s->container_name);
        STRING(&w, p, "image", s->image);
        p = put_i64(KEY(p, "pid"), s->pid);
        NUMBER(p, "tid", s->known & COSMOS_KNOWN_TID, put_i64, s->tid);
        COUNT(p, "proc_start", s->known & COSMOS_KNOWN_PROC_START, s->proc_start);
        COUNT(p, "thread_start", s->known & COSMOS_KNOWN_THREAD_START, s->thread_start);
        STRING(&w, p, "comm", s->comm);
        STRING(&w, p, "exe", s->exe);
        REAL(&w, p, "score", s->score);
        REAL(&w, p, "threshold", s->threshold);
        STRING(&w, p, "verdict", cosmos_verdict_name(s->verdict));
        NUMBER(p, "window", 1, put_u64, s->window);
        COUNT(p, "calls", 1, s->calls);
        COUNT(p, "first_seq", s->first_seq, s->first_seq);
        COUNT(p, "last_seq", s->last_seq, s->last_seq);
        STRING(&w, p, "end", s->end);
        STRING(&w, p, "trace", s->trace);
        STRING(&w, p, "model", s->model);
        p = put_why(&w, p, s);
        return end(&w, p, before);
}
