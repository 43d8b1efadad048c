/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The predictor as a program that tests/bench/predictor.py asks.
 *
 *   predictor_steps                             the instruction sets, fastest first
 *   predictor_steps MODEL PRECISION ISA TOKENS  PRECISION is f32 or int8, TOKENS a file of uint32: ids of names
 *
 * The second says first "ISA MEMORY", then answers each line of standard input with one:
 *
 *   time STREAMS LENGTH CALLS EVERY     ns of CALLS calls of step(), each with LENGTH tokens for each of STREAMS
 *                                       sessions; with EVERY 1 also every log-probability is asked for
 *   logp STREAMS LENGTH CALLS FILE      the log-probabilities before each token go to FILE
 *   session N                           bytes of heap that one of N sessions takes
 *
 * Tokens stand in the order of time: of the first of each session, then the second of each. They are taken from
 * TOKENS one after the other, over and over.
 */
#define _GNU_SOURCE
#include <cosmos/cosmos.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static cosmos_model *model;
static cosmos_predictor *predictor;
static struct cosmos_token *all;
static size_t n_all;

static void fail(const char *what)
{
        fprintf(stderr, "predictor_steps: %s\n", what);
        exit(2);
}

static void *take(size_t n, size_t size)
{
        void *p = calloc(n ? n : 1, size);

        if (!p)
                fail("out of memory");
        return p;
}

static void read_tokens(const char *path)
{
        FILE *file = fopen(path, "rb");
        uint32_t id;

        if (!file)
                fail("no tokens");
        while (fread(&id, sizeof(id), 1, file) == 1) {
                all = realloc(all, (n_all + 1) * sizeof(*all));
                if (!all)
                        fail("out of memory");
                all[n_all++] = (struct cosmos_token){{id}};
        }
        fclose(file);
}

/* What a call to step() needs: tokens of several calls, so that a loop only moves on. */
struct work {
        size_t streams, n, calls; /* n: tokens of a call */
        cosmos_session **own, **sessions;
        struct cosmos_token *tokens; /* [calls][n] */
        float *nll, *logp;
};

static struct work work_new(size_t streams, size_t length, size_t calls, int with_logp)
{
        struct work w = {.streams = streams, .n = streams * length, .calls = calls};

        w.own = take(streams, sizeof(*w.own));
        w.sessions = take(w.n, sizeof(*w.sessions));
        w.tokens = take(w.n * calls, sizeof(*w.tokens));
        w.nll = take(w.n, sizeof(*w.nll));
        w.logp = with_logp ? take(w.n * cosmos_vocab_size(cosmos_model_vocab(model)), sizeof(*w.logp)) : NULL;
        for (size_t i = 0; i < streams; i++)
                if (cosmos_session_new(&w.own[i], model, NULL) < 0)
                        fail("no session");
        for (size_t i = 0; i < w.n; i++)
                w.sessions[i] = w.own[i % streams];
        for (size_t i = 0; i < w.n * calls; i++)
                w.tokens[i] = all[i % n_all];
        return w;
}

static void work_free(struct work *w)
{
        for (size_t i = 0; i < w->streams; i++)
                cosmos_session_free(w->own[i]);
        free(w->own);
        free(w->sessions);
        free(w->tokens);
        free(w->nll);
        free(w->logp);
}

static void step(struct work *w, size_t call)
{
        if (cosmos_predictor_step(predictor, w->sessions, w->tokens + call % w->calls * w->n, w->n, w->nll, w->logp) <
            0)
                fail("step failed");
}

static void do_time(size_t streams, size_t length, size_t calls, int with_logp)
{
        size_t distinct = n_all / (streams * length) + 1;
        struct work w = work_new(streams, length, distinct, with_logp);
        struct timespec a, b;

        for (size_t i = 0; i < calls / 10 + 1; i++)
                step(&w, i);
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (size_t i = 0; i < calls; i++)
                step(&w, i);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%lld\n", (long long)(b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec));
        work_free(&w);
}

static void do_logp(size_t streams, size_t length, size_t calls, const char *path)
{
        struct work w = work_new(streams, length, calls, 1);
        size_t n = w.n * cosmos_vocab_size(cosmos_model_vocab(model));
        FILE *file = fopen(path, "wb");

        if (!file)
                fail("can't write");
        for (size_t i = 0; i < calls; i++) {
                step(&w, i);
                if (fwrite(w.logp, sizeof(*w.logp), n, file) != n)
                        fail("can't write");
        }
        if (fclose(file))
                fail("can't write");
        printf("%zu\n", n * calls);
        work_free(&w);
}

static void do_session(size_t n)
{
        cosmos_session **sessions = take(n, sizeof(*sessions));
        size_t before = mallinfo2().uordblks;

        for (size_t i = 0; i < n; i++)
                if (cosmos_session_new(&sessions[i], model, NULL) < 0)
                        fail("no session");
        printf("%.1f\n", (double)(mallinfo2().uordblks - before) / (double)n);
        for (size_t i = 0; i < n; i++)
                cosmos_session_free(sessions[i]);
        free(sessions);
}

static void load(char **argv)
{
        struct cosmos_model_options options = {.size = sizeof(options)};
        struct cosmos_model_info info = {.size = sizeof(info)};
        struct cosmos_diag diag = {0};

        options.precision = strcmp(argv[2], "int8") ? COSMOS_PRECISION_F32 : COSMOS_PRECISION_INT8;
        options.isa = argv[3];
        if (cosmos_model_load_file(&model, argv[1], &options, &diag) < 0 ||
            cosmos_predictor_new(&predictor, model, &diag) < 0)
                fail(diag.text);
        cosmos_model_get_info(model, &info);
        printf("%s %zu\n", info.isa, info.memory);
}

int main(int argc, char **argv)
{
        size_t streams, length, calls;
        char line[1000], word[10], rest[900];

        if (argc != 5) {
                for (size_t i = 0; cosmos_isa_name(i); i++)
                        printf("%s\n", cosmos_isa_name(i));
                return 0;
        }
        load(argv);
        read_tokens(argv[4]);
        fflush(stdout);
        while (fgets(line, sizeof(line), stdin)) {
                int n = sscanf(line, "%9s %zu %zu %zu %899s", word, &streams, &length, &calls, rest);

                if (n == 5 && !strcmp(word, "time"))
                        do_time(streams, length, calls, rest[0] == '1');
                else if (n == 5 && !strcmp(word, "logp"))
                        do_logp(streams, length, calls, rest);
                else if (n == 2 && !strcmp(word, "session"))
                        do_session(streams);
                else
                        fail(line);
                fflush(stdout);
        }
        cosmos_predictor_free(predictor);
        cosmos_model_unref(model);
        return 0;
}
