/* SPDX-License-Identifier: Apache-2.0 */
/* The scheme of tokens and its text. */
#include "base/base.h"
#include "sequence/token.h"

#include <errno.h>
#include <string.h>

#define ALL_FIELDS ((1u << COSMOS_TOKEN_FIELDS) - 1)

/* The classes of "size", by how many there are for each octave. */
static const struct {
        const char *name;
        uint32_t per_octave;
} sizes[] = {{"octave", 1}, {"half", 2}, {"quarter", 4}};

COSMOS_API const char *cosmos_token_field_name(enum cosmos_token_field field)
{
        static const char *const names[] = {"name", "errno", "size", "fd", "path", "args"};

        return (size_t)field < ARRAY_SIZE(names) ? names[field] : NULL;
}

COSMOS_API uint32_t cosmos_token_field_size(const struct cosmos_token_scheme *scheme, enum cosmos_token_field field)
{
        if (!cosmos_token_field_name(field) || !cosmos__token_has(scheme, field))
                return 0;
        switch (field) {
        case COSMOS_TOKEN_NAME:
                break;
        case COSMOS_TOKEN_ERRNO:
                return COSMOS_TOKEN_ERRNO_SIZE;
        case COSMOS_TOKEN_SIZE: /* the first three, and octaves from 2^5 to 2^63 */
                return 3 + 59 * scheme->size;
        case COSMOS_TOKEN_FD:
                return COSMOS_FD_OTHER + 1;
        case COSMOS_TOKEN_PATH:
                return COSMOS_PATH_OTHER + 1;
        case COSMOS_TOKEN_ARGS:
                return COSMOS_ARGS_CLASSES;
        }
        return 0;
}

static const char *size_name(uint32_t per_octave)
{
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
                if (sizes[i].per_octave == per_octave)
                        return sizes[i].name;
        return NULL;
}

bool cosmos__token_scheme_valid(const struct cosmos_token_scheme *scheme)
{
        return cosmos__token_has(scheme, COSMOS_TOKEN_NAME) && scheme->fields <= ALL_FIELDS &&
               (cosmos__token_has(scheme, COSMOS_TOKEN_SIZE) ? size_name(scheme->size) != NULL : scheme->size == 0) &&
               scheme->frequency <= COSMOS_TOKEN_FREQUENCY_MAX;
}

/* Does the text go on with `word`? It is passed over then. */
static bool take(const char **text, const char *word)
{
        const size_t n = strlen(word);

        if (strncmp(*text, word, n) != 0)
                return false;
        *text += n;
        return true;
}

static bool take_size(const char **text, uint32_t *ret)
{
        if (!take(text, "/"))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
                if (take(text, sizes[i].name)) {
                        *ret = sizes[i].per_octave;
                        return true;
                }
        return false;
}

/* "/CALLS": digits without a sign or a leading zero. */
static bool take_frequency(const char **text, uint32_t *ret)
{
        uint32_t n = 0;

        if (!take(text, "/") || **text == '0')
                return false;
        for (; **text >= '0' && **text <= '9' && n <= COSMOS_TOKEN_FREQUENCY_MAX; ++*text)
                n = n * 10 + (uint32_t)(**text - '0');
        *ret = n;
        return n >= 1 && n <= COSMOS_TOKEN_FREQUENCY_MAX;
}

/* One word of the text; `*next` is the first field that it may be. */
static bool take_word(const char **text, uint32_t *next, struct cosmos_token_scheme *ret)
{
        for (uint32_t field = *next; field < COSMOS_TOKEN_FIELDS; field++)
                if (take(text, cosmos_token_field_name((enum cosmos_token_field)field))) {
                        ret->fields |= 1u << field;
                        *next = field + 1;
                        return field != COSMOS_TOKEN_SIZE || take_size(text, &ret->size);
                }
        return ret->frequency == 0 && take(text, "frequency") && take_frequency(text, &ret->frequency);
}

static bool parse(struct cosmos_token_scheme *ret, const char *text)
{
        uint32_t next = 0;

        do {
                if (ret->frequency || !take_word(&text, &next, ret))
                        return false;
        } while (take(&text, ","));
        return !*text && cosmos__token_has(ret, COSMOS_TOKEN_NAME);
}

COSMOS_API int cosmos_token_scheme_parse(struct cosmos_token_scheme *ret, const char *text, struct cosmos_diag *reterr)
{
        struct cosmos_token_scheme scheme = {0};
        char quoted[80];

        if (!ret || !text)
                return cosmos__fail(reterr, -EINVAL, "token scheme: `ret` and `text` must not be NULL");
        if (!parse(&scheme, text))
                return cosmos__fail(
                    reterr, -EINVAL,
                    "'%s' is no scheme of tokens; it must be 'name', then any of 'errno', "
                    "'size/octave|half|quarter', 'fd', 'path', 'args', 'frequency/1..%u', in this order, "
                    "with commas between and no spaces",
                    cosmos__quote_str(quoted, sizeof(quoted), text), COSMOS_TOKEN_FREQUENCY_MAX);
        *ret = scheme;
        return 0;
}

static void append(char *buf, size_t size, const char *comma, const char *word, const char *value)
{
        const size_t n = strlen(buf);

        snprintf(buf + n, size - n, "%s%s%s%s", comma, word, value ? "/" : "", value ? value : "");
}

COSMOS_API const char *cosmos_token_scheme_text(const struct cosmos_token_scheme *scheme, char *buf, size_t size)
{
        char calls[16];

        if (size == 0)
                return buf;
        *buf = 0;
        for (enum cosmos_token_field f = COSMOS_TOKEN_NAME; f < COSMOS_TOKEN_FIELDS; f++)
                if (cosmos__token_has(scheme, f))
                        append(buf, size, f > COSMOS_TOKEN_NAME ? "," : "", cosmos_token_field_name(f),
                               f == COSMOS_TOKEN_SIZE ? size_name(scheme->size) : NULL);
        snprintf(calls, sizeof(calls), "%u", scheme->frequency);
        if (scheme->frequency)
                append(buf, size, ",", "frequency", calls);
        return buf;
}
