/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of files, found by a thread of its own while they are read for something else. */
#ifndef COSMOS_DIGEST_H
#define COSMOS_DIGEST_H

#include <cosmos/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COSMOS__SHA256_TEXT 65 /* 64 hexadecimal digits and a NUL */

struct cosmos__digest;

/* `paths` are borrowed until it is freed. What is no regular file has the digest "". */
int cosmos__digest_new(struct cosmos__digest **ret, const char *const *paths, size_t n, struct cosmos_diag *reterr);
/* Wait for the end, but no longer than `ms`: is it there? */
bool cosmos__digest_wait(struct cosmos__digest *d, unsigned ms);
/* Bytes so far, of all files. */
uint64_t cosmos__digest_bytes(const struct cosmos__digest *d);
/* After the end: that of file `i`, or -errno where it could not be read. */
int cosmos__digest_get(const struct cosmos__digest *d, size_t i, char ret[COSMOS__SHA256_TEXT],
                       struct cosmos_diag *reterr);
/* Takes NULL. Ends at once if the end is still to come. Returns NULL. */
struct cosmos__digest *cosmos__digest_free(struct cosmos__digest *d);

#endif
