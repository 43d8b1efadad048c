/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup path parser: any text is a container that it names, or none. */
#include "container/cgroup.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
        if (!condition)
                abort();
}

static bool inside(const uint8_t *data, size_t size, const char *s, size_t n)
{
        const uint8_t *p = (const uint8_t *)s;

        return p >= data && n <= size && (size_t)(p - data) <= size - n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cosmos__cgroup cgroup;

        memset(&cgroup, 0xa5, sizeof(cgroup));
        if (cosmos__cgroup_parse(data, size, &cgroup) == 0)
                return 0;
        require(cosmos__is_id(cgroup.id) && cgroup.id[COSMOS__ID_SIZE - 1] == 0);
        require(inside(data, size, cgroup.path, cgroup.n_path) && cgroup.path[0] == '/');
        require(inside(data, size, cgroup.controllers, cgroup.n_controllers));
        require(memmem(cgroup.path, cgroup.n_path, cgroup.id, COSMOS__ID_SIZE - 1) != NULL);
        require(memchr(cgroup.path, '\n', cgroup.n_path) == NULL);
        return 0;
}
