/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/kernels/aarch64.h"

#include "trainer/kernels/simd.h"

const struct cosmos__training_kernels cosmos__training_neon = TRAINING_KERNELS("neon");
