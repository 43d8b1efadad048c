/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root folder may be one that a container's mounts led to, and so one that
 * its processes can write to. So the file is not followed if it is a link, not
 * waited for if it is a pipe, and not read if it is large.
 */
#include "container/docker.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (16u << 20)

static int open_regular(const char *path, size_t *ret_size, struct cosmos_diag *reterr)
{
        _cleanup_close_ int fd = -1;
        char quoted[256], error[64];
        struct stat st;

        cosmos__quote_str(quoted, sizeof(quoted), path);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0) {
                int r = -errno;

                return cosmos__fail(reterr, r, "%s: %s", quoted, cosmos_strerror(r, error, sizeof(error)));
        }
        if (!S_ISREG(st.st_mode))
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "%s: not a regular file", quoted);
        if ((uintmax_t)st.st_size > CONFIG_MAX)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "%s: %jd bytes, more than the %u that it may have", quoted,
                                    (intmax_t)st.st_size, CONFIG_MAX);
        *ret_size = (size_t)st.st_size;
        return TAKE_FD(fd);
}

/* What fstat said and no more: a file that grows meanwhile is cut, and then is no JSON. */
static int read_regular(const char *path, char **ret, size_t *ret_size, struct cosmos_diag *reterr)
{
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *data = NULL;
        char quoted[256], error[64];
        size_t size = 0, used = 0;

        fd = open_regular(path, &size, reterr);
        if (fd < 0)
                return fd;
        data = malloc(size + 1);
        if (!data)
                return cosmos__fail(reterr, -ENOMEM, "out of memory");
        while (used < size) {
                ssize_t n = read(fd, data + used, size - used);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        int r = -errno;

                        return cosmos__fail(reterr, r, "%s: %s", cosmos__quote_str(quoted, sizeof(quoted), path),
                                            cosmos_strerror(r, error, sizeof(error)));
                }
                if (n == 0)
                        break;
                used += (size_t)n;
        }
        *ret = TAKE_PTR(data);
        *ret_size = used;
        return 0;
}

static int copy(const char *s, char **ret)
{
        if (!s || !*s)
                return 0;
        *ret = strdup(s);
        return *ret ? 0 : -ENOMEM;
}

static int take(const json_t *config, char **ret_name, char **ret_image)
{
        _cleanup_free_ char *name = NULL, *image = NULL;
        const char *s = json_string_value(json_object_get(config, "Name"));

        if (copy(s && *s == '/' ? s + 1 : s, &name) < 0 ||
            copy(json_string_value(json_object_get(json_object_get(config, "Config"), "Image")), &image) < 0)
                return -ENOMEM;
        *ret_name = TAKE_PTR(name);
        *ret_image = TAKE_PTR(image);
        return 0;
}

int cosmos__docker_read(const char *root, const char *id, char **ret_name, char **ret_image, struct cosmos_diag *reterr)
{
        json_auto_t *config = NULL;
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], quoted[256], message[192];
        json_error_t error;
        const char *own;
        size_t size = 0;
        int r;

        if (snprintf(path, sizeof(path), "%s/containers/%s/config.v2.json", root, id) >= (int)sizeof(path))
                return cosmos__fail(reterr, -ENAMETOOLONG, "the path of Docker's state folder is too long");
        r = read_regular(path, &text, &size, reterr);
        if (r < 0)
                return r;
        cosmos__quote_str(quoted, sizeof(quoted), path);
        config = json_loadb(text, size, 0, &error);
        if (!config)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "%s: line %d: %s", quoted, error.line,
                                    cosmos__quote_str(message, sizeof(message), error.text));
        own = json_string_value(json_object_get(config, "ID"));
        if (!own || strcmp(own, id) != 0)
                return cosmos__fail(reterr, -COSMOS_EFORMAT, "%s: \"ID\" is not that of the folder", quoted);
        r = take(config, ret_name, ret_image);
        return r < 0 ? cosmos__fail(reterr, r, "out of memory") : 0;
}
