/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threshold: is a score normal? F(x): normal if x <= theta.
 *
 * Thread safety: immutable; share it between any number of threads.
 */
#ifndef COSMOS_THRESHOLD_H
#define COSMOS_THRESHOLD_H

#include <cosmos/error.h>
#include <cosmos/event.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_threshold cosmos_threshold;

/* theta as given, in nats a call; -EINVAL if not finite. */
int cosmos_threshold_new_fixed(cosmos_threshold **ret, double theta, struct cosmos_diag *reterr);
/*
 * theta fitted to `n` benign scores: the smallest score x such that at least
 * quantile * n of them are <= x (inverse of the empirical distribution function;
 * Hyndman & Fan 1996, definition 1). 0 < quantile <= 1, n >= 1, scores finite;
 * else -EINVAL. The scores must be of data that the model was not trained on.
 */
int cosmos_threshold_new_fitted(cosmos_threshold **ret, const double *scores, size_t n, double quantile,
                                struct cosmos_diag *reterr);
double cosmos_threshold_theta(const cosmos_threshold *threshold);
/* COSMOS_INDETERMINATE for a NaN. */
enum cosmos_verdict cosmos_threshold_judge(const cosmos_threshold *threshold, double score);
cosmos_threshold *cosmos_threshold_free(cosmos_threshold *threshold);

#ifdef __cplusplus
}
#endif
#endif
