/* SPDX-License-Identifier: Apache-2.0 */
/* Score many traces at once: threads that share one model. */
#ifndef COSMOS_CLI_BATCH_H
#define COSMOS_CLI_BATCH_H

#include "trace.h"

#define JOBS_MAX 128

/* What came of all traces. */
struct batch_result {
        struct cosmos_detector_stats stats;
        struct worst worst;
        struct range theta;
        const char *worst_trace;
        size_t normal, anomalous, unscored, failed; /* traces */
        size_t stopped;                             /* those that a second stop signal came before */
};

/*
 * Score `n` traces with `jobs` threads (1 .. JOBS_MAX). Standard output gets the scores in the
 * order of the traces, whichever is done first. One trace alone is written as it is
 * read. A trace that fails costs its own scores from there on, and a message.
 * -errno: nothing more could be written.
 */
int score_traces(const struct trace_options *options, char *const *paths, size_t n, size_t jobs,
                 struct batch_result *ret, struct cosmos_diag *reterr);

#endif
