/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/tensor.h"

#include <endian.h>
#include <string.h>

static const struct {
        const char *name;
        size_t size;
} dtypes[] = {
    [COSMOS__F32] = {"F32", 4},
    [COSMOS__U16] = {"U16", 2},
    [COSMOS__I8] = {"I8", 1},
};

const char *cosmos__dtype_name(enum cosmos__dtype dtype)
{
        return dtypes[dtype].name;
}

size_t cosmos__dtype_size(enum cosmos__dtype dtype)
{
        return dtypes[dtype].size;
}

int8_t cosmos__tensor_q(const struct cosmos__tensor *tensor, size_t i)
{
        return (int8_t)tensor->data[i];
}

uint16_t cosmos__tensor_u16(const struct cosmos__tensor *tensor, size_t i)
{
        uint16_t value;

        memcpy(&value, tensor->data + i * sizeof(value), sizeof(value));
        return le16toh(value);
}

static float float_at(const struct cosmos__tensor *tensor, size_t i)
{
        uint32_t bits;
        float value;

        memcpy(&bits, tensor->data + i * sizeof(bits), sizeof(bits));
        bits = le32toh(bits);
        memcpy(&value, &bits, sizeof(value));
        return value;
}

float cosmos__tensor_value(const struct cosmos__tensor *tensor, size_t i)
{
        if (tensor->dtype == COSMOS__F32)
                return float_at(tensor, i);
        if (tensor->dtype == COSMOS__U16)
                return (float)cosmos__tensor_u16(tensor, i);
        return (float)cosmos__tensor_q(tensor, i) * float_at(tensor->scale, i % tensor->shape[1]);
}
