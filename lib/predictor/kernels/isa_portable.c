/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/kernels/kernels.h"

static int always(void)
{
        return 1;
}

const struct cosmos__isa cosmos__isas[] = {
    {"portable", always, &cosmos__portable_f32, &cosmos__portable_int8},
};
const size_t cosmos__n_isas = sizeof(cosmos__isas) / sizeof(*cosmos__isas);
