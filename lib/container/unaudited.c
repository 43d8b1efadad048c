/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that act, but are never reported.
 *
 * A process that was born before audit was first enabled since boot has no audit
 * context and never emits a record (Linux kernel/auditsc.c, audit_alloc), nor
 * does one under a "never" rule; nothing counts that. So a container that ran
 * before us may be silently partial. What gives it away: its voluntary context
 * switches grow, so it makes calls that wait, while no event names its pid. What
 * such a process forks later is reported.
 */
#include "container/resolver.h"

#include "base/base.h"

#define CHECKS_PER_TICK 256
#define AFTER_NS (2 * COSMOS__SECOND)
/* A few may come from page faults, and one from a call in progress when we started. */
#define SWITCHES_MIN 16

void cosmos__unaudited_add(struct cosmos_resolver *r, struct cosmos__process *process)
{
        if (cosmos__proc_switches(&r->proc, process->pid, &process->switches) == 0)
                cosmos__list_append(&r->silent, &process->silent);
}

static void warn(struct cosmos_resolver *r, struct cosmos__container *container, int32_t pid)
{
        char comm[80], name[160] = "";
        struct cosmos__proc_stat stat = {0};

        if (container->warned)
                return;
        container->warned = true;
        (void)cosmos__proc_stat(&r->proc, pid, &stat); /* without it, no name */
        if (container->name)
                cosmos__quote_str(name, sizeof(name), container->name);
        cosmos__log(&r->log, COSMOS_LOG_WARNING,
                    "container %s%s%.12s%s: the kernel does not report the calls of process %d (%s): it was started "
                    "before audit was first enabled since boot, or is under a \"never\" rule; what is seen of this "
                    "container is incomplete; restart it, or boot with audit=1",
                    name, *name ? " (" : "", container->id, *name ? ")" : "", pid,
                    cosmos__quote_str(comm, sizeof(comm), stat.comm));
}

/* Is there something to say of this process? Then never again. */
static int check(struct cosmos_resolver *r, struct cosmos__process *process, int64_t now)
{
        struct cosmos__container *container = process->who.container;
        struct cosmos__pending loss = {
            .type = COSMOS_EVENT_LOSS,
            .container = container,
            .timestamp = cosmos__now(),
            .timestamp_digits = 9,
            .pid = process->pid,
            .proc_start = process->who.start,
        };
        uint64_t switches;

        if (!cosmos__lookup_alive(r, process, now) || cosmos__proc_switches(&r->proc, process->pid, &switches) < 0) {
                cosmos__list_remove(&process->silent);
                return 0;
        }
        if (!container->started || switches < process->switches || switches - process->switches < SWITCHES_MIN)
                return 0;
        cosmos__list_remove(&process->silent);
        warn(r, container, process->pid);
        return cosmos__queue_push(r, &loss);
}

int cosmos__unaudited_check(struct cosmos_resolver *r, int64_t now)
{
        struct cosmos__list *last = r->silent.prev;

        if (now - r->created < AFTER_NS)
                return 0;
        for (int i = 0; i < CHECKS_PER_TICK && !cosmos__list_empty(&r->silent); i++) {
                struct cosmos__list *node = r->silent.next;
                int error;

                /* To the end of the queue first: check() may take it out for good. */
                cosmos__list_remove(node);
                cosmos__list_append(&r->silent, node);
                error = check(r, CONTAINER_OF(node, struct cosmos__process, silent), now);
                if (error < 0 || node == last)
                        return error;
        }
        return 0;
}
