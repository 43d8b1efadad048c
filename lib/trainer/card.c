/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model card: a page for each reader of a model file that has not trained it. All of it comes from the file, which
 * may lie: numbers are looked at, texts are quoted, lists are cut.
 */
#include "trainer/page.h"
#include "trainer/plot.h"

#include "base/base.h"
#include "predictor/safetensors.h"

#include <cosmos/model.h>
#include <cosmos/trainer.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <nettle/sha2.h>
#include <string.h>

#define ROWS_MAX 100     /* of a list; what is beyond it is counted */
#define POINTS_MAX 10000 /* of the curve */

struct card {
        cosmos_model *model;
        struct cosmos_model_info info;
        const char *name; /* of the model, without folders */
        size_t bytes;     /* of its file */
        char sha256[2 * SHA256_DIGEST_SIZE + 1];
        char *plot_path;
        struct cosmos__curve_point *points;
        size_t n_points;
        struct cosmos__page page, plot;
};

static void card_free(struct card *c)
{
        cosmos_model_unref(c->model);
        cosmos__page_free(&c->page);
        cosmos__page_free(&c->plot);
        free(c->plot_path);
        free(c->points);
}

/* ---- metadata ----------------------------------------------------------------------------- */

/* A key whose value is JSON, NULL unless it is of that type. */
static json_t *json_of(struct card *c, const char *key, json_type type)
{
        const char *text = cosmos_model_metadata(c->model, key);
        json_error_t error = {0};
        json_t *value = text ? json_loads(text, 0, &error) : NULL;

        if (text && !value && json_error_code(&error) == json_error_out_of_memory)
                c->page.error = -ENOMEM;
        if (!value || json_typeof(value) == type)
                return value;
        json_decref(value);
        return NULL;
}

static bool read_number(const json_t *object, const char *key, double most, double *ret)
{
        const json_t *value = json_object_get(object, key);

        *ret = json_number_value(value);
        return json_is_number(value) && *ret >= 0 && *ret <= most;
}

/* Those of its points that are what they must be, each of a later epoch than the one before. */
static int read_curve(struct card *c)
{
        json_auto_t *curve = json_of(c, "cosmos.curve", JSON_ARRAY);
        const size_t n = MIN(json_array_size(curve), (size_t)POINTS_MAX);
        double epoch;

        c->points = calloc(MAX(n, (size_t)1), sizeof(*c->points));
        if (!c->points)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                struct cosmos__curve_point *p = &c->points[c->n_points];
                const json_t *from = json_array_get(curve, i);

                if (!json_is_integer(json_object_get(from, "epoch")) ||
                    !read_number(from, "epoch", COSMOS__CURVE_EPOCH_MAX, &epoch) ||
                    !read_number(from, "loss", COSMOS__CURVE_NLL_MAX, &p->loss) ||
                    !read_number(from, "held_out", COSMOS__CURVE_NLL_MAX, &p->held_out))
                        continue;
                if (!read_number(from, "learning_rate", HUGE_VAL, &p->rate))
                        p->rate = 0;
                p->epoch = (uint32_t)epoch;
                c->n_points += c->n_points == 0 || p->epoch > p[-1].epoch;
        }
        return 0;
}

/* ---- rows --------------------------------------------------------------------------------- */

static void put_row(struct card *c, const char *name, const char *text)
{
        cosmos__page_put(&c->page, "| %s | ", name);
        cosmos__page_quote(&c->page, text);
        cosmos__page_put(&c->page, " |\n");
}

static void put_row_of(struct card *c, const char *name, const char *key)
{
        const char *text = cosmos_model_metadata(c->model, key);

        if (text && *text)
                put_row(c, name, text);
}

/* A value of any type that fits into a cell. */
static void put_scalar(struct cosmos__page *page, const json_t *value)
{
        if (json_is_integer(value))
                cosmos__page_put(page, "%jd", (intmax_t)json_integer_value(value));
        else if (json_is_real(value))
                cosmos__page_number(page, json_real_value(value));
        else if (json_is_boolean(value))
                cosmos__page_put(page, json_is_true(value) ? "yes" : "no");
        else
                cosmos__page_quote(page, json_string_value(value));
}

static bool is_scalar(const json_t *value)
{
        return json_is_number(value) || json_is_boolean(value) || json_is_string(value);
}

static void put_row_json(struct card *c, const char *name, const json_t *value)
{
        if (!is_scalar(value))
                return;
        cosmos__page_put(&c->page, "| ");
        cosmos__page_quote(&c->page, name);
        cosmos__page_put(&c->page, " | ");
        put_scalar(&c->page, value);
        cosmos__page_put(&c->page, " |\n");
}

static void put_row_number(struct card *c, const char *name, double value, const char *unit)
{
        cosmos__page_put(&c->page, "| %s | ", name);
        cosmos__page_number(&c->page, value);
        cosmos__page_put(&c->page, "%s |\n", unit);
}

static void put_rest(struct card *c, size_t n)
{
        if (n > ROWS_MAX)
                cosmos__page_put(&c->page, "\nand %zu more.\n", n - ROWS_MAX);
}

/* A row for each member, its name's underscores as spaces. */
static void put_members(struct card *c, const json_t *object)
{
        const char *key;
        json_t *value;
        size_t i = 0;

        json_object_foreach((json_t *)object, key, value)
        {
                char name[64];

                snprintf(name, sizeof(name), "%s", key);
                for (char *at = name; (at = strchr(at, '_'));)
                        *at = ' ';
                if (i++ < ROWS_MAX)
                        put_row_json(c, name, value);
        }
}

/* ---- sections ----------------------------------------------------------------------------- */

static void put_head(struct card *c)
{
        cosmos__page_put(&c->page, "# Model card: ");
        cosmos__page_quote(&c->page, c->name);
        cosmos__page_put(
            &c->page,
            "\n\n"
            "A language model of system calls: it gives each call of a %s the probability that it has after those "
            "before it, and a window of %u calls that is unlikely on the whole gets a high score. Intended use: "
            "`cosmos-score` and libcosmos, which say where containers like those that it was trained on do what these "
            "did not do then. Limits: unlikely is not malicious, and a new version, a rare backup or another load is "
            "as new to it as an attack. An intruder who makes the usual calls in their usual order is not seen. It has "
            "nothing to say of other services, nor of calls that were collected in another way than those below.\n\n"
            "| file | |\n|---|---|\n",
            cosmos_unit_name(c->info.unit), c->info.window);
        put_row(c, "SHA-256", c->sha256);
        cosmos__page_put(&c->page, "| bytes | %zu |\n", c->bytes);
}

static void put_trace(struct card *c, size_t i, const json_t *trace)
{
        cosmos__page_put(&c->page, "| %zu | ", i + 1);
        cosmos__page_quote(&c->page, json_string_value(json_object_get(trace, "sha256")));
        for (size_t k = 0; k < 2; k++) {
                const json_t *n = json_object_get(trace, k == 0 ? "calls" : "sequences");

                cosmos__page_put(&c->page, " | ");
                if (json_is_integer(n))
                        put_scalar(&c->page, n);
        }
        cosmos__page_put(&c->page, " |\n");
}

static void put_traces(struct card *c, const json_t *traces)
{
        const size_t n = json_array_size(traces);

        if (n == 0)
                return;
        cosmos__page_put(&c->page, "\n| trace | SHA-256 | calls | sequences |\n|---|---|---|---|\n");
        for (size_t i = 0; i < MIN(n, (size_t)ROWS_MAX); i++)
                put_trace(c, i, json_array_get(traces, i));
        put_rest(c, n);
}

static void put_images(struct card *c, const json_t *images)
{
        const size_t n = json_array_size(images);

        if (n == 0)
                return;
        cosmos__page_put(&c->page, "\n| container images, as the traces name them |\n|---|\n");
        for (size_t i = 0; i < MIN(n, (size_t)ROWS_MAX); i++) {
                cosmos__page_put(&c->page, "| ");
                cosmos__page_quote(&c->page, json_string_value(json_array_get(images, i)));
                cosmos__page_put(&c->page, " |\n");
        }
        put_rest(c, n);
}

static void put_data(struct card *c)
{
        json_auto_t *on = json_of(c, "cosmos.trained_on", JSON_OBJECT);

        cosmos__page_put(&c->page, "\n## Data\n\n| what it was trained on | |\n|---|---|\n");
        put_row_json(c, "calls", json_object_get(on, "calls"));
        put_row_json(c, "sequences", json_object_get(on, "sequences"));
        put_row(c, "a sequence is a", cosmos_unit_name(c->info.unit));
        put_row_of(c, "collected by", "cosmos.source");
        put_row_of(c, "calls that were collected", "cosmos.calls");
        put_row_json(c, "trained on from the model with SHA-256", json_object_get(on, "init"));
        put_row_of(c, "calls that it keeps pieces of, to learn them again", "cosmos.kept");
        put_traces(c, json_object_get(on, "traces"));
        put_images(c, json_object_get(on, "images"));
}

static void put_network(struct card *c)
{
        json_auto_t *training = json_of(c, "cosmos.training", JSON_OBJECT);

        cosmos__page_put(&c->page, "\n## Network and settings\n\n| | |\n|---|---|\n");
        put_row_of(c, "architecture", "cosmos.arch");
        put_row_of(c, "fields of a token", "cosmos.tokens");
        cosmos__page_put(&c->page, "| names of calls | %zu |\n", cosmos_vocab_size(cosmos_model_vocab(c->model)));
        put_row_of(c, "width of the embedding", "cosmos.embedding");
        put_row_of(c, "units of each layer", "cosmos.layers");
        put_row(c, "precision of the weights", cosmos_precision_name(c->info.precision));
        cosmos__page_put(&c->page, "| window, hop | %u, %u calls |\n", c->info.window, c->info.hop);
        put_members(c, training);
}

static void put_perplexities(struct card *c, const json_t *report)
{
        static const struct {
                const char *key, *name;
        } all[] = {
            {"perplexity", "this model"},
            {"fivegram_perplexity", "5-gram"},
            {"unigram_perplexity", "the frequency of calls alone"},
        };
        double value;

        if (!read_number(report, all[0].key, HUGE_VAL, &value))
                return;
        cosmos__page_put(&c->page, "\n| expectation by | perplexity on calls that were held out |\n|---|---|\n");
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (read_number(report, all[i].key, HUGE_VAL, &value))
                        put_row_number(c, all[i].name, value, "");
}

/* Between which two scores the quantile of all that there could be lies; null: there are too few to say. */
static void put_interval(struct card *c, const json_t *interval)
{
        if (json_array_size(interval) != 2)
                return;
        cosmos__page_put(&c->page, "| 95%% interval of that quantile | ");
        for (size_t i = 0; i < 2; i++) {
                const json_t *end = json_array_get(interval, i);

                cosmos__page_put(&c->page, "%s", i == 0 ? "" : " to ");
                if (json_is_number(end))
                        cosmos__page_number(&c->page, json_number_value(end));
                else
                        cosmos__page_put(&c->page, "(too few windows to say)");
        }
        cosmos__page_put(&c->page, " |\n");
}

/* What is said of the threshold holds for the one of the training only: it may have been calibrated since. */
static void put_fit(struct card *c, const json_t *report)
{
        double value;

        if (!read_number(report, "theta", HUGE_VAL, &value) || value != c->info.threshold) {
                put_row_of(c, "how it came about", "cosmos.threshold_rule");
                return;
        }
        if (read_number(report, "windows", HUGE_VAL, &value))
                put_row_json(c, "windows that it was fitted to", json_object_get(report, "windows"));
        if (read_number(report, "quantile", HUGE_VAL, &value))
                put_row_number(c, "quantile of their scores", value, " nats a call");
        put_interval(c, json_object_get(report, "interval"));
        if (read_number(report, "false_alarms_later", 1, &value))
                put_row_number(c, "false alarms: later half of the windows above the quantile of the earlier",
                               100 * value, " %");
}

static void put_threshold(struct card *c, const json_t *report)
{
        struct cosmos_model_threshold its = {.size = sizeof(its)};

        if (!c->info.has_threshold)
                return;
        cosmos__page_put(&c->page, "\n| threshold | |\n|---|---|\n");
        put_row_number(c, "θ", c->info.threshold, " nats a call");
        if (!isnan(c->info.quantile))
                put_row_number(c, "share of normal windows that it is for", c->info.quantile, "");
        put_fit(c, report);
        if (cosmos_model_get_threshold(c->model, 0, &its) < 0)
                return;
        cosmos__page_put(&c->page, "\n| image | its own θ, nats a call |\n|---|---|\n");
        for (size_t i = 0; cosmos_model_get_threshold(c->model, i, &its) == 0; i++) {
                cosmos__page_put(&c->page, "| ");
                cosmos__page_quote(&c->page, its.image);
                cosmos__page_put(&c->page, " | ");
                cosmos__page_number(&c->page, its.theta);
                cosmos__page_put(&c->page, " |\n");
        }
}

static void put_result(struct card *c)
{
        json_auto_t *report = json_of(c, "cosmos.report", JSON_OBJECT);

        cosmos__page_put(&c->page, "\n## Result\n");
        if (!report && !c->info.has_threshold)
                cosmos__page_put(&c->page, "\nThe file does not say.\n");
        put_perplexities(c, report);
        put_threshold(c, report);
}

static void put_curve(struct card *c)
{
        const struct cosmos__curve_point *best = c->points;
        const char *slash = strrchr(c->plot_path, '/');

        if (c->n_points == 0)
                return;
        for (size_t i = 1; i < c->n_points; i++)
                if (c->points[i].held_out < best->held_out)
                        best = &c->points[i];
        cosmos__page_put(&c->page, "\n## Learning curve\n\n![Mean negative log-likelihood over epochs](");
        cosmos__page_url(&c->page, slash ? slash + 1 : c->plot_path);
        cosmos__page_put(&c->page, ")\n\n%zu epochs; the lowest mean on held-out calls, ", c->n_points);
        cosmos__page_number(&c->page, best->held_out);
        cosmos__page_put(&c->page, " nats a call, after epoch %u.\n", best->epoch);
}

static void put_versions(struct card *c)
{
        json_auto_t *versions = json_of(c, "cosmos.versions", JSON_OBJECT);

        cosmos__page_put(&c->page, "\n## Versions and seed\n\n| | |\n|---|---|\n");
        put_members(c, versions);
        put_row_of(c, "seed", "cosmos.seed");
        put_row_of(c, "format of the file", "cosmos.format");
}

/* ---- files -------------------------------------------------------------------------------- */

static void hash(const char *data, size_t size, char ret[2 * SHA256_DIGEST_SIZE + 1])
{
        uint8_t digest[SHA256_DIGEST_SIZE];
        struct sha256_ctx context;

        sha256_init(&context);
        sha256_update(&context, size, (const uint8_t *)data);
        sha256_digest(&context, sizeof(digest), digest);
        for (size_t i = 0; i < sizeof(digest); i++)
                snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static int read_model(struct card *c, const char *path, struct cosmos_diag *reterr)
{
        _cleanup_free_ char *data = NULL;
        const char *slash = strrchr(path, '/');
        char quoted[160], text[64];
        int r;

        r = cosmos__read_file(path, COSMOS__SAFETENSORS_MAX, &data, &c->bytes);
        if (r < 0)
                return cosmos__fail(reterr, r, "model '%s': can't be read: %s",
                                    cosmos__quote_str(quoted, sizeof(quoted), path),
                                    cosmos_strerror(r, text, sizeof(text)));
        r = cosmos_model_load(&c->model, data, c->bytes, path, NULL, reterr);
        if (r < 0)
                return r;
        c->info.size = sizeof(c->info);
        cosmos_model_get_info(c->model, &c->info);
        c->name = slash ? slash + 1 : path;
        hash(data, c->bytes, c->sha256);
        return 0;
}

/* "model.md": "model.svg"; any other name has .svg put behind it. */
static char *path_of_plot(const char *card)
{
        const size_t n = strlen(card), stem = n > 3 && strcmp(card + n - 3, ".md") == 0 ? n - 3 : n;
        char *path;

        return asprintf(&path, "%.*s.svg", (int)stem, card) < 0 ? NULL : path;
}

static int write_page(const char *path, const struct cosmos__page *page, struct cosmos_diag *reterr)
{
        char quoted[160], text[64];
        int r = page->error;

        if (r == 0)
                r = cosmos__write_file(path, page->text.data, page->text.size);
        return r < 0 ? cosmos__fail(reterr, r, "model card '%s': not written: %s",
                                    cosmos__quote_str(quoted, sizeof(quoted), path),
                                    cosmos_strerror(r, text, sizeof(text)))
                     : 0;
}

static int put_all(struct card *c)
{
        int r = read_curve(c);

        if (r < 0)
                return r;
        put_head(c);
        put_data(c);
        put_network(c);
        put_result(c);
        put_curve(c);
        put_versions(c);
        if (c->n_points > 0)
                cosmos__plot(&c->plot, c->points, c->n_points);
        return 0;
}

COSMOS_API int cosmos_model_card(const char *model, const char *card, struct cosmos_diag *reterr)
{
        _cleanup_(card_free) struct card c = {0};
        int r;

        if (!model || !card)
                return cosmos__fail(reterr, -EINVAL, "model card: `model` and `card` must not be NULL");
        r = read_model(&c, model, reterr);
        if (r < 0)
                return r;
        c.plot_path = path_of_plot(card);
        if (!c.plot_path || put_all(&c) < 0)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        r = c.n_points > 0 ? write_page(c.plot_path, &c.plot, reterr) : 0;
        return r < 0 ? r : write_page(card, &c.page, reterr);
}
