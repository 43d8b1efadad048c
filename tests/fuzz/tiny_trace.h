/* SPDX-License-Identifier: Apache-2.0 */
/* A trace that trainings of harnesses begin with. */
#ifndef COSMOS_FUZZ_TINY_TRACE_H
#define COSMOS_FUZZ_TINY_TRACE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define TINY_TRACE_CALLS 120

static inline void check(int condition)
{
        if (!condition)
                abort();
}

/* Written once: four processes, of whose calls a model of the corpus knows some. */
static inline const char *tiny_trace(void)
{
        static char path[64];
        FILE *trace;
        int fd;

        if (path[0])
                return path;
        fd = memfd_create("trace", 0);
        check(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        trace = fopen(path, "w");
        check(trace != NULL);
        for (int i = 0; i < TINY_TRACE_CALLS; i++)
                fprintf(trace,
                        "{\"timestamp\":\"2026-11-26T10:00:%02d.%03dZ\",\"pid\":%d,\"tid\":%d,\"comm\":\"a\","
                        "\"syscall\":\"%s\"}\n",
                        i / 10, i % 10 * 100, 10 + i / 30, 10 + i / 30, i % 3 ? "call0" : "read");
        check(fclose(trace) == 0);
        return path;
}

#endif
