/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a network is measured against: how likely calls are by their frequency alone (with one added
 * to each count), and by the few calls before them (an interpolated n-gram model with modified
 * Kneser-Ney smoothing).
 *
 * Each context's distribution, over all ids of the vocabulary, sums to 1. What comes before a sequence's
 * first call is "<start>", as often as the order needs.
 *
 * Source: Chen & Goodman 1999, An empirical study of smoothing techniques for language modeling,
 * section 3 and equations 14 to 17.
 */
#ifndef COSMOS_NGRAM_H
#define COSMOS_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#define COSMOS__NGRAM_ORDER_MAX 5u
/* A bound that keeps it under half a GB. */
#define COSMOS__NGRAM_MOST ((size_t)1 << 22)

struct cosmos__ngram;

/* Of `order` calls, the last of which is predicted: 1 .. COSMOS__NGRAM_ORDER_MAX; of `vocab` ids, up to
 * COSMOS_VOCAB_MAX. It has up to `most` different n-grams of all orders: what comes after
 * that counts only if it is known already. */
int cosmos__ngram_new(struct cosmos__ngram **ret, uint32_t order, uint32_t vocab, size_t most);

/* Learn a piece of a sequence: `n` calls, whose ids are ids[0], ids[stride], ...; `before` calls of the
 * sequence stand before ids[0], and are their past. 0 or -ENOMEM. */
int cosmos__ngram_add(struct cosmos__ngram *g, const uint32_t *ids, size_t stride, size_t before, size_t n);

/* After the last add(), before the first question. 0 or -ENOMEM. */
int cosmos__ngram_fit(struct cosmos__ngram *g);

/* Negative log-likelihood, in nats, of a piece: the sum over its calls. */
double cosmos__ngram_nll(const struct cosmos__ngram *g, const uint32_t *ids, size_t stride, size_t before, size_t n);
/* The same by frequency alone. */
double cosmos__unigram_nll(const struct cosmos__ngram *g, const uint32_t *ids, size_t stride, size_t n);

/* The probability of `id` after the order - 1 calls of `context`, oldest first. */
double cosmos__ngram_p(const struct cosmos__ngram *g, const uint32_t *context, uint32_t id);

/* Different n-grams that it has. */
size_t cosmos__ngram_size(const struct cosmos__ngram *g);

/* Takes NULL. Returns NULL. */
struct cosmos__ngram *cosmos__ngram_free(struct cosmos__ngram *g);

#endif
