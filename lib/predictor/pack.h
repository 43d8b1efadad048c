/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors to the layout of the kernels (kernels/kernels.h says how it looks), and
 * to int8. Memory comes from cosmos__pack_alloc(), is to be freed with free(), and
 * is counted in `memory`. NULL or -ENOMEM: no memory.
 */
#ifndef COSMOS_PACK_H
#define COSMOS_PACK_H

#include "predictor/kernels/kernels.h"
#include "predictor/tensor.h"

#include <stdbool.h>

/* Zeroed, aligned for the kernels. */
void *cosmos__pack_alloc(size_t n, size_t size, size_t *memory);

/* A matrix whose columns are `n_parts` groups (the gates; 1: the dense layer). */
int cosmos__pack_weights(struct cosmos__weights *ret, const struct cosmos__kernels *kernels, bool int8,
                         const struct cosmos__tensor *tensor, size_t n_parts, size_t *memory);

/* The table of embedding * kernel (+ bias), summed in double. `embedding` NULL: the bias alone, one row. */
int cosmos__pack_table(struct cosmos__table *ret, const struct cosmos__kernels *kernels, bool int8,
                       const struct cosmos__tensor *embedding, const struct cosmos__tensor *kernel,
                       const struct cosmos__tensor *bias, size_t *memory);

#endif
