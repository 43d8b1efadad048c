/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name and image of a container, from Docker's state. Where that is: at its
 * usual place; where a running daemon says, or where it was for another container;
 * where a mount of the container's own processes comes from. In this order, because
 * a process in a container that may mount can make up the last (and nothing but
 * that). An id is random, so any state that has it is the right one.
 *
 * The state is there before the container runs, and may be gone as soon as it has
 * ended, so it is looked for from the first sign of the container on: the calls
 * of the runtime's init.
 */
#include "container/resolver.h"

#include "base/base.h"
#include "container/docker.h"

#include <errno.h>
#include <string.h>

#define TRIES_MAX 5
#define FIRST_RETRY_NS (COSMOS__SECOND / 10)
#define EARLY_RETRY_NS (COSMOS__SECOND / 100)
#define MEMBERS_ASKED 4
#define PLACES_MAX 8

static int read_at(struct cosmos_resolver *r, struct cosmos__container *container, const char *root,
                   struct cosmos_diag *diag)
{
        char *name, *image;
        int error = cosmos__docker_read(root, container->id, &name, &image, diag);

        if (error < 0)
                return error;
        container->name = name;
        container->image = image;
        container->named = true;
        container->selected = cosmos__select_match(&r->select, container->id, name, image);
        return 0;
}

/* The folder is remembered: other containers' state is there as well. */
static int read_by_mounts(struct cosmos_resolver *r, struct cosmos__container *container, int32_t pid,
                          struct cosmos_diag *diag)
{
        int error = -ENOENT;

        for (unsigned int i = 0; i < PLACES_MAX; i++) {
                _cleanup_free_ char *root = NULL;

                if (cosmos__proc_docker_root(&r->proc, pid, container->id, i, &root) < 0)
                        break;
                error = read_at(r, container, root, diag);
                if (error == 0) {
                        free(r->docker_found);
                        r->docker_found = TAKE_PTR(root);
                        break;
                }
        }
        return error;
}

static int read_by_members(struct cosmos_resolver *r, struct cosmos__container *container, int32_t pid,
                           struct cosmos_diag *diag)
{
        struct cosmos__list *node = container->processes.next;
        int error = pid > 0 ? read_by_mounts(r, container, pid, diag) : -ENOENT;

        for (int i = 0; error < 0 && i < MEMBERS_ASKED && node != &container->processes; i++, node = node->next) {
                const struct cosmos__process *member = CONTAINER_OF(node, struct cosmos__process, peers);

                if (member->pid != pid)
                        error = read_by_mounts(r, container, member->pid, diag);
        }
        return error;
}

static int find_at_known_places(struct cosmos_resolver *r, struct cosmos__container *container,
                                struct cosmos_diag *diag)
{
        struct cosmos_diag other;
        int error;

        if (r->docker_root)
                return read_at(r, container, r->docker_root, diag);
        error = read_at(r, container, "/var/lib/docker", diag);
        if (error < 0 && r->docker_found && read_at(r, container, r->docker_found, &other) == 0)
                return 0;
        return error;
}

static int find(struct cosmos_resolver *r, struct cosmos__container *container, int32_t pid, struct cosmos_diag *diag)
{
        int error = find_at_known_places(r, container, diag), by_mounts;
        struct cosmos_diag other;

        if (error == 0 || r->docker_root)
                return error;
        by_mounts = read_by_members(r, container, pid, &other);
        if (by_mounts == 0)
                return 0;
        if (error == -ENOENT && by_mounts != -ENOENT) { /* the place that has something says more */
                *diag = other;
                error = by_mounts;
        }
        return error;
}

/* A container of another runtime has no such state; that is not worth a word. */
static void complain(struct cosmos_resolver *r, const struct cosmos__container *container, int error,
                     const struct cosmos_diag *diag)
{
        if (error == -ENOENT || r->warned)
                return;
        r->warned = true;
        cosmos__log(&r->log, COSMOS_LOG_WARNING,
                    "container %.12s: its name and image are not known: %s; it can be selected by its id only%s",
                    container->id, diag->text, error == -EACCES ? " (root may read this file)" : "");
}

int cosmos__names_find_early(struct cosmos_resolver *r, struct cosmos__container *container, int64_t now)
{
        struct cosmos_diag diag;
        int error;

        if (container->named || now < container->name_early)
                return 0;
        error = find_at_known_places(r, container, &diag);
        container->name_early = now + EARLY_RETRY_NS;
        return error == -ENOMEM ? error : 0;
}

int cosmos__names_find(struct cosmos_resolver *r, struct cosmos__container *container, int32_t pid, int64_t now)
{
        struct cosmos_diag diag = {0};
        int error;

        if (container->named || now < container->name_next)
                return 0;
        error = find(r, container, pid, &diag);
        if (error == 0 || error == -ENOMEM)
                return error;
        container->name_next = now + (FIRST_RETRY_NS << container->name_tries);
        if (++container->name_tries >= TRIES_MAX) {
                container->named = true;
                complain(r, container, error, &diag);
        }
        return 0;
}
