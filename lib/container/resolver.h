/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver from the inside: what its files share. */
#ifndef COSMOS_CONTAINER_RESOLVER_H
#define COSMOS_CONTAINER_RESOLVER_H

#include "container/proc.h"
#include "container/select.h"
#include "container/table.h"

#include <cosmos/container.h>

#define COSMOS__SECOND INT64_C(1000000000)

/* One event that is to come out. */
struct cosmos__pending {
        enum cosmos_event_type type; /* CALL stands for the event that was fed */
        struct cosmos__container *container;
        int64_t timestamp;
        uint32_t timestamp_digits;
        int32_t pid; /* LOSS */
        uint64_t proc_start;
};

struct cosmos_resolver {
        struct cosmos_log log;
        struct cosmos__select select;
        bool live, detect_unaudited;
        struct cosmos__proc proc;
        char *cgroup_root, *docker_root; /* docker_root NULL: to be found out */
        char *docker_found;              /* where the last container's state was */
        struct cosmos__table table;
        struct cosmos__who passing;       /* an answer for one event that is not worth an entry */
        struct cosmos__list silent;       /* processes to check for being unaudited; the next one first */
        int64_t created, ticked, checked; /* boot times */
        bool warned;                      /* that names can't be read */

        struct cosmos__pending *queue;
        size_t queue_first, queue_n, queue_room;
        struct cosmos_event in, out;
        uint32_t pulled;                    /* events by pull(), modulo 2^32 */
        bool fed;                           /* `in` waits in the queue: the caller's strings are in use */
        struct cosmos__container *unwanted; /* to be told to the collector; NULL: none */
};

/* lookup.c: who made this call? The answer is lent until the next call here. */
int cosmos__lookup(struct cosmos_resolver *r, const struct cosmos_event *event, int64_t now,
                   const struct cosmos__who **ret);
/* The same for a process that runs now, when nothing is known from events. -ESRCH: it is gone. */
int cosmos__lookup_running(struct cosmos_resolver *r, int32_t pid, int64_t now, struct cosmos__process **ret);
/* Ask /proc whether it is still there; updates `who.flags`. */
bool cosmos__lookup_alive(struct cosmos_resolver *r, struct cosmos__process *process, int64_t now);
/* Is this event a program's successful start? */
bool cosmos__is_exec(const struct cosmos_event *event);

/* The container of an id, made if it is new. -ENOMEM. */
int cosmos__lookup_id(struct cosmos_resolver *r, const char *id, struct cosmos__container **ret);

/* names.c: find out name and image if that is still to be done, and with them
 * whether the container is selected. `pid`: one of its processes, or 0. */
int cosmos__names_find(struct cosmos_resolver *r, struct cosmos__container *container, int32_t pid, int64_t now);
/* The same before it has a process of its own: only where state is known to be kept. */
int cosmos__names_find_early(struct cosmos_resolver *r, struct cosmos__container *container, int64_t now);

/* unaudited.c */
void cosmos__unaudited_add(struct cosmos_resolver *r, struct cosmos__process *process);
int cosmos__unaudited_check(struct cosmos_resolver *r, int64_t now);

/* resolver.c */
int cosmos__queue_push(struct cosmos_resolver *r, const struct cosmos__pending *pending);
/* Is this event of a replay wanted? */
bool cosmos__replay_passes(const struct cosmos_resolver *r, const struct cosmos_event *event);

#endif
