/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/kernels/isa.h"

#include <cosmos/model.h>

#include <string.h>

const struct cosmos__training_kernels *cosmos__training_kernels_get(const char *isa)
{
        const char *name;

        for (size_t i = 0; (name = cosmos_isa_name(i)); i++)
                for (size_t k = 0; k < cosmos__n_training_isas; k++)
                        if (strcmp(cosmos__training_isas[k].name, name) == 0 && (!isa || strcmp(isa, name) == 0))
                                return cosmos__training_isas[k].kernels;
        return NULL;
}
