/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters to begin with: those of Keras's layers, but for two beginnings (docs/training.md). */
#ifndef COSMOS_TRAINER_INITIAL_H
#define COSMOS_TRAINER_INITIAL_H

#include "trainer/network.h"

/* `counts` [vocab]: how often each call occurs. -ENOMEM. */
int cosmos__initial(float *parameters, const struct cosmos__shape *shape, const struct cosmos__layout *layout,
                    const uint64_t *counts, uint64_t *random);

#endif
