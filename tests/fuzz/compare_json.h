/* SPDX-License-Identifier: Apache-2.0 */
/* Does base/json.h read a line as jansson does? For a fuzz harness (C) and unit tests (C++). */
#ifndef COSMOS_TEST_COMPARE_JSON_H
#define COSMOS_TEST_COMPARE_JSON_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "base/json.h"
#ifdef __cplusplus
}
#endif

static inline int compare_value(const json_t *theirs, const struct cosmos__json_value *ours)
{
        if (!theirs)
                return 0;
        if (ours->type == COSMOS__JSON_STRING)
                return json_is_string(theirs) && json_string_length(theirs) == ours->n && ours->text[ours->n] == 0 &&
                       !memcmp(json_string_value(theirs), ours->text, ours->n);
        if (ours->type == COSMOS__JSON_INTEGER)
                return json_is_integer(theirs) && json_integer_value(theirs) == ours->integer;
        return !json_is_string(theirs) && !json_is_integer(theirs);
}

/* All members with our lexer; each must be `theirs`, which may be NULL. Sets *ret_same, and returns whether
 * this is JSON. */
static inline int compare_members(struct cosmos__json *j, uint8_t *data, size_t n, const json_t *theirs, int *ret_same)
{
        int next = cosmos__json_begin(j, data, n);
        size_t members = 0;

        *ret_same = 1;
        while (next > 0) {
                struct cosmos__json_value value;
                const char *key;

                if (!cosmos__json_key(j, &key) || !cosmos__json_remember(j, key) || !cosmos__json_value(j, &value))
                        return 0;
                *ret_same &= !theirs || compare_value(json_object_get(theirs, key), &value);
                members++;
                next = cosmos__json_next(j);
        }
        *ret_same &= !theirs || next < 0 || json_object_size(theirs) == members;
        return next == 0;
}

/*
 * NULL: they agree on whether this is an object of JSON, and on its members; else what they do not agree on.
 * Where they are meant not to: jansson overlooks a NUL byte behind the object, takes values nested up to 2048, and
 * does not take a real number that is too large for a double. We say an object only, jansson also an array.
 */
static inline const char *compare_with_jansson(const uint8_t *data, size_t n)
{
        uint8_t *copy = (uint8_t *)malloc(n ? n : 1); /* exactly as large: an over-read is seen */
        const char *fault = NULL;
        struct cosmos__json j;
        json_error_t error;
        json_t *theirs;
        int is_json, same;

        memset(&j, 0, sizeof(j));
        memset(&error, 0, sizeof(error));
        if (!copy)
                abort();
        if (n)
                memcpy(copy, data, n);
        theirs = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES, &error);
        if (theirs && !json_is_object(theirs)) {
                json_decref(theirs);
                theirs = NULL;
        }
        is_json = compare_members(&j, copy, n, theirs, &same);
        if (n && memchr(data, 0, n))
                fault = is_json ? "a NUL byte was taken" : NULL;
        else if (is_json && !theirs && strncmp(error.text, "real number overflow", 20) != 0)
                fault = "jansson does not take it";
        else if (!is_json && theirs && strcmp(j.error, "values within values, too many") != 0)
                fault = "jansson takes it";
        else if (is_json && !same)
                fault = "a member differs";
        if (!is_json && (!j.error || j.at < j.begin || j.at > j.end))
                fault = "an error without a text or a place";
        cosmos__json_free(&j);
        json_decref(theirs);
        free(copy);
        return fault;
}

#endif
