/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/kept.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define HELD 8 /* one row of so many is held */
#define MARKS (COSMOS__KEPT_BEGINS | COSMOS__KEPT_HELD)

/* ---- reading ---------------------------------------------------------------------------- */

static int bad_row(size_t row, const char *what, struct cosmos_diag *reterr)
{
        return cosmos__fail(reterr, -COSMOS_EFORMAT, "tensor 'kept.tokens': row %zu %s", row, what);
}

static int read_rows(struct cosmos__kept *kept, const struct cosmos__shape *shape, const struct cosmos__tensor *tokens,
                     struct cosmos_diag *reterr)
{
        const uint32_t n = shape->n_fields;

        for (size_t row = 0; row < kept->rows; row++)
                for (uint32_t f = 0; f < n; f++) {
                        uint32_t value = cosmos__tensor_u16(tokens, row * n + f);

                        if (f == 0 && row == 0 && !(value & COSMOS__KEPT_BEGINS))
                                return bad_row(row, "is of no piece", reterr);
                        if ((f == 0 && value & COSMOS__KEPT_BEGINS ? value & ~MARKS : value) >= shape->field_size[f])
                                return bad_row(row, "has a field that is out of range", reterr);
                        kept->tokens[row * n + f] = value;
                }
        return 0;
}

static int read_frequency(struct cosmos__kept *kept, const struct cosmos__tensor *frequency, struct cosmos_diag *reterr)
{
        for (size_t row = 0; row < kept->rows; row++) {
                kept->frequency[row] = cosmos__tensor_value(frequency, row);
                if (!(kept->frequency[row] >= 0 && kept->frequency[row] <= 1))
                        return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                            "tensor 'kept.frequency': value %zu is not in 0..1", row);
        }
        return 0;
}

/* The rows behind each that begins a piece, up to the next one. The marks are taken off. */
static int find_pieces(struct cosmos__kept *kept, uint32_t n_fields, uint32_t length, struct cosmos_diag *reterr)
{
        size_t pieces = 0, begin = 0;
        bool held = false;
        int r;

        for (size_t row = 0; row < kept->rows; row++)
                pieces += (kept->tokens[row * n_fields] & COSMOS__KEPT_BEGINS) != 0;
        r = cosmos__pieces_init(&kept->learn, pieces, reterr);
        if (r == 0)
                r = cosmos__pieces_init(&kept->held, pieces, reterr);
        if (r < 0)
                return r;
        for (size_t row = 0; row <= kept->rows; row++) {
                uint32_t *name = &kept->tokens[row * n_fields];

                if (row < kept->rows && !(*name & COSMOS__KEPT_BEGINS))
                        continue;
                if (row > 0)
                        cosmos__pieces_add(held ? &kept->held : &kept->learn, begin, row, UINT64_MAX, length);
                begin = row + 1;
                if (row == kept->rows)
                        break;
                held = *name & COSMOS__KEPT_HELD;
                *name &= ~MARKS;
        }
        return 0;
}

int cosmos__kept_read(struct cosmos__kept *ret, const struct cosmos__shape *shape, const struct cosmos__tensor *tokens,
                      const struct cosmos__tensor *frequency, uint64_t of, uint32_t length, struct cosmos_diag *reterr)
{
        int r;

        ret->rows = tokens->shape[0];
        ret->of = of;
        ret->tokens = calloc(MAX(tokens->n, (size_t)1), sizeof(*ret->tokens));
        if (!ret->tokens)
                return -ENOMEM;
        r = read_rows(ret, shape, tokens, reterr);
        if (r == 0 && frequency) {
                ret->frequency = calloc(MAX(frequency->n, (size_t)1), sizeof(*ret->frequency));
                r = ret->frequency ? read_frequency(ret, frequency, reterr) : -ENOMEM;
        }
        if (r < 0)
                return r;
        ret->calls = (struct cosmos__calls){
            .tokens = ret->tokens,
            .frequency = ret->frequency,
            .stride = shape->n_fields,
            .n_fields = shape->n_fields,
        };
        for (uint32_t f = 0; f < shape->n_fields; f++)
                ret->calls.fields[f] = f;
        return find_pieces(ret, shape->n_fields, length, reterr);
}

void cosmos__kept_free(struct cosmos__kept *kept)
{
        cosmos__pieces_free(&kept->learn);
        cosmos__pieces_free(&kept->held);
        free(kept->tokens);
        free(kept->frequency);
        *kept = (struct cosmos__kept){0};
}

/* ---- choosing ------------------------------------------------------------------------------ */

/* What rows are taken from. */
struct origin {
        const struct cosmos__calls *calls;
        const struct cosmos__pieces *pieces;
        uint64_t chunks; /* that are taken */
        bool held;
};

static void put_token(struct cosmos__kept_tensors *to, uint32_t row, const struct cosmos__calls *calls, uint64_t call)
{
        const uint32_t *from = calls->tokens + call * calls->stride;

        for (uint32_t f = 0; f < calls->n_fields; f++)
                to->tokens[(size_t)row * calls->n_fields + f] = (uint16_t)from[calls->fields[f]];
        if (to->frequency)
                to->frequency[row] = calls->frequency[call];
}

static uint32_t put_chunk(struct cosmos__kept_tensors *to, uint32_t row, const struct origin *o,
                          const struct cosmos__chunk *chunk)
{
        if (!chunk->opens) /* or it is behind <start>, whose fields are all 0, as the rows are before they are put */
                put_token(to, row, o->calls, chunk->begin - 1);
        to->tokens[(size_t)row * o->calls->n_fields] |=
            (uint16_t)(COSMOS__KEPT_BEGINS | (o->held ? COSMOS__KEPT_HELD : 0));
        for (uint32_t i = 0; i < chunk->length; i++)
                put_token(to, row + 1 + i, o->calls, chunk->begin + i);
        return row + 1 + chunk->length;
}

/* Chunks that are evenly spaced in the pieces. */
static uint32_t put_chunks(struct cosmos__kept_tensors *to, uint32_t row, const struct origin *o, uint32_t length)
{
        for (uint64_t i = 0; i < o->chunks; i++) {
                const struct cosmos__chunk chunk = cosmos__pieces_at(o->pieces, length, i, o->chunks);

                row = put_chunk(to, row, o, &chunk);
        }
        return row;
}

/* How many chunks of two origins have room: `share` is the old one's. */
static void part_room(uint64_t room, double share, struct origin *old, struct origin *new)
{
        const uint64_t olds = cosmos__pieces_chunks(old->pieces), news = cosmos__pieces_chunks(new->pieces);

        old->chunks = olds;
        new->chunks = news;
        if (olds + news <= room)
                return;
        old->chunks = MIN(MAX((uint64_t)((double)room * share), room / 4), room - room / 4);
        old->chunks = MIN(old->chunks, olds);
        new->chunks = MIN(room - old->chunks, news);
        old->chunks = MIN(room - new->chunks, olds);
}

static void describe(struct cosmos__kept_tensors *to, uint32_t rows, uint32_t n_fields)
{
        to->all[to->n++] = (struct cosmos__tensor){
            .name = "kept.tokens",
            .dtype = COSMOS__U16,
            .n_dims = 2,
            .shape = {rows, n_fields},
            .data = (const uint8_t *)to->tokens,
            .n = (size_t)rows * n_fields,
        };
        if (to->frequency)
                to->all[to->n++] = (struct cosmos__tensor){
                    .name = "kept.frequency",
                    .dtype = COSMOS__F32,
                    .n_dims = 1,
                    .shape = {rows, rows},
                    .data = (const uint8_t *)to->frequency,
                    .n = rows,
                };
}

int cosmos__kept_choose(struct cosmos__kept_tensors *ret, const struct cosmos__kept *old,
                        const struct cosmos__calls *calls, const struct cosmos__pieces *learnt,
                        const struct cosmos__pieces *held, uint32_t most, uint32_t length)
{
        enum { OLD, NEW, OLD_HELD, NEW_HELD, ORIGINS };
        struct origin origins[ORIGINS] = {
            [OLD] = {&old->calls, &old->learn, 0, false},
            [NEW] = {calls, learnt, 0, false},
            [OLD_HELD] = {&old->calls, &old->held, 0, true},
            [NEW_HELD] = {calls, held, 0, true},
        };
        const uint64_t room = most / (length + 1); /* chunks */
        double share;
        uint64_t chunks = 0;
        uint32_t rows = 0;

        ret->of = old->of + learnt->calls;
        share = (double)old->of / (double)ret->of;
        part_room(room - room / HELD, share, &origins[OLD], &origins[NEW]);
        part_room(room / HELD, share, &origins[OLD_HELD], &origins[NEW_HELD]);
        for (size_t i = 0; i < ORIGINS; i++)
                chunks += origins[i].chunks;
        if (chunks == 0)
                return 0;
        ret->tokens = calloc(chunks * (length + 1), calls->n_fields * sizeof(*ret->tokens));
        ret->frequency = calls->frequency ? calloc(chunks * (length + 1), sizeof(*ret->frequency)) : NULL;
        if (!ret->tokens || (calls->frequency && !ret->frequency))
                return -ENOMEM;
        for (size_t i = 0; i < ORIGINS; i++)
                rows = put_chunks(ret, rows, &origins[i], length);
        describe(ret, rows, calls->n_fields);
        return 0;
}

void cosmos__kept_tensors_free(struct cosmos__kept_tensors *tensors)
{
        free(tensors->tokens);
        free(tensors->frequency);
}
