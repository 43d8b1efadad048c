/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/kernels/x86_256.h"

#include "trainer/kernels/simd.h"

const struct cosmos__training_kernels cosmos__training_avx2 = TRAINING_KERNELS("avx2");
