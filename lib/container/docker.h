/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's state on disk: the one file that reads it. */
#ifndef COSMOS_CONTAINER_DOCKER_H
#define COSMOS_CONTAINER_DOCKER_H

#include <cosmos/error.h>

/*
 * Name and image of container `id` from <root>/containers/<id>/config.v2.json.
 * The file must say that it is about this id. Either result may be NULL where
 * the file does not have it; both are the caller's to free.
 * -ENOENT: no such container there. -COSMOS_EFORMAT: not such a file.
 */
int cosmos__docker_read(const char *root, const char *id, char **ret_name, char **ret_image,
                        struct cosmos_diag *reterr);

#endif
