/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spool.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room grows by its own size, from the least to the most: small arrays stay small, and of large ones
 * little is left unused. Whole pages on any machine. */
#define STEP_LEAST ((size_t)1 << 20)
#define STEP_MOST ((size_t)256 << 20)

static const char *folder(void)
{
        const char *path = secure_getenv("TMPDIR");

        return path && *path ? path : "/var/tmp";
}

static int fail(struct cosmos_diag *reterr, int error, const char *what)
{
        char quoted[256];

        return cosmos__fail(reterr, error, "%s a temporary file in %s: %s; set TMPDIR to a folder with room", what,
                            cosmos__quote_str(quoted, sizeof(quoted), folder()), strerrordesc_np(-error));
}

static int open_file(struct cosmos_diag *reterr)
{
        char path[PATH_MAX];
        int fd = open(folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0)
                return fd;
        /* Not every file system can make a file without a name. */
        if ((size_t)snprintf(path, sizeof(path), "%s/cosmos-XXXXXX", folder()) >= sizeof(path))
                return fail(reterr, -ENAMETOOLONG, "cannot make");
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return fail(reterr, -errno, "cannot make");
        unlink(path);
        return fd;
}

static int take_room(struct cosmos__spool *s, size_t room, struct cosmos_diag *reterr)
{
        void *data;
        int r;

        do
                r = posix_fallocate(s->fd, (off_t)s->room, (off_t)(room - s->room));
        while (r == EINTR);
        if (r > 0)
                return fail(reterr, -r, "no room in");
        data = s->room ? mremap(s->data, s->room, room, MREMAP_MAYMOVE)
                       : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
        if (data == MAP_FAILED)
                return fail(reterr, -errno, "cannot map");
        s->data = data;
        s->room = room;
        return 0;
}

int cosmos__spool_grow(struct cosmos__spool *s, size_t n, struct cosmos_diag *reterr)
{
        size_t step = MIN(MAX(s->room, STEP_LEAST), STEP_MOST), most = (size_t)PTRDIFF_MAX - STEP_MOST;
        int r;

        if (s->room > most || n > most - s->room)
                return fail(reterr, -EFBIG, "no room in");
        while (step < n - (s->room - s->size))
                step += STEP_LEAST;
        if (s->room == 0) {
                s->fd = open_file(reterr);
                if (s->fd < 0)
                        return s->fd;
        }
        r = take_room(s, s->room + step, reterr);
        if (r < 0 && s->room == 0)
                close(s->fd);
        return r;
}

int cosmos__spool_append(struct cosmos__spool *s, const void *data, size_t n, struct cosmos_diag *reterr)
{
        const int r = cosmos__spool_reserve(s, n, reterr);

        if (r < 0)
                return r;
        memcpy(s->data + s->size, data, n);
        s->size += n;
        return 0;
}

void cosmos__spool_trim(struct cosmos__spool *s)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (s->size + page - 1) / page * page;

        if (room == 0 || room >= s->room || ftruncate(s->fd, (off_t)room) < 0)
                return;
        munmap(s->data + room, s->room - room);
        s->room = room;
}

void cosmos__spool_free(struct cosmos__spool *s)
{
        if (s->room > 0) {
                munmap(s->data, s->room);
                close(s->fd);
        }
        *s = (struct cosmos__spool){0};
}
