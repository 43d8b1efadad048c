/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/backend.h"

#include "base/base.h"

#include <unistd.h>

void cosmos__trace_head(struct cosmos_event *ret, const char *source, char hostname[COSMOS__HOSTNAME_SIZE])
{
        if (gethostname(hostname, COSMOS__HOSTNAME_SIZE - 1) < 0)
                hostname[0] = 0;
        *ret = (struct cosmos_event){
            .type = COSMOS_EVENT_TRACE,
            .timestamp = cosmos__now(),
            .timestamp_digits = 9,
            .source = source,
            .host = hostname[0] ? hostname : NULL,
        };
}

COSMOS_API int cosmos_collector_fd(const cosmos_collector *collector)
{
        return collector->ops->fd(collector);
}

COSMOS_API int cosmos_collector_next(cosmos_collector *collector, const struct cosmos_event **ret_event,
                                     struct cosmos_diag *reterr)
{
        return collector->ops->next(collector, ret_event, reterr);
}

COSMOS_API int cosmos_collector_stop(cosmos_collector *collector, struct cosmos_diag *reterr)
{
        return collector->ops->stop(collector, reterr);
}

COSMOS_API int cosmos_collector_ignore(cosmos_collector *collector, const char *container_id)
{
        return collector->ops->ignore ? collector->ops->ignore(collector, container_id) : 0;
}

COSMOS_API void cosmos_collector_get_stats(const cosmos_collector *collector, struct cosmos_collector_stats *ret)
{
        cosmos__fill(ret, &collector->stats, sizeof(collector->stats));
}

COSMOS_API int cosmos_collector_is_live(const cosmos_collector *collector)
{
        return collector->ops->live;
}

COSMOS_API cosmos_collector *cosmos_collector_free(cosmos_collector *collector)
{
        if (collector)
                collector->ops->free(collector);
        return NULL;
}
