/* SPDX-License-Identifier: Apache-2.0 */
/* How far the scoring is: a bar on a terminal, nothing elsewhere. Any thread may call. */
#ifndef COSMOS_CLI_PROGRESS_H
#define COSMOS_CLI_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* One trace's part of what has been counted. */
struct progress_part {
        uint64_t bytes, calls, anomalous;
};

/* These files will be read. A bar needs the size of each: there is none for a pipe. */
void progress_begin(char *const *paths, size_t n);

/* So much of a trace, since its beginning; `part` holds what was said before. */
void progress_set(struct progress_part *part, uint64_t bytes, uint64_t calls, uint64_t anomalous);

#endif
