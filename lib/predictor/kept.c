/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/kept.h"

void cosmos__kept_expect(struct cosmos__kept_found *ret, const struct cosmos__safetensors *file,
                         struct cosmos__tensor *tensors, size_t *n, uint32_t n_fields, bool frequency)
{
        uint32_t rows;

        *ret = (struct cosmos__kept_found){0};
        if (!cosmos__safetensors_rows(file, "kept.tokens", &rows))
                return;
        ret->tokens = &tensors[(*n)++];
        *ret->tokens = (struct cosmos__tensor){
            .name = "kept.tokens", .dtype = COSMOS__U16, .n_dims = 2, .shape = {rows, n_fields}};
        if (!frequency)
                return;
        ret->frequency = &tensors[(*n)++];
        *ret->frequency =
            (struct cosmos__tensor){.name = "kept.frequency", .dtype = COSMOS__F32, .n_dims = 1, .shape = {rows, rows}};
}
