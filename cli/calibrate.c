/* SPDX-License-Identifier: Apache-2.0 */
#include "calibrate.h"

#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIDENCE 0.95
#define DEFAULT_QUANTILE 0.999
#define LEAST 10 /* windows, of however low a quantile */

struct scores {
        char *image; /* NULL: of all */
        double *all;
        size_t n, room;
};

struct collected {
        struct scores of_all, of_image[COSMOS_MODEL_IMAGES_MAX];
        size_t n_images, latest; /* the image of the latest score: most likely also that of the next one */
        bool more_images;        /* than a model holds */
        uint64_t sequences, losses, unknown_calls;
};

/* ---- collected ----------------------------------------------------------------------- */

static int put(struct scores *s, double score)
{
        if (s->n == s->room) {
                const size_t room = s->room ? 2 * s->room : 1024;
                double *all = reallocarray(s->all, room, sizeof(*all));

                if (!all)
                        return -ENOMEM;
                s->all = all;
                s->room = room;
        }
        s->all[s->n++] = score;
        return 0;
}

static struct scores *scores_of(struct collected *c, const char *image)
{
        if (c->n_images > 0 && strcmp(c->of_image[c->latest].image, image) == 0)
                return &c->of_image[c->latest];
        for (c->latest = 0; c->latest < c->n_images; c->latest++)
                if (strcmp(c->of_image[c->latest].image, image) == 0)
                        return &c->of_image[c->latest];
        c->latest = 0;
        if (c->n_images == COSMOS_MODEL_IMAGES_MAX) {
                c->more_images = true;
                return NULL;
        }
        c->of_image[c->n_images].image = strdup(image);
        if (!c->of_image[c->n_images].image)
                return NULL;
        c->latest = c->n_images++;
        return &c->of_image[c->latest];
}

static int take(void *userdata, const struct cosmos_score *score)
{
        const bool named = score->image && *score->image && strlen(score->image) <= COSMOS_MODEL_IMAGE_NAME_MAX;
        struct collected *c = userdata;
        struct scores *its;
        int r;

        if (score->verdict == COSMOS_INDETERMINATE)
                return 0;
        r = put(&c->of_all, score->score);
        its = r == 0 && named ? scores_of(c, score->image) : NULL;
        return its ? put(its, score->score) : r;
}

static int collect(struct collected *c, const struct calibration *calibration, const struct trace_options *options)
{
        struct trace_options o = *options;
        struct trace_result result;
        struct cosmos_diag diag = {0};
        atomic_int never = 0;
        int r = 0;

        o.take = take;
        o.userdata = c;
        o.output_error = &never;
        progress_begin(calibration->traces, calibration->n_traces);
        for (size_t i = 0; i < calibration->n_traces && r == 0; i++) {
                r = score_trace(&o, calibration->traces[i], NULL, STDOUT_FILENO, &result, &diag);
                c->sequences += result.stats.sequences;
                c->losses += result.stats.losses;
                c->unknown_calls += result.stats.unknown_calls;
        }
        if (r < 0)
                return cli_fail(r, &diag);
        if (cli_stop_signals > 1) {
                cli_say("stopped by a signal: nothing is written");
                return EXIT_ERROR;
        }
        return EXIT_OK;
}

static void release(struct collected *c)
{
        for (size_t i = 0; i < c->n_images; i++) {
                free(c->of_image[i].image);
                free(c->of_image[i].all);
        }
        free(c->of_all.all);
}

/* ---- fitted, and said ------------------------------------------------------------------ */

/* Fewer, and the highest score is all that the quantile can be. */
static size_t least(double quantile)
{
        const double n = ceil(1 / (1 - quantile) * (1 - 1e-9));

        return n > LEAST ? (size_t)n : LEAST;
}

static void say_fit(const char *whose, const struct cosmos_threshold_fit *fit)
{
        char upper[64] = "more: too few windows to say how much";

        if (isfinite(fit->upper))
                snprintf(upper, sizeof(upper), "%.4f", fit->upper);
        cli_say("%s: %.4f nats a call, %.6g of %" PRIu64 " windows; with %.0f%% confidence between %.4f and %s", whose,
                fit->theta, fit->quantile, fit->n, 100 * fit->confidence, fit->lower, upper);
}

static int fit(cosmos_threshold **ret, const struct scores *s, double quantile, struct cosmos_diag *diag)
{
        struct cosmos_threshold_fit fit = {.size = sizeof(fit)};
        char whose[600] = "threshold";
        int r;

        r = cosmos_threshold_fit_quantile(&fit, s->all, s->n, quantile, CONFIDENCE, diag);
        if (r == 0)
                r = cosmos_threshold_new_fitted(ret, s->all, s->n, quantile, diag);
        if (r < 0)
                return r;
        if (s->image)
                snprintf(whose, sizeof(whose), "image %s", s->image);
        say_fit(whose, &fit);
        return 0;
}

static int add_images(cosmos_threshold *threshold, const struct collected *c, double quantile, struct cosmos_diag *diag)
{
        int r = 0;

        for (size_t i = 0; i < c->n_images && r == 0; i++) {
                const struct scores *s = &c->of_image[i];
                cosmos_threshold *its = NULL;

                if (s->n < least(quantile)) {
                        cli_say("image %s: %zu windows are too few for one of its own", s->image, s->n);
                        continue;
                }
                r = fit(&its, s, quantile, diag);
                if (r == 0)
                        r = cosmos_threshold_add_image(threshold, s->image, its, diag);
                cosmos_threshold_free(its);
        }
        if (c->more_images)
                cli_say("only the first %d images can have one of their own", COSMOS_MODEL_IMAGES_MAX);
        return r;
}

static void say_before(const struct cosmos_model_info *info, const struct scores *s)
{
        size_t above = 0;

        for (size_t i = 0; i < s->n; i++)
                above += s->all[i] > info->threshold;
        if (info->has_threshold)
                cli_say("the model's own was %.4f: %zu of these windows are above it, %.2f%%", info->threshold, above,
                        100 * (double)above / (double)s->n);
}

static int check(const struct collected *c, double quantile)
{
        if (c->of_all.n < least(quantile)) {
                cli_say("%zu windows could be scored, and a quantile of %.6g needs %zu: collect for longer, or give a "
                        "lower --quantile; nothing is written",
                        c->of_all.n, quantile, least(quantile));
                return EXIT_ERROR;
        }
        if (c->losses)
                cli_say("warning: the traces have %" PRIu64 " gaps; windows that they hit are left out", c->losses);
        if (c->unknown_calls)
                cli_say("%" PRIu64 " calls have a name that the model never saw", c->unknown_calls);
        return EXIT_OK;
}

static int write_threshold(const struct calibration *calibration, const struct collected *c,
                           const struct cosmos_model_info *info, double quantile)
{
        cosmos_threshold *threshold = NULL;
        struct cosmos_diag diag = {0};
        int r;

        r = fit(&threshold, &c->of_all, quantile, &diag);
        if (r == 0)
                r = add_images(threshold, c, quantile, &diag);
        if (r == 0)
                r = cosmos_threshold_save(threshold, calibration->from, calibration->to, &diag);
        if (r == 0) {
                say_before(info, &c->of_all);
                cli_say("%s is written", calibration->to);
        }
        cosmos_threshold_free(threshold);
        return r < 0 ? cli_fail(r, &diag) : EXIT_OK;
}

int calibrate(const struct calibration *calibration, const struct trace_options *options)
{
        struct cosmos_model_info info = {.size = sizeof(info)};
        struct collected *c = calloc(1, sizeof(*c));
        double quantile;
        int r;

        if (!c)
                return cli_fail(-ENOMEM, &(struct cosmos_diag){0});
        cosmos_model_get_info(options->model, &info);
        quantile = calibration->quantile > 0                ? calibration->quantile
                   : info.quantile > 0 && info.quantile < 1 ? info.quantile
                                                            : DEFAULT_QUANTILE;
        r = collect(c, calibration, options);
        if (r == EXIT_OK)
                r = check(c, quantile);
        if (r == EXIT_OK)
                r = write_threshold(calibration, c, &info, quantile);
        release(c);
        free(c);
        return r;
}
