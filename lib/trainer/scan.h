/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of a corpus as a model's detector would score them: windows are cut, and sums are rounded, as there. */
#ifndef COSMOS_TRAINER_SCAN_H
#define COSMOS_TRAINER_SCAN_H

#include "trainer/data.h"

#include <cosmos/predictor.h>

struct cosmos__scan {
        struct cosmos_model_info info;
        const struct cosmos__calls *calls;
        cosmos_model *model;
        cosmos_predictor *predictor;
        cosmos_session *session;
        float *ring; /* [window]: the latest NLLs */

        void *userdata;
        void (*on_call)(void *userdata, uint64_t call, double nll); /* may be NULL */
        /* Of calls first .. end-1; -errno. */
        int (*on_window)(void *userdata, uint64_t first, uint64_t end, double score, struct cosmos_diag *reterr);

        uint64_t first, at, end; /* of the sequence that is being scanned; at == end: none */
};

/* Takes a reference of the model. What there is must be closed also after an error. */
int cosmos__scan_open(struct cosmos__scan *scan, cosmos_model *model, const struct cosmos__calls *calls,
                      struct cosmos_diag *reterr);
void cosmos__scan_close(struct cosmos__scan *scan);

/* The calls first .. end-1 of one sequence, from a session that has seen nothing. */
void cosmos__scan_begin(struct cosmos__scan *scan, uint64_t first, uint64_t end);
/* A few hundred calls. 1: there are more; 0: none. */
int cosmos__scan_run(struct cosmos__scan *scan, struct cosmos_diag *reterr);

/* A token of the calls. */
struct cosmos_token cosmos__calls_token(const struct cosmos__calls *calls, uint64_t call);

/* What was expected at `call`, of a sequence's calls from `first` on: the likeliest name and its probability. */
int cosmos__scan_expected(struct cosmos__scan *scan, uint64_t first, uint64_t call, uint32_t *ret_name, double *ret_p);

#endif
