/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of the safetensors format: 8 bytes of header length (little-endian), a
 * JSON header, the tensors' data. Pure: bytes in, pointers into them out, no
 * copy of the data. It trusts nothing that the file says of itself.
 */
#ifndef COSMOS_SAFETENSORS_H
#define COSMOS_SAFETENSORS_H

#include <cosmos/error.h>

#include <jansson.h>
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

enum cosmos__dtype { COSMOS__F32, COSMOS__I8 };

/* A tensor that is expected, and where it was found. */
struct cosmos__tensor {
        char name[40];
        enum cosmos__dtype dtype;
        uint32_t n_dims; /* 1 or 2 */
        uint32_t shape[2];
        const struct cosmos__tensor *scale; /* of an I8 one: F32, [columns] */
        uint64_t begin;                     /* in the file's data */
        const uint8_t *data;                /* `n` values, little-endian; not aligned */
        size_t n;
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

void cosmos__safetensors_close(struct cosmos__safetensors *file);

/* Value `i` of a tensor; of an I8 one with its scale. */
float cosmos__tensor_value(const struct cosmos__tensor *tensor, size_t i);
/* Value `i` of an I8 tensor as it is stored. */
int8_t cosmos__tensor_q(const struct cosmos__tensor *tensor, size_t i);

#endif
