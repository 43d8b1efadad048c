/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <cosmos/version.h>

#include <string.h>

COSMOS_API const char *cosmos_strerror(int error, char *buf, size_t size)
{
        static const char *const ours[] = {
            "malformed input",
            "newer format than this library reads",
            "model and events do not fit together",
            "another process owns the audit stream",
            "not available on this machine or in this build",
        };
        unsigned int e = error < 0 ? 0u - (unsigned int)error : (unsigned int)error;

        if (e >= COSMOS_EFORMAT && e - COSMOS_EFORMAT < ARRAY_SIZE(ours))
                snprintf(buf, size, "%s", ours[e - COSMOS_EFORMAT]);
        else
                /* glibc's strerrordesc_np: thread safe and without a locale. */
                snprintf(buf, size, "%s", strerrordesc_np((int)e) ? strerrordesc_np((int)e) : "unknown error");
        return buf;
}

COSMOS_API const char *cosmos_version(void)
{
        return COSMOS_VERSION_STRING;
}
