/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/page.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#define QUOTED_ROOM 600 /* a name of an image fits whole */

static void append(struct cosmos__page *page, const char *data, size_t n)
{
        if (page->error == 0)
                page->error = cosmos__buffer_append(&page->text, data, n);
}

void cosmos__page_put(struct cosmos__page *page, const char *format, ...)
{
        char *text;
        va_list args;
        int n;

        va_start(args, format);
        n = vasprintf(&text, format, args);
        va_end(args);
        if (n < 0) {
                page->error = -ENOMEM;
                return;
        }
        append(page, text, (size_t)n);
        free(text);
}

void cosmos__page_number(struct cosmos__page *page, double value)
{
        json_auto_t *number = json_real(value);
        char *text = number ? json_dumps(number, JSON_ENCODE_ANY | JSON_REAL_PRECISION(5)) : NULL;

        if (text)
                append(page, text, strlen(text));
        else
                page->error = -ENOMEM;
        free(text);
}

/* What Markdown gives a meaning to within a line, GitHub's also: of ":" and "." only where a link would begin. */
static bool is_special(const char *text, const char *at)
{
        if (*at == ':')
                return at[1] == '/';
        if (*at == '.')
                return at > text && (at[-1] == 'w' || at[-1] == 'W');
        return strchr("\\`*_{}[]()#!|~$@^", *at) != NULL;
}

void cosmos__page_quote(struct cosmos__page *page, const char *text)
{
        char quoted[QUOTED_ROOM];

        cosmos__quote_str(quoted, sizeof(quoted), text);
        for (const char *at = quoted; *at; at++) {
                const char *entity = *at == '<' ? "&lt;" : *at == '>' ? "&gt;" : *at == '&' ? "&amp;" : NULL;

                if (entity)
                        append(page, entity, strlen(entity));
                else
                        cosmos__page_put(page, "%s%c", is_special(quoted, at) ? "\\" : "", *at);
        }
}

void cosmos__page_url(struct cosmos__page *page, const char *text)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

        for (; *text; text++)
                cosmos__page_put(page, strchr(plain, *text) ? "%c" : "%%%02X", (unsigned char)*text);
}

void cosmos__page_free(struct cosmos__page *page)
{
        cosmos__buffer_free(&page->text);
}
