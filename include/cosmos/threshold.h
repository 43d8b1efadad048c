/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threshold: is a score normal? F(x): normal if x <= theta.
 *
 * A threshold may hold others, one for a container image each; what is of no such image is judged by its own theta.
 * theta is fixed, or it adapts: then it follows the scores that it is told of. docs/thresholds.md says how to choose.
 *
 * Thread safety: one that does not adapt is immutable once its images are added; share it between any number of
 * threads. One that adapts belongs to one thread at a time, with all that it holds.
 */
#ifndef COSMOS_THRESHOLD_H
#define COSMOS_THRESHOLD_H

#include <cosmos/error.h>
#include <cosmos/event.h>
#include <cosmos/model.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_threshold cosmos_threshold;

/* theta as given, in nats a call; -EINVAL if not finite. */
int cosmos_threshold_new_fixed(cosmos_threshold **ret, double theta, struct cosmos_diag *reterr);

/* What a quantile of `n` benign scores is, and how sure. All but n, quantile and confidence are in nats a call. */
struct cosmos_threshold_fit {
        size_t size; /* sizeof(struct cosmos_threshold_fit) */
        /* The smallest score x such that at least quantile * n of them are <= x (inverse of the empirical
         * distribution function; Hyndman & Fan 1996, definition 1). */
        double theta;
        /* Between them lies the quantile of all scores that there could be, with at least this confidence, whatever
         * their distribution, if the scores are independent: two order statistics, by the binomial distribution
         * (Hahn & Meeker 1991, Statistical Intervals, 5.2). -infinity, +infinity where n is too small to say.
         * Neighbouring windows of one sequence are not independent: then it is an interval for the least. */
        double lower, upper;
        uint64_t n;
        double quantile;
        double confidence;
        /* How far apart scores lie near the quantile: by how much theta must rise for e times fewer of them to be
         * above it. From the scores that half and one and a half times as many exceed, 10 at least (Siddiqui 1960),
         * as if the tail were exponential. 0.001 to
         * COSMOS_MODEL_SPREAD_MAX. What an adaptive threshold measures its steps by. */
        double spread;
};
/* 0 < quantile <= 1, 0 < confidence < 1, n >= 1, scores finite; else -EINVAL. The scores must be of data that the
 * model was not trained on. Passes over them, and no copy: they may lie in a mapped file. */
int cosmos_threshold_fit_quantile(struct cosmos_threshold_fit *ret, const double *scores, size_t n, double quantile,
                                  double confidence, struct cosmos_diag *reterr);
/* The theta of such a fit. */
int cosmos_threshold_new_fitted(cosmos_threshold **ret, const double *scores, size_t n, double quantile,
                                struct cosmos_diag *reterr);

/* The model's own, with those of its images; -EINVAL if it has none. The model is not kept. */
int cosmos_threshold_new_model(cosmos_threshold **ret, const cosmos_model *model, struct cosmos_diag *reterr);

/* Judge what is of this image, by the name that events give it, by a copy of `its`, which holds no images itself. At
 * most COSMOS_MODEL_IMAGES_MAX; -E2BIG beyond, -EEXIST if the image is there, -EINVAL for a name that is empty or
 * longer than COSMOS_MODEL_IMAGE_NAME_MAX bytes, or if `threshold` adapts. */
int cosmos_threshold_add_image(cosmos_threshold *threshold, const char *image, const cosmos_threshold *its,
                               struct cosmos_diag *reterr);
/* The one for an image; `threshold` itself if it holds none for it, or `image` is NULL. Borrowed. */
cosmos_threshold *cosmos_threshold_of(cosmos_threshold *threshold, const char *image);

/*
 * A threshold that follows the scores: a streaming quantile by stochastic approximation (Robbins & Monro 1951). With a
 * the share of scores that is to be above theta, 1 - quantile, and t the number of scores that have counted so far,
 *
 *     theta <- theta + g(t) * spread / a * ([score > theta] - a)       and no further than the bounds
 *     g(t) = max(a / 20, 1 / (t + 20 / (8 * a)))
 *
 * So a score above theta raises it by 1/20 of the spread, any other lowers it by a/20 of that, and where a share a is
 * above it stays. Each step is clipped: how far above a score is does not matter, so that no single one moves theta
 * far. An anomalous score counts as well as any: without them the rest would always look too low, and theta drift
 * down. Steps follow the last 20/a scores or so: enough that 20 of them are above, so that the true share swings by
 * some 1 / sqrt(2 * 20), 16%, of itself. They begin 8 times as large, since theta is from other days, and shrink as
 * those of Robbins & Monro do until they are at the floor, which lets theta follow for ever.
 *
 * Such a theta keeps its promise for any scores whatever, not for independent ones only (Gibbs & Candes 2021,
 * Adaptive conformal inference under distribution shift): the sum of all steps is as far as theta has moved, so of all
 * scores that counted, the share that was above it comes as close to a as one over their number allows.
 *
 * An intrusion must not raise theta: during an alert no score counts. An alert begins with the score after the one that
 * brings a walk to 16, which goes up by one with each score above theta, and down by one, not below 0, with any other:
 * so whether a score counts depends on those before it, never on itself, and leaving it out pulls theta
 * neither way. An alert ends as soon as, of the scores since it began, no larger share than a was above. So what was
 * left out has as many above as promised, and the promise stands for all scores, those of alerts with them.
 * One that does not end so within `hold` scores is taken for a new normal: theta rises at once by
 *
 *     spread * ln(share of the alert's scores that was above / a)
 *
 * which is where, by the spread, a share a of them would have been above; scores count again; and no other alert begins
 * before the walk has been back at 0. The bounds, and what such alerts leave out, are all that the promise can suffer
 * from.
 *
 * What follows from it depends on the scores and their order alone.
 */
struct cosmos_adaptive_options {
        size_t size;     /* sizeof(struct cosmos_adaptive_options) */
        double quantile; /* 0 < quantile < 1; 0: that which the threshold was fitted to */
        double min, max; /* theta stays between them, in nats a call, min < max; both 0: no bounds */
        double spread;   /* as that of a fit, 0 < spread <= COSMOS_MODEL_SPREAD_MAX; 0: that of the threshold's fit */
        uint64_t hold;   /* scores that an alert may last; 0: 10 / (1 - quantile), half of those that theta follows */
};
/* A copy of `start`, with its images, each of which adapts by itself. -EINVAL for an option out of its range, or where
 * neither an option nor the fit says what quantile and spread are. `options` may be NULL. */
int cosmos_threshold_new_adaptive(cosmos_threshold **ret, const cosmos_threshold *start,
                                  const struct cosmos_adaptive_options *options, struct cosmos_diag *reterr);
/* Tell it of a score that it has judged. One that does not adapt takes no notice; nor does any of a NaN. */
void cosmos_threshold_update(cosmos_threshold *threshold, double score);

/* theta as it is now. */
double cosmos_threshold_theta(const cosmos_threshold *threshold);
/* COSMOS_INDETERMINATE for a NaN. */
enum cosmos_verdict cosmos_threshold_judge(const cosmos_threshold *threshold, double score);

struct cosmos_threshold_info {
        size_t size; /* sizeof(struct cosmos_threshold_info) */
        double theta;
        double quantile; /* of benign scores that it stands for; NaN if not said */
        uint64_t n;      /* scores that it was fitted to; 0 if not said */
        double spread;   /* of that fit; NaN if not said */
        int adaptive;
        int alert;        /* no score counts now */
        uint64_t counted; /* scores that have moved theta */
        uint64_t held;    /* scores that did not, for an alert */
        size_t n_images;
};
void cosmos_threshold_get_info(const cosmos_threshold *threshold, struct cosmos_threshold_info *ret);

/* A copy of the model file `from` at `to`, which may be the same, with this threshold as it is now, and its images. As
 * cosmos_model_copy(). */
int cosmos_threshold_save(const cosmos_threshold *threshold, const char *from, const char *to,
                          struct cosmos_diag *reterr);

/* Takes NULL. Returns NULL. */
cosmos_threshold *cosmos_threshold_free(cosmos_threshold *threshold);

#ifdef __cplusplus
}
#endif
#endif
