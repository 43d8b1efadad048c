/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader and writer of the safetensors format: 8 bytes of header length
 * (little-endian), a JSON header, the tensors' data. Pure. The reader gets bytes
 * and gives pointers into them, no copy of the data; it trusts nothing that the
 * file says of itself. The writer makes the same bytes of the same content,
 * those that serialise() of models/export.py makes.
 */
#ifndef COSMOS_SAFETENSORS_H
#define COSMOS_SAFETENSORS_H

#include "predictor/tensor.h"

#include <cosmos/error.h>

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COSMOS__SAFETENSORS_MAX ((size_t)1 << 30)        /* bytes of a file */
#define COSMOS__SAFETENSORS_HEADER_MAX ((size_t)1 << 20) /* bytes of its JSON header */

struct cosmos__safetensors {
        json_t *header;      /* object, no key twice; owned */
        json_t *metadata;    /* its "__metadata__", an object; borrowed */
        const uint8_t *data; /* what follows the header; borrowed */
        size_t size;
};

/* Check the lengths and read the header. `bytes` must outlive `ret`. */
int cosmos__safetensors_open(struct cosmos__safetensors *ret, const uint8_t *bytes, size_t size,
                             struct cosmos_diag *reterr);

/*
 * Find the `n` tensors. The file must hold them in exactly the types and shapes
 * given, and nothing else: no other tensor, no overlap, no hole, no offset that is
 * not a multiple of a value's size, no float that is not finite, no byte of -128.
 */
int cosmos__safetensors_find(const struct cosmos__safetensors *file, struct cosmos__tensor *tensors, size_t n,
                             struct cosmos_diag *reterr);

/* Is there a tensor of that name? `ret_rows` becomes its first dimension, which is yet to be checked. */
bool cosmos__safetensors_rows(const struct cosmos__safetensors *file, const char *name, uint32_t *ret_rows);

void cosmos__safetensors_close(struct cosmos__safetensors *file);

/*
 * The bytes of a file: `metadata`, an object of strings, in order of key; then the `n` tensors in order of name, the
 * wide types before the narrow ones, so that each is aligned. Of a tensor name, dtype, n_dims, shape, data and `n` are
 * read; the names are all different. -EFBIG: no reader would take it. The caller frees `ret`.
 */
int cosmos__safetensors_write(uint8_t **ret, size_t *ret_size, const json_t *metadata,
                              const struct cosmos__tensor *tensors, size_t n, struct cosmos_diag *reterr);

#endif
