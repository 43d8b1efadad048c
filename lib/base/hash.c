/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>

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

uint64_t cosmos__hash_bytes(const void *data, size_t n)
{
        const unsigned char *bytes = data;
        uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, then mixed */

        for (size_t i = 0; i < n; i++)
                h = (h ^ bytes[i]) * 0x100000001b3u;
        return cosmos__hash_mix(h);
}
