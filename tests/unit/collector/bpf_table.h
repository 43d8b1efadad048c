/* SPDX-License-Identifier: Apache-2.0 */
/* The table of calls.c, which is nobody else's: bpf_table.c lets it be seen. */
#ifndef COSMOS_TEST_BPF_TABLE_H
#define COSMOS_TEST_BPF_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* The names of line `i`, NULL-terminated, and what is said of them; NULL: there are no more lines. */
const char *const *bpf_table(size_t i, uint16_t *ret_what);

#endif
