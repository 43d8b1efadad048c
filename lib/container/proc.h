/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc: the one file that reads it. Its root is a parameter, so that tests use
 * a folder of their own.
 *
 * -ESRCH everywhere: there is no such process (any more).
 */
#ifndef COSMOS_CONTAINER_PROC_H
#define COSMOS_CONTAINER_PROC_H

#include "base/buffer.h"
#include "container/cgroup.h"

#include <cosmos/error.h>

#include <dirent.h>
#include <stdint.h>

struct cosmos__proc {
        int root;
        long ticks; /* of start times, a second */
        struct cosmos__buffer text;
};

struct cosmos__proc_stat {
        char comm[16];
        int32_t ppid;
        uint32_t flags; /* the kernel's PF_* */
        uint64_t start; /* clock ticks since boot */
};

/* include/linux/sched.h */
#define COSMOS__PF_EXITING 0x00000004u
#define COSMOS__PF_FORKNOEXEC 0x00000040u

int cosmos__proc_open(struct cosmos__proc *ret, const char *root, struct cosmos_diag *reterr);
void cosmos__proc_close(struct cosmos__proc *proc);

/* Pure: the text of /proc/PID/stat. 0 or -COSMOS_EFORMAT. */
int cosmos__proc_parse_stat(const char *text, struct cosmos__proc_stat *ret);

int cosmos__proc_stat(struct cosmos__proc *proc, int32_t pid, struct cosmos__proc_stat *ret);

/* When a process that started at `ticks` since boot did so, in ns since 1970. */
int64_t cosmos__proc_start_time(const struct cosmos__proc *proc, uint64_t ticks);

/* 1 and the container, lent until the next call here; 0: a process of the host. */
int cosmos__proc_cgroup(struct cosmos__proc *proc, int32_t pid, struct cosmos__cgroup *ret);

/* The container that a containerd-shim was started for: "-id ID" on its command
 * line. 0 or -ENOENT. */
int cosmos__proc_shim_id(struct cosmos__proc *proc, int32_t pid, char id[COSMOS__ID_SIZE]);

/* 1: the two share a mount namespace; 0: they do not; negative: not known. */
int cosmos__proc_same_mounts(struct cosmos__proc *proc, int32_t a, int32_t b);

/* Voluntary context switches of all threads, which is how often the process
 * waited for something. */
int cosmos__proc_switches(struct cosmos__proc *proc, int32_t pid, uint64_t *ret);

/*
 * Where Docker keeps its state, as the mounts of a process of container `id`
 * tell: its /etc/hostname is a mount of <root>/containers/ID/hostname. The
 * mount names that folder from the root of its file system, so each `n`-th
 * answer is a guess at the path on this host. -ENOENT: no more of them.
 */
int cosmos__proc_docker_root(struct cosmos__proc *proc, int32_t pid, const char *id, unsigned int n, char **ret);

/* The same from a Docker daemon's own command line ("--data-root"). -ENOENT: it
 * does not say, or is no daemon of root's. */
int cosmos__proc_dockerd_root(struct cosmos__proc *proc, int32_t pid, char **ret);

/* All processes: NULL on error; 0 at the end. closedir() it. */
DIR *cosmos__proc_list(struct cosmos__proc *proc);
int32_t cosmos__proc_list_next(DIR *dir);

#endif
