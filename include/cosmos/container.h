/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Container resolver: which container made this call?
 *
 * Live: by the process's cgroup path; by walking its parents to a container
 * shim; by inheritance from its parent when the process is already gone. The
 * cache is keyed by pid and start time, since pids are reused. Name and image
 * come from the runtime's state on disk (Docker). Events of a collector that says by
 * itself which container they are of (bpf) are believed: only names are looked up, and
 * with pull() the collector is told which containers are not wanted. Replay: by what the trace
 * says; nothing is looked up on this machine.
 *
 * It is a filter: feed() it an event, then take what comes out with next()
 * until that returns 0: perhaps a container_start, then the event with its
 * container filled in, or nothing if it is not selected.
 *
 * A container's trace begins with the first execve that succeeds in it: what
 * the runtime's own init process did before that is not the container's.
 *
 * Thread safety: one thread at a time for each resolver.
 * Limits: 65,536 processes and 4,096 containers; past that the least recently
 * used are forgotten and looked up again when they act.
 */
#ifndef COSMOS_CONTAINER_H
#define COSMOS_CONTAINER_H

#include <cosmos/collector.h>
#include <cosmos/error.h>
#include <cosmos/event.h>
#include <cosmos/log.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_resolver cosmos_resolver;

struct cosmos_resolver_options {
        size_t size; /* sizeof(struct cosmos_resolver_options) */
        struct cosmos_log log;
        /* Containers to let through: each a name, the first 4 or more digits of
         * an id, or an image with or without its tag. n_select 0: live, every
         * container; in a replay, every event. Copied. */
        const char *const *select;
        size_t n_select;
        int live; /* 1: look processes up; 0: replay */
        /* Live only: find container processes that act but are never reported,
         * and say so (COSMOS_LOSS_UNAUDITED). For the audit backend. */
        int detect_unaudited;
        const char *proc_root;   /* NULL: "/proc" */
        const char *cgroup_root; /* NULL: "/sys/fs/cgroup" */
        const char *docker_root; /* NULL: "/var/lib/docker", else where the container's own mounts
                                    say that its state is */
};

/* `options` may be NULL: live, every container. Live, this looks at all running
 * processes once; containers that run already come out of next() at once. */
int cosmos_resolver_new(cosmos_resolver **ret, const struct cosmos_resolver_options *options,
                        struct cosmos_diag *reterr);

/* Take an event in; its strings must stay valid until next() has returned 0.
 * NULL: a tick: live, call it about once a second, and after each event-less
 * wait; finds out which containers have stopped. Call next() after it too. */
int cosmos_resolver_feed(cosmos_resolver *resolver, const struct cosmos_event *event, struct cosmos_diag *reterr);

/* 1 and an event, lent until the next call; 0: nothing (more). */
int cosmos_resolver_next(cosmos_resolver *resolver, const struct cosmos_event **ret_event);

/*
 * feed() and next() over all that a collector has: the next event of
 * `collector`, resolved, with the ticks made when they are due. Returns as
 * cosmos_collector_next(): 1 an event; 0: nothing yet, wait on the collector's
 * fd for up to a second; 2: the end; negative: an error.
 */
int cosmos_resolver_pull(cosmos_resolver *resolver, cosmos_collector *collector, const struct cosmos_event **ret_event,
                         struct cosmos_diag *reterr);

/* Number of containers that are known and selected now. */
size_t cosmos_resolver_count(const cosmos_resolver *resolver);

/* Takes NULL. Returns NULL. */
cosmos_resolver *cosmos_resolver_free(cosmos_resolver *resolver);

#ifdef __cplusplus
}
#endif
#endif
