/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every stage may use: cleanup attributes, diagnostics, log lines, option
 * structs, files. Depends on nothing but the C library and error.h/log.h.
 */
#ifndef COSMOS_BASE_H
#define COSMOS_BASE_H

#include <cosmos/error.h>
#include <cosmos/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COSMOS_API __attribute__((visibility("default")))
#define cosmos__printf(fmt, first) __attribute__((format(printf, fmt, first)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The struct of `type` that `member` at `ptr` is part of. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* _cleanup_(f) T *x: f(&x) is called when x goes out of scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(cosmos__freep)
#define _cleanup_close_ _cleanup_(cosmos__closep)
#define _cleanup_fclose_ _cleanup_(cosmos__fclosep)

/* Hand a pointer on and disarm its cleanup. */
#define TAKE_PTR(p)                                                                                                    \
        ({                                                                                                             \
                __typeof__(p) *_pp = &(p);                                                                             \
                __typeof__(p) _v = *_pp;                                                                               \
                *_pp = NULL;                                                                                           \
                _v;                                                                                                    \
        })
#define TAKE_FD(fd)                                                                                                    \
        ({                                                                                                             \
                int *_pfd = &(fd);                                                                                     \
                int _v = *_pfd;                                                                                        \
                *_pfd = -1;                                                                                            \
                _v;                                                                                                    \
        })

static inline void cosmos__freep(void *p)
{
        free(*(void **)p);
}

void cosmos__closep(int *fd); /* takes -1 */

static inline void cosmos__fclosep(FILE **f)
{
        if (*f)
                fclose(*f);
}

/* Set the text and return `error`, which must be negative: `return cosmos__fail(reterr, -EINVAL, "...")`. */
int cosmos__fail(struct cosmos_diag *reterr, int error, const char *format, ...) cosmos__printf(3, 4);

/* Hand a finished line to the hook; nothing if there is none. */
void cosmos__log(const struct cosmos_log *log, enum cosmos_log_level level, const char *format, ...)
    cosmos__printf(3, 4);

/* Bytes from outside as a text that is fit for a message: printable ASCII as it
 * is, anything else as \xNN, cut with "..." to fit `size`. Returns `buf`. */
const char *cosmos__quote(char *buf, size_t size, const void *bytes, size_t n);
const char *cosmos__quote_str(char *buf, size_t size, const char *s); /* NULL: "" */

/*
 * Copy a caller's option struct, which begins with its size, into ours, which
 * has been zeroed. A shorter (older) one leaves the rest zero; a longer (newer)
 * one is -E2BIG unless what we do not know is zero.
 */
int cosmos__options(void *ours, size_t our_size, const void *theirs, const char *what, struct cosmos_diag *reterr);
/* The same the other way: fill in a caller's struct up to the size that it gives. */
void cosmos__fill(void *theirs, const void *ours, size_t our_size);

/* Read a file or pipe whole; a NUL follows the `ret_size` bytes. -EFBIG past `max` bytes. */
int cosmos__read_file(const char *path, size_t max, char **ret, size_t *ret_size);

/*
 * Write a file whole or not at all: to a new file beside it that then takes its place. Whatever fails, the old
 * one stays as it was and the new one goes. A link is followed: it stays, and what it leads to is replaced. What is
 * no regular file, such as /dev/stdout, is written to as it stands. A file keeps its permissions. 0 or -errno.
 */
int cosmos__write_file(const char *path, const void *data, size_t size);

/* For qsort(): an array of strings. */
int cosmos__compare_strings(const void *a, const void *b);

/* CLOCK_REALTIME and CLOCK_BOOTTIME in ns. */
int64_t cosmos__now(void);
int64_t cosmos__boottime(void);

#endif
