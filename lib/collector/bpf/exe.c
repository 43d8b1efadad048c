/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which program a process runs, from the records of fork, execve and exit, so
 * that not each call has to carry a path. Texts are shared between processes,
 * and kept for a while when none runs them: the same few programs come again and
 * again, and nothing is allocated for them then.
 *
 * A record about a process may be lost. Then, and only then, /proc is asked.
 */
#include "collector/bpf/bpf.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES 65536u
#define IDLE_TEXTS 256u

struct text {
        struct cosmos__hash_node node;
        struct cosmos__list idle;
        size_t refs;
        char path[];
};

struct exe_process {
        struct cosmos__hash_node node;
        struct cosmos__list used; /* or in `spare` */
        uint32_t pid;
        bool doubtful;
        uint64_t start;
        struct text *exe; /* NULL: unknown */
};

int cosmos__exes_init(struct cosmos__exes *ret, uint64_t tick)
{
        *ret = (struct cosmos__exes){.tick = tick};
        cosmos__list_init(&ret->used);
        cosmos__list_init(&ret->idle);
        cosmos__list_init(&ret->spare);
        if (cosmos__hash_init(&ret->processes, PROCESSES) < 0 || cosmos__hash_init(&ret->texts, 1024) < 0) {
                cosmos__hash_free(&ret->processes);
                return -ENOMEM;
        }
        return 0;
}

/* ---- texts -------------------------------------------------------------------------- */

static void text_free(struct cosmos__exes *x, struct text *text)
{
        cosmos__hash_remove(&x->texts, &text->node);
        cosmos__list_remove(&text->idle);
        free(text);
}

static struct text *text_get(struct cosmos__exes *x, const char *path)
{
        size_t n = strlen(path);
        uint64_t hash = cosmos__hash_bytes(path, n);
        struct text *text;

        for (struct cosmos__hash_node *node = cosmos__hash_first(&x->texts, hash); node; node = node->next) {
                text = CONTAINER_OF(node, struct text, node);
                if (node->hash != hash || strcmp(text->path, path) != 0)
                        continue;
                if (text->refs++ == 0) {
                        cosmos__list_remove(&text->idle);
                        x->n_idle--;
                }
                return text;
        }
        text = calloc(1, sizeof(*text) + n + 1);
        if (!text)
                return NULL;
        memcpy(text->path, path, n + 1);
        text->refs = 1;
        cosmos__list_init(&text->idle);
        cosmos__hash_insert(&x->texts, &text->node, hash);
        return text;
}

static void text_put(struct cosmos__exes *x, struct text *text)
{
        if (!text || --text->refs > 0)
                return;
        cosmos__list_append(&x->idle, &text->idle);
        if (++x->n_idle > IDLE_TEXTS) {
                x->n_idle--;
                text_free(x, CONTAINER_OF(x->idle.next, struct text, idle));
        }
}

/* ---- processes ---------------------------------------------------------------------- */

static uint64_t hash_of(uint32_t pid)
{
        return cosmos__hash_mix(pid + 0x9e3779b97f4a7c15u);
}

static struct exe_process *find(struct cosmos__exes *x, uint32_t pid)
{
        if (x->last && x->last->pid == pid)
                return x->last;
        for (struct cosmos__hash_node *n = cosmos__hash_first(&x->processes, hash_of(pid)); n; n = n->next) {
                struct exe_process *p = CONTAINER_OF(n, struct exe_process, node);

                if (p->pid == pid)
                        return x->last = p;
        }
        return NULL;
}

static void drop(struct cosmos__exes *x, struct exe_process *p)
{
        if (x->last == p)
                x->last = NULL;
        cosmos__hash_remove(&x->processes, &p->node);
        text_put(x, p->exe);
        p->exe = NULL;
        cosmos__list_remove(&p->used);
        cosmos__list_append(&x->spare, &p->used);
}

static struct exe_process *add(struct cosmos__exes *x, uint32_t pid)
{
        struct exe_process *p;

        if (x->processes.n >= PROCESSES)
                drop(x, CONTAINER_OF(x->used.next, struct exe_process, used));
        if (!cosmos__list_empty(&x->spare)) {
                p = CONTAINER_OF(x->spare.next, struct exe_process, used);
                cosmos__list_remove(&p->used);
        } else {
                p = calloc(1, sizeof(*p));
                if (!p)
                        return NULL;
                cosmos__list_init(&p->used);
        }
        p->pid = pid;
        p->exe = NULL;
        cosmos__list_append(&x->used, &p->used);
        cosmos__hash_insert(&x->processes, &p->node, hash_of(pid));
        return p;
}

static int set(struct cosmos__exes *x, uint32_t pid, uint64_t start, struct text *exe, bool doubtful)
{
        struct exe_process *p = find(x, pid);

        if (!p)
                p = add(x, pid);
        if (!p) {
                text_put(x, exe);
                return -ENOMEM;
        }
        text_put(x, p->exe);
        p->start = start;
        p->exe = exe;
        p->doubtful = doubtful;
        return 0;
}

int cosmos__exes_put(struct cosmos__exes *x, uint32_t pid, uint64_t start, const char *exe)
{
        struct text *text = exe ? text_get(x, exe) : NULL;

        if (exe && !text)
                return -ENOMEM;
        return set(x, pid, start, text, false);
}

int cosmos__exes_fork(struct cosmos__exes *x, uint32_t pid, uint64_t start, uint32_t parent)
{
        struct exe_process *p = find(x, parent);

        if (p && p->exe)
                p->exe->refs++;
        return set(x, pid, start, p ? p->exe : NULL, !p || p->doubtful);
}

void cosmos__exes_doubt(struct cosmos__exes *x, uint32_t pid)
{
        struct exe_process *p = find(x, pid);

        if (p)
                p->doubtful = true;
}

void cosmos__exes_remove(struct cosmos__exes *x, uint32_t pid, uint64_t start)
{
        struct exe_process *p = find(x, pid);

        if (p && p->start == start)
                drop(x, p);
}

/* ---- /proc -------------------------------------------------------------------------- */

/* Field 22 of a process's stat, which stands 20 fields behind its name. 0: not to be had. */
static uint64_t proc_start(int dir)
{
        _cleanup_close_ int fd = openat(dir, "stat", O_RDONLY | O_CLOEXEC);
        char text[1024], *s;
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (n <= 0)
                return 0;
        text[n] = 0;
        s = strrchr(text, ')');
        for (int i = 0; s && i < 20; i++)
                s = strchr(s + 1, ' ');
        return s ? strtoull(s, NULL, 10) : 0;
}

static void ask(struct cosmos__exes *x, struct exe_process *p)
{
        char path[64], exe[WIRE_TEXT_MAX + 1];
        _cleanup_close_ int dir = -1;
        ssize_t n;

        text_put(x, p->exe);
        p->exe = NULL;
        p->doubtful = false;
        snprintf(path, sizeof(path), "/proc/%u", p->pid);
        dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        n = dir < 0 ? -1 : readlinkat(dir, "exe", exe, sizeof(exe) - 1);
        if (n <= 0 || proc_start(dir) != p->start / x->tick)
                return;
        exe[n] = 0;
        p->exe = text_get(x, exe);
}

const char *cosmos__exes_get(struct cosmos__exes *x, uint32_t pid, uint64_t start)
{
        struct exe_process *p = find(x, pid);

        if (!p || p->start != start) {
                if (set(x, pid, start, NULL, true) < 0)
                        return NULL;
                p = find(x, pid);
        }
        if (p->doubtful)
                ask(x, p);
        if (p->used.next != &x->used) { /* not the latest already */
                cosmos__list_remove(&p->used);
                cosmos__list_append(&x->used, &p->used);
        }
        return p->exe ? p->exe->path : NULL;
}

void cosmos__exes_free(struct cosmos__exes *x)
{
        if (!x->processes.buckets)
                return;
        while (!cosmos__list_empty(&x->used))
                drop(x, CONTAINER_OF(x->used.next, struct exe_process, used));
        while (!cosmos__list_empty(&x->spare)) {
                struct exe_process *p = CONTAINER_OF(x->spare.next, struct exe_process, used);

                cosmos__list_remove(&p->used);
                free(p);
        }
        while (!cosmos__list_empty(&x->idle))
                text_free(x, CONTAINER_OF(x->idle.next, struct text, idle));
        cosmos__hash_free(&x->processes);
        cosmos__hash_free(&x->texts);
}
