/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing array in a file without a name, mapped: what is written to it is the page cache's, which
 * the kernel writes out when it needs the memory. Room is taken on the disk before it is mapped, so a
 * full disk is an error where the array grows and never a signal where it is used.
 */
#ifndef COSMOS_SPOOL_H
#define COSMOS_SPOOL_H

#include <cosmos/error.h>

#include <stddef.h>

struct cosmos__spool {
        char *data;
        size_t size; /* used */
        size_t room; /* mapped */
        int fd;      /* valid if room > 0 */
};

int cosmos__spool_grow(struct cosmos__spool *s, size_t n, struct cosmos_diag *reterr); /* for reserve: likewise */

/* Make room for `n` more bytes, which are zero. `data` may move. 0 or -errno. */
static inline int cosmos__spool_reserve(struct cosmos__spool *s, size_t n, struct cosmos_diag *reterr)
{
        return n <= s->room - s->size ? 0 : cosmos__spool_grow(s, n, reterr);
}

/* 0 or -errno. */
int cosmos__spool_append(struct cosmos__spool *s, const void *data, size_t n, struct cosmos_diag *reterr);

/* Give back what is not used. */
void cosmos__spool_trim(struct cosmos__spool *s);
/* Gives all of it back, and may be done twice. */
void cosmos__spool_free(struct cosmos__spool *s);

#endif
