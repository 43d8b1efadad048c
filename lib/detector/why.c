/* SPDX-License-Identifier: Apache-2.0 */
#include "detector/why.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct entry {
        uint64_t call; /* number in its sequence */
        float nll;
        struct cosmos__note note;
        uint32_t expected[COSMOS_WHY_EXPECTED];
        float expected_p[COSMOS_WHY_EXPECTED];
        uint32_t n_expected;
};

struct segment {
        uint64_t number; /* call / hop */
        uint32_t n;
};

struct cosmos__why {
        uint32_t keep, hop, n_segments;
        uint32_t per_segment;     /* `keep`, or as many as a segment has */
        struct segment *segments; /* a ring, by segment number */
        struct entry *entries;    /* [n_segments][per_segment], most surprising first */
};

int cosmos__why_new(struct cosmos__why **ret, uint32_t keep, uint32_t window, uint32_t hop)
{
        /* The last window of a sequence need not begin at a segment's first call. */
        uint32_t n = (window + hop - 1) / hop + 1;
        struct cosmos__why *why = calloc(1, sizeof(*why));

        if (why) {
                *why = (struct cosmos__why){.keep = keep, .hop = hop, .n_segments = n, .per_segment = MIN(keep, hop)};
                why->segments = calloc(n, sizeof(*why->segments));
                why->entries = calloc((size_t)n * why->per_segment, sizeof(*why->entries));
        }
        if (!why || !why->segments || !why->entries) {
                cosmos__why_free(why);
                return -ENOMEM;
        }
        *ret = why;
        return 0;
}

struct cosmos__why *cosmos__why_free(struct cosmos__why *why)
{
        if (why) {
                free(why->segments);
                free(why->entries);
                free(why);
        }
        return NULL;
}

static void set_expected(struct entry *e, const float *logp, size_t n)
{
        e->n_expected = 0;
        for (uint32_t id = 0; id < n; id++) {
                uint32_t at = e->n_expected;

                if (id == COSMOS_VOCAB_START) /* never a call */
                        continue;
                while (at > 0 && logp[id] > logp[e->expected[at - 1]])
                        at--;
                if (at == COSMOS_WHY_EXPECTED)
                        continue;
                e->n_expected = MIN(e->n_expected + 1, (uint32_t)COSMOS_WHY_EXPECTED);
                memmove(&e->expected[at + 1], &e->expected[at], (e->n_expected - at - 1) * sizeof(*e->expected));
                e->expected[at] = id;
        }
        for (uint32_t i = 0; i < e->n_expected; i++)
                e->expected_p[i] = expf(logp[e->expected[i]]);
}

static void copy_text(char *room, size_t size, const char *text)
{
        const size_t n = text ? strnlen(text, size - 1) : 0;

        memcpy(room, text ? text : "", n);
        room[n] = 0;
}

void cosmos__note_take(struct cosmos__note *ret, const struct cosmos_event *event)
{
        ret->timestamp = event->timestamp;
        ret->seq = event->known & COSMOS_KNOWN_SEQ ? event->seq : 0;
        ret->has_ret = event->known & COSMOS_KNOWN_RET;
        ret->ret = event->ret;
        copy_text(ret->syscall, sizeof(ret->syscall), event->syscall);
        copy_text(ret->detail, sizeof(ret->detail),
                  event->argv   ? event->argv
                  : event->path ? event->path
                                : event->addr);
}

void cosmos__why_add(struct cosmos__why *why, uint64_t call, const struct cosmos__note *note, float nll,
                     const float *logp, const cosmos_vocab *vocab)
{
        uint64_t number = call / why->hop;
        struct segment *segment = &why->segments[number % why->n_segments];
        struct entry *entries = &why->entries[(number % why->n_segments) * why->per_segment];
        struct entry *e;
        uint32_t at;

        if (segment->number != number)
                *segment = (struct segment){.number = number};
        at = segment->n;
        while (at > 0 && nll > entries[at - 1].nll)
                at--;
        if (at == why->per_segment)
                return;
        segment->n = MIN(segment->n + 1, why->per_segment);
        e = &entries[at];
        memmove(e + 1, e, (segment->n - at - 1) * sizeof(*e));
        e->call = call;
        e->nll = nll;
        e->note = *note;
        set_expected(e, logp, cosmos_vocab_size(vocab));
}

static void get_entry(const struct entry *e, const cosmos_vocab *vocab, struct cosmos_surprise *ret)
{
        *ret = (struct cosmos_surprise){
            .syscall = e->note.syscall,
            .nll = (double)e->nll,
            .timestamp = e->note.timestamp,
            .seq = e->note.seq,
            .ret = e->note.ret,
            .has_ret = e->note.has_ret,
            .detail = e->note.detail[0] ? e->note.detail : NULL,
        };
        for (uint32_t i = 0; i < e->n_expected; i++) {
                ret->expected[i] = cosmos_vocab_name(vocab, e->expected[i]);
                ret->expected_p[i] = (double)e->expected_p[i];
        }
}

size_t cosmos__why_get(const struct cosmos__why *why, uint64_t first, struct cosmos_surprise *ret,
                       const cosmos_vocab *vocab)
{
        const struct entry *best[COSMOS_WHY_MAX];
        size_t n = 0;

        for (uint32_t s = 0; s < why->n_segments; s++)
                for (uint32_t i = 0; i < why->segments[s].n; i++) {
                        const struct entry *e = &why->entries[(size_t)s * why->per_segment + i];
                        size_t at = n;

                        if (e->call < first)
                                continue;
                        /* Equal ones in the order of the calls, whatever the ring's. */
                        while (at > 0 && (e->nll > best[at - 1]->nll ||
                                          (e->nll >= best[at - 1]->nll && e->call < best[at - 1]->call)))
                                at--;
                        if (at == why->keep)
                                continue;
                        n = MIN(n + 1, (size_t)why->keep);
                        memmove(&best[at + 1], &best[at], (n - at - 1) * sizeof(*best));
                        best[at] = e;
                }
        for (size_t i = 0; i < n; i++)
                get_entry(best[i], vocab, &ret[i]);
        return n;
}
