/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/metadata.h"

#include "base/base.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#define EMBEDDING_MAX 4096
#define WINDOW_MAX 10000 /* a detector keeps 16 bytes a call of it for each open sequence */
#define PRIOR_MAX 1e6

/* A value that is there but not as it must be. */
static int bad_value(const json_t *metadata, const char *key, const char *must, struct cosmos_diag *reterr)
{
        const char *value = json_string_value(json_object_get(metadata, key));
        char quoted[80];

        return cosmos__fail(reterr, -COSMOS_EFORMAT, "metadata key '%s' is '%s'; it must be %s", key,
                            cosmos__quote_str(quoted, sizeof(quoted), value), must);
}

/* NULL if it is missing or not a string: the error is -COSMOS_EFORMAT. */
static const char *get_text(const json_t *metadata, const char *key, struct cosmos_diag *reterr)
{
        const json_t *value = json_object_get(metadata, key);

        if (!json_is_string(value))
                cosmos__fail(reterr, -COSMOS_EFORMAT, "metadata key '%s' is %s", key,
                             value ? "not a string" : "missing");
        return json_string_value(value);
}

static int get_fixed(const json_t *metadata, const char *key, const char *only, const char *must,
                     struct cosmos_diag *reterr)
{
        const char *text;

        text = get_text(metadata, key, reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        return strcmp(text, only) ? bad_value(metadata, key, must, reterr) : 0;
}

/*
 * Digits without a sign, a space or a leading zero, up to `end`, which is set to
 * what follows; a number that is too great comes out as UINT32_MAX.
 */
static bool parse_integer(const char *text, const char **end, uint32_t *ret)
{
        uint64_t value = 0;
        const char *p = text;

        for (; *p >= '0' && *p <= '9'; p++)
                value = MIN(value * 10 + (uint64_t)(*p - '0'), UINT32_MAX);
        *end = p;
        *ret = (uint32_t)value;
        return p > text && (*text != '0' || p == text + 1);
}

static int get_integer(const json_t *metadata, const char *key, uint32_t min, uint32_t max, uint32_t *ret,
                       struct cosmos_diag *reterr)
{
        const char *text, *end;
        char must[64];

        text = get_text(metadata, key, reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        if (parse_integer(text, &end, ret) && !*end && *ret >= min && *ret <= max)
                return 0;
        snprintf(must, sizeof(must), "an integer from %u to %u", min, max);
        return bad_value(metadata, key, must, reterr);
}

/* JSON's syntax of a number, which no locale changes, and nothing around it. */
static int get_number(const json_t *metadata, const char *key, double min, double max, double *ret,
                      struct cosmos_diag *reterr)
{
        json_auto_t *number = NULL;
        const char *text;
        char must[80];

        text = get_text(metadata, key, reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        if (!strpbrk(text, " \t\r\n"))
                number = json_loads(text, JSON_DECODE_ANY, NULL);
        if (json_is_number(number) && json_number_value(number) >= min && json_number_value(number) <= max) {
                *ret = json_number_value(number);
                return 0;
        }
        snprintf(must, sizeof(must), "a decimal number from %g to %g", min, max);
        return bad_value(metadata, key, must, reterr);
}

static int get_format(const json_t *metadata, struct cosmos_diag *reterr)
{
        const char *text, *end;
        char quoted[40];
        uint32_t format;

        text = get_text(metadata, "cosmos.format", reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        if (!parse_integer(text, &end, &format) || *end || format == 0)
                return bad_value(metadata, "cosmos.format", "an integer from 1", reterr);
        if (format > COSMOS_MODEL_FORMAT)
                return cosmos__fail(reterr, -COSMOS_EVERSION,
                                    "metadata key 'cosmos.format' is %s, but this library reads no newer format than "
                                    "%d; update libcosmos",
                                    cosmos__quote_str(quoted, sizeof(quoted), text), COSMOS_MODEL_FORMAT);
        return 0;
}

static int check_strings(json_t *metadata, struct cosmos_diag *reterr)
{
        const char *key;
        json_t *value;
        char quoted[80];

        json_object_foreach(metadata, key, value)
        {
                if (!json_is_string(value))
                        return cosmos__fail(reterr, -COSMOS_EFORMAT, "metadata key '%s' is not a string",
                                            cosmos__quote_str(quoted, sizeof(quoted), key));
        }
        return 0;
}

/* "64,32": the units of each layer. */
static int get_layers(const json_t *metadata, struct cosmos_model_info *info, struct cosmos_diag *reterr)
{
        const char *text, *end;
        char must[80];

        text = get_text(metadata, "cosmos.layers", reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        snprintf(must, sizeof(must), "1 to %d integers from 1 to %d, with commas between", COSMOS_MODEL_LAYERS_MAX,
                 COSMOS_MODEL_UNITS_MAX);
        for (;; text = end + 1) {
                uint32_t units;

                if (info->n_layers == COSMOS_MODEL_LAYERS_MAX || !parse_integer(text, &end, &units) || units < 1 ||
                    units > COSMOS_MODEL_UNITS_MAX || (*end && *end != ','))
                        return bad_value(metadata, "cosmos.layers", must, reterr);
                info->units[info->n_layers++] = units;
                if (!*end)
                        return 0;
        }
}

static int get_vocab(const json_t *metadata, cosmos_vocab **ret, struct cosmos_diag *reterr)
{
        json_auto_t *list = NULL;
        _cleanup_free_ const char **names = NULL;
        struct cosmos_diag why;
        char quoted[200];
        json_error_t error;
        const char *text;
        size_t n;
        int r;

        text = get_text(metadata, "cosmos.vocab", reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        list = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_array(list))
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "metadata key 'cosmos.vocab' is not a JSON list: %s",
                                    list ? "it is an object" : cosmos__quote_str(quoted, sizeof(quoted), error.text));
        n = json_array_size(list);
        names = calloc(MAX(n, (size_t)1), sizeof(*names));
        if (!names)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) {
                names[i] = json_string_value(json_array_get(list, i));
                if (!names[i])
                        return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                            "metadata key 'cosmos.vocab': name %zu is not a string", i);
        }
        r = cosmos_vocab_new(ret, names, n, &why);
        if (r < 0)
                return cosmos__fail(reterr, r == -EINVAL ? -COSMOS_EFORMAT : r, "metadata key 'cosmos.vocab': %s",
                                    why.text);
        return 0;
}

static int get_tokens(const json_t *metadata, struct cosmos_model_info *info, struct cosmos_diag *reterr)
{
        struct cosmos_diag why;
        const char *text;

        text = get_text(metadata, "cosmos.tokens", reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        if (cosmos_token_scheme_parse(&info->tokens, text, &why) < 0)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "metadata key 'cosmos.tokens': %s", why.text);
        info->n_fields = (uint32_t)__builtin_popcount(info->tokens.fields);
        return 0;
}

static int get_unit(const json_t *metadata, struct cosmos_model_info *info, struct cosmos_diag *reterr)
{
        const char *text;

        text = get_text(metadata, "cosmos.unit", reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        if (!strcmp(text, "process"))
                info->unit = COSMOS_UNIT_PROCESS;
        else if (!strcmp(text, "thread"))
                info->unit = COSMOS_UNIT_THREAD;
        else
                return bad_value(metadata, "cosmos.unit", "'process' or 'thread'", reterr);
        return 0;
}

static int get_score(const json_t *metadata, struct cosmos_model_info *info, struct cosmos_diag *reterr)
{
        int r;

        r = get_integer(metadata, "cosmos.window", 1, WINDOW_MAX, &info->window, reterr);
        if (r < 0)
                return r;
        r = get_integer(metadata, "cosmos.hop", 1, info->window, &info->hop, reterr);
        if (r < 0)
                return r;
        r = get_fixed(metadata, "cosmos.score", "shrunk_mean", "'shrunk_mean'", reterr);
        if (r < 0)
                return r;
        r = get_number(metadata, "cosmos.prior_count", 0, PRIOR_MAX, &info->prior_count, reterr);
        if (r < 0)
                return r;
        return get_number(metadata, "cosmos.prior_mean", 0, PRIOR_MAX, &info->prior_mean, reterr);
}

static int get_precision(const json_t *metadata, struct cosmos_model_info *info, struct cosmos_diag *reterr)
{
        const char *text;

        info->precision = COSMOS_PRECISION_F32;
        if (!json_object_get(metadata, "cosmos.precision"))
                return 0;
        text = get_text(metadata, "cosmos.precision", reterr);
        if (!text)
                return -COSMOS_EFORMAT;
        if (!strcmp(text, "int8"))
                info->precision = COSMOS_PRECISION_INT8;
        else if (strcmp(text, "f32"))
                return bad_value(metadata, "cosmos.precision", "'f32' or 'int8'", reterr);
        return 0;
}

/* What may be left out. */
static int get_optional(const json_t *metadata, struct cosmos_model_info *info, struct cosmos_diag *reterr)
{
        int r;

        info->quantile = NAN;
        if (json_object_get(metadata, "cosmos.threshold")) {
                r = get_number(metadata, "cosmos.threshold", -DBL_MAX, DBL_MAX, &info->threshold, reterr);
                if (r < 0)
                        return r;
                info->has_threshold = 1;
        }
        if (json_object_get(metadata, "cosmos.quantile")) {
                r = get_number(metadata, "cosmos.quantile", 0, 1, &info->quantile, reterr);
                if (r < 0)
                        return r;
                if (info->quantile == 0)
                        return bad_value(metadata, "cosmos.quantile", "above 0 and at most 1", reterr);
                if (!info->has_threshold)
                        return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                            "metadata key 'cosmos.quantile' is there, but 'cosmos.threshold' is not");
        }
        r = get_precision(metadata, info, reterr);
        if (r < 0)
                return r;
        info->source = json_string_value(json_object_get(metadata, "cosmos.source"));
        if (!info->source)
                info->source = "";
        return 0;
}

int cosmos__metadata_read(const json_t *metadata, struct cosmos_model_info *ret_info, cosmos_vocab **ret_vocab,
                          struct cosmos_diag *reterr)
{
        struct cosmos_model_info info = {.size = sizeof(info)};
        int r;

        r = get_format(metadata, reterr);
        if (r < 0)
                return r;
        r = check_strings((json_t *)(uintptr_t)metadata, reterr);
        if (r < 0)
                return r;
        r = get_fixed(metadata, "cosmos.arch", "lstm", "'lstm'", reterr);
        if (r < 0)
                return r;
        r = get_fixed(metadata, "cosmos.gates", "ifgo", "'ifgo'", reterr);
        if (r < 0)
                return r;
        r = get_layers(metadata, &info, reterr);
        if (r < 0)
                return r;
        r = get_integer(metadata, "cosmos.embedding", 1, EMBEDDING_MAX, &info.embedding, reterr);
        if (r < 0)
                return r;
        r = get_tokens(metadata, &info, reterr);
        if (r < 0)
                return r;
        r = get_unit(metadata, &info, reterr);
        if (r < 0)
                return r;
        r = get_score(metadata, &info, reterr);
        if (r < 0)
                return r;
        r = get_optional(metadata, &info, reterr);
        if (r < 0)
                return r;
        r = get_vocab(metadata, ret_vocab, reterr);
        if (r < 0)
                return r;
        *ret_info = info;
        return 0;
}
