/* SPDX-License-Identifier: Apache-2.0 */
/* A document that is put together piece by piece. The first error stays, and is looked at once, at the end. */
#ifndef COSMOS_TRAINER_PAGE_H
#define COSMOS_TRAINER_PAGE_H

#include "base/base.h"
#include "base/buffer.h"

struct cosmos__page {
        struct cosmos__buffer text;
        int error; /* 0 or -ENOMEM */
};

/* In no format may there be a real number: it would be in the caller's locale. */
void cosmos__page_put(struct cosmos__page *page, const char *format, ...) cosmos__printf(2, 3);
/* With a point, whatever the locale, and at most five significant digits. */
void cosmos__page_number(struct cosmos__page *page, double value);
/* Text from outside, in Markdown that shows it as it stands: one line of printable ASCII, without any effect on
 * what is around it, cut where it is very long. */
void cosmos__page_quote(struct cosmos__page *page, const char *text);
/* Text from outside as part of a URL. */
void cosmos__page_url(struct cosmos__page *page, const char *text);
void cosmos__page_free(struct cosmos__page *page);

#endif
