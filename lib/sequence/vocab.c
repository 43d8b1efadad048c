/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"
#include "base/hash.h"

#include <cosmos/sequence.h>

#include <errno.h>
#include <string.h>

struct word {
        struct cosmos__hash_node node;
        char *name;
};

struct cosmos_vocab {
        struct cosmos__hash by_name;
        size_t n;
        struct word words[]; /* index = id */
};

static const char *const reserved[] = {
    [COSMOS_VOCAB_START] = "<start>",
    [COSMOS_VOCAB_UNKNOWN] = "<unknown>",
};

static void vocab_freep(cosmos_vocab **vocab)
{
        cosmos_vocab_free(*vocab);
}

static const struct word *find(const cosmos_vocab *vocab, const char *name, uint64_t hash)
{
        for (const struct cosmos__hash_node *node = cosmos__hash_first(&vocab->by_name, hash); node;
             node = node->next) {
                const struct word *word = (const void *)((const char *)node - offsetof(struct word, node));

                if (node->hash == hash && !strcmp(word->name, name))
                        return word;
        }
        return NULL;
}

static int check(const char *name, size_t id, struct cosmos_diag *reterr)
{
        char quoted[64];

        if (!name || !*name)
                return cosmos__fail(reterr, -EINVAL, "vocabulary: the name of id %zu is empty", id);
        if (id < ARRAY_SIZE(reserved) && strcmp(name, reserved[id]) != 0)
                return cosmos__fail(reterr, -EINVAL, "vocabulary: id %zu is '%s'; it must be '%s'", id,
                                    cosmos__quote_str(quoted, sizeof(quoted), name), reserved[id]);
        return 0;
}

static int add(cosmos_vocab *vocab, const char *name, struct cosmos_diag *reterr)
{
        uint64_t hash = cosmos__hash_bytes(name, strlen(name));
        const struct word *twin = find(vocab, name, hash);
        struct word *word = &vocab->words[vocab->n];
        char quoted[64];

        if (twin)
                return cosmos__fail(reterr, -EINVAL, "vocabulary: ids %td and %zu are both '%s'; names must be unique",
                                    twin - vocab->words, vocab->n, cosmos__quote_str(quoted, sizeof(quoted), name));
        word->name = strdup(name);
        if (!word->name)
                return cosmos__fail(reterr, -ENOMEM, "vocabulary: out of memory");
        cosmos__hash_insert(&vocab->by_name, &word->node, hash);
        vocab->n++;
        return 0;
}

COSMOS_API int cosmos_vocab_new(cosmos_vocab **ret, const char *const *names, size_t n, struct cosmos_diag *reterr)
{
        _cleanup_(vocab_freep) cosmos_vocab *vocab = NULL;
        int r;

        if (!ret || !names)
                return cosmos__fail(reterr, -EINVAL, "vocabulary: `ret` and `names` must not be NULL");
        if (n < ARRAY_SIZE(reserved) || n > COSMOS_VOCAB_MAX)
                return cosmos__fail(reterr, -EINVAL,
                                    "vocabulary: %zu names; there must be 2 to %u, '%s' and '%s' first", n,
                                    COSMOS_VOCAB_MAX, reserved[0], reserved[1]);

        vocab = calloc(1, sizeof(*vocab) + n * sizeof(vocab->words[0]));
        if (!vocab || cosmos__hash_init(&vocab->by_name, n) < 0)
                return cosmos__fail(reterr, -ENOMEM, "vocabulary: out of memory");
        for (size_t i = 0; i < n; i++) {
                r = check(names[i], i, reterr);
                if (r < 0)
                        return r;
                r = add(vocab, names[i], reterr);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(vocab);
        return 0;
}

COSMOS_API size_t cosmos_vocab_size(const cosmos_vocab *vocab)
{
        return vocab->n;
}

COSMOS_API const char *cosmos_vocab_name(const cosmos_vocab *vocab, uint32_t id)
{
        return id < vocab->n ? vocab->words[id].name : NULL;
}

COSMOS_API uint32_t cosmos_vocab_id(const cosmos_vocab *vocab, const char *name)
{
        const struct word *word = name ? find(vocab, name, cosmos__hash_bytes(name, strlen(name))) : NULL;

        return word ? (uint32_t)(word - vocab->words) : COSMOS_VOCAB_UNKNOWN;
}

COSMOS_API cosmos_vocab *cosmos_vocab_free(cosmos_vocab *vocab)
{
        if (!vocab)
                return NULL;
        for (size_t i = 0; i < vocab->n; i++)
                free(vocab->words[i].name);
        cosmos__hash_free(&vocab->by_name);
        free(vocab);
        return NULL;
}
