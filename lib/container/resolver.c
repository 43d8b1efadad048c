/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver as the user sees it: events in, a queue of events out, and what
 * is done at a tick. Who made a call is found out in lookup.c.
 *
 * A container starts for us with the first event of its own that comes out, or
 * with our first look at /proc. It stops when its cgroup's folder is gone (where
 * there is none to be found: when no process of it is left) at two ticks, so
 * that events on their way can still be told to be its. Strings of a stopped
 * container are freed when all that was queued has been taken.
 */
#include "container/resolver.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Ticks may come with each drained queue; work is done at most so often. */
#define TICK_NS (COSMOS__SECOND / 4)
#define SWEEP_PER_TICK 64u
#define FORGET_AFTER_NS (10 * COSMOS__SECOND)
#define QUEUE_MIN 16u

/* ---- queue ------------------------------------------------------------------ */

int cosmos__queue_push(struct cosmos_resolver *r, const struct cosmos__pending *pending)
{
        if (r->queue_n == r->queue_room) {
                size_t room = MAX(r->queue_room * 2, QUEUE_MIN);
                struct cosmos__pending *queue = reallocarray(r->queue, room, sizeof(*queue));

                if (!queue)
                        return -ENOMEM;
                r->queue = queue;
                r->queue_room = room;
        }
        r->queue[r->queue_n++] = *pending;
        return 0;
}

static void fill_container(struct cosmos_event *event, const struct cosmos__container *container)
{
        event->container_id = container->id;
        event->container_name = container->name;
        event->image = container->image;
}

COSMOS_API int cosmos_resolver_next(cosmos_resolver *r, const struct cosmos_event **ret_event)
{
        const struct cosmos__pending *pending;

        if (r->queue_first == r->queue_n) {
                r->queue_first = r->queue_n = 0;
                r->fed = false;
                return 0;
        }
        pending = &r->queue[r->queue_first++];
        if (pending->type == COSMOS_EVENT_CALL) {
                *ret_event = &r->in;
                return 1;
        }
        r->out = (struct cosmos_event){
            .type = pending->type,
            .timestamp = pending->timestamp,
            .timestamp_digits = pending->timestamp_digits,
        };
        fill_container(&r->out, pending->container);
        if (pending->type == COSMOS_EVENT_LOSS) {
                r->out.known = COSMOS_KNOWN_PID | COSMOS_KNOWN_PROC_START;
                r->out.loss_kind = COSMOS_LOSS_UNAUDITED;
                r->out.pid = pending->pid;
                r->out.proc_start = pending->proc_start;
        }
        *ret_event = &r->out;
        return 1;
}

/* ---- containers ------------------------------------------------------------- */

static int start(struct cosmos_resolver *r, struct cosmos__container *container, int64_t timestamp, uint32_t digits)
{
        struct cosmos__pending pending = {
            .type = COSMOS_EVENT_CONTAINER_START,
            .container = container,
            .timestamp = timestamp,
            .timestamp_digits = digits,
        };

        if (container->started)
                return 0;
        container->started = true;
        return cosmos__queue_push(r, &pending);
}

static int stop(struct cosmos_resolver *r, struct cosmos__container *container, int64_t timestamp)
{
        struct cosmos__pending pending = {
            .type = COSMOS_EVENT_CONTAINER_STOP,
            .container = container,
            .timestamp = timestamp,
            .timestamp_digits = 9,
        };
        bool started = container->started;

        cosmos__container_remove(&r->table, container);
        return started ? cosmos__queue_push(r, &pending) : 0;
}

static bool any_alive(struct cosmos_resolver *r, const struct cosmos__list *peers, int64_t now)
{
        const struct cosmos__list *node;

        for (node = peers->next; node != peers; node = node->next)
                if (cosmos__lookup_alive(r, CONTAINER_OF(node, struct cosmos__process, peers), now))
                        return true;
        return false;
}

static bool is_gone(struct cosmos_resolver *r, const struct cosmos__container *container, int64_t now)
{
        if (container->cgroup)
                return access(container->cgroup, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
        if (any_alive(r, &container->processes, now))
                return false;
        return container->started || !any_alive(r, &container->runtime, now);
}

static int tick_container(struct cosmos_resolver *r, struct cosmos__container *container, int64_t now)
{
        int error = container->started || container->name_tries ? cosmos__names_find(r, container, 0, now) : 0;

        if (error < 0 || container->told)
                return error;
        if (!is_gone(r, container, now))
                container->gone = 0;
        else if (!container->gone)
                container->gone = now;
        else
                return stop(r, container, cosmos__now());
        return 0;
}

/* ---- ticks ------------------------------------------------------------------ */

struct sweep {
        struct cosmos_resolver *r;
        int64_t now;
};

static void sweep(void *userdata, struct cosmos__process *process)
{
        const struct sweep *s = userdata;

        if (s->now - process->last_used >= FORGET_AFTER_NS && s->now - process->verified >= FORGET_AFTER_NS / 2 &&
            !cosmos__lookup_alive(s->r, process, s->now))
                cosmos__process_remove(&s->r->table, process);
}

static int tick(struct cosmos_resolver *r, int64_t now)
{
        struct cosmos__list *node, *next;
        int error = 0;

        if (now - r->ticked < TICK_NS)
                return 0;
        r->ticked = now;
        for (node = r->table.containers_used.next; error == 0 && node != &r->table.containers_used; node = next) {
                next = node->next;
                error = tick_container(r, CONTAINER_OF(node, struct cosmos__container, used), now);
        }
        if (error < 0)
                return error;
        cosmos__table_sweep(&r->table, SWEEP_PER_TICK, sweep, &(struct sweep){.r = r, .now = now});
        if (!r->detect_unaudited || now - r->checked < COSMOS__SECOND)
                return 0;
        r->checked = now;
        return cosmos__unaudited_check(r, now);
}

/* ---- events ----------------------------------------------------------------- */

static int deliver(struct cosmos_resolver *r, const struct cosmos_event *event, struct cosmos__container *container)
{
        int error = start(r, container, event->timestamp, event->timestamp_digits);

        if (error < 0)
                return error;
        r->in = *event;
        fill_container(&r->in, container);
        r->fed = true;
        return cosmos__queue_push(r, &(struct cosmos__pending){.type = COSMOS_EVENT_CALL});
}

/*
 * An event of a collector that knows containers by itself. What is left to be found out is the
 * name, and with it whether the container is wanted.
 */
static int feed_told(struct cosmos_resolver *r, const struct cosmos_event *event)
{
        struct cosmos__container *container;
        bool is_id = strlen(event->container_id) == COSMOS__ID_SIZE - 1 && cosmos__is_id(event->container_id);
        int error = is_id ? cosmos__lookup_id(r, event->container_id, &container) : -COSMOS_EFORMAT;

        if (error < 0)
                return error;
        container->told = true;
        if (event->type == COSMOS_EVENT_CONTAINER_STOP)
                return stop(r, container, event->timestamp);
        if (!container->named) {
                int64_t now = cosmos__boottime();

                error = event->type == COSMOS_EVENT_CONTAINER_START ? cosmos__names_find_early(r, container, now)
                                                                    : cosmos__names_find(r, container, event->pid, now);
                if (error < 0)
                        return error;
        }
        if (container->named && !container->selected && !container->ignored)
                r->unwanted = container;
        if (!container->selected || event->type == COSMOS_EVENT_CONTAINER_START)
                return 0;
        /* Before its first call there is nothing that could be lost or end. */
        return event->type == COSMOS_EVENT_CALL || container->started ? deliver(r, event, container) : 0;
}

static int feed_live(struct cosmos_resolver *r, const struct cosmos_event *event, int64_t now)
{
        struct cosmos_event with_start = *event;
        struct cosmos__container *container;
        const struct cosmos__who *who;
        int error;

        if (event->pid <= 0)
                return 0;
        error = cosmos__lookup(r, event, now, &who);
        if (error < 0)
                return error;
        container = who->container ? who->container : who->serves;
        if (!container)
                return 0;
        if (!who->container || (who->flags & COSMOS__WHO_PRE_EXEC))
                return cosmos__names_find_early(r, container, now);
        cosmos__list_remove(&container->used);
        cosmos__list_append(&r->table.containers_used, &container->used);
        error = cosmos__names_find(r, container, event->pid, now);
        if (error < 0 || !container->selected)
                return error;
        if ((who->flags & COSMOS__WHO_START) && !(event->known & COSMOS_KNOWN_PROC_START)) {
                with_start.proc_start = who->start;
                with_start.known |= COSMOS_KNOWN_PROC_START;
        }
        return deliver(r, &with_start, container);
}

/* Live: what is said of the whole source comes out whatever is selected; starts
 * and stops are ours to say. */
static bool is_of_source(const struct cosmos_event *event)
{
        return event->type == COSMOS_EVENT_LOSS || event->type == COSMOS_EVENT_TRACE;
}

bool cosmos__replay_passes(const struct cosmos_resolver *r, const struct cosmos_event *event)
{
        bool has = event->container_id || event->container_name || event->image;

        if (r->select.n == 0 || event->type == COSMOS_EVENT_TRACE || (event->type == COSMOS_EVENT_LOSS && !has))
                return true;
        return has && cosmos__select_match(&r->select, event->container_id, event->container_name, event->image);
}

static int pass(struct cosmos_resolver *r, const struct cosmos_event *event)
{
        r->in = *event;
        r->fed = true;
        return cosmos__queue_push(r, &(struct cosmos__pending){.type = COSMOS_EVENT_CALL});
}

static int feed(struct cosmos_resolver *r, const struct cosmos_event *event)
{
        if (!r->live)
                return event && cosmos__replay_passes(r, event) ? pass(r, event) : 0;
        if (r->queue_first == r->queue_n) {
                cosmos__table_reap(&r->table);
                cosmos__table_trim(&r->table);
        }
        if (!event)
                return tick(r, cosmos__boottime());
        if (event->container_id)
                return feed_told(r, event);
        if (event->type == COSMOS_EVENT_CALL || event->type == COSMOS_EVENT_THREAD_EXIT)
                return feed_live(r, event, cosmos__boottime());
        return is_of_source(event) ? pass(r, event) : 0;
}

COSMOS_API int cosmos_resolver_feed(cosmos_resolver *r, const struct cosmos_event *event, struct cosmos_diag *reterr)
{
        char error[64];
        int result;

        if (r->fed && r->queue_first < r->queue_n)
                return cosmos__fail(reterr, -EBUSY,
                                    "container resolver: fed again before next() had returned 0 for the last event");
        if (r->queue_first == r->queue_n)
                r->queue_first = r->queue_n = 0;
        r->fed = false;
        r->unwanted = NULL; /* tables are trimmed between events */
        result = feed(r, event);
        if (result < 0)
                return cosmos__fail(reterr, result, "container resolver: %s",
                                    cosmos_strerror(result, error, sizeof(error)));
        return 0;
}

/* ---- object ----------------------------------------------------------------- */

/* A process that ran before us. */
static int found(struct cosmos_resolver *r, struct cosmos__process *process, int64_t now)
{
        struct cosmos__container *container = process->who.container;
        int error;

        if (!container && !r->docker_found) /* a daemon inside a container speaks of other places */
                return cosmos__proc_dockerd_root(&r->proc, process->pid, &r->docker_found) == -ENOMEM ? -ENOMEM : 0;
        if (!container || (process->who.flags & COSMOS__WHO_PRE_EXEC))
                return 0;
        error = cosmos__names_find(r, container, process->pid, now);
        if (error < 0 || !container->selected)
                return error;
        if (r->detect_unaudited)
                cosmos__unaudited_add(r, process);
        return start(r, container, cosmos__now(), 9);
}

/* All that runs now. */
static int scan(struct cosmos_resolver *r, struct cosmos_diag *reterr)
{
        DIR *dir = cosmos__proc_list(&r->proc);
        int64_t now = cosmos__boottime();
        int error = dir ? 0 : -errno;
        char text[64];
        int32_t pid;

        while (error == 0 && (pid = cosmos__proc_list_next(dir)) > 0) {
                struct cosmos__process *process;

                error = cosmos__lookup_running(r, pid, now, &process);
                if (error == -ESRCH)
                        error = 0; /* it has ended meanwhile */
                else if (error == 0)
                        error = found(r, process, now);
                cosmos__table_trim(&r->table);
        }
        if (dir)
                closedir(dir);
        if (error < 0)
                return cosmos__fail(reterr, error, "container resolver: cannot look at the running processes: %s",
                                    cosmos_strerror(error, text, sizeof(text)));
        return 0;
}

static int copy_path(char **ret, const char *path, const char *otherwise)
{
        if (!path)
                path = otherwise;
        if (!path)
                return 0;
        *ret = strdup(path);
        return *ret ? 0 : -ENOMEM;
}

static int open_live(struct cosmos_resolver *r, const struct cosmos_resolver_options *options,
                     struct cosmos_diag *reterr)
{
        int error;

        r->detect_unaudited = options->detect_unaudited;
        r->created = r->checked = cosmos__boottime();
        if (copy_path(&r->cgroup_root, options->cgroup_root, "/sys/fs/cgroup") < 0 ||
            copy_path(&r->docker_root, options->docker_root, NULL) < 0 || cosmos__table_init(&r->table) < 0)
                return cosmos__fail(reterr, -ENOMEM, "container resolver: out of memory");
        error = cosmos__proc_open(&r->proc, options->proc_root ? options->proc_root : "/proc", reterr);
        return error < 0 ? error : scan(r, reterr);
}

static void freep(cosmos_resolver **r)
{
        cosmos_resolver_free(*r);
}

COSMOS_API int cosmos_resolver_new(cosmos_resolver **ret, const struct cosmos_resolver_options *options,
                                   struct cosmos_diag *reterr)
{
        _cleanup_(freep) cosmos_resolver *r = NULL;
        struct cosmos_resolver_options ours;
        int error = cosmos__options(&ours, sizeof(ours), options, "cosmos_resolver_options", reterr);

        if (error < 0)
                return error;
        r = calloc(1, sizeof(*r));
        if (!r)
                return cosmos__fail(reterr, -ENOMEM, "container resolver: out of memory");
        r->proc.root = -1;
        r->log = ours.log;
        r->live = !options || ours.live;
        cosmos__list_init(&r->silent);
        error = cosmos__select_init(&r->select, ours.select, ours.n_select, reterr);
        if (error == 0 && r->live)
                error = open_live(r, &ours, reterr);
        if (error < 0)
                return error;
        *ret = TAKE_PTR(r);
        return 0;
}

COSMOS_API size_t cosmos_resolver_count(const cosmos_resolver *r)
{
        size_t n = 0;

        if (!r->live)
                return 0;
        for (const struct cosmos__list *node = r->table.containers_used.next; node != &r->table.containers_used;
             node = node->next)
                n += CONTAINER_OF(node, struct cosmos__container, used)->started;
        return n;
}

COSMOS_API cosmos_resolver *cosmos_resolver_free(cosmos_resolver *r)
{
        if (!r)
                return NULL;
        cosmos__table_free(&r->table);
        cosmos__proc_close(&r->proc);
        cosmos__select_free(&r->select);
        free(r->cgroup_root);
        free(r->docker_root);
        free(r->docker_found);
        free(r->queue);
        free(r);
        return NULL;
}
