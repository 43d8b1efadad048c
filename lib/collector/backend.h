/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend is to collector.c: a table of functions over an object whose
 * first member is the collector.
 */
#ifndef COSMOS_BACKEND_H
#define COSMOS_BACKEND_H

#include <cosmos/collector.h>

struct cosmos__collector_ops {
        int live;
        int (*fd)(const cosmos_collector *collector);
        int (*next)(cosmos_collector *collector, const struct cosmos_event **ret_event, struct cosmos_diag *reterr);
        int (*stop)(cosmos_collector *collector, struct cosmos_diag *reterr);
        void (*free)(cosmos_collector *collector);                            /* stopped or not */
        int (*ignore)(cosmos_collector *collector, const char *container_id); /* NULL: nothing to be done */
};

#define COSMOS__HOSTNAME_SIZE 65

/* The head of a live trace. `hostname` is room for this host's name, which the event points to. */
void cosmos__trace_head(struct cosmos_event *ret, const char *source, char hostname[COSMOS__HOSTNAME_SIZE]);

struct cosmos_collector {
        const struct cosmos__collector_ops *ops;
        struct cosmos_collector_stats stats;
        struct cosmos_log log;
};

#endif
