/* SPDX-License-Identifier: Apache-2.0 */
/* Fit a model's threshold to traces of normal life. */
#ifndef COSMOS_CLI_CALIBRATE_H
#define COSMOS_CLI_CALIBRATE_H

#include "trace.h"

struct calibration {
        const char *from, *to; /* model files; they may be the same */
        double quantile;       /* 0: the model's own */
        char *const *traces;
        size_t n_traces;
};

/* Write a copy of the model with the threshold, and say what it is. An exit status; unless it is EXIT_OK nothing was
 * written. `options` has the loaded model and the containers. */
int calibrate(const struct calibration *c, const struct trace_options *options);

#endif
