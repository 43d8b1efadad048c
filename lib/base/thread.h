/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library's own. */
#ifndef COSMOS_THREAD_H
#define COSMOS_THREAD_H

#include <pthread.h>

/* Start one that takes no signal: those are for the caller's threads. 0 or -errno. */
int cosmos__thread_start(pthread_t *ret, void *(*run)(void *userdata), void *userdata);

#endif
