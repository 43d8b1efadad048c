/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/tensor.h"

#include <endian.h>
#include <string.h>

int8_t cosmos__tensor_q(const struct cosmos__tensor *tensor, size_t i)
{
        return (int8_t)tensor->data[i];
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
        return (float)cosmos__tensor_q(tensor, i) * float_at(tensor->scale, i % tensor->shape[1]);
}
