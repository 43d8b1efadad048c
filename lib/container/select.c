/* SPDX-License-Identifier: Apache-2.0 */
#include "container/select.h"

#include "base/base.h"
#include "container/cgroup.h"

#include <errno.h>
#include <string.h>

#define ID_PREFIX_MIN 4

int cosmos__select_init(struct cosmos__select *ret, const char *const *words, size_t n, struct cosmos_diag *reterr)
{
        struct cosmos__select select = {0};

        if (n && !words)
                return cosmos__fail(reterr, -EINVAL, "container selection: n_select is %zu, but select is NULL", n);
        for (size_t i = 0; i < n; i++)
                if (!words[i] || !*words[i])
                        return cosmos__fail(
                            reterr, -EINVAL,
                            "container selection: word %zu is empty; give a container's name, 4 or more "
                            "digits of its id, or its image",
                            i + 1);
        if (n)
                select.words = calloc(n, sizeof(*select.words));
        if (n && !select.words)
                return cosmos__fail(reterr, -ENOMEM, "container selection: out of memory");
        for (; select.n < n; select.n++) {
                select.words[select.n] = strdup(words[select.n]);
                if (!select.words[select.n]) {
                        cosmos__select_free(&select);
                        return cosmos__fail(reterr, -ENOMEM, "container selection: out of memory");
                }
        }
        *ret = select;
        return 0;
}

void cosmos__select_free(struct cosmos__select *select)
{
        for (size_t i = 0; i < select->n; i++)
                free(select->words[i]);
        free(select->words);
        *select = (struct cosmos__select){0};
}

static bool match_id(const char *word, const char *id)
{
        size_t n = strlen(word);

        return n >= ID_PREFIX_MIN && n < COSMOS__ID_SIZE && strncasecmp(word, id, n) == 0;
}

/* "mariadb" and "mariadb:11" both mean the image "mariadb:11@sha256:...". The
 * colon of a registry's port ("host:5000/mariadb") is not that of a tag. */
static bool match_image(const char *word, const char *image)
{
        size_t n = strlen(word);
        const char *rest = image + n;

        if (strncmp(word, image, n) != 0)
                return false;
        return *rest == 0 || *rest == '@' || (*rest == ':' && !strchr(word, '@') && !strchr(rest, '/'));
}

bool cosmos__select_match(const struct cosmos__select *select, const char *id, const char *name, const char *image)
{
        if (select->n == 0)
                return true;
        for (size_t i = 0; i < select->n; i++) {
                const char *word = select->words[i];

                if ((id && match_id(word, id)) || (name && strcmp(word, name) == 0) ||
                    (image && match_image(word, image)))
                        return true;
        }
        return false;
}
