/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the ring buffer to events. The kernel makes them, but lengths and
 * ends of texts are checked all the same: this is fuzzed like any other parser.
 */
#include "collector/bpf/bpf.h"

#include "base/base.h"
#include "collector/record.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define TEXTS (WIRE_PATH | WIRE_ARGV | WIRE_ADDR)

int cosmos__bpf_check(const uint8_t *data, size_t n)
{
        const struct wire_head *head = (const void *)data;

        if (n < sizeof(*head))
                return -EBADMSG;
        switch (head->type) {
        case WIRE_CALL:
        case WIRE_EXIT:
                if (n < sizeof(struct wire_call))
                        return -EBADMSG;
                return !(head->flags & WIRE_PATH) || (n > sizeof(struct wire_call) && data[n - 1] == 0) ? 0 : -EBADMSG;
        case WIRE_PROCESS:
                return n < sizeof(struct wire_call) ? -EBADMSG : 0;
        case WIRE_CONTAINER:
        case WIRE_STOP:
                return n < sizeof(struct wire_container) ? -EBADMSG : 0;
        case WIRE_FORK:
        case WIRE_SEED:
                return 0;
        }
        return -EBADMSG;
}

void cosmos__bpf_head(const struct cosmos__bpf_decoder *d, const struct wire_head *head, struct cosmos_event *ret)
{
        ret->known = COSMOS_KNOWN_PID | COSMOS_KNOWN_TID | COSMOS_KNOWN_PPID | COSMOS_KNOWN_PROC_START |
                     COSMOS_KNOWN_THREAD_START | COSMOS_KNOWN_UID;
        ret->timestamp = (int64_t)(head->time + (uint64_t)d->offset);
        ret->timestamp_digits = 9;
        ret->pid = (int32_t)head->pid;
        ret->tid = (int32_t)head->tid;
        ret->ppid = (int32_t)head->ppid;
        ret->uid = head->uid;
        ret->proc_start = head->proc_start / d->tick;
        ret->thread_start = head->thread_start / d->tick;
        ret->comm = memchr(head->comm, 0, sizeof(head->comm)) ? head->comm : "";
}

static void set_argv(struct cosmos__bpf_decoder *d, const char *text, size_t n, struct cosmos_event *ret)
{
        n = MIN(n, (size_t)WIRE_TEXT_MAX);
        while (n > 0 && text[n - 1] == 0)
                n--;
        for (size_t i = 0; i < n; i++)
                d->text[i] = text[i] ? text[i] : ' ';
        d->text[n] = 0;
        ret->argv = d->text;
}

static void set_addr(struct cosmos__bpf_decoder *d, const char *text, size_t n, struct cosmos_event *ret)
{
        struct sockaddr_storage address = {0};

        n = MIN(n, sizeof(address));
        if (n < sizeof(address.ss_family))
                return;
        memcpy(&address, text, n);
        cosmos__format_sockaddr(&address, n, d->addr, sizeof(d->addr));
        if (d->addr[0])
                ret->addr = d->addr;
}

static void set_text(struct cosmos__bpf_decoder *d, uint8_t flags, const char *text, size_t n, struct cosmos_event *ret)
{
        if (flags & WIRE_PATH)
                ret->path = text;
        else if (flags & WIRE_ARGV)
                set_argv(d, text, n, ret);
        else
                set_addr(d, text, n, ret);
}

static void set_classes(const struct cosmos__bpf_decoder *d, const struct wire_head *head, struct cosmos_event *ret)
{
        if ((d->with & COSMOS_BPF_FD_KIND) && head->fd_kind) {
                ret->fd_kind = head->fd_kind <= COSMOS_FD_OTHER ? (enum cosmos_fd_kind)head->fd_kind : COSMOS_FD_OTHER;
                ret->known |= COSMOS_KNOWN_FD_KIND;
        }
        if ((d->with & COSMOS_BPF_SIZE_CLASS) && head->nr < WIRE_CALLS && ret->ret >= 0 &&
            (ret->known & COSMOS_KNOWN_RET) && d->sizes.moves[!!(head->flags & WIRE_COMPAT)][head->nr]) {
                ret->size_class = cosmos_size_class((uint64_t)ret->ret);
                ret->known |= COSMOS_KNOWN_SIZE_CLASS;
        }
        if ((d->with & COSMOS_BPF_PATH_CLASS) && ret->path) {
                ret->path_class = cosmos_path_class_of(ret->path);
                ret->known |= COSMOS_KNOWN_PATH_CLASS;
        }
}

/* Is this call's own number all that is known of it: were its registers replaced by others? */
static bool registers_replaced(const struct cosmos_event *e)
{
        return strcmp(e->syscall, "rt_sigreturn") == 0 ||
               ((e->known & COSMOS_KNOWN_RET) && e->ret == 0 && strncmp(e->syscall, "execve", 6) == 0);
}

void cosmos__bpf_call(struct cosmos__bpf_decoder *d, const uint8_t *data, size_t n, struct cosmos_event *ret)
{
        const struct wire_call *call = (const void *)data;
        const struct wire_head *head = &call->head;

        ret->type = COSMOS_EVENT_CALL;
        cosmos__bpf_head(d, head, ret);
        ret->known |= COSMOS_KNOWN_NR;
        ret->arch = head->flags & WIRE_COMPAT ? COSMOS_ARCH_I386 : COSMOS_ARCH_X86_64;
        ret->nr = head->nr;
        ret->syscall = cosmos__syscall_label(ret->arch, ret->nr, d->unnamed);
        if (head->type == WIRE_CALL) {
                ret->ret = call->ret;
                ret->known |= COSMOS_KNOWN_RET;
        }
        if (!registers_replaced(ret)) {
                ret->n_args = COSMOS_EVENT_ARGS;
                memcpy(ret->args, call->args, sizeof(ret->args));
        } else if (ret->syscall[0] == 'r') { /* what a signal's return leaves is no result */
                ret->ret = 0;
                ret->known &= ~COSMOS_KNOWN_RET;
        }
        if (head->flags & TEXTS && n > sizeof(*call))
                set_text(d, head->flags, (const char *)(call + 1), n - sizeof(*call), ret);
        set_classes(d, head, ret);
}

/* From the innermost component to a path: "bash\0bin\0usr\0" to "/usr/bin/bash". */
const char *cosmos__bpf_exe(struct cosmos__bpf_decoder *d, const uint8_t *data, size_t n)
{
        const struct wire_head *head = (const void *)data;
        const char *text = (const char *)data + sizeof(struct wire_call), *suffix = "";
        size_t size = n - sizeof(struct wire_call), used = 0;

        if (size == 0)
                return NULL;
        if (head->flags & WIRE_DELETED)
                suffix = " (deleted)";
        if (head->flags & WIRE_TOO_DEEP) { /* its end is what is known */
                memcpy(d->text, "[...]", 5);
                used = 5;
        }
        while (size > 0) {
                size_t end = size, begin;

                if (text[end - 1] == 0)
                        end--;
                for (begin = end; begin > 0 && text[begin - 1]; begin--)
                        ;
                if (used + 1 + (end - begin) + strlen(suffix) > WIRE_TEXT_MAX)
                        return NULL;
                if (end > begin && text[begin] != '/') { /* a root may be called "/" */
                        d->text[used++] = '/';
                        memcpy(d->text + used, text + begin, end - begin);
                        used += end - begin;
                }
                size = begin;
        }
        if (used == 0)
                d->text[used++] = '/';
        memcpy(d->text + used, suffix, strlen(suffix) + 1);
        return d->text;
}
