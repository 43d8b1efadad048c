/* SPDX-License-Identifier: Apache-2.0 */
/* A threshold that follows the scores. threshold.h has the equations, and why. */
#include "threshold/threshold.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>

#define FOLLOWS 20 /* scores above theta, in as many as it follows */
#define WARM_UP 8  /* times the last steps: the first ones */
#define HOLD 10    /* likewise, in as many as an alert may last */
#define ALERT 16   /* more scores above than others: an alert */

/* ---- made --------------------------------------------------------------------------------- */

static int check_options(const struct cosmos_adaptive_options *o, struct cosmos_diag *reterr)
{
        const bool bounded = o->min != 0 || o->max != 0;

        if (o->quantile != 0 && !(o->quantile > 0 && o->quantile < 1))
                return cosmos__fail(reterr, -EINVAL, "adaptive threshold: quantile %g is not in (0, 1)", o->quantile);
        if (o->spread != 0 && !(o->spread > 0 && o->spread <= COSMOS_MODEL_SPREAD_MAX))
                return cosmos__fail(reterr, -EINVAL, "adaptive threshold: spread %g is not in (0, %g]", o->spread,
                                    COSMOS_MODEL_SPREAD_MAX);
        if (bounded && !(isfinite(o->min) && isfinite(o->max) && o->min < o->max))
                return cosmos__fail(reterr, -EINVAL,
                                    "adaptive threshold: bounds %g and %g are not two finite numbers in order", o->min,
                                    o->max);
        return 0;
}

/* 1 - quantile, without what is left of the quantile's rounding: .1, not .09999999999999998 for .9. */
static double share_of(double quantile)
{
        return MAX(round((1 - quantile) * 1e12), 1) / 1e12;
}

static int start_adapting(cosmos_threshold *t, const struct cosmos_adaptive_options *o, struct cosmos_diag *reterr)
{
        const bool bounded = o->min != 0 || o->max != 0;
        struct cosmos__adaptive *a = &t->adaptive;
        char quoted[80], image[100] = "";

        if (t->image)
                snprintf(image, sizeof(image), " of image '%s'", cosmos__quote_str(quoted, sizeof(quoted), t->image));
        if (o->quantile != 0)
                t->quantile = o->quantile;
        if (o->spread != 0)
                t->spread = o->spread;
        if (!(t->quantile < 1))
                return cosmos__fail(reterr, -EINVAL,
                                    "adaptive threshold: it is not known which share of scores theta%s is to hold: "
                                    "give a quantile below 1, or calibrate the model (cosmos-score --calibrate)",
                                    image);
        if (isnan(t->spread))
                return cosmos__fail(reterr, -EINVAL,
                                    "adaptive threshold: it is not known how far apart scores lie near theta%s: "
                                    "calibrate the model (cosmos-score --calibrate), or give a spread",
                                    image);
        *a = (struct cosmos__adaptive){
            .share = share_of(t->quantile),
            .min = bounded ? o->min : (double)-INFINITY,
            .max = bounded ? o->max : (double)INFINITY,
            .hold = o->hold ? o->hold : (uint64_t)ceil(HOLD / share_of(t->quantile)),
        };
        t->theta = MIN(MAX(t->theta, a->min), a->max);
        t->is_adaptive = true;
        return 0;
}

static void threshold_freep(cosmos_threshold **threshold)
{
        cosmos_threshold_free(*threshold);
}

COSMOS_API int cosmos_threshold_new_adaptive(cosmos_threshold **ret, const cosmos_threshold *start,
                                             const struct cosmos_adaptive_options *options, struct cosmos_diag *reterr)
{
        _cleanup_(threshold_freep) cosmos_threshold *t = NULL;
        struct cosmos_adaptive_options o;
        int r;

        if (!ret || !start)
                return cosmos__fail(reterr, -EINVAL, "adaptive threshold: `ret` and `start` must not be NULL");
        r = cosmos__options(&o, sizeof(o), options, "cosmos_adaptive_options", reterr);
        if (r == 0)
                r = check_options(&o, reterr);
        if (r == 0)
                r = cosmos__threshold_copy(&t, start, reterr);
        if (r == 0)
                r = start_adapting(t, &o, reterr);
        for (size_t i = 0; r == 0 && i < t->n_images; i++)
                r = start_adapting(t->images[i], &o, reterr);
        if (r == 0)
                *ret = TAKE_PTR(t);
        return r;
}

/* ---- moved --------------------------------------------------------------------------------- */

static void move(cosmos_threshold *t, double by)
{
        t->theta = MIN(MAX(t->theta + by, t->adaptive.min), t->adaptive.max);
}

static void count(cosmos_threshold *t, bool above)
{
        struct cosmos__adaptive *a = &t->adaptive;
        const double follows = FOLLOWS / a->share;
        const double gain = MAX(1 / follows, 1 / ((double)a->counted + follows / WARM_UP));

        move(t, gain * t->spread / a->share * ((above ? 1 : 0) - a->share));
        a->counted++;
}

/* A score that does not count. */
static void hold(cosmos_threshold *t, bool above)
{
        struct cosmos__adaptive *a = &t->adaptive;

        a->held++;
        a->n++;
        a->above += above;
        if ((double)a->above <= a->share * (double)a->n) {
                a->alert = false;
        } else if (a->n >= a->hold) {
                a->alert = false;
                a->tolerated = true;
                move(t, t->spread * log((double)a->above / (a->share * (double)a->n)));
        }
}

/* Does an alert begin? With the next score: whether one counts does not hang on what it is. */
static void watch(struct cosmos__adaptive *a, bool above)
{
        if (above)
                a->walk = MIN(a->walk + 1, (unsigned)ALERT);
        else if (a->walk > 0)
                a->walk--;
        if (a->walk == 0)
                a->tolerated = false;
        if (a->walk == ALERT && !a->alert && !a->tolerated) {
                a->alert = true;
                a->n = a->above = 0;
        }
}

COSMOS_API void cosmos_threshold_update(cosmos_threshold *threshold, double score)
{
        const bool above = score > threshold->theta;

        if (!threshold->is_adaptive || isnan(score))
                return;
        if (threshold->adaptive.alert)
                hold(threshold, above);
        else
                count(threshold, above);
        watch(&threshold->adaptive, above);
}
