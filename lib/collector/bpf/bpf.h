/* SPDX-License-Identifier: Apache-2.0 */
/* The bpf backend from the inside: what its files share. */
#ifndef COSMOS_COLLECTOR_BPF_H
#define COSMOS_COLLECTOR_BPF_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/list.h"
#include "collector/bpf/wire.h"
#include "syscall/syscall.h"

#include <cosmos/collector.h>

#include <stdbool.h>

/* ---- calls.c ----------------------------------------------------------------------- */

/* Fill in settings->calls. -EINVAL if one of the `n` names is no call's; n 0: all are wanted. */
int cosmos__bpf_calls(struct wire_settings *settings, const char *const *calls, size_t n, struct cosmos_diag *reterr);

struct cosmos__bpf_sizes {
        bool moves[2][WIRE_CALLS];
};
void cosmos__bpf_sizes(struct cosmos__bpf_sizes *ret);

/* ---- event.c: records to events, pure ------------------------------------------------ */

struct cosmos__bpf_decoder {
        int64_t offset;                     /* of CLOCK_REALTIME to CLOCK_BOOTTIME */
        uint64_t tick;                      /* ns of a clock tick of /proc */
        uint32_t with;                      /* COSMOS_BPF_* */
        char unnamed[COSMOS__UNNAMED_SIZE]; /* "syscall_N" */
        char addr[128];
        char text[WIRE_TEXT_MAX + 1];
        struct cosmos__bpf_sizes sizes;
};

/* Is this a whole record? 0, or -EBADMSG. */
int cosmos__bpf_check(const uint8_t *data, size_t n);
/* Process, thread, time: what all events of a record share. `head` must have been checked. */
void cosmos__bpf_head(const struct cosmos__bpf_decoder *decoder, const struct wire_head *head,
                      struct cosmos_event *ret);
/* The call of a checked CALL or EXIT; strings lie in the record or in the decoder. */
void cosmos__bpf_call(struct cosmos__bpf_decoder *decoder, const uint8_t *data, size_t n, struct cosmos_event *ret);
/* The path of a checked PROCESS's program, in the decoder; NULL: not known. */
const char *cosmos__bpf_exe(struct cosmos__bpf_decoder *decoder, const uint8_t *data, size_t n);

/* ---- exe.c: which program a process runs ------------------------------------------------ */

struct cosmos__exes {
        struct cosmos__hash processes, texts;
        struct cosmos__list used; /* processes, least recently used first */
        struct cosmos__list idle; /* texts that no process runs, oldest first */
        struct cosmos__list spare;
        size_t n_idle;
        struct exe_process *last;
        uint64_t tick;
};

int cosmos__exes_init(struct cosmos__exes *ret, uint64_t tick);
void cosmos__exes_free(struct cosmos__exes *exes);
/* `exe` NULL: unknown. -ENOMEM. */
int cosmos__exes_put(struct cosmos__exes *exes, uint32_t pid, uint64_t start, const char *exe);
int cosmos__exes_fork(struct cosmos__exes *exes, uint32_t pid, uint64_t start, uint32_t parent);
/* A record about it was lost: ask /proc with the next get(). */
void cosmos__exes_doubt(struct cosmos__exes *exes, uint32_t pid);
void cosmos__exes_remove(struct cosmos__exes *exes, uint32_t pid, uint64_t start);
/* Lent until the next call here that changes something. NULL: unknown. */
const char *cosmos__exes_get(struct cosmos__exes *exes, uint32_t pid, uint64_t start);

#endif
