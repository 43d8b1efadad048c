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
static int put_settings(cosmos_trainer *t, json_t *m)
{
        const struct cosmos_trainer_options *o = &t->options;
        char layers[COSMOS__LAYERS_TEXT], tokens[COSMOS_TOKEN_SCHEME_TEXT];
        int r = 0;

        if (!t->digest_traces) /* it takes a while: once, and only where there are checkpoints */
                t->digest_traces = digest(t);
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
        r |= put_number(m, "set.traces", t->digest_traces);
        r |= put_number(m, "set.model", t->digest_init);
        return r;
}

/* ---- the state ------------------------------------------------------------------------------- */

struct number {
        const char *key;
        uint64_t *integer; /* or one of these two */
        uint32_t *small;
        double *real;
        bool open; /* a real that may be infinite or not known yet */
};

#define NUMBERS 13

static void numbers_of(cosmos_trainer *t, struct number ret[NUMBERS])
{
        const struct number all[NUMBERS] = {
            {"epoch", .small = &t->epoch},
            {"without", .small = &t->without},
            {"random", .integer = &t->random},
            {"step", .integer = &t->step},
            {"drawn", .integer = &t->drawn},
            {"epoch_calls", .integer = &t->epoch_calls},
            {"calls_learnt", .integer = &t->calls_learnt},
            {"rate", .real = &t->rate},
            {"best", .real = &t->best, .open = true},
            {"epoch_nll", .real = &t->epoch_nll},
            {"held_out", .real = &t->held_out, .open = true},
            {"before", .real = &t->before, .open = true},
            {"kept_before", .real = &t->kept_before, .open = true},
        };

        memcpy(ret, all, sizeof(all));
}

static int put_state(cosmos_trainer *t, json_t *m)
{
        struct number numbers[NUMBERS];
        char *curve = json_dumps(t->curve, JSON_COMPACT);
        int r = 0;

        numbers_of(t, numbers);
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

COSMOS_API int cosmos_trainer_checkpoint(const cosmos_trainer *trainer, const char *path, struct cosmos_diag *reterr)
{
        cosmos_trainer *t = (cosmos_trainer *)(uintptr_t)trainer; /* nothing of it changes but what was found out */
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

static int check_settings(cosmos_trainer *t, const json_t *m, struct cosmos_diag *reterr)
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

struct state {
        uint64_t numbers[NUMBERS]; /* reals by their bits */
        uint64_t phase;
        json_t *curve;
};

static void free_state(struct state *state)
{
        json_decref(state->curve);
}

static bool fits(const struct number *n, uint64_t value)
{
        return n->integer || (n->small && value <= UINT32_MAX) || (n->real && (n->open || isfinite(real_of(value))));
}

static bool is_curve(const json_t *curve)
{
        const json_t *point;
        size_t i;
        int epoch;
        double loss, held_out, rate;

        json_array_foreach(curve, i, point)
        {
                if (json_unpack((json_t *)(uintptr_t)point, "{s:i,s:F,s:F,s:F}", "epoch", &epoch, "loss", &loss,
                                "held_out", &held_out, "learning_rate", &rate) < 0)
                        return false;
        }
        return json_is_array(curve);
}

/* Everything is read before anything is changed. */
static int read_state(cosmos_trainer *t, const json_t *m, struct state *ret, struct cosmos_diag *reterr)
{
        const char *text = json_string_value(json_object_get(m, "curve"));
        struct number numbers[NUMBERS];

        numbers_of(t, numbers);
        for (size_t i = 0; i < NUMBERS; i++)
                if (get_number(m, numbers[i].key, &ret->numbers[i]) < 0 || !fits(&numbers[i], ret->numbers[i]))
                        return bad(reterr, numbers[i].key);
        if (get_number(m, "phase", &ret->phase) < 0 || ret->phase > COSMOS_TRAINER_DONE)
                return bad(reterr, "phase");
        ret->curve = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
        return is_curve(ret->curve) ? 0 : bad(reterr, "curve");
}

static void set_state(cosmos_trainer *t, const struct state *state)
{
        struct number numbers[NUMBERS];

        numbers_of(t, numbers);
        for (size_t i = 0; i < NUMBERS; i++) {
                if (numbers[i].integer)
                        *numbers[i].integer = state->numbers[i];
                else if (numbers[i].small)
                        *numbers[i].small = (uint32_t)state->numbers[i];
                else
                        *numbers[i].real = real_of(state->numbers[i]);
        }
        /* What comes after learning takes a moment, and is done anew. */
        t->phase = (enum cosmos_trainer_phase)MIN(state->phase, (uint64_t)COSMOS_TRAINER_EVALUATING);
}

/* No training was ever so: it would divide by nothing, or not end. */
static const char *impossible(const cosmos_trainer *t)
{
        if (t->epoch > t->options.epochs)
                return "epoch";
        if (t->step > (uint64_t)t->options.epochs * t->epoch_chunks)
                return "step";
        if (t->phase == COSMOS_TRAINER_LEARNING && t->drawn >= t->epoch_chunks)
                return "drawn";
        if (t->phase == COSMOS_TRAINER_EVALUATING && t->epoch > 0 && t->epoch_calls == 0)
                return "epoch_calls";
        return t->rate > 0 && t->rate <= t->options.learning_rate ? NULL : "rate";
}

static int sift_all(cosmos_trainer *t, struct cosmos_diag *reterr)
{
        int r = 0;

        while (t->phase == COSMOS_TRAINER_SIFTING && r >= 0)
                r = cosmos__trainer_sift(t, reterr);
        return MIN(r, 0);
}

/* The corpus is sifted by then: only then is it known how long an epoch is. */
static int go_on(cosmos_trainer *t, const struct state *state, const struct cosmos__tensor tensors[TENSORS],
                 float *const values[TENSORS], struct cosmos_diag *reterr)
{
        cosmos_trainer next = *t;
        const char *key;

        set_state(&next, state);
        key = impossible(&next);
        if (key)
                return bad(reterr, key);
        for (size_t i = 0; i < TENSORS; i++)
                for (size_t k = 0; k < tensors[i].n; k++)
                        values[i][k] = cosmos__tensor_value(&tensors[i], k);
        *t = next;
        json_decref(t->curve);
        t->curve = json_incref(state->curve);
        return state->phase > COSMOS_TRAINER_EVALUATING ? cosmos__learn_end(t, reterr) : 0;
}

static int resume(cosmos_trainer *t, const uint8_t *data, size_t size, struct cosmos_diag *reterr)
{
        _cleanup_(cosmos__safetensors_close) struct cosmos__safetensors file = {0};
        _cleanup_(free_state) struct state state = {0};
        struct cosmos__tensor tensors[TENSORS];
        float *values[TENSORS];
        uint64_t format;
        int r;

        r = cosmos__safetensors_open(&file, data, size, reterr);
        if (r < 0)
                return r;
        if (get_number(file.metadata, "cosmos.checkpoint", &format) < 0 || format != FORMAT)
                return bad(reterr, "cosmos.checkpoint");
        r = check_settings(t, file.metadata, reterr);
        if (r == 0)
                r = read_state(t, file.metadata, &state, reterr);
        if (r < 0)
                return r;
        tensors_of(t, tensors, values);
        r = cosmos__safetensors_find(&file, tensors, TENSORS, reterr);
        if (r < 0 || state.phase == COSMOS_TRAINER_SIFTING)
                return r;
        r = sift_all(t, reterr);
        return r < 0 ? r : go_on(t, &state, tensors, values, reterr);
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
