/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log hook. The library is silent: it never writes to stdout or stderr. An
 * object that has something to say takes a hook in its options and hands it a
 * finished line (no newline, control characters escaped).
 *
 * Thread safety: a hook is called from the thread that uses the object.
 */
#ifndef COSMOS_LOG_H
#define COSMOS_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum cosmos_log_level {
        COSMOS_LOG_WARNING = 0, /* something was lost, skipped or is incomplete */
        COSMOS_LOG_INFO = 1,    /* something that a person may want to know */
};

struct cosmos_log {
        void (*line)(void *userdata, enum cosmos_log_level level, const char *text); /* NULL: silent */
        void *userdata;
};

#ifdef __cplusplus
}
#endif
#endif
