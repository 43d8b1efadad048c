/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence/digest.h"

#include "base/base.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 << 10)

struct result {
        int error; /* -errno */
        char text[COSMOS__SHA256_TEXT];
};

struct cosmos__digest {
        const char *const *paths;
        size_t n;
        struct result *results;
        _Atomic uint64_t bytes;
        atomic_bool stop;
        pthread_t thread;
        bool running; /* still to be joined */
        uint8_t block[BLOCK_BYTES];
};

static int hash_fd(struct cosmos__digest *d, int fd, char *ret)
{
        uint8_t digest[SHA256_DIGEST_SIZE];
        struct sha256_ctx context;
        ssize_t n;

        sha256_init(&context);
        while (!atomic_load(&d->stop) && (n = read(fd, d->block, sizeof(d->block))) != 0) {
                if (n < 0)
                        return -errno;
                sha256_update(&context, (size_t)n, d->block);
                atomic_fetch_add(&d->bytes, (uint64_t)n);
        }
        sha256_digest(&context, sizeof(digest), digest);
        for (size_t i = 0; i < sizeof(digest); i++)
                snprintf(ret + 2 * i, 3, "%02x", digest[i]);
        return 0;
}

static int hash_file(struct cosmos__digest *d, const char *path, char *ret)
{
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (strcmp(path, "-") == 0)
                return 0;
        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode)) /* to open a pipe would wait for its writer */
                return 0;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : hash_fd(d, fd, ret);
}

static void *run(void *digest)
{
        struct cosmos__digest *d = digest;

        for (size_t i = 0; i < d->n && !atomic_load(&d->stop); i++)
                d->results[i].error = hash_file(d, d->paths[i], d->results[i].text);
        return NULL;
}

int cosmos__digest_new(struct cosmos__digest **ret, const char *const *paths, size_t n, struct cosmos_diag *reterr)
{
        struct cosmos__digest *d = calloc(1, sizeof(*d));
        int r;

        if (!d || !(d->results = calloc(n, sizeof(*d->results)))) {
                cosmos__digest_free(d);
                return -ENOMEM;
        }
        d->paths = paths;
        d->n = n;
        r = cosmos__thread_start(&d->thread, run, d);
        if (r < 0) {
                cosmos__digest_free(d);
                return cosmos__fail(reterr, r, "cannot start a thread: %s", strerrordesc_np(-r));
        }
        d->running = true;
        *ret = d;
        return 0;
}

bool cosmos__digest_wait(struct cosmos__digest *d, unsigned ms)
{
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (d->running && pthread_timedjoin_np(d->thread, NULL, &until) == 0)
                d->running = false;
        return !d->running;
}

uint64_t cosmos__digest_bytes(const struct cosmos__digest *d)
{
        return atomic_load(&d->bytes);
}

int cosmos__digest_get(const struct cosmos__digest *d, size_t i, char ret[COSMOS__SHA256_TEXT],
                       struct cosmos_diag *reterr)
{
        char quoted[256];

        if (d->results[i].error < 0)
                return cosmos__fail(reterr, d->results[i].error, "%s: cannot read: %s",
                                    cosmos__quote_str(quoted, sizeof(quoted), d->paths[i]),
                                    strerrordesc_np(-d->results[i].error));
        memcpy(ret, d->results[i].text, COSMOS__SHA256_TEXT);
        return 0;
}

struct cosmos__digest *cosmos__digest_free(struct cosmos__digest *d)
{
        if (!d)
                return NULL;
        atomic_store(&d->stop, true);
        if (d->running)
                pthread_join(d->thread, NULL);
        free(d->results);
        free(d);
        return NULL;
}
