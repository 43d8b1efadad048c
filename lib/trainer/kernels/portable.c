/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of one number, and the C library's functions: the reference, also in double. */
#include "trainer/kernels/kernels.h"

#include <math.h>

#define LANES ((size_t)1)
#define ROWS 4
#define INLINE static inline
#define UNROLL

typedef cosmos__real vec;

static inline vec v_load(const cosmos__real *x)
{
        return *x;
}

static inline void v_store(cosmos__real *x, vec v)
{
        *x = v;
}

static inline vec v_set(cosmos__real x)
{
        return x;
}

static inline vec v_add(vec a, vec b)
{
        return a + b;
}

static inline vec v_sub(vec a, vec b)
{
        return a - b;
}

static inline vec v_mul(vec a, vec b)
{
        return a * b;
}

static inline vec v_fma(vec a, vec b, vec c)
{
        return a * b + c;
}

static inline vec v_max(vec a, vec b)
{
        return a > b ? a : b;
}

static inline vec exp_v(vec x, vec scale)
{
        return (vec)exp((double)(x * scale));
}

static inline vec sigmoid_v(vec x)
{
        return (vec)(1 / (1 + exp(-(double)x)));
}

static inline vec tanh_v(vec x)
{
        return (vec)tanh((double)x);
}

static cosmos__real greatest_of(const cosmos__real *row, size_t n)
{
        cosmos__real greatest = row[0];

        for (size_t k = 1; k < n; k++)
                greatest = v_max(row[k], greatest);
        return greatest;
}

#include "trainer/kernels/template.h"

const struct cosmos__training_kernels cosmos__training_portable = TRAINING_KERNELS("portable");
