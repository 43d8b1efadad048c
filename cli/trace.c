/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

struct scoring {
        const char *name;
        cosmos_collector *collector;
        cosmos_resolver *resolver;
        cosmos_sink *output, *sink;
        cosmos_threshold *threshold; /* that adapts */
        cosmos_detector *detector;
        const struct trace_options *options;
        struct worst worst;
        struct range theta;
        struct cosmos_diag diag; /* of the output: all that the detector is told is that it failed */
};

/* ---- scores --------------------------------------------------------------------- */

static const char *or_none(const char *text)
{
        return text ? text : "";
}

static void describe_surprise(struct worst *w, const struct cosmos_surprise *s)
{
        snprintf(w->why, sizeof(w->why), "%.32s%s%.80s (%.1f nats); expected %.32s (p %.2f)", s->syscall,
                 s->detail ? " " : "", or_none(s->detail), s->nll, s->expected[0] ? s->expected[0] : "nothing",
                 s->expected_p[0]);
}

static void add_threshold(struct range *theta, double threshold)
{
        theta->low = theta->any ? fmin(theta->low, threshold) : threshold;
        theta->high = theta->any ? fmax(theta->high, threshold) : threshold;
        theta->any = true;
}

static int take_score(void *userdata, const struct cosmos_score *score)
{
        struct scoring *s = userdata;
        struct cosmos_score named = *score;
        struct worst *w = &s->worst;

        if (s->options->take)
                return s->options->take(s->options->userdata, score);
        add_threshold(&s->theta, score->threshold);

        if (score->verdict != COSMOS_INDETERMINATE && (!w->any || score->score > w->score)) {
                *w = (struct worst){.any = true, .score = score->score, .pid = score->pid};
                snprintf(w->comm, sizeof(w->comm), "%s", or_none(score->comm));
                snprintf(w->container, sizeof(w->container), "%s",
                         or_none(score->container_name ? score->container_name : score->container_id));
                if (score->n_why)
                        describe_surprise(w, &score->why[0]);
        }
        named.trace = s->name;
        return cosmos_sink_write_score(s->output, &named, &s->diag);
}

/* ---- wiring ------------------------------------------------------------------------ */

static int open_stages(struct scoring *s, const struct trace_options *o, const char *path, int fd,
                       struct cosmos_diag *diag)
{
        struct cosmos_replay_options replay = {.size = sizeof(replay), .log = cli_log()};
        struct cosmos_resolver_options containers = {
            .size = sizeof(containers), .log = cli_log(), .select = o->containers->names, .n_select = o->containers->n};
        struct cosmos_sink_callbacks callbacks = {.size = sizeof(callbacks), .score = take_score, .userdata = s};
        struct cosmos_detector_options options = {.size = sizeof(options), .why = o->why};
        int r;

        r = cosmos_collector_open_replay(&s->collector, path, &replay, diag);
        if (r == 0)
                r = cosmos_resolver_new(&s->resolver, &containers, diag);
        if (r == 0)
                r = cosmos_sink_new_jsonl(&s->output, fd, diag);
        if (r == 0 && o->adaptive)
                r = cosmos_threshold_new_adaptive(&s->threshold, o->threshold, o->adaptive, diag);
        if (r == 0)
                r = cosmos_sink_new_callback(&s->sink, &callbacks, diag);
        options.threshold = o->adaptive ? s->threshold : o->threshold;
        return r < 0 ? r : cosmos_detector_new(&s->detector, o->model, s->sink, &options, diag);
}

static void close_stages(struct scoring *s)
{
        cosmos_detector_free(s->detector);
        cosmos_threshold_free(s->threshold);
        cosmos_sink_free(s->sink);
        cosmos_sink_free(s->output);
        cosmos_resolver_free(s->resolver);
        cosmos_collector_free(s->collector);
}

static int score(struct scoring *s, const atomic_int *output_error, struct cosmos_diag *diag)
{
        struct progress_part part = {0};
        int r, q;

        /* A stop signal is the collector's, at the other end of the pipe: its end is
         * ours. A second one means us. */
        while ((r = cosmos_detector_run(s->detector, s->collector, s->resolver, diag)) >= 0 && r != 2 &&
               cli_stop_signals < 2 && atomic_load(output_error) == 0) {
                struct cosmos_detector_stats d = {.size = sizeof(d)};
                off_t at = lseek(cosmos_collector_fd(s->collector), 0, SEEK_CUR);

                q = cosmos_sink_flush(s->output, diag);
                if (q < 0)
                        return q;
                cosmos_detector_get_stats(s->detector, &d);
                progress_set(&part, at > 0 ? (uint64_t)at : 0, d.calls, d.anomalous);
                if (r == 0)
                        cli_wait(cosmos_collector_fd(s->collector));
        }
        q = cosmos_sink_flush(s->output, r < 0 ? NULL : diag);
        return r < 0 ? r : q;
}

int score_trace(const struct trace_options *options, const char *path, const char *name, int fd,
                struct trace_result *ret, struct cosmos_diag *reterr)
{
        struct scoring s = {.name = name, .options = options};
        int r;

        *ret = (struct trace_result){.stats.size = sizeof(ret->stats)};
        r = open_stages(&s, options, path, fd, reterr);
        if (r == 0)
                r = score(&s, options->output_error, reterr);
        if (r < 0 && s.diag.text[0])
                *reterr = s.diag;
        if (s.detector)
                cosmos_detector_get_stats(s.detector, &ret->stats);
        ret->worst = s.worst;
        ret->theta = s.theta;
        close_stages(&s);
        return r;
}
