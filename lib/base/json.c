/* SPDX-License-Identifier: Apache-2.0 */
/* Outline: errors; strings; numbers; objects and arrays; any value. */
#include "base/json.h"

#include "base/base.h"

const char cosmos__json_no_memory[] = "out of memory";

bool cosmos__json_fail(struct cosmos__json *j, const void *at, const char *error)
{
        j->at = j->begin + ((const uint8_t *)at - j->begin);
        j->error = error;
        return false;
}

/* Take this byte if it comes next, behind any space. */
static bool take(struct cosmos__json *j, uint8_t c)
{
        cosmos__json_skip_space(j);
        if (j->at == j->end || *j->at != c)
                return false;
        j->at++;
        return true;
}

/* ---- strings --------------------------------------------------------------------------- */

static bool follows(const uint8_t *p, size_t n, size_t i)
{
        return i < n && (p[i] & 0xc0) == 0x80;
}

/* Length of the UTF-8 character of more than one byte among the `n` at `p` (RFC 3629), 0 if it is none. */
static size_t multibyte_length(const uint8_t *p, size_t n)
{
        if (p[0] >= 0xc2 && p[0] <= 0xdf)
                return follows(p, n, 1) ? 2 : 0;
        if (p[0] >= 0xe0 && p[0] <= 0xef) {
                if (!follows(p, n, 1) || !follows(p, n, 2))
                        return 0;
                return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3; /* overlong; surrogate */
        }
        if (p[0] >= 0xf0 && p[0] <= 0xf4) {
                if (!follows(p, n, 1) || !follows(p, n, 2) || !follows(p, n, 3))
                        return 0;
                return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
        }
        return 0;
}

/* Four hexadecimal digits; -1. */
static int32_t four_hex(const uint8_t *p, const uint8_t *end)
{
        uint8_t word[8] = {0};

        if (end - p < 4)
                return -1;
        memcpy(word, p, 4);
        return cosmos__before(cosmos__not_hex(cosmos__word(word))) < 4 ? -1
                                                                       : (int32_t)cosmos__hex(cosmos__word(word), 4);
}

/* The character of \uXXXX, or of a pair of them, at *p, which goes behind it. */
static bool unescape_unicode(struct cosmos__json *j, uint8_t **p, uint32_t *ret)
{
        const uint8_t *escape = *p;
        int32_t high = four_hex(escape + 2, j->end), low = -1;

        if (high < 0)
                return cosmos__json_fail(j, escape, "a bad escape in a string");
        if (high == 0)
                return cosmos__json_fail(j, escape, "a NUL in a string");
        *p += 6;
        *ret = (uint32_t)high;
        if (high < 0xd800 || high > 0xdfff)
                return true;
        if (high <= 0xdbff && j->end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u')
                low = four_hex(*p + 2, j->end);
        if (low < 0xdc00 || low > 0xdfff)
                return cosmos__json_fail(j, escape, "half a surrogate pair in a string");
        *p += 6;
        *ret = 0x10000 + ((*ret - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
        return true;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t c)
{
        if (c < 0x80) {
                *to++ = (uint8_t)c;
                return to;
        }
        if (c < 0x800) {
                *to++ = (uint8_t)(0xc0 | c >> 6);
        } else {
                if (c < 0x10000) {
                        *to++ = (uint8_t)(0xe0 | c >> 12);
                } else {
                        *to++ = (uint8_t)(0xf0 | c >> 18);
                        *to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
                }
                *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        }
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
        return to;
}

/* What the escape at *p stands for goes to *to; both go on. An escape is never shorter than that. */
static bool unescape(struct cosmos__json *j, uint8_t **p, uint8_t **to)
{
        static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        uint8_t c = j->end - *p >= 2 ? (*p)[1] : 0;
        const char *name = c ? strchr(names, c) : NULL;
        uint32_t character;

        if (c == 'u') {
                if (!unescape_unicode(j, p, &character))
                        return false;
                *to = put_utf8(*to, character);
                return true;
        }
        if (!name)
                return cosmos__json_fail(j, *p, "a bad escape in a string");
        *(*to)++ = (uint8_t)meant[name - names];
        *p += 2;
        return true;
}

static bool string(struct cosmos__json *j, const char **ret, size_t *ret_n)
{
        uint8_t *p = j->at + 1, *to = p;

        *ret = (const char *)p;
        while (p < j->end) {
                size_t n = 1;

                if (*p == '"') {
                        *to = 0;
                        *ret_n = (size_t)(to - (j->at + 1));
                        j->at = p + 1;
                        return true;
                }
                if (*p == '\\') {
                        if (!unescape(j, &p, &to))
                                return false;
                        continue;
                }
                if (*p < 0x20)
                        return cosmos__json_fail(j, p, *p ? "a control character in a string" : "a NUL byte");
                if (*p >= 0x80)
                        n = multibyte_length(p, (size_t)(j->end - p));
                if (n == 0)
                        return cosmos__json_fail(j, p, "invalid UTF-8 in a string");
                while (n-- > 0)
                        *to++ = *p++;
        }
        return cosmos__json_fail(j, j->at, "a string that does not end");
}

bool cosmos__json_key(struct cosmos__json *j, const char **ret)
{
        size_t n;

        cosmos__json_skip_space(j);
        if (j->at == j->end || *j->at != '"')
                return cosmos__json_fail(j, j->at, "a key was expected");
        if (!string(j, ret, &n))
                return false;
        if (!take(j, ':'))
                return cosmos__json_fail(j, j->at, "':' was expected");
        cosmos__json_skip_space(j);
        return true;
}

/* ---- numbers ----------------------------------------------------------------------------- */

/* One digit or more. */
static bool skip_digits(struct cosmos__json *j)
{
        const uint8_t *first = j->at;

        while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
                j->at++;
        return j->at > first || cosmos__json_fail(j, j->at, "a digit was expected");
}

/* What may follow the integer part; *ret_any: it does. A real number may be of any size. */
static bool skip_fraction(struct cosmos__json *j, bool *ret_any)
{
        const uint8_t *first = j->at;

        if (j->at < j->end && *j->at == '.') {
                j->at++;
                if (!skip_digits(j))
                        return false;
        }
        if (j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
                j->at++;
                if (j->at < j->end && (*j->at == '+' || *j->at == '-'))
                        j->at++;
                if (!skip_digits(j))
                        return false;
        }
        *ret_any = j->at > first;
        return true;
}

static bool number(struct cosmos__json *j, struct cosmos__json_value *ret)
{
        const uint8_t *first = j->at, *digits;
        bool negative = *j->at == '-', real;
        uint64_t v = 0, max = (uint64_t)INT64_MAX + negative;

        j->at += negative;
        digits = j->at;
        if (!skip_digits(j))
                return false;
        if (*digits == '0' && j->at - digits > 1)
                return cosmos__json_fail(j, digits, "a number with a leading zero");
        for (const uint8_t *p = digits; p < j->at && v <= max; p++) /* behind `max` there is room for one digit more */
                v = v > max / 10 ? UINT64_MAX : v * 10 + (*p - '0');
        if (!skip_fraction(j, &real))
                return false;
        if (!real && v > max)
                return cosmos__json_fail(j, first, "an integer that does not fit into 64 bits");
        ret->type = real ? COSMOS__JSON_OTHER : COSMOS__JSON_INTEGER;
        ret->integer = (int64_t)(negative ? 0 - v : v);
        return true;
}

/* ---- objects and arrays ---------------------------------------------------------------------- */

bool cosmos__json_remember(struct cosmos__json *j, const char *key)
{
        if (cosmos__buffer_append(&j->keys, &key, sizeof(key)) < 0)
                return cosmos__json_fail(j, j->at, cosmos__json_no_memory);
        return true;
}

/* Are the keys from byte `first` of the buffer on different from each other? They are forgotten. */
static bool unique(struct cosmos__json *j, size_t first)
{
        const char **keys;
        size_t n = (j->keys.size - first) / sizeof(*keys);

        if (n == 0)
                return true;
        keys = (const char **)(void *)(j->keys.data + first);
        j->keys.size = first;
        if (n == 1)
                return true;
        qsort(keys, n, sizeof(*keys), cosmos__compare_strings);
        for (size_t i = 1; i < n; i++)
                if (strcmp(keys[i - 1], keys[i]) == 0)
                        return cosmos__json_fail(j, MAX(keys[i - 1], keys[i]), "a key that came before");
        return true;
}

static bool skip(struct cosmos__json *j, unsigned int depth);

static bool skip_object(struct cosmos__json *j, unsigned int depth)
{
        size_t first = j->keys.size;
        const char *key;

        j->at++;
        if (take(j, '}'))
                return true;
        do {
                if (!cosmos__json_key(j, &key) || !cosmos__json_remember(j, key) || !skip(j, depth))
                        return false;
        } while (take(j, ','));
        if (!take(j, '}'))
                return cosmos__json_fail(j, j->at, "',' or '}' was expected");
        return unique(j, first);
}

int cosmos__json_element(struct cosmos__json *j, bool first)
{
        if (first)
                j->at++;
        if (take(j, ']'))
                return 0;
        if (first || take(j, ','))
                return 1;
        cosmos__json_fail(j, j->at, "',' or ']' was expected");
        return -1;
}

static bool skip_array(struct cosmos__json *j, unsigned int depth)
{
        int r;

        for (bool first = true; (r = cosmos__json_element(j, first)) > 0; first = false)
                if (!skip(j, depth))
                        return false;
        return r == 0;
}

/* Behind the object that is the whole input: 0. */
static int end(struct cosmos__json *j)
{
        cosmos__json_skip_space(j);
        if (j->at < j->end)
                cosmos__json_fail(j, j->at, *j->at ? "something behind the object" : "a NUL byte");
        else
                unique(j, 0);
        return j->error ? -1 : 0;
}

int cosmos__json_begin(struct cosmos__json *j, uint8_t *data, size_t n)
{
        *j = (struct cosmos__json){.begin = data, .at = data, .end = data + n, .keys = j->keys};
        j->keys.size = 0;
        if (!take(j, '{')) {
                cosmos__json_fail(j, j->at, "'{' was expected");
                return -1;
        }
        cosmos__json_skip_space(j);
        return take(j, '}') ? end(j) : 1;
}

int cosmos__json_next_slow(struct cosmos__json *j)
{
        if (take(j, ',')) {
                cosmos__json_skip_space(j);
                return 1;
        }
        if (take(j, '}'))
                return end(j);
        cosmos__json_fail(j, j->at, "',' or '}' was expected");
        return -1;
}

void cosmos__json_free(struct cosmos__json *j)
{
        cosmos__buffer_free(&j->keys);
        *j = (struct cosmos__json){0};
}

/* ---- any value ----------------------------------------------------------------------------------- */

static bool word(struct cosmos__json *j, const char *text)
{
        size_t n = strlen(text);

        if ((size_t)(j->end - j->at) < n || memcmp(j->at, text, n) != 0)
                return cosmos__json_fail(j, j->at, "a value was expected");
        j->at += n;
        return true;
}

/* A value within `depth` others. */
static bool value(struct cosmos__json *j, unsigned int depth, struct cosmos__json_value *ret)
{
        size_t n;

        ret->type = COSMOS__JSON_OTHER;
        cosmos__json_skip_space(j);
        switch (j->at < j->end ? *j->at : 0) {
        case '"':
                if (!string(j, &ret->text, &n))
                        return false;
                ret->type = COSMOS__JSON_STRING;
                ret->n = (uint32_t)n;
                return true;
        case '{':
        case '[':
                if (depth == COSMOS__JSON_DEPTH)
                        return cosmos__json_fail(j, j->at, "values within values, too many");
                return *j->at == '{' ? skip_object(j, depth + 1) : skip_array(j, depth + 1);
        case 't':
                return word(j, "true");
        case 'f':
                return word(j, "false");
        case 'n':
                return word(j, "null");
        default:
                if (j->at < j->end && (*j->at == '-' || (*j->at >= '0' && *j->at <= '9')))
                        return number(j, ret);
                return cosmos__json_fail(j, j->at, j->at < j->end && !*j->at ? "a NUL byte" : "a value was expected");
        }
}

static bool skip(struct cosmos__json *j, unsigned int depth)
{
        struct cosmos__json_value ignored;

        return value(j, depth, &ignored);
}

bool cosmos__json_value_slow(struct cosmos__json *j, struct cosmos__json_value *ret)
{
        return value(j, 1, ret);
}
