/* SPDX-License-Identifier: Apache-2.0 */
/* The model file: weights, what a model keeps of what it has learnt, and the metadata (docs/formats-model.md). */
#include "trainer/trainer.h"

#include "base/base.h"
#include "trainer/kept.h"
#include "trainer/weights.h"

#include <cosmos/version.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

static int put(json_t *metadata, const char *key, const char *format, ...) cosmos__printf(3, 4);

static int put(json_t *metadata, const char *key, const char *format, ...)
{
        char text[512];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        return json_object_set_new(metadata, key, json_string(text));
}

/* A number as JSON has it, in whatever locale, and so that the same double is read. */
static int put_real(json_t *metadata, const char *key, double value)
{
        json_auto_t *number = json_real(value);
        char *text = number ? json_dumps(number, JSON_ENCODE_ANY) : NULL;
        const int r = text ? json_object_set_new(metadata, key, json_string(text)) : -1;

        free(text);
        return r;
}

/* A value as the text of its JSON, which is taken over. */
static int put_json(json_t *metadata, const char *key, json_t *value)
{
        char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
        const int r = text ? json_object_set_new(metadata, key, json_string(text)) : -1;

        free(text);
        json_decref(value);
        return r;
}

static json_t *names_of(const cosmos_vocab *vocab)
{
        json_t *names = json_array();

        for (uint32_t id = 0; names && id < cosmos_vocab_size(vocab); id++)
                if (json_array_append_new(names, json_string(cosmos_vocab_name(vocab, id))) < 0)
                        return json_decref(names), NULL;
        return names;
}

static json_t *trained_on(const cosmos_trainer *t)
{
        json_t *traces = json_array(), *images = json_array();
        const char *image;

        for (size_t i = 0; i < cosmos_corpus_traces(t->corpus); i++) {
                struct cosmos_corpus_trace trace = {.size = sizeof(trace)};

                cosmos_corpus_get_trace(t->corpus, i, &trace);
                json_array_append_new(traces,
                                      json_pack("{s:s,s:I,s:I}", "sha256", trace.sha256, "calls",
                                                (json_int_t)trace.calls, "sequences", (json_int_t)trace.sequences));
        }
        for (size_t i = 0; (image = cosmos_corpus_image(t->corpus, i)); i++) {
                json_t *text = json_string(image);

                /* Bytes that are no UTF-8 are no JSON either. */
                json_array_append_new(images, text ? text : json_string("?"));
        }
        return json_pack("{s:I,s:I,s:o,s:o}", "calls", (json_int_t)cosmos_corpus_calls(t->corpus), "sequences",
                         (json_int_t)cosmos_corpus_sequences(t->corpus), "traces", traces, "images", images);
}

/* What was chosen, threads apart. */
static json_t *training(const cosmos_trainer *t)
{
        const struct cosmos_trainer_options *o = &t->options;

        return json_pack("{s:s,s:i,s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:i}", "optimizer", "Adam", "batch", (int)o->batch,
                         "length", (int)o->length, "epochs_at_most", (int)o->epochs, "epoch_chunks_at_most",
                         (int)o->epoch_chunks, "learning_rate", o->learning_rate, "dropout", o->dropout,
                         "label_smoothing", COSMOS__SMOOTHING, "margin", o->margin, "keep", (int)o->keep);
}

static json_t *real_or_null(double value)
{
        return isfinite(value) ? json_real(value) : json_null();
}

static json_t *report_of(const cosmos_trainer *t)
{
        const struct cosmos_trainer_report *r = &t->report;

        return json_pack("{s:o,s:o,s:o,s:o,s:o,s:[o,o],s:o,s:I,s:i}", "perplexity", real_or_null(r->perplexity),
                         "unigram_perplexity", real_or_null(r->unigram_perplexity), "fivegram_perplexity",
                         real_or_null(r->fivegram_perplexity), "theta", real_or_null(r->theta), "quantile",
                         real_or_null(r->quantile_score), "interval", real_or_null(r->quantile_lower),
                         real_or_null(r->quantile_upper), "false_alarms_later", real_or_null(r->above_later), "windows",
                         (json_int_t)r->windows, "epochs", (int)r->epochs);
}

static int put_network(const cosmos_trainer *t, json_t *m)
{
        char layers[COSMOS__LAYERS_TEXT], tokens[COSMOS_TOKEN_SCHEME_TEXT];

        cosmos__layers_text(&t->shape, layers);
        return put(m, "cosmos.format", "1") < 0 || put(m, "cosmos.arch", "lstm") < 0 ||
                       put(m, "cosmos.gates", "ifgo") < 0 || put(m, "cosmos.layers", "%s", layers) < 0 ||
                       put(m, "cosmos.embedding", "%u", t->shape.embedding) < 0 ||
                       put(m, "cosmos.tokens", "%s",
                           cosmos_token_scheme_text(&t->options.tokens, tokens, sizeof(tokens))) < 0 ||
                       put_json(m, "cosmos.vocab", names_of(cosmos_corpus_vocab(t->corpus))) < 0
                   ? -ENOMEM
                   : 0;
}

static int put_score(const cosmos_trainer *t, json_t *m)
{
        return put(m, "cosmos.window", "%u", t->options.window) < 0 || put(m, "cosmos.hop", "%u", t->options.hop) < 0 ||
                       put(m, "cosmos.score", "shrunk_mean") < 0 ||
                       put_real(m, "cosmos.prior_count", COSMOS__PRIOR_COUNT) < 0 ||
                       put_real(m, "cosmos.prior_mean", t->prior_mean) < 0
                   ? -ENOMEM
                   : 0;
}

static int put_origin(const cosmos_trainer *t, json_t *m)
{
        return put(m, "cosmos.unit", "%s", cosmos_unit_name(cosmos_corpus_unit(t->corpus))) < 0 ||
                       put(m, "cosmos.source", "%s", cosmos_corpus_source(t->corpus)) < 0 ||
                       json_object_set_new(m, "cosmos.calls", json_string(cosmos_corpus_call_set(t->corpus))) < 0 ||
                       put_json(m, "cosmos.trained_on", trained_on(t)) < 0 ||
                       put_json(m, "cosmos.training", training(t)) < 0 ||
                       put_json(m, "cosmos.curve", json_incref(t->curve)) < 0 ||
                       put(m, "cosmos.seed", "%llu", (unsigned long long)t->options.seed) < 0 ||
                       put_json(m, "cosmos.versions", json_pack("{s:s}", "cosmos", cosmos_version())) < 0
                   ? -ENOMEM
                   : 0;
}

static int put_threshold(const cosmos_trainer *t, json_t *m)
{
        const struct cosmos_trainer_report *r = &t->report;

        return put_real(m, "cosmos.threshold", r->theta) < 0 || put_real(m, "cosmos.threshold_spread", t->spread) < 0 ||
                       put(m, "cosmos.threshold_n", "%llu", (unsigned long long)MIN(r->windows, UINT32_MAX)) < 0 ||
                       put_real(m, "cosmos.quantile", t->options.quantile) < 0 ||
                       put_json(m, "cosmos.threshold_rule",
                                json_pack("{s:f,s:I,s:f}", "quantile", r->quantile_score, "scores",
                                          (json_int_t)r->windows, "margin", t->options.margin)) < 0 ||
                       put_json(m, "cosmos.report", report_of(t)) < 0
                   ? -ENOMEM
                   : 0;
}

int cosmos__finish(cosmos_trainer *t, bool with_threshold, struct cosmos_diag *reterr)
{
        json_auto_t *metadata = json_object();
        struct cosmos__weights_tensors tensors;
        struct cosmos__tensor all[COSMOS__WEIGHTS_MAX + COSMOS__KEPT_TENSORS];
        _cleanup_(cosmos__kept_tensors_free) struct cosmos__kept_tensors kept = {0};
        uint8_t *file;
        size_t size;
        int r = 0;

        if (!metadata)
                return -ENOMEM;
        r = put_network(t, metadata);
        if (r == 0)
                r = put_score(t, metadata);
        if (r == 0)
                r = put_origin(t, metadata);
        if (r == 0 && with_threshold)
                r = put_threshold(t, metadata);
        if (r == 0 && with_threshold)
                r = cosmos__kept_choose(&kept, &t->kept, &t->calls, &t->split.parts[COSMOS__LEARN],
                                        &t->split.parts[COSMOS__STOP], t->options.keep, t->options.length);
        if (r == 0 && kept.n > 0)
                r = put(metadata, "cosmos.kept", "%llu", (unsigned long long)kept.of) < 0 ||
                            put(metadata, "cosmos.format", "2") < 0 /* the first to have these tensors */
                        ? -ENOMEM
                        : 0;
        if (r < 0)
                return r;
        cosmos__weights_tensors(&tensors, &t->shape, t->calls.fields, cosmos__network_layout(t->network));
        cosmos__weights_set(&tensors, cosmos__network_parameters(t->network));
        memcpy(all, tensors.all, tensors.n * sizeof(*all));
        memcpy(all + tensors.n, kept.all, kept.n * sizeof(*all));
        r = cosmos__safetensors_write(&file, &size, metadata, all, tensors.n + kept.n, reterr);
        if (r < 0)
                return r;
        free(t->file);
        t->file = file;
        t->file_size = size;
        return 0;
}
