/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bpf backend. Outline: the ring buffer; when to sleep; containers; losses
 * that no record tells; a record's events; the programs; opening and stopping.
 *
 * Waking. A wake-up costs the watched thread a microsecond and us two switches,
 * so there is one only when we sleep: while events come we look by ourselves, at
 * intervals, and only after a look that found nothing do we ask the kernel
 * (shared.wake) to wake us with the next record. A slow timer behind that also
 * finds a record whose wake-up fell between two stools. Each look takes a core from
 * whoever has it, so the more a look finds, the longer is the next interval, as long
 * as the ring stays nearly empty.
 *
 * Losses. A thread's next record says how many of its records found no room just
 * before; nothing else would know where in its sequence they belong. Where there is
 * no next record: the ends of threads are kept in a map (`graves`), and what
 * threads that have fallen silent lost is asked for at our own end.
 */
#include "collector/backend.h"
#include "collector/bpf/bpf.h"

#include "base/base.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <cosmos_bpf.skel.h> /* generated, in the build folder */
#pragma GCC diagnostic pop

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RING_BYTES (16u << 20)
#define RING_MIN (64u << 10)
#define RING_MAX (1u << 30)
#define MILLISECOND INT64_C(1000000)
#define BUSY_MIN_NS (4 * MILLISECOND) /* from one look to the next while events come */
#define BUSY_MAX_NS (32 * MILLISECOND)
#define MANY_BYTES (8u << 10)       /* found in one look: about 60 calls */
#define IDLE_NS (100 * MILLISECOND) /* the longest sleep */
#define COMMIT_BYTES (64u << 10)    /* of the ring, after which their room is given back */
#define END_NS (500 * MILLISECOND)  /* for programs that still run when all are detached */
#define STEP_NS (MILLISECOND)       /* a clock that moved less than this against another did not */
#define CONTAINERS 16384u

enum phase { COLLECTING, DRAINING, ENDED };

/* What is still to come of the record that is being delivered. */
enum rest { LOSS = 1, CALL = 2, END = 4 };

struct container {
        struct cosmos__hash_node node;
        uint32_t number;
        char id[WIRE_ID_SIZE + 1];
};

/* The end of a thread of which the ring says nothing, and when it may be told. */
struct grave {
        struct wire_head head;
        unsigned long after; /* what was written to the ring by then */
};

struct bpf_collector {
        cosmos_collector base;
        struct cosmos_bpf *skeleton;
        struct cosmos__bpf_decoder decoder;
        struct cosmos__exes exes;
        bool exe;
        struct cosmos__hash containers; /* by number */
        struct container *last;         /* that a record was of */
        struct container *stopping;     /* its stop is to be told, behind what its threads lost */
        struct container *stopped;      /* its stop has been told: freed with the next event */
        uint64_t stop_time;

        int timer_fd, epoll_fd, ring_fd;
        size_t ring_size;
        volatile unsigned long *consumer; /* a page of their own each */
        volatile unsigned long *producer;
        const uint8_t *data; /* twice in a row, so that no record is cut */
        unsigned long position, committed;
        unsigned long looked; /* the position when we last slept */
        int64_t interval;     /* from one look to the next, ns; 0: the kernel wakes us */
        bool fruitful;        /* the last look found something */

        const uint8_t *record;
        size_t record_size;
        unsigned int rest;
        struct grave *graves;
        size_t n_graves, next_grave, grave_room;
        uint64_t known_lost, known_other, known_untracked;
        bool unsaid_stops; /* stops may be in the map `containers` that the ring does not hold */
        size_t cpus;
        uint32_t known_graveless;

        enum phase phase;
        int64_t end_at; /* boot time */
        bool asked_losses;
        uint64_t seq;
        struct cosmos_event event;
        struct wire_call grave_call; /* stands in for the record of a thread's end */
        char hostname[COSMOS__HOSTNAME_SIZE];
        char *calls; /* for the head */
        bool head_pending;
};

/* ---- the ring buffer: kernel/bpf/ringbuf.c -------------------------------------------- */

#define HEADER 8u
#define HEADER_BUSY (UINT32_C(1) << 31)
#define HEADER_DISCARD (UINT32_C(1) << 30)

static unsigned long produced(const struct bpf_collector *c)
{
        return __atomic_load_n(c->producer, __ATOMIC_ACQUIRE);
}

static void commit(struct bpf_collector *c)
{
        if (c->committed == c->position)
                return;
        c->committed = c->position;
        __atomic_store_n(c->consumer, c->position, __ATOMIC_RELEASE);
}

/* The next record; false: there is none, or it is still being written. */
static bool next_record(struct bpf_collector *c)
{
        while (c->position < produced(c)) {
                const uint8_t *at = c->data + (c->position & (c->ring_size - 1));
                uint32_t length = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);

                if (length & HEADER_BUSY)
                        return false;
                c->record = at + HEADER;
                c->record_size = length & ~(HEADER_BUSY | HEADER_DISCARD);
                c->position += (c->record_size + HEADER + 7) & ~(unsigned long)7;
                if (!(length & HEADER_DISCARD))
                        return true;
        }
        return false;
}

static int map_ring(struct bpf_collector *c, struct cosmos_diag *reterr)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        void *p;

        p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, c->ring_fd, 0);
        if (p == MAP_FAILED)
                return cosmos__fail(reterr, -errno, "cannot map the ring buffer: %s", strerrordesc_np(errno));
        c->consumer = p;
        p = mmap(NULL, page + 2 * c->ring_size, PROT_READ, MAP_SHARED, c->ring_fd, (off_t)page);
        if (p == MAP_FAILED)
                return cosmos__fail(reterr, -errno, "cannot map the ring buffer: %s", strerrordesc_np(errno));
        c->producer = p;
        c->data = (const uint8_t *)p + page;
        return 0;
}

static void unmap_ring(struct bpf_collector *c)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        if (c->consumer)
                munmap((void *)(uintptr_t)c->consumer, page);
        if (c->producer)
                munmap((void *)(uintptr_t)c->producer, page + 2 * c->ring_size);
}

/* ---- when to sleep -------------------------------------------------------------------------- */

static void set_timer(struct bpf_collector *c, int64_t ns)
{
        struct itimerspec t = {.it_value.tv_nsec = ns, .it_interval.tv_nsec = ns};

        timerfd_settime(c->timer_fd, 0, &t, NULL); /* also takes back a tick that was not read */
}

static void listen_to_ring(struct bpf_collector *c, bool listen)
{
        struct epoll_event event = {.events = listen ? EPOLLIN : 0};

        epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, c->ring_fd, &event);
}

/* Fewer looks where many events come, more where the ring would fill up. */
static int64_t next_interval(const struct bpf_collector *c)
{
        unsigned long found = c->position - c->looked;

        if (c->interval == 0)
                return BUSY_MIN_NS;
        if (found < MANY_BYTES / 4 || found > c->ring_size / 16)
                return MAX(c->interval / 2, BUSY_MIN_NS);
        return found > MANY_BYTES && found < c->ring_size / 32 ? MIN(c->interval * 2, BUSY_MAX_NS) : c->interval;
}

/* Nothing is left. True: we may wait; false: look again, something came meanwhile. */
static bool sleep_or_stay(struct bpf_collector *c)
{
        volatile struct wire_shared *shared = &c->skeleton->bss->shared;

        commit(c);
        if (c->fruitful) {
                c->fruitful = false;
                if (c->interval == 0)
                        listen_to_ring(c, false);
                c->interval = next_interval(c);
                c->looked = c->position;
                set_timer(c, c->interval);
                return true;
        }
        shared->wake = 1;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (c->position != produced(c)) {
                /* It may be one that is still being written: come back for it. */
                c->fruitful = true;
                return false;
        }
        if (c->interval) {
                c->interval = 0;
                listen_to_ring(c, true);
        }
        set_timer(c, IDLE_NS);
        return true;
}

/* The clock that people read may be set; the kernel's records are by one that is not. */
static void look_at_clocks(struct bpf_collector *c)
{
        int64_t offset = cosmos__now() - cosmos__boottime(), moved = offset - c->decoder.offset;

        if (moved > STEP_NS || moved < -STEP_NS)
                c->decoder.offset = offset;
}

/* ---- containers ------------------------------------------------------------------------------- */

static uint64_t hash_of(uint32_t number)
{
        return cosmos__hash_mix(number);
}

static struct container *find_container(struct bpf_collector *c, uint32_t number)
{
        if (c->last && c->last->number == number)
                return c->last;
        for (struct cosmos__hash_node *n = cosmos__hash_first(&c->containers, hash_of(number)); n; n = n->next) {
                struct container *container = CONTAINER_OF(n, struct container, node);

                if (container->number == number)
                        return c->last = container;
        }
        return NULL;
}

static struct container *add_container(struct bpf_collector *c, uint32_t number, const char *id)
{
        struct container *container = find_container(c, number);

        if (container)
                return container;
        container = calloc(1, sizeof(*container));
        if (!container)
                return NULL;
        container->number = number;
        memcpy(container->id, id, WIRE_ID_SIZE);
        cosmos__hash_insert(&c->containers, &container->node, hash_of(number));
        return container;
}

/* Known by its record, or by the map if that found no room. */
static struct container *get_container(struct bpf_collector *c, uint32_t number)
{
        struct container *container = find_container(c, number);
        struct wire_state_of state;

        if (!container && bpf_map_lookup_elem(bpf_map__fd(c->skeleton->maps.containers), &number, &state) == 0)
                container = add_container(c, number, state.id);
        return container;
}

static void free_container(struct bpf_collector *c, struct container *container)
{
        if (!container)
                return;
        if (c->last == container)
                c->last = NULL;
        cosmos__hash_remove(&c->containers, &container->node);
        free(container);
}

static int bpf_ignore(cosmos_collector *base, const char *id)
{
        struct bpf_collector *c = CONTAINER_OF(base, struct bpf_collector, base);
        struct wire_state_of state;
        uint32_t number;

        if (strlen(id) != WIRE_ID_SIZE || c->phase != COLLECTING ||
            bpf_map_lookup_elem(bpf_map__fd(c->skeleton->maps.ids), id, &number) < 0 ||
            bpf_map_lookup_elem(bpf_map__fd(c->skeleton->maps.containers), &number, &state) < 0)
                return 0;
        state.state = WIRE_IGNORED;
        if (bpf_map_update_elem(bpf_map__fd(c->skeleton->maps.containers), &number, &state, BPF_EXIST) < 0)
                return errno == ENOENT ? 0 : -errno;
        __atomic_fetch_add(&c->skeleton->bss->shared.generation, 1, __ATOMIC_RELEASE);
        return 0;
}

/* ---- what no record tells --------------------------------------------------------------------------- */

struct totals {
        uint64_t seen, lost, untracked, other;
};

static struct totals count(const struct bpf_collector *c)
{
        struct totals t = {0};

        for (size_t i = 0; i < c->cpus; i++) {
                const volatile struct wire_counters *k = &c->skeleton->bss->counters[i];

                t.seen += k->seen;
                t.lost += k->lost;
                t.untracked += k->untracked;
                t.other += k->other;
        }
        return t;
}

static int add_grave(struct bpf_collector *c, const struct wire_head *head, unsigned long after)
{
        if (c->n_graves == c->grave_room) {
                size_t room = MAX(c->grave_room * 2, (size_t)64);
                struct grave *graves = reallocarray(c->graves, room, sizeof(*graves));

                if (!graves)
                        return -ENOMEM;
                c->graves = graves;
                c->grave_room = room;
        }
        c->graves[c->n_graves++] = (struct grave){*head, after};
        return 0;
}

/* Ends of threads that found no room. What the thread said before is in the ring already. */
static int dig(struct bpf_collector *c)
{
        int fd = bpf_map__fd(c->skeleton->maps.graves);
        struct wire_head head;

        while (bpf_map_lookup_and_delete_elem(fd, NULL, &head) == 0) {
                int r = add_grave(c, &head, produced(c));

                if (r < 0)
                        return r;
        }
        return 0;
}

static int run_iterator(struct bpf_program *program, int (*take)(void *userdata, const struct wire_head *head),
                        void *userdata)
{
        struct bpf_link *link = bpf_program__attach_iter(program, NULL);
        struct wire_head heads[64];
        int fd, r = 0;
        ssize_t n;

        if (!link)
                return -errno;
        fd = bpf_iter_create(bpf_link__fd(link));
        bpf_link__destroy(link);
        if (fd < 0)
                return -errno;
        while (r == 0 && ((n = read(fd, heads, sizeof(heads))) > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN))))
                for (ssize_t i = 0; r == 0 && take && i < n / (ssize_t)sizeof(heads[0]); i++)
                        r = take(userdata, &heads[i]);
        if (r == 0 && n < 0)
                r = -errno;
        close(fd);
        return r;
}

static int take_loss(void *userdata, const struct wire_head *head)
{
        struct bpf_collector *c = userdata;

        return add_grave(c, head, produced(c));
}

/* Fetch what was counted since the last look, but stands in no record. */
static int look_for_unsaid(struct bpf_collector *c, const struct totals *t)
{
        int r = 0;

        if (t->lost != c->known_lost) {
                c->known_lost = t->lost;
                c->base.stats.lost = t->lost;
                r = dig(c);
        }
        if (r == 0 && t->other != c->known_other) {
                c->known_other = t->other;
                c->unsaid_stops = true;
                r = run_iterator(c->skeleton->progs.cosmos_seed, NULL, NULL);
        }
        return r;
}

/* ---- a record's events -------------------------------------------------------------------------------- */

static void set_container(struct bpf_collector *c, uint32_t number)
{
        struct container *container = get_container(c, number);

        if (container)
                c->event.container_id = container->id;
}

/* The next event of the record that is being delivered. */
static const struct cosmos_event *next_of_record(struct bpf_collector *c)
{
        const struct wire_head *head = (const void *)c->record;

        c->event = (struct cosmos_event){0};
        if (c->rest & LOSS) {
                c->rest &= ~(unsigned int)LOSS;
                c->event.type = COSMOS_EVENT_LOSS;
                cosmos__bpf_head(&c->decoder, head, &c->event);
                c->event.loss_kind = COSMOS_LOSS_KERNEL;
                c->event.loss_count = head->lost;
        } else if (c->rest & CALL) {
                c->rest &= ~(unsigned int)CALL;
                cosmos__bpf_call(&c->decoder, c->record, c->record_size, &c->event);
        } else {
                c->rest = 0;
                c->event.type = COSMOS_EVENT_THREAD_EXIT;
                cosmos__bpf_head(&c->decoder, head, &c->event);
        }
        set_container(c, head->container);
        if (c->event.type != COSMOS_EVENT_LOSS) {
                c->base.stats.events++;
                c->event.seq = ++c->seq;
                c->event.known |= COSMOS_KNOWN_SEQ;
        }
        if (c->exe)
                c->event.exe = cosmos__exes_get(&c->exes, head->pid, head->proc_start);
        if (c->exe && !c->rest && (head->flags & WIRE_LAST)) {
                /* Its text stays for as long as the event is lent: see exe.c. */
                cosmos__exes_remove(&c->exes, head->pid, head->proc_start);
        }
        return &c->event;
}

static const struct cosmos_event *container_event(struct bpf_collector *c, enum cosmos_event_type type,
                                                  const struct container *container, uint64_t time)
{
        c->event = (struct cosmos_event){
            .type = type,
            .timestamp = time ? (int64_t)time + c->decoder.offset : cosmos__now(),
            .timestamp_digits = 9,
            .container_id = container->id,
        };
        return &c->event;
}

/* Ends of its threads that found no room are told first: the ring says nothing of them any more. */
static int stop_container(struct bpf_collector *c, uint32_t number, const char *id, uint64_t time)
{
        c->stopping = add_container(c, number, id);
        c->stop_time = time;
        return c->stopping ? dig(c) : -ENOMEM;
}

/* 1: `*ret` or the record has events; 0: it has none; negative: an error. */
static int take_record(struct bpf_collector *c, const struct cosmos_event **ret)
{
        const struct wire_head *head = (const void *)c->record;
        const struct wire_container *of_container = (const void *)c->record;
        struct container *container;

        c->base.stats.records++;
        if (cosmos__bpf_check(c->record, c->record_size) < 0) {
                c->base.stats.malformed++;
                return 0;
        }
        switch (head->type) {
        case WIRE_CALL:
        case WIRE_EXIT:
                c->rest = (head->lost ? LOSS : 0u) |
                          (head->type == WIRE_CALL || (head->flags & WIRE_HAS_CALL) ? CALL : 0u) |
                          (head->type == WIRE_EXIT ? END : 0u);
                if (head->lost && c->exe)
                        cosmos__exes_doubt(&c->exes, head->pid);
                *ret = next_of_record(c);
                return 1;
        case WIRE_PROCESS:
                return cosmos__exes_put(&c->exes, head->pid, head->proc_start,
                                        cosmos__bpf_exe(&c->decoder, c->record, c->record_size));
        case WIRE_FORK:
                return cosmos__exes_fork(&c->exes, head->pid, head->proc_start, head->nr);
        case WIRE_CONTAINER:
                container = add_container(c, head->container, of_container->id);
                if (!container)
                        return -ENOMEM;
                *ret = container_event(c, COSMOS_EVENT_CONTAINER_START, container, 0);
                return 1;
        case WIRE_STOP:
                return stop_container(c, head->container, of_container->id, head->time);
        case WIRE_SEED:
                return run_iterator(c->skeleton->progs.cosmos_seed, NULL, NULL);
        }
        return 0;
}

/* A thread's end that the ring does not hold, as if it did. */
static const struct cosmos_event *open_grave(struct bpf_collector *c, size_t i)
{
        c->grave_call = (struct wire_call){.head = c->graves[i].head};
        c->graves[i] = c->graves[c->next_grave++]; /* the one that is told changes places with the first */
        c->record = (const void *)&c->grave_call;
        c->record_size = sizeof(c->grave_call);
        c->rest = LOSS;
        if (c->next_grave == c->n_graves)
                c->next_grave = c->n_graves = 0;
        return next_of_record(c);
}

/* What is in the ring was said before. */
static bool grave_is_due(const struct bpf_collector *c)
{
        return c->next_grave < c->n_graves && c->position >= c->graves[c->next_grave].after;
}

static const struct cosmos_event *stop_or_grave(struct bpf_collector *c)
{
        for (size_t i = c->next_grave; i < c->n_graves; i++)
                if (c->graves[i].head.container == c->stopping->number)
                        return open_grave(c, i);
        c->stopped = TAKE_PTR(c->stopping);
        return container_event(c, COSMOS_EVENT_CONTAINER_STOP, c->stopped, c->stop_time);
}

/* A container's last cgroup went while there was no room to say so. 1: there is one. */
static int unsaid_stop(struct bpf_collector *c)
{
        int fd = bpf_map__fd(c->skeleton->maps.containers);
        uint32_t number, *previous = NULL, key;
        struct wire_state_of state;

        while (bpf_map_get_next_key(fd, previous, &number) == 0) {
                int r;

                key = number;
                previous = &key;
                if (bpf_map_lookup_elem(fd, &number, &state) < 0 || !state.gone)
                        continue;
                bpf_map_delete_elem(fd, &number);
                r = stop_container(c, number, state.id, 0);
                return r < 0 ? r : 1;
        }
        return 0;
}

static const struct cosmos_event *loss_of_all(struct bpf_collector *c)
{
        c->event = (struct cosmos_event){
            .type = COSMOS_EVENT_LOSS,
            .timestamp = cosmos__now(),
            .timestamp_digits = 9,
            .loss_kind = COSMOS_LOSS_KERNEL,
        };
        return &c->event;
}

/* ---- the collector ----------------------------------------------------------------------------------------- */

static const struct cosmos_event *begin_trace(struct bpf_collector *c)
{
        c->head_pending = false;
        cosmos__trace_head(&c->event, "bpf", c->hostname);
        c->event.calls = c->calls;
        return &c->event;
}

/* Nothing more is written, or soon will not be. 1: look again; 0: not yet; 2: all is told. */
static int finish(struct bpf_collector *c, struct cosmos_diag *reterr)
{
        struct totals t = count(c);
        int r;

        c->base.stats.seen = t.seen;
        c->base.stats.lost = t.lost;
        if ((c->position != produced(c) || t.seen != c->base.stats.events + t.lost) && cosmos__boottime() < c->end_at)
                return 0;
        if (c->asked_losses) {
                c->phase = ENDED;
                return 2;
        }
        c->asked_losses = true;
        r = dig(c);
        if (r == 0)
                r = run_iterator(c->skeleton->progs.cosmos_losses, take_loss, c);
        return r < 0 ? cosmos__fail(reterr, r, "cannot ask the kernel what was lost: %s", strerrordesc_np(-r)) : 1;
}

/* What is told between records. 1 and an event; 0: nothing; negative: an error. */
static int between(struct bpf_collector *c, const struct cosmos_event **ret, struct cosmos_diag *reterr)
{
        struct totals t = count(c);
        uint32_t graveless = c->skeleton->bss->shared.graveless;
        int r = look_for_unsaid(c, &t);

        if (r < 0)
                return cosmos__fail(reterr, r, "cannot ask the kernel what was lost: %s", strerrordesc_np(-r));
        if (grave_is_due(c)) {
                *ret = open_grave(c, c->next_grave);
                return 1;
        }
        if (graveless != c->known_graveless || t.untracked != c->known_untracked) {
                c->known_graveless = graveless;
                c->known_untracked = t.untracked;
                *ret = loss_of_all(c);
                return 1;
        }
        r = c->unsaid_stops ? unsaid_stop(c) : 0;
        c->unsaid_stops = r > 0;
        if (r > 0)
                *ret = stop_or_grave(c);
        return r < 0 ? cosmos__fail(reterr, r, "cannot take a container's stop in: %s", strerrordesc_np(-r)) : r;
}

static int bpf_next(cosmos_collector *base, const struct cosmos_event **ret_event, struct cosmos_diag *reterr)
{
        struct bpf_collector *c = CONTAINER_OF(base, struct bpf_collector, base);
        int r;

        if (c->rest) {
                *ret_event = next_of_record(c);
                return 1;
        }
        if (c->stopped) {
                free_container(c, c->stopped);
                c->stopped = NULL;
        }
        if (c->stopping) {
                *ret_event = stop_or_grave(c);
                return 1;
        }
        if (c->head_pending) {
                *ret_event = begin_trace(c);
                return 1;
        }
        for (;;) {
                if (c->position - c->committed >= COMMIT_BYTES)
                        commit(c);
                if (next_record(c)) {
                        c->fruitful = true;
                        r = take_record(c, ret_event);
                        if (r < 0)
                                return cosmos__fail(reterr, r, "cannot take an event in: %s", strerrordesc_np(-r));
                        if (r == 0 && c->stopping) {
                                *ret_event = stop_or_grave(c);
                                return 1;
                        }
                        if (r > 0)
                                return 1;
                        continue;
                }
                if (c->phase == ENDED)
                        return 2;
                look_at_clocks(c);
                r = between(c, ret_event, reterr);
                if (r != 0)
                        return r;
                if (c->phase == DRAINING) {
                        r = finish(c, reterr);
                        if (r < 0 || r == 2)
                                return r;
                        if (r == 1)
                                continue;
                }
                if (sleep_or_stay(c))
                        return 0;
        }
}

static int bpf_stop(cosmos_collector *base, struct cosmos_diag *reterr)
{
        struct bpf_collector *c = CONTAINER_OF(base, struct bpf_collector, base);

        (void)reterr;
        if (c->phase != COLLECTING)
                return 0;
        c->phase = DRAINING;
        c->skeleton->bss->shared.stopped = 1;
        cosmos_bpf__detach(c->skeleton);
        c->end_at = cosmos__boottime() + END_NS;
        c->fruitful = true; /* come back soon */
        return 0;
}

static int bpf_fd(const cosmos_collector *base)
{
        return CONTAINER_OF(base, struct bpf_collector, base)->epoll_fd;
}

static void free_containers(struct bpf_collector *c)
{
        if (!c->containers.buckets)
                return;
        for (size_t i = 0; i <= c->containers.mask; i++)
                while (c->containers.buckets[i])
                        free_container(c, CONTAINER_OF(c->containers.buckets[i], struct container, node));
        cosmos__hash_free(&c->containers);
}

static void bpf_free(cosmos_collector *base)
{
        struct bpf_collector *c = CONTAINER_OF(base, struct bpf_collector, base);

        unmap_ring(c);
        cosmos_bpf__destroy(c->skeleton);
        cosmos__closep(&c->epoll_fd);
        cosmos__closep(&c->timer_fd);
        free_containers(c);
        cosmos__exes_free(&c->exes);
        free(c->graves);
        free(c->calls);
        free(c);
}

static void bpf_freep(struct bpf_collector **c)
{
        if (*c)
                bpf_free(&(*c)->base);
}

static const struct cosmos__collector_ops bpf_ops = {
    .live = 1,
    .fd = bpf_fd,
    .next = bpf_next,
    .stop = bpf_stop,
    .free = bpf_free,
    .ignore = bpf_ignore,
};

/* ---- the programs ------------------------------------------------------------------------------------------- */

/* libbpf's messages have no address: one collector opens at a time, and the first
 * message that it gives is the reason of its failure. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static char *message; /* room for 256 bytes */

static int keep_message(enum libbpf_print_level level, const char *format, va_list args)
{
        char text[4096];
        size_t n;

        if (level != LIBBPF_WARN || !message || message[0])
                return 0;
        vsnprintf(text, sizeof(text), format, args);
        n = strcspn(text, "\n");
        snprintf(message, 256, "%.*s", (int)MIN(n, (size_t)255), text);
        return 0;
}

/* Does the kernel hide its memory from eBPF? Only then does this file say so. */
static bool locked_down(void)
{
        _cleanup_free_ char *text = NULL;
        size_t n;

        return cosmos__read_file("/sys/kernel/security/lockdown", 4096, &text, &n) == 0 &&
               strstr(text, "[confidentiality]");
}

static int explain(int error, const char *said, struct cosmos_diag *reterr)
{
        char quoted[256];

        if (error == -EPERM || error == -EACCES) {
                if (locked_down())
                        return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE,
                                            "eBPF can't be used: the kernel is locked down (confidentiality)");
                if (geteuid() != 0)
                        return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE,
                                            "eBPF can't be used: it needs root, or CAP_BPF and CAP_PERFMON");
        }
        return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE, "eBPF can't be used: %s%s%s", strerrordesc_np(-error),
                            said[0] ? ": " : "", cosmos__quote_str(quoted, sizeof(quoted), said));
}

static int load(struct bpf_collector *c, const struct wire_settings *settings, struct cosmos_diag *reterr)
{
        char said[256] = "";
        libbpf_print_fn_t before;
        int r = 0;

        pthread_mutex_lock(&opening);
        message = said;
        before = libbpf_set_print(keep_message);
        c->skeleton = cosmos_bpf__open();
        if (!c->skeleton)
                r = -errno;
        if (r == 0) {
                c->skeleton->rodata->settings = *settings;
                r = bpf_map__set_max_entries(c->skeleton->maps.ring, (uint32_t)c->ring_size);
        }
        if (r == 0)
                r = cosmos_bpf__load(c->skeleton);
        if (r < 0)
                r = explain(r, said, reterr);
        libbpf_set_print(before);
        message = NULL;
        pthread_mutex_unlock(&opening);
        return r;
}

static int attach(struct bpf_collector *c, struct cosmos_diag *reterr)
{
        int r = cosmos_bpf__attach(c->skeleton);

        if (r < 0)
                return explain(r, "", reterr);
        /* From here on all that comes to be is followed; then look at what was there before. */
        r = run_iterator(c->skeleton->progs.cosmos_seed, NULL, NULL);
        return r < 0 ? explain(r, "", reterr) : 0;
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

/* What would make the programs fail with a message that only experts understand. */
static int check_host(struct cosmos_diag *reterr)
{
        char ns[64];
        ssize_t n = readlink("/proc/self/ns/pid", ns, sizeof(ns) - 1);

        if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
                return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE,
                                    "eBPF can't be used: this kernel does not describe its types "
                                    "(/sys/kernel/btf/vmlinux: %s)",
                                    strerrordesc_np(errno));
        /* include/linux/proc_ns.h: PROC_PID_INIT_INO */
        if (n > 0 && (ns[n] = 0, strcmp(ns, "pid:[4026531836]") != 0))
                return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE,
                                    "eBPF can't be used: this is not the host's pid namespace (%s), so "
                                    "processes can't be told apart; run with --pid=host",
                                    ns);
        return 0;
}

/* What is wrong with them is told whatever this host can do. */
static int take_options(const struct cosmos_bpf_options *o, struct wire_settings *ret, struct cosmos_diag *reterr)
{
        if ((o->without & ~(COSMOS_BPF_EXE | COSMOS_BPF_TEXT)) ||
            (o->with & ~(COSMOS_BPF_FD_KIND | COSMOS_BPF_SIZE_CLASS | COSMOS_BPF_PATH_CLASS)))
                return cosmos__fail(reterr, -EINVAL, "cosmos_bpf_options: without %#x or with %#x is not known",
                                    o->without, o->with);
        if ((o->with & COSMOS_BPF_PATH_CLASS) && (o->without & COSMOS_BPF_TEXT))
                return cosmos__fail(reterr, -EINVAL, "the class of a path needs its text");
        if (o->ring_bytes &&
            (o->ring_bytes < RING_MIN || o->ring_bytes > RING_MAX || (o->ring_bytes & (o->ring_bytes - 1))))
                return cosmos__fail(reterr, -EINVAL,
                                    "cosmos_bpf_options: ring_bytes is %u, not a power of 2 from %u to %u",
                                    o->ring_bytes, RING_MIN, RING_MAX);
        *ret = (struct wire_settings){
            .exe = !(o->without & COSMOS_BPF_EXE),
            .text = !(o->without & COSMOS_BPF_TEXT),
            .fd_kind = !!(o->with & COSMOS_BPF_FD_KIND),
        };
        return cosmos__bpf_calls(ret, o->calls, o->n_calls, reterr);
}

static int open_descriptors(struct bpf_collector *c, struct cosmos_diag *reterr)
{
        struct epoll_event event = {.events = EPOLLIN};

        c->ring_fd = bpf_map__fd(c->skeleton->maps.ring);
        c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (c->timer_fd < 0 || c->epoll_fd < 0 || epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->ring_fd, &event) < 0 ||
            epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->timer_fd, &event) < 0)
                return cosmos__fail(reterr, -errno, "cannot open a descriptor: %s", strerrordesc_np(errno));
        set_timer(c, IDLE_NS);
        return map_ring(c, reterr);
}

/* The names in order, with commas between: for the head of the trace. */
static int join_calls(struct bpf_collector *c, const struct cosmos_bpf_options *o)
{
        _cleanup_free_ const char **names = NULL;
        size_t size = 1;
        char *p;

        if (o->n_calls == 0)
                return 0;
        names = calloc(o->n_calls, sizeof(*names));
        for (size_t i = 0; names && i < o->n_calls; i++) {
                names[i] = o->calls[i];
                size += strlen(names[i]) + 1;
        }
        c->calls = names ? malloc(size) : NULL;
        if (!c->calls)
                return -ENOMEM;
        qsort(names, o->n_calls, sizeof(*names), cosmos__compare_strings);
        p = c->calls;
        for (size_t i = 0; i < o->n_calls; i++)
                if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
                        p += sprintf(p, "%s%s", i ? "," : "", names[i]);
        return 0;
}

static int prepare(struct bpf_collector *c, const struct cosmos_bpf_options *o)
{
        long ticks = sysconf(_SC_CLK_TCK);

        c->base = (cosmos_collector){.ops = &bpf_ops, .log = o->log};
        c->cpus = MIN((size_t)libbpf_num_possible_cpus(), (size_t)WIRE_CPUS); /* an error is a large number */
        c->timer_fd = c->epoll_fd = -1;
        c->ring_size = o->ring_bytes ? o->ring_bytes : RING_BYTES;
        c->exe = !(o->without & COSMOS_BPF_EXE);
        c->head_pending = true;
        c->decoder.tick = (uint64_t)(1000000000 / (ticks > 0 ? ticks : 100));
        c->decoder.with = o->with;
        cosmos__bpf_sizes(&c->decoder.sizes);
        look_at_clocks(c);
        if (cosmos__hash_init(&c->containers, CONTAINERS) < 0 || cosmos__exes_init(&c->exes, c->decoder.tick) < 0)
                return -ENOMEM;
        return join_calls(c, o);
}

COSMOS_API int cosmos_collector_open_bpf(cosmos_collector **ret, const struct cosmos_bpf_options *options,
                                         struct cosmos_diag *reterr)
{
        _cleanup_(bpf_freep) struct bpf_collector *c = NULL;
        struct wire_settings settings;
        struct cosmos_bpf_options o;
        int r;

        r = cosmos__options(&o, sizeof(o), options, "cosmos_bpf_options", reterr);
        if (r == 0)
                r = take_options(&o, &settings, reterr);
        if (r == 0)
                r = check_host(reterr);
        if (r < 0)
                return r;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        r = prepare(c, &o);
        if (r == 0)
                r = load(c, &settings, reterr);
        if (r == 0)
                r = open_descriptors(c, reterr);
        if (r == 0)
                r = attach(c, reterr);
        if (r < 0)
                return r;
        *ret = &TAKE_PTR(c)->base;
        return 0;
}
