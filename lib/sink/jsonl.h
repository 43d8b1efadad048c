/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writer of the lines of a trace (docs/formats.md): an event or a score to one
 * JSON object, with its newline. No I/O; nothing is allocated once the buffer
 * has room for the longest line, were each byte of its strings escaped.
 */
#ifndef COSMOS_JSONL_H
#define COSMOS_JSONL_H

#include "base/buffer.h"

#include <cosmos/event.h>

/* Append a line. 0 or -ENOMEM, with the buffer as it was. */
int cosmos__jsonl_event(struct cosmos__buffer *buffer, const struct cosmos_event *event);
int cosmos__jsonl_score(struct cosmos__buffer *buffer, const struct cosmos_score *score);

#endif
