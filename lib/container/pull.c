/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that every user of a collector and a resolver would write. */
#include "container/resolver.h"

#include "base/base.h"

/* In a stream that never runs dry, ticks come after so many events. */
#define EVENTS_PER_TICK 4096u

/* A replay's events come out as they are: the collector lends them for just as long as we would. */
static int pull_replay(cosmos_resolver *resolver, cosmos_collector *collector, const struct cosmos_event **ret_event,
                       struct cosmos_diag *reterr)
{
        for (;;) {
                const struct cosmos_event *event;
                int r = cosmos_collector_next(collector, &event, reterr);

                if (r == 1 && !cosmos__replay_passes(resolver, event))
                        continue;
                if (r == 1)
                        *ret_event = event;
                return r;
        }
}

COSMOS_API int cosmos_resolver_pull(cosmos_resolver *resolver, cosmos_collector *collector,
                                    const struct cosmos_event **ret_event, struct cosmos_diag *reterr)
{
        if (!resolver->live && resolver->queue_first == resolver->queue_n)
                return pull_replay(resolver, collector, ret_event, reterr);
        for (;;) {
                const struct cosmos_event *event = NULL;
                int r = cosmos_resolver_next(resolver, ret_event), drained = 0;

                if (r != 0)
                        return r;
                if (++resolver->pulled % EVENTS_PER_TICK != 0) {
                        r = cosmos_collector_next(collector, &event, reterr);
                        if (r < 0 || r == 2)
                                return r;
                        drained = r == 0;
                }
                r = cosmos_resolver_feed(resolver, event, reterr); /* NULL: a tick */
                if (r < 0)
                        return r;
                if (resolver->unwanted) {
                        resolver->unwanted->ignored = true;
                        r = cosmos_collector_ignore(collector, TAKE_PTR(resolver->unwanted)->id);
                        if (r < 0)
                                return cosmos__fail(reterr, r, "container resolver: cannot have a container ignored");
                }
                if (drained) /* all that can still come is what the tick has found */
                        return cosmos_resolver_next(resolver, ret_event);
        }
}
