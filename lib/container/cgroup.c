/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is "HIERARCHY:CONTROLLERS:PATH". On cgroup v2 there is one, "0::PATH";
 * on v1 one for each hierarchy; on a hybrid host both. The runtimes put the
 * container's id into one component of the path:
 *
 *   /docker/ID                                        Docker, cgroupfs driver
 *   /system.slice/docker-ID.scope                     Docker, systemd driver
 *   /kubepods/burstable/podUID/ID                     Kubernetes, cgroupfs driver
 *   /kubepods.slice/.../cri-containerd-ID.scope       Kubernetes, containerd, systemd driver
 *   /.../kubepods-....slice:cri-containerd:ID         the same with a driver mismatch
 *   /kubepods.slice/.../crio-ID.scope                 CRI-O
 *   /machine.slice/libpod-ID.scope/container          Podman
 *
 * So: a component that is ID or NAME-ID or NAME:ID, with or without ".scope".
 * NAME-conmon-ID is the cgroup of Podman's and CRI-O's monitor, which is a
 * process of the host.
 *
 * The outermost id of a path wins. A process can move only downwards from its
 * container's cgroup, and where cgroups are delegated to it, it can create some
 * of any name there. Were the innermost id to win, "mkdir <64 hex digits>" and a
 * move would be enough to leave a watched container. The price: what runs in a
 * container within a container counts as part of the outer one, which is also
 * the one that the host's runtime knows.
 *
 * Lines of one process agree, unless someone with power over the host's cgroups
 * moved it in some hierarchies only. v2 is believed first, then systemd's
 * hierarchy, then the others in the kernel's order; one id is enough.
 *
 * The kernel refuses a newline in a cgroup's name, so a line is a line.
 */
#include "container/cgroup.h"

#include <string.h>

bool cosmos__is_id(const char *s)
{
        for (size_t i = 0; i < COSMOS__ID_SIZE - 1; i++)
                if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
                        return false;
        return true;
}

static bool ends_with(const char *s, size_t n, const char *suffix)
{
        size_t m = strlen(suffix);

        return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* The id in one component of a path, or NULL. */
static const char *component_id(const char *s, size_t n)
{
        const size_t digits = COSMOS__ID_SIZE - 1;
        const char *id;

        if (ends_with(s, n, ".scope"))
                n -= strlen(".scope");
        if (n < digits)
                return NULL;
        id = s + n - digits;
        n -= digits;
        if (!cosmos__is_id(id))
                return NULL;
        if (n == 0)
                return id;
        if (n == 1 || (s[n - 1] != '-' && s[n - 1] != ':') || ends_with(s, n, "conmon-"))
                return NULL;
        return id;
}

/* The outermost id of the path; the path is cut behind its component. */
static const char *path_id(const char *path, size_t *n_path)
{
        const char *end = path + *n_path, *s = path;

        while (s < end) {
                const char *slash = memchr(s, '/', (size_t)(end - s));
                const char *stop = slash ? slash : end;
                const char *id = component_id(s, (size_t)(stop - s));

                if (id) {
                        *n_path = (size_t)(stop - path);
                        return id;
                }
                s = stop + 1;
        }
        return NULL;
}

/* 0: not a line of this file; else how far it is to be believed. */
static int parse_line(const char *line, size_t n, struct cosmos__cgroup *ret)
{
        const char *end = line + n, *first, *second, *id;

        first = memchr(line, ':', n);
        if (!first)
                return 0;
        second = memchr(first + 1, ':', (size_t)(end - first - 1));
        if (!second || second + 1 == end || second[1] != '/')
                return 0;
        ret->controllers = first + 1;
        ret->n_controllers = (size_t)(second - ret->controllers);
        ret->path = second + 1;
        ret->n_path = (size_t)(end - ret->path);
        /* The kernel's mark on a cgroup that was removed under a process that is ending. */
        if (ends_with(ret->path, ret->n_path, " (deleted)"))
                ret->n_path -= strlen(" (deleted)");
        id = path_id(ret->path, &ret->n_path);
        if (!id)
                return 0;
        memcpy(ret->id, id, COSMOS__ID_SIZE - 1);
        ret->id[COSMOS__ID_SIZE - 1] = 0;
        if (ret->n_controllers == 0)
                return 3;
        return ret->n_controllers == strlen("name=systemd") && ends_with(first + 1, ret->n_controllers, "name=systemd")
                   ? 2
                   : 1;
}

int cosmos__cgroup_parse(const uint8_t *text, size_t n, struct cosmos__cgroup *ret)
{
        const char *s = (const char *)text, *end = n ? s + n : s; /* no text may be NULL */
        int best = 0;

        while (s < end) {
                const char *newline = memchr(s, '\n', (size_t)(end - s));
                const char *stop = newline ? newline : end;
                struct cosmos__cgroup line;
                int rank = parse_line(s, (size_t)(stop - s), &line);

                if (rank > best) {
                        best = rank;
                        *ret = line;
                }
                s = stop + 1;
        }
        return best > 0;
}
