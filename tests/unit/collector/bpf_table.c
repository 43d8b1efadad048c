/* SPDX-License-Identifier: Apache-2.0 */
#define cosmos__bpf_calls test_bpf_calls /* the library has them already */
#define cosmos__bpf_sizes test_bpf_sizes
#include "collector/bpf/calls.c"

#include "bpf_table.h"

const char *const *bpf_table(size_t i, uint16_t *ret_what)
{
        if (i >= ARRAY_SIZE(table))
                return NULL;
        *ret_what = table[i].what;
        return table[i].names;
}
