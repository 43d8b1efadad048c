/* SPDX-License-Identifier: Apache-2.0 */
#include "syscall/syscall.h"

#include "base/base.h"

#include <linux/audit.h>
#include <string.h>

static const struct {
        const char *name;
        uint32_t audit;
        const struct cosmos__syscall_table *table;
} arches[] = {
    [COSMOS_ARCH_UNKNOWN] = {NULL, 0, NULL},
    [COSMOS_ARCH_X86_64] = {"x86_64", AUDIT_ARCH_X86_64, &cosmos__syscalls_x86_64},
    [COSMOS_ARCH_I386] = {"i386", AUDIT_ARCH_I386, &cosmos__syscalls_i386},
    [COSMOS_ARCH_AARCH64] = {"aarch64", AUDIT_ARCH_AARCH64, &cosmos__syscalls_aarch64},
};

enum cosmos_arch cosmos__arch_from_audit(uint32_t audit_arch)
{
        for (size_t i = 1; i < ARRAY_SIZE(arches); i++)
                if (arches[i].audit == audit_arch)
                        return (enum cosmos_arch)i;
        return COSMOS_ARCH_UNKNOWN;
}

COSMOS_API const char *cosmos_arch_name(enum cosmos_arch arch)
{
        return (size_t)arch < ARRAY_SIZE(arches) ? arches[arch].name : NULL;
}

COSMOS_API enum cosmos_arch cosmos_arch_from_name(const char *name)
{
        for (size_t i = 1; i < ARRAY_SIZE(arches); i++)
                if (strcmp(arches[i].name, name) == 0)
                        return (enum cosmos_arch)i;
        return COSMOS_ARCH_UNKNOWN;
}

COSMOS_API const char *cosmos_syscall_name(enum cosmos_arch arch, uint32_t nr)
{
        const struct cosmos__syscall_table *table = (size_t)arch < ARRAY_SIZE(arches) ? arches[arch].table : NULL;

        return table && nr < table->n ? table->names[nr] : NULL;
}

const char *cosmos__syscall_label(enum cosmos_arch arch, uint32_t nr, char unnamed[COSMOS__UNNAMED_SIZE])
{
        const char *name = cosmos_syscall_name(arch, nr);

        if (name)
                return name;
        snprintf(unnamed, COSMOS__UNNAMED_SIZE, "syscall_%u", nr);
        return unnamed;
}

COSMOS_API int cosmos_syscall_number(enum cosmos_arch arch, const char *name)
{
        const struct cosmos__syscall_table *table = (size_t)arch < ARRAY_SIZE(arches) ? arches[arch].table : NULL;

        for (uint32_t nr = 0; table && nr < table->n; nr++)
                if (table->names[nr] && strcmp(table->names[nr], name) == 0)
                        return (int)nr;
        return -1;
}
