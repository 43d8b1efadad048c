/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of scoring a trace, each by itself.
 *
 * predictor_stages WHAT TRACE MODEL PRECISION, with WHAT one of
 *   reader     read it, and drop the events
 *   sequencer  read it, find containers and sequences, make tokens
 *   step       read it all first, then step its sequences, 1,000 calls at a time
 * predictor_stages open N MODEL PRECISION
 *              a detector, and N sequences of 10 calls that stay open
 *
 * The first three print calls and seconds; the last bytes of heap of the detector, of it with half of the
 * sequences, and with all.
 */
#define _GNU_SOURCE
#include <cosmos/cosmos.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_A_TIME ((size_t)1000)

static struct cosmos_diag diag;

static void must(int ok, const char *what)
{
        if (ok)
                return;
        fprintf(stderr, "predictor_stages: %s: %s\n", what, diag.text);
        exit(2);
}

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_only(cosmos_collector *collector)
{
        const struct cosmos_event *event;
        double begun = seconds();
        size_t n = 0;

        while (cosmos_collector_next(collector, &event, &diag) == 1)
                n += event->type == COSMOS_EVENT_CALL;
        printf("%zu %.6f\n", n, seconds() - begun);
}

/* What `step` keeps of a trace: for each call its session and its token. */
struct calls {
        size_t n, room;
        cosmos_session **sessions;
        struct cosmos_token *tokens;
};

static void keep(struct calls *calls, cosmos_model *model, const struct cosmos_step *step)
{
        cosmos_session *session = *step->userdata;

        if (!session)
                must(cosmos_session_new(&session, model, &diag) == 0, "session");
        *step->userdata = session;
        if (calls->n == calls->room) {
                calls->room = calls->room ? 2 * calls->room : 1 << 16;
                calls->sessions = realloc(calls->sessions, calls->room * sizeof(*calls->sessions));
                calls->tokens = realloc(calls->tokens, calls->room * sizeof(*calls->tokens));
                must(calls->sessions && calls->tokens, "memory");
        }
        calls->sessions[calls->n] = session;
        calls->tokens[calls->n++] = step->token;
}

/* Returns the number of calls. With `calls` these are kept; sessions then live to the end of the process. */
static size_t read_sequences(cosmos_collector *collector, cosmos_model *model, struct calls *calls)
{
        struct cosmos_resolver_options replay = {.size = sizeof(replay)};
        const struct cosmos_event *event;
        cosmos_sequencer *sequencer = NULL;
        cosmos_resolver *resolver = NULL;
        struct cosmos_step step;
        size_t n = 0;

        must(cosmos_resolver_new(&resolver, &replay, &diag) == 0, "resolver");
        must(cosmos_sequencer_new(&sequencer, cosmos_model_vocab(model), NULL, &diag) == 0, "sequencer");
        while (cosmos_resolver_pull(resolver, collector, &event, &diag) == 1) {
                must(cosmos_sequencer_feed(sequencer, event, &diag) == 0, "feed");
                while (cosmos_sequencer_next(sequencer, &step) == 1) {
                        if (step.type != COSMOS_STEP_CALL)
                                continue;
                        n++;
                        if (calls)
                                keep(calls, model, &step);
                }
        }
        cosmos_sequencer_free(sequencer);
        cosmos_resolver_free(resolver);
        return n;
}

static void sequence_only(cosmos_collector *collector, cosmos_model *model)
{
        double begun = seconds();
        size_t n = read_sequences(collector, model, NULL);

        printf("%zu %.6f\n", n, seconds() - begun);
}

static void step_only(cosmos_collector *collector, cosmos_model *model)
{
        cosmos_predictor *predictor = NULL;
        static float nll[AT_A_TIME];
        struct calls calls = {0};
        double begun;

        must(cosmos_predictor_new(&predictor, model, &diag) == 0, "predictor");
        read_sequences(collector, model, &calls);
        begun = seconds();
        for (size_t i = 0; i < calls.n; i += AT_A_TIME) {
                size_t n = calls.n - i < AT_A_TIME ? calls.n - i : AT_A_TIME;

                must(cosmos_predictor_step(predictor, calls.sessions + i, calls.tokens + i, n, nll, NULL) == 0, "step");
        }
        printf("%zu %.6f\n", calls.n, seconds() - begun);
        cosmos_predictor_free(predictor);
        free(calls.sessions);
        free(calls.tokens);
}

static int drop(void *userdata, const struct cosmos_score *score)
{
        (void)userdata;
        (void)score;
        return 0;
}

static void open_sequences(cosmos_model *model, int n)
{
        struct cosmos_sink_callbacks callbacks = {.size = sizeof(callbacks), .score = drop};
        struct cosmos_event event = {
            .known = COSMOS_KNOWN_PID | COSMOS_KNOWN_PROC_START | COSMOS_KNOWN_SEQ | COSMOS_KNOWN_RET,
            .timestamp = 1795000000000000000,
            .container_id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            .container_name = "db",
            .image = "mariadb:11",
            .comm = "mariadbd",
            .exe = "/usr/sbin/mariadbd",
            .syscall = "read",
        };
        cosmos_detector *detector = NULL;
        cosmos_sink *sink = NULL;
        size_t before;

        must(cosmos_sink_new_callback(&sink, &callbacks, &diag) == 0, "sink");
        before = mallinfo2().uordblks + mallinfo2().hblkhd;
        must(cosmos_detector_new(&detector, model, sink, NULL, &diag) == 0, "detector");
        printf("%zu", mallinfo2().uordblks + mallinfo2().hblkhd - before);
        for (int i = 0; i < n; i++) {
                event.pid = i + 10;
                event.proc_start = (uint64_t)i + 10;
                for (int k = 0; k < 10; k++) {
                        event.seq++;
                        event.timestamp += 1000;
                        must(cosmos_detector_feed(detector, &event, &diag) == 0, "feed");
                }
                if (i + 1 == n / 2 || i + 1 == n)
                        printf(" %zu", mallinfo2().uordblks + mallinfo2().hblkhd - before);
        }
        printf("\n");
        cosmos_detector_free(detector);
        cosmos_sink_free(sink);
}

int main(int argc, char **argv)
{
        struct cosmos_model_options options = {.size = sizeof(options)};
        cosmos_collector *collector = NULL;
        cosmos_model *model = NULL;

        must(argc == 5, "WHAT, TRACE or N, MODEL and PRECISION are needed");
        options.precision = strcmp(argv[4], "int8") ? COSMOS_PRECISION_F32 : COSMOS_PRECISION_INT8;
        must(cosmos_model_load_file(&model, argv[3], &options, &diag) == 0, "model");
        if (!strcmp(argv[1], "open")) {
                open_sequences(model, atoi(argv[2]));
        } else {
                must(cosmos_collector_open_replay(&collector, argv[2], NULL, &diag) == 0, "trace");
                if (!strcmp(argv[1], "reader"))
                        read_only(collector);
                else if (!strcmp(argv[1], "sequencer"))
                        sequence_only(collector, model);
                else
                        step_only(collector, model);
                cosmos_collector_free(collector);
        }
        cosmos_model_unref(model);
        return 0;
}
