/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is watched in the measurements of the collector.
 *
 *   caller loop CPU N ROUNDS        N calls of getppid, ROUNDS times; prints ns a call for each
 *   caller pace CPU RATE SECONDS    RATE calls a second (0: as fast as it can); prints how many, and in how long
 *   caller mark SECONDS             every 5 ms one getppid whose arguments are a mark and the time
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MARK 0xc05305UL

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pin(int cpu)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (cpu >= 0 && sched_setaffinity(0, sizeof(set), &set) < 0)
                perror("sched_setaffinity");
}

static void loop(long n, int rounds)
{
        for (int r = 0; r < rounds; r++) {
                double begun = now();

                for (long i = 0; i < n; i++)
                        syscall(SYS_getppid);
                printf("%.2f\n", (now() - begun) * 1e9 / (double)n);
        }
}

/* The clock is asked between bursts of 64: where the rate is more than can be had, the end is still the end. */
static void pace(double rate, double seconds)
{
        double begun = now(), at;
        long made = 0;

        while ((at = now() - begun) < seconds) {
                long due = rate > 0 ? (long)(at * rate) : made + 64;

                for (due = due < made + 64 ? due : made + 64; made < due; made++)
                        syscall(SYS_getppid, made);
        }
        printf("%ld %.6f\n", made, at);
}

static void mark(double seconds)
{
        struct timespec pause = {.tv_nsec = 5000000}, t;

        for (double begun = now(); now() - begun < seconds; nanosleep(&pause, NULL)) {
                clock_gettime(CLOCK_REALTIME, &t);
                syscall(SYS_getppid, MARK, t.tv_sec * 1000000000L + t.tv_nsec);
        }
}

int main(int argc, char **argv)
{
        if (argc == 5 && !strcmp(argv[1], "loop")) {
                pin(atoi(argv[2]));
                loop(atol(argv[3]), atoi(argv[4]));
        } else if (argc == 5 && !strcmp(argv[1], "pace")) {
                pin(atoi(argv[2]));
                pace(atof(argv[3]), atof(argv[4]));
        } else if (argc == 3 && !strcmp(argv[1], "mark")) {
                mark(atof(argv[2]));
        } else {
                return 2;
        }
        return 0;
}
