/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: header, metadata, tensors are each validated (safetensors.c,
 * metadata.c) before a byte is allocated for weights, so what can fail after
 * that is memory alone.
 */
#include "predictor/model.h"

#include "base/base.h"
#include "predictor/kept.h"
#include "predictor/metadata.h"
#include "predictor/network.h"
#include "predictor/pack.h"
#include "predictor/safetensors.h"

#include <errno.h>
#include <float.h>
#include <stdarg.h>
#include <string.h>

/* The tensors of a model: the embedding of each field and of the frequency, those of each layer, the dense layer's, and
 * the scales of those that are I8; what the trainer keeps, which is nothing to us. */
#define TENSORS_MAX (COSMOS_TOKEN_FIELDS + 1 + COSMOS_MODEL_LAYERS_MAX * 5 + 3 + COSMOS__KEPT_TENSORS)

struct tensors {
        struct cosmos__tensor all[TENSORS_MAX];
        size_t n;
        struct cosmos__tensor *embeddings[COSMOS_TOKEN_FIELDS], *frequency;
        struct {
                struct cosmos__tensor *kernel, *recurrent, *bias;
        } layers[COSMOS_MODEL_LAYERS_MAX];
        struct cosmos__tensor *dense, *dense_bias;
};

static void model_unrefp(cosmos_model **model)
{
        cosmos_model_unref(*model);
}

static int out_of_memory(struct cosmos_diag *reterr)
{
        return cosmos__fail(reterr, -ENOMEM, "out of memory");
}

static bool is_int8(const cosmos_model *model)
{
        return model->info.precision == COSMOS_PRECISION_INT8;
}

/* What it reads of a token. */
static void list_fields(cosmos_model *model)
{
        const struct cosmos_token_scheme *scheme = &model->info.tokens;
        size_t n = 0;

        for (enum cosmos_token_field f = COSMOS_TOKEN_NAME; f < COSMOS_TOKEN_FIELDS; f++)
                if (scheme->fields >> f & 1) {
                        model->fields[n].field = f;
                        model->fields[n++].size = f == COSMOS_TOKEN_NAME ? (uint32_t)cosmos_vocab_size(model->vocab)
                                                                         : cosmos_token_field_size(scheme, f);
                }
}

/* ---- which tensors there must be ------------------------------------------ */

static struct cosmos__tensor *expect(struct tensors *tensors, uint32_t rows, uint32_t columns, const char *format, ...)
    cosmos__printf(4, 5);

/* `rows` 0: a vector. */
static struct cosmos__tensor *expect(struct tensors *tensors, uint32_t rows, uint32_t columns, const char *format, ...)
{
        struct cosmos__tensor *tensor = &tensors->all[tensors->n++];
        va_list args;

        va_start(args, format);
        vsnprintf(tensor->name, sizeof(tensor->name), format, args);
        va_end(args);
        tensor->n_dims = rows ? 2 : 1;
        tensor->shape[0] = rows ? rows : columns;
        tensor->shape[1] = columns;
        return tensor;
}

/* A matrix of the model's precision. */
static struct cosmos__tensor *expect_weights(struct tensors *tensors, const struct cosmos_model_info *info,
                                             uint32_t rows, uint32_t columns, const char *name)
{
        struct cosmos__tensor *tensor = expect(tensors, rows, columns, "%s", name);

        if (info->precision == COSMOS_PRECISION_INT8) {
                tensor->dtype = COSMOS__I8;
                tensor->scale = expect(tensors, 0, columns, "%s.scale", name);
        }
        return tensor;
}

static void expect_layer(struct tensors *tensors, const struct cosmos_model_info *info, uint32_t l, uint32_t in)
{
        const uint32_t units = info->units[l];
        char name[40];

        snprintf(name, sizeof(name), "lstm.%u.kernel", l);
        tensors->layers[l].kernel =
            l == 0 ? expect(tensors, in, 4 * units, "%s", name) : expect_weights(tensors, info, in, 4 * units, name);
        snprintf(name, sizeof(name), "lstm.%u.recurrent_kernel", l);
        tensors->layers[l].recurrent = expect_weights(tensors, info, units, 4 * units, name);
        tensors->layers[l].bias = expect(tensors, 0, 4 * units, "lstm.%u.bias", l);
}

static void expect_all(const cosmos_model *model, struct tensors *tensors)
{
        const struct cosmos_model_info *info = &model->info;
        const uint32_t vocab = (uint32_t)cosmos_vocab_size(model->vocab);
        uint32_t in = info->embedding;

        for (uint32_t i = 0; i < info->n_fields; i++)
                tensors->embeddings[i] = expect(tensors, model->fields[i].size, info->embedding, "embedding.%s.weight",
                                                cosmos_token_field_name(model->fields[i].field));
        if (info->tokens.frequency)
                tensors->frequency = expect(tensors, 1, info->embedding, "embedding.frequency.weight");
        for (uint32_t l = 0; l < info->n_layers; l++) {
                expect_layer(tensors, info, l, in);
                in = info->units[l];
        }
        tensors->dense = expect_weights(tensors, info, in, vocab, "dense.kernel");
        tensors->dense_bias = expect(tensors, 0, vocab, "dense.bias");
}

static int check_scales(const struct tensors *tensors, struct cosmos_diag *reterr)
{
        for (size_t t = 0; t < tensors->n; t++) {
                const struct cosmos__tensor *scale = tensors->all[t].scale;

                for (size_t i = 0; scale && i < scale->n; i++)
                        if (cosmos__tensor_value(scale, i) < 0)
                                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                                    "tensor '%s': value %zu is %f; it must not be below 0", scale->name,
                                                    i, (double)cosmos__tensor_value(scale, i));
        }
        return 0;
}

/* ---- tensors to what the kernels read --------------------------------------- */

static int build_table(cosmos_model *model, const struct tensors *tensors, struct cosmos__table *ret,
                       const struct cosmos__tensor *embedding, const struct cosmos__tensor *bias)
{
        return cosmos__pack_table(ret, model->kernels, is_int8(model), embedding, tensors->layers[0].kernel, bias,
                                  &model->info.memory);
}

static int build_tables(cosmos_model *model, const struct tensors *tensors)
{
        int r = 0;

        for (uint32_t i = 0; i < model->info.n_fields && r == 0; i++)
                r = build_table(model, tensors, &model->fields[i].table, tensors->embeddings[i],
                                i == 0 ? tensors->layers[0].bias : NULL);
        if (r == 0 && tensors->frequency)
                r = build_table(model, tensors, &model->frequency, tensors->frequency, NULL);
        return r;
}

static int build_layer(cosmos_model *model, const struct tensors *tensors, uint32_t l)
{
        struct cosmos__layer *layer = &model->layers[l];
        size_t *memory = &model->info.memory;
        int r;

        layer->width = cosmos__padded(model->info.units[l]);
        layer->h = model->state_size;
        layer->c = layer->h + layer->width;
        model->state_size = layer->c + layer->width;
        model->width_max = MAX(model->width_max, layer->width);
        r = cosmos__pack_weights(&layer->recurrent, model->kernels, is_int8(model), tensors->layers[l].recurrent,
                                 COSMOS__GATES, memory);
        if (r < 0 || l == 0)
                return r;
        r = cosmos__pack_weights(&layer->kernel, model->kernels, is_int8(model), tensors->layers[l].kernel,
                                 COSMOS__GATES, memory);
        if (r < 0)
                return r;
        return cosmos__pack_table(&layer->bias, model->kernels, is_int8(model), NULL, NULL, tensors->layers[l].bias,
                                  memory);
}

static int build_dense(cosmos_model *model, const struct tensors *tensors)
{
        const size_t n = cosmos_vocab_size(model->vocab);

        model->vocab_width = cosmos__padded(n);
        model->dense_bias = cosmos__pack_alloc(model->vocab_width, sizeof(*model->dense_bias), &model->info.memory);
        if (!model->dense_bias)
                return -ENOMEM;
        for (size_t k = 0; k < model->vocab_width; k++) /* what is not there has no probability */
                model->dense_bias[k] = k < n ? cosmos__tensor_value(tensors->dense_bias, k) : -COSMOS__LOGIT_MAX;
        return cosmos__pack_weights(&model->dense, model->kernels, is_int8(model), tensors->dense, 1,
                                    &model->info.memory);
}

static int build_start(cosmos_model *model)
{
        const struct cosmos_token token = {.field[COSMOS_TOKEN_NAME] = COSMOS_VOCAB_START};
        struct cosmos__scratch scratch;
        int r;

        model->start = cosmos__pack_alloc(model->state_size, sizeof(*model->start), &model->info.memory);
        r = cosmos__scratch_init(&scratch, model, 1);
        if (r == 0 && model->start)
                cosmos__network_advance(model, &scratch, &model->start, &token, 1, scratch.top);
        cosmos__scratch_free(&scratch);
        return model->start ? r : -ENOMEM;
}

static int build_all(cosmos_model *model, const struct tensors *tensors)
{
        int r = 0;

        for (uint32_t l = 0; l < model->info.n_layers && r == 0; l++)
                r = build_layer(model, tensors, l);
        if (r == 0)
                r = build_tables(model, tensors);
        if (r == 0)
                r = build_dense(model, tensors);
        return r == 0 ? build_start(model) : r;
}

/* ---- options ------------------------------------------------------------------ */

COSMOS_API const char *cosmos_precision_name(enum cosmos_precision precision)
{
        static const char *const names[] = {[COSMOS_PRECISION_F32] = "f32", [COSMOS_PRECISION_INT8] = "int8"};

        return (size_t)precision < ARRAY_SIZE(names) ? names[precision] : NULL;
}

COSMOS_API const char *cosmos_isa_name(size_t i)
{
        for (size_t k = 0; k < cosmos__n_isas; k++)
                if (cosmos__isas[k].supported() && i-- == 0)
                        return cosmos__isas[k].name;
        return NULL;
}

static const struct cosmos__isa *find_isa(const char *name)
{
        for (size_t k = 0; k < cosmos__n_isas; k++)
                if (cosmos__isas[k].supported() && (!name || strcmp(cosmos__isas[k].name, name) == 0))
                        return &cosmos__isas[k];
        return NULL;
}

static int choose_kernels(cosmos_model *model, const struct cosmos_model_options *options, struct cosmos_diag *reterr)
{
        const struct cosmos__isa *isa = find_isa(options->isa);
        char quoted[40];

        if (!isa)
                return cosmos__fail(reterr, -EINVAL, "there are no kernels for '%s', or this machine can't run them",
                                    cosmos__quote_str(quoted, sizeof(quoted), options->isa));
        if (options->precision != COSMOS_PRECISION_FILE)
                model->info.precision = options->precision;
        model->info.isa = isa->name;
        model->kernels = is_int8(model) ? isa->int8 : isa->f32;
        return 0;
}

static int build(cosmos_model *model, const struct cosmos__safetensors *file,
                 const struct cosmos_model_options *options, struct cosmos_diag *reterr)
{
        struct tensors tensors = {.n = 0};
        struct cosmos__kept_found kept;
        int r;

        r = cosmos__metadata_read(file->metadata, &model->info, &model->vocab, reterr);
        if (r < 0)
                return r;
        r = cosmos__thresholds_read(&model->thresholds, file->metadata, reterr);
        if (r < 0)
                return r;
        list_fields(model);
        expect_all(model, &tensors);
        cosmos__kept_expect(&kept, file, tensors.all, &tensors.n, model->info.n_fields, model->info.tokens.frequency);
        r = cosmos__safetensors_find(file, tensors.all, tensors.n, reterr);
        if (r < 0)
                return r;
        r = check_scales(&tensors, reterr);
        if (r < 0)
                return r;
        r = choose_kernels(model, options, reterr);
        if (r < 0)
                return r;
        r = build_all(model, &tensors);
        return r < 0 ? out_of_memory(reterr) : 0;
}

/* ---- the object ----------------------------------------------------------- */

static int load(cosmos_model **ret, const void *data, size_t size, const char *name,
                const struct cosmos_model_options *options, struct cosmos_diag *reterr)
{
        _cleanup_(cosmos__safetensors_close) struct cosmos__safetensors file = {0};
        _cleanup_(model_unrefp) cosmos_model *model = NULL;
        int r;

        r = cosmos__safetensors_open(&file, data, size, reterr);
        if (r < 0)
                return r;
        model = calloc(1, sizeof(*model));
        if (!model)
                return out_of_memory(reterr);
        atomic_init(&model->refs, 1);
        model->metadata = json_incref(file.metadata);
        model->name = strdup(name);
        if (!model->name)
                return out_of_memory(reterr);
        r = build(model, &file, options, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(model);
        return 0;
}

static int read_options(struct cosmos_model_options *ret, const struct cosmos_model_options *options,
                        struct cosmos_diag *reterr)
{
        int r = cosmos__options(ret, sizeof(*ret), options, "cosmos_model_options", reterr);

        if (r == 0 && ret->precision != COSMOS_PRECISION_FILE && !cosmos_precision_name(ret->precision))
                return cosmos__fail(reterr, -EINVAL, "cosmos_model_options: precision %d is out of range",
                                    (int)ret->precision);
        return r;
}

COSMOS_API int cosmos_model_load(cosmos_model **ret, const void *data, size_t size, const char *name,
                                 const struct cosmos_model_options *options, struct cosmos_diag *reterr)
{
        struct cosmos_model_options o;
        struct cosmos_diag why;
        char quoted[160];
        int r;

        if (!ret || !data || !name)
                return cosmos__fail(reterr, -EINVAL, "model: `ret`, `data` and `name` must not be NULL");
        r = read_options(&o, options, reterr);
        if (r < 0)
                return r;
        r = load(ret, data, size, name, &o, &why);
        if (r < 0)
                return cosmos__fail(
                    reterr, r, "model '%s': %s%s", cosmos__quote_str(quoted, sizeof(quoted), name), why.text,
                    r == -COSMOS_EFORMAT ? " (damaged, or not a model of Cosmos: export it again)" : "");
        return 0;
}

COSMOS_API int cosmos_model_load_file(cosmos_model **ret, const char *path, const struct cosmos_model_options *options,
                                      struct cosmos_diag *reterr)
{
        _cleanup_free_ char *data = NULL;
        char quoted[160], text[64];
        size_t size;
        int r;

        if (!ret || !path)
                return cosmos__fail(reterr, -EINVAL, "model: `ret` and `path` must not be NULL");
        r = cosmos__read_file(path, COSMOS__SAFETENSORS_MAX, &data, &size);
        if (r < 0)
                return cosmos__fail(reterr, r, "model '%s': can't be read: %s",
                                    cosmos__quote_str(quoted, sizeof(quoted), path),
                                    cosmos_strerror(r, text, sizeof(text)));
        return cosmos_model_load(ret, data, size, path, options, reterr);
}

COSMOS_API cosmos_model *cosmos_model_ref(cosmos_model *model)
{
        atomic_fetch_add_explicit(&model->refs, 1, memory_order_relaxed);
        return model;
}

static void table_free(struct cosmos__table *table)
{
        free(table->rows);
        free(table->scales);
}

static void weights_free(struct cosmos__weights *weights)
{
        free(weights->panels);
        free(weights->scales);
        free(weights->offsets);
}

static void model_free(cosmos_model *model)
{
        for (size_t i = 0; i < COSMOS_TOKEN_FIELDS; i++)
                table_free(&model->fields[i].table);
        table_free(&model->frequency);
        for (size_t l = 0; l < COSMOS_MODEL_LAYERS_MAX; l++) {
                weights_free(&model->layers[l].kernel);
                weights_free(&model->layers[l].recurrent);
                table_free(&model->layers[l].bias);
        }
        weights_free(&model->dense);
        free(model->dense_bias);
        free(model->start);
        cosmos_vocab_free(model->vocab);
        cosmos__thresholds_free(&model->thresholds);
        json_decref(model->metadata);
        free(model->name);
        free(model);
}

COSMOS_API cosmos_model *cosmos_model_unref(cosmos_model *model)
{
        /* Release: what this thread did with the model is done before another
         * frees it; acquire: and the one that frees sees it. */
        if (model && atomic_fetch_sub_explicit(&model->refs, 1, memory_order_acq_rel) == 1)
                model_free(model);
        return NULL;
}

COSMOS_API void cosmos_model_get_info(const cosmos_model *model, struct cosmos_model_info *ret)
{
        cosmos__fill(ret, &model->info, sizeof(model->info));
}

COSMOS_API const cosmos_vocab *cosmos_model_vocab(const cosmos_model *model)
{
        return model->vocab;
}

COSMOS_API const char *cosmos_model_name(const cosmos_model *model)
{
        return model->name;
}

COSMOS_API const char *cosmos_model_metadata(const cosmos_model *model, const char *key)
{
        return json_string_value(json_object_get(model->metadata, key));
}

COSMOS_API int cosmos_model_get_threshold(const cosmos_model *model, size_t i, struct cosmos_model_threshold *ret)
{
        if (i >= model->thresholds.n)
                return -ENOENT;
        cosmos__fill(ret, &model->thresholds.all[i], sizeof(*model->thresholds.all));
        return 0;
}
