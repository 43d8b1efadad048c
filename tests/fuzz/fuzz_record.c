/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit records: each line of the input through the parsers of every record, and
 * all of them, as a log, through the assembler. What is taken for a call must
 * come out as an event once.
 */
#include "collector/assembler.h"
#include "collector/record.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
        if (!condition)
                abort();
}

static bool within(struct cosmos__slice part, struct cosmos__slice whole)
{
        return !part.data || (part.data >= whole.data && part.data + part.n <= whole.data + whole.n);
}

/* Into a room that is exactly as large: a write past it is seen. */
static void decode(const struct cosmos__untrusted *value)
{
        for (size_t room = 0; room < 20; room += 3) {
                char *out = malloc(room + 1);

                check(out && cosmos__untrusted_decode(value, out, room) <= room);
                free(out);
        }
}

static void parse_body(struct cosmos__slice body)
{
        struct cosmos__syscall_record call;
        struct cosmos__path_record path;
        char *out = malloc(128);

        check(out != NULL);
        if (cosmos__record_parse_syscall(body, &call) == 0) {
                check(within(call.comm.raw, body) && within(call.exe.raw, body) && call.pid >= 0 && call.ppid >= 0);
                decode(&call.comm);
                decode(&call.exe);
        }
        if (cosmos__record_parse_path(body, &path) == 0) {
                check(within(path.name.raw, body));
                decode(&path.name);
        }
        for (size_t room = 0; room <= 128; room += 32)
                check(cosmos__record_decode_execve(body, out, room) <= room);
        if (cosmos__record_decode_sockaddr(body, out, 128) == 0)
                check(strnlen(out, 128) < 128);
        free(out);
}

static void check_event(const struct cosmos_event *event)
{
        const char *const texts[] = {event->comm, event->syscall, event->exe, event->path, event->argv, event->addr};

        check(event->type == COSMOS_EVENT_CALL && event->comm && event->syscall && event->timestamp >= 0);
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                check(!texts[i] || strlen(texts[i]) <= 4096);
}

struct log {
        struct cosmos__assembler *assembler;
        int64_t now;
        size_t calls, events;
};

static void pop(struct log *log, bool flush)
{
        const struct cosmos_event *event;
        bool whole;

        while ((event = cosmos__assembler_pop(log->assembler, log->now, flush, &whole))) {
                check_event(event);
                log->events++;
        }
}

static void push(struct log *log, enum cosmos__record_type type, const struct cosmos__record_head *head)
{
        int r;

        log->now = head->timestamp > log->now ? head->timestamp : log->now;
        pop(log, false);
        check(!cosmos__assembler_full(log->assembler));
        r = cosmos__assembler_push(log->assembler, type, head, log->now);
        check(r == 0 || r == 1 || r < 0);
        log->calls += r == 1 && type == COSMOS__RECORD_SYSCALL;
}

static void take_line(struct log *log, const uint8_t *data, size_t n)
{
        uint8_t *line = malloc(n ? n : 1); /* exactly as large: an over-read is seen */
        struct cosmos__record_head head;
        enum cosmos__record_type type;

        check(line != NULL);
        memcpy(line, data, n);
        cosmos__record_parse_head(line, n, &head);
        if (cosmos__record_parse_log_line(line, n, &type, &head) == 0) {
                check(within(head.body, (struct cosmos__slice){line, n}));
                parse_body(head.body);
                push(log, type, &head);
        }
        free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct log log = {0};

        check(cosmos__assembler_new(&log.assembler) == 0);
        while (size > 0) {
                const uint8_t *newline = memchr(data, '\n', size);
                size_t n = newline ? (size_t)(newline - data) : size;

                take_line(&log, data, n);
                n += newline != NULL;
                data += n;
                size -= n;
        }
        pop(&log, true);
        check(log.calls == log.events);
        cosmos__assembler_free(log.assembler);
        return 0;
}
