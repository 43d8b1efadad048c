/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors that a file may have beside its weights: what the trainer keeps (docs/formats-model.md). */
#ifndef COSMOS_PREDICTOR_KEPT_H
#define COSMOS_PREDICTOR_KEPT_H

#include "predictor/safetensors.h"

#include <stdbool.h>

#define COSMOS__KEPT_TENSORS 2

struct cosmos__kept_found {
        struct cosmos__tensor *tokens, *frequency; /* NULL: not there */
};

/* Those that `file` has, behind the `n` that are expected already. */
void cosmos__kept_expect(struct cosmos__kept_found *ret, const struct cosmos__safetensors *file,
                         struct cosmos__tensor *tensors, size_t *n, uint32_t n_fields, bool frequency);

#endif
