/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver's two tables: processes by pid, containers by id. Both are
 * bounded and know their least recently used entry; a process belongs to at
 * most one container.
 *
 * Nothing is dropped behind a caller's back: tables grow by what one event
 * brings, and cosmos__table_trim() is called between events.
 */
#ifndef COSMOS_CONTAINER_TABLE_H
#define COSMOS_CONTAINER_TABLE_H

#include "base/hash.h"
#include "base/list.h"
#include "container/cgroup.h"

#include <stdbool.h>
#include <stdint.h>

#define COSMOS__PROCESSES_MAX 65536u
#define COSMOS__CONTAINERS_MAX 4096u

struct cosmos__container {
        struct cosmos__hash_node node;
        struct cosmos__list used;      /* least recently used first; when removed: in `removed` */
        struct cosmos__list processes; /* that are its own */
        struct cosmos__list runtime;   /* of the host that work for it: see struct cosmos__who */
        char id[COSMOS__ID_SIZE];
        char *name, *image; /* NULL: not known */
        bool named;         /* nothing more is to be found out about them */
        unsigned int name_tries;
        int64_t name_next;  /* boot time of the next try */
        int64_t name_early; /* likewise, before it has a process of its own */
        char *cgroup;       /* its folder; NULL: not found, go by its processes */
        int64_t gone;       /* boot time of the tick that first saw it gone; 0: it is there */
        bool selected;
        bool started; /* its start was delivered; implies selected */
        bool warned;  /* of processes that are not audited */
        bool told;    /* the collector knows containers, and says when this one stops */
        bool ignored; /* the collector was told that it is not wanted */
};

/* What is known of a process: the answer to "who made this call?". */
struct cosmos__who {
        struct cosmos__container *container; /* NULL: of the host */
        /* Else, perhaps: the container that this process of the host works for,
         * being its shim or started by that. Its children belong to the container
         * unless they too are the runtime's own. */
        struct cosmos__container *serves;
        uint64_t start;   /* ticks since boot, with COSMOS__WHO_START */
        int64_t start_ns; /* the same as a timestamp */
        unsigned int flags;
};

#define COSMOS__WHO_START (1u << 0)
/* The runtime's init, in its container already, which has not executed the
 * container's program yet: what it does is not the container's. */
#define COSMOS__WHO_PRE_EXEC (1u << 1)
/* Its parent is not of its container: the container's init, or an "exec". */
#define COSMOS__WHO_ROOT (1u << 2)
/* It is the shim of the container that it serves. */
#define COSMOS__WHO_SHIM (1u << 3)
/* It was gone when it was last looked for. */
#define COSMOS__WHO_GONE (1u << 4)

struct cosmos__process {
        struct cosmos__hash_node node;
        struct cosmos__list used;   /* least recently used first */
        struct cosmos__list peers;  /* in the container's `processes` or `runtime` */
        struct cosmos__list silent; /* in the resolver's list of processes that no event came from yet */
        int32_t pid;
        struct cosmos__who who;
        int64_t verified;  /* boot time at which /proc was last asked */
        int64_t last_used; /* boot time of the last event */
        int64_t until;     /* timestamp from which on events with this pid are of a later process */
        uint64_t switches; /* voluntary context switches when first seen, while in `silent` */
};

struct cosmos__table {
        struct cosmos__hash processes, containers;
        struct cosmos__list processes_used, containers_used;
        struct cosmos__list removed; /* containers whose strings may still be lent */
        size_t hand;                 /* of cosmos__table_sweep() */
};

int cosmos__table_init(struct cosmos__table *ret);
void cosmos__table_free(struct cosmos__table *table);

struct cosmos__process *cosmos__process_find(const struct cosmos__table *table, int32_t pid);
/* Make `who` the answer for this pid, whatever was before. NULL: no memory. */
struct cosmos__process *cosmos__process_put(struct cosmos__table *table, int32_t pid, const struct cosmos__who *who);
void cosmos__process_used(struct cosmos__table *table, struct cosmos__process *process);
void cosmos__process_remove(struct cosmos__table *table, struct cosmos__process *process);

/* Found or made; it becomes the most recently used. NULL: no memory. */
struct cosmos__container *cosmos__container_get(struct cosmos__table *table, const char *id, bool *ret_new);
/* With all of its processes. Its strings live on until cosmos__table_reap(). */
void cosmos__container_remove(struct cosmos__table *table, struct cosmos__container *container);

/* Back to the limits. */
void cosmos__table_trim(struct cosmos__table *table);
/* Free the removed containers. */
void cosmos__table_reap(struct cosmos__table *table);

/* Visit up to about `n` processes, another `n` with each call, so that all get their
 * turn. `visit` may remove the process that it is given, no other. */
void cosmos__table_sweep(struct cosmos__table *table, size_t n,
                         void (*visit)(void *userdata, struct cosmos__process *process), void *userdata);

#endif
