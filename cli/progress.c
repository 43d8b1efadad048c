/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include "common.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WIDTH 24

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct progress_part sum;
static uint64_t total; /* bytes; 0: not known */
static struct timespec begun;

void progress_begin(char *const *paths, size_t n)
{
        clock_gettime(CLOCK_MONOTONIC, &begun);
        for (size_t i = 0; i < n; i++) {
                struct stat st;

                if (strcmp(paths[i], "-") == 0 || stat(paths[i], &st) < 0 || !S_ISREG(st.st_mode)) {
                        total = 0;
                        return;
                }
                total += (uint64_t)st.st_size;
        }
}

static void show_bar(double done)
{
        char bar[WIDTH + 1];
        struct timespec now;
        double seconds;

        clock_gettime(CLOCK_MONOTONIC, &now);
        seconds = (double)(now.tv_sec - begun.tv_sec) * (1 - done) / done;
        for (size_t i = 0; i < WIDTH; i++)
                bar[i] = (double)i < done * WIDTH ? '#' : '.';
        bar[WIDTH] = 0;
        cli_progress("[%s] %.0f%%, %.0f s left, %" PRIu64 " calls, %" PRIu64 " anomalous windows", bar, 100 * done,
                     seconds, sum.calls, sum.anomalous);
}

void progress_set(struct progress_part *part, uint64_t bytes, uint64_t calls, uint64_t anomalous)
{
        pthread_mutex_lock(&lock);
        sum.bytes += bytes - part->bytes;
        sum.calls += calls - part->calls;
        sum.anomalous += anomalous - part->anomalous;
        *part = (struct progress_part){bytes, calls, anomalous};
        if (sum.bytes > 0 && sum.bytes <= total)
                show_bar((double)sum.bytes / (double)total);
        else
                cli_progress("%" PRIu64 " calls, %" PRIu64 " anomalous windows", sum.calls, sum.anomalous);
        pthread_mutex_unlock(&lock);
}
