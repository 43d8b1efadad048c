/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model file says of itself: the strings of its __metadata__, each
 * checked against its type and range. docs/formats-model.md lists the keys.
 */
#ifndef COSMOS_METADATA_H
#define COSMOS_METADATA_H

#include <cosmos/error.h>
#include <cosmos/model.h>

#include <jansson.h>

/* Strings of `ret_info` belong to `metadata`. */
int cosmos__metadata_read(const json_t *metadata, struct cosmos_model_info *ret_info, cosmos_vocab **ret_vocab,
                          struct cosmos_diag *reterr);

#endif
