/* SPDX-License-Identifier: Apache-2.0 */
#include "container/table.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>

/* A container's own roots are passed over at most so often when room is needed. */
#define ROOTS_SPARED 64

int cosmos__table_init(struct cosmos__table *ret)
{
        *ret = (struct cosmos__table){0};
        cosmos__list_init(&ret->processes_used);
        cosmos__list_init(&ret->containers_used);
        cosmos__list_init(&ret->removed);
        if (cosmos__hash_init(&ret->processes, COSMOS__PROCESSES_MAX) < 0 ||
            cosmos__hash_init(&ret->containers, COSMOS__CONTAINERS_MAX) < 0) {
                cosmos__hash_free(&ret->processes);
                return -ENOMEM;
        }
        return 0;
}

void cosmos__table_free(struct cosmos__table *table)
{
        if (!table->processes.buckets)
                return;
        while (!cosmos__list_empty(&table->processes_used))
                cosmos__process_remove(table, CONTAINER_OF(table->processes_used.next, struct cosmos__process, used));
        while (!cosmos__list_empty(&table->containers_used))
                cosmos__container_remove(table,
                                         CONTAINER_OF(table->containers_used.next, struct cosmos__container, used));
        cosmos__table_reap(table);
        cosmos__hash_free(&table->processes);
        cosmos__hash_free(&table->containers);
}

static uint64_t hash_pid(int32_t pid)
{
        return cosmos__hash_mix((uint64_t)pid + 0x9e3779b97f4a7c15u);
}

struct cosmos__process *cosmos__process_find(const struct cosmos__table *table, int32_t pid)
{
        struct cosmos__hash_node *node = cosmos__hash_first(&table->processes, hash_pid(pid));

        for (; node; node = node->next) {
                struct cosmos__process *process = CONTAINER_OF(node, struct cosmos__process, node);

                if (process->pid == pid)
                        return process;
        }
        return NULL;
}

struct cosmos__process *cosmos__process_put(struct cosmos__table *table, int32_t pid, const struct cosmos__who *who)
{
        struct cosmos__process *process = cosmos__process_find(table, pid);

        if (process) {
                cosmos__list_remove(&process->peers);
                cosmos__list_remove(&process->silent);
        } else {
                process = calloc(1, sizeof(*process));
                if (!process)
                        return NULL;
                process->pid = pid;
                cosmos__list_init(&process->peers);
                cosmos__list_init(&process->silent);
                cosmos__list_append(&table->processes_used, &process->used);
                cosmos__hash_insert(&table->processes, &process->node, hash_pid(pid));
        }
        process->who = *who;
        process->until = INT64_MAX;
        if (who->container)
                cosmos__list_append(&who->container->processes, &process->peers);
        else if (who->serves)
                cosmos__list_append(&who->serves->runtime, &process->peers);
        return process;
}

void cosmos__process_used(struct cosmos__table *table, struct cosmos__process *process)
{
        cosmos__list_remove(&process->used);
        cosmos__list_append(&table->processes_used, &process->used);
}

void cosmos__process_remove(struct cosmos__table *table, struct cosmos__process *process)
{
        cosmos__hash_remove(&table->processes, &process->node);
        cosmos__list_remove(&process->used);
        cosmos__list_remove(&process->peers);
        cosmos__list_remove(&process->silent);
        free(process);
}

static struct cosmos__container *container_new(const char *id)
{
        struct cosmos__container *container = calloc(1, sizeof(*container));

        if (!container)
                return NULL;
        memcpy(container->id, id, sizeof(container->id) - 1);
        cosmos__list_init(&container->processes);
        cosmos__list_init(&container->runtime);
        return container;
}

struct cosmos__container *cosmos__container_get(struct cosmos__table *table, const char *id, bool *ret_new)
{
        uint64_t hash = cosmos__hash_bytes(id, COSMOS__ID_SIZE - 1);
        struct cosmos__hash_node *node = cosmos__hash_first(&table->containers, hash);
        struct cosmos__container *container;

        for (; node; node = node->next) {
                container = CONTAINER_OF(node, struct cosmos__container, node);
                if (memcmp(container->id, id, COSMOS__ID_SIZE - 1) == 0) {
                        cosmos__list_remove(&container->used);
                        cosmos__list_append(&table->containers_used, &container->used);
                        *ret_new = false;
                        return container;
                }
        }
        container = container_new(id);
        if (!container)
                return NULL;
        cosmos__hash_insert(&table->containers, &container->node, hash);
        cosmos__list_append(&table->containers_used, &container->used);
        *ret_new = true;
        return container;
}

static void remove_all(struct cosmos__table *table, struct cosmos__list *peers)
{
        while (!cosmos__list_empty(peers))
                cosmos__process_remove(table, CONTAINER_OF(peers->next, struct cosmos__process, peers));
}

void cosmos__container_remove(struct cosmos__table *table, struct cosmos__container *container)
{
        remove_all(table, &container->processes);
        remove_all(table, &container->runtime);
        cosmos__hash_remove(&table->containers, &container->node);
        cosmos__list_remove(&container->used);
        cosmos__list_append(&table->removed, &container->used);
}

void cosmos__table_trim(struct cosmos__table *table)
{
        unsigned int spared = 0;

        while (table->processes.n > COSMOS__PROCESSES_MAX) {
                struct cosmos__process *oldest = CONTAINER_OF(table->processes_used.next, struct cosmos__process, used);

                /* What is known of a root can't be found out again: whether it has
                 * executed the container's program. A process that calls itself as the
                 * runtime's init does must not be forgotten just by letting others
                 * fork until the table overflows. */
                if ((oldest->who.flags & COSMOS__WHO_ROOT) && spared++ < ROOTS_SPARED)
                        cosmos__process_used(table, oldest);
                else
                        cosmos__process_remove(table, oldest);
        }
        while (table->containers.n > COSMOS__CONTAINERS_MAX)
                cosmos__container_remove(table,
                                         CONTAINER_OF(table->containers_used.next, struct cosmos__container, used));
}

void cosmos__table_reap(struct cosmos__table *table)
{
        while (!cosmos__list_empty(&table->removed)) {
                struct cosmos__container *container = CONTAINER_OF(table->removed.next, struct cosmos__container, used);

                cosmos__list_remove(&container->used);
                free(container->name);
                free(container->image);
                free(container->cgroup);
                free(container);
        }
}

void cosmos__table_sweep(struct cosmos__table *table, size_t n,
                         void (*visit)(void *userdata, struct cosmos__process *process), void *userdata)
{
        size_t visited = 0;

        for (size_t i = 0; i <= table->processes.mask && visited < n; i++) {
                struct cosmos__hash_node *node = table->processes.buckets[table->hand], *next;

                for (; node; node = next, visited++) {
                        next = node->next;
                        visit(userdata, CONTAINER_OF(node, struct cosmos__process, node));
                }
                table->hand = (table->hand + 1) & table->processes.mask;
        }
}
