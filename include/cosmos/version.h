/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version of the library: of the headers at build time (macros), of the shared
 * object at run time (function). Same major version: same ABI.
 *
 * Thread safety: any thread, any time.
 */
#ifndef COSMOS_VERSION_H
#define COSMOS_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define COSMOS_VERSION_MAJOR 0
#define COSMOS_VERSION_MINOR 1
#define COSMOS_VERSION_PATCH 0
#define COSMOS_VERSION_STRING "0.1.0"

/* "MAJOR.MINOR.PATCH" of the library that is loaded. Static. */
const char *cosmos_version(void);

#ifdef __cplusplus
}
#endif
#endif
