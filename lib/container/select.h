/* SPDX-License-Identifier: Apache-2.0 */
/* Which containers a person asked for: names, id prefixes, images. */
#ifndef COSMOS_CONTAINER_SELECT_H
#define COSMOS_CONTAINER_SELECT_H

#include <cosmos/error.h>

#include <stdbool.h>
#include <stddef.h>

struct cosmos__select {
        char **words;
        size_t n;
};

/* Copies the words. On failure there is nothing to free. */
int cosmos__select_init(struct cosmos__select *ret, const char *const *words, size_t n, struct cosmos_diag *reterr);
void cosmos__select_free(struct cosmos__select *select);

/* Is this container asked for? Where no word was given, any is. Each of the three may be NULL: not known. */
bool cosmos__select_match(const struct cosmos__select *select, const char *id, const char *name, const char *image);

#endif
