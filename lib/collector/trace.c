/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: the timestamp; the members of a line, each to the value of its field; getters that check a
 * field's type and range and name it when it is wrong; the types of line.
 */
#include "collector/trace.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>

#define NS INT64_C(1000000000) /* a second */

/* ---- timestamp ------------------------------------------------------------------ */

static bool digits(const char **p, const char *end, int n, int64_t *ret)
{
        int64_t v = 0;

        if (end - *p < n)
                return false;
        for (int i = 0; i < n; i++) {
                char c = *(*p)++;

                if (c < '0' || c > '9')
                        return false;
                v = v * 10 + (c - '0');
        }
        *ret = v;
        return true;
}

static bool literal(const char **p, const char *end, char c)
{
        if (*p == end || **p != c)
                return false;
        (*p)++;
        return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted
 * from March, so that the leap day is the last of its year. */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
        int64_t y = month > 2 ? year : year - 1;
        int64_t m = (month + 9) % 12; /* March is 0 */

        return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static int64_t days_of_month(int64_t year, int64_t month)
{
        static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return days[month - 1] + (month == 2 && leap);
}

/* "2026-11-23T04:20:11" in seconds since 1970. */
static bool read_second(const char *text, int64_t *ret)
{
        int64_t year, month, day, hour, minute, second;
        const char *p = text, *end = text + COSMOS__SECOND_LENGTH;

        if (!digits(&p, end, 4, &year) || !literal(&p, end, '-') || !digits(&p, end, 2, &month) ||
            !literal(&p, end, '-') || !digits(&p, end, 2, &day) || !literal(&p, end, 'T') ||
            !digits(&p, end, 2, &hour) || !literal(&p, end, ':') || !digits(&p, end, 2, &minute) ||
            !literal(&p, end, ':') || !digits(&p, end, 2, &second))
                return false;
        if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) || hour > 23 || minute > 59 ||
            second > 60) /* a leap second */
                return false;
        *ret = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        return *ret >= 0 && *ret <= INT64_MAX / NS;
}

/* What follows the second up to `end`, 1 to 9 decimals after a point or none, and the time in ns. */
static bool read_fraction(const char *p, const char *end, int64_t second, int64_t *ret_ns, uint32_t *ret_digits)
{
        static const int64_t unit[] = {NS, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
        uint32_t n = 0;
        int64_t v = 0;

        if (*p == '.') {
                for (p++; p < end && *p >= '0' && *p <= '9' && n < ARRAY_SIZE(unit); p++, n++)
                        v = v * 10 + (*p - '0');
                if (n == 0 || n == ARRAY_SIZE(unit))
                        return false;
        }
        v *= unit[n];
        if (end - p != 1 || *p != 'Z' || v > INT64_MAX - second * NS) /* 2262-04-11: what fits into 64 bits */
                return false;
        *ret_ns = second * NS + v;
        *ret_digits = n;
        return true;
}

/* ---- members ---------------------------------------------------------------------- */

enum field {
        TIMESTAMP,
        TYPE,
        SEQ,
        CONTAINER_ID,
        CONTAINER_NAME,
        IMAGE,
        HOST,
        PID,
        TID,
        PPID,
        PROC_START,
        THREAD_START,
        COMM,
        EXE,
        ARCH,
        SYSCALL,
        NR,
        ARGS,
        RET,
        PATH,
        ARGV,
        ADDR,
        UID,
        AUID,
        FD_KIND,
        SIZE_CLASS,
        PATH_CLASS,
        KIND,
        COUNT,
        FORMAT,
        SOURCE,
        CALLS,
        N_FIELDS,
        UNKNOWN = N_FIELDS, /* also: before the first one */
};

static const struct cosmos__json_key keys[N_FIELDS] = {
    [TIMESTAMP] = COSMOS__JSON_KEY("timestamp"),
    [TYPE] = COSMOS__JSON_KEY("type"),
    [SEQ] = COSMOS__JSON_KEY("seq"),
    [CONTAINER_ID] = COSMOS__JSON_KEY("container_id"),
    [CONTAINER_NAME] = COSMOS__JSON_KEY("container_name"),
    [IMAGE] = COSMOS__JSON_KEY("image"),
    [HOST] = COSMOS__JSON_KEY("host"),
    [PID] = COSMOS__JSON_KEY("pid"),
    [TID] = COSMOS__JSON_KEY("tid"),
    [PPID] = COSMOS__JSON_KEY("ppid"),
    [PROC_START] = COSMOS__JSON_KEY("proc_start"),
    [THREAD_START] = COSMOS__JSON_KEY("thread_start"),
    [COMM] = COSMOS__JSON_KEY("comm"),
    [EXE] = COSMOS__JSON_KEY("exe"),
    [ARCH] = COSMOS__JSON_KEY("arch"),
    [SYSCALL] = COSMOS__JSON_KEY("syscall"),
    [NR] = COSMOS__JSON_KEY("nr"),
    [ARGS] = COSMOS__JSON_KEY("args"),
    [RET] = COSMOS__JSON_KEY("ret"),
    [PATH] = COSMOS__JSON_KEY("path"),
    [ARGV] = COSMOS__JSON_KEY("argv"),
    [ADDR] = COSMOS__JSON_KEY("addr"),
    [UID] = COSMOS__JSON_KEY("uid"),
    [AUID] = COSMOS__JSON_KEY("auid"),
    [FD_KIND] = COSMOS__JSON_KEY("fd_kind"),
    [SIZE_CLASS] = COSMOS__JSON_KEY("size_class"),
    [PATH_CLASS] = COSMOS__JSON_KEY("path_class"),
    [KIND] = COSMOS__JSON_KEY("kind"),
    [COUNT] = COSMOS__JSON_KEY("count"),
    [FORMAT] = COSMOS__JSON_KEY("format"),
    [SOURCE] = COSMOS__JSON_KEY("source"),
    [CALLS] = COSMOS__JSON_KEY("calls"),
};

_Static_assert(N_FIELDS == COSMOS__TRACE_FIELDS, "room for each field's next one");

struct reader {
        struct cosmos__trace_line *line;
        struct cosmos__json *json;
        struct cosmos_event *event;
        struct cosmos_diag *reterr;
        int error; /* the first one; getters do nothing once it is set */

        uint64_t seen; /* bits of fields: which of the values are set */
        struct cosmos__json_value values[N_FIELDS];
        /* The value of ARGS: n_args is COSMOS_EVENT_ARGS + 1 where it is no such array. */
        uint64_t args[COSMOS_EVENT_ARGS];
        uint32_t n_args;
        bool hexadecimal;
};

static enum field field_of(const char *key)
{
        size_t n = strlen(key) + 3; /* with its quotes and colon */

        for (size_t i = 0; i < N_FIELDS; i++)
                if (keys[i].n == n && memcmp(keys[i].text + 1, key, n - 3) == 0)
                        return (enum field)i;
        return UNKNOWN;
}

/* The next key, up to its value; `last`: the field before it. False: an error. */
static bool read_key(struct reader *r, enum field last, enum field *ret)
{
        uint8_t *next = r->line->next[last];
        const uint8_t *at = r->json->at;
        const char *key;

        *ret = (enum field)next[0];
        if (cosmos__json_expect(r->json, &keys[*ret]))
                goto found;
        *ret = (enum field)next[1];
        if (cosmos__json_expect(r->json, &keys[*ret]))
                goto found;
        if (!cosmos__json_key(r->json, &key))
                return false;
        *ret = field_of(key);
        if (*ret == UNKNOWN)
                return cosmos__json_remember(r->json, key);
        next[1] = next[0];
        next[0] = (uint8_t)*ret;
found:
        if (r->seen & UINT64_C(1) << *ret)
                return cosmos__json_fail(r->json, at, "a key that came before");
        r->seen |= UINT64_C(1) << *ret;
        return true;
}

/* One argument, a string of hexadecimal digits, at *p; false if it is anything else. */
static inline bool read_arg(uint8_t **p, uint64_t *ret)
{
        uint64_t word = cosmos__word(*p + 1), mask = cosmos__not_hex(word);
        unsigned n = mask ? cosmos__before(mask) : 8;

        if (**p != '"' || n == 0)
                return false;
        *ret = cosmos__hex(word, n);
        *p += 1 + n;
        if (n == 8 && **p != '"') {
                word = cosmos__word(*p);
                mask = cosmos__not_hex(word);
                n = mask ? cosmos__before(mask) : 8;
                if (n == 0)
                        return false;
                *ret = *ret << 4 * n | cosmos__hex(word, n);
                *p += n;
        }
        return *(*p)++ == '"';
}

/* Arguments as we write them, without a space or an escape; `args` is overwritten even if they are not. */
static bool read_args_fast(struct reader *r)
{
        uint8_t *p = r->json->at + 1;

        if (*r->json->at != '[')
                return false;
        for (uint32_t i = 0; i < COSMOS_EVENT_ARGS && r->json->end - p >= 24; i++) {
                if (!read_arg(&p, &r->args[i]))
                        return false;
                if (*p == ']') {
                        r->n_args = i + 1;
                        r->json->at = p + 1;
                        return true;
                }
                if (*p++ != ',')
                        return false;
        }
        return false;
}

static bool is_arg(const struct cosmos__json_value *value)
{
        return value->type == COSMOS__JSON_STRING && value->n >= 1 && value->n <= 16 &&
               strspn(value->text, "0123456789abcdefABCDEF") == value->n;
}

static bool read_args(struct reader *r)
{
        struct cosmos__json_value value;
        int next;

        r->hexadecimal = true;
        if (r->json->at < r->json->end && read_args_fast(r))
                return true;
        r->n_args = COSMOS_EVENT_ARGS + 1;
        cosmos__json_skip_space(r->json); /* a key that was expected leaves it */
        if (r->json->at == r->json->end || *r->json->at != '[')
                return cosmos__json_value(r->json, &value);
        r->n_args = 0;
        for (bool first = true; (next = cosmos__json_element(r->json, first)) > 0; first = false) {
                if (!cosmos__json_value(r->json, &value))
                        return false;
                if (!is_arg(&value))
                        r->hexadecimal = false;
                else if (r->n_args < COSMOS_EVENT_ARGS)
                        r->args[r->n_args] = strtoull(value.text, NULL, 16);
                r->n_args += r->n_args <= COSMOS_EVENT_ARGS;
        }
        return next == 0;
}

/* All members of a line. False: it is not JSON. */
static bool read_members(struct reader *r, uint8_t *data, size_t n)
{
        struct cosmos__json_value ignored;
        enum field field = UNKNOWN;
        int next = cosmos__json_begin(r->json, data, n);

        while (next > 0) {
                bool ok = read_key(r, field, &field);

                if (ok && field == ARGS)
                        ok = read_args(r);
                else if (ok)
                        ok = cosmos__json_value(r->json, field == UNKNOWN ? &ignored : &r->values[field]);
                next = ok ? cosmos__json_next(r->json) : -1;
        }
        return next == 0;
}

/* ---- fields ----------------------------------------------------------------------- */

static int fail(struct reader *r, enum field field, const char *what)
{
        if (r->error == 0)
                r->error = cosmos__fail(r->reterr, -COSMOS_EFORMAT, "%.*s %s", (int)keys[field].n - 1,
                                        (const char *)keys[field].text, what);
        return r->error;
}

/* Is there a value to be read? */
static bool has(struct reader *r, enum field field, bool needed)
{
        bool seen = r->seen >> field & 1;

        if (!seen && needed)
                fail(r, field, "is missing");
        return seen && r->error == 0;
}

static void get_string(struct reader *r, enum field field, bool needed, const char **ret)
{
        if (!has(r, field, needed))
                return;
        if (r->values[field].type != COSMOS__JSON_STRING)
                fail(r, field, "must be a string");
        else
                *ret = r->values[field].text;
}

static bool get_integer(struct reader *r, enum field field, bool needed, int64_t min, int64_t max, int64_t *ret)
{
        const struct cosmos__json_value *value = &r->values[field];
        char what[96];

        if (!has(r, field, needed))
                return false;
        if (value->type != COSMOS__JSON_INTEGER || value->integer < min || value->integer > max) {
                snprintf(what, sizeof(what), "must be an integer from %lld to %lld", (long long)min, (long long)max);
                fail(r, field, what);
                return false;
        }
        *ret = value->integer;
        return true;
}

static void get_i32(struct reader *r, enum field field, bool needed, uint32_t bit, int32_t *ret)
{
        int64_t v;

        if (get_integer(r, field, needed, 0, INT32_MAX, &v)) {
                *ret = (int32_t)v;
                r->event->known |= bit;
        }
}

static void get_u32(struct reader *r, enum field field, uint32_t bit, uint32_t *ret)
{
        int64_t v;

        if (get_integer(r, field, false, 0, UINT32_MAX, &v)) {
                *ret = (uint32_t)v;
                r->event->known |= bit;
        }
}

static void get_u64(struct reader *r, enum field field, uint32_t bit, uint64_t *ret)
{
        int64_t v;

        if (get_integer(r, field, false, 0, INT64_MAX, &v)) {
                *ret = (uint64_t)v;
                r->event->known |= bit;
        }
}

/* RFC 3339 in UTC, "2026-11-23T04:20:11.123456789Z", 0 to 9 decimals, from 1970 to 2262 (what fits into 64 bits). */
static bool read_timestamp(struct cosmos__trace_line *line, const char *text, size_t n)
{
        if (n <= COSMOS__SECOND_LENGTH)
                return false;
        if (memcmp(text, line->second_text, COSMOS__SECOND_LENGTH) != 0) {
                int64_t second;

                if (!read_second(text, &second))
                        return false;
                line->second = second;
                memcpy(line->second_text, text, COSMOS__SECOND_LENGTH);
        }
        return read_fraction(text + COSMOS__SECOND_LENGTH, text + n, line->second, &line->event.timestamp,
                             &line->event.timestamp_digits);
}

static void get_timestamp(struct reader *r)
{
        const char *text = NULL;

        get_string(r, TIMESTAMP, true, &text);
        if (text && !read_timestamp(r->line, text, r->values[TIMESTAMP].n))
                fail(r, TIMESTAMP, "must be like 2026-11-23T04:20:11.123Z, from 1970 to 2262");
}

static void get_args(struct reader *r)
{
        if (!has(r, ARGS, false))
                return;
        if (r->n_args > COSMOS_EVENT_ARGS) {
                fail(r, ARGS, "must be an array of up to 6 hexadecimal strings");
        } else if (!r->hexadecimal) {
                fail(r, ARGS, "must hold hexadecimal strings of up to 16 digits");
        } else {
                memcpy(r->event->args, r->args, r->n_args * sizeof(*r->args));
                r->event->n_args = r->n_args;
        }
}

/* ---- types of line -------------------------------------------------------------------- */

static void get_container(struct reader *r)
{
        get_string(r, CONTAINER_ID, false, &r->event->container_id);
        get_string(r, CONTAINER_NAME, false, &r->event->container_name);
        get_string(r, IMAGE, false, &r->event->image);
        get_string(r, HOST, false, &r->event->host);
}

static void get_process(struct reader *r, bool needed)
{
        struct cosmos_event *e = r->event;

        get_i32(r, PID, needed, COSMOS_KNOWN_PID, &e->pid);
        get_i32(r, TID, false, COSMOS_KNOWN_TID, &e->tid);
        get_i32(r, PPID, false, COSMOS_KNOWN_PPID, &e->ppid);
        get_u64(r, SEQ, COSMOS_KNOWN_SEQ, &e->seq);
        get_u64(r, PROC_START, COSMOS_KNOWN_PROC_START, &e->proc_start);
        get_u64(r, THREAD_START, COSMOS_KNOWN_THREAD_START, &e->thread_start);
        get_string(r, EXE, false, &e->exe);
}

/* One of the names that `name_of` gives to 0, 1, ...; what a later version writes is not known. */
static void get_class(struct reader *r, enum field field, const char *(*name_of)(unsigned int), uint32_t bit,
                      unsigned int *ret)
{
        const char *text = NULL, *name;

        get_string(r, field, false, &text);
        for (unsigned int i = 0; text && (name = name_of(i)); i++)
                if (strcmp(text, name) == 0) {
                        *ret = i;
                        r->event->known |= bit;
                }
}

static const char *fd_kind_name(unsigned int i)
{
        return cosmos_fd_kind_name((enum cosmos_fd_kind)i);
}

static const char *path_class_name(unsigned int i)
{
        return cosmos_path_class_name((enum cosmos_path_class)i);
}

static void get_classes(struct reader *r)
{
        unsigned int kind = 0, path_class = 0;
        int64_t size;

        get_class(r, FD_KIND, fd_kind_name, COSMOS_KNOWN_FD_KIND, &kind);
        get_class(r, PATH_CLASS, path_class_name, COSMOS_KNOWN_PATH_CLASS, &path_class);
        r->event->fd_kind = (enum cosmos_fd_kind)kind;
        r->event->path_class = (enum cosmos_path_class)path_class;
        if (get_integer(r, SIZE_CLASS, false, 0, COSMOS_SIZE_CLASSES - 1, &size)) {
                r->event->size_class = (uint32_t)size;
                r->event->known |= COSMOS_KNOWN_SIZE_CLASS;
        }
}

static void get_call(struct reader *r)
{
        struct cosmos_event *e = r->event;
        const char *arch = NULL;
        int64_t ret;

        get_process(r, true);
        get_string(r, COMM, true, &e->comm);
        get_string(r, SYSCALL, true, &e->syscall);
        get_string(r, ARCH, false, &arch);
        e->arch = arch ? cosmos_arch_from_name(arch) : COSMOS_ARCH_UNKNOWN;
        get_u32(r, NR, COSMOS_KNOWN_NR, &e->nr);
        get_args(r);
        if (get_integer(r, RET, false, INT64_MIN, INT64_MAX, &ret)) {
                e->ret = ret;
                e->known |= COSMOS_KNOWN_RET;
        }
        get_u32(r, UID, COSMOS_KNOWN_UID, &e->uid);
        get_u32(r, AUID, COSMOS_KNOWN_AUID, &e->auid);
        get_string(r, PATH, false, &e->path);
        get_string(r, ARGV, false, &e->argv);
        get_string(r, ADDR, false, &e->addr);
        get_classes(r);
        if (e->syscall && !*e->syscall)
                fail(r, SYSCALL, "is empty");
}

static void get_loss(struct reader *r)
{
        const char *kind = NULL;

        get_process(r, false);
        get_string(r, COMM, false, &r->event->comm);
        get_u64(r, COUNT, 0, &r->event->loss_count);
        get_string(r, KIND, true, &kind);
        r->event->loss_kind = COSMOS_LOSS_GAP; /* also for a kind that a later version writes */
        for (enum cosmos_loss_kind k = COSMOS_LOSS_KERNEL; kind && cosmos_loss_kind_name(k); k++)
                if (strcmp(kind, cosmos_loss_kind_name(k)) == 0)
                        r->event->loss_kind = k;
}

static void get_head(struct reader *r)
{
        int64_t format;

        get_string(r, SOURCE, false, &r->event->source);
        get_string(r, CALLS, false, &r->event->calls);
        if (get_integer(r, FORMAT, true, 1, INT64_MAX, &format) && format > COSMOS__TRACE_FORMAT)
                r->error = cosmos__fail(r->reterr, -COSMOS_EVERSION,
                                        "the trace is of format %lld, this library reads up to %d: use a newer one",
                                        (long long)format, COSMOS__TRACE_FORMAT);
}

/* The event's type by the line's; false for one that we do not know. */
static bool type_of(struct reader *r, enum cosmos_event_type *ret)
{
        static const struct {
                const char *name;
                enum cosmos_event_type type;
        } types[] = {
            {"call", COSMOS_EVENT_CALL},
            {"thread_exit", COSMOS_EVENT_THREAD_EXIT},
            {"loss", COSMOS_EVENT_LOSS},
            {"container_start", COSMOS_EVENT_CONTAINER_START},
            {"container_stop", COSMOS_EVENT_CONTAINER_STOP},
            {"trace", COSMOS_EVENT_TRACE},
        };
        const char *name = "call";

        get_string(r, TYPE, false, &name);
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (strcmp(name, types[i].name) == 0) {
                        *ret = types[i].type;
                        return true;
                }
        return false;
}

static int read_event(struct reader *r)
{
        if (!type_of(r, &r->event->type))
                return r->error; /* 0: a type of a later version, or no event's */
        get_timestamp(r);
        get_container(r);
        switch (r->event->type) {
        case COSMOS_EVENT_CALL:
                get_call(r);
                break;
        case COSMOS_EVENT_THREAD_EXIT:
                get_process(r, true);
                get_string(r, COMM, false, &r->event->comm);
                if (!(r->event->known & COSMOS_KNOWN_TID))
                        fail(r, TID, "is missing");
                break;
        case COSMOS_EVENT_LOSS:
                get_loss(r);
                break;
        case COSMOS_EVENT_CONTAINER_START:
        case COSMOS_EVENT_CONTAINER_STOP:
                if (!r->event->container_id)
                        fail(r, CONTAINER_ID, "is missing");
                break;
        case COSMOS_EVENT_TRACE:
                get_head(r);
                break;
        }
        return r->error ? r->error : 1;
}

int cosmos__trace_parse(struct cosmos__trace_line *line, uint8_t *data, size_t n, struct cosmos_diag *reterr)
{
        struct reader r;

        line->event = (struct cosmos_event){0};
        r.line = line;
        r.json = &line->json;
        r.event = &line->event;
        r.reterr = reterr;
        r.error = 0;
        r.seen = 0;
        if (read_members(&r, data, n))
                return read_event(&r);
        if (line->json.error == cosmos__json_no_memory)
                return -ENOMEM;
        return cosmos__fail(reterr, -COSMOS_EFORMAT, "not JSON: %s (column %zu)", line->json.error,
                            cosmos__json_column(&line->json));
}

void cosmos__trace_line_free(struct cosmos__trace_line *line)
{
        cosmos__json_free(&line->json);
        *line = (struct cosmos__trace_line){0};
}
