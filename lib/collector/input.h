/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a file or pipe, as they come: as they are, or, where they begin as
 * gzip (RFC 1952) does, decompressed. Reading never waits.
 */
#ifndef COSMOS_INPUT_H
#define COSMOS_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct cosmos__gzip;

/* Begins as {.fd, .regular}. */
struct cosmos__input {
        int fd;                    /* lent */
        bool regular;              /* a file: it always has its bytes there */
        bool begun;                /* what it is has been seen */
        bool held;                 /* one byte has come, which may be gzip's first */
        struct cosmos__gzip *gzip; /* NULL: not compressed */
        char fault[96];            /* why compressed bytes ended where they should not, for a person; else "" */
};

/* Up to `n` bytes, at least 2. Returns how many; 0: the end, or a fault (which stays);
 * -EAGAIN: none yet; else -errno. */
ssize_t cosmos__input_read(struct cosmos__input *in, void *data, size_t n);

void cosmos__input_free(struct cosmos__input *in); /* does not close */

#endif
