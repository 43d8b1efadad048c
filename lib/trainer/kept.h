/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model keeps of what it has learnt, to be learnt again beside the new: pieces of sequences, evenly spaced in
 * what there was. And of what it was not trained on, to see whether it forgets: on what it has been trained on it is
 * better than on any other call of that service, and would seem to forget when it only ceases to know these by heart.
 *
 * In a file: `kept.tokens`, U16 [rows][fields of the scheme]. A row whose name has KEPT_BEGINS set begins a
 * piece and is the token before it, the others are its calls; with KEPT_HELD too, nothing was trained on the piece.
 * `kept.frequency`, F32 [rows], where the scheme has it.
 */
#ifndef COSMOS_TRAINER_KEPT_H
#define COSMOS_TRAINER_KEPT_H

#include "predictor/kept.h"
#include "trainer/data.h"

#define COSMOS__KEPT_BEGINS 0x8000u
#define COSMOS__KEPT_HELD 0x4000u

struct cosmos__kept {
        struct cosmos__calls calls; /* NULL tokens: nothing is kept */
        uint32_t *tokens;           /* [rows][fields] */
        float *frequency;           /* [rows]; NULL: none */
        uint32_t rows;
        uint64_t of; /* calls that they stand for */
        struct cosmos__pieces learn, held;
};

/* From a file's tensors, if it has them. -COSMOS_EFORMAT */
int cosmos__kept_read(struct cosmos__kept *ret, const struct cosmos__shape *shape, const struct cosmos__tensor *tokens,
                      const struct cosmos__tensor *frequency, uint64_t of, uint32_t length, struct cosmos_diag *reterr);
void cosmos__kept_free(struct cosmos__kept *kept);

/* The tensors of what is to be kept, and their data. */
struct cosmos__kept_tensors {
        struct cosmos__tensor all[COSMOS__KEPT_TENSORS];
        size_t n;
        uint16_t *tokens;
        float *frequency;
        uint64_t of; /* calls that they stand for */
};

/* Up to `most` rows, of which an eighth is held: of `old` and of pieces of `calls`, each by what it stands for, but
 * a quarter at least. */
int cosmos__kept_choose(struct cosmos__kept_tensors *ret, const struct cosmos__kept *old,
                        const struct cosmos__calls *calls, const struct cosmos__pieces *learnt,
                        const struct cosmos__pieces *held, uint32_t most, uint32_t length);
void cosmos__kept_tensors_free(struct cosmos__kept_tensors *tensors);

#endif
