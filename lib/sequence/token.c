/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence/token.h"

#include "base/base.h"
#include "syscall/syscall.h"

#include <errno.h>

/* What the name of a call says of its other fields, looked up once. */
struct cosmos__call_traits {
        const struct cosmos__args_rule *args;
        bool moves_bytes;
};

_Static_assert(COSMOS_VOCAB_MAX <= UINT16_MAX + 1u && COSMOS_TOKEN_FREQUENCY_MAX <= UINT16_MAX,
               "ids and counts of a history have 16 bits");

static struct cosmos__call_traits traits_of(const char *syscall)
{
        return (struct cosmos__call_traits){cosmos__args_rule(syscall), cosmos_moves_bytes(syscall)};
}

int cosmos__tokenizer_init(struct cosmos__tokenizer *ret, const cosmos_vocab *vocab,
                           const struct cosmos_token_scheme *scheme, struct cosmos_diag *reterr)
{
        const struct cosmos_token_scheme usual = {.fields = 1u << COSMOS_TOKEN_NAME | 1u << COSMOS_TOKEN_ERRNO};
        const size_t n = cosmos_vocab_size(vocab);

        ret->vocab = vocab;
        ret->scheme = scheme ? *scheme : usual;
        if (!cosmos__token_scheme_valid(&ret->scheme))
                return cosmos__fail(reterr, -EINVAL,
                                    "cosmos_token_scheme: fields %#x, size %u, frequency %u are no scheme of tokens",
                                    ret->scheme.fields, ret->scheme.size, ret->scheme.frequency);
        ret->traits = calloc(n, sizeof(*ret->traits));
        if (!ret->traits)
                return -ENOMEM;
        for (uint32_t id = 0; id < n; id++)
                ret->traits[id] = traits_of(cosmos_vocab_name(vocab, id));
        return 0;
}

void cosmos__tokenizer_free(struct cosmos__tokenizer *tokenizer)
{
        free(tokenizer->traits);
}

static uint32_t errno_id(const struct cosmos_event *e)
{
        if (!(e->known & COSMOS_KNOWN_RET) || e->ret >= 0 || e->ret < -4095) /* an address may look negative */
                return 0;
        return e->ret >= -(int64_t)(COSMOS_TOKEN_ERRNO_SIZE - 2) ? (uint32_t)-e->ret : COSMOS_TOKEN_ERRNO_SIZE - 1;
}

/* By the result, else by the class that the source gives, which has two for each octave. */
static uint32_t size_id(const struct cosmos_event *e, uint32_t per_octave, bool moves_bytes)
{
        if (moves_bytes && (e->known & COSMOS_KNOWN_RET))
                return e->ret > 0 ? cosmos__size_class((uint64_t)e->ret, per_octave) : 0;
        if (!(e->known & COSMOS_KNOWN_SIZE_CLASS) || per_octave > 2)
                return 0;
        return per_octave == 2 || e->size_class < 3 ? e->size_class : 3 + (e->size_class - 3) / 2;
}

static uint32_t path_id(const struct cosmos_event *e)
{
        return e->known & COSMOS_KNOWN_PATH_CLASS ? e->path_class : cosmos_path_class_of(e->path);
}

void cosmos__token_fields(const struct cosmos__tokenizer *t, const struct cosmos_event *e, struct cosmos_token *ret)
{
        const struct cosmos_token_scheme *scheme = &t->scheme;
        uint32_t name = cosmos_vocab_id(t->vocab, e->syscall);
        struct cosmos__call_traits traits;

        if (name == COSMOS_VOCAB_START) /* no call has that name */
                name = COSMOS_VOCAB_UNKNOWN;
        *ret = (struct cosmos_token){.field[COSMOS_TOKEN_NAME] = name};
        if (cosmos__token_has(scheme, COSMOS_TOKEN_ERRNO))
                ret->field[COSMOS_TOKEN_ERRNO] = errno_id(e);
        if (scheme->fields < 1u << COSMOS_TOKEN_SIZE)
                return;
        traits = name == COSMOS_VOCAB_UNKNOWN ? traits_of(e->syscall) : t->traits[name];
        if (cosmos__token_has(scheme, COSMOS_TOKEN_SIZE))
                ret->field[COSMOS_TOKEN_SIZE] = size_id(e, scheme->size, traits.moves_bytes);
        if (cosmos__token_has(scheme, COSMOS_TOKEN_FD) && (e->known & COSMOS_KNOWN_FD_KIND))
                ret->field[COSMOS_TOKEN_FD] = e->fd_kind;
        if (cosmos__token_has(scheme, COSMOS_TOKEN_PATH))
                ret->field[COSMOS_TOKEN_PATH] = path_id(e);
        if (cosmos__token_has(scheme, COSMOS_TOKEN_ARGS))
                ret->field[COSMOS_TOKEN_ARGS] = cosmos__args_class(traits.args, e);
}

/* ---- frequency: the names of the latest calls, a ring, and how often each is among them ---------- */

size_t cosmos__token_history(const struct cosmos__tokenizer *t)
{
        return t->scheme.frequency ? t->scheme.frequency + cosmos_vocab_size(t->vocab) : 0;
}

float cosmos__token_frequency(const struct cosmos__tokenizer *t, uint16_t *history, uint64_t calls, uint32_t name)
{
        const uint32_t window = t->scheme.frequency;
        uint16_t *latest = &history[(calls - 1) % window], *counts = history + window;

        if (calls > window)
                counts[*latest]--;
        *latest = (uint16_t)name;
        counts[name]++;
        return (float)counts[name] / (float)MIN(calls, window);
}
