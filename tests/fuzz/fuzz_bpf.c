/* SPDX-License-Identifier: Apache-2.0 */
/* A record of the bpf backend's ring buffer: what is whole must come out as an event that can be read. */
#include "collector/bpf/bpf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
        if (!condition)
                abort();
}

static void check_text(const char *text, size_t max)
{
        check(!text || strlen(text) <= max);
}

static void check_head(const struct cosmos_event *e)
{
        check(e->timestamp_digits == 9 && e->comm);
        check_text(e->comm, WIRE_COMM_SIZE - 1);
}

static void check_call(const struct cosmos_event *e, size_t size)
{
        check_head(e);
        check(e->type == COSMOS_EVENT_CALL && e->syscall && *e->syscall);
        check(e->arch == COSMOS_ARCH_X86_64 || e->arch == COSMOS_ARCH_I386);
        check(e->n_args == 0 || e->n_args == COSMOS_EVENT_ARGS);
        check(cosmos_fd_kind_name(e->fd_kind) && cosmos_path_class_name(e->path_class));
        check(e->size_class < COSMOS_SIZE_CLASSES);
        check_text(e->syscall, 32);
        check_text(e->path, size);
        check_text(e->argv, WIRE_TEXT_MAX);
        check_text(e->addr, 127);
}

static void take(struct cosmos__bpf_decoder *d, const uint8_t *record, size_t size)
{
        struct cosmos_event head = {0}, call = {0};
        const char *exe;

        cosmos__bpf_head(d, (const void *)record, &head);
        check_head(&head);
        if (record[0] == WIRE_CALL || record[0] == WIRE_EXIT) {
                cosmos__bpf_call(d, record, size, &call);
                check_call(&call, size);
        } else if (record[0] == WIRE_PROCESS) {
                exe = cosmos__bpf_exe(d, record, size);
                check(!exe || *exe == '/' || *exe == '[');
                check_text(exe, WIRE_TEXT_MAX);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        /* Aligned as in the ring, and exactly as large: an over-read is seen. */
        uint8_t *record = malloc(size ? size : 1);
        struct cosmos__bpf_decoder *d = calloc(1, sizeof(*d));
        static struct cosmos__bpf_sizes sizes;
        int r;

        check(record && d);
        if (!sizes.moves[0][0]) /* it takes longer than all the rest */
                cosmos__bpf_sizes(&sizes);
        d->offset = INT64_C(1795407611000000000);
        d->tick = 10000000;
        d->with = COSMOS_BPF_FD_KIND | COSMOS_BPF_SIZE_CLASS | COSMOS_BPF_PATH_CLASS;
        d->sizes = sizes;
        memcpy(record, data, size);
        r = cosmos__bpf_check(record, size);
        check(r == 0 || r == -EBADMSG);
        if (r == 0)
                take(d, record, size);
        free(d);
        free(record);
        return 0;
}
