/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/weights.h"

#include "base/base.h"

#include <stdarg.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "parameters are written as they stand in memory"
#endif

void cosmos__shape_init(struct cosmos__shape *ret, uint32_t fields[COSMOS__NETWORK_FIELDS_MAX],
                        const struct cosmos_token_scheme *scheme, uint32_t vocab, uint32_t embedding,
                        const uint32_t *units, uint32_t n_layers)
{
        *ret = (struct cosmos__shape){
            .vocab = vocab, .embedding = embedding, .n_layers = n_layers, .frequency = scheme->frequency > 0};
        memcpy(ret->units, units, n_layers * sizeof(*units));
        for (uint32_t f = 0; f < COSMOS_TOKEN_FIELDS; f++)
                if (scheme->fields >> f & 1) {
                        fields[ret->n_fields] = f;
                        ret->field_size[ret->n_fields++] =
                            f == COSMOS_TOKEN_NAME ? vocab : cosmos_token_field_size(scheme, f);
                }
}

const char *cosmos__layers_text(const struct cosmos__shape *shape, char buf[static COSMOS__LAYERS_TEXT])
{
        size_t n = 0;

        for (uint32_t l = 0; l < shape->n_layers; l++)
                n += (size_t)snprintf(buf + n, COSMOS__LAYERS_TEXT - n, "%s%u", l ? "," : "", shape->units[l]);
        return buf;
}

static void add(struct cosmos__weights_tensors *tensors, const struct cosmos__parameter *p, bool vector,
                const char *format, ...) cosmos__printf(4, 5);

static void add(struct cosmos__weights_tensors *tensors, const struct cosmos__parameter *p, bool vector,
                const char *format, ...)
{
        struct cosmos__tensor *t = &tensors->all[tensors->n];
        va_list args;

        *t = (struct cosmos__tensor){
            .dtype = COSMOS__F32,
            .n_dims = vector ? 1 : 2,
            .shape = {vector ? p->columns : p->rows, p->columns},
            .n = (size_t)p->rows * p->columns,
        };
        va_start(args, format);
        vsnprintf(t->name, sizeof(t->name), format, args);
        va_end(args);
        tensors->parameters[tensors->n++] = p;
}

void cosmos__weights_tensors(struct cosmos__weights_tensors *ret, const struct cosmos__shape *shape,
                             const uint32_t *fields, const struct cosmos__layout *layout)
{
        ret->n = 0;
        for (uint32_t f = 0; f < shape->n_fields; f++)
                add(ret, &layout->fields[f], false, "embedding.%s.weight", cosmos_token_field_name(fields[f]));
        if (shape->frequency)
                add(ret, &layout->frequency, false, "embedding.frequency.weight");
        for (uint32_t l = 0; l < shape->n_layers; l++) {
                add(ret, &layout->layers[l].kernel, false, "lstm.%u.kernel", l);
                add(ret, &layout->layers[l].recurrent, false, "lstm.%u.recurrent_kernel", l);
                add(ret, &layout->layers[l].bias, true, "lstm.%u.bias", l);
        }
        add(ret, &layout->dense, false, "dense.kernel");
        add(ret, &layout->dense_bias, true, "dense.bias");
}

void cosmos__weights_set(struct cosmos__weights_tensors *tensors, const float *parameters)
{
        for (size_t i = 0; i < tensors->n; i++)
                tensors->all[i].data = (const uint8_t *)(parameters + tensors->parameters[i]->at);
}

void cosmos__weights_get(const struct cosmos__weights_tensors *tensors, float *parameters)
{
        for (size_t i = 0; i < tensors->n; i++)
                for (size_t k = 0; k < tensors->all[i].n; k++)
                        parameters[tensors->parameters[i]->at + k] = cosmos__tensor_value(&tensors->all[i], k);
}
