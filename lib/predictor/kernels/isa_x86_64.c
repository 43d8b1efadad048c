/* SPDX-License-Identifier: Apache-2.0 */
#include "predictor/kernels/kernels.h"

static int has_avx2(void)
{
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void)
{
        return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_avx512vnni(void)
{
        return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static int always(void)
{
        return 1;
}

const struct cosmos__isa cosmos__isas[] = {
    {"avx512vnni", has_avx512vnni, &cosmos__avx512_f32, &cosmos__avx512vnni_int8},
    {"avx512", has_avx512, &cosmos__avx512_f32, &cosmos__avx512_int8},
    {"avx2", has_avx2, &cosmos__avx2_f32, &cosmos__avx2_int8},
    {"portable", always, &cosmos__portable_f32, &cosmos__portable_int8},
};
const size_t cosmos__n_isas = sizeof(cosmos__isas) / sizeof(*cosmos__isas);
