/* SPDX-License-Identifier: Apache-2.0 */
/* Names of what an event and a score can say. */
#include "base/base.h"

#include <cosmos/event.h>

COSMOS_API const char *cosmos_verdict_name(enum cosmos_verdict verdict)
{
        static const char *const names[] = {"normal", "anomalous", "indeterminate"};

        return (size_t)verdict < ARRAY_SIZE(names) ? names[verdict] : NULL;
}

COSMOS_API const char *cosmos_loss_kind_name(enum cosmos_loss_kind kind)
{
        static const char *const names[] = {"kernel_lost", "enobufs", "gap", "unaudited"};

        return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : NULL;
}
