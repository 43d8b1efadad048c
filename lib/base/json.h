/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lexer of JSON (RFC 8259) for input that comes by the million lines: strings are
 * unescaped where they stand, numbers are read where they stand, and nothing is allocated
 * for what is expected. Pure: it reads and writes data[0..n) and nothing else.
 *
 * A reader goes from token to token; `at` is where it is. What is common (a plain string, an
 * integer, a key that was expected) is read here, eight bytes at a time, so that it becomes part
 * of the reader's own loop; all else, and every error, is json.c's.
 *
 * Strict: an object's keys are unique, strings are valid UTF-8 without control characters, NUL or
 * lone surrogates, integers fit into 64 bits, values are nested up to COSMOS__JSON_DEPTH.
 */
#ifndef COSMOS_JSON_H
#define COSMOS_JSON_H

#include "base/buffer.h"

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define COSMOS__JSON_DEPTH 256

extern const char cosmos__json_no_memory[]; /* the one `error` that the input is not to blame for */

struct cosmos__json {
        uint8_t *begin, *at, *end;
        const char *error;          /* what is wrong at `at`; NULL: nothing yet. Static. */
        struct cosmos__buffer keys; /* of objects that are read, as const char *, but of those that the reader knows */
};

enum cosmos__json_type {
        COSMOS__JSON_STRING,
        COSMOS__JSON_INTEGER,
        COSMOS__JSON_OTHER, /* anything else */
};

struct cosmos__json_value {
        enum cosmos__json_type type;
        size_t n; /* STRING: bytes of `text`, without the NUL behind them */
        union {
                const char *text;
                int64_t integer;
        };
};

static inline void cosmos__json_skip_space(struct cosmos__json *j)
{
        while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
                j->at++;
}

/* The functions below return false, or a negative number, with `error` set. */

/* Begin with an object. 1: up to its first member's key; 0: it has none, and nothing follows. */
int cosmos__json_begin(struct cosmos__json *j, uint8_t *data, size_t n);
/* A member's key and its colon, up to its value. */
bool cosmos__json_key(struct cosmos__json *j, const char **ret);
/* A value. What is no string or integer is read over, and checked all the same. */
bool cosmos__json_value_slow(struct cosmos__json *j, struct cosmos__json_value *ret);
/* Behind a member's value. 1: up to the next member's key; 0: there is none, and nothing follows. */
int cosmos__json_next_slow(struct cosmos__json *j);
/* An array, `first` at its start, then behind an element. 1: up to the next element; 0: behind its end. */
int cosmos__json_element(struct cosmos__json *j, bool first);
/* Remember a key that the reader does not know: at the object's end it is an error if it came twice. */
bool cosmos__json_remember(struct cosmos__json *j, const char *key);
bool cosmos__json_fail(struct cosmos__json *j, const void *at, const char *error);
void cosmos__json_free(struct cosmos__json *j);

/* Bytes from the start of the input, and one: where `at` is. */
static inline size_t cosmos__json_column(const struct cosmos__json *j)
{
        return (size_t)(j->at - j->begin) + 1;
}

/* ---- eight bytes at a time ------------------------------------------------------------- */

/* A word has the first byte in its lowest eight bits. A mask of bytes has each one's top bit
 * set; only its first one is exact, for carries and borrows go from such a byte to those behind. */
#define COSMOS__EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

static inline uint64_t cosmos__word(const uint8_t *p)
{
        uint64_t word;

        memcpy(&word, p, sizeof(word));
        return le64toh(word);
}

/* How many bytes come before the first one of a mask; `mask` must not be 0. */
static inline unsigned cosmos__before(uint64_t mask)
{
        return (unsigned)__builtin_ctzll(mask) / 8;
}

/* What can't simply stay as it is in a string: ", \, control characters, what is not ASCII. */
static inline uint64_t cosmos__not_plain(uint64_t word)
{
        uint64_t quote = word ^ COSMOS__EACH_BYTE('"'), backslash = word ^ COSMOS__EACH_BYTE('\\');

        return (word | (word - COSMOS__EACH_BYTE(0x20)) | (quote - COSMOS__EACH_BYTE(1)) |
                (backslash - COSMOS__EACH_BYTE(1))) &
               COSMOS__EACH_BYTE(0x80);
}

static inline uint64_t cosmos__not_digit(uint64_t word)
{
        uint64_t digits = word ^ COSMOS__EACH_BYTE('0');

        return (digits | (digits + COSMOS__EACH_BYTE(0x76))) & COSMOS__EACH_BYTE(0x80);
}

/* The number that a word's first `n` bytes, 1 to 8 digits, are: neighbours become one number of two
 * digits, these one of four, and these one of eight. */
static inline uint64_t cosmos__digits(uint64_t word, unsigned n)
{
        uint64_t x = (word ^ COSMOS__EACH_BYTE('0')) << (64 - 8 * n);

        x = (x * 10 + (x >> 8)) & 0x00ff00ff00ff00ff;
        x = (x * 100 + (x >> 16)) & 0x0000ffff0000ffff;
        return (x * 10000 + (x >> 32)) & 0xffffffff;
}

static inline uint64_t cosmos__not_hex(uint64_t word)
{
        uint64_t letters = (word | COSMOS__EACH_BYTE(0x20)) ^ COSMOS__EACH_BYTE(0x60); /* a to f: 1 to 6 */

        return cosmos__not_digit(word) &
               (letters | (letters - COSMOS__EACH_BYTE(1)) | (letters + COSMOS__EACH_BYTE(0x79)));
}

/* Likewise of 1 to 8 hexadecimal digits. */
static inline uint64_t cosmos__hex(uint64_t word, unsigned n)
{
        uint64_t x = (word & COSMOS__EACH_BYTE(0x0f)) + (word >> 6 & COSMOS__EACH_BYTE(1)) * 9;

        x <<= 64 - 8 * n;
        x = (x << 4 | x >> 8) & 0x00ff00ff00ff00ff;
        x = (x << 8 | x >> 16) & 0x0000ffff0000ffff;
        return (x << 16 | x >> 32) & 0xffffffff;
}

/* ---- what is common ----------------------------------------------------------------------- */

#define COSMOS__JSON_KEY_ROOM 24

/* A key as it stands in a line, with its quotes and colon: COSMOS__JSON_KEY("pid"). */
struct cosmos__json_key {
        uint8_t text[COSMOS__JSON_KEY_ROOM];
        size_t n;
};

#define COSMOS__JSON_KEY(name)                                                                                         \
        {                                                                                                              \
                .text = "\"" name "\":", .n = sizeof(name) + 2                                                         \
        }

/* If just this key is next, without a space or an escape, go to its value. */
static inline bool cosmos__json_expect(struct cosmos__json *j, const struct cosmos__json_key *key)
{
        /* ones + 24 - n has n bytes of ones, then zeros. */
        static const uint8_t ones[2 * COSMOS__JSON_KEY_ROOM] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                                255, 255, 255, 255, 255, 255, 255, 255,
                                                                255, 255, 255, 255, 255, 255, 255, 255};
        const uint8_t *mask = ones + COSMOS__JSON_KEY_ROOM - key->n, *text = j->at;
        uint8_t last[COSMOS__JSON_KEY_ROOM];
        uint64_t difference;

        if (j->end - text < COSMOS__JSON_KEY_ROOM) {
                memset(last, 0, sizeof(last));
                memcpy(last, text, (size_t)(j->end - text));
                text = last;
        }
        difference = (cosmos__word(text) ^ cosmos__word(key->text)) & cosmos__word(mask);
        difference |= (cosmos__word(text + 8) ^ cosmos__word(key->text + 8)) & cosmos__word(mask + 8);
        difference |= (cosmos__word(text + 16) ^ cosmos__word(key->text + 16)) & cosmos__word(mask + 16);
        if (difference)
                return false;
        j->at += key->n;
        return true;
}

/* Up to 16 digits, and a sign. */
static inline bool cosmos__json_integer_fast(struct cosmos__json *j, struct cosmos__json_value *ret)
{
        static const uint64_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
        uint8_t *p = j->at + (*j->at == '-');
        uint64_t word, mask, v;
        unsigned n;

        if (j->end - p < 24)
                return false;
        word = cosmos__word(p);
        mask = cosmos__not_digit(word);
        n = mask ? cosmos__before(mask) : 8;
        if (n == 0 || (*p == '0' && n > 1))
                return false;
        v = cosmos__digits(word, n);
        p += n;
        if (n == 8) {
                word = cosmos__word(p);
                mask = cosmos__not_digit(word);
                n = mask ? cosmos__before(mask) : 8;
                if (n > 0)
                        v = v * power[n] + cosmos__digits(word, n);
                p += n;
        }
        if (*p != ',' && *p != '}') /* more digits; a real number */
                return false;
        ret->type = COSMOS__JSON_INTEGER;
        ret->integer = *j->at == '-' ? -(int64_t)v : (int64_t)v;
        j->at = p;
        return true;
}

/* A string with nothing to unescape or check. */
static inline bool cosmos__json_string_fast(struct cosmos__json *j, struct cosmos__json_value *ret)
{
        uint8_t *text = j->at + 1, *p = text;

        for (; j->end - p >= 8; p += 8) {
                uint64_t mask = cosmos__not_plain(cosmos__word(p));

                if (!mask)
                        continue;
                p += cosmos__before(mask);
                if (*p != '"')
                        return false;
                *p = 0;
                j->at = p + 1;
                ret->type = COSMOS__JSON_STRING;
                ret->n = (size_t)(p - text);
                ret->text = (const char *)text;
                return true;
        }
        return false;
}

static inline bool cosmos__json_value(struct cosmos__json *j, struct cosmos__json_value *ret)
{
        if (j->at < j->end && (*j->at == '"' ? cosmos__json_string_fast(j, ret) : cosmos__json_integer_fast(j, ret)))
                return true;
        return cosmos__json_value_slow(j, ret);
}

static inline int cosmos__json_next(struct cosmos__json *j)
{
        if (j->end - j->at < 2 || j->at[0] != ',' || j->at[1] != '"')
                return cosmos__json_next_slow(j);
        j->at++;
        return 1;
}

#endif
