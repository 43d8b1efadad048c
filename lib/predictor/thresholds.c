/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/thresholds.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define KEY "cosmos.thresholds"

static int bad(const char *image, const char *must, struct cosmos_diag *reterr)
{
        char quoted[160];

        return cosmos__fail(reterr, -COSMOS_EFORMAT, "metadata key '" KEY "', image '%s': %s",
                            cosmos__quote_str(quoted, sizeof(quoted), image), must);
}

/* A number that may be left out: NaN. */
static bool read_number(const json_t *entry, const char *key, double *ret)
{
        const json_t *value = json_object_get(entry, key);

        *ret = value ? json_number_value(value) : (double)NAN;
        return !value || json_is_number(value);
}

static int read_one(struct cosmos_model_threshold *ret, const char *image, const json_t *entry,
                    struct cosmos_diag *reterr)
{
        const json_t *theta = json_object_get(entry, "theta"), *n = json_object_get(entry, "n");

        *ret = (struct cosmos_model_threshold){.size = sizeof(*ret), .image = image};
        if (!*image || strlen(image) > COSMOS_MODEL_IMAGE_NAME_MAX)
                return bad(image, "its name is empty or too long", reterr);
        if (!json_is_object(entry) || !json_is_number(theta))
                return bad(image, "it must be an object with a number 'theta'", reterr);
        ret->theta = json_number_value(theta);
        if (!read_number(entry, "quantile", &ret->quantile) || ret->quantile <= 0 || ret->quantile > 1)
                return bad(image, "'quantile' must be a number above 0 and at most 1", reterr);
        if (!read_number(entry, "spread", &ret->spread) || ret->spread <= 0 || ret->spread > COSMOS_MODEL_SPREAD_MAX)
                return bad(image, "'spread' must be a number above 0 and at most 1000000", reterr);
        if (n && (!json_is_integer(n) || json_integer_value(n) < 1 || json_integer_value(n) > UINT32_MAX))
                return bad(image, "'n' must be an integer from 1 to 4294967295", reterr);
        ret->n = (uint32_t)json_integer_value(n);
        return 0;
}

static int by_image(const void *a, const void *b)
{
        const struct cosmos_model_threshold *x = a, *y = b;

        return strcmp(x->image, y->image);
}

static int read_all(struct cosmos__thresholds *thresholds, struct cosmos_diag *reterr)
{
        const char *image;
        json_t *entry;
        int r;

        thresholds->all = calloc(json_object_size(thresholds->json) + 1, sizeof(*thresholds->all));
        if (!thresholds->all)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        json_object_foreach(thresholds->json, image, entry)
        {
                r = read_one(&thresholds->all[thresholds->n++], image, entry, reterr);
                if (r < 0)
                        return r;
        }
        qsort(thresholds->all, thresholds->n, sizeof(*thresholds->all), by_image);
        return 0;
}

int cosmos__thresholds_read(struct cosmos__thresholds *ret, const json_t *metadata, struct cosmos_diag *reterr)
{
        const char *text = json_string_value(json_object_get(metadata, KEY));
        json_error_t error;
        char quoted[200];

        if (!text)
                return 0;
        if (!json_object_get(metadata, "cosmos.threshold"))
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "metadata key '" KEY "' is there, but 'cosmos.threshold' is not");
        ret->json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(ret->json))
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "metadata key '" KEY "' is not a JSON object: %s",
                                    cosmos__quote_str(quoted, sizeof(quoted), ret->json ? "it is a list" : error.text));
        if (json_object_size(ret->json) > COSMOS_MODEL_IMAGES_MAX)
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "metadata key '" KEY "' names %zu images; at most %d are read",
                                    json_object_size(ret->json), COSMOS_MODEL_IMAGES_MAX);
        return read_all(ret, reterr);
}

void cosmos__thresholds_free(struct cosmos__thresholds *thresholds)
{
        json_decref(thresholds->json);
        free(thresholds->all);
}
