/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive hash table: the node is part of the caller's struct, so that an
 * insertion allocates nothing. Chained; the number of buckets is fixed when it
 * is made, since every table of ours has a stated limit.
 */
#ifndef COSMOS_HASH_H
#define COSMOS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct cosmos__hash_node {
        struct cosmos__hash_node *next;
        uint64_t hash;
};

struct cosmos__hash {
        struct cosmos__hash_node **buckets;
        size_t mask;
        size_t n; /* nodes */
};

/* For up to about `capacity` nodes. 0 or -ENOMEM. */
int cosmos__hash_init(struct cosmos__hash *h, size_t capacity);
/* Frees the buckets; the nodes are the caller's. */
void cosmos__hash_free(struct cosmos__hash *h);

void cosmos__hash_insert(struct cosmos__hash *h, struct cosmos__hash_node *node, uint64_t hash);
void cosmos__hash_remove(struct cosmos__hash *h, struct cosmos__hash_node *node);

/* First node of the bucket; walk on with ->next, compare ->hash, then the key. */
static inline struct cosmos__hash_node *cosmos__hash_first(const struct cosmos__hash *h, uint64_t hash)
{
        return h->buckets[hash & h->mask];
}

/* Finalizer of splitmix64 (Steele et al. 2014): every input bit reaches every output bit. */
static inline uint64_t cosmos__hash_mix(uint64_t x)
{
        x ^= x >> 30;
        x *= 0xbf58476d1ce4e5b9u;
        x ^= x >> 27;
        x *= 0x94d049bb133111ebu;
        return x ^ x >> 31;
}

uint64_t cosmos__hash_bytes(const void *data, size_t n);

#endif
