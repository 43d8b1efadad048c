/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor: what a model file must hold, and the values that it was found to hold. */
#ifndef COSMOS_TENSOR_H
#define COSMOS_TENSOR_H

#include <stddef.h>
#include <stdint.h>

enum cosmos__dtype { COSMOS__F32, COSMOS__U16, COSMOS__I8 }; /* from the widest to the narrowest */

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

/* As a file names it: "F32". */
const char *cosmos__dtype_name(enum cosmos__dtype dtype);
/* Bytes of a value. */
size_t cosmos__dtype_size(enum cosmos__dtype dtype);

/* Value `i` of a tensor; of an I8 one with its scale. */
float cosmos__tensor_value(const struct cosmos__tensor *tensor, size_t i);
/* Value `i` of an I8 tensor as it is stored. */
int8_t cosmos__tensor_q(const struct cosmos__tensor *tensor, size_t i);
/* Value `i` of a U16 tensor. */
uint16_t cosmos__tensor_u16(const struct cosmos__tensor *tensor, size_t i);

#endif
