/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: the timestamp; getters that check a field's type and range and name
 * it when it is wrong; the types of line.
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

/* The decimals of a second in ns: 1 to 9 of them after a point, or none. */
static bool decimals(const char **p, const char *end, int64_t *ret_ns, uint32_t *ret_digits)
{
        int64_t digit;

        *ret_ns = *ret_digits = 0;
        if (!literal(p, end, '.'))
                return true;
        while (*ret_digits < 9 && *p < end && **p != 'Z') {
                if (!digits(p, end, 1, &digit))
                        return false;
                *ret_ns = *ret_ns * 10 + digit;
                (*ret_digits)++;
        }
        for (uint32_t i = *ret_digits; i < 9; i++)
                *ret_ns *= 10;
        return *ret_digits > 0;
}

int cosmos__timestamp_parse(const char *text, size_t n, int64_t *ret_ns, uint32_t *ret_digits)
{
        int64_t year, month, day, hour, minute, second, fraction, seconds;
        const char *p = text, *end = text + n;

        if (!digits(&p, end, 4, &year) || !literal(&p, end, '-') || !digits(&p, end, 2, &month) ||
            !literal(&p, end, '-') || !digits(&p, end, 2, &day) || !literal(&p, end, 'T') ||
            !digits(&p, end, 2, &hour) || !literal(&p, end, ':') || !digits(&p, end, 2, &minute) ||
            !literal(&p, end, ':') || !digits(&p, end, 2, &second) || !decimals(&p, end, &fraction, ret_digits) ||
            !literal(&p, end, 'Z') || p != end)
                return -EBADMSG;
        if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) || hour > 23 || minute > 59 ||
            second > 60) /* a leap second */
                return -EBADMSG;
        seconds = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        /* From 1970 to 2262-04-11: what fits into ns of 64 bits. */
        if (seconds < 0 || seconds > INT64_MAX / NS || seconds * NS > INT64_MAX - fraction)
                return -EBADMSG;
        *ret_ns = seconds * NS + fraction;
        return 0;
}

/* ---- fields ----------------------------------------------------------------------- */

struct reader {
        json_t *json;
        struct cosmos_event *event;
        struct cosmos_diag *reterr;
        int error; /* the first one; getters do nothing once it is set */
};

static int fail(struct reader *r, const char *key, const char *what)
{
        if (r->error == 0)
                r->error = cosmos__fail(r->reterr, -COSMOS_EFORMAT, "\"%s\" %s", key, what);
        return r->error;
}

/* The value; NULL if it is absent. */
static json_t *get(struct reader *r, const char *key, bool needed)
{
        json_t *value = r->error ? NULL : json_object_get(r->json, key);

        if (!value && needed)
                fail(r, key, "is missing");
        return value;
}

static void get_string(struct reader *r, const char *key, bool needed, const char **ret)
{
        json_t *value = get(r, key, needed);

        if (!value)
                return;
        if (!json_is_string(value))
                fail(r, key, "must be a string");
        else
                *ret = json_string_value(value);
}

static bool get_integer(struct reader *r, const char *key, bool needed, json_int_t min, json_int_t max, json_int_t *ret)
{
        json_t *value = get(r, key, needed);
        char what[96];

        if (!value)
                return false;
        if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max) {
                snprintf(what, sizeof(what), "must be an integer from %lld to %lld", (long long)min, (long long)max);
                fail(r, key, what);
                return false;
        }
        *ret = json_integer_value(value);
        return true;
}

static void get_i32(struct reader *r, const char *key, bool needed, uint32_t bit, int32_t *ret)
{
        json_int_t v;

        if (get_integer(r, key, needed, 0, INT32_MAX, &v)) {
                *ret = (int32_t)v;
                r->event->known |= bit;
        }
}

static void get_u32(struct reader *r, const char *key, uint32_t bit, uint32_t *ret)
{
        json_int_t v;

        if (get_integer(r, key, false, 0, UINT32_MAX, &v)) {
                *ret = (uint32_t)v;
                r->event->known |= bit;
        }
}

static void get_u64(struct reader *r, const char *key, uint32_t bit, uint64_t *ret)
{
        json_int_t v;

        if (get_integer(r, key, false, 0, INT64_MAX, &v)) {
                *ret = (uint64_t)v;
                r->event->known |= bit;
        }
}

static void get_timestamp(struct reader *r)
{
        const char *text = NULL;

        get_string(r, "timestamp", true, &text);
        if (text && cosmos__timestamp_parse(text, strlen(text), &r->event->timestamp, &r->event->timestamp_digits) < 0)
                fail(r, "timestamp", "must be like 2026-11-23T04:20:11.123Z, from 1970 to 2262");
}

static void get_args(struct reader *r)
{
        json_t *value = get(r, "args", false);
        size_t n = json_array_size(value);

        if (!value)
                return;
        if (!json_is_array(value) || n > COSMOS_EVENT_ARGS) {
                fail(r, "args", "must be an array of up to 6 hexadecimal strings");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                const char *text = json_string_value(json_array_get(value, i));
                size_t length = text ? strlen(text) : 0;

                if (length == 0 || length > 16 || strspn(text, "0123456789abcdefABCDEF") != length) {
                        fail(r, "args", "must hold hexadecimal strings of up to 16 digits");
                        return;
                }
                r->event->args[i] = strtoull(text, NULL, 16);
        }
        r->event->n_args = (uint32_t)n;
}

/* ---- types of line -------------------------------------------------------------------- */

static void get_container(struct reader *r)
{
        get_string(r, "container_id", false, &r->event->container_id);
        get_string(r, "container_name", false, &r->event->container_name);
        get_string(r, "image", false, &r->event->image);
        get_string(r, "host", false, &r->event->host);
}

static void get_process(struct reader *r, bool needed)
{
        struct cosmos_event *e = r->event;

        get_i32(r, "pid", needed, COSMOS_KNOWN_PID, &e->pid);
        get_i32(r, "tid", false, COSMOS_KNOWN_TID, &e->tid);
        get_i32(r, "ppid", false, COSMOS_KNOWN_PPID, &e->ppid);
        get_u64(r, "seq", COSMOS_KNOWN_SEQ, &e->seq);
        get_u64(r, "proc_start", COSMOS_KNOWN_PROC_START, &e->proc_start);
        get_u64(r, "thread_start", COSMOS_KNOWN_THREAD_START, &e->thread_start);
        get_string(r, "exe", false, &e->exe);
}

/* One of the names that `name_of` gives to 0, 1, ...; what a later version writes is not known. */
static void get_class(struct reader *r, const char *key, const char *(*name_of)(unsigned int), uint32_t bit,
                      unsigned int *ret)
{
        const char *text = NULL, *name;

        get_string(r, key, false, &text);
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
        json_int_t size;

        get_class(r, "fd_kind", fd_kind_name, COSMOS_KNOWN_FD_KIND, &kind);
        get_class(r, "path_class", path_class_name, COSMOS_KNOWN_PATH_CLASS, &path_class);
        r->event->fd_kind = (enum cosmos_fd_kind)kind;
        r->event->path_class = (enum cosmos_path_class)path_class;
        if (get_integer(r, "size_class", false, 0, COSMOS_SIZE_CLASSES - 1, &size)) {
                r->event->size_class = (uint32_t)size;
                r->event->known |= COSMOS_KNOWN_SIZE_CLASS;
        }
}

static void get_call(struct reader *r)
{
        struct cosmos_event *e = r->event;
        const char *arch = NULL;
        json_int_t ret;

        get_process(r, true);
        get_string(r, "comm", true, &e->comm);
        get_string(r, "syscall", true, &e->syscall);
        get_string(r, "arch", false, &arch);
        e->arch = arch ? cosmos_arch_from_name(arch) : COSMOS_ARCH_UNKNOWN;
        get_u32(r, "nr", COSMOS_KNOWN_NR, &e->nr);
        get_args(r);
        if (get_integer(r, "ret", false, INT64_MIN, INT64_MAX, &ret)) {
                e->ret = ret;
                e->known |= COSMOS_KNOWN_RET;
        }
        get_u32(r, "uid", COSMOS_KNOWN_UID, &e->uid);
        get_u32(r, "auid", COSMOS_KNOWN_AUID, &e->auid);
        get_string(r, "path", false, &e->path);
        get_string(r, "argv", false, &e->argv);
        get_string(r, "addr", false, &e->addr);
        get_classes(r);
        if (e->syscall && !*e->syscall)
                fail(r, "syscall", "is empty");
}

static void get_loss(struct reader *r)
{
        const char *kind = NULL;

        get_process(r, false);
        get_string(r, "comm", false, &r->event->comm);
        get_u64(r, "count", 0, &r->event->loss_count);
        get_string(r, "kind", true, &kind);
        r->event->loss_kind = COSMOS_LOSS_GAP; /* also for a kind that a later version writes */
        for (enum cosmos_loss_kind k = COSMOS_LOSS_KERNEL; kind && cosmos_loss_kind_name(k); k++)
                if (strcmp(kind, cosmos_loss_kind_name(k)) == 0)
                        r->event->loss_kind = k;
}

static void get_head(struct reader *r)
{
        json_int_t format;

        get_string(r, "source", false, &r->event->source);
        get_string(r, "calls", false, &r->event->calls);
        if (get_integer(r, "format", true, 1, INT64_MAX, &format) && format > COSMOS__TRACE_FORMAT)
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

        get_string(r, "type", false, &name);
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
                get_string(r, "comm", false, &r->event->comm);
                if (!(r->event->known & COSMOS_KNOWN_TID))
                        fail(r, "tid", "is missing");
                break;
        case COSMOS_EVENT_LOSS:
                get_loss(r);
                break;
        case COSMOS_EVENT_CONTAINER_START:
        case COSMOS_EVENT_CONTAINER_STOP:
                if (!r->event->container_id)
                        fail(r, "container_id", "is missing");
                break;
        case COSMOS_EVENT_TRACE:
                get_head(r);
                break;
        }
        return r->error ? r->error : 1;
}

int cosmos__trace_parse(struct cosmos__trace_line *line, const uint8_t *data, size_t n, struct cosmos_diag *reterr)
{
        struct reader r = {.event = &line->event, .reterr = reterr};
        json_error_t error;
        char quoted[JSON_ERROR_TEXT_LENGTH * 2];

        cosmos__trace_line_free(line);
        if (n > 0 && memchr(data, 0, n)) /* jansson overlooks some */
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "not JSON: a NUL byte (column %td)",
                                    (const uint8_t *)memchr(data, 0, n) - data + 1);
        line->json = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES, &error);
        if (!line->json) {
                if (json_error_code(&error) == json_error_out_of_memory)
                        return -ENOMEM;
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "not JSON: %s (column %d)",
                                    cosmos__quote_str(quoted, sizeof(quoted), error.text), error.column);
        }
        if (!json_is_object(line->json))
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "not a JSON object");
        r.json = line->json;
        return read_event(&r);
}

void cosmos__trace_line_free(struct cosmos__trace_line *line)
{
        json_decref(line->json);
        *line = (struct cosmos__trace_line){0};
}
