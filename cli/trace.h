/* SPDX-License-Identifier: Apache-2.0 */
/* Score one trace: collector, resolver, detector and sink, wired together. */
#ifndef COSMOS_CLI_TRACE_H
#define COSMOS_CLI_TRACE_H

#include "common.h"

#include <stdatomic.h>

/* The same for all traces, and for all threads. */
struct trace_options {
        cosmos_model *model;
        cosmos_threshold *threshold;                    /* NULL: the model's own */
        const struct cosmos_adaptive_options *adaptive; /* NULL: it is fixed; else each trace has one that starts as
                                                           `threshold`, which is not NULL */
        const struct cli_containers *containers;
        uint32_t why;
        const atomic_int *output_error; /* it becomes negative when no more scores are wanted */
        int (*take)(void *userdata, const struct cosmos_score *score); /* NULL: they are written */
        void *userdata;
};

/* Of thresholds. */
struct range {
        bool any;
        double low, high;
};

/* The worst window: what the summary says of it. */
struct worst {
        bool any;
        double score;
        int32_t pid;
        char comm[64], container[80];
        char why[800]; /* far longer than nats ever are */
};

struct trace_result {
        struct cosmos_detector_stats stats;
        struct worst worst;
        struct range theta;
};

/* Score the trace at `path` ("-": standard input) and write its scores, as JSON Lines, to
 * `fd`, or hand them to `take`. `name` stands in each of them (NULL: no name). `ret` holds what there is so far also
 * after an error. Threads may do this at once, with the same options. */
int score_trace(const struct trace_options *options, const char *path, const char *name, int fd,
                struct trace_result *ret, struct cosmos_diag *reterr);

#endif
