/* SPDX-License-Identifier: Apache-2.0 */
/* The thresholds of container images: "cosmos.thresholds" of a model file's metadata. */
#ifndef COSMOS_PREDICTOR_THRESHOLDS_H
#define COSMOS_PREDICTOR_THRESHOLDS_H

#include <cosmos/error.h>
#include <cosmos/model.h>

#include <jansson.h>

struct cosmos__thresholds {
        json_t *json; /* what the names belong to */
        struct cosmos_model_threshold *all;
        size_t n;
};

int cosmos__thresholds_read(struct cosmos__thresholds *ret, const json_t *metadata, struct cosmos_diag *reterr);
void cosmos__thresholds_free(struct cosmos__thresholds *thresholds);

#endif
