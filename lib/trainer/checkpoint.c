/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint is a safetensors file: the parameters, Adam's moments and the best parameters, and as metadata the state
 * of learn.c; doubles by their bits. What it must be resumed with is there as well, in words.
 */
#include "trainer/trainer.h"

#include "base/base.h"
#include "base/hash.h"
#include "trainer/weights.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FORMAT 1

enum { PARAMETERS, FIRST_MOMENTS, SECOND_MOMENTS, BEST, TENSORS };

/* ---- what must be the same ---------------------------------------------------------------- */

/* Of all that is learnt from: tokens and times. */
static uint64_t digest(const cosmos_trainer *t)
{
        const int64_t *times = cosmos_corpus_timestamps(t->corpus);
        const uint64_t *offsets = cosmos_corpus_offsets(t->corpus);
        uint64_t sum = cosmos__hash_mix(cosmos_corpus_calls(t->corpus));

        for (size_t i = 0; i < cosmos_corpus_calls(t->corpus); i++) {
                for (uint32_t f = 0; f < t->calls.n_fields; f++)
                        sum = cosmos__hash_mix(sum ^ t->calls.tokens[i * t->calls.stride + t->calls.fields[f]]);
                sum = cosmos__hash_mix(sum ^ (uint64_t)times[i]);
        }
        for (size_t i = 0; i < cosmos_corpus_sequences(t->corpus); i++)
                sum = cosmos__hash_mix(sum ^ offsets[i]);
        return sum;
}

/* Of the model to go on from: its parameters are in the checkpoint, what it keeps is not. */
static uint64_t digest_init(const cosmos_trainer *t)
{
        uint64_t sum = t->init != NULL;

        for (size_t i = 0; i < (size_t)t->kept.rows * t->shape.n_fields; i++)
                sum = cosmos__hash_mix(sum ^ t->kept.tokens[i]);
        return sum;
}

static int put_number(json_t *m, const char *key, uint64_t value)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        return json_object_set_new(m, key, json_string(text));
}

static uint64_t bits_of(double value)
{
        uint64_t bits;

        memcpy(&bits, &value, sizeof(bits));
        return bits;
}

static double real_of(uint64_t bits)
{
        double value;

        memcpy(&value, &bits, sizeof(value));
        return value;
}

/* By the names that a person knows them by. */
static int put_settings(const cosmos_trainer *t, json_t *m)
{
        const struct cosmos_trainer_options *o = &t->options;
        char layers[COSMOS__LAYERS_TEXT], tokens[COSMOS_TOKEN_SCHEME_TEXT];
        int r = 0;

        r |= json_object_set_new(m, "set.layers", json_string(cosmos__layers_text(&t->shape, layers)));
        r |= json_object_set_new(m, "set.tokens",
                                 json_string(cosmos_token_scheme_text(&o->tokens, tokens, sizeof(tokens))));
        r |= put_number(m, "set.embedding", t->shape.embedding);
        r |= put_number(m, "set.vocabulary", t->shape.vocab);
        r |= put_number(m, "set.batch", o->batch);
        r |= put_number(m, "set.length", o->length);
        r |= put_number(m, "set.epochs", o->epochs);
        r |= put_number(m, "set.epoch_chunks", o->epoch_chunks);
        r |= put_number(m, "set.learning_rate", bits_of(o->learning_rate));
        r |= put_number(m, "set.dropout", bits_of(o->dropout));
        r |= put_number(m, "set.seed", o->seed);
        r |= put_number(m, "set.learn_anomalous", o->learn_anomalous != 0);
        r |= put_number(m, "set.traces", digest(t));
        r |= put_number(m, "set.model", digest_init(t));
        return r;
}

/* ---- the state ------------------------------------------------------------------------------- */

struct number {
        const char *key;
        uint64_t *integer; /* or one of these two */
        uint32_t *small;
        double *real;
};

#define NUMBERS 14

static void numbers_of(cosmos_trainer *t, struct number ret[NUMBERS])
{
        const struct number all[NUMBERS] = {
            {"epoch", NULL, &t->epoch, NULL},
            {"without", NULL, &t->without, NULL},
            {"random", &t->random, NULL, NULL},
            {"step", &t->step, NULL, NULL},
            {"drawn", &t->drawn, NULL, NULL},
            {"epoch_calls", &t->epoch_calls, NULL, NULL},
            {"calls_learnt", &t->calls_learnt, NULL, NULL},
            {"rate", NULL, NULL, &t->rate},
            {"best", NULL, NULL, &t->best},
            {"epoch_nll", NULL, NULL, &t->epoch_nll},
            {"held_out", NULL, NULL, &t->held_out},
            {"before", NULL, NULL, &t->before},
            {"kept_before", NULL, NULL, &t->kept_before},
            {"prior_mean", NULL, NULL, &t->prior_mean},
        };

        memcpy(ret, all, sizeof(all));
}

static int put_state(const cosmos_trainer *t, json_t *m)
{
        struct number numbers[NUMBERS];
        char *curve = json_dumps(t->curve, JSON_COMPACT);
        int r = 0;

        numbers_of((cosmos_trainer *)(uintptr_t)t, numbers);
        for (size_t i = 0; i < NUMBERS; i++)
                r |= put_number(m, numbers[i].key,
                                numbers[i].integer ? *numbers[i].integer
                                : numbers[i].small ? *numbers[i].small
                                                   : bits_of(*numbers[i].real));
        r |= put_number(m, "phase", (uint64_t)t->phase);
        r |= json_object_set_new(m, "curve", json_string(curve ? curve : ""));
        free(curve);
        return r;
}

/* Where each tensor's values are. */
static void tensors_of(const cosmos_trainer *t, struct cosmos__tensor tensors[TENSORS], float *values[TENSORS])
{
        static const char *const names[TENSORS] = {"parameters", "moments.first", "moments.second", "best"};
        const size_t n = cosmos__network_layout(t->network)->n;

        values[PARAMETERS] = cosmos__network_parameters(t->network);
        values[FIRST_MOMENTS] = cosmos__network_moments(t->network);
        values[SECOND_MOMENTS] = values[FIRST_MOMENTS] + n;
        values[BEST] = t->best_parameters;
        for (size_t i = 0; i < TENSORS; i++) {
                tensors[i] = (struct cosmos__tensor){
                    .dtype = COSMOS__F32,
                    .n_dims = 1,
                    .shape = {(uint32_t)n, (uint32_t)n},
                    .data = (const uint8_t *)values[i],
                    .n = n,
                };
                snprintf(tensors[i].name, sizeof(tensors[i].name), "%s", names[i]);
        }
}

COSMOS_API int cosmos_trainer_checkpoint(const cosmos_trainer *t, const char *path, struct cosmos_diag *reterr)
{
        json_auto_t *metadata = json_object();
        _cleanup_free_ uint8_t *bytes = NULL;
        struct cosmos__tensor tensors[TENSORS];
        float *values[TENSORS];
        char quoted[256], text[64];
        size_t size;
        int r;

        if (!metadata || put_number(metadata, "cosmos.checkpoint", FORMAT) < 0 || put_settings(t, metadata) < 0 ||
            put_state(t, metadata) < 0)
                return cosmos__fail(reterr, -ENOMEM, "trainer: out of memory");
        tensors_of(t, tensors, values);
        r = cosmos__safetensors_write(&bytes, &size, metadata, tensors, TENSORS, reterr);
        if (r < 0)
                return r;
        r = cosmos__write_file(path, bytes, size);
        if (r < 0)
                return cosmos__fail(
                    reterr, r, "%s: the checkpoint could not be written: %s; what was there, if anything, is as it was",
                    cosmos__quote_str(quoted, sizeof(quoted), path), cosmos_strerror(r, text, sizeof(text)));
        return 0;
}

/* ---- back -------------------------------------------------------------------------------------- */

static int bad(struct cosmos_diag *reterr, const char *key)
{
        return cosmos__fail(reterr, -COSMOS_EFORMAT, "damaged, or not a checkpoint: '%s' is not as it must be", key);
}

static int get_number(const json_t *m, const char *key, uint64_t *ret)
{
        const char *text = json_string_value(json_object_get(m, key));
        char *end;

        if (!text || *text < '0' || *text > '9')
                return -COSMOS_EFORMAT;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno || *end ? -COSMOS_EFORMAT : 0;
}

static int check_settings(const cosmos_trainer *t, const json_t *m, struct cosmos_diag *reterr)
{
        json_auto_t *ours = json_object();
        const char *key;
        json_t *value;

        if (!ours || put_settings(t, ours) < 0)
                return -ENOMEM;
        json_object_foreach(ours, key, value)
        {
                const json_t *theirs = json_object_get(m, key);

                if (!json_is_string(theirs))
                        return bad(reterr, key);
                if (!json_equal(value, theirs))
                        return cosmos__fail(reterr, -COSMOS_EMISMATCH,
                                            "it is of a training with other %s: give the same traces and options, or "
                                            "begin anew without it",
                                            key + strlen("set."));
        }
        return 0;
}

/* Everything is read before anything is changed. */
static int read_state(cosmos_trainer *t, const json_t *m, uint64_t state[NUMBERS], uint64_t *phase, json_t **curve,
                      struct cosmos_diag *reterr)
{
        const char *text = json_string_value(json_object_get(m, "curve"));
        struct number numbers[NUMBERS];

        numbers_of(t, numbers);
        for (size_t i = 0; i < NUMBERS; i++)
                if (get_number(m, numbers[i].key, &state[i]) < 0 || (numbers[i].small && state[i] > UINT32_MAX))
                        return bad(reterr, numbers[i].key);
        if (get_number(m, "phase", phase) < 0 || *phase > COSMOS_TRAINER_DONE)
                return bad(reterr, "phase");
        *curve = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
        return json_is_array(*curve) ? 0 : bad(reterr, "curve");
}

static void set_state(cosmos_trainer *t, const uint64_t state[NUMBERS], json_t *curve)
{
        struct number numbers[NUMBERS];

        numbers_of(t, numbers);
        for (size_t i = 0; i < NUMBERS; i++) {
                if (numbers[i].integer)
                        *numbers[i].integer = state[i];
                else if (numbers[i].small)
                        *numbers[i].small = (uint32_t)state[i];
                else
                        *numbers[i].real = real_of(state[i]);
        }
        json_decref(t->curve);
        t->curve = json_incref(curve);
}

static int sift_all(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        int r = 0;

        while (t->phase == COSMOS_TRAINER_SIFTING && r >= 0)
                r = cosmos__trainer_sift(t, reterr);
        return MIN(r, 0);
}

static int resume(cosmos_trainer *t, const uint8_t *data, size_t size, struct cosmos_diag *reterr)
{
        _cleanup_(cosmos__safetensors_close) struct cosmos__safetensors file = {0};
        struct cosmos__tensor tensors[TENSORS];
        json_auto_t *curve = NULL;
        uint64_t format, phase = 0, state[NUMBERS];
        float *values[TENSORS];
        int r;

        r = cosmos__safetensors_open(&file, data, size, reterr);
        if (r < 0)
                return r;
        if (get_number(file.metadata, "cosmos.checkpoint", &format) < 0 || format != FORMAT)
                return bad(reterr, "cosmos.checkpoint");
        r = check_settings(t, file.metadata, reterr);
        if (r == 0)
                r = read_state(t, file.metadata, state, &phase, &curve, reterr);
        if (r < 0)
                return r;
        tensors_of(t, tensors, values);
        r = cosmos__safetensors_find(&file, tensors, TENSORS, reterr);
        if (r == 0 && phase > COSMOS_TRAINER_SIFTING)
                r = sift_all(t, reterr);
        if (r < 0 || phase == COSMOS_TRAINER_SIFTING)
                return r;
        for (size_t i = 0; i < TENSORS; i++)
                for (size_t k = 0; k < tensors[i].n; k++)
                        values[i][k] = cosmos__tensor_value(&tensors[i], k);
        set_state(t, state, curve);
        t->phase = (enum cosmos_trainer_phase)MIN(phase, (uint64_t)COSMOS_TRAINER_EVALUATING);
        /* What comes after learning takes a moment, and is done anew. */
        return phase > COSMOS_TRAINER_EVALUATING ? cosmos__calibrate_begin(t, reterr) : 0;
}

COSMOS_API int cosmos_trainer_resume(cosmos_trainer *t, const char *path, struct cosmos_diag *reterr)
{
        _cleanup_free_ char *data = NULL;
        struct cosmos_diag why = {0};
        char quoted[160], text[64];
        size_t size;
        int r;

        r = cosmos__read_file(path, COSMOS__SAFETENSORS_MAX, &data, &size);
        if (r == 0) {
                r = resume(t, (const uint8_t *)data, size, &why);
                if (r == 0)
                        return 0;
        }
        return cosmos__fail(reterr, r, "checkpoint %s: %s", cosmos__quote_str(quoted, sizeof(quoted), path),
                            why.text[0] ? why.text : cosmos_strerror(r, text, sizeof(text)));
}
