/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guardian: a small process that outlives a crash of the collector. Whatever
 * ends the collector without a word (SIGKILL, a crash), it restores the
 * kernel's audit settings at once, and says so.
 */
#ifndef COSMOS_CLI_GUARDIAN_H
#define COSMOS_CLI_GUARDIAN_H

#include <sys/types.h>

struct guardian {
        pid_t pid;
        int fd; /* its end of a pipe closes with us */
};

/* Call it before the collector is opened. 0 or -errno. */
int guardian_start(struct guardian *ret);

/* The collector has restored everything by itself. */
void guardian_dismiss(struct guardian *guardian);

#endif
