/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to tokens, by a scheme. */
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

struct cosmos__tokenizer {
        const cosmos_vocab *vocab;
        struct cosmos_token_scheme scheme;
        struct cosmos__call_traits *traits; /* of each name of the vocabulary */
};

/* `scheme` NULL: "name,errno". -ENOMEM; -EINVAL: the scheme is none. */
int cosmos__tokenizer_init(struct cosmos__tokenizer *ret, const cosmos_vocab *vocab,
                           const struct cosmos_token_scheme *scheme, struct cosmos_diag *reterr);
void cosmos__tokenizer_free(struct cosmos__tokenizer *tokenizer);

/* The fields of a call, which are those of the event alone. */
void cosmos__token_fields(const struct cosmos__tokenizer *tokenizer, const struct cosmos_event *event,
                          struct cosmos_token *ret);

/* Numbers that a sequence must have room for, 0 at its start; 0 where the scheme has no frequency. */
size_t cosmos__token_history(const struct cosmos__tokenizer *tokenizer);
/* The frequency of call number `calls`, from 1, of a sequence, by name. */
float cosmos__token_frequency(const struct cosmos__tokenizer *tokenizer, uint16_t *history, uint64_t calls,
                              uint32_t name);

#endif
