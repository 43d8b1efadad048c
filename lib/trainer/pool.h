/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that share out the items of one piece of work after another. */
#ifndef COSMOS_TRAINER_POOL_H
#define COSMOS_TRAINER_POOL_H

#include <stddef.h>

struct cosmos__pool;

/* `threads` 1 or more, the caller's own included. -errno; a pool with fewer threads than asked for is no error. */
int cosmos__pool_new(struct cosmos__pool **ret, size_t threads);
size_t cosmos__pool_threads(const struct cosmos__pool *pool);
/* Call `work` with 0 .. n-1, each once, on whichever thread is free; returns when all are done. */
void cosmos__pool_run(struct cosmos__pool *pool, void (*work)(void *userdata, size_t item), void *userdata, size_t n);
struct cosmos__pool *cosmos__pool_free(struct cosmos__pool *pool);

#endif
