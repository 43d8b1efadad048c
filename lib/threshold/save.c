/* SPDX-License-Identifier: Apache-2.0 */
/* A threshold into a model file. docs/formats-model.md has the keys. */
#include "threshold/threshold.h"

#include "base/base.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define ENTRIES 6
#define SCORES_MAX UINT32_MAX /* that a model file tells of */

/* JSON's syntax, whatever the locale, in as few digits as give the same number again. */
static char *number_text(double x)
{
        json_auto_t *number = json_real(x);
        char *text = NULL;

        for (size_t digits = 15; number && digits <= 17; digits++) {
                json_auto_t *again = NULL;

                free(text);
                text = json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
                again = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
                if (again && json_number_value(again) == x)
                        break;
        }
        return text;
}

/* What is not known is left out. */
static int put_number(json_t *object, const char *key, double x)
{
        return isnan(x) ? 0 : json_object_set_new(object, key, json_real(x));
}

static json_t *image_json(const cosmos_threshold *t)
{
        json_t *object = json_object();
        int r = put_number(object, "theta", t->theta);

        if (r == 0)
                r = put_number(object, "quantile", t->quantile);
        if (r == 0)
                r = put_number(object, "spread", t->spread);
        if (r == 0 && t->n)
                r = json_object_set_new(object, "n", json_integer((json_int_t)MIN(t->n, SCORES_MAX)));
        if (r == 0)
                return object;
        json_decref(object);
        return NULL;
}

static char *images_text(const cosmos_threshold *threshold)
{
        json_auto_t *all = json_object();

        for (size_t i = 0; i < threshold->n_images; i++)
                if (json_object_set_new(all, threshold->images[i]->image, image_json(threshold->images[i])) < 0)
                        return NULL;
        return json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
}

/* How it came about, for people. */
static char *rule_text(const cosmos_threshold *threshold)
{
        char *text = NULL;

        if (threshold->is_adaptive && asprintf(&text, "adaptive, after %ju scores", threshold->adaptive.counted) < 0)
                return NULL;
        if (!threshold->is_adaptive && threshold->n &&
            asprintf(&text, "%.15g of %ju scores", threshold->quantile, threshold->n) < 0)
                return NULL;
        return text ? text : strdup("given");
}

static char *count_text(uint64_t n)
{
        char *text;

        return asprintf(&text, "%ju", MIN(n, SCORES_MAX)) < 0 ? NULL : text;
}

/* One entry: no text if it is not `known`. */
static bool add(struct cosmos_model_metadata_entry *entry, const char *key, bool known, char *text)
{
        *entry = (struct cosmos_model_metadata_entry){.key = key, .value = text};
        return text || !known;
}

static bool make_entries(struct cosmos_model_metadata_entry entries[static ENTRIES], const cosmos_threshold *t)
{
        const bool has_quantile = !isnan(t->quantile), has_spread = !isnan(t->spread);
        bool made = true;

        made &= add(&entries[0], "cosmos.threshold", true, number_text(t->theta));
        made &= add(&entries[1], "cosmos.quantile", has_quantile, has_quantile ? number_text(t->quantile) : NULL);
        made &= add(&entries[2], "cosmos.threshold_n", t->n, t->n ? count_text(t->n) : NULL);
        made &= add(&entries[3], "cosmos.threshold_spread", has_spread, has_spread ? number_text(t->spread) : NULL);
        made &= add(&entries[4], "cosmos.thresholds", t->n_images, t->n_images ? images_text(t) : NULL);
        made &= add(&entries[5], "cosmos.threshold_rule", true, rule_text(t));
        return made;
}

COSMOS_API int cosmos_threshold_save(const cosmos_threshold *threshold, const char *from, const char *to,
                                     struct cosmos_diag *reterr)
{
        struct cosmos_model_metadata_entry entries[ENTRIES] = {{0}};
        int r = -ENOMEM;

        if (!threshold)
                return cosmos__fail(reterr, -EINVAL, "threshold: `threshold` must not be NULL");
        if (make_entries(entries, threshold))
                r = cosmos_model_copy(from, to, entries, ENTRIES, reterr);
        else
                cosmos__fail(reterr, r, "threshold: out of memory, or an image's name is not UTF-8");
        for (size_t i = 0; i < ENTRIES; i++)
                free((char *)(uintptr_t)entries[i].value);
        return r;
}
