/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels go with which of cosmos_isa_name(). */
#ifndef COSMOS_TRAINER_ISA_H
#define COSMOS_TRAINER_ISA_H

#include "trainer/kernels/kernels.h"

struct cosmos__training_isa {
        const char *name;
        const struct cosmos__training_kernels *kernels;
};

extern const struct cosmos__training_isa cosmos__training_isas[];
extern const size_t cosmos__n_training_isas;

#endif
