/* SPDX-License-Identifier: Apache-2.0 */
/* Score a trace with a model. */
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHY 5

static const char help[] = "Usage: cosmos-score [OPTION]... MODEL TRACE\n"
                           "\n"
                           "Say of each sequence of calls in a trace (a process, or a thread) how unlikely it\n"
                           "is to a model of the healthy container, and whether that is still normal. TRACE is\n"
                           "what cosmos-collect writes, or an audit.log; - is standard input, also a live one.\n"
                           "\n"
                           "  -t, --threshold T    nats a call; above it is anomalous. Default: the model's own\n"
                           "  -w, --why            with each score its most surprising calls, and what the model\n"
                           "                       had expected instead\n"
                           "  -c, --container C    only this container (name, first digits of the id, image);\n"
                           "                       may be given several times\n"
                           "  -h, --help           this text\n"
                           "      --version        the version\n"
                           "\n"
                           "Standard output: one JSON object for each scored window (its score is the mean\n"
                           "negative log-likelihood of the calls in it, in nats). Standard error: a summary.\n"
                           "\n"
                           "Examples:\n"
                           "  cosmos-score model.bin trace.jsonl > scores.jsonl\n"
                           "  cosmos-score --why model.bin trace.jsonl | jq 'select(.verdict == \"anomalous\")'\n"
                           "  cosmos-collect --container db | cosmos-score model.bin -\n"
                           "\n"
                           "Exit status: 0 all normal, 1 an anomaly, 2 an error, or nothing could be scored.\n"
                           "See also cosmos-collect(1).\n";

struct arguments {
        struct cli_containers containers;
        bool has_threshold, why;
        double threshold;
        const char *model, *trace;
};

/* The worst window so far: what the summary says of it. */
struct worst {
        bool any;
        double score;
        int32_t pid;
        char comm[64], container[80];
        char why[800]; /* far longer than nats ever are */
};

struct scoring {
        cosmos_model *model;
        cosmos_threshold *threshold;
        cosmos_collector *collector;
        cosmos_resolver *resolver;
        cosmos_sink *output, *sink;
        cosmos_detector *detector;
        struct worst worst;
        double theta;
};

static int parse_threshold(const char *text, struct arguments *a)
{
        char *end;

        a->threshold = strtod(text, &end);
        a->has_threshold = true;
        if (*end || end == text || !isfinite(a->threshold)) {
                cli_say("--threshold '%s': give a number", text);
                return cli_usage_error();
        }
        return EXIT_OK;
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
        static const struct option options[] = {
            {"threshold", required_argument, NULL, 't'}, {"why", no_argument, NULL, 'w'},
            {"container", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'},
            {"version", no_argument, NULL, 'V'},         {0},
        };
        int option;

        while ((option = getopt_long(argc, argv, "t:wc:h", options, NULL)) != -1)
                switch (option) {
                case 't':
                        if (parse_threshold(optarg, a) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'w':
                        a->why = true;
                        break;
                case 'c':
                        if (cli_add_container(&a->containers, optarg) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'h':
                        fputs(help, stdout);
                        return EXIT_OK;
                case 'V':
                        printf("cosmos-score %s\n", cosmos_version());
                        return EXIT_OK;
                default:
                        return cli_usage_error();
                }
        if (argc - optind != 2) {
                cli_say(argc - optind < 2 ? "a MODEL and a TRACE are needed"
                                          : "too many arguments: one MODEL, one TRACE");
                return cli_usage_error();
        }
        a->model = argv[optind];
        a->trace = argv[optind + 1];
        return -1;
}

/* ---- scores --------------------------------------------------------------------- */

/* Bytes from outside for a terminal: printable ASCII only. */
static void copy_printable(char *room, size_t size, const char *text)
{
        size_t i = 0;

        for (; text && text[i] && i + 1 < size; i++)
                room[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
        room[i] = 0;
}

static void describe_surprise(struct worst *w, const struct cosmos_surprise *s)
{
        char syscall[32], detail[80], expected[32];

        copy_printable(syscall, sizeof(syscall), s->syscall);
        copy_printable(detail, sizeof(detail), s->detail);
        copy_printable(expected, sizeof(expected), s->expected[0] ? s->expected[0] : "nothing");
        snprintf(w->why, sizeof(w->why), "%s%s%s (%.1f nats); expected %s (p %.2f)", syscall, *detail ? " " : "",
                 detail, s->nll, expected, s->expected_p[0]);
}

static int take_score(void *userdata, const struct cosmos_score *score)
{
        struct scoring *s = userdata;
        struct worst *w = &s->worst;

        if (score->verdict != COSMOS_INDETERMINATE && (!w->any || score->score > w->score)) {
                *w = (struct worst){.any = true, .score = score->score, .pid = score->pid};
                copy_printable(w->comm, sizeof(w->comm), score->comm);
                copy_printable(w->container, sizeof(w->container),
                               score->container_name ? score->container_name : score->container_id);
                if (score->n_why)
                        describe_surprise(w, &score->why[0]);
        }
        return cosmos_sink_write_score(s->output, score, NULL);
}

static void summarise(const struct scoring *s)
{
        struct cosmos_detector_stats d = {.size = sizeof(d)};
        const struct worst *w = &s->worst;

        cosmos_detector_get_stats(s->detector, &d);
        cli_say("%" PRIu64 " calls in %" PRIu64 " sequences, threshold %.3f nats a call", d.calls, d.sequences,
                s->theta);
        cli_say("windows: %" PRIu64 " normal, %" PRIu64 " anomalous (in %" PRIu64 " sequences), %" PRIu64
                " indeterminate",
                d.normal, d.anomalous, d.anomalous_sequences, d.indeterminate);
        if (w->any)
                cli_say("worst: %.3f, %s (pid %d)%s%s%s%s", w->score, w->comm, w->pid, *w->container ? " in " : "",
                        w->container, *w->why ? ": " : "", w->why);
        if (d.losses)
                cli_say("warning: the trace has %" PRIu64 " gaps; what they hit is indeterminate", d.losses);
        if (d.unknown_calls)
                cli_say("%" PRIu64 " calls have a name that the model never saw", d.unknown_calls);
        cli_say("verdict: %s", d.anomalous ? "ANOMALOUS" : d.normal ? "normal" : "none: nothing could be scored");
}

/* ---- wiring ------------------------------------------------------------------------ */

static int open_stages(struct scoring *s, const struct arguments *a, struct cosmos_diag *diag)
{
        struct cosmos_replay_options replay = {.size = sizeof(replay), .log = cli_log()};
        struct cosmos_resolver_options containers = {
            .size = sizeof(containers), .log = cli_log(), .select = a->containers.names, .n_select = a->containers.n};
        struct cosmos_sink_callbacks callbacks = {.size = sizeof(callbacks), .score = take_score, .userdata = s};
        struct cosmos_detector_options options = {.size = sizeof(options), .why = a->why ? WHY : 0};
        struct cosmos_model_info info = {.size = sizeof(info)};
        int r;

        r = cosmos_model_load_file(&s->model, a->model, NULL, diag);
        if (r == 0 && a->has_threshold)
                r = cosmos_threshold_new_fixed(&s->threshold, a->threshold, diag);
        if (r == 0)
                r = cosmos_collector_open_replay(&s->collector, a->trace, &replay, diag);
        if (r == 0)
                r = cosmos_resolver_new(&s->resolver, &containers, diag);
        if (r == 0)
                r = cosmos_sink_new_jsonl(&s->output, STDOUT_FILENO, diag);
        if (r == 0)
                r = cosmos_sink_new_callback(&s->sink, &callbacks, diag);
        if (r < 0)
                return r;
        options.threshold = s->threshold;
        cosmos_model_get_info(s->model, &info);
        s->theta = s->threshold ? a->threshold : info.threshold;
        return cosmos_detector_new(&s->detector, s->model, s->sink, &options, diag);
}

static int score(struct scoring *s, struct cosmos_diag *diag)
{
        int r, q;

        /* A stop signal is the collector's, at the other end of the pipe: its end is
         * ours. A second one means us. */
        while ((r = cosmos_detector_run(s->detector, s->collector, s->resolver, diag)) >= 0 && r != 2 &&
               cli_stop_signals < 2) {
                struct cosmos_detector_stats d = {.size = sizeof(d)};

                q = cosmos_sink_flush(s->output, diag);
                if (q < 0)
                        return q;
                cosmos_detector_get_stats(s->detector, &d);
                cli_progress("%" PRIu64 " calls, %" PRIu64 " anomalous windows", d.calls, d.anomalous);
                if (r == 0)
                        cli_wait(cosmos_collector_fd(s->collector));
        }
        q = cosmos_sink_flush(s->output, diag);
        return r < 0 ? r : q;
}

static int run(struct scoring *s, const struct arguments *a)
{
        struct cosmos_detector_stats d = {.size = sizeof(d)};
        struct cosmos_diag diag = {0};
        int r;

        r = open_stages(s, a, &diag);
        if (r == 0)
                r = score(s, &diag);
        if (r < 0)
                return cli_fail(r, &diag);
        summarise(s);
        cosmos_detector_get_stats(s->detector, &d);
        return d.anomalous ? EXIT_ANOMALY : d.normal ? EXIT_OK : EXIT_ERROR;
}

int main(int argc, char **argv)
{
        struct arguments arguments = {0};
        struct scoring s = {0};
        int r;

        cli_name = "cosmos-score";
        r = parse_arguments(argc, argv, &arguments);
        if (r >= 0)
                return r;
        if (strcmp(arguments.trace, "-") == 0)
                cli_catch_signals();
        r = run(&s, &arguments);
        cosmos_detector_free(s.detector);
        cosmos_sink_free(s.sink);
        cosmos_sink_free(s.output);
        cosmos_resolver_free(s.resolver);
        cosmos_collector_free(s.collector);
        cosmos_threshold_free(s.threshold);
        cosmos_model_unref(s.model);
        return r;
}
