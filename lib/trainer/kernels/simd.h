/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels on the vectors, and with the exponentials, of the predictor's. */
#ifndef COSMOS_TRAINER_SIMD_H
#define COSMOS_TRAINER_SIMD_H

#include "predictor/kernels/simd_math.h"

INLINE vec sigmoid_v(vec x)
{
        return v_div(v_set(1), v_add(v_set(1), exp_v(hold(x, COSMOS__SATURATED), -1)));
}

INLINE vec tanh_v(vec x)
{
        const vec held = hold(x, COSMOS__SATURATED), e = exp_v(v_abs(held), -2);

        return v_signed(v_div(v_sub(v_set(1), e), v_add(v_set(1), e)), held);
}

#include "trainer/kernels/template.h"

#endif
