/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OPTIONS_MAX 4096u /* bytes: no struct of options will ever be so large */

void cosmos__closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

int cosmos__fail(struct cosmos_diag *reterr, int error, const char *format, ...)
{
        va_list args;

        if (reterr) {
                va_start(args, format);
                vsnprintf(reterr->text, sizeof(reterr->text), format, args);
                va_end(args);
        }
        return error;
}

void cosmos__log(const struct cosmos_log *log, enum cosmos_log_level level, const char *format, ...)
{
        char text[1024];
        va_list args;

        if (!log->line)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        log->line(log->userdata, level, text);
}

const char *cosmos__quote(char *buf, size_t size, const void *bytes, size_t n)
{
        const unsigned char *in = bytes;
        size_t used = 0;

        /* Room is kept for "..." and the NUL. */
        for (size_t i = 0; i < n; i++) {
                size_t need = in[i] >= 0x20 && in[i] < 0x7f ? 1 : 4;

                if (used + need + 4 > size) {
                        snprintf(buf + used, size - used, "...");
                        return buf;
                }
                if (need == 1)
                        buf[used] = (char)in[i];
                else
                        snprintf(buf + used, 5, "\\x%02x", in[i]);
                used += need;
        }
        buf[used] = 0;
        return buf;
}

const char *cosmos__quote_str(char *buf, size_t size, const char *s)
{
        return cosmos__quote(buf, size, s ? s : "", s ? strlen(s) : 0);
}

int cosmos__options(void *ours, size_t our_size, const void *theirs, const char *what, struct cosmos_diag *reterr)
{
        const unsigned char *bytes = theirs;
        size_t size;

        memset(ours, 0, our_size);
        if (!theirs)
                return 0;
        memcpy(&size, theirs, sizeof(size));
        if (size < sizeof(size))
                return cosmos__fail(reterr, -EINVAL, "%s: `size` is not set; set it to sizeof(struct %s)", what, what);
        if (size > OPTIONS_MAX) /* most likely never written, and what follows is not the caller's */
                return cosmos__fail(reterr, -E2BIG, "%s: `size` is %zu; set it to sizeof(struct %s)", what, size, what);
        for (size_t i = our_size; i < size; i++)
                if (bytes[i])
                        return cosmos__fail(
                            reterr, -E2BIG,
                            "%s: a field at byte %zu is set that this library (%zu bytes) does not know", what, i,
                            our_size);
        memcpy(ours, theirs, MIN(size, our_size));
        return 0;
}

void cosmos__fill(void *theirs, const void *ours, size_t our_size)
{
        size_t size;

        memcpy(&size, theirs, sizeof(size));
        if (size > our_size) {
                memset((char *)theirs + our_size, 0, size - our_size);
        }
        if (size > sizeof(size))
                memcpy((char *)theirs + sizeof(size), (const char *)ours + sizeof(size),
                       MIN(size, our_size) - sizeof(size));
}

static int64_t clock_ns(clockid_t clock)
{
        struct timespec t;

        clock_gettime(clock, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int cosmos__compare_strings(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int64_t cosmos__now(void)
{
        return clock_ns(CLOCK_REALTIME);
}

int64_t cosmos__boottime(void)
{
        return clock_ns(CLOCK_BOOTTIME);
}
