/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are not compressed go straight to the caller's buffer. gzip's members
 * are inflated one after the other, as gzip(1) does; zeros may stand behind each.
 */
#include "collector/input.h"

#include "base/base.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define GZIP_BYTES ((size_t)64 << 10)
#define WINDOW_BITS (15 + 16) /* any window; 16: gzip's header and trailer, no other's */

static const uint8_t MAGIC[2] = {0x1f, 0x8b};

struct cosmos__gzip {
        z_stream z;
        bool between; /* no member is open */
        uint8_t bytes[GZIP_BYTES];
};

static ssize_t read_bytes(const struct cosmos__input *in, void *data, size_t n)
{
        struct pollfd p = {.fd = in->fd, .events = POLLIN};
        ssize_t got;

        if (!in->regular && poll(&p, 1, 0) <= 0) /* a signal interrupts it too: read() would block */
                return -EAGAIN;
        got = read(in->fd, data, n);
        if (got < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        return got;
}

static ssize_t fault(struct cosmos__input *in, const char *what, const char *why)
{
        snprintf(in->fault, sizeof(in->fault), "%s%s", what, why);
        return 0;
}

/* Is there a member to go on with? */
static bool find_member(struct cosmos__gzip *g)
{
        while (g->between && g->z.avail_in > 0 && *g->z.next_in == 0) {
                g->z.next_in++;
                g->z.avail_in--;
        }
        if (g->between && g->z.avail_in > 0 && *g->z.next_in == MAGIC[0]) {
                inflateReset(&g->z);
                g->between = false;
        }
        return !g->between;
}

static ssize_t inflate_bytes(struct cosmos__input *in, void *data, size_t n)
{
        struct cosmos__gzip *g = in->gzip;
        z_stream *z = &g->z;
        ssize_t got;

        z->next_out = data;
        z->avail_out = (uInt)n;
        for (;;) {
                /* First without more input: zlib may hold what had no room in the output. */
                while (find_member(g)) {
                        int r = inflate(z, Z_SYNC_FLUSH);

                        g->between = r == Z_STREAM_END;
                        if (z->avail_out < n) /* an error will be told again */
                                return (ssize_t)(n - z->avail_out);
                        if (r == Z_MEM_ERROR)
                                return -ENOMEM;
                        if (r == Z_DATA_ERROR)
                                return fault(in, "its gzip data is damaged: ", z->msg);
                        if (r != Z_STREAM_END && z->avail_in == 0)
                                break;
                }
                if (z->avail_in > 0)
                        return fault(in, "its gzip data is followed by something else", "");
                got = read_bytes(in, g->bytes, sizeof(g->bytes));
                if (got < 0)
                        return got;
                if (got == 0)
                        return g->between ? 0 : fault(in, "it ends within its gzip data", "");
                z->next_in = g->bytes;
                z->avail_in = (uInt)got;
        }
}

static int begin_gzip(struct cosmos__input *in, const void *data, size_t n)
{
        _cleanup_free_ struct cosmos__gzip *g = malloc(sizeof(*g));

        if (!g)
                return -ENOMEM;
        memcpy(g->bytes, data, n);
        g->between = false;
        g->z = (z_stream){.next_in = g->bytes, .avail_in = (uInt)n};
        if (inflateInit2(&g->z, WINDOW_BITS) != Z_OK)
                return -ENOMEM;
        in->gzip = TAKE_PTR(g);
        return 0;
}

/* The first bytes: they may have to go to zlib rather than to the caller. */
static ssize_t begin(struct cosmos__input *in, uint8_t *data, size_t n)
{
        size_t room = MIN(n, GZIP_BYTES), size;
        ssize_t got;
        int r;

        do {
                data[0] = MAGIC[0];
                got = read_bytes(in, data + in->held, room - in->held);
                if (got < 0)
                        return got;
                size = (size_t)got + in->held;
                in->held = size == 1 && data[0] == MAGIC[0];
        } while (in->held && got > 0);

        in->begun = true;
        if (size < sizeof(MAGIC) || memcmp(data, MAGIC, sizeof(MAGIC)) != 0)
                return (ssize_t)size;
        r = begin_gzip(in, data, size);
        return r < 0 ? fault(in, "no memory to decompress it", "") : inflate_bytes(in, data, n);
}

ssize_t cosmos__input_read(struct cosmos__input *in, void *data, size_t n)
{
        if (in->fault[0])
                return 0;
        if (in->gzip)
                return inflate_bytes(in, data, n);
        return in->begun ? read_bytes(in, data, n) : begin(in, data, n);
}

void cosmos__input_free(struct cosmos__input *in)
{
        if (!in->gzip)
                return;
        inflateEnd(&in->gzip->z);
        free(in->gzip);
        in->gzip = NULL;
}
