/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int cosmos__buffer_grow(struct cosmos__buffer *b, size_t n)
{
        size_t room = b->room ? b->room : 256;
        char *data;

        while (room - b->size < n) {
                if (room > SIZE_MAX / 2)
                        return -ENOMEM;
                room *= 2;
        }
        data = realloc(b->data, room);
        if (!data)
                return -ENOMEM;
        b->data = data;
        b->room = room;
        return 0;
}

int cosmos__buffer_append(struct cosmos__buffer *b, const void *data, size_t n)
{
        int r = cosmos__buffer_reserve(b, n);

        if (r < 0)
                return r;
        if (n)
                memcpy(b->data + b->size, data, n);
        b->size += n;
        return 0;
}

void cosmos__buffer_free(struct cosmos__buffer *b)
{
        free(b->data);
        *b = (struct cosmos__buffer){0};
}
