/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: header, metadata, tensors are each validated (safetensors.c,
 * metadata.c) before a byte is allocated for weights, so what can fail after
 * that is memory alone.
 */
#include "predictor/model.h"

#include "base/base.h"
#include "predictor/metadata.h"
#include "predictor/network.h"
#include "predictor/safetensors.h"

#include <errno.h>
#include <float.h>
#include <stdarg.h>
#include <string.h>

static const char *const field_names[] = {[COSMOS_TOKEN_NAME] = "name", [COSMOS_TOKEN_ERRNO] = "errno"};

/* The tensors of a model: the embedding of each field, those of each layer, the dense layer's. */
enum { KERNEL, RECURRENT, BIAS, PER_LAYER };
enum { DENSE, DENSE_BIAS, PER_DENSE };
#define TENSORS_MAX (ARRAY_SIZE(field_names) + COSMOS_MODEL_LAYERS_MAX * PER_LAYER + PER_DENSE)

struct tensors {
        struct cosmos__tensor all[TENSORS_MAX];
        size_t n;
        struct cosmos__tensor *layers[COSMOS_MODEL_LAYERS_MAX]; /* [PER_LAYER] */
        struct cosmos__tensor *dense;                           /* [PER_DENSE] */
};

static void model_unrefp(cosmos_model **model)
{
        cosmos_model_unref(*model);
}

float *cosmos__matrix_new(size_t rows, size_t width)
{
        float *matrix;
        size_t bytes;

        if (__builtin_mul_overflow(rows, width, &bytes) || __builtin_mul_overflow(bytes, sizeof(*matrix), &bytes))
                return NULL;
        matrix = aligned_alloc(COSMOS__ALIGNMENT, bytes);
        if (matrix)
                memset(matrix, 0, bytes);
        return matrix;
}

static int out_of_memory(struct cosmos_diag *reterr)
{
        return cosmos__fail(reterr, -ENOMEM, "out of memory");
}

/* ---- which tensors there must be ------------------------------------------ */

static void expect(struct tensors *tensors, uint32_t rows, uint32_t columns, const char *format, ...)
    cosmos__printf(4, 5);

/* `rows` 0: a vector. */
static void expect(struct tensors *tensors, uint32_t rows, uint32_t columns, const char *format, ...)
{
        struct cosmos__tensor *tensor = &tensors->all[tensors->n++];
        va_list args;

        va_start(args, format);
        vsnprintf(tensor->name, sizeof(tensor->name), format, args);
        va_end(args);
        tensor->n_dims = rows ? 2 : 1;
        tensor->shape[0] = rows ? rows : columns;
        tensor->shape[1] = columns;
}

static uint32_t field_size(const cosmos_model *model, uint32_t field)
{
        return field == COSMOS_TOKEN_NAME ? (uint32_t)cosmos_vocab_size(model->vocab) : COSMOS_TOKEN_ERRNO_SIZE;
}

static void expect_all(const cosmos_model *model, struct tensors *tensors)
{
        const struct cosmos_model_info *info = &model->info;
        const uint32_t vocab = field_size(model, COSMOS_TOKEN_NAME);
        uint32_t in = info->embedding;

        for (uint32_t f = 0; f < info->n_fields; f++)
                expect(tensors, field_size(model, f), info->embedding, "embedding.%s.weight", field_names[f]);
        for (uint32_t l = 0; l < info->n_layers; l++) {
                const uint32_t units = info->units[l];

                tensors->layers[l] = &tensors->all[tensors->n];
                expect(tensors, in, 4 * units, "lstm.%u.kernel", l);
                expect(tensors, units, 4 * units, "lstm.%u.recurrent_kernel", l);
                expect(tensors, 0, 4 * units, "lstm.%u.bias", l);
                in = units;
        }
        tensors->dense = &tensors->all[tensors->n];
        expect(tensors, in, vocab, "dense.kernel");
        expect(tensors, 0, vocab, "dense.bias");
}

/* ---- tensors to padded matrices ------------------------------------------- */

/* Rows of `n_parts` parts, each padded to `width` of its own. A vector is one row. NULL: no memory. */
static float *matrix_from(const struct cosmos__tensor *tensor, size_t n_parts, size_t width)
{
        const size_t rows = tensor->n_dims == 2 ? tensor->shape[0] : 1;
        const size_t part = tensor->shape[tensor->n_dims - 1] / n_parts;
        float *matrix = cosmos__matrix_new(rows, n_parts * width);

        for (size_t i = 0; matrix && i < rows * n_parts; i++)
                for (size_t k = 0; k < part; k++)
                        matrix[i * width + k] = cosmos__tensor_value(tensor, i * part + k);
        return matrix;
}

/* The conversion of a double outside the range of float is undefined. */
static float to_float(double x)
{
        return (float)(x > (double)FLT_MAX ? (double)FLT_MAX : x < -(double)FLT_MAX ? -(double)FLT_MAX : x);
}

/* embedding * kernel (+ bias), summed in double and rounded once. `kernel` is a padded matrix. NULL: no memory. */
static float *fold(const struct cosmos__tensor *embedding, const float *kernel, const float *bias, size_t width)
{
        const size_t rows = embedding->shape[0], n_in = embedding->shape[1];
        _cleanup_free_ double *sum = calloc(width, sizeof(*sum));
        float *table = cosmos__matrix_new(rows, width);

        if (!sum || !table) {
                free(table);
                return NULL;
        }
        for (size_t r = 0; r < rows; r++) {
                for (size_t k = 0; k < width; k++)
                        sum[k] = bias ? (double)bias[k] : 0;
                for (size_t j = 0; j < n_in; j++) {
                        const double x = (double)cosmos__tensor_value(embedding, r * n_in + j);

                        for (size_t k = 0; k < width; k++)
                                sum[k] += x * (double)kernel[j * width + k];
                }
                for (size_t k = 0; k < width; k++)
                        table[r * width + k] = to_float(sum[k]);
        }
        return table;
}

/* The first layer's kernel and bias live on in the tables alone. */
static int build_tables(cosmos_model *model, const struct tensors *tensors, struct cosmos_diag *reterr)
{
        const size_t width = model->layers[0].width;
        _cleanup_free_ float *kernel = matrix_from(&tensors->layers[0][KERNEL], 4, width);
        _cleanup_free_ float *bias = matrix_from(&tensors->layers[0][BIAS], 4, width);

        if (!kernel || !bias)
                return out_of_memory(reterr);
        for (uint32_t f = 0; f < model->info.n_fields; f++) {
                model->tables[f] = fold(&tensors->all[f], kernel, f == COSMOS_TOKEN_NAME ? bias : NULL, 4 * width);
                if (!model->tables[f])
                        return out_of_memory(reterr);
        }
        return 0;
}

static int build_layers(cosmos_model *model, const struct tensors *tensors, struct cosmos_diag *reterr)
{
        for (uint32_t l = 0; l < model->info.n_layers; l++) {
                struct cosmos__layer *layer = &model->layers[l];

                layer->units = model->info.units[l];
                layer->width = cosmos__padded(layer->units);
                layer->h = model->state_size;
                layer->c = layer->h + layer->width;
                model->state_size = layer->c + layer->width;
                model->gates_width = MAX(model->gates_width, 4 * layer->width);
                layer->recurrent = matrix_from(&tensors->layers[l][RECURRENT], 4, layer->width);
                if (!layer->recurrent)
                        return out_of_memory(reterr);
                if (l == 0)
                        continue;
                layer->kernel = matrix_from(&tensors->layers[l][KERNEL], 4, layer->width);
                layer->bias = matrix_from(&tensors->layers[l][BIAS], 4, layer->width);
                if (!layer->kernel || !layer->bias)
                        return out_of_memory(reterr);
        }
        return 0;
}

static int build_dense(cosmos_model *model, const struct tensors *tensors, struct cosmos_diag *reterr)
{
        model->vocab_width = cosmos__padded(cosmos_vocab_size(model->vocab));
        model->dense = matrix_from(&tensors->dense[DENSE], 1, model->vocab_width);
        model->dense_bias = matrix_from(&tensors->dense[DENSE_BIAS], 1, model->vocab_width);
        return model->dense && model->dense_bias ? 0 : out_of_memory(reterr);
}

static int build_start(cosmos_model *model, struct cosmos_diag *reterr)
{
        const struct cosmos_token token = {.field[COSMOS_TOKEN_NAME] = COSMOS_VOCAB_START};
        _cleanup_free_ float *gates = cosmos__matrix_new(1, model->gates_width);

        model->start = cosmos__matrix_new(1, model->state_size);
        if (!gates || !model->start)
                return out_of_memory(reterr);
        cosmos__network_advance(model, &model->start, &token, 1, gates);
        return 0;
}

static int build(cosmos_model *model, const struct cosmos__safetensors *file, struct cosmos_diag *reterr)
{
        struct tensors tensors = {.n = 0};
        int r;

        r = cosmos__metadata_read(file->metadata, &model->info, &model->vocab, reterr);
        if (r < 0)
                return r;
        expect_all(model, &tensors);
        r = cosmos__safetensors_find(file, tensors.all, tensors.n, reterr);
        if (r < 0)
                return r;
        r = build_layers(model, &tensors, reterr);
        if (r < 0)
                return r;
        r = build_tables(model, &tensors, reterr);
        if (r < 0)
                return r;
        r = build_dense(model, &tensors, reterr);
        if (r < 0)
                return r;
        return build_start(model, reterr);
}

/* ---- the object ----------------------------------------------------------- */

static int load(cosmos_model **ret, const void *data, size_t size, const char *name, struct cosmos_diag *reterr)
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
        model->kernels = &cosmos__kernels_portable;
        model->metadata = json_incref(file.metadata);
        model->name = strdup(name);
        if (!model->name)
                return out_of_memory(reterr);
        r = build(model, &file, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(model);
        return 0;
}

COSMOS_API int cosmos_model_load(cosmos_model **ret, const void *data, size_t size, const char *name,
                                 struct cosmos_diag *reterr)
{
        struct cosmos_diag why;
        char quoted[160];
        int r;

        if (!ret || !data || !name)
                return cosmos__fail(reterr, -EINVAL, "model: `ret`, `data` and `name` must not be NULL");
        r = load(ret, data, size, name, &why);
        if (r < 0)
                return cosmos__fail(
                    reterr, r, "model '%s': %s%s", cosmos__quote_str(quoted, sizeof(quoted), name), why.text,
                    r == -COSMOS_EFORMAT ? " (damaged, or not a model of Cosmos: export it again)" : "");
        return 0;
}

COSMOS_API int cosmos_model_load_file(cosmos_model **ret, const char *path, struct cosmos_diag *reterr)
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
        return cosmos_model_load(ret, data, size, path, reterr);
}

COSMOS_API cosmos_model *cosmos_model_ref(cosmos_model *model)
{
        atomic_fetch_add_explicit(&model->refs, 1, memory_order_relaxed);
        return model;
}

static void model_free(cosmos_model *model)
{
        for (size_t f = 0; f < COSMOS_TOKEN_FIELDS; f++)
                free(model->tables[f]);
        for (size_t l = 0; l < COSMOS_MODEL_LAYERS_MAX; l++) {
                free(model->layers[l].kernel);
                free(model->layers[l].recurrent);
                free(model->layers[l].bias);
        }
        free(model->dense);
        free(model->dense_bias);
        free(model->start);
        cosmos_vocab_free(model->vocab);
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
