/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/data.h"

#include "base/base.h"
#include "base/rank.h"
#include "trainer/random.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define SEQUENCE_CHUNKS UINT64_C(400) /* a longer piece counts no more than this many chunks */

static const double cut_shares[] = {0.70, 0.85}; /* of all calls, at which time is cut */

/* ---- pieces ------------------------------------------------------------------------- */

static uint64_t chunks_of(uint64_t calls, uint32_t length)
{
        return MIN((calls + length - 1) / length, SEQUENCE_CHUNKS);
}

/* Where each part of a sequence ends. Times within a sequence may step back a little: it is cut at the first late one.
 */
static void ends_of(const int64_t *times, uint64_t begin, uint64_t end, const int64_t cuts[2],
                    uint64_t ret[COSMOS__PARTS])
{
        uint64_t i = begin;

        for (size_t part = 0; part < COSMOS__PARTS - 1; part++) {
                while (i < end && times[i] < cuts[part])
                        i++;
                ret[part] = i;
        }
        ret[COSMOS__CALIBRATE] = end;
}

int cosmos__pieces_init(struct cosmos__pieces *pieces, size_t n, struct cosmos_diag *reterr)
{
        const int r = cosmos__spool_reserve(&pieces->room, (n + 1) * sizeof(*pieces->all), reterr);

        pieces->all = (void *)pieces->room.data;
        return r;
}

void cosmos__pieces_add(struct cosmos__pieces *pieces, uint64_t begin, uint64_t end, uint64_t opened, uint32_t length)
{
        struct cosmos__piece *p = &pieces->all[pieces->n];

        if (begin == end)
                return;
        p->begin = begin;
        p->end = end;
        p->opened = opened;
        p[1].chunks = p->chunks + chunks_of(end - begin, length);
        pieces->n++;
        pieces->calls += end - begin;
}

/* A part of a sequence, less what is left out; `without` moves on to the ranges that are behind it. */
static void add_pieces(struct cosmos__pieces *pieces, uint64_t begin, uint64_t end, uint64_t opened, uint32_t length,
                       struct cosmos__without *without)
{
        for (; without->n > 0 && without->all->begin < end; without->all++, without->n--) {
                const uint64_t cut = MIN(MAX(without->all->begin, begin), end);

                cosmos__pieces_add(pieces, begin, cut, opened, length);
                begin = MIN(MAX(without->all->end, begin), end);
                if (without->all->end > end)
                        break; /* it goes on in the next sequence */
        }
        cosmos__pieces_add(pieces, begin, end, opened, length);
}

int cosmos__split_init(struct cosmos__split *ret, const cosmos_corpus *corpus, uint32_t length,
                       const struct cosmos__without without[COSMOS__PARTS], struct cosmos_diag *reterr)
{
        const int64_t *times = cosmos_corpus_timestamps(corpus);
        const uint64_t *offsets = cosmos_corpus_offsets(corpus);
        const size_t n = cosmos_corpus_sequences(corpus), calls = cosmos_corpus_calls(corpus);
        struct cosmos__without ahead[COSMOS__PARTS]; /* the ranges that no sequence has passed */
        int r = 0;

        *ret = (struct cosmos__split){0};
        memcpy(ahead, without, sizeof(ahead));
        for (size_t part = 0; part < COSMOS__PARTS && r == 0; part++)
                r = cosmos__pieces_init(&ret->parts[part], n + without[part].n, reterr);
        if (r < 0)
                return r;
        for (size_t cut = 0; cut < ARRAY_SIZE(cut_shares); cut++)
                ret->cuts[cut] = cosmos__int64_of_key(cosmos__key_of_rank(
                    times, calls, (uint64_t)(cut_shares[cut] * (double)calls), cosmos__weighed_int64));
        for (size_t i = 0; i < n; i++) {
                uint64_t ends[COSMOS__PARTS], begin = offsets[i];

                ends_of(times, begin, offsets[i + 1], ret->cuts, ends);
                for (size_t part = 0; part < COSMOS__PARTS; begin = ends[part++])
                        add_pieces(&ret->parts[part], begin, ends[part], offsets[i], length, &ahead[part]);
        }
        return 0;
}

void cosmos__pieces_free(struct cosmos__pieces *pieces)
{
        cosmos__spool_free(&pieces->room);
}

void cosmos__split_free(struct cosmos__split *split)
{
        for (size_t part = 0; part < COSMOS__PARTS; part++)
                cosmos__pieces_free(&split->parts[part]);
}

/* ---- chunks ------------------------------------------------------------------------------ */

uint64_t cosmos__pieces_chunks(const struct cosmos__pieces *pieces)
{
        return pieces->n > 0 ? pieces->all[pieces->n].chunks : 0; /* without any there is no array */
}

/* The piece that chunk `at` of all is of. */
static const struct cosmos__piece *piece_at(const struct cosmos__pieces *pieces, uint64_t at)
{
        size_t low = 0, high = pieces->n;

        while (high - low > 1) {
                const size_t middle = low + (high - low) / 2;

                if (pieces->all[middle].chunks <= at)
                        low = middle;
                else
                        high = middle;
        }
        return &pieces->all[low];
}

static struct cosmos__chunk chunk_of(const struct cosmos__piece *p, uint64_t begin, uint32_t length)
{
        return (struct cosmos__chunk){begin, (uint32_t)MIN(p->end - begin, length), begin == p->opened};
}

struct cosmos__chunk cosmos__pieces_draw(const struct cosmos__pieces *pieces, uint32_t length, uint64_t *random)
{
        const struct cosmos__piece *p = piece_at(pieces, cosmos__random_below(random, cosmos__pieces_chunks(pieces)));
        uint64_t begin = p->begin;

        if (cosmos__random_below(random, p[1].chunks - p->chunks) > 0)
                begin += cosmos__random_below(random, p->end - p->begin - length + 1);
        return chunk_of(p, begin, length);
}

struct cosmos__chunk cosmos__pieces_at(const struct cosmos__pieces *pieces, uint32_t length, uint64_t i, uint64_t n)
{
        const uint64_t at = (uint64_t)((unsigned __int128)i * cosmos__pieces_chunks(pieces) / n);
        const struct cosmos__piece *p = piece_at(pieces, at);
        const uint64_t places = (p->end - p->begin + length - 1) / length, counted = p[1].chunks - p->chunks;

        return chunk_of(p, p->begin + (at - p->chunks) * places / counted * length, length);
}

/* ---- batches --------------------------------------------------------------------------------- */

int cosmos__batch_init(struct cosmos__batch_room *ret, uint32_t pieces, uint32_t steps, uint32_t n_fields,
                       bool frequency)
{
        const size_t places = (size_t)pieces * steps;

        *ret = (struct cosmos__batch_room){
            .batch = {.steps = steps},
            .length = calloc(pieces, sizeof(*ret->length)),
            .inputs = calloc(places, n_fields * sizeof(*ret->inputs)),
            .targets = calloc(places, sizeof(*ret->targets)),
            .frequency = frequency ? calloc(places, sizeof(*ret->frequency)) : NULL,
        };
        ret->batch.length = ret->length;
        ret->batch.inputs = ret->inputs;
        ret->batch.targets = ret->targets;
        ret->batch.frequency = ret->frequency;
        return ret->length && ret->inputs && ret->targets && (ret->frequency || !frequency) ? 0 : -ENOMEM;
}

void cosmos__batch_free(struct cosmos__batch_room *room)
{
        free(room->length);
        free(room->inputs);
        free(room->targets);
        free(room->frequency);
}

/* The longest first, equal ones as they came. */
static void sort_by_length(struct cosmos__source_chunk *chunks, uint32_t n)
{
        for (uint32_t i = 1; i < n; i++) {
                const struct cosmos__source_chunk c = chunks[i];
                uint32_t k = i;

                for (; k > 0 && chunks[k - 1].chunk.length < c.chunk.length; k--)
                        chunks[k] = chunks[k - 1];
                chunks[k] = c;
        }
}

static void fill_piece(struct cosmos__batch_room *room, uint32_t piece, const struct cosmos__source_chunk *c)
{
        const struct cosmos__calls *calls = c->calls;
        const size_t first = (size_t)piece * room->batch.steps;

        room->length[piece] = c->chunk.length;
        for (size_t i = 0; i < c->chunk.length; i++) {
                const size_t call = c->chunk.begin + i;
                const bool start = i == 0 && c->chunk.opens;
                uint32_t *inputs = room->inputs + (first + i) * calls->n_fields;

                room->targets[first + i] = calls->tokens[call * calls->stride];
                for (uint32_t f = 0; f < calls->n_fields; f++)
                        inputs[f] = start ? 0 : calls->tokens[(call - 1) * calls->stride + calls->fields[f]];
                if (room->frequency)
                        room->frequency[first + i] = start ? 0 : calls->frequency[call - 1];
        }
}

void cosmos__batch_fill(struct cosmos__batch_room *room, struct cosmos__source_chunk *chunks, uint32_t n,
                        double unknown, uint64_t noise)
{
        const uint64_t least = (uint64_t)(unknown * 0x1p64);

        sort_by_length(chunks, n);
        room->batch.pieces = n;
        for (uint32_t p = 0; p < n; p++) {
                fill_piece(room, p, &chunks[p]);
                for (size_t i = 0; least > 0 && i < chunks[p].chunk.length; i++) {
                        const size_t place = (size_t)p * room->batch.steps + i;
                        uint32_t *name = room->inputs + place * chunks[p].calls->n_fields;

                        if (*name != COSMOS_VOCAB_START && cosmos__hash_mix(noise + place) < least)
                                *name = COSMOS_VOCAB_UNKNOWN;
                }
        }
}
