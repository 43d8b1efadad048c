/* SPDX-License-Identifier: Apache-2.0 */
/* A network's parameters as the tensors of a model file (docs/formats-model.md), and back. */
#ifndef COSMOS_TRAINER_WEIGHTS_H
#define COSMOS_TRAINER_WEIGHTS_H

#include "predictor/kept.h"
#include "trainer/network.h"

#include <cosmos/model.h>

/* The embeddings, one for each field and the frequency's, three for each layer, two of the dense layer. */
#define COSMOS__WEIGHTS_MAX (COSMOS__NETWORK_FIELDS_MAX + 1 + 3 * COSMOS__NETWORK_LAYERS_MAX + 2)

struct cosmos__weights_tensors {
        struct cosmos__tensor all[COSMOS__WEIGHTS_MAX + COSMOS__KEPT_TENSORS];
        const struct cosmos__parameter *parameters[COSMOS__WEIGHTS_MAX]; /* where each is, in the layout */
        size_t n;
};

/* The shape of a network for a token scheme. `fields` becomes which field of a token each of the network's is. */
void cosmos__shape_init(struct cosmos__shape *ret, uint32_t fields[COSMOS__NETWORK_FIELDS_MAX],
                        const struct cosmos_token_scheme *scheme, uint32_t vocab, uint32_t embedding,
                        const uint32_t *units, uint32_t n_layers);

/* The units of each layer with commas between, as `cosmos.layers` has them. Returns `buf`. */
#define COSMOS__LAYERS_TEXT (COSMOS__NETWORK_LAYERS_MAX * 6)
const char *cosmos__layers_text(const struct cosmos__shape *shape, char buf[static COSMOS__LAYERS_TEXT]);

/* The tensors that there are, by name and shape; without data. `layout` must outlive them. */
void cosmos__weights_tensors(struct cosmos__weights_tensors *ret, const struct cosmos__shape *shape,
                             const uint32_t *fields, const struct cosmos__layout *layout);

/* `parameters`, little-endian, become their data; must outlive them. */
void cosmos__weights_set(struct cosmos__weights_tensors *tensors, const float *parameters);
/* The data that was found, to `parameters`. */
void cosmos__weights_get(const struct cosmos__weights_tensors *tensors, float *parameters);

#endif
