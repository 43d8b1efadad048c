/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /proc/PID/cgroup → the container. Pure: reads its argument, nothing else. */
#ifndef COSMOS_CONTAINER_CGROUP_H
#define COSMOS_CONTAINER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COSMOS__ID_SIZE 65 /* 64 hexadecimal digits and a NUL */

struct cosmos__cgroup {
        char id[COSMOS__ID_SIZE];
        /* Both are slices of the text, without a NUL. */
        const char *controllers; /* of the hierarchy: "" (v2), "memory", "cpu,cpuacct", "name=systemd" */
        size_t n_controllers;
        const char *path; /* from the root of the hierarchy down to the container's own cgroup; begins with '/' */
        size_t n_path;
};

/* 1 and the container; 0: the text names none. Lines that are malformed are skipped. */
int cosmos__cgroup_parse(const uint8_t *text, size_t n, struct cosmos__cgroup *ret);

/* 64 lower-case hexadecimal digits, which is how every runtime writes an id? Looks at 64 bytes. */
bool cosmos__is_id(const char *s);

#endif
