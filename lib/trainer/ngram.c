/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An n-gram of up to five ids of 12 bits, and its order, fit into a key of 64 bits: so the tables know
 * exactly what they hold. An n-gram of the highest order counts how often it came, one of a lower order
 * how many different calls came before it; that is known while counting, for each n-gram that is new adds
 * one to the n-gram without its first call.
 */
#include "trainer/ngram.h"

#include "base/base.h"
#include "base/hash.h"

#include <cosmos/sequence.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#define ID_BITS 12
#define ORDER_SHIFT 60
#define FEWEST_SLOTS ((size_t)1 << 12)

_Static_assert(COSMOS_VOCAB_MAX <= 1u << ID_BITS, "an id fits");
_Static_assert(COSMOS__NGRAM_ORDER_MAX *ID_BITS <= ORDER_SHIFT, "all ids of a key fit");

/* Open addressing with linear probing; never more than half full. Numbers stay exact up to 2^53. */
struct slot {
        uint64_t key; /* 0: free */
        double count; /* of a context: of all n-grams that go on from it */
};

struct table {
        struct slot *slots;
        double *mass; /* of a context: what its n-grams' discounts leave; NULL in the table of n-grams */
        size_t mask, n;
};

struct cosmos__ngram {
        uint32_t order, vocab;
        size_t most;
        struct table grams, contexts;
        double discounts[COSMOS__NGRAM_ORDER_MAX + 1][3]; /* of an order: of counts 1, 2, and more */
        double frequencies[COSMOS_VOCAB_MAX];
        double total;
};

/* ---- tables ------------------------------------------------------------------------- */

static int table_init(struct table *t, size_t slots, bool mass)
{
        *t = (struct table){.slots = calloc(slots, sizeof(*t->slots)), .mask = slots - 1};
        if (mass)
                t->mass = calloc(slots, sizeof(*t->mass));
        return t->slots && (!mass || t->mass) ? 0 : -ENOMEM;
}

static void table_free(struct table *t)
{
        free(t->slots);
        free(t->mass);
}

/* Where the key is, or would be. */
static size_t find(const struct table *t, uint64_t key)
{
        size_t at = cosmos__hash_mix(key) & t->mask;

        while (t->slots[at].key && t->slots[at].key != key)
                at = (at + 1) & t->mask;
        return at;
}

static int grow(struct table *t)
{
        struct table bigger;

        if (table_init(&bigger, (t->mask + 1) * 2, t->mass != NULL) < 0) {
                table_free(&bigger);
                return -ENOMEM;
        }
        for (size_t i = 0; i <= t->mask; i++) {
                size_t at;

                if (!t->slots[i].key)
                        continue;
                at = find(&bigger, t->slots[i].key);
                bigger.slots[at] = t->slots[i];
                if (t->mass)
                        bigger.mass[at] = t->mass[i];
        }
        bigger.n = t->n;
        table_free(t);
        *t = bigger;
        return 0;
}

/* Add to the key's count. 1: it is new; 0: it is not; or -ENOMEM. */
static int count(struct table *t, uint64_t key, double by, double mass)
{
        size_t at = find(t, key);
        int new = t->slots[at].key == 0;

        if (new && t->n >= (t->mask + 1) / 2) {
                if (grow(t) < 0)
                        return -ENOMEM;
                at = find(t, key);
        }
        t->slots[at].key = key;
        t->slots[at].count += by;
        if (t->mass)
                t->mass[at] += mass;
        t->n += (size_t) new;
        return new;
}

/* ---- keys ------------------------------------------------------------------------------ */

/* `recent` has the latest ids, the last one in the lowest bits. */
static uint64_t gram_key(uint64_t recent, uint32_t order)
{
        return (uint64_t)order << ORDER_SHIFT | (recent & ((UINT64_C(1) << order * ID_BITS) - 1));
}

/* Of an n-gram of that order: all but its last call. */
static uint64_t context_key(uint64_t gram)
{
        const uint64_t ids = (UINT64_C(1) << ORDER_SHIFT) - 1;

        return (gram & ~ids) | (gram & ids) >> ID_BITS;
}

static uint64_t push(uint64_t recent, uint32_t id)
{
        return recent << ID_BITS | id;
}

/* The ids before a piece; COSMOS_VOCAB_START, which is 0, where there are none. */
static uint64_t past(const struct cosmos__ngram *g, const uint32_t *ids, size_t stride, size_t before)
{
        uint64_t recent = 0;

        for (size_t i = MIN(before, (size_t)g->order - 1); i > 0; i--)
                recent = push(recent, *(ids - i * stride));
        return recent;
}

/* ---- counting ---------------------------------------------------------------------------- */

static int count_gram(struct cosmos__ngram *g, uint64_t recent)
{
        uint64_t key = gram_key(recent, g->order);
        int r = 1;

        /* All of a new n-gram's shorter ones must have room too. */
        if (g->grams.n + g->order > g->most && !g->grams.slots[find(&g->grams, key)].key)
                return 0;
        for (uint32_t order = g->order; r > 0 && order > 0; order--)
                r = count(&g->grams, gram_key(recent, order), 1, 0);
        return MIN(r, 0);
}

int cosmos__ngram_add(struct cosmos__ngram *g, const uint32_t *ids, size_t stride, size_t before, size_t n)
{
        uint64_t recent = past(g, ids, stride, before);

        for (size_t i = 0; i < n; i++) {
                uint32_t id = ids[i * stride];
                int r;

                recent = push(recent, id);
                r = count_gram(g, recent);
                if (r < 0)
                        return r;
                g->frequencies[id]++;
                g->total++;
        }
        return 0;
}

/* Equation 17, from how many n-grams have the counts 1, 2, 3 and 4. Calls are no words, and few: where a
 * discount comes out as nothing, or as the whole count, it is half the count. */
static void find_discounts(const double n[4], double ret[3])
{
        const double y = n[0] / (n[0] + 2 * n[1]);

        for (int i = 0; i < 3; i++) {
                const double c = i + 1;

                ret[i] = c - (c + 1) * y * n[i + 1] / n[i];
                if (!(ret[i] > 0 && ret[i] < c))
                        ret[i] = c / 2;
        }
}

static double discount(const struct cosmos__ngram *g, uint64_t gram, double times)
{
        return g->discounts[gram >> ORDER_SHIFT][times < 2 ? 0 : times < 3 ? 1 : 2];
}

int cosmos__ngram_fit(struct cosmos__ngram *g)
{
        double counts[COSMOS__NGRAM_ORDER_MAX + 1][4] = {{0}};

        for (size_t i = 0; i <= g->grams.mask; i++) {
                const struct slot *s = &g->grams.slots[i];

                if (s->key && s->count <= 4)
                        counts[s->key >> ORDER_SHIFT][(size_t)s->count - 1]++;
        }
        for (uint32_t order = 1; order <= g->order; order++)
                find_discounts(counts[order], g->discounts[order]);
        for (size_t i = 0; i <= g->grams.mask; i++) {
                const struct slot *s = &g->grams.slots[i];

                if (s->key && count(&g->contexts, context_key(s->key), s->count, discount(g, s->key, s->count)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* ---- probabilities ----------------------------------------------------------------------- */

/* Of the last of the `recent` ids. From the shortest context to the longest that is known; a longer one is not
 * known either. */
static double probability(const struct cosmos__ngram *g, uint64_t recent)
{
        double p = 1.0 / g->vocab;

        for (uint32_t order = 1; order <= g->order; order++) {
                const uint64_t key = gram_key(recent, order);
                const size_t context = find(&g->contexts, context_key(key));
                const double times = g->grams.slots[find(&g->grams, key)].count;

                if (!g->contexts.slots[context].key)
                        break;
                p = ((times > 0 ? times - discount(g, key, times) : 0) + g->contexts.mass[context] * p) /
                    g->contexts.slots[context].count;
        }
        return p;
}

double cosmos__ngram_p(const struct cosmos__ngram *g, const uint32_t *context, uint32_t id)
{
        uint64_t recent = 0;

        for (uint32_t i = 0; i + 1 < g->order; i++)
                recent = push(recent, context[i]);
        return probability(g, push(recent, id));
}

double cosmos__ngram_nll(const struct cosmos__ngram *g, const uint32_t *ids, size_t stride, size_t before, size_t n)
{
        uint64_t recent = past(g, ids, stride, before);
        double sum = 0;

        for (size_t i = 0; i < n; i++) {
                recent = push(recent, ids[i * stride]);
                sum -= log(probability(g, recent));
        }
        return sum;
}

double cosmos__unigram_nll(const struct cosmos__ngram *g, const uint32_t *ids, size_t stride, size_t n)
{
        double sum = 0;

        for (size_t i = 0; i < n; i++)
                sum -= log((g->frequencies[ids[i * stride]] + 1) / (g->total + g->vocab));
        return sum;
}

/* ---- the model ------------------------------------------------------------------------- */

int cosmos__ngram_new(struct cosmos__ngram **ret, uint32_t order, uint32_t vocab, size_t most)
{
        struct cosmos__ngram *g = calloc(1, sizeof(*g));

        if (!g)
                return -ENOMEM;
        g->order = order;
        g->vocab = vocab;
        g->most = most;
        if (table_init(&g->grams, FEWEST_SLOTS, false) < 0 || table_init(&g->contexts, FEWEST_SLOTS, true) < 0) {
                cosmos__ngram_free(g);
                return -ENOMEM;
        }
        *ret = g;
        return 0;
}

size_t cosmos__ngram_size(const struct cosmos__ngram *g)
{
        return g->grams.n;
}

struct cosmos__ngram *cosmos__ngram_free(struct cosmos__ngram *g)
{
        if (!g)
                return NULL;
        table_free(&g->grams);
        table_free(&g->contexts);
        free(g);
        return NULL;
}
