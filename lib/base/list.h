/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list with a head; a node that is in no list points to itself. */
#ifndef COSMOS_LIST_H
#define COSMOS_LIST_H

#include <stdbool.h>

struct cosmos__list {
        struct cosmos__list *next, *prev;
};

static inline void cosmos__list_init(struct cosmos__list *l)
{
        l->next = l->prev = l;
}

static inline bool cosmos__list_empty(const struct cosmos__list *l)
{
        return l->next == l;
}

/* Insert before `head`, which is: at the end of its list. */
static inline void cosmos__list_append(struct cosmos__list *head, struct cosmos__list *node)
{
        node->prev = head->prev;
        node->next = head;
        head->prev->next = node;
        head->prev = node;
}

static inline void cosmos__list_remove(struct cosmos__list *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
        cosmos__list_init(node);
}

#endif
