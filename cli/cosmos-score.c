/* SPDX-License-Identifier: Apache-2.0 */
/* Score traces with a model. */
#include "batch.h"
#include "calibrate.h"
#include "progress.h"

#include <errno.h>
#include <float.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY 5

static const char help[] = "Usage: cosmos-score [OPTION]... MODEL TRACE...\n"
                           "       cosmos-score --calibrate -o NEW [OPTION]... MODEL BENIGN...\n"
                           "\n"
                           "Say of each sequence of calls in a trace (a process, or a thread) how unlikely it\n"
                           "is to a model of the healthy container, and whether that is still normal. TRACE is\n"
                           "what cosmos-collect writes, or an audit.log; it may be compressed with gzip.\n"
                           "- is standard input, alone also a live one. Each of several traces is scored by\n"
                           "itself, many at once.\n"
                           "\n"
                           "  -t, --threshold T    nats a call; above it is anomalous. Default: the model's own,\n"
                           "                       of the container's image where it has one\n"
                           "  -a, --adaptive       a threshold that follows the scores, to keep the share of them\n"
                           "                       above it that the model's own stands for, or --quantile\n"
                           "  -b, --bounds A:B     keep it from A to B nats a call\n"
                           "  -w, --why            with each score its most surprising calls, and what the model\n"
                           "                       had expected instead\n"
                           "  -c, --container C    only this container (name, first digits of the id, image);\n"
                           "                       may be given several times\n"
                           "  -p, --precision P    of the model's weights: f32, or int8 (faster, less exact).\n"
                           "                       Default: as the model's file has them\n"
                           "  -j, --jobs N         score so many traces at once. Default: one for each core\n"
                           "      --calibrate      fit the threshold to traces of normal life that the model was\n"
                           "                       not trained on, one for each image too, and write a copy of\n"
                           "                       MODEL with it\n"
                           "  -o, --output NEW     the file to write; it may be MODEL\n"
                           "  -q, --quantile Q     the share of normal windows that is not to be above the\n"
                           "                       threshold. Default: the model's own, else 0.999\n"
                           "  -h, --help           this text\n"
                           "      --version        the version\n"
                           "\n"
                           "Standard output: one JSON object for each scored window (its score is the mean\n"
                           "negative log-likelihood of the calls in it, in nats); of several traces in their\n"
                           "order, each object with the name of its trace. Standard error: a summary.\n"
                           "\n"
                           "Examples:\n"
                           "  cosmos-score model.bin trace.jsonl > scores.jsonl\n"
                           "  cosmos-score --why model.bin trace.jsonl | jq 'select(.verdict == \"anomalous\")'\n"
                           "  cosmos-score model.bin monday.jsonl tuesday.jsonl > scores.jsonl\n"
                           "  cosmos-score --calibrate -q 0.99 -o model.bin model.bin sunday.jsonl\n"
                           "  cosmos-collect --container db | cosmos-score --adaptive -b 0.5:3 model.bin -\n"
                           "\n"
                           "Exit status: 0 all normal, 1 an anomaly, 2 an error (also of one trace of several), or\n"
                           "nothing could be scored.\n"
                           "See also cosmos-collect(1).\n";

struct arguments {
        struct cli_containers containers;
        bool has_threshold, why, calibrate, adaptive;
        double threshold, quantile; /* 0: not given */
        double min, max;            /* bounds; both 0: not given */
        const char *output;
        enum cosmos_precision precision;
        size_t jobs; /* 0: not given */
        const char *model;
        char **traces;
        size_t n_traces;
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

static int parse_precision(const char *text, struct arguments *a)
{
        const enum cosmos_precision all[] = {COSMOS_PRECISION_F32, COSMOS_PRECISION_INT8};

        for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
                if (strcmp(cosmos_precision_name(all[i]), text) == 0) {
                        a->precision = all[i];
                        return EXIT_OK;
                }
        cli_say("--precision '%s': give f32 or int8", text);
        return cli_usage_error();
}

static int parse_jobs(const char *text, struct arguments *a)
{
        char *end;

        errno = 0;
        a->jobs = strtoul(text, &end, 10);
        if (*end || *text < '0' || *text > '9' || errno || a->jobs < 1 || a->jobs > JOBS_MAX) {
                cli_say("--jobs '%s': give a number from 1 to %d", text, JOBS_MAX);
                return cli_usage_error();
        }
        return EXIT_OK;
}

static int parse_quantile(const char *text, struct arguments *a)
{
        char *end;

        a->quantile = strtod(text, &end);
        if (*end || end == text || !(a->quantile > 0 && a->quantile < 1)) {
                cli_say("--quantile '%s': give a number above 0 and below 1", text);
                return cli_usage_error();
        }
        return EXIT_OK;
}

static int parse_bounds(const char *text, struct arguments *a)
{
        char *colon, *end;

        a->min = strtod(text, &colon);
        a->max = *colon == ':' ? strtod(colon + 1, &end) : 0;
        if (colon == text || *colon != ':' || *end || end == colon + 1 || !isfinite(a->min) || !isfinite(a->max) ||
            !(a->min < a->max)) {
                cli_say("--bounds '%s': give two numbers in order, with a colon between", text);
                return cli_usage_error();
        }
        return EXIT_OK;
}

static int refuse(const char *what)
{
        cli_say("%s", what);
        return cli_usage_error();
}

static int check_together(const struct arguments *a)
{
        const bool bounded = a->min != 0 || a->max != 0;

        if (a->calibrate && !a->output)
                return refuse("--calibrate: say with --output which file to write; it may be MODEL");
        if (a->calibrate && (a->has_threshold || a->adaptive || a->why || a->jobs))
                return refuse("--calibrate goes with --output, --quantile, --container and --precision alone");
        if (a->output && !a->calibrate)
                return refuse("--output is for --calibrate; scores go to standard output");
        if (a->adaptive && a->has_threshold)
                return refuse("give either --threshold, which is fixed, or --adaptive");
        if (a->quantile > 0 && !a->calibrate && !a->adaptive)
                return refuse("--quantile is for --calibrate and --adaptive");
        if (bounded && !a->adaptive)
                return refuse("--bounds is for --adaptive");
        return EXIT_OK;
}

static int check_traces(const struct arguments *a)
{
        size_t inputs = 0;

        for (size_t i = 0; i < a->n_traces; i++)
                inputs += strcmp(a->traces[i], "-") == 0;
        if (inputs < 2)
                return EXIT_OK;
        cli_say("standard input (-) can be read once only");
        return cli_usage_error();
}

/* EXIT_OK or EXIT_ERROR; -1: one that ends the program well. */
static int take_option(int option, struct arguments *a)
{
        switch (option) {
        case 't':
                return parse_threshold(optarg, a);
        case 'a':
                a->adaptive = true;
                return EXIT_OK;
        case 'b':
                return parse_bounds(optarg, a);
        case 'C':
                a->calibrate = true;
                return EXIT_OK;
        case 'o':
                a->output = optarg;
                return EXIT_OK;
        case 'q':
                return parse_quantile(optarg, a);
        case 'w':
                a->why = true;
                return EXIT_OK;
        case 'c':
                return cli_add_container(&a->containers, optarg);
        case 'p':
                return parse_precision(optarg, a);
        case 'j':
                return parse_jobs(optarg, a);
        case 'h':
                fputs(help, stdout);
                return -1;
        case 'V':
                printf("cosmos-score %s\n", cosmos_version());
                return -1;
        default:
                return cli_usage_error();
        }
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
        static const struct option options[] = {
            {"adaptive", no_argument, NULL, 'a'},
            {"bounds", required_argument, NULL, 'b'},
            {"calibrate", no_argument, NULL, 'C'},
            {"container", required_argument, NULL, 'c'},
            {"help", no_argument, NULL, 'h'},
            {"jobs", required_argument, NULL, 'j'},
            {"output", required_argument, NULL, 'o'},
            {"precision", required_argument, NULL, 'p'},
            {"quantile", required_argument, NULL, 'q'},
            {"threshold", required_argument, NULL, 't'},
            {"version", no_argument, NULL, 'V'},
            {"why", no_argument, NULL, 'w'},
            {0},
        };
        int option, r;

        while ((option = getopt_long(argc, argv, "ab:c:hj:o:p:q:t:w", options, NULL)) != -1) {
                r = take_option(option, a);
                if (r != EXIT_OK)
                        return r < 0 ? EXIT_OK : r;
        }
        if (argc - optind < 2) {
                cli_say("a MODEL and a TRACE are needed");
                return cli_usage_error();
        }
        a->model = argv[optind];
        a->traces = argv + optind + 1;
        a->n_traces = (size_t)(argc - optind - 1);
        return check_together(a) == EXIT_OK && check_traces(a) == EXIT_OK ? -1 : EXIT_ERROR;
}

/* ---- what is said, and done -------------------------------------------------------- */

static void say_traces(const struct batch_result *b, size_t n)
{
        if (n > 1)
                cli_say("%zu traces: %zu normal, %zu anomalous, %zu without a score, %zu failed", n, b->normal,
                        b->anomalous, b->unscored, b->failed);
        if (b->stopped)
                cli_say("stopped by a signal: %zu traces were not begun", b->stopped);
}

static void say_worst(const struct batch_result *b, size_t n)
{
        const struct worst *w = &b->worst;

        if (!w->any)
                return;
        cli_say("worst: %.3f, %s (pid %d)%s%s%s%s%s%s", w->score, w->comm, w->pid, *w->container ? " in " : "",
                w->container, n > 1 ? " of " : "", n > 1 ? b->worst_trace : "", *w->why ? ": " : "", w->why);
}

static void summarise(const struct batch_result *b, const struct arguments *a)
{
        const struct cosmos_detector_stats *d = &b->stats;
        char theta[100] = "";

        if (b->theta.any && b->theta.low < b->theta.high)
                snprintf(theta, sizeof(theta), ", threshold %.3f to %.3f nats a call%s", b->theta.low, b->theta.high,
                         a->adaptive ? " (adaptive)" : ", by image");
        else if (b->theta.any)
                snprintf(theta, sizeof(theta), ", threshold %.3f nats a call", b->theta.low);
        say_traces(b, a->n_traces);
        cli_say("%" PRIu64 " calls in %" PRIu64 " sequences%s", d->calls, d->sequences, theta);
        cli_say("windows: %" PRIu64 " normal, %" PRIu64 " anomalous (in %" PRIu64 " sequences), %" PRIu64
                " indeterminate",
                d->normal, d->anomalous, d->anomalous_sequences, d->indeterminate);
        say_worst(b, a->n_traces);
        if (d->losses)
                cli_say("warning: the trace has %" PRIu64 " gaps; what they hit is indeterminate", d->losses);
        if (d->unknown_calls)
                cli_say("%" PRIu64 " calls have a name that the model never saw", d->unknown_calls);
        cli_say("verdict: %s", d->anomalous ? "ANOMALOUS" : d->normal ? "normal" : "none: nothing could be scored");
}

static size_t cores(void)
{
        cpu_set_t ours;

        return sched_getaffinity(0, sizeof(ours), &ours) == 0 ? (size_t)CPU_COUNT(&ours) : 1;
}

static size_t least(size_t a, size_t b)
{
        return a < b ? a : b;
}

static int score(const struct arguments *a, const struct trace_options *options, struct cosmos_diag *diag)
{
        const size_t jobs = least(a->jobs ? a->jobs : least(cores(), JOBS_MAX), a->n_traces);
        struct batch_result b;
        int r;

        progress_begin(a->traces, a->n_traces);
        r = score_traces(options, a->traces, a->n_traces, jobs, &b, diag);
        if (r < 0)
                return cli_fail(r, diag);
        if (b.failed == a->n_traces)
                return EXIT_ERROR;
        summarise(&b, a);
        if (b.failed || b.stopped)
                return EXIT_ERROR;
        return b.stats.anomalous ? EXIT_ANOMALY : b.stats.normal ? EXIT_OK : EXIT_ERROR;
}

/* What an adaptive one starts as; that it can adapt is found out once, not in each trace. */
static int make_adaptive(const struct cosmos_model *model, const struct cosmos_adaptive_options *adaptive,
                         cosmos_threshold **ret, struct cosmos_diag *diag)
{
        cosmos_threshold *trial = NULL;
        int r = cosmos_threshold_new_model(ret, model, diag);

        if (r == 0)
                r = cosmos_threshold_new_adaptive(&trial, *ret, adaptive, diag);
        cosmos_threshold_free(trial);
        return r;
}

static int make_threshold(const struct arguments *a, struct trace_options *options, struct cosmos_diag *diag)
{
        if (options->adaptive)
                return make_adaptive(options->model, options->adaptive, &options->threshold, diag);
        if (a->calibrate) /* the detector needs one: nothing is above it */
                return cosmos_threshold_new_fixed(&options->threshold, DBL_MAX, diag);
        return a->has_threshold ? cosmos_threshold_new_fixed(&options->threshold, a->threshold, diag) : 0;
}

static int run(const struct arguments *a)
{
        const struct cosmos_model_options loading = {.size = sizeof(loading), .precision = a->precision};
        const struct cosmos_adaptive_options adaptive = {
            .size = sizeof(adaptive), .quantile = a->quantile, .min = a->min, .max = a->max};
        const struct calibration calibration = {
            .from = a->model, .to = a->output, .quantile = a->quantile, .traces = a->traces, .n_traces = a->n_traces};
        struct trace_options options = {
            .adaptive = a->adaptive ? &adaptive : NULL, .containers = &a->containers, .why = a->why ? WHY : 0};
        struct cosmos_diag diag = {0};
        int r;

        r = cosmos_model_load_file(&options.model, a->model, &loading, &diag);
        if (r == 0)
                r = make_threshold(a, &options, &diag);
        if (r < 0)
                r = cli_fail(r, &diag);
        else
                r = a->calibrate ? calibrate(&calibration, &options) : score(a, &options, &diag);
        cosmos_threshold_free(options.threshold);
        cosmos_model_unref(options.model);
        return r;
}

int main(int argc, char **argv)
{
        struct arguments arguments = {0};
        int r;

        cli_name = "cosmos-score";
        cli_open_standard();
        r = parse_arguments(argc, argv, &arguments);
        if (r >= 0)
                return r;
        for (size_t i = 0; i < arguments.n_traces; i++)
                if (strcmp(arguments.traces[i], "-") == 0)
                        cli_catch_signals(2);
        return run(&arguments);
}
