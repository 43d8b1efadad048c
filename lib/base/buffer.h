/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer that is reused: once it has reached the size of the
 * largest content it allocates no more.
 */
#ifndef COSMOS_BUFFER_H
#define COSMOS_BUFFER_H

#include <stddef.h>

struct cosmos__buffer {
        char *data;
        size_t size; /* used */
        size_t room; /* allocated */
};

int cosmos__buffer_grow(struct cosmos__buffer *b, size_t n); /* for reserve: where there is no room yet */

/* Make room for `n` more bytes. 0 or -ENOMEM. */
static inline int cosmos__buffer_reserve(struct cosmos__buffer *b, size_t n)
{
        return n <= b->room - b->size ? 0 : cosmos__buffer_grow(b, n);
}

/* Append. 0 or -ENOMEM. */
int cosmos__buffer_append(struct cosmos__buffer *b, const void *data, size_t n);
void cosmos__buffer_free(struct cosmos__buffer *b);

#endif
