/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the bpf backend where it was not built. */
#include "base/base.h"

#include <cosmos/collector.h>

COSMOS_API int cosmos_collector_open_bpf(cosmos_collector **ret, const struct cosmos_bpf_options *options,
                                         struct cosmos_diag *reterr)
{
        (void)ret;
        (void)options;
        return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE,
                            "this build has no bpf backend: install clang, bpftool and libbpf-dev (x86-64 only), "
                            "then configure with -Dbpf=enabled");
}
