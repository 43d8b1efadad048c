/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who made this call?
 *
 * An event names a pid, and is processed some time after the call: the process
 * may be gone by then, and its pid another's. So every answer from /proc is
 * compared with the event's time, and what was found out while a process lived
 * is kept for its late events. In order:
 *
 *   1. the cache, asked again with /proc/PID/stat when older than a second;
 *   2. /proc/PID/cgroup;
 *   3. where that names no container: the process's ancestors, up to a member of
 *      a container (it moved itself out of its cgroup) or a containerd-shim
 *      (containers without cgroups);
 *   4. where the process is gone: its parent, by the same means;
 *   5. where that is the host's: the command line that a shim was started with, as
 *      the event tells it. So a container that has come and gone before its first
 *      record is read is still known, by its shim.
 *
 * A successful execve always asks anew: a runtime forks a process on the host,
 * moves it into the container's cgroup, and there it executes the program.
 *
 * The runtime's init. What that process does in the container before it executes
 * the program is not the container's, so it is marked (PRE_EXEC) until its
 * execve. It is known by its name, which a process can choose, and by a parent
 * that is not of the same container, which it can not: only the runtime starts
 * processes from outside, and an orphan goes to the container's own init. So a
 * process inside that calls itself "runc:[2:INIT]" hides nothing. (A container
 * that shares the host's pid namespace is the exception: there an orphan goes to
 * the shim. But such a container has been given the host anyway.)
 */
#include "container/resolver.h"

#include "base/base.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define FRESH_NS COSMOS__SECOND
#define ANCESTORS_MAX 64

/* Start times are rounded down to a tick (10 ms), an audit event's time to a
 * millisecond of a clock that itself advances in steps of up to 10 ms. */
#define TOLERANCE_NS INT64_C(20000000)

/* The process that is looked up, as the event (or, at the start, /proc) has it. */
struct subject {
        int32_t pid;
        int32_t ppid; /* 0: not known */
        int64_t timestamp;
        int64_t now;
        const char *comm, *exe, *argv; /* may be NULL */
        bool exec;                     /* it has just executed a program */
        bool by_root;
        bool running;        /* it is as /proc says: there is no event */
        uint32_t task_flags; /* from /proc; 0: not known */
        char own_comm[16];   /* likewise */
};

bool cosmos__is_exec(const struct cosmos_event *event)
{
        return event->type == COSMOS_EVENT_CALL && (event->known & COSMOS_KNOWN_RET) && event->ret == 0 &&
               event->syscall && (strcmp(event->syscall, "execve") == 0 || strcmp(event->syscall, "execveat") == 0);
}

static bool has_prefix(const char *s, const char *prefix)
{
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_shim(const char *comm)
{
        return has_prefix(comm, "containerd-shim");
}

static bool is_runtime(const char *name)
{
        return strcmp(name, "runc") == 0 || has_prefix(name, "runc:[") || strcmp(name, "crun") == 0 ||
               strcmp(name, "conmon") == 0 || strcmp(name, "containerd") == 0 || is_shim(name);
}

/*
 * Is this program the runtime's own? runc executes itself once more, out of the
 * container's reach (CVE-2019-5736): a copy in memory, or through a mount that is
 * in no namespace, and so is "/" by name. By then it may be in the container's
 * cgroup, but not yet among its mounts.
 */
static bool is_runtime_exe(const char *exe)
{
        const char *slash = strrchr(exe, '/');

        return strcmp(exe, "/") == 0 || has_prefix(exe, "/memfd:runc_cloned:") || is_runtime(slash ? slash + 1 : exe);
}

/* Of an execve the program's path is told; its name may still be the old one. */
static bool seems_runtime(const struct subject *s)
{
        if (s->exec && s->exe)
                return is_runtime_exe(s->exe);
        return s->comm && is_runtime(s->comm) && !(s->exec && has_prefix(s->comm, "runc:["));
}

/* ---- containers ------------------------------------------------------------ */

static int try_cgroup(struct cosmos_resolver *r, struct cosmos__container *container, const char *hierarchy,
                      size_t n_hierarchy, const struct cosmos__cgroup *cgroup)
{
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%.*s%.*s", r->cgroup_root, (int)n_hierarchy, hierarchy, (int)cgroup->n_path,
                     cgroup->path) < 0)
                return -ENOMEM;
        if (access(path, F_OK) < 0)
                return 0;
        container->cgroup = TAKE_PTR(path);
        return 1;
}

/* The folder of a container's cgroup: when that goes, the container is gone. */
static int find_cgroup(struct cosmos_resolver *r, struct cosmos__container *container,
                       const struct cosmos__cgroup *cgroup)
{
        const char *controllers = cgroup->controllers, *comma;
        size_t n = cgroup->n_controllers;
        int found;

        /* From another cgroup namespace a path may begin with "/..": no name on this side. */
        if (memmem(cgroup->path, cgroup->n_path, "/..", 3))
                return 0;
        if (n == 0) {
                found = try_cgroup(r, container, "", 0, cgroup);
                return found ? found : try_cgroup(r, container, "unified", strlen("unified"), cgroup);
        }
        if (n > strlen("name=") && memcmp(controllers, "name=", strlen("name=")) == 0) {
                controllers += strlen("name=");
                n -= strlen("name=");
        }
        found = try_cgroup(r, container, controllers, n, cgroup);
        comma = memchr(controllers, ',', n);
        if (found || !comma)
                return found;
        return try_cgroup(r, container, controllers, (size_t)(comma - controllers), cgroup);
}

int cosmos__lookup_id(struct cosmos_resolver *r, const char *id, struct cosmos__container **ret)
{
        bool is_new;
        struct cosmos__container *container = cosmos__container_get(&r->table, id, &is_new);

        if (!container)
                return -ENOMEM;
        if (is_new)
                container->selected = cosmos__select_match(&r->select, container->id, NULL, NULL);
        *ret = container;
        return 0;
}

/* 1 and the container that the process's cgroup names; 0: it names none; negative: an error. */
static int container_by_cgroup(struct cosmos_resolver *r, int32_t pid, struct cosmos__container **ret)
{
        struct cosmos__cgroup cgroup;
        int found = cosmos__proc_cgroup(&r->proc, pid, &cgroup), error;

        if (found <= 0)
                return found;
        error = cosmos__lookup_id(r, cgroup.id, ret);
        if (error == 0 && !(*ret)->cgroup)
                error = find_cgroup(r, *ret, &cgroup);
        return error < 0 ? error : 1;
}

/* ---- the cache -------------------------------------------------------------- */

/* Ask /proc whether `process` is still the one with this pid. */
static void verify(struct cosmos_resolver *r, struct cosmos__process *process, int64_t now)
{
        struct cosmos__proc_stat stat;

        process->verified = now;
        process->until = INT64_MAX;
        if (cosmos__proc_stat(&r->proc, process->pid, &stat) < 0) {
                process->who.flags |= COSMOS__WHO_GONE;
        } else if ((process->who.flags & COSMOS__WHO_START) && stat.start == process->who.start) {
                process->who.start_ns = cosmos__proc_start_time(&r->proc, stat.start);
                process->who.flags &= ~COSMOS__WHO_GONE;
        } else {
                process->who.flags |= COSMOS__WHO_GONE;
                process->until = cosmos__proc_start_time(&r->proc, stat.start) - TOLERANCE_NS;
        }
}

bool cosmos__lookup_alive(struct cosmos_resolver *r, struct cosmos__process *process, int64_t now)
{
        if (now - process->verified >= FRESH_NS)
                verify(r, process, now);
        return !(process->who.flags & COSMOS__WHO_GONE);
}

static bool too_early(const struct cosmos__who *who, int64_t timestamp)
{
        return (who->flags & COSMOS__WHO_START) && timestamp < who->start_ns - TOLERANCE_NS;
}

enum fit {
        FITS,
        EARLIER, /* the event is of a process that had this pid before */
        LATER,   /* ... that has it since */
};

static enum fit check(struct cosmos_resolver *r, struct cosmos__process *process, int64_t timestamp, int64_t now)
{
        bool fresh = now - process->verified < FRESH_NS;

        /* The clock may have been set back since: not EARLIER without a second look. */
        if (!fresh || (too_early(&process->who, timestamp) && process->verified != now))
                verify(r, process, now);
        if (timestamp >= process->until)
                return LATER;
        return too_early(&process->who, timestamp) ? EARLIER : FITS;
}

/* ---- finding out ------------------------------------------------------------ */

/* Under a shim or what it started, without a look at the process itself: its name must do. */
static void under_runtime_by_name(const struct subject *s, struct cosmos__container *container, bool is_child_of_shim,
                                  struct cosmos__who *who)
{
        /* runc's init is marked as such later. Neither its hooks nor itself are the container's. */
        if ((s->comm && has_prefix(s->comm, "runc:[")) || (is_child_of_shim && !seems_runtime(s)))
                who->container = container;
        else
                who->serves = container;
}

/* Likewise for one that runs: it is in the container if it sees other mounts. */
static void under_runtime(struct cosmos_resolver *r, const struct subject *s, int32_t parent,
                          struct cosmos__container *container, struct cosmos__who *who)
{
        int same = cosmos__proc_same_mounts(&r->proc, s->pid, parent);

        if (same < 0)
                under_runtime_by_name(s, container, true, who);
        else if (same)
                who->serves = container;
        else
                who->container = container;
}

/* Step 3. Leaves `who` as it is where no ancestor has to do with a container. */
static int by_ancestors(struct cosmos_resolver *r, const struct subject *s, int32_t ppid, struct cosmos__who *who)
{
        for (int i = 0; ppid > 0 && i < ANCESTORS_MAX; i++) {
                struct cosmos__process *known = cosmos__process_find(&r->table, ppid);
                struct cosmos__container *container;
                struct cosmos__proc_stat stat;
                char id[COSMOS__ID_SIZE];
                int error;

                if (known && cosmos__lookup_alive(r, known, s->now)) {
                        if (known->who.container)
                                who->container = known->who.container;
                        else if (known->who.serves)
                                under_runtime(r, s, ppid, known->who.serves, who);
                        return 0;
                }
                if (cosmos__proc_stat(&r->proc, ppid, &stat) < 0)
                        return 0;
                error = container_by_cgroup(r, ppid, &who->container);
                if (error == -ENOMEM || error > 0)
                        return MIN(error, 0);
                if (is_shim(stat.comm) && cosmos__proc_shim_id(&r->proc, ppid, id) == 0) {
                        error = cosmos__lookup_id(r, id, &container);
                        if (error == 0)
                                under_runtime(r, s, ppid, container, who);
                        return error;
                }
                ppid = stat.ppid;
        }
        return 0;
}

/* Steps 2 and 3, for a process that runs. -ESRCH: not any more. */
static int by_proc(struct cosmos_resolver *r, const struct subject *s, const struct cosmos__proc_stat *stat,
                   struct cosmos__who *who)
{
        struct cosmos__proc_stat again;
        char id[COSMOS__ID_SIZE];
        int error = container_by_cgroup(r, s->pid, &who->container);

        if (error > 0 || error == -ENOMEM || error == -ESRCH)
                return MIN(error, 0);
        /* On cgroup v1 a process that is ending is shown in "/": not the host's for that. A file that can't be
         * read says nothing (its path is too long for the kernel to print, say): the ancestors decide. */
        if (error == 0 && (cosmos__proc_stat(&r->proc, s->pid, &again) < 0 || again.start != stat->start ||
                           (again.flags & COSMOS__PF_EXITING)))
                return -ESRCH;
        error = by_ancestors(r, s, stat->ppid, who);
        if (error < 0 || who->container || who->serves || !is_shim(stat->comm))
                return error;
        if (cosmos__proc_shim_id(&r->proc, s->pid, id) < 0)
                return 0;
        who->flags |= COSMOS__WHO_SHIM;
        return cosmos__lookup_id(r, id, &who->serves);
}

/* What is known of the process `pid` at the time of the event, which is its child's. 1; 0: nothing. */
static int find_parent(struct cosmos_resolver *r, const struct subject *s, int32_t pid, struct cosmos__who *ret)
{
        struct cosmos__process *known = pid > 0 ? cosmos__process_find(&r->table, pid) : NULL;
        struct subject parent = {.pid = pid, .timestamp = s->timestamp, .now = s->now};
        struct cosmos__proc_stat stat;
        int error;

        *ret = (struct cosmos__who){0};
        if (known && check(r, known, s->timestamp, s->now) == FITS) {
                *ret = known->who;
                return 1;
        }
        if (pid <= 0 || cosmos__proc_stat(&r->proc, pid, &stat) < 0 ||
            s->timestamp < cosmos__proc_start_time(&r->proc, stat.start) - TOLERANCE_NS)
                return 0;
        parent.comm = stat.comm;
        error = by_proc(r, &parent, &stat, ret);
        if (error < 0)
                return error == -ESRCH ? 0 : error;
        return 1;
}

/* Step 4. */
static int by_parent(struct cosmos_resolver *r, const struct subject *s, struct cosmos__who *who)
{
        struct cosmos__who parent;
        int error = find_parent(r, s, s->ppid, &parent);

        if (error < 0)
                return error;
        if (parent.container)
                who->container = parent.container;
        else if (parent.serves)
                under_runtime_by_name(s, parent.serves, parent.flags & COSMOS__WHO_SHIM, who);
        return 0;
}

/* Step 5. Only root's shims count: another user's would speak of containers that are not theirs. */
static int by_command_line(struct cosmos_resolver *r, const struct subject *s, struct cosmos__who *who)
{
        const char *slash = s->exe ? strrchr(s->exe, '/') : NULL;
        const char *option = s->argv ? strstr(s->argv, " -id ") : NULL;
        char id[COSMOS__ID_SIZE] = {0};
        int error;

        if (!s->exec || !s->by_root || !option || !slash || !is_shim(slash + 1))
                return 0;
        option += strlen(" -id ");
        if (!cosmos__is_id(option) || (option[sizeof(id) - 1] && option[sizeof(id) - 1] != ' '))
                return 0;
        memcpy(id, option, sizeof(id) - 1);
        error = cosmos__lookup_id(r, id, &who->serves);
        if (error == 0)
                who->flags |= COSMOS__WHO_SHIM;
        return error;
}

/* Is the process, whose parent is not of its container, the runtime's init? See above. */
static bool is_init(struct cosmos_resolver *r, const struct subject *s, const struct cosmos__who *old,
                    const struct cosmos__who *who)
{
        /* The runtime does not execute itself once it has executed the container's program. */
        if (old && old->container == who->container && !(old->flags & COSMOS__WHO_PRE_EXEC))
                return false;
        if (s->running) /* has it executed nothing since it was forked, or but itself? */
                return seems_runtime(s) && ((s->task_flags & COSMOS__PF_FORKNOEXEC) ||
                                            cosmos__proc_same_mounts(&r->proc, s->pid, s->ppid) > 0);
        if (s->exec) /* is this itself, still outside? */
                return s->exe && is_runtime_exe(s->exe) && cosmos__proc_same_mounts(&r->proc, s->pid, s->ppid) != 0;
        return seems_runtime(s);
}

static int mark(struct cosmos_resolver *r, const struct subject *s, const struct cosmos__who *old,
                struct cosmos__who *who)
{
        struct cosmos__who parent;
        int error;

        if (!who->container)
                return 0;
        error = find_parent(r, s, s->ppid, &parent);
        if (error <= 0)
                return error;
        if (parent.container != who->container)
                who->flags |= is_init(r, s, old, who) ? COSMOS__WHO_PRE_EXEC : COSMOS__WHO_ROOT;
        else if (!s->exec) /* what the runtime's init forks, for hooks, is the runtime's too */
                who->flags |= parent.flags & COSMOS__WHO_PRE_EXEC;
        return 0;
}

/* Steps 2 and 3. -ESRCH: the process is gone, or what has its pid is not the one that made the event. */
static int from_proc(struct cosmos_resolver *r, struct subject *s, struct cosmos__who *who)
{
        struct cosmos__proc_stat stat;

        *who = (struct cosmos__who){.flags = COSMOS__WHO_GONE};
        if (cosmos__proc_stat(&r->proc, s->pid, &stat) < 0)
                return -ESRCH;
        *who = (struct cosmos__who){
            .start = stat.start,
            .start_ns = cosmos__proc_start_time(&r->proc, stat.start),
            .flags = COSMOS__WHO_START,
        };
        if (too_early(who, s->timestamp)) {
                *who = (struct cosmos__who){.flags = COSMOS__WHO_GONE};
                return -ESRCH;
        }
        if (s->ppid == 0)
                s->ppid = stat.ppid;
        memcpy(s->own_comm, stat.comm, sizeof(s->own_comm));
        if (!s->comm)
                s->comm = s->own_comm;
        s->task_flags = stat.flags;
        return by_proc(r, s, &stat, who);
}

/* `old`: what was known of the process before an execve. */
static int resolve(struct cosmos_resolver *r, struct subject *s, const struct cosmos__who *old, struct cosmos__who *who)
{
        int error = from_proc(r, s, who);

        /* A member stays one, wherever it moved: an execve is no way out. */
        if (error == 0 && !who->container && old && old->container) {
                who->container = old->container;
                who->serves = NULL;
        }
        if (error == -ESRCH && s->running && (who->flags & COSMOS__WHO_GONE))
                return -ESRCH;
        if (error == -ESRCH && old && old->container) {
                *who = *old;
                who->flags &= ~(COSMOS__WHO_PRE_EXEC | COSMOS__WHO_ROOT);
                error = 0;
        } else if (error == -ESRCH) {
                error = by_parent(r, s, who);
                if (error == 0 && !who->container && !who->serves)
                        error = by_command_line(r, s, who);
        }
        return error < 0 ? error : mark(r, s, old, who);
}

static int resolve_into_cache(struct cosmos_resolver *r, struct subject *s, const struct cosmos__who *old,
                              struct cosmos__process **ret)
{
        struct cosmos__process *process;
        struct cosmos__who who;
        int error = resolve(r, s, old, &who);

        if (error < 0)
                return error;
        process = cosmos__process_put(&r->table, s->pid, &who);
        if (!process)
                return -ENOMEM;
        cosmos__process_used(&r->table, process);
        process->last_used = s->now;
        /* Without a start time, the next event must ask whether the pid is another's. */
        process->verified = who.flags & COSMOS__WHO_START ? s->now : s->now - FRESH_NS;
        *ret = process;
        return 0;
}

int cosmos__lookup_running(struct cosmos_resolver *r, int32_t pid, int64_t now, struct cosmos__process **ret)
{
        struct subject s = {.pid = pid, .timestamp = cosmos__now(), .now = now, .running = true};

        return resolve_into_cache(r, &s, NULL, ret);
}

int cosmos__lookup(struct cosmos_resolver *r, const struct cosmos_event *event, int64_t now,
                   const struct cosmos__who **ret)
{
        struct cosmos__process *process = cosmos__process_find(&r->table, event->pid);
        enum fit fit = process ? check(r, process, event->timestamp, now) : LATER;
        struct subject s = {
            .pid = event->pid,
            .ppid = event->known & COSMOS_KNOWN_PPID ? event->ppid : 0,
            .timestamp = event->timestamp,
            .now = now,
            .comm = event->comm,
            .exe = event->exe,
            .argv = event->argv,
            .exec = cosmos__is_exec(event),
            .by_root = (event->known & COSMOS_KNOWN_UID) && event->uid == 0,
        };
        int error;

        if (fit == EARLIER) {
                /* The entry is of the process that has the pid now, and stays. */
                r->passing = (struct cosmos__who){0};
                error = by_parent(r, &s, &r->passing);
                if (error == 0)
                        error = mark(r, &s, NULL, &r->passing);
                *ret = &r->passing;
                return error;
        }
        if (fit == LATER || s.exec) {
                error = resolve_into_cache(r, &s, fit == FITS ? &process->who : NULL, &process);
                if (error < 0)
                        return error;
        }
        process->last_used = now;
        cosmos__process_used(&r->table, process);
        cosmos__list_remove(&process->silent);
        *ret = &process->who;
        return 0;
}
