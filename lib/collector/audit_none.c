/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the audit backend where libaudit is not there. */
#include "base/base.h"

#include <cosmos/collector.h>

static int unavailable(struct cosmos_diag *reterr)
{
        return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE,
                            "this build has no audit backend: install libaudit-dev, "
                            "then configure with -Daudit=enabled");
}

COSMOS_API int cosmos_collector_open_audit(cosmos_collector **ret, const struct cosmos_audit_options *options,
                                           struct cosmos_diag *reterr)
{
        (void)ret;
        (void)options;
        return unavailable(reterr);
}

COSMOS_API int cosmos_audit_mend(const char *state_dir, struct cosmos_diag *reterr)
{
        (void)state_dir;
        return unavailable(reterr);
}
