/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trainer's state. One file for each phase of its work:
 *   continue.c    going on from a model: its weights, what it kept, what of the corpus it finds anomalous
 *   learn.c       epochs, until they gain nothing
 *   calibrate.c   scores of the last part, the threshold, the least expected moments, the n-grams
 *   finish.c      the model file
 *   checkpoint.c  all of it to a file and back
 */
#ifndef COSMOS_TRAINER_TRAINER_H
#define COSMOS_TRAINER_TRAINER_H

#include "trainer/data.h"
#include "trainer/kept.h"
#include "trainer/ngram.h"
#include "trainer/scan.h"

#include <cosmos/trainer.h>

#include <jansson.h>

/* Share of the target's probability that is spread over the vocabulary. It bounds the surprise at a call that
 * was never seen: about ln(V / COSMOS__SMOOTHING) nats. */
#define COSMOS__SMOOTHING 1e-3
/* A window of n calls weighs n : COSMOS__PRIOR_COUNT against the mean. Five, because a process of a few calls should
 * have to surprise by more than its first one or two. */
#define COSMOS__PRIOR_COUNT 5.0

/* Some calls of a sequence, and how little they are expected: their mean NLL, weighed against the prior as a window's.
 */
struct cosmos__stretch {
        struct cosmos__range range;
        double score;
};

struct cosmos__moment {
        uint64_t call, first; /* first: of its sequence */
        double nll;
};

struct cosmos_trainer {
        struct cosmos_trainer_options options;
        const cosmos_corpus *corpus;
        struct cosmos__calls calls; /* the corpus' */
        struct cosmos__shape shape;
        struct cosmos__pool *pool;
        struct cosmos__network *network;
        struct cosmos__batch_room room;
        struct cosmos__source_chunk *chunks; /* [batch] */
        uint64_t *counts;                    /* [vocab] of the first part's calls */

        /* Going on from a model. */
        cosmos_model *init; /* NULL: from random weights */
        struct cosmos__kept kept;
        struct cosmos__spool refused;      /* of struct cosmos__range */
        struct cosmos__spool stretch_room; /* there may be as many as sequences */
        struct cosmos__stretch *stretches; /* of the sequences in their order */
        size_t n_stretches;
        struct cosmos__spool unlearnt; /* of struct cosmos__range: what was refused or trimmed */
        uint32_t *known;               /* [vocab]: `init` knows a new call as <unknown> */
        struct cosmos__calls sifted;
        struct cosmos__scan sift;
        size_t sift_sequence;
        uint64_t sift_stretch;     /* of the sequence, from 1 */
        uint64_t refused_sequence; /* the latest one, counted from 1 */
        int64_t time_min, time_max;
        uint32_t refused_tenths; /* a bit for each tenth of the time between */

        struct cosmos__split split;

        /* What it is that is learnt from, for checkpoints; 0: not found out yet, or no model. */
        uint64_t digest_traces, digest_init;

        /* Learning: all that a checkpoint holds. */
        enum cosmos_trainer_phase phase;
        uint32_t epoch, without; /* without: epochs in a row that gained nothing */
        uint64_t random, step, epoch_chunks, drawn;
        double rate, best;
        double epoch_nll, held_out;
        uint64_t epoch_calls, calls_learnt;
        float *best_parameters;
        json_t *curve;

        /* Evaluating: begun anew after a resumption. */
        uint64_t evaluated;
        double evaluated_nll;
        uint64_t evaluated_calls;
        double kept_before, kept_after, before; /* NLLs; NaN: not known */

        /* Calibrating. */
        uint8_t *file; /* the model; without a threshold until it is done */
        size_t file_size;
        double prior_mean; /* mean NLL on the second part */
        double later_nll;  /* summed over the second and third part */
        struct cosmos__scan scan;
        size_t piece;
        enum cosmos__part part;
        double spread;                      /* of the threshold's fit */
        struct cosmos__spool scores, times; /* of the third part's windows: double, int64_t */
        struct cosmos__moment moments[COSMOS_TRAINER_MOMENTS];
        size_t n_moments;
        struct cosmos_trainer_report report;

        /* Comparing. */
        struct cosmos__ngram *ngram;
        uint64_t at; /* calls of the piece that are done */
        double unigram_nll, fivegram_nll;
};

/* Each does a part of its phase: 1: there is more; 0: the phase is over. */
int cosmos__trainer_sift(cosmos_trainer *t, struct cosmos_diag *reterr);
int cosmos__trainer_learn(cosmos_trainer *t, struct cosmos_diag *reterr);
int cosmos__trainer_evaluate(cosmos_trainer *t, struct cosmos_diag *reterr);
int cosmos__trainer_calibrate(cosmos_trainer *t, struct cosmos_diag *reterr);
int cosmos__trainer_compare(cosmos_trainer *t, struct cosmos_diag *reterr);

/* Read `init`: its shape, parameters' source and what it kept. */
int cosmos__continue_open(cosmos_trainer *t, struct cosmos_diag *reterr);
void cosmos__continue_close(cosmos_trainer *t);
/* The parameters of `init` to the network. */
int cosmos__continue_parameters(cosmos_trainer *t, struct cosmos_diag *reterr);

/* After the corpus has been sifted: parts, room for the scores, the first epoch. */
int cosmos__learn_begin(cosmos_trainer *t, struct cosmos_diag *reterr);
/* After the last epoch, from the best parameters: how good they are, then on to calibration. */
int cosmos__learn_end(cosmos_trainer *t, struct cosmos_diag *reterr);
/* Room for the scores, before hours are spent on a training that a full disk would end. */
int cosmos__calibrate_reserve(cosmos_trainer *t, struct cosmos_diag *reterr);
int cosmos__calibrate_begin(cosmos_trainer *t, struct cosmos_diag *reterr);

/* The model file's bytes, with the report's threshold or, before there is one, without. */
int cosmos__finish(cosmos_trainer *t, bool with_threshold, struct cosmos_diag *reterr);

#endif
