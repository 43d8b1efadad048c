/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel follows */

int cosmos__read_file(const char *path, size_t max, char **ret, size_t *ret_size)
{
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *data = NULL;
        size_t size = 0, room = 0;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        for (;;) {
                ssize_t n;

                if (size == room) {
                        char *bigger;

                        if (size > max)
                                return -EFBIG;
                        room = room ? room * 2 : 4096;
                        room = MIN(room, max + 1);
                        bigger = realloc(data, room + 1);
                        if (!bigger)
                                return -ENOMEM;
                        data = bigger;
                }
                n = read(fd, data + size, room - size);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (n == 0)
                        break;
                size += (size_t)n;
        }
        data[size] = 0;
        *ret = TAKE_PTR(data);
        *ret_size = size;
        return 0;
}

/* ---- written whole or not at all ---------------------------------------------------- */

static int write_all(int fd, const char *data, size_t size)
{
        for (size_t at = 0; at < size;) {
                ssize_t n = write(fd, data + at, size - at);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        at += (size_t)n;
        }
        return 0;
}

/* The folder that `path` is in: "" for the working one, else with a slash at the end. */
static size_t folder_length(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? (size_t)(slash - path) + 1 : 0;
}

/* One link further. 0: `path` is none. */
static int follow(char path[static PATH_MAX])
{
        char target[PATH_MAX];
        const size_t folder = folder_length(path);
        const ssize_t n = readlink(path, target, sizeof(target));
        const size_t at = n > 0 && target[0] != '/' ? folder : 0;

        if (n < 0)
                return errno == EINVAL || errno == ENOENT ? 0 : -errno;
        if (at + (size_t)n >= PATH_MAX)
                return -ENAMETOOLONG;
        memcpy(path + at, target, (size_t)n);
        path[at + (size_t)n] = 0;
        return 1;
}

/* Not realpath(): the file need not exist yet. */
static int resolve(char ret[static PATH_MAX], const char *path)
{
        int r = 1;

        if (strlen(path) >= PATH_MAX)
                return -ENAMETOOLONG;
        strcpy(ret, path);
        for (size_t i = 0; r > 0; i++)
                r = i < LINKS_MAX ? follow(ret) : -ELOOP;
        return r;
}

/* What a process that was killed has left may stand in the way: take another name. */
static int create_beside(char ret[static PATH_MAX], const char *path)
{
        static atomic_uint next;
        int fd;

        do {
                if (snprintf(ret, PATH_MAX, "%s.%d-%u.tmp", path, (int)getpid(), atomic_fetch_add(&next, 1)) >=
                    PATH_MAX)
                        return -ENAMETOOLONG;
                fd = open(ret, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        } while (fd < 0 && errno == EEXIST);
        return fd < 0 ? -errno : fd;
}

/* So that the new name outlives a power cut. Without it there is the old file or the new one, each whole: no error. */
static void sync_folder(const char *path)
{
        _cleanup_close_ int fd = -1;
        char folder[PATH_MAX] = "./";
        const size_t n = folder_length(path);

        if (n > 0) {
                memcpy(folder, path, n);
                folder[n] = 0;
        }
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                fsync(fd);
}

static int fill(int fd, const void *data, size_t size, const struct stat *old)
{
        int r;

        if (old && fchmod(fd, old->st_mode & 0777) < 0)
                return -errno;
        r = write_all(fd, data, size);
        if (r < 0)
                return r;
        return fsync(fd) < 0 ? -errno : 0;
}

static int replace(const char *path, const void *data, size_t size, const struct stat *old)
{
        char beside[PATH_MAX];
        int fd, r;

        fd = create_beside(beside, path);
        if (fd < 0)
                return fd;
        r = fill(fd, data, size, old);
        if (close(fd) < 0 && r == 0)
                r = -errno;
        if (r == 0 && rename(beside, path) < 0)
                r = -errno;
        if (r < 0)
                unlink(beside);
        else
                sync_folder(path);
        return r;
}

static int write_to(const char *path, const void *data, size_t size)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

        return fd < 0 ? -errno : write_all(fd, data, size);
}

int cosmos__write_file(const char *path, const void *data, size_t size)
{
        char target[PATH_MAX];
        struct stat old;
        const bool exists = stat(path, &old) == 0;
        int r;

        if (exists && !S_ISREG(old.st_mode))
                return write_to(path, data, size); /* of a folder: EISDIR */
        r = resolve(target, path);
        return r < 0 ? r : replace(target, data, size, exists ? &old : NULL);
}
