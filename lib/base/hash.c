/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cosmos__hash_init(struct cosmos__hash *h, size_t capacity)
{
        size_t n = 16;

        while (n < capacity && n <= SIZE_MAX / 4)
                n *= 2;
        h->buckets = calloc(n, sizeof(*h->buckets));
        if (!h->buckets)
                return -ENOMEM;
        h->mask = n - 1;
        h->n = 0;
        return 0;
}

void cosmos__hash_free(struct cosmos__hash *h)
{
        free(h->buckets);
        *h = (struct cosmos__hash){0};
}

void cosmos__hash_insert(struct cosmos__hash *h, struct cosmos__hash_node *node, uint64_t hash)
{
        struct cosmos__hash_node **bucket = &h->buckets[hash & h->mask];

        node->hash = hash;
        node->next = *bucket;
        *bucket = node;
        h->n++;
}

void cosmos__hash_remove(struct cosmos__hash *h, struct cosmos__hash_node *node)
{
        struct cosmos__hash_node **p = &h->buckets[node->hash & h->mask];

        while (*p != node)
                p = &(*p)->next;
        *p = node->next;
        h->n--;
}

static uint64_t word_at(const unsigned char *bytes)
{
        uint64_t word;

        memcpy(&word, bytes, sizeof(word));
        return word;
}

/* The last eight bytes, or all of fewer. */
static uint64_t last_bytes(const unsigned char *bytes, size_t n)
{
        uint32_t first, last;

        if (n >= 8)
                return word_at(bytes + n - 8);
        if (n < 4)
                return n == 0 ? 0 : bytes[0] | (uint64_t)bytes[n / 2] << 8 | (uint64_t)bytes[n - 1] << 16;
        memcpy(&first, bytes, sizeof(first));
        memcpy(&last, bytes + n - sizeof(last), sizeof(last));
        return first | (uint64_t)last << 32;
}

uint64_t cosmos__hash_bytes(const void *data, size_t n)
{
        const unsigned char *bytes = data;
        uint64_t h = n;

        for (size_t i = 0; i + 8 < n; i += 8) {
                h = (h ^ word_at(bytes + i)) * 0x9e3779b97f4a7c15u; /* the golden ratio: no pattern in it */
                h ^= h >> 32;
        }
        return cosmos__hash_mix(h ^ last_bytes(bytes, n));
}
