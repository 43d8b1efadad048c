/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors and diagnostics.
 *
 * Every function that can fail returns 0 (or a documented positive condition)
 * on success and a negative value on failure: -errno for a failure of the
 * system, a negated COSMOS_E* for a failure of ours. errno itself is never part
 * of the contract. On failure a constructor leaves its `ret` untouched.
 *
 * The number is for the program; the text, in a struct cosmos_diag that the
 * caller may pass (or NULL), is for the person: what, where and what to do.
 *
 * Thread safety: all functions here may be called from any thread at any time.
 */
#ifndef COSMOS_ERROR_H
#define COSMOS_ERROR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Own errors; they stand above every errno value. */
enum cosmos_error {
        COSMOS_EFORMAT = 5000,      /* input is malformed: a damaged model, a bad trace line */
        COSMOS_EVERSION = 5001,     /* input is of a newer format than this library reads */
        COSMOS_EMISMATCH = 5002,    /* the model does not fit the events that it was given */
        COSMOS_EOWNER = 5003,       /* another live process owns the kernel's audit stream */
        COSMOS_EUNAVAILABLE = 5004, /* built without it, or the machine does not have it */
};

/* A text for people. Always NUL-terminated; longer texts are cut. Control
 * characters of quoted input are escaped. An untouched diag stays as it was. */
struct cosmos_diag {
        char text[512];
};

/* Describe an error number (either sign) in `buf`, which is returned.
 * `size` is the size of `buf` in bytes; 64 is enough for all of ours. */
const char *cosmos_strerror(int error, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
