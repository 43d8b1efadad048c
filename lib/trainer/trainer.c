/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/trainer.h"

#include "base/base.h"
#include "trainer/initial.h"
#include "trainer/weights.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 256

COSMOS_API void cosmos_trainer_options_init(struct cosmos_trainer_options *ret)
{
        *ret = (struct cosmos_trainer_options){
            .size = sizeof(*ret),
            .embedding = 64,
            .n_layers = 1,
            .units = {128},
            .tokens = {.fields = 1u << COSMOS_TOKEN_NAME | 1u << COSMOS_TOKEN_ERRNO},
            .batch = 64,
            .length = 200,
            .epochs = 30,
            .epoch_chunks = 2000,
            .learning_rate = 1e-2,
            .seed = 1,
            .window = 100,
            .hop = 50,
            .quantile = 0.999,
            .margin = 0.08,
            .keep = 262144,
        };
}

/* ---- options --------------------------------------------------------------------------- */

static int check_integers(const struct cosmos_trainer_options *o, struct cosmos_diag *reterr)
{
        const struct {
                const char *name;
                uint32_t value, min, max;
        } all[] = {
            {"embedding", o->embedding, 1, COSMOS_MODEL_UNITS_MAX},
            {"n_layers", o->n_layers, 1, COSMOS_MODEL_LAYERS_MAX},
            {"batch", o->batch, 1, 1024},
            {"length", o->length, 2, 10000},
            {"epochs", o->epochs, 1, 5000},
            {"epoch_chunks", o->epoch_chunks, 1, 1000000},
            {"threads", o->threads, 0, THREADS_MAX},
            {"window", o->window, 1, 10000},
            {"hop", o->hop, 1, o->window},
            {"keep", o->keep, 0, 1u << 24},
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (all[i].value < all[i].min || all[i].value > all[i].max)
                        return cosmos__fail(reterr, -EINVAL, "trainer: %s is %u; it must be from %u to %u", all[i].name,
                                            all[i].value, all[i].min, all[i].max);
        for (uint32_t l = 0; l < o->n_layers; l++)
                if (o->units[l] < 1 || o->units[l] > COSMOS_MODEL_UNITS_MAX)
                        return cosmos__fail(reterr, -EINVAL, "trainer: units of layer %u are %u; from 1 to %d", l,
                                            o->units[l], COSMOS_MODEL_UNITS_MAX);
        return 0;
}

static int check_numbers(const struct cosmos_trainer_options *o, struct cosmos_diag *reterr)
{
        if (!(o->learning_rate > 0 && o->learning_rate <= 1))
                return cosmos__fail(reterr, -EINVAL, "trainer: learning_rate is %g; above 0, up to 1",
                                    o->learning_rate);
        if (!(o->dropout >= 0 && o->dropout < 1))
                return cosmos__fail(reterr, -EINVAL, "trainer: dropout is %g; from 0 to below 1", o->dropout);
        if (!(o->quantile > 0 && o->quantile <= 1))
                return cosmos__fail(reterr, -EINVAL, "trainer: quantile is %g; above 0, up to 1", o->quantile);
        if (!(o->margin >= 0 && isfinite(o->margin)))
                return cosmos__fail(reterr, -EINVAL, "trainer: margin is %g; 0 or more", o->margin);
        return 0;
}

static int read_options(struct cosmos_trainer_options *ret, const struct cosmos_trainer_options *options,
                        struct cosmos_diag *reterr)
{
        int r = 0;

        cosmos_trainer_options_init(ret);
        if (options) {
                *ret = (struct cosmos_trainer_options){0};
                r = cosmos__options(ret, sizeof(*ret), options, "cosmos_trainer_options", reterr);
        }
        if (r == 0)
                r = check_integers(ret, reterr);
        return r < 0 ? r : check_numbers(ret, reterr);
}

/* ---- the object -------------------------------------------------------------------------- */

static void trainer_freep(cosmos_trainer **trainer)
{
        cosmos_trainer_free(*trainer);
}

static int check_size(const cosmos_trainer *t, struct cosmos_diag *reterr)
{
        /* The last 15% must hold ten windows. */
        const double least = ceil((t->options.window + 9.0 * t->options.hop) / 0.15);
        const size_t calls = cosmos_corpus_calls(t->corpus);

        if ((double)calls < least)
                return cosmos__fail(reterr, -ENODATA,
                                    "%zu call%s too few to learn from: collect %.0f at least, better 100000", calls,
                                    calls == 1 ? " is" : "s are", least);
        return 0;
}

static void set_calls(cosmos_trainer *t, const uint32_t *fields)
{
        t->calls = (struct cosmos__calls){
            .tokens = cosmos_corpus_tokens(t->corpus),
            .frequency = cosmos_corpus_frequency(t->corpus),
            .stride = COSMOS_TOKEN_FIELDS,
            .n_fields = t->shape.n_fields,
        };
        memcpy(t->calls.fields, fields, sizeof(t->calls.fields));
}

static int check_tokens(const cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const size_t n = cosmos_corpus_calls(t->corpus);

        if (t->shape.frequency && !t->calls.frequency)
                return cosmos__fail(reterr, -COSMOS_EMISMATCH, "trainer: the corpus was read without frequencies");
        for (uint32_t f = 0; f < t->shape.n_fields; f++)
                for (size_t i = 0; i < n; i++)
                        if (t->calls.tokens[i * COSMOS_TOKEN_FIELDS + t->calls.fields[f]] >= t->shape.field_size[f])
                                return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                                    "trainer: the corpus was read with another scheme of tokens");
        return 0;
}

static size_t threads_of(const struct cosmos_trainer_options *o)
{
        const long online = sysconf(_SC_NPROCESSORS_ONLN);

        return o->threads ? o->threads : (size_t)MIN(MAX(online, 1), THREADS_MAX);
}

static int make_network(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        const struct cosmos_trainer_options *o = &t->options;
        uint32_t fields[COSMOS__NETWORK_FIELDS_MAX] = {0};
        int r;

        cosmos__shape_init(&t->shape, fields, &o->tokens, (uint32_t)cosmos_vocab_size(cosmos_corpus_vocab(t->corpus)),
                           o->embedding, o->units, o->n_layers);
        set_calls(t, fields);
        r = check_tokens(t, reterr);
        if (r == 0)
                r = cosmos__pool_new(&t->pool, threads_of(o));
        if (r == 0)
                r = cosmos__network_new(&t->network, &t->shape, o->batch, o->length, cosmos__training_kernels_get(NULL),
                                        t->pool);
        if (r == 0)
                r = cosmos__batch_init(&t->room, o->batch, o->length, t->shape.n_fields, t->shape.frequency);
        t->chunks = calloc(o->batch, sizeof(*t->chunks));
        t->counts = calloc(t->shape.vocab, sizeof(*t->counts));
        if (r == 0)
                t->best_parameters = calloc(cosmos__network_layout(t->network)->n, sizeof(*t->best_parameters));
        t->curve = json_array();
        return r == 0 && t->chunks && t->counts && t->best_parameters && t->curve ? 0 : r < 0 ? r : -ENOMEM;
}

COSMOS_API int cosmos_trainer_new(cosmos_trainer **ret, const cosmos_corpus *corpus,
                                  const struct cosmos_trainer_options *options, struct cosmos_diag *reterr)
{
        _cleanup_(trainer_freep) cosmos_trainer *t = NULL;
        int r;

        if (!ret || !corpus)
                return cosmos__fail(reterr, -EINVAL, "trainer: `ret` and `corpus` must not be NULL");
        t = calloc(1, sizeof(*t));
        if (!t)
                return cosmos__fail(reterr, -ENOMEM, "trainer: out of memory");
        t->corpus = corpus;
        t->kept_before = t->kept_after = t->before = NAN;
        r = read_options(&t->options, options, reterr);
        if (r == 0)
                r = check_size(t, reterr);
        if (r == 0 && t->options.init)
                r = cosmos__continue_open(t, reterr);
        if (r == 0)
                r = make_network(t, reterr);
        if (r == 0 && t->init)
                r = cosmos__continue_parameters(t, reterr);
        if (r == 0 && !t->init)
                r = cosmos__learn_begin(t, reterr);
        t->options.init = NULL; /* it was lent */
        if (r < 0)
                return r == -ENOMEM ? cosmos__fail(reterr, r, "trainer: out of memory") : r;
        *ret = TAKE_PTR(t);
        return 0;
}

COSMOS_API cosmos_trainer *cosmos_trainer_free(cosmos_trainer *t)
{
        if (!t)
                return NULL;
        cosmos__scan_close(&t->scan);
        cosmos__continue_close(t);
        cosmos__split_free(&t->split);
        cosmos__spool_free(&t->scores);
        cosmos__spool_free(&t->times);
        cosmos__batch_free(&t->room);
        cosmos__network_free(t->network);
        cosmos__ngram_free(t->ngram);
        cosmos__pool_free(t->pool);
        json_decref(t->curve);
        free(t->chunks);
        free(t->counts);
        free(t->best_parameters);
        free(t->file);
        free(t);
        return NULL;
}

/* ---- the phases ------------------------------------------------------------------------------ */

COSMOS_API int cosmos_trainer_run(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        int (*const phases[])(cosmos_trainer *, struct cosmos_diag *) = {
            [COSMOS_TRAINER_SIFTING] = cosmos__trainer_sift,
            [COSMOS_TRAINER_LEARNING] = cosmos__trainer_learn,
            [COSMOS_TRAINER_EVALUATING] = cosmos__trainer_evaluate,
            [COSMOS_TRAINER_CALIBRATING] = cosmos__trainer_calibrate,
            [COSMOS_TRAINER_COMPARING] = cosmos__trainer_compare,
        };
        int r;

        if (t->phase == COSMOS_TRAINER_DONE)
                return 0;
        r = phases[t->phase](t, reterr);
        if (r < 0)
                return r == -ENOMEM ? cosmos__fail(reterr, r, "trainer: out of memory") : r;
        return t->phase != COSMOS_TRAINER_DONE;
}

static double share_of(const cosmos_trainer *t)
{
        const size_t sequences = cosmos_corpus_sequences(t->corpus);

        switch (t->phase) {
        case COSMOS_TRAINER_SIFTING:
                return (double)t->sift_sequence / (double)sequences;
        case COSMOS_TRAINER_LEARNING:
                return (double)t->drawn / (double)t->epoch_chunks;
        case COSMOS_TRAINER_CALIBRATING:
        case COSMOS_TRAINER_COMPARING:
                return (double)t->piece / (double)MAX(t->split.parts[t->part].n, (size_t)1);
        case COSMOS_TRAINER_DONE:
                return 1;
        default:
                return 0;
        }
}

COSMOS_API void cosmos_trainer_get_progress(const cosmos_trainer *t, struct cosmos_trainer_progress *ret)
{
        const struct cosmos_trainer_progress progress = {
            .size = sizeof(progress),
            .phase = t->phase,
            .epoch = t->epoch,
            .epochs = t->options.epochs,
            .share = share_of(t),
            .loss = t->epoch_calls > 0 ? t->epoch_nll / (double)t->epoch_calls : NAN,
            .held_out = t->held_out,
            .best = t->best,
            .learning_rate = t->rate,
            .calls = t->calls_learnt,
        };

        cosmos__fill(ret, &progress, sizeof(progress));
}

COSMOS_API void cosmos_trainer_get_report(const cosmos_trainer *t, struct cosmos_trainer_report *ret)
{
        cosmos__fill(ret, &t->report, sizeof(t->report));
}

COSMOS_API void cosmos_trainer_get_model(const cosmos_trainer *t, const void **ret_data, size_t *ret_size)
{
        *ret_data = t->file;
        *ret_size = t->file_size;
}

COSMOS_API int cosmos_trainer_save(const cosmos_trainer *t, const char *path, struct cosmos_diag *reterr)
{
        char quoted[256], text[64];
        int r;

        if (t->phase != COSMOS_TRAINER_DONE)
                return cosmos__fail(reterr, -EINVAL, "trainer: there is no model yet");
        r = cosmos__write_file(path, t->file, t->file_size);
        if (r < 0)
                return cosmos__fail(
                    reterr, r, "%s: the model could not be written: %s; what was there, if anything, is as it was",
                    cosmos__quote_str(quoted, sizeof(quoted), path), cosmos_strerror(r, text, sizeof(text)));
        return 0;
}
