/* SPDX-License-Identifier: Apache-2.0 */
/* The object: made, searched by image, asked. fit.c fits it, adaptive.c moves it, save.c writes it into a model. */
#include "threshold/threshold.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static int out_of_memory(struct cosmos_diag *reterr)
{
        return cosmos__fail(reterr, -ENOMEM, "threshold: out of memory");
}

static void threshold_freep(cosmos_threshold **threshold)
{
        cosmos_threshold_free(*threshold);
}

COSMOS_API int cosmos_threshold_new_fixed(cosmos_threshold **ret, double theta, struct cosmos_diag *reterr)
{
        cosmos_threshold *threshold;

        if (!ret)
                return cosmos__fail(reterr, -EINVAL, "threshold: `ret` must not be NULL");
        if (!isfinite(theta))
                return cosmos__fail(reterr, -EINVAL, "threshold: %g is not a finite number of nats a call", theta);
        threshold = calloc(1, sizeof(*threshold));
        if (!threshold)
                return out_of_memory(reterr);
        threshold->theta = theta;
        threshold->quantile = threshold->spread = NAN;
        *ret = threshold;
        return 0;
}

COSMOS_API int cosmos_threshold_new_fitted(cosmos_threshold **ret, const double *scores, size_t n, double quantile,
                                           struct cosmos_diag *reterr)
{
        struct cosmos_threshold_fit fit = {.size = sizeof(fit)};
        int r;

        r = cosmos_threshold_fit_quantile(&fit, scores, n, quantile, 0.95, reterr);
        if (r == 0)
                r = cosmos_threshold_new_fixed(ret, fit.theta, reterr);
        if (r < 0)
                return r;
        (*ret)->quantile = quantile;
        (*ret)->spread = fit.spread;
        (*ret)->n = n;
        return 0;
}

/* ---- images -------------------------------------------------------------------------- */

/* Where an image's is; where it would be, if it is not there: *ret_found is false. */
static size_t find(const cosmos_threshold *threshold, const char *image, bool *ret_found)
{
        size_t low = 0, high = threshold->n_images;

        *ret_found = false;
        while (low < high && !*ret_found) {
                const size_t middle = low + (high - low) / 2;
                const int order = strcmp(threshold->images[middle]->image, image);

                *ret_found = order == 0;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return high;
}

static int copy_one(cosmos_threshold **ret, const cosmos_threshold *from, const char *image, struct cosmos_diag *reterr)
{
        _cleanup_(threshold_freep) cosmos_threshold *copy = malloc(sizeof(*copy));

        if (!copy)
                return out_of_memory(reterr);
        *copy = *from;
        copy->images = NULL;
        copy->n_images = 0;
        copy->image = image ? strdup(image) : NULL;
        if (image && !copy->image)
                return out_of_memory(reterr);
        *ret = TAKE_PTR(copy);
        return 0;
}

static int insert(cosmos_threshold *threshold, size_t at, const char *image, const cosmos_threshold *its,
                  struct cosmos_diag *reterr)
{
        cosmos_threshold **images, *copy;
        int r;

        images = reallocarray(threshold->images, threshold->n_images + 1, sizeof(*images));
        if (!images)
                return out_of_memory(reterr);
        threshold->images = images;
        r = copy_one(&copy, its, image, reterr);
        if (r < 0)
                return r;
        memmove(images + at + 1, images + at, (threshold->n_images - at) * sizeof(*images));
        images[at] = copy;
        threshold->n_images++;
        return 0;
}

COSMOS_API int cosmos_threshold_add_image(cosmos_threshold *threshold, const char *image, const cosmos_threshold *its,
                                          struct cosmos_diag *reterr)
{
        char quoted[80];
        bool found;
        size_t at;

        if (!threshold || !image || !its)
                return cosmos__fail(reterr, -EINVAL, "threshold: `threshold`, `image` and `its` must not be NULL");
        if (threshold->is_adaptive || its->is_adaptive)
                return cosmos__fail(reterr, -EINVAL, "threshold: add images before it adapts");
        if (threshold->image || its->n_images)
                return cosmos__fail(reterr, -EINVAL, "threshold: that of an image holds no images");
        if (!*image || strlen(image) > COSMOS_MODEL_IMAGE_NAME_MAX)
                return cosmos__fail(reterr, -EINVAL, "threshold: the image's name has %zu bytes; it must have 1 to %d",
                                    strlen(image), COSMOS_MODEL_IMAGE_NAME_MAX);
        at = find(threshold, image, &found);
        if (found)
                return cosmos__fail(reterr, -EEXIST, "threshold: there is one for image '%s'",
                                    cosmos__quote_str(quoted, sizeof(quoted), image));
        if (threshold->n_images == COSMOS_MODEL_IMAGES_MAX)
                return cosmos__fail(reterr, -E2BIG, "threshold: more than %d images", COSMOS_MODEL_IMAGES_MAX);
        return insert(threshold, at, image, its, reterr);
}

COSMOS_API cosmos_threshold *cosmos_threshold_of(cosmos_threshold *threshold, const char *image)
{
        bool found = false;
        size_t at = image ? find(threshold, image, &found) : 0;

        return found ? threshold->images[at] : threshold;
}

int cosmos__threshold_copy(cosmos_threshold **ret, const cosmos_threshold *from, struct cosmos_diag *reterr)
{
        _cleanup_(threshold_freep) cosmos_threshold *copy = NULL;
        int r = copy_one(&copy, from, from->image, reterr);

        for (size_t i = 0; i < from->n_images && r == 0; i++)
                r = insert(copy, i, from->images[i]->image, from->images[i], reterr);
        if (r == 0)
                *ret = TAKE_PTR(copy);
        return r;
}

/* ---- a model's ------------------------------------------------------------------------- */

static int add_of_model(cosmos_threshold *threshold, const struct cosmos_model_threshold *its,
                        struct cosmos_diag *reterr)
{
        const cosmos_threshold of_image = {
            .theta = its->theta, .quantile = its->quantile, .spread = its->spread, .n = its->n};

        return cosmos_threshold_add_image(threshold, its->image, &of_image, reterr);
}

COSMOS_API int cosmos_threshold_new_model(cosmos_threshold **ret, const cosmos_model *model, struct cosmos_diag *reterr)
{
        _cleanup_(threshold_freep) cosmos_threshold *threshold = NULL;
        struct cosmos_model_info info = {.size = sizeof(info)};
        struct cosmos_model_threshold its = {.size = sizeof(its)};
        char quoted[256];
        int r;

        if (!ret || !model)
                return cosmos__fail(reterr, -EINVAL, "threshold: `ret` and `model` must not be NULL");
        cosmos_model_get_info(model, &info);
        if (!info.has_threshold)
                return cosmos__fail(reterr, -EINVAL,
                                    "%s: the model has no threshold (cosmos.threshold): give one, or fit one to benign "
                                    "scores",
                                    cosmos__quote_str(quoted, sizeof(quoted), cosmos_model_name(model)));
        r = cosmos_threshold_new_fixed(&threshold, info.threshold, reterr);
        if (r < 0)
                return r;
        threshold->quantile = info.quantile;
        threshold->spread = info.spread;
        threshold->n = info.threshold_n;
        for (size_t i = 0; r == 0 && cosmos_model_get_threshold(model, i, &its) == 0; i++)
                r = add_of_model(threshold, &its, reterr);
        if (r == 0)
                *ret = TAKE_PTR(threshold);
        return r;
}

/* ---- asked ------------------------------------------------------------------------------ */

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

COSMOS_API void cosmos_threshold_get_info(const cosmos_threshold *threshold, struct cosmos_threshold_info *ret)
{
        const struct cosmos_threshold_info info = {
            .size = sizeof(info),
            .theta = threshold->theta,
            .quantile = threshold->quantile,
            .n = threshold->n,
            .spread = threshold->spread,
            .adaptive = threshold->is_adaptive,
            .alert = threshold->adaptive.alert,
            .counted = threshold->adaptive.counted,
            .held = threshold->adaptive.held,
            .n_images = threshold->n_images,
        };

        cosmos__fill(ret, &info, sizeof(info));
}

COSMOS_API cosmos_threshold *cosmos_threshold_free(cosmos_threshold *threshold)
{
        if (!threshold)
                return NULL;
        for (size_t i = 0; i < threshold->n_images; i++)
                cosmos_threshold_free(threshold->images[i]);
        free(threshold->images);
        free(threshold->image);
        free(threshold);
        return NULL;
}
