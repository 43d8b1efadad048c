/* SPDX-License-Identifier: Apache-2.0 */
/* The learning curve as SVG, which is readable on light and on dark. Pure. */
#ifndef COSMOS_TRAINER_PLOT_H
#define COSMOS_TRAINER_PLOT_H

#include "trainer/page.h"

struct cosmos__curve_point {
        uint32_t epoch;        /* greater than that of the point before */
        double loss, held_out; /* mean NLL, nats a call, 0 .. COSMOS__CURVE_NLL_MAX */
        double rate;           /* the learning rate of the epoch; 0: not known */
};

#define COSMOS__CURVE_NLL_MAX 1e6
#define COSMOS__CURVE_EPOCH_MAX 1000000

/* Of one point or more. */
void cosmos__plot(struct cosmos__page *svg, const struct cosmos__curve_point *points, size_t n);

#endif
