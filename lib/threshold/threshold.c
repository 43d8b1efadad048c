/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <cosmos/threshold.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

struct cosmos_threshold {
        double theta;
};

COSMOS_API int cosmos_threshold_new_fixed(cosmos_threshold **ret, double theta, struct cosmos_diag *reterr)
{
        cosmos_threshold *threshold;

        if (!ret)
                return cosmos__fail(reterr, -EINVAL, "threshold: `ret` must not be NULL");
        if (!isfinite(theta))
                return cosmos__fail(reterr, -EINVAL, "threshold: %g is not a finite number of nats a call", theta);
        threshold = malloc(sizeof(*threshold));
        if (!threshold)
                return cosmos__fail(reterr, -ENOMEM, "threshold: out of memory");
        threshold->theta = theta;
        *ret = threshold;
        return 0;
}

static int ascending(const void *a, const void *b)
{
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
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

COSMOS_API int cosmos_threshold_new_fitted(cosmos_threshold **ret, const double *scores, size_t n, double quantile,
                                           struct cosmos_diag *reterr)
{
        _cleanup_free_ double *sorted = NULL;
        size_t bytes;

        if (!scores || n == 0)
                return cosmos__fail(reterr, -EINVAL, "threshold: no scores to fit to; give at least one benign score");
        if (!(quantile > 0 && quantile <= 1))
                return cosmos__fail(reterr, -EINVAL, "threshold: quantile %g is not in (0, 1]", quantile);
        for (size_t i = 0; i < n; i++)
                if (!isfinite(scores[i]))
                        return cosmos__fail(reterr, -EINVAL,
                                            "threshold: score %zu is %g; leave indeterminate scores out of the fit", i,
                                            scores[i]);

        if (__builtin_mul_overflow(n, sizeof(*sorted), &bytes) || !(sorted = malloc(bytes)))
                return cosmos__fail(reterr, -ENOMEM, "threshold: out of memory for %zu scores", n);
        memcpy(sorted, scores, bytes);
        qsort(sorted, n, sizeof(*sorted), ascending);
        return cosmos_threshold_new_fixed(ret, sorted[rank_of(quantile, n) - 1], reterr);
}

COSMOS_API double cosmos_threshold_theta(const cosmos_threshold *threshold)
{
        return threshold->theta;
}

COSMOS_API enum cosmos_verdict cosmos_threshold_judge(const cosmos_threshold *threshold, double score)
{
        if (isnan(score))
                return COSMOS_INDETERMINATE;
        return score <= threshold->theta ? COSMOS_NORMAL : COSMOS_ANOMALOUS;
}

COSMOS_API cosmos_threshold *cosmos_threshold_free(cosmos_threshold *threshold)
{
        free(threshold);
        return NULL;
}
