/* SPDX-License-Identifier: Apache-2.0 */
/* A threshold's inside: what it stands for, how it adapts, and those of images. */
#ifndef COSMOS_THRESHOLD_PRIVATE_H
#define COSMOS_THRESHOLD_PRIVATE_H

#include <cosmos/threshold.h>

#include <stdbool.h>

/* How a threshold follows scores: constants, then what changes. */
struct cosmos__adaptive {
        double share; /* of scores that is to be above: 1 - quantile */
        double min, max;
        uint64_t hold;

        uint64_t counted, held;
        unsigned walk;     /* scores above, less the others, 0 .. ALERT */
        bool alert;        /* scores do not count */
        bool tolerated;    /* an alert was too long: none before the walk is back at 0 */
        uint64_t n, above; /* scores of this alert */
};

struct cosmos_threshold {
        char *image; /* NULL: the general one */
        double theta;
        double quantile, spread; /* NaN: not known */
        uint64_t n;
        bool is_adaptive;
        struct cosmos__adaptive adaptive;

        cosmos_threshold **images; /* [n_images], in order of name */
        size_t n_images;
};

int cosmos__threshold_copy(cosmos_threshold **ret, const cosmos_threshold *from, struct cosmos_diag *reterr);

#endif
