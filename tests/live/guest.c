/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in the containers of the live tests: one static program, so that
 * the image is one file and each call that it makes is known.
 *
 *   guest exact SEED           10,000 getppid and 1,000 openat in 4 processes
 *   guest noise RATE SECONDS   about RATE calls a second
 *   guest work PERIOD_MS       a few calls, every period, for ever
 *   guest tag NUMBER           one getppid that carries a number
 *   guest i386 COUNT           32-bit calls of a 64-bit program
 *
 * getppid takes no argument, but what stands in the registers is recorded all
 * the same: that is how each call carries its own number. Calls are made by
 * syscall(2), since libc may make others of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 4
#define GETPPID (10000 / PROCESSES)
#define OPENAT (1000 / PROCESSES)
#define NOISE_TAG 0xbadUL

static void getppid_tagged(unsigned long a0, unsigned long a1)
{
        syscall(SYS_getppid, a0, a1);
}

/* The mode is ignored where nothing is created: room for a number. */
static void openat_tagged(unsigned long a3)
{
        syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY, a3);
}

static void sleep_ms(long ms)
{
        struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        while (nanosleep(&left, &left) && errno == EINTR)
                ;
}

/* Numerical Recipes' generator; the test computes the same order. */
static uint32_t next_random(uint32_t *state)
{
        *state = *state * 1664525u + 1013904223u;
        return *state >> 8;
}

static void exact_process(uint32_t seed, unsigned long process)
{
        uint32_t state = seed + (uint32_t)process, getppids = GETPPID, openats = OPENAT;

        for (unsigned long i = 0; getppids + openats > 0; i++) {
                if (next_random(&state) % (getppids + openats) < getppids) {
                        getppid_tagged(i, process);
                        getppids--;
                } else {
                        openat_tagged(i);
                        openats--;
                }
        }
}

static int exact(uint32_t seed)
{
        for (unsigned long process = 1; process < PROCESSES; process++) {
                pid_t pid = fork();

                if (pid < 0)
                        return 1;
                if (pid == 0) {
                        exact_process(seed, process);
                        _exit(0);
                }
        }
        exact_process(seed, 0);
        for (int status, n = 1; n < PROCESSES; n++)
                if (wait(&status) < 0 || status)
                        return 1;
        return 0;
}

/* In bursts of 10 ms; prints how many calls it made. */
static int noise(long rate, long seconds)
{
        unsigned long made = 0;
        time_t end = time(NULL) + seconds;

        while (time(NULL) < end) {
                for (long i = 0; i < rate / 100; i += 2, made += 2) {
                        getppid_tagged(made, NOISE_TAG);
                        openat_tagged(made);
                }
                sleep_ms(10);
        }
        printf("%lu\n", made);
        return 0;
}

_Noreturn static void work(long period_ms)
{
        for (unsigned long i = 0;; i++) {
                getppid_tagged(i, 0);
                openat_tagged(i);
                sleep_ms(period_ms);
        }
}

#ifdef __x86_64__
/* 20 and 64 are getpid and getppid on i386, but writev and semget on x86_64. */
static int i386(long count)
{
        for (long i = 0; i < count; i++) {
                long result = 20;

                __asm__ volatile("int $0x80" : "+a"(result) : "b"(i) : "memory", "r8", "r9", "r10", "r11");
                if (result < 0)
                        return 77;
                result = 64;
                __asm__ volatile("int $0x80" : "+a"(result) : "b"(i) : "memory", "r8", "r9", "r10", "r11");
        }
        return 0;
}
#else
static int i386(long count)
{
        (void)count;
        return 77;
}
#endif

int main(int argc, char **argv)
{
        const char *what = argc > 1 ? argv[1] : "";
        long first = argc > 2 ? atol(argv[2]) : 0;

        if (!strcmp(what, "exact"))
                return exact((uint32_t)first);
        if (!strcmp(what, "noise") && argc > 3)
                return noise(first, atol(argv[3]));
        if (!strcmp(what, "work"))
                work(first > 0 ? first : 100);
        if (!strcmp(what, "i386"))
                return i386(first);
        if (!strcmp(what, "tag")) {
                getppid_tagged((unsigned long)first, 0);
                return 0;
        }
        fprintf(stderr, "usage: guest exact|noise|work|tag|i386 NUMBER...\n");
        return 2;
}
