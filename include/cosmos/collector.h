/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collector: a source of events. Live from the kernel, or replayed from a file;
 * the same handle and the same events, whatever the source.
 *
 * Events are pulled: wait until fd() is readable, then call next() until it
 * says that there is nothing yet.
 *
 * Thread safety: one thread at a time for each collector.
 * Memory: bounded; nothing is allocated for an event once the buffers are warm.
 */
#ifndef COSMOS_COLLECTOR_H
#define COSMOS_COLLECTOR_H

#include <cosmos/error.h>
#include <cosmos/event.h>
#include <cosmos/log.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_collector cosmos_collector;

/* What an event of the bpf backend can do without, and what can be added to it. What
 * is off is not looked at in the kernel either. */
#define COSMOS_BPF_EXE (1u << 0)        /* the program's path */
#define COSMOS_BPF_TEXT (1u << 1)       /* path, argv, addr: for people */
#define COSMOS_BPF_FD_KIND (1u << 2)    /* fd_kind */
#define COSMOS_BPF_SIZE_CLASS (1u << 3) /* size_class */
#define COSMOS_BPF_PATH_CLASS (1u << 4) /* path_class; needs TEXT */

struct cosmos_bpf_options {
        size_t size;           /* sizeof(struct cosmos_bpf_options) */
        struct cosmos_log log; /* says what is not as it should be, but goes on */
        uint32_t without;      /* of COSMOS_BPF_EXE and _TEXT */
        uint32_t with;         /* of COSMOS_BPF_FD_KIND, _SIZE_CLASS and _PATH_CLASS */
        /* The calls to collect, by name; n_calls 0: all. Ends of threads always come. */
        const char *const *calls;
        size_t n_calls;
        /* Room for events on their way, about 150 bytes each: a power of 2 from 64 KiB
         * to 1 GiB. 0: 16 MiB. */
        uint32_t ring_bytes;
};

/*
 * Collect the calls of all containers with eBPF: by thread and in order, with no
 * measurable cost to them. The default wherever the kernel allows it.
 *
 * Needs Linux 5.15 or later with BTF, x86-64, CAP_BPF and CAP_PERFMON, and the host's pid namespace.
 * -COSMOS_EUNAVAILABLE, with the reason and what to do, where it can't be: take the audit
 * backend. Nothing of the kernel's state is changed: when the process ends, however
 * it does, the programs are gone. Any number of collectors may run at once.
 *
 * A container is known from its first call, by its cgroup; a container's trace begins with
 * the execve of its own program. Events have tid, thread_start and container_id. The
 * calls of the calling process are left out. Losses are told by thread.
 * docs/bpf.md says how each odd case is seen. `options` may be NULL.
 *
 * While it opens, libbpf's print function (libbpf_set_print) is ours, then again what it was.
 * Source: Linux include/trace/events/syscalls.h, sched.h, cgroup.h; kernel/bpf/ringbuf.c.
 */
int cosmos_collector_open_bpf(cosmos_collector **ret, const struct cosmos_bpf_options *options,
                              struct cosmos_diag *reterr);

/*
 * The calls of this container are not wanted: they need not be delivered any more. The
 * bpf backend stops them in the kernel; others do nothing. Returns 0, also where the container
 * is not known.
 */
int cosmos_collector_ignore(cosmos_collector *collector, const char *container_id);

struct cosmos_audit_options {
        size_t size;           /* sizeof(struct cosmos_audit_options) */
        struct cosmos_log log; /* says what was restored after an earlier collector's death */
        /* Records that the kernel may queue for us before it drops (and counts)
         * them; about 1 KiB of kernel memory each. 0: 65536. */
        uint32_t backlog_limit;
        /* Where the host's own settings are written before they are changed, so
         * that cosmos_audit_mend() can restore them. NULL: "/run/cosmos". */
        const char *state_dir;
};

/*
 * Collect every call of the host with the kernel's audit system.
 *
 * Needs CAP_AUDIT_CONTROL in the initial namespaces. Becomes the owner of the
 * audit stream (-COSMOS_EOWNER, naming it, if another live process is), loads
 * rules, and sets backlog_wait_time to 0 so that no audited process ever waits.
 * Whatever is changed in the kernel is restored by cosmos_collector_stop() and
 * cosmos_collector_free(); after a crash by cosmos_audit_mend(). The calling
 * process is not audited. `options` may be NULL.
 *
 * audit does not say which thread made a call: events have no tid.
 * Source: audit(7), Linux kernel/audit.c, kernel/auditsc.c.
 */
int cosmos_collector_open_audit(cosmos_collector **ret, const struct cosmos_audit_options *options,
                                struct cosmos_diag *reterr);

/*
 * Restore what a collector that died (SIGKILL, a crash) had changed in the
 * kernel. Returns 1 if something was restored, 0 if there was nothing to do
 * (also while the collector that wrote the state is alive). open_audit() does
 * this first by itself. `state_dir` as in the options.
 */
int cosmos_audit_mend(const char *state_dir, struct cosmos_diag *reterr);

struct cosmos_replay_options {
        size_t size;           /* sizeof(struct cosmos_replay_options) */
        struct cosmos_log log; /* one warning for each line that is skipped, with its number */
};

/*
 * Replay a trace (JSON Lines, see docs/formats.md) or a log of auditd
 * (audit.log); which of the two is seen from the first line. A log gets a
 * head like that of a trace, with the source "audit". `path` "-" is
 * standard input. An empty file is -COSMOS_EFORMAT. A line that can't be read
 * is skipped, counted as malformed and warned about (the first 20 by number,
 * then the total at the end), and followed by a loss event: it may have been a
 * call of any process. A line may have up to 16 MiB.
 *
 * Either may be compressed with gzip, in a file or a pipe: its first two bytes say so, not
 * its name. Several gzip files one after the other are one, as for gzip(1), and zeros may follow.
 * Where the compressed data is damaged, cut off, or followed by anything else, next() delivers the
 * events of the whole lines before, then -COSMOS_EFORMAT with the place, then the end.
 * Source: RFC 1952.
 */
int cosmos_collector_open_replay(cosmos_collector **ret, const char *path, const struct cosmos_replay_options *options,
                                 struct cosmos_diag *reterr);

/* The descriptor to wait on (poll, epoll: readable); owned by the collector.
 * For a regular file it is always readable. */
int cosmos_collector_fd(const cosmos_collector *collector);

/*
 * The next event. Returns 1 and lends it in `ret_event` until the next call;
 * 0: nothing yet, wait on fd(); 2: the end, for ever; negative: an error.
 */
int cosmos_collector_next(cosmos_collector *collector, const struct cosmos_event **ret_event,
                          struct cosmos_diag *reterr);

/* Stop collecting: the kernel is restored at once, then next() delivers what was
 * still on its way, and then the end. A replay ends at once. Idempotent. */
int cosmos_collector_stop(cosmos_collector *collector, struct cosmos_diag *reterr);

struct cosmos_collector_stats {
        size_t size;         /* sizeof(struct cosmos_collector_stats) */
        uint64_t records;    /* records or lines read */
        uint64_t events;     /* events delivered, loss events not counted */
        uint64_t lost;       /* records (bpf: events) that the kernel says it dropped */
        uint64_t overruns;   /* times that the socket's buffer overflowed */
        uint64_t malformed;  /* records or lines that could not be parsed */
        uint64_t incomplete; /* events delivered without all of their records */
        uint64_t ignored;    /* well-formed records or lines that are not calls */
        /* bpf: calls and ends of threads that the programs in the kernel saw. After the
         * end: seen = events + lost. */
        uint64_t seen;
};

void cosmos_collector_get_stats(const cosmos_collector *collector, struct cosmos_collector_stats *ret);

/* 1 if events are live (processes can be looked up in /proc), 0 for a replay. */
int cosmos_collector_is_live(const cosmos_collector *collector);

/* Takes NULL; restores the kernel if that is still to be done. Returns NULL. */
cosmos_collector *cosmos_collector_free(cosmos_collector *collector);

#ifdef __cplusplus
}
#endif
#endif
