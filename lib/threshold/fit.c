/* SPDX-License-Identifier: Apache-2.0 */
/* A quantile of benign scores, its confidence interval, and how far apart the scores lie near it. */
#include "base/base.h"
#include "base/rank.h"

#include <cosmos/threshold.h>

#include <errno.h>
#include <float.h>
#include <math.h>

#define SPREAD_RANKS 10   /* scores at least that the spread is measured with */
#define SPREAD_LEAST 1e-3 /* nats: where scores are the same, or next to it */

struct scores {
        const double *all;
        size_t n;
};

static struct cosmos__weighed weighed_score(const void *scores, size_t i)
{
        return (struct cosmos__weighed){cosmos__key_of_double(((const double *)scores)[i]), 1};
}

/* The r-th smallest, r of 1 .. n. The scores are neither sorted nor copied: there may be more than memory holds. */
static double smallest(const struct scores *s, size_t r)
{
        return cosmos__double_of_key(cosmos__key_of_rank(s->all, s->n, r - 1, weighed_score));
}

/* The rank, 1 .. n, of the score that is the quantile. The product is rounded,
 * and so is the quantile itself: 0.07 * 100 comes out a hair above 7, but what
 * is meant is the 7th score. Hence the few units of slack. */
static size_t rank_of(double quantile, size_t n)
{
        double rank = ceil(quantile * (double)n * (1 - 4 * DBL_EPSILON));

        if (rank <= 1)
                return 1;
        return rank >= (double)n ? n : (size_t)rank;
}

/* ---- the interval ------------------------------------------------------------------------ */

static double log_choose(double n, double k)
{
        int sign;

        return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

/*
 * The r-th smallest of n scores is at most the quantile if r of them or more are, so with the probability
 * P(B >= r), B binomial of n and the quantile. Hence `lower` is the rank of the highest with P(B < r) <= tail, 0 if
 * there is none, and `upper` that of the lowest with P(B < r) >= 1 - tail, n + 1 if there is none.
 */
static void interval(size_t n, double quantile, double tail, size_t *lower, size_t *upper)
{
        const double mean = (double)n * quantile, deviation = sqrt(mean * (1 - quantile));
        /* What lies further out has no weight that a double could hold beside the rest. */
        const double first = floor(MAX(mean - 12 * deviation - 40, 0));
        double p = exp(log_choose((double)n, first) + first * log(quantile) + ((double)n - first) * log1p(-quantile));
        double below = 0; /* P(B < r) */

        *lower = 0;
        *upper = n + 1;
        for (size_t r = (size_t)first; r <= n; r++) { /* p: P(B = r) */
                if (below <= tail)
                        *lower = r;
                if (below >= 1 - tail) {
                        *upper = r;
                        return;
                }
                below += p;
                p *= (double)(n - r) / (double)(r + 1) * (quantile / (1 - quantile));
        }
}

static void fit_interval(struct cosmos_threshold_fit *fit, const struct scores *s)
{
        size_t lower = fit->n, upper = fit->n + 1;

        if (fit->quantile < 1) /* else it is the highest there could be: no less than the highest there was */
                interval(fit->n, fit->quantile, (1 - fit->confidence) / 2, &lower, &upper);
        fit->lower = lower >= 1 ? smallest(s, lower) : (double)-INFINITY;
        fit->upper = upper <= fit->n ? smallest(s, upper) : (double)INFINITY;
}

/* ---- the spread --------------------------------------------------------------------------- */

/* The score that `above` of them exceed, or would, were all different. */
static double score_below(const struct scores *s, double above)
{
        return smallest(s, s->n - MIN((size_t)above, s->n - 1));
}

/* Equal scores may hide it: then look further, down to the median. */
static double spread_of(const struct scores *s, double quantile)
{
        const double most = (double)s->n, above = (1 - quantile) * most, few = MAX(above / 2, 0.5);
        const double high = score_below(s, few);
        double spread = 0;

        for (double many = MAX(3 * above / 2, (double)SPREAD_RANKS); spread <= 0; many *= 2) {
                spread = (high - score_below(s, MIN(many, most))) / log(MIN(many, most) / few);
                if (many >= most)
                        break;
        }
        return MIN(MAX(spread, SPREAD_LEAST), COSMOS_MODEL_SPREAD_MAX);
}

/* ---- the fit ------------------------------------------------------------------------------- */

static int check(const double *scores, size_t n, double quantile, double confidence, struct cosmos_diag *reterr)
{
        if (!scores || n == 0)
                return cosmos__fail(reterr, -EINVAL, "threshold: no scores to fit to; give at least one benign score");
        if (!(quantile > 0 && quantile <= 1))
                return cosmos__fail(reterr, -EINVAL, "threshold: quantile %g is not in (0, 1]", quantile);
        if (!(confidence > 0 && confidence < 1))
                return cosmos__fail(reterr, -EINVAL, "threshold: confidence %g is not in (0, 1)", confidence);
        for (size_t i = 0; i < n; i++)
                if (!isfinite(scores[i]))
                        return cosmos__fail(reterr, -EINVAL,
                                            "threshold: score %zu is %g; leave indeterminate scores out of the fit", i,
                                            scores[i]);
        return 0;
}

COSMOS_API int cosmos_threshold_fit_quantile(struct cosmos_threshold_fit *ret, const double *scores, size_t n,
                                             double quantile, double confidence, struct cosmos_diag *reterr)
{
        struct cosmos_threshold_fit fit = {.n = n, .quantile = quantile, .confidence = confidence};
        const struct scores s = {scores, n};
        int r;

        if (!ret)
                return cosmos__fail(reterr, -EINVAL, "threshold: `ret` must not be NULL");
        r = check(scores, n, quantile, confidence, reterr);
        if (r < 0)
                return r;
        fit.theta = smallest(&s, rank_of(quantile, n));
        fit_interval(&fit, &s);
        fit.spread = spread_of(&s, quantile);
        cosmos__fill(ret, &fit, sizeof(fit));
        return 0;
}
