/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/assembler.h"

#include "base/base.h"
#include "base/buffer.h"
#include "syscall/syscall.h"

#include <errno.h>
#include <string.h>

#define SLOTS 1024u /* events in flight; a power of two */
#define HINTS 4096u /* where to look for a serial first; a power of two */
#define TIMEOUT_NS (2 * INT64_C(1000000000))
#define TEXT_MAX 4096u /* bytes of a path or of all arguments that are kept */

struct slot {
        struct cosmos_event event;
        int64_t pushed; /* when its first record came */
        bool whole;
        /* The texts, each NUL-terminated; offsets, since the buffer may move. 0: not there. */
        struct cosmos__buffer text;
        size_t comm, exe, path, argv, addr;
        char unnamed[COSMOS__UNNAMED_SIZE]; /* "syscall_N" */
};

struct cosmos__assembler {
        struct slot slots[SLOTS];
        uint32_t head, tail; /* slots head .. tail-1 are in use, modulo SLOTS */
        uint32_t hints[HINTS];
};

int cosmos__assembler_new(struct cosmos__assembler **ret)
{
        struct cosmos__assembler *assembler = calloc(1, sizeof(*assembler));

        if (!assembler)
                return -ENOMEM;
        *ret = assembler;
        return 0;
}

struct cosmos__assembler *cosmos__assembler_free(struct cosmos__assembler *assembler)
{
        if (!assembler)
                return NULL;
        for (size_t i = 0; i < SLOTS; i++)
                cosmos__buffer_free(&assembler->slots[i].text);
        free(assembler);
        return NULL;
}

bool cosmos__assembler_full(const struct cosmos__assembler *assembler)
{
        return assembler->tail - assembler->head == SLOTS;
}

static bool is_event(const struct slot *slot, const struct cosmos__record_head *head)
{
        return slot->event.seq == head->serial && slot->event.timestamp == head->timestamp;
}

static struct slot *find(struct cosmos__assembler *a, const struct cosmos__record_head *head)
{
        uint32_t hint = a->hints[head->serial % HINTS];
        struct slot *slot = &a->slots[hint % SLOTS];

        if (hint - a->head >= a->tail - a->head)
                return NULL; /* no event in flight has a serial like this one's */
        if (is_event(slot, head))
                return slot;
        for (uint32_t i = a->tail; i != a->head; i--) {
                slot = &a->slots[(i - 1) % SLOTS];
                if (is_event(slot, head))
                        return slot;
        }
        return NULL;
}

/* ---- records to the fields of an event ------------------------------------------ */

/* Room for `room` bytes of a new text at the end; they stand at the returned
 * offset, or 0 for lack of memory (offset 0 is kept free). */
static size_t text_begin(struct slot *slot, size_t room)
{
        if (cosmos__buffer_reserve(&slot->text, room + 2) < 0)
                return 0;
        if (slot->text.size == 0)
                slot->text.data[slot->text.size++] = 0;
        return slot->text.size;
}

static void text_end(struct slot *slot, size_t n)
{
        slot->text.size += n;
        slot->text.data[slot->text.size++] = 0;
}

static int add_untrusted(struct slot *slot, const struct cosmos__untrusted *value, size_t *ret_offset)
{
        size_t room = MIN(value->raw.n, TEXT_MAX), offset, n;

        if (!value->raw.data)
                return 0;
        offset = text_begin(slot, room);
        if (offset == 0)
                return -ENOMEM;
        n = cosmos__untrusted_decode(value, slot->text.data + offset, room);
        if (n == 0 && !value->quoted)
                return 0;
        text_end(slot, n);
        *ret_offset = offset;
        return 0;
}

static void set_call(struct slot *slot, const struct cosmos__syscall_record *record)
{
        struct cosmos_event *event = &slot->event;

        event->type = COSMOS_EVENT_CALL;
        event->known = COSMOS_KNOWN_SEQ | COSMOS_KNOWN_PID | COSMOS_KNOWN_PPID | COSMOS_KNOWN_NR;
        event->timestamp_digits = 3;
        event->pid = record->pid;
        event->ppid = record->ppid;
        if (record->uid != UINT32_MAX) {
                event->uid = record->uid;
                event->known |= COSMOS_KNOWN_UID;
        }
        if (record->auid != UINT32_MAX) { /* not set: of no login */
                event->auid = record->auid;
                event->known |= COSMOS_KNOWN_AUID;
        }
        event->arch = cosmos__arch_from_audit(record->arch);
        event->nr = record->nr;
        event->syscall = cosmos__syscall_label(event->arch, event->nr, slot->unnamed);
        event->n_args = 4;
        memcpy(event->args, record->args, sizeof(record->args));
        /* What a signal's return leaves in the register is what was there before the signal: no result. */
        if (record->has_exit && strcmp(event->syscall, "rt_sigreturn") != 0) {
                event->ret = record->exit;
                event->known |= COSMOS_KNOWN_RET;
        }
}

static int open_slot(struct cosmos__assembler *a, const struct cosmos__record_head *head, int64_t now)
{
        struct slot *slot = &a->slots[a->tail % SLOTS];
        struct cosmos__syscall_record record;
        int r = cosmos__record_parse_syscall(head->body, &record);

        if (r < 0)
                return r;
        slot->event = (struct cosmos_event){.timestamp = head->timestamp, .seq = head->serial};
        slot->pushed = now;
        slot->whole = false;
        slot->text.size = 0;
        slot->comm = slot->exe = slot->path = slot->argv = slot->addr = 0;
        set_call(slot, &record);
        r = add_untrusted(slot, &record.comm, &slot->comm);
        if (r == 0)
                r = add_untrusted(slot, &record.exe, &slot->exe);
        if (r < 0)
                return r;
        a->hints[head->serial % HINTS] = a->tail++;
        return 1;
}

static int add_path(struct slot *slot, struct cosmos__slice body)
{
        struct cosmos__path_record path;
        int r = cosmos__record_parse_path(body, &path);

        if (r < 0 || path.parent || slot->path) /* the first that is not just the folder */
                return r;
        return add_untrusted(slot, &path.name, &slot->path);
}

static int add_argv(struct slot *slot, struct cosmos__slice body)
{
        size_t room = MIN(body.n, TEXT_MAX), offset;

        /* A very long command line comes in several EXECVE records: the first will do. */
        if (slot->argv)
                return 0;
        offset = text_begin(slot, room);
        if (offset == 0)
                return -ENOMEM;
        text_end(slot, cosmos__record_decode_execve(body, slot->text.data + offset, room));
        slot->argv = offset;
        return 0;
}

static int add_addr(struct slot *slot, struct cosmos__slice body)
{
        size_t offset = text_begin(slot, 128);
        int r;

        if (offset == 0)
                return -ENOMEM;
        r = cosmos__record_decode_sockaddr(body, slot->text.data + offset, 128);
        if (r < 0)
                return r;
        if (slot->text.data[offset]) {
                text_end(slot, strlen(slot->text.data + offset));
                slot->addr = offset;
        }
        return 0;
}

int cosmos__assembler_push(struct cosmos__assembler *a, enum cosmos__record_type type,
                           const struct cosmos__record_head *head, int64_t now)
{
        struct slot *slot = find(a, head);
        int r = 0;

        if (!slot)
                return type == COSMOS__RECORD_SYSCALL ? open_slot(a, head, now) : 0;
        switch (type) {
        case COSMOS__RECORD_SYSCALL:
                return -EBADMSG; /* an event has one */
        case COSMOS__RECORD_PATH:
                r = add_path(slot, head->body);
                break;
        case COSMOS__RECORD_EXECVE:
                r = add_argv(slot, head->body);
                break;
        case COSMOS__RECORD_SOCKADDR:
                r = add_addr(slot, head->body);
                break;
        case COSMOS__RECORD_PROCTITLE:
        case COSMOS__RECORD_EOE:
                slot->whole = true;
                break;
        case COSMOS__RECORD_OTHER:
                return 0;
        }
        return r < 0 ? r : 1;
}

const struct cosmos_event *cosmos__assembler_pop(struct cosmos__assembler *a, int64_t now, bool flush, bool *ret_whole)
{
        struct slot *slot = &a->slots[a->head % SLOTS];
        const char *text = slot->text.data;

        if (a->head == a->tail)
                return NULL;
        if (!slot->whole && !flush && now - slot->pushed < TIMEOUT_NS && !cosmos__assembler_full(a))
                return NULL;
        a->head++;
        slot->event.comm = slot->comm ? text + slot->comm : "";
        slot->event.exe = slot->exe ? text + slot->exe : NULL;
        slot->event.path = slot->path ? text + slot->path : NULL;
        slot->event.argv = slot->argv ? text + slot->argv : NULL;
        slot->event.addr = slot->addr ? text + slot->addr : NULL;
        *ret_whole = slot->whole;
        return &slot->event;
}
