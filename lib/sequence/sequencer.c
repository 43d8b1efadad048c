/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events to steps. Outline: the table of open sequences, in the order in which
 * they last acted; which sequences an event ends; the step of a call; feed and
 * next, a small state machine, since one event may end many sequences.
 */
#include "base/base.h"
#include "base/hash.h"
#include "base/list.h"
#include "sequence/token.h"

#include <cosmos/sequence.h>

#include <errno.h>
#include <string.h>

#define MAX_SEQUENCES 16384u
#define MAX_SEQUENCES_LIMIT (1u << 24)
#define IDLE_NS (600 * UINT64_C(1000000000))

/* A container's strings, shared by its sequences. */
struct container {
        struct cosmos__hash_node node;
        unsigned int refs;
        char *id, *name, *image; /* one allocation, at `id` */
};

struct sequence {
        struct cosmos__hash_node node;
        struct cosmos__list idle;    /* oldest first */
        struct container *container; /* NULL: of no container */
        struct cosmos_event key;
        char comm[64]; /* as much as is kept of them */
        char exe[256];
        uint64_t id, calls;
        int64_t last; /* event time of its last call */
        void *userdata;
        uint16_t history[]; /* for cosmos__token_frequency() */
};

enum phase {
        EXPIRE, /* end what has been idle for too long */
        CLOSE,  /* end what the event ends */
        MAKE_ROOM,
        CALL, /* the step of the event itself */
        EXIT, /* a call, or the end of a thread, that ends its own sequence */
        DONE,
};

struct cosmos_sequencer {
        struct cosmos__tokenizer tokenizer;
        enum cosmos_unit unit;
        uint32_t max;
        uint64_t idle_ns;

        struct cosmos__hash sequences, containers;
        struct cosmos__list idle;
        struct sequence *ended; /* its END has been handed out: freed at the next call */
        uint64_t opened;
        int64_t now; /* the latest event time */

        /* The event that is being worked on. */
        enum phase phase;
        const struct cosmos_event *event; /* NULL: the end of the trace */
        struct cosmos__list *cursor;      /* CLOSE: next to look at */
        struct sequence *own;             /* the event's own sequence, once it was looked for; NULL: none */
        struct container *latest;         /* of the latest event that had one; NULL: it is not there any more */
};

COSMOS_API const char *cosmos_unit_name(enum cosmos_unit unit)
{
        static const char *const names[] = {"process", "thread"};

        return (size_t)unit < ARRAY_SIZE(names) ? names[unit] : NULL;
}

COSMOS_API const char *cosmos_end_name(enum cosmos_end end)
{
        static const char *const names[] = {"exit", "container_stop", "loss", "idle", "evicted", "end_of_trace"};

        return (size_t)end < ARRAY_SIZE(names) ? names[end] : NULL;
}

/* ---- containers ---------------------------------------------------------------------- */

static bool equal(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

static struct container *container_find(const cosmos_sequencer *s, const char *id, uint64_t hash)
{
        for (struct cosmos__hash_node *n = cosmos__hash_first(&s->containers, hash); n; n = n->next) {
                struct container *c = CONTAINER_OF(n, struct container, node);

                if (n->hash == hash && strcmp(c->id, id) == 0)
                        return c;
        }
        return NULL;
}

/* The container of an event that has one: most often that of the event before. NULL: no sequence is of it. */
static struct container *container_of(cosmos_sequencer *s, const char *id)
{
        if (!s->latest || strcmp(s->latest->id, id) != 0)
                s->latest = container_find(s, id, cosmos__hash_bytes(id, strlen(id)));
        return s->latest;
}

static char *append(char **p, const char *text)
{
        char *at = *p;

        if (!text)
                return NULL;
        *p = stpcpy(at, text) + 1;
        return at;
}

static struct container *container_get(cosmos_sequencer *s, const struct cosmos_event *e)
{
        struct container *c = container_of(s, e->container_id);
        char *p;

        if (c) {
                c->refs++;
                return c;
        }
        c = calloc(1, sizeof(*c));
        p = malloc(strlen(e->container_id) + (e->container_name ? strlen(e->container_name) : 0) +
                   (e->image ? strlen(e->image) : 0) + 3);
        if (!c || !p) {
                free(c);
                free(p);
                return NULL;
        }
        c->refs = 1;
        c->id = append(&p, e->container_id);
        c->name = append(&p, e->container_name);
        c->image = append(&p, e->image);
        cosmos__hash_insert(&s->containers, &c->node, cosmos__hash_bytes(c->id, strlen(c->id)));
        return c;
}

static void container_put(cosmos_sequencer *s, struct container *c)
{
        if (!c || --c->refs > 0)
                return;
        cosmos__hash_remove(&s->containers, &c->node);
        if (s->latest == c)
                s->latest = NULL;
        free(c->id);
        free(c);
}

/* ---- sequences ------------------------------------------------------------------------- */

/* `container`: of the event; NULL: it has none. Each part is multiplied by another odd number, so that
 * parts which differ do not make up for each other. */
static uint64_t key_hash(const cosmos_sequencer *s, const struct cosmos_event *e, const struct container *container)
{
        uint64_t h = container ? container->node.hash : 0;

        h += (uint32_t)e->pid * 0x9e3779b97f4a7c15u;
        if (e->known & COSMOS_KNOWN_PROC_START)
                h += e->proc_start * 0xbf58476d1ce4e5b9u;
        if (s->unit == COSMOS_UNIT_THREAD) {
                h += (uint32_t)e->tid * 0x94d049bb133111ebu;
                if (e->known & COSMOS_KNOWN_THREAD_START)
                        h += e->thread_start * 0xd6e8feb86659fd93u;
        }
        return cosmos__hash_mix(h);
}

static bool same_number(uint32_t known_a, uint32_t known_b, uint32_t bit, uint64_t a, uint64_t b)
{
        return (known_a & bit) == (known_b & bit) && (!(known_a & bit) || a == b);
}

static bool key_is(const cosmos_sequencer *s, const struct sequence *q, const struct cosmos_event *e,
                   const struct container *container)
{
        const struct cosmos_event *k = &q->key;

        return k->pid == e->pid && q->container == container &&
               same_number(k->known, e->known, COSMOS_KNOWN_PROC_START, k->proc_start, e->proc_start) &&
               (s->unit == COSMOS_UNIT_PROCESS ||
                (k->tid == e->tid &&
                 same_number(k->known, e->known, COSMOS_KNOWN_THREAD_START, k->thread_start, e->thread_start)));
}

static struct sequence *sequence_find(cosmos_sequencer *s, const struct cosmos_event *e)
{
        struct container *container = e->container_id ? container_of(s, e->container_id) : NULL;
        uint64_t hash;

        if (e->container_id && !container)
                return NULL;
        hash = key_hash(s, e, container);
        for (struct cosmos__hash_node *n = cosmos__hash_first(&s->sequences, hash); n; n = n->next) {
                struct sequence *q = CONTAINER_OF(n, struct sequence, node);

                if (n->hash == hash && key_is(s, q, e, container))
                        return q;
        }
        return NULL;
}

static int sequence_open(cosmos_sequencer *s, const struct cosmos_event *e, struct sequence **ret)
{
        struct sequence *q = calloc(1, sizeof(*q) + cosmos__token_history(&s->tokenizer) * sizeof(*q->history));

        if (!q)
                return -ENOMEM;
        if (e->container_id) {
                q->container = container_get(s, e);
                if (!q->container) {
                        free(q);
                        return -ENOMEM;
                }
                q->key.container_id = q->container->id;
                q->key.container_name = q->container->name;
                q->key.image = q->container->image;
        }
        q->key.pid = e->pid;
        q->key.proc_start = e->proc_start;
        q->key.known = e->known & (COSMOS_KNOWN_PID | COSMOS_KNOWN_PROC_START);
        if (s->unit == COSMOS_UNIT_THREAD) {
                q->key.tid = e->tid;
                q->key.thread_start = e->thread_start;
                q->key.known |= e->known & (COSMOS_KNOWN_TID | COSMOS_KNOWN_THREAD_START);
        }
        q->id = ++s->opened;
        cosmos__list_append(&s->idle, &q->idle);
        cosmos__hash_insert(&s->sequences, &q->node, key_hash(s, e, q->container));
        *ret = q;
        return 0;
}

static void sequence_free(cosmos_sequencer *s, struct sequence *q)
{
        if (q)
                container_put(s, q->container);
        free(q);
}

/* Texts change with an execve: keep those of the latest call. */
static void keep_text(char *room, size_t size, const char *text, const char **ret)
{
        *ret = text ? room : NULL;
        if (text && strncmp(room, text, size - 1) != 0)
                snprintf(room, size, "%s", text);
}

static void end_step(cosmos_sequencer *s, struct sequence *q, enum cosmos_end end, struct cosmos_step *ret)
{
        cosmos__list_remove(&q->idle);
        cosmos__hash_remove(&s->sequences, &q->node);
        s->ended = q;
        *ret = (struct cosmos_step){
            .type = COSMOS_STEP_END,
            .id = q->id,
            .key = &q->key,
            .calls = q->calls,
            .end = end,
            .userdata = &q->userdata,
        };
}

/* ---- what an event ends ------------------------------------------------------------------ */

/* A loss hits one thread if it names it, else all of a container, else all. */
static bool hits(const cosmos_sequencer *s, const struct cosmos_event *e, const struct sequence *q)
{
        const uint32_t thread = COSMOS_KNOWN_PID | COSMOS_KNOWN_TID;

        if ((e->known & thread) == thread)
                return equal(q->key.container_id, e->container_id) && key_is(s, q, e, q->container);
        return !e->container_id || equal(q->key.container_id, e->container_id);
}

/* Does this event, one that may end many, end the sequence? */
static bool ends(const cosmos_sequencer *s, const struct cosmos_event *e, const struct sequence *q,
                 enum cosmos_end *ret_end)
{
        if (!e) {
                *ret_end = COSMOS_END_TRACE;
                return true;
        }
        *ret_end = e->type == COSMOS_EVENT_LOSS ? COSMOS_END_LOSS : COSMOS_END_CONTAINER_STOP;
        return e->type == COSMOS_EVENT_LOSS ? hits(s, e, q) : equal(q->key.container_id, e->container_id);
}

/* A loss and a stop may end many sequences, and so does the end of the trace. */
static bool ends_many(const struct cosmos_event *e)
{
        return !e || e->type == COSMOS_EVENT_LOSS || e->type == COSMOS_EVENT_CONTAINER_STOP;
}

/* The next open sequence that the event ends; its place in the list is kept, so
 * that a walk over all of them costs one pass. */
static bool close_next(cosmos_sequencer *s, struct cosmos_step *ret)
{
        enum cosmos_end end;

        while (s->cursor != &s->idle) {
                struct sequence *q = CONTAINER_OF(s->cursor, struct sequence, idle);

                s->cursor = s->cursor->next;
                if (ends(s, s->event, q, &end)) {
                        end_step(s, q, end, ret);
                        return true;
                }
        }
        return false;
}

static bool expire_next(cosmos_sequencer *s, struct cosmos_step *ret)
{
        struct sequence *oldest = CONTAINER_OF(s->idle.next, struct sequence, idle);

        if (cosmos__list_empty(&s->idle) || oldest->last > s->now ||
            (uint64_t)s->now - (uint64_t)oldest->last < s->idle_ns)
                return false;
        end_step(s, oldest, COSMOS_END_IDLE, ret);
        return true;
}

static bool is_last_call(const cosmos_sequencer *s, const struct cosmos_event *e)
{
        if (e->syscall[0] != 'e') /* nearly all calls need no other look */
                return false;
        return strcmp(e->syscall, "exit_group") == 0 ||
               (s->unit == COSMOS_UNIT_THREAD && strcmp(e->syscall, "exit") == 0);
}

/* ---- the step of a call ---------------------------------------------------------------------- */

static void call_step(cosmos_sequencer *s, struct sequence *q, struct cosmos_step *ret)
{
        const struct cosmos_event *e = s->event;

        q->calls++;
        q->last = s->now;
        cosmos__list_remove(&q->idle);
        cosmos__list_append(&s->idle, &q->idle);
        keep_text(q->comm, sizeof(q->comm), e->comm, &q->key.comm);
        keep_text(q->exe, sizeof(q->exe), e->exe, &q->key.exe);
        *ret = (struct cosmos_step){
            .type = COSMOS_STEP_CALL,
            .id = q->id,
            .key = &q->key,
            .calls = q->calls,
            .event = e,
            .userdata = &q->userdata,
        };
        cosmos__token_fields(&s->tokenizer, e, &ret->token);
        if (s->tokenizer.scheme.frequency)
                ret->token.frequency =
                    cosmos__token_frequency(&s->tokenizer, q->history, q->calls, ret->token.field[COSMOS_TOKEN_NAME]);
}

/* ---- the sequencer --------------------------------------------------------------------------- */

COSMOS_API int cosmos_sequencer_new(cosmos_sequencer **ret, const cosmos_vocab *vocab,
                                    const struct cosmos_sequencer_options *options, struct cosmos_diag *reterr)
{
        struct cosmos_sequencer_options o;
        cosmos_sequencer *s;
        int r;

        r = cosmos__options(&o, sizeof(o), options, "cosmos_sequencer_options", reterr);
        if (r < 0)
                return r;
        if (!cosmos_unit_name(o.unit) || o.max_sequences > MAX_SEQUENCES_LIMIT)
                return cosmos__fail(reterr, -EINVAL,
                                    "cosmos_sequencer_options: unit %d or max_sequences %u is out of range",
                                    (int)o.unit, o.max_sequences);
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->unit = o.unit;
        s->max = o.max_sequences ? o.max_sequences : MAX_SEQUENCES;
        s->idle_ns = o.idle_ns ? o.idle_ns : IDLE_NS;
        s->phase = DONE;
        cosmos__list_init(&s->idle);
        r = cosmos__tokenizer_init(&s->tokenizer, vocab, o.tokens, reterr);
        if (r == 0 && (cosmos__hash_init(&s->sequences, s->max) < 0 || cosmos__hash_init(&s->containers, 1024) < 0))
                r = -ENOMEM;
        if (r < 0) {
                cosmos_sequencer_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

static int check_call(const cosmos_sequencer *s, const struct cosmos_event *e, struct cosmos_diag *reterr)
{
        if (s->unit == COSMOS_UNIT_THREAD && !(e->known & COSMOS_KNOWN_TID))
                return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                    "a sequence is a thread here, but the events do not say which thread made a call "
                                    "(no \"tid\"): use a model of processes, or another collector");
        return 0;
}

COSMOS_API int cosmos_sequencer_feed(cosmos_sequencer *s, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        int r;

        if (s->phase != DONE)
                return cosmos__fail(reterr, -EBUSY, "steps of the last event are still to be taken");
        if (event && event->type == COSMOS_EVENT_CALL) {
                r = check_call(s, event, reterr);
                if (r < 0)
                        return r;
        }
        if (event)
                s->now = MAX(s->now, event->timestamp);
        s->event = event;
        s->cursor = s->idle.next;
        s->phase = EXPIRE;
        return 0;
}

static enum phase phase_of(const cosmos_sequencer *s)
{
        if (ends_many(s->event))
                return CLOSE;
        if (s->event->type == COSMOS_EVENT_CALL)
                return MAKE_ROOM;
        return s->event->type == COSMOS_EVENT_THREAD_EXIT && s->unit == COSMOS_UNIT_THREAD ? EXIT : DONE;
}

/* One phase; 1: it gave a step; 0: go on. */
static int work(cosmos_sequencer *s, struct cosmos_step *ret)
{
        int r;

        switch (s->phase) {
        case EXPIRE:
                if (expire_next(s, ret))
                        return 1;
                s->cursor = s->idle.next;
                s->phase = phase_of(s);
                return 0;
        case CLOSE:
                if (close_next(s, ret))
                        return 1;
                s->phase = DONE;
                return 0;
        case MAKE_ROOM:
                s->phase = CALL;
                s->own = sequence_find(s, s->event);
                if (s->own || s->sequences.n < s->max)
                        return 0;
                end_step(s, CONTAINER_OF(s->idle.next, struct sequence, idle), COSMOS_END_EVICTED, ret);
                return 1;
        case CALL:
                if (!s->own) {
                        r = sequence_open(s, s->event, &s->own);
                        if (r < 0)
                                return r;
                }
                call_step(s, s->own, ret);
                s->phase = is_last_call(s, s->event) ? EXIT : DONE;
                return 1;
        case EXIT:
                s->phase = DONE;
                if (s->event->type != COSMOS_EVENT_CALL)
                        s->own = sequence_find(s, s->event);
                if (!s->own)
                        return 0;
                end_step(s, s->own, COSMOS_END_EXIT, ret);
                return 1;
        case DONE:
                break;
        }
        return 0;
}

COSMOS_API int cosmos_sequencer_next(cosmos_sequencer *s, struct cosmos_step *ret)
{
        sequence_free(s, s->ended);
        s->ended = NULL;
        while (s->phase != DONE) {
                int r = work(s, ret);

                if (r < 0)
                        s->phase = DONE; /* the event is lost; the next one can be fed */
                if (r != 0)
                        return r;
        }
        return 0;
}

COSMOS_API size_t cosmos_sequencer_count(const cosmos_sequencer *s)
{
        return s->sequences.n;
}

COSMOS_API cosmos_sequencer *cosmos_sequencer_free(cosmos_sequencer *s)
{
        if (!s)
                return NULL;
        sequence_free(s, s->ended);
        for (struct cosmos__list *l = s->idle.next; l != &s->idle;) {
                struct sequence *q = CONTAINER_OF(l, struct sequence, idle);

                l = l->next;
                sequence_free(s, q);
        }
        cosmos__hash_free(&s->sequences);
        cosmos__hash_free(&s->containers);
        cosmos__tokenizer_free(&s->tokenizer);
        free(s);
        return NULL;
}
