/* SPDX-License-Identifier: Apache-2.0 */
/* What of a token the sequencer and the scheme share. */
#ifndef COSMOS_TOKEN_H
#define COSMOS_TOKEN_H

#include <cosmos/sequence.h>

#include <stdbool.h>

/* Is it one that cosmos_token_scheme_parse() could have given? */
bool cosmos__token_scheme_valid(const struct cosmos_token_scheme *scheme);

static inline bool cosmos__token_has(const struct cosmos_token_scheme *scheme, enum cosmos_token_field field)
{
        return scheme->fields >> field & 1;
}

#endif
