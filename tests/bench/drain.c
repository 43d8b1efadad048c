/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of a collector's pipe: counts lines, and what its loss lines say, and takes as
 * little time for it as it can.
 *
 *   drain 0            no more than that
 *   drain PAUSE_US     sleep so long after each read, to be too slow
 *   drain marks        for a line of `caller mark`, print how long after the call it was here, in µs
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];
static unsigned long lines, losses, lost;
static int marks;

static void take(char *line, size_t n)
{
        char *mark = marks ? strstr(line, "\"args\":[\"c05305\",\"") : NULL, *count, *second;
        struct timespec t;

        lines++;
        if (mark) {
                clock_gettime(CLOCK_REALTIME, &t);
                printf("%.1f\n", (double)(t.tv_sec * 1000000000L + t.tv_nsec - strtol(mark + 18, NULL, 16)) / 1000);
        }
        /* The second member, behind a timestamp of ms or ns. */
        if (n > 60 && (second = memchr(line, ',', 60)) && !memcmp(second, ",\"type\":\"loss\"", 14)) {
                losses++;
                count = strstr(line, "\"count\":");
                lost += count ? strtoul(count + 8, NULL, 10) : 0;
        }
}

int main(int argc, char **argv)
{
        useconds_t pause = argc > 1 ? (useconds_t)atoi(argv[1]) : 0;
        size_t used = 0;
        ssize_t n;

        marks = argc > 1 && !strcmp(argv[1], "marks");

        while ((n = read(STDIN_FILENO, buffer + used, sizeof(buffer) - 1 - used)) > 0) {
                char *line = buffer, *end;

                used += (size_t)n;
                while ((end = memchr(line, '\n', (size_t)(buffer + used - line)))) {
                        *end = 0;
                        take(line, (size_t)(end - line));
                        line = end + 1;
                }
                used -= (size_t)(line - buffer);
                memmove(buffer, line, used);
                if (pause)
                        usleep(pause);
        }
        fprintf(stderr, "%lu %lu %lu\n", lines, losses, lost);
        return 0;
}
