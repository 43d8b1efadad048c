/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A corpus to what the network is trained on.
 *
 * Time cuts all calls into three parts: the network learns from the first, the second says when to stop, the third
 * calibrates. A sequence that spans a cut is cut there; no call is in two parts. The network sees chunks: the
 * input at each place is the token of the call before it, the target the name of the call itself.
 */
#ifndef COSMOS_TRAINER_DATA_H
#define COSMOS_TRAINER_DATA_H

#include "base/spool.h"
#include "trainer/network.h"

#include <cosmos/sequence.h>

#include <stdint.h>

/* What chunks are made of: the calls of a corpus, or those that a model has kept. */
struct cosmos__calls {
        const uint32_t *tokens; /* [calls][stride] */
        const float *frequency; /* [calls]; NULL: none */
        size_t stride;
        uint32_t n_fields;
        uint32_t fields[COSMOS__NETWORK_FIELDS_MAX]; /* which of a token's */
        const uint32_t *known; /* [vocab]: as what a model of before knows each name; NULL: as it is */
};

/* A piece of a sequence that lies in one part: calls begin .. end-1. */
struct cosmos__piece {
        uint64_t begin, end;
        uint64_t opened; /* where its sequence begins: what is before is not its past */
        uint64_t chunks; /* of all pieces before it: how often it is drawn */
};

struct cosmos__pieces {
        struct cosmos__spool room; /* that they are in: there may be millions */
        struct cosmos__piece *all; /* [n + 1]: the last one's `chunks` is the sum */
        size_t n;
        uint64_t calls;
};

/* A chunk that was drawn. */
struct cosmos__chunk {
        uint64_t begin;
        uint32_t length;
        uint32_t opens; /* it begins its sequence: what is before it is "<start>" */
};

enum cosmos__part { COSMOS__LEARN, COSMOS__STOP, COSMOS__CALIBRATE, COSMOS__PARTS };

struct cosmos__split {
        int64_t cuts[2]; /* the time of the first call of the second and third part */
        struct cosmos__pieces parts[COSMOS__PARTS];
};

/* Calls begin .. end-1 of the corpus. */
struct cosmos__range {
        uint64_t begin, end;
};

/* Calls that are left out: ranges in ascending order, which do not meet. */
struct cosmos__without {
        const struct cosmos__range *all;
        size_t n;
};

/* Cut a corpus, less what each part goes without. `length`: of a chunk. -errno. */
int cosmos__split_init(struct cosmos__split *ret, const cosmos_corpus *corpus, uint32_t length,
                       const struct cosmos__without without[COSMOS__PARTS], struct cosmos_diag *reterr);
void cosmos__split_free(struct cosmos__split *split);

/* Room for `n` pieces; to add one, unless it is empty. */
int cosmos__pieces_init(struct cosmos__pieces *pieces, size_t n, struct cosmos_diag *reterr);
void cosmos__pieces_add(struct cosmos__pieces *pieces, uint64_t begin, uint64_t end, uint64_t opened, uint32_t length);
void cosmos__pieces_free(struct cosmos__pieces *pieces);

/* Chunks that the pieces are worth: long sequences are capped, or the short ones would not count. */
uint64_t cosmos__pieces_chunks(const struct cosmos__pieces *pieces);
/* A chunk by chance: a piece by its share of chunks; of its k chunks the beginning once in k times, else any full one.
 */
struct cosmos__chunk cosmos__pieces_draw(const struct cosmos__pieces *pieces, uint32_t length, uint64_t *random);
/* Chunk i of `n` that lie evenly spaced in the pieces: n is at most cosmos__pieces_chunks(). */
struct cosmos__chunk cosmos__pieces_at(const struct cosmos__pieces *pieces, uint32_t length, uint64_t i, uint64_t n);

/* A batch with room for `pieces` chunks of `steps`. */
struct cosmos__batch_room {
        struct cosmos__batch batch;
        uint32_t *length, *inputs, *targets;
        float *frequency;
};

int cosmos__batch_init(struct cosmos__batch_room *ret, uint32_t pieces, uint32_t steps, uint32_t n_fields,
                       bool frequency);
void cosmos__batch_free(struct cosmos__batch_room *room);

/* A chunk and what it is of. */
struct cosmos__source_chunk {
        const struct cosmos__calls *calls;
        struct cosmos__chunk chunk;
};

/* Fill the batch with `n` chunks, which are put in order of their length. Of each input name a share
 * `unknown` is made "<unknown>", which training traces hardly hold; `noise` says which. */
void cosmos__batch_fill(struct cosmos__batch_room *room, struct cosmos__source_chunk *chunks, uint32_t n,
                        double unknown, uint64_t noise);

#endif
