/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/kernels/isa.h"

const struct cosmos__training_isa cosmos__training_isas[] = {
    {"neon", &cosmos__training_neon},
    {"portable", &cosmos__training_portable},
};
const size_t cosmos__n_training_isas = sizeof(cosmos__training_isas) / sizeof(*cosmos__training_isas);
