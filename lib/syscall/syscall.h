/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (architecture, number) <-> name of a system call. One generated file for each
 * architecture; numbers with no name are NULL.
 */
#ifndef COSMOS_SYSCALL_H
#define COSMOS_SYSCALL_H

#include <cosmos/event.h>

#include <stdint.h>

struct cosmos__syscall_table {
        const char *const *names;
        uint32_t n;
};

extern const struct cosmos__syscall_table cosmos__syscalls_x86_64;
extern const struct cosmos__syscall_table cosmos__syscalls_i386;
extern const struct cosmos__syscall_table cosmos__syscalls_aarch64;

#define COSMOS__UNNAMED_SIZE 24

/* A call's name; where no table has it, "syscall_N" in `unnamed`. */
const char *cosmos__syscall_label(enum cosmos_arch arch, uint32_t nr, char unnamed[COSMOS__UNNAMED_SIZE]);

/* cosmos_size_class() with 1, 2 or 4 classes for each octave. */
uint32_t cosmos__size_class(uint64_t bytes, uint32_t per_octave);

/* How a call's arguments are classed (cosmos_args_class()): the rule of a name, NULL if it has none, and the class by
 * it; 0 for NULL. */
struct cosmos__args_rule;
const struct cosmos__args_rule *cosmos__args_rule(const char *syscall);
uint32_t cosmos__args_class(const struct cosmos__args_rule *rule, const struct cosmos_event *event);

/* AUDIT_ARCH_* (linux/audit.h) to ours. */
enum cosmos_arch cosmos__arch_from_audit(uint32_t audit_arch);

#endif
