/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over a trace; prints its lines, bytes and the seconds of CPU time that it took.
 *
 *   reader PART TRACE
 *
 *   read        read() alone
 *   newlines    and the end of each line looked for: what no reader of lines goes below
 *   sum         instead, the sum of all bytes: what it costs to look at each once
 *   jansson     each line loaded with jansson
 *   reader      the replay collector
 *   resolver    and the resolver
 *   sequencer   and the sequencer, by thread
 */
#define _GNU_SOURCE
#include <cosmos/cosmos.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK ((size_t)256 << 10)
#define CALLS_MAX 512

static uint64_t lines, bytes, checksum;

static void die(const char *what, const char *why)
{
        fprintf(stderr, "reader: %s: %s\n", what, why);
        exit(1);
}

static double cpu_time(void)
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- without the library ------------------------------------------------------------------ */

static void take_nothing(const char *line, size_t n)
{
        (void)line;
        (void)n;
}

static void load(const char *line, size_t n)
{
        json_t *json = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);

        if (!json)
                die("jansson", "a line that is not JSON");
        json_decref(json);
}

static void read_lines(const char *path, void (*take)(const char *line, size_t n))
{
        char *buffer = malloc(2 * BLOCK), *end;
        int fd = open(path, O_RDONLY);
        size_t used = 0;
        ssize_t n;

        while ((n = read(fd, buffer + used, BLOCK)) > 0) {
                char *line = buffer;

                used += (size_t)n;
                bytes += (uint64_t)n;
                for (; (end = memchr(line, '\n', (size_t)(buffer + used - line))); line = end + 1) {
                        take(line, (size_t)(end - line));
                        lines++;
                }
                used -= (size_t)(line - buffer);
                memmove(buffer, line, used);
        }
        close(fd);
        free(buffer);
}

static void read_blocks(const char *path, int sum)
{
        unsigned char *buffer = malloc(BLOCK);
        int fd = open(path, O_RDONLY);
        ssize_t n;

        while ((n = read(fd, buffer, BLOCK)) > 0) {
                bytes += (uint64_t)n;
                for (ssize_t i = 0; sum && i < n; i++)
                        checksum += buffer[i];
        }
        close(fd);
        free(buffer);
}

/* ---- the library -------------------------------------------------------------------------- */

static cosmos_vocab *vocab_of_calls(struct cosmos_diag *diag)
{
        const char *names[CALLS_MAX + 2] = {"<start>", "<unknown>"}, *name;
        cosmos_vocab *vocab;
        size_t n = 2;

        for (uint32_t nr = 0; nr < CALLS_MAX; nr++)
                if ((name = cosmos_syscall_name(COSMOS_ARCH_X86_64, nr)))
                        names[n++] = name;
        if (cosmos_vocab_new(&vocab, names, n, diag) < 0)
                die("vocabulary", diag->text);
        return vocab;
}

static void read_events(const char *path, int resolve, int sequence)
{
        struct cosmos_resolver_options replay = {.size = sizeof(replay)};
        struct cosmos_sequencer_options threads = {.size = sizeof(threads), .unit = COSMOS_UNIT_THREAD};
        const struct cosmos_event *event;
        cosmos_sequencer *sequencer;
        cosmos_collector *collector;
        cosmos_resolver *resolver;
        struct cosmos_step step;
        struct cosmos_diag diag;
        cosmos_vocab *vocab = vocab_of_calls(&diag);
        int r;

        if (cosmos_collector_open_replay(&collector, path, NULL, &diag) < 0 ||
            cosmos_resolver_new(&resolver, &replay, &diag) < 0 ||
            cosmos_sequencer_new(&sequencer, vocab, &threads, &diag) < 0)
                die(path, diag.text);
        while ((r = resolve ? cosmos_resolver_pull(resolver, collector, &event, &diag)
                            : cosmos_collector_next(collector, &event, &diag)) == 1) {
                lines++;
                checksum += (uint64_t)event->ret;
                if (!sequence)
                        continue;
                if (cosmos_sequencer_feed(sequencer, event, &diag) < 0)
                        die(path, diag.text);
                while (cosmos_sequencer_next(sequencer, &step) == 1)
                        checksum += step.token.field[COSMOS_TOKEN_NAME];
        }
        if (r < 0)
                die(path, diag.text);
        cosmos_sequencer_free(sequencer);
        cosmos_resolver_free(resolver);
        cosmos_collector_free(collector);
        cosmos_vocab_free(vocab);
}

int main(int argc, char **argv)
{
        const char *part = argc == 3 ? argv[1] : "", *path = argv[argc - 1];
        double start = cpu_time();

        if (!strcmp(part, "read") || !strcmp(part, "sum"))
                read_blocks(path, !strcmp(part, "sum"));
        else if (!strcmp(part, "newlines") || !strcmp(part, "jansson"))
                read_lines(path, !strcmp(part, "jansson") ? load : take_nothing);
        else if (!strcmp(part, "reader") || !strcmp(part, "resolver") || !strcmp(part, "sequencer"))
                read_events(path, strcmp(part, "reader") != 0, !strcmp(part, "sequencer"));
        else
                die("usage", "reader PART TRACE");
        printf("%.6f %llu %llu %llx\n", cpu_time() - start, (unsigned long long)lines, (unsigned long long)bytes,
               (unsigned long long)checksum);
        return 0;
}
