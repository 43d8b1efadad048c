// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/*
 * The programs in the kernel. Outline: maps; containers by cgroup; threads; what
 * is read for people; records; the programs.
 *
 * A thread is of a container if it was forked by one that is, or if it was put
 * into the container's cgroup. That is found out once, at fork, at the cgroup's
 * change or (threads that ran before us) in one look at all tasks, and kept with
 * the task (task storage). All other threads of the host have no storage, and
 * pay one load and one comparison a call.
 *
 * Calls are seen at their return only (sys_exit): registers still hold number
 * and arguments there, pages that the call has read are present, and one program
 * a call is half the price of two. What never returns is seen when its thread
 * ends. docs/bpf.md has the rule for each odd case.
 *
 * All programs but the two that iterate run with preemption off, and none in an
 * interrupt: a cpu's counters and scratch room are theirs.
 */
#include "collector/bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "collector/bpf/wire.h"

#define ENOSYS 38
#define SCAN_LEVELS 16 /* of cgroups that we walk up */
#define COMPONENTS 40  /* of a program's path */
#define NAME_MAX 255

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- maps ------------------------------------------------------------------------- */

const volatile struct wire_settings settings;
volatile struct wire_shared shared;
struct wire_counters counters[WIRE_CPUS] __attribute__((aligned(64))); /* not in the line of `shared` */

/* Flags of a thread: without any of them, its calls are delivered. */
#define NEW 1u     /* it has not returned from the fork that made it */
#define OUTSIDE 2u /* the runtime's own, inside already: not the container's until its execve */
#define IGNORED 4u /* of a container that is not wanted */
#define SELF 8u    /* of our own process */

struct thread {
        uint64_t start, proc_start;
        uint32_t container, flags;
        uint32_t generation; /* of the decisions that it was held against */
        uint32_t lost;       /* records since the last one that found room */
        uint32_t mounts;     /* OUTSIDE: the mount namespace that it came from */
        uint32_t kept;       /* how often it was found: the first one counts it */
        uint32_t ppid;       /* of the parent below */
        uint64_t parent;     /* the address of its task: looked at only when it is another one, being
                                cold memory. While it is the parent it stays where it is. */
};

struct {
        __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, struct thread);
} threads SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 4096); /* set before it is made */
} ring SEC(".maps");

/* A kernfs id is unique in its hierarchy only. */
struct cgroup_key {
        uint64_t id;
        uint64_t hierarchy;
};

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 65536);
        __type(key, struct cgroup_key);
        __type(value, uint32_t);
} cgroups SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 16384);
        __type(key, uint32_t);
        __type(value, struct wire_state_of);
} containers SEC(".maps");

struct container_id {
        char text[WIRE_ID_SIZE];
};

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 16384);
        __type(key, struct container_id);
        __type(value, uint32_t);
} ids SEC(".maps");

/* Ends of threads whose record found no room: nothing else would ever tell. */
struct {
        __uint(type, BPF_MAP_TYPE_QUEUE);
        __uint(max_entries, 8192);
        __type(value, struct wire_head);
} graves SEC(".maps");

struct scratch {
        struct wire_call call;
        char text[WIRE_TEXT_MAX + NAME_MAX + 1];
        uint32_t size; /* of the text, while it grows; here the verifier forgets how it came about */
};

/* [0]: of the programs that run with preemption off; [1]: of those that iterate. */
struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, 2);
        __type(key, uint32_t);
        __type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch(uint32_t slot)
{
        return bpf_map_lookup_elem(&scratches, &slot);
}

static __always_inline struct wire_counters *counter(void)
{
        return &counters[bpf_get_smp_processor_id() & (WIRE_CPUS - 1)];
}

static __always_inline uint64_t wakeup(void)
{
        if (!shared.wake)
                return BPF_RB_NO_WAKEUP;
        shared.wake = 0;
        return BPF_RB_FORCE_WAKEUP;
}

/* ---- containers by cgroup ------------------------------------------------------------ */

/* A character of a name; the mask is for the verifier, which forgets what the compiler knows. */
static __always_inline char at(const char *name, uint32_t i)
{
        barrier_var(i);
        return name[i & 0xff];
}

static __always_inline bool ends_with(const char *name, uint32_t n, const char *suffix, uint32_t n_suffix)
{
        for (uint32_t i = 0; i < n_suffix; i++)
                if (at(name, n - n_suffix + i) != suffix[i])
                        return false;
        return true;
}

/* The rule of lib/container/cgroup.c for one component of a path: where the id begins, or -1. */
static __always_inline int id_in_name(const char *name, uint32_t n)
{
        uint32_t start;

        if (n < WIRE_ID_SIZE || n > NAME_MAX)
                return -1;
        if (n >= WIRE_ID_SIZE + 6 && ends_with(name, n, ".scope", 6))
                n -= 6;
        start = n - WIRE_ID_SIZE;
        for (uint32_t i = 0; i < WIRE_ID_SIZE; i++) {
                char c = at(name, start + i);

                if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
                        return -1;
        }
        if (start == 0)
                return 0;
        if (start == 1 || (at(name, start - 1) != '-' && at(name, start - 1) != ':'))
                return -1;
        if (start >= 7 && ends_with(name, start, "conmon-", 7)) /* a monitor, of the host */
                return -1;
        return start;
}

/* False: there was no room. It is found in the map `containers` then. */
static bool tell_container(uint32_t number, const struct container_id *id, uint8_t type)
{
        struct wire_container *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

        if (!record)
                return false;
        __builtin_memset(&record->head, 0, sizeof(record->head));
        record->head.type = type;
        record->head.container = number;
        record->head.time = bpf_ktime_get_boot_ns();
        __builtin_memcpy(record->id, id, sizeof(record->id));
        bpf_ringbuf_submit(record, wakeup());
        return true;
}

/* A member may outlive its cgroup: neither alone is the end. */
static void stop_if_empty(uint32_t number, struct wire_state_of *state)
{
        struct container_id id;

        if (state->cgroups || state->threads || __sync_fetch_and_add(&state->stopped, 1))
                return;
        __builtin_memcpy(&id, state->id, sizeof(id));
        bpf_map_delete_elem(&ids, &id);
        if (tell_container(number, &id, WIRE_STOP)) {
                bpf_map_delete_elem(&containers, &number);
        } else {
                state->gone = 1; /* stays in the map until it is told; before the library looks for it */
                __sync_fetch_and_add(&counter()->other, 1);
        }
}

static uint32_t new_container(const struct container_id *id)
{
        uint32_t number = __sync_fetch_and_add(&shared.containers, 1) + 1;
        struct wire_state_of state = {};

        __builtin_memcpy(state.id, id, sizeof(state.id));
        if (bpf_map_update_elem(&containers, &number, &state, BPF_ANY) < 0)
                return 0;
        if (bpf_map_update_elem(&ids, id, &number, BPF_NOEXIST) < 0) { /* another cpu was first, or it is full */
                uint32_t *first = bpf_map_lookup_elem(&ids, id);

                bpf_map_delete_elem(&containers, &number);
                return first ? *first : 0;
        }
        if (!tell_container(number, id, WIRE_CONTAINER))
                __sync_fetch_and_add(&counter()->other, 1);
        return number;
}

/* The number of the container that this cgroup itself is named after; 0: none. */
static __always_inline uint32_t container_named(struct cgroup *cgroup, const struct cgroup_key *key, struct scratch *s)
{
        struct container_id id;
        struct wire_state_of *state;
        uint32_t number, *known;
        int start, n;

        n = bpf_probe_read_kernel_str(s->text, NAME_MAX + 1, BPF_CORE_READ(cgroup, kn, name)) - 1;
        start = n > 0 ? id_in_name(s->text, n) : -1;
        if (start < 0)
                return 0;
        bpf_probe_read_kernel(&id, sizeof(id), &s->text[start & 0xff]);
        known = bpf_map_lookup_elem(&ids, &id);
        number = known ? *known : new_container(&id);
        if (!number || bpf_map_update_elem(&cgroups, key, &number, BPF_NOEXIST) < 0)
                return number;
        state = bpf_map_lookup_elem(&containers, &number);
        if (state)
                __sync_fetch_and_add(&state->cgroups, 1);
        return number;
}

/*
 * The container of a cgroup: the outermost one, as a process may make cgroups
 * of any name below its own. Its address is given as a number, so that the
 * verifier looks at this once, not at each use.
 */
__noinline uint32_t container_of_cgroup(uint64_t address, uint32_t slot)
{
        struct cgroup *cgroup = (struct cgroup *)address;
        struct scratch *s = scratch(slot);
        uint32_t found = 0;

        if (!s)
                return 0;
        for (int i = 0; i < SCAN_LEVELS && cgroup; i++) {
                struct cgroup_key key = {
                    .id = BPF_CORE_READ(cgroup, kn, id),
                    .hierarchy = BPF_CORE_READ(cgroup, root, hierarchy_id),
                };
                uint32_t *known = bpf_map_lookup_elem(&cgroups, &key);
                uint32_t number = known ? *known : container_named(cgroup, &key, s);

                if (number)
                        found = number;
                cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
        }
        return found;
}

/* By v2's hierarchy, then by v1's. */
static __always_inline uint32_t container_of_task(struct task_struct *task, uint32_t slot)
{
        struct css_set *set = BPF_CORE_READ(task, cgroups);
        struct cgroup *cgroup = BPF_CORE_READ(set, dfl_cgrp);
        uint32_t number = 0, n = bpf_core_field_size(set->subsys) / sizeof(void *);

        if (cgroup && BPF_CORE_READ(cgroup, level) > 0)
                number = container_of_cgroup((uint64_t)cgroup, slot);
        for (uint32_t i = 0; i < 16 && i < n && !number; i++) {
                struct cgroup_subsys_state *css = NULL;

                bpf_probe_read_kernel(&css, sizeof(css),
                                      (char *)set + bpf_core_field_offset(set->subsys) + i * sizeof(void *));
                if (!css)
                        continue;
                cgroup = BPF_CORE_READ(css, cgroup);
                if (cgroup && BPF_CORE_READ(cgroup, level) > 0)
                        number = container_of_cgroup((uint64_t)cgroup, slot);
        }
        return number;
}

/* ---- threads ------------------------------------------------------------------------- */

static __always_inline uint32_t mounts_of(struct task_struct *task)
{
        return BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

/* Is this file a runtime's program? runc executes itself once more, from a copy. */
static __always_inline bool is_runtime(struct file *file)
{
        char name[12] = {};

        bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
        if (name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' && name[4] == 'd' && name[5] == ':')
                return name[6] == 'r' && name[7] == 'u' && name[8] == 'n' && name[9] == 'c';
        if (name[4] || name[3] == 0)
                return name[0] == '/' && !name[1];
        return ((name[0] == 'r' && name[1] == 'u' && name[2] == 'n') ||
                (name[0] == 'c' && name[1] == 'r' && name[2] == 'u' && name[3] == 'n')) &&
               (name[3] == 'c' || name[3] == 'n');
}

/* What is to be kept with a thread as soon as that can be done. */
struct pending {
        uint32_t container, flags, mounts;
        uint32_t lost; /* of its calls, meanwhile */
};

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 4096);
        __type(key, uint32_t); /* tid */
        __type(value, struct pending);
} pendings SEC(".maps");

static __always_inline void add_thread(uint32_t container, int n)
{
        struct wire_state_of *state = bpf_map_lookup_elem(&containers, &container);

        if (state)
                __sync_fetch_and_add(&state->threads, n);
}

/*
 * Two programs may find the same thread at once: for one of them it is new, and counted. To the
 * other, such as a call that it returns from while it is put into a cgroup, it is whole from the first.
 */
static struct thread *keep(struct task_struct *task, const struct pending *p)
{
        struct thread first = {
            .start = task->start_boottime,
            .proc_start = task->group_leader->start_boottime,
            .container = p->container,
            .flags = (uint32_t)task->tgid == shared.self ? p->flags | SELF : p->flags,
            .generation = shared.generation - 1, /* to be held against what was decided */
            .lost = p->lost,
            .mounts = p->mounts,
        };
        struct thread *t = bpf_task_storage_get(&threads, task, &first, BPF_LOCAL_STORAGE_GET_F_CREATE);

        if (t && !__sync_fetch_and_add(&t->kept, 1))
                add_thread(p->container, 1);
        return t;
}

/* A thread that waits to be followed is counted by itself, so that it does not matter who finds it, and when. */
static bool wait_for(uint32_t tid, const struct pending *p)
{
        __sync_fetch_and_add(&shared.pending, 1); /* first: who sees 0 does not look */
        if (bpf_map_update_elem(&pendings, &tid, p, BPF_NOEXIST) < 0) {
                __sync_fetch_and_sub(&shared.pending, 1);
                return false;
        }
        add_thread(p->container, 1);
        return true;
}

static void wait_no_more(uint32_t tid, uint32_t container)
{
        if (bpf_map_delete_elem(&pendings, &tid) < 0)
                return;
        __sync_fetch_and_sub(&shared.pending, 1);
        add_thread(container, -1);
}

/*
 * Follow a thread from now on. Task storage can't be made while this cpu is inside another operation on
 * it (kernel/bpf/bpf_task_storage.c: bpf_task_storage_busy), such as the end of a task
 * that was preempted there. Then it is made with the thread's next event.
 */
static struct thread *track(struct task_struct *task, uint32_t container, uint32_t flags, uint32_t mounts)
{
        struct pending p = {.container = container, .flags = flags, .mounts = mounts};
        struct thread *t = keep(task, &p);
        uint32_t tid = task->pid;

        if (!t && !bpf_map_lookup_elem(&pendings, &tid) && !wait_for(tid, &p))
                __sync_fetch_and_add(&counter()->untracked, 1);
        return t;
}

/* A thread that could not be followed at once. NULL: it is none, or it still can't be. */
static __noinline struct thread *adopt(struct task_struct *task)
{
        uint32_t tid = task->pid;
        struct pending *p = bpf_map_lookup_elem(&pendings, &tid), copy;
        struct thread *t;

        if (!p)
                return NULL;
        copy = *p;
        t = keep(task, &copy);
        if (t)
                wait_no_more(tid, copy.container);
        return t;
}

/* A thread that executes a program takes the number of its process's first one. */
static __noinline void renumber(uint32_t from, uint32_t to)
{
        struct pending *p = bpf_map_lookup_elem(&pendings, &from), copy;

        if (!p)
                return;
        copy = *p;
        if (!wait_for(to, &copy))
                __sync_fetch_and_add(&counter()->untracked, 1);
        wait_no_more(from, copy.container);
}

/* Its call is lost then, if it would have been told. */
static __noinline void miss(struct task_struct *task)
{
        uint32_t tid = task->pid;
        struct pending *p = bpf_map_lookup_elem(&pendings, &tid);

        if (!p)
                return;
        if (!(p->flags & (NEW | OUTSIDE | IGNORED))) {
                p->lost++;
                __sync_fetch_and_add(&counter()->seen, 1);
                __sync_fetch_and_add(&counter()->lost, 1);
        }
        p->flags &= ~NEW;
}

/* What was decided about its container since it was last asked. */
static __always_inline void ask(struct thread *t)
{
        struct wire_state_of *state = bpf_map_lookup_elem(&containers, &t->container);

        t->generation = shared.generation;
        if (state && state->state == WIRE_IGNORED)
                t->flags |= IGNORED;
}

static __always_inline struct thread *thread_of(struct task_struct *task)
{
        struct thread *t = NULL;

        if (task->bpf_storage)
                t = bpf_task_storage_get(&threads, task, NULL, 0);
        return t || !shared.pending ? t : adopt(task);
}

/* ---- records ---------------------------------------------------------------------------- */

static __always_inline uint32_t ppid_of(struct task_struct *task, struct thread *t)
{
        struct task_struct *parent = task->real_parent;

        if ((uint64_t)parent != t->parent) {
                t->ppid = parent->tgid;
                t->parent = (uint64_t)parent;
        }
        return t->ppid;
}

static __always_inline void fill_head(struct wire_head *h, struct task_struct *task, struct thread *t, uint8_t type)
{
        h->type = type;
        h->flags = 0;
        h->fd_kind = 0;
        h->pad = 0;
        h->lost = t->lost;
        h->container = t->container;
        h->uid = task->cred->uid.val;
        h->time = bpf_ktime_get_boot_ns();
        h->pid = task->tgid;
        h->tid = task->pid;
        h->ppid = ppid_of(task, t);
        h->nr = 0;
        h->proc_start = t->proc_start;
        h->thread_start = t->start;
        /* Two loads, where a copy by the kernel would be a call. */
        ((uint64_t *)h->comm)[0] = ((const uint64_t *)task->comm)[0];
        ((uint64_t *)h->comm)[1] = ((const uint64_t *)task->comm)[1];
}

/* A record that was to be delivered was not: the thread's next one will say so. */
static __always_inline void no_room(struct thread *t, uint32_t n)
{
        t->lost += n;
        __sync_fetch_and_add(&counter()->lost, n);
}

static __always_inline void fill_call(struct wire_call *c, struct pt_regs *regs, bool compat)
{
        if (compat) {
                c->args[0] = (uint32_t)regs->bx;
                c->args[1] = (uint32_t)regs->cx;
                c->args[2] = (uint32_t)regs->dx;
                c->args[3] = (uint32_t)regs->si;
                c->args[4] = (uint32_t)regs->di;
                c->args[5] = (uint32_t)regs->bp;
                c->head.flags |= WIRE_COMPAT;
        } else {
                c->args[0] = regs->di;
                c->args[1] = regs->si;
                c->args[2] = regs->dx;
                c->args[3] = regs->r10;
                c->args[4] = regs->r8;
                c->args[5] = regs->r9;
        }
}

/* As include/cosmos/event.h numbers them. */
static __always_inline uint8_t kind_of_mode(uint16_t mode)
{
        switch (mode & 0xf000) {
        case 0x8000:
                return 1; /* regular file */
        case 0x4000:
                return 2; /* directory */
        case 0xc000:
                return 3; /* socket */
        case 0x1000:
                return 4; /* pipe */
        case 0x2000:
                return 5; /* character device */
        case 0x6000:
                return 6; /* block device */
        default:
                return 7; /* epoll, eventfd, timerfd, ... */
        }
}

static __always_inline uint8_t kind_of_fd(struct task_struct *task, int64_t fd)
{
        struct fdtable *table = BPF_CORE_READ(task, files, fdt);
        struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

        if (fd < 0 || fd >= BPF_CORE_READ(table, max_fds))
                return 0;
        bpf_probe_read_kernel(&file, sizeof(file), files + fd);
        return file ? kind_of_mode(BPF_CORE_READ(file, f_inode, i_mode)) : 0;
}

static __always_inline void fill_fd(struct wire_call *c, struct task_struct *task, uint32_t info)
{
        if (!settings.fd_kind)
                return;
        if (info & CALL_FD_RET)
                c->head.fd_kind = kind_of_fd(task, c->ret);
        else if (info & CALL_FD0)
                c->head.fd_kind = kind_of_fd(task, (int32_t)c->args[0]);
}

/* The smaller of two sizes, in a way that the verifier follows: its caller asks again. */
static __always_inline uint64_t at_most(uint64_t n, uint64_t max)
{
        if (n > max)
                n = max;
        barrier_var(n);
        return n;
}

/* ---- what is read for people -------------------------------------------------------------- */

static __always_inline long read_path(struct scratch *s, uint64_t address)
{
        long n = bpf_probe_read_user_str(s->text, WIRE_TEXT_MAX, (const void *)address);

        if (n <= 0)
                return 0;
        s->call.head.flags |= WIRE_PATH;
        return n;
}

/* A process's arguments as they lie on its new stack. */
static __always_inline long read_argv(struct scratch *s, struct task_struct *task)
{
        unsigned long start = BPF_CORE_READ(task, mm, arg_start), end = BPF_CORE_READ(task, mm, arg_end);
        unsigned long n = end - start;

        if (!start || end <= start)
                return 0;
        n = at_most(n, WIRE_TEXT_MAX);
        if (n > WIRE_TEXT_MAX || bpf_probe_read_user(s->text, n, (const void *)start) < 0)
                return 0;
        s->call.head.flags |= WIRE_ARGV;
        return n;
}

static __always_inline long read_addr(struct scratch *s, uint64_t address, uint64_t size, bool by_pointer)
{
        uint32_t given = size;
        uint64_t n;

        if (by_pointer && bpf_probe_read_user(&given, sizeof(given), (const void *)size) < 0)
                return 0;
        n = at_most(given, WIRE_ADDR_MAX);
        if (!address || n == 0)
                return 0;
        if (n > WIRE_ADDR_MAX || bpf_probe_read_user(s->text, n, (const void *)address) < 0)
                return 0;
        s->call.head.flags |= WIRE_ADDR;
        return n;
}

static __always_inline long read_text(struct scratch *s, struct task_struct *task, uint32_t info)
{
        const uint64_t *a = s->call.args;

        if (info & CALL_PATH1)
                return read_path(s, a[1]);
        if ((info & CALL_EXEC) && s->call.ret == 0)
                return read_argv(s, task);
        if (info & CALL_PATH0)
                return read_path(s, a[0]);
        if (info & (CALL_ADDR1 | CALL_ADDR1P))
                return (info & CALL_ADDR1P) && s->call.ret < 0 ? 0 : read_addr(s, a[1], a[2], info & CALL_ADDR1P);
        if (info & (CALL_ADDR4 | CALL_ADDR4P))
                return (info & CALL_ADDR4P) && s->call.ret < 0 ? 0 : read_addr(s, a[4], a[5], info & CALL_ADDR4P);
        return 0;
}

/* ---- a process and its program ------------------------------------------------------------- */

/* Append a file's path to the text, innermost component first, up to the task's own root. */
static __always_inline void read_exe(struct scratch *s, struct file *file, struct task_struct *task)
{
        struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry), *parent;
        struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
        struct dentry *root = BPF_CORE_READ(task, fs, root.dentry);
        struct vfsmount *root_mnt = BPF_CORE_READ(task, fs, root.mnt);

        if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
                s->call.head.flags |= WIRE_DELETED;
        for (int i = 0; i < COMPONENTS; i++) {
                uint32_t size = s->size;
                long n;

                if (dentry == root && mnt == root_mnt)
                        return;
                parent = BPF_CORE_READ(dentry, d_parent);
                if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
                        struct mount *m = (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
                        struct mount *up = BPF_CORE_READ(m, mnt_parent);

                        if (up == m)
                                return;
                        dentry = BPF_CORE_READ(m, mnt_mountpoint);
                        mnt = (struct vfsmount *)((char *)up + bpf_core_field_offset(struct mount, mnt));
                        continue;
                }
                if (size > WIRE_TEXT_MAX)
                        break;
                n = bpf_probe_read_kernel_str(s->text + size, NAME_MAX + 1, BPF_CORE_READ(dentry, d_name.name));
                if (n <= 0 || n > NAME_MAX + 1)
                        break;
                s->size = size + n;
                if (parent == dentry) { /* of no mount, such as a copy in memory: it never had a name */
                        s->call.head.flags |= WIRE_DELETED;
                        return;
                }
                dentry = parent;
        }
        s->call.head.flags |= WIRE_TOO_DEEP;
}

static __always_inline void tell_process(struct task_struct *task, struct thread *t, struct file *file, uint32_t slot)
{
        struct scratch *s = scratch(slot);
        uint64_t size;

        if (!settings.exe || !s)
                return;
        fill_head(&s->call.head, task, t, WIRE_PROCESS);
        s->call.head.lost = 0; /* told with the thread's next call */
        s->size = 0;
        if (file)
                read_exe(s, file, task);
        size = at_most(s->size, sizeof(s->text));
        if (size > sizeof(s->text))
                return;
        if (bpf_ringbuf_output(&ring, s, sizeof(s->call) + size, wakeup()) < 0) {
                __sync_fetch_and_add(&counter()->seen, 1);
                no_room(t, 1);
        }
}

/* A record that is no more than its head. */
static __always_inline void tell_head(struct task_struct *task, struct thread *t, uint8_t type, uint32_t nr)
{
        struct wire_head *h = bpf_ringbuf_reserve(&ring, sizeof(*h), 0);

        if (!h) {
                __sync_fetch_and_add(&counter()->seen, 1);
                no_room(t, 1);
                if (type == WIRE_SEED)
                        __sync_fetch_and_add(&counter()->other, 1);
                return;
        }
        fill_head(h, task, t, type);
        h->lost = 0;
        h->nr = nr;
        bpf_ringbuf_submit(h, wakeup());
}

/* What is to be done with a call. Numbers that no table knows are delivered: they are evidence. */
static __always_inline uint32_t info_of(bool compat, uint32_t nr)
{
        uint32_t i = nr < WIRE_CALLS ? nr : WIRE_CALLS - 1;

        barrier_var(i); /* keep the compiler from proving what the verifier can't */
        return settings.calls[compat & 1][i & (WIRE_CALLS - 1)];
}

/* ---- the programs: a call ------------------------------------------------------------------- */

/* What a thread that has flags may be found to be. */
static __always_inline bool skip(struct thread *t)
{
        if (t->generation != shared.generation)
                ask(t);
        if (t->flags & NEW) { /* the return of a fork that its parent made */
                t->flags &= ~NEW;
                return true;
        }
        return t->flags & (OUTSIDE | IGNORED | SELF);
}

static __always_inline void send_text(struct task_struct *task, struct thread *t, struct pt_regs *regs, uint32_t nr,
                                      long ret, bool compat, uint32_t info)
{
        struct scratch *s = scratch(0);
        uint64_t n;

        if (!s)
                return;
        fill_head(&s->call.head, task, t, WIRE_CALL);
        s->call.head.nr = nr;
        s->call.ret = ret;
        fill_call(&s->call, regs, compat);
        fill_fd(&s->call, task, info);
        n = at_most(read_text(s, task, info), WIRE_TEXT_MAX);
        if (n > WIRE_TEXT_MAX)
                return;
        if (bpf_ringbuf_output(&ring, s, sizeof(s->call) + n, wakeup()) < 0)
                no_room(t, 1);
        else
                t->lost = 0;
}

/* Most sendto and recvfrom are send and recv: without an address they take the short way. */
static __always_inline bool has_text(struct pt_regs *regs, bool compat, uint32_t info)
{
        if (!(info & (CALL_ADDR4 | CALL_ADDR4P)))
                return true;
        return compat ? (uint32_t)regs->di : regs->r8;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(cosmos_call, struct pt_regs *regs, long ret)
{
        struct task_struct *task = bpf_get_current_task_btf();
        struct thread *t = thread_of(task);
        struct wire_call *c;
        uint32_t nr, info;
        bool compat;

        if (!t || shared.stopped) {
                if (shared.pending)
                        miss(task);
                return 0;
        }
        if ((t->flags || t->generation != shared.generation) && skip(t))
                return 0;
        nr = regs->orig_ax;
        compat = task->thread_info.status & TS_COMPAT;
        if (nr == (uint32_t)-1 && ret != -ENOSYS) { /* the registers are those of before the signal */
                nr = compat ? 173 : 15;             /* rt_sigreturn */
        } else if (ret <= -512 && ret >= -516 && ret != -515) {
                ret = -4; /* it is made again after the signal, or is EINTR; as audit has it */
        }
        info = info_of(compat, nr);
        if (!(info & CALL_WANTED))
                return 0;
        counter()->seen++;
        if (settings.text && (info & CALL_TEXT) && has_text(regs, compat, info)) {
                send_text(task, t, regs, nr, ret, compat, info);
                return 0;
        }
        c = bpf_ringbuf_reserve(&ring, sizeof(*c), 0);
        if (!c) {
                no_room(t, 1);
                return 0;
        }
        fill_head(&c->head, task, t, WIRE_CALL);
        t->lost = 0;
        c->head.nr = nr;
        c->ret = ret;
        fill_call(c, regs, compat);
        fill_fd(c, task, info);
        bpf_ringbuf_submit(c, wakeup());
        return 0;
}

/* ---- the programs: threads come and go ---------------------------------------------------------- */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(cosmos_fork, struct task_struct *parent, struct task_struct *child)
{
        struct thread *of_parent = thread_of(parent), *t;
        uint32_t container;

        if (shared.stopped)
                return 0;
        if (!of_parent) {
                container = container_of_task(child, 0);
                if (!container)
                        return 0;
                /* It was not looked at yet, or it put the child in there from outside. */
                if (container_of_task(parent, 0) != container) {
                        track(child, container, NEW | OUTSIDE, mounts_of(parent));
                        return 0;
                }
                of_parent = track(parent, container, 0, 0);
                if (!of_parent) {
                        track(child, container, NEW, 0);
                        return 0;
                }
        }
        t = track(child, of_parent->container, NEW | (of_parent->flags & (OUTSIDE | IGNORED)), of_parent->mounts);
        if (t && settings.exe && child->pid == child->tgid && !(t->flags & IGNORED))
                tell_head(child, t, WIRE_FORK, parent->tgid);
        return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(cosmos_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
        struct wire_call *c;
        struct thread *t;

        if (shared.stopped)
                return 0;
        if (old_pid != task->pid && shared.pending)
                renumber(old_pid, task->pid);
        t = thread_of(task);
        if (!t) { /* perhaps a thread that nobody has looked at yet: see cosmos_attach() */
                uint32_t container = container_of_task(task, 0);

                if (container)
                        t = track(task, container, OUTSIDE, mounts_of(task));
                if (!t)
                        return 0;
        }
        if (t->generation != shared.generation)
                ask(t);
        if (t->flags & OUTSIDE) {
                if (mounts_of(task) == t->mounts && is_runtime(bprm->file))
                        return 0;
                t->flags &= ~OUTSIDE;
        }
        if (t->flags & IGNORED)
                return 0;
        /* Another thread than the first has taken the first one's number: under its own it is seen no more. */
        if (old_pid != task->pid) {
                counter()->seen++;
                c = bpf_ringbuf_reserve(&ring, sizeof(*c), 0);
                if (c) {
                        fill_head(&c->head, task, t, WIRE_EXIT);
                        c->head.tid = old_pid;
                        t->lost = 0;
                        bpf_ringbuf_submit(c, wakeup());
                } else {
                        no_room(t, 1);
                }
                t->start = task->start_boottime;
                t->proc_start = task->group_leader->start_boottime;
        }
        tell_process(task, t, bprm->file, 0);
        return 0;
}

/* Is the thread in a call that it will never return from? The kernel presets the result. */
static __always_inline bool in_call(struct pt_regs *regs, uint32_t info)
{
        return (int32_t)regs->orig_ax >= 0 && (info & CALL_WANTED) &&
               ((info & CALL_NO_RETURN) || (int32_t)regs->ax == -ENOSYS);
}

static __always_inline void tell_exit(struct task_struct *task, struct thread *t)
{
        struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
        bool compat = task->thread_info.status & TS_COMPAT;
        uint32_t nr = regs->orig_ax;
        uint32_t n = in_call(regs, info_of(compat, nr)) ? 2 : 1; /* the call, and the end */
        struct wire_call *c;
        struct scratch *s;

        counter()->seen += n;
        c = bpf_ringbuf_reserve(&ring, sizeof(*c), 0);
        if (c) {
                fill_head(&c->head, task, t, WIRE_EXIT);
                fill_call(c, regs, compat);
                c->head.nr = nr;
                c->ret = 0;
                if (n == 2)
                        c->head.flags |= WIRE_HAS_CALL;
                if (task->signal->live.counter <= 0)
                        c->head.flags |= WIRE_LAST;
                bpf_ringbuf_submit(c, wakeup());
                return;
        }
        no_room(t, n);
        s = scratch(0);
        if (!s)
                return;
        fill_head(&s->call.head, task, t, WIRE_EXIT);
        if (bpf_map_push_elem(&graves, &s->call.head, BPF_ANY) < 0)
                __sync_fetch_and_add(&shared.graveless, 1);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(cosmos_exit, struct task_struct *task)
{
        struct thread *t = thread_of(task);
        struct wire_state_of *state;
        uint32_t container = 0, tid = task->pid;
        struct pending *p;

        if (shared.stopped)
                return 0;
        if (t) {
                t->flags &= ~NEW;
                if (!skip(t))
                        tell_exit(task, t);
                t->lost = 0;
                container = t->container;
                add_thread(container, -1);
        }
        p = shared.pending ? bpf_map_lookup_elem(&pendings, &tid) : NULL;
        if (p) { /* to the last it could not be followed; or another program has just said so */
                if (!t)
                        __sync_fetch_and_add(&counter()->untracked, 1);
                container = p->container;
                wait_no_more(tid, container);
        }
        state = bpf_map_lookup_elem(&containers, &container);
        if (state)
                stop_if_empty(container, state);
        return 0;
}

/* ---- the programs: cgroups ------------------------------------------------------------------------ */

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cosmos_attach, struct cgroup *cgroup, const char *path, struct task_struct *task, bool threadgroup)
{
        uint64_t address = 0;
        struct thread *t;
        uint32_t container;

        if (shared.stopped || thread_of(task)) /* a member stays one, wherever it moves */
                return 0;
        if (task->flags & PF_EXITING) /* it ended while it was moved: its end is not told any more */
                return 0;
        bpf_probe_read_kernel(&address, sizeof(address), ctx); /* `cgroup` as a number */
        container = container_of_cgroup(address, 0);
        if (!container)
                return 0;
        t = track(task, container, OUTSIDE, mounts_of(task));
        if (!t)
                return 0;
        if (threadgroup && task->signal->nr_threads > 1)
                tell_head(task, t, WIRE_SEED, 0);
        return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cosmos_rmdir, struct cgroup *cgroup)
{
        struct cgroup_key key = {.id = cgroup->kn->id, .hierarchy = cgroup->root->hierarchy_id};
        uint32_t *known = bpf_map_lookup_elem(&cgroups, &key), number;
        struct wire_state_of *state;

        if (!known)
                return 0;
        number = *known;
        bpf_map_delete_elem(&cgroups, &key);
        state = bpf_map_lookup_elem(&containers, &number);
        if (!state)
                return 0;
        __sync_fetch_and_sub(&state->cgroups, 1);
        stop_if_empty(number, state);
        return 0;
}

/* ---- the programs: a look at all tasks --------------------------------------------------------------- */

/* Threads that ran before us, or that entered a container together. */
SEC("iter/task")
int cosmos_seed(struct bpf_iter__task *ctx)
{
        struct task_struct *task = ctx->task, *parent;
        struct thread *t, *first = NULL;
        uint32_t container, flags = 0, mounts;
        struct file *exe;

        if (!shared.self)
                shared.self = bpf_get_current_pid_tgid() >> 32; /* whose look this is */
        if (!task || (task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_EXITING)))
                return 0;
        t = thread_of(task);
        if (t)
                return 0;
        container = container_of_task(task, 1);
        if (!container)
                return 0;
        mounts = mounts_of(task);
        exe = BPF_CORE_READ(task, mm, exe_file);
        parent = BPF_CORE_READ(task, group_leader, real_parent);
        /* The runtime's init before its execve. Only from outside can one be started so. */
        if (exe && is_runtime(exe) && mounts == mounts_of(parent) && container_of_task(parent, 1) != container)
                flags = OUTSIDE;
        /* A process that entered as a whole: see cosmos_attach(). */
        if (task->pid != task->tgid)
                first = bpf_task_storage_get(&threads, task->group_leader, NULL, 0);
        if (first)
                flags |= first->flags & OUTSIDE;
        t = track(task, container, flags, mounts);
        if (t && task->pid == task->tgid)
                tell_process(task, t, exe, 1);
        return 0;
}

/* At the end: records that were lost by threads that have not made a call since. */
SEC("iter/task")
int cosmos_losses(struct bpf_iter__task *ctx)
{
        struct task_struct *task = ctx->task;
        struct wire_head *h;
        struct scratch *s;
        struct thread *t;

        if (!task)
                return 0;
        t = thread_of(task);
        s = scratch(1);
        if (!t || !t->lost || !s)
                return 0;
        h = &s->call.head;
        fill_head(h, task, t, WIRE_CALL);
        t->lost = 0;
        bpf_seq_write(ctx->meta->seq, h, sizeof(*h));
        return 0;
}
