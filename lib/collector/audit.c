/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit backend: records from netlink, a batch at a time, to the assembler.
 *
 * Loss. The kernel counts the records that it drops (`lost` of its status); we
 * ask ten times a second. It drops where its queue is full, so the gap comes
 * to us only after all that is queued now: a loss event is delivered at once,
 * and a second one, that ends the doubtful stretch, before the first event that
 * is younger than the answer. What lies between them is complete nowhere.
 */
#include "collector/assembler.h"
#include "collector/audit_host.h"
#include "collector/backend.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 64
#define RECORD_MAX 9000 /* MAX_AUDIT_MESSAGE_LENGTH and its header */
#define BACKLOG_LIMIT 65536u
#define RECEIVE_BUFFER (32 << 20)
#define STATUS_NS (100 * INT64_C(1000000))
#define DRAIN_NS (5 * INT64_C(1000000000)) /* without a record of before the stop */

enum phase {
        COLLECTING,
        DRAINING, /* the rules are gone; what is queued still comes */
        RESTORED, /* nothing comes any more */
};

struct audit_collector {
        cosmos_collector base;
        struct cosmos__audit_host host;
        struct cosmos__assembler *assembler;
        int records_fd, timer_fd, epoll_fd;
        enum phase phase;
        int64_t drain_until; /* boot time */
        int64_t stopped;     /* realtime; with a second for calls that were under way */
        unsigned int quiet;  /* successive answers that said that nothing is queued */

        int64_t asked, loss_until; /* realtime; boot time for `asked` */
        uint32_t lost;             /* the kernel's counter, as last seen */
        struct cosmos_event loss;
        bool loss_pending;
        const struct cosmos_event *held; /* an event that waits behind a loss event */
        struct cosmos_event head;        /* of the trace: the first event */
        bool head_pending;
        char hostname[COSMOS__HOSTNAME_SIZE];

        struct mmsghdr messages[BATCH];
        struct iovec iov[BATCH];
        unsigned int n_messages, next_message; /* received, and taken by the assembler */
        union {
                struct nlmsghdr header;
                uint8_t bytes[RECORD_MAX];
        } buffers[BATCH];
};

/* ---- loss --------------------------------------------------------------------- */

static void report_loss(struct audit_collector *c, enum cosmos_loss_kind kind, uint64_t count)
{
        if (c->loss_pending) /* one not delivered yet */
                count += c->loss.loss_count;
        c->loss = (struct cosmos_event){
            .type = COSMOS_EVENT_LOSS,
            .timestamp = cosmos__now(),
            .timestamp_digits = 9,
            .loss_kind = kind,
            .loss_count = count,
        };
        c->loss_pending = true;
}

static void take_status(struct audit_collector *c, const struct audit_status *status)
{
        uint32_t lost = status->lost - c->lost; /* modulo 2^32, as the kernel counts */

        c->lost = status->lost;
        if (lost) {
                c->base.stats.lost += lost;
                c->loss_until = cosmos__now();
                report_loss(c, COSMOS_LOSS_KERNEL, lost);
        }
        c->quiet = status->backlog == 0 ? c->quiet + 1 : 0;
}

/* Ask for the status if it is time; take the answer if it has come. */
static int poll_status(struct audit_collector *c)
{
        int64_t now = cosmos__boottime();
        struct audit_reply reply;

        /* Whatever stays unread would keep the descriptor readable for ever. */
        while (audit_get_reply(c->host.fd, &reply, GET_REPLY_NONBLOCKING, 0) > 0)
                if (reply.type == AUDIT_GET)
                        take_status(c, reply.status);
        if (now - c->asked >= (c->phase == COLLECTING ? STATUS_NS : STATUS_NS / 10)) {
                int r = audit_request_status(c->host.fd);

                if (r < 0)
                        return r;
                c->asked = now;
        }
        return 0;
}

/* ---- records --------------------------------------------------------------------- */

static int receive(struct audit_collector *c)
{
        int n;

        do
                n = recvmmsg(c->records_fd, c->messages, BATCH, MSG_DONTWAIT, NULL);
        while (n < 0 && errno == EINTR);
        c->next_message = c->n_messages = 0;
        if (n < 0) {
                if (errno == ENOBUFS) {
                        c->base.stats.overruns++;
                        c->loss_until = cosmos__now();
                        report_loss(c, COSMOS_LOSS_ENOBUFS, 0);
                        return 1;
                }
                return errno == EAGAIN ? 0 : -errno;
        }
        c->n_messages = (unsigned int)n;
        return n;
}

static void push(struct audit_collector *c, const struct nlmsghdr *header, size_t n)
{
        struct cosmos__record_head head;
        enum cosmos__record_type type;
        int r;

        /* nlmsg_len counts the header or not, as the sender likes: what was received is what counts. */
        if (n < sizeof(*header) || header->nlmsg_type < AUDIT_FIRST_USER_MSG || header->nlmsg_type == AUDIT_REPLACE)
                return; /* an acknowledgement, or a would-be owner who asks whether we live */
        c->base.stats.records++;
        type = (enum cosmos__record_type)header->nlmsg_type;
        r = cosmos__record_parse_head((const uint8_t *)header + sizeof(*header), n - sizeof(*header), &head);
        if (r == 0 && c->phase == DRAINING && head.timestamp <= c->stopped)
                c->drain_until = cosmos__boottime() + DRAIN_NS;
        if (r == 0)
                r = cosmos__assembler_push(c->assembler, type, &head, cosmos__boottime());
        if (r == 0 && type != COSMOS__RECORD_EOE && type != COSMOS__RECORD_PROCTITLE)
                c->base.stats.ignored++;
        if (r >= 0)
                return;
        c->base.stats.malformed++;
        if (type == COSMOS__RECORD_SYSCALL) /* a call that we cannot read is a call that is missing */
                report_loss(c, COSMOS_LOSS_GAP, 1);
}

static void push_batch(struct audit_collector *c)
{
        while (c->next_message < c->n_messages && !cosmos__assembler_full(c->assembler)) {
                unsigned int i = c->next_message++;

                push(c, &c->buffers[i].header, MIN(c->messages[i].msg_len, RECORD_MAX));
        }
}

/* ---- the collector ------------------------------------------------------------------ */

static int finish(struct audit_collector *c, struct cosmos_diag *reterr)
{
        c->phase = RESTORED;
        return cosmos__audit_host_restore(&c->host, reterr);
}

static void set_timer(struct audit_collector *c, int64_t ns)
{
        struct itimerspec t = {.it_interval.tv_nsec = ns, .it_value.tv_nsec = ns};

        timerfd_settime(c->timer_fd, 0, &t, NULL);
}

static const struct cosmos_event *pop(struct audit_collector *c)
{
        const struct cosmos_event *event = TAKE_PTR(c->held);
        bool whole = true;

        if (!event) {
                event = cosmos__assembler_pop(c->assembler, cosmos__boottime(), c->phase == RESTORED, &whole);
                if (!event)
                        return NULL;
                c->base.stats.incomplete += !whole;
                if (c->loss_until && event->timestamp > c->loss_until) {
                        c->loss_until = 0;
                        report_loss(c, COSMOS_LOSS_KERNEL, 0);
                        c->held = event;
                        return NULL;
                }
        }
        c->base.stats.events++;
        return event;
}

static int audit_next(cosmos_collector *base, const struct cosmos_event **ret_event, struct cosmos_diag *reterr)
{
        struct audit_collector *c = CONTAINER_OF(base, struct audit_collector, base);
        uint64_t ticks;

        for (;;) {
                int r;

                if (c->head_pending) {
                        c->head_pending = false;
                        *ret_event = &c->head;
                        return 1;
                }
                if (c->loss_pending) {
                        c->loss_pending = false;
                        *ret_event = &c->loss;
                        return 1;
                }
                *ret_event = pop(c);
                if (*ret_event)
                        return 1;
                if (c->loss_pending)
                        continue;
                if (c->next_message < c->n_messages) {
                        push_batch(c);
                        continue;
                }
                if (c->phase == RESTORED)
                        return 2;
                r = poll_status(c);
                if (r >= 0)
                        r = receive(c);
                if (r < 0)
                        return cosmos__fail(reterr, r, "cannot receive from the kernel's audit system: %s",
                                            strerrordesc_np(-r));
                if (r > 0)
                        continue;
                if (c->phase == DRAINING && (c->quiet >= 2 || cosmos__boottime() > c->drain_until)) {
                        r = finish(c, reterr);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (c->loss_pending)
                        continue;
                /* Read away the timer's ticks: it is readable until then. */
                if (read(c->timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
                        return cosmos__fail(reterr, -errno, "cannot read a timer: %s", strerrordesc_np(errno));
                return 0;
        }
}

static int audit_stop(cosmos_collector *base, struct cosmos_diag *reterr)
{
        struct audit_collector *c = CONTAINER_OF(base, struct audit_collector, base);

        if (c->phase != COLLECTING)
                return 0;
        c->phase = DRAINING;
        c->drain_until = cosmos__boottime() + DRAIN_NS;
        c->stopped = cosmos__now() + 1000000000;
        c->quiet = 0;
        c->asked = 0;
        set_timer(c, 10 * 1000000);
        return cosmos__audit_host_remove_rules(&c->host, reterr);
}

static int audit_fd(const cosmos_collector *base)
{
        return CONTAINER_OF(base, struct audit_collector, base)->epoll_fd;
}

static void audit_free(cosmos_collector *base)
{
        struct audit_collector *c = CONTAINER_OF(base, struct audit_collector, base);

        cosmos__audit_host_close(&c->host);
        cosmos__assembler_free(c->assembler);
        cosmos__closep(&c->epoll_fd);
        cosmos__closep(&c->timer_fd);
        cosmos__closep(&c->records_fd);
        free(c);
}

static const struct cosmos__collector_ops audit_ops = {
    .live = 1,
    .fd = audit_fd,
    .next = audit_next,
    .stop = audit_stop,
    .free = audit_free,
};

static int open_descriptors(struct audit_collector *c, struct cosmos_diag *reterr)
{
        int fds[3], size = RECEIVE_BUFFER;

        c->records_fd = audit_open();
        c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (c->records_fd < 0 || c->timer_fd < 0 || c->epoll_fd < 0)
                return cosmos__fail(reterr, -errno, "cannot open a descriptor: %s", strerrordesc_np(errno));
        fds[0] = c->records_fd;
        fds[1] = c->timer_fd;
        fds[2] = c->host.fd;
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                struct epoll_event event = {.events = EPOLLIN};

                if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fds[i], &event) < 0)
                        return cosmos__fail(reterr, -errno, "epoll_ctl: %s", strerrordesc_np(errno));
        }
        /* A smaller buffer works too; the kernel's backlog stands behind it. */
        setsockopt(c->records_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
        set_timer(c, STATUS_NS);
        for (size_t i = 0; i < BATCH; i++) {
                c->iov[i] = (struct iovec){c->buffers[i].bytes, RECORD_MAX};
                c->messages[i].msg_hdr = (struct msghdr){.msg_iov = &c->iov[i], .msg_iovlen = 1};
        }
        return 0;
}

static void audit_freep(struct audit_collector **c)
{
        if (*c)
                audit_free(&(*c)->base);
}

COSMOS_API int cosmos_collector_open_audit(cosmos_collector **ret, const struct cosmos_audit_options *options,
                                           struct cosmos_diag *reterr)
{
        _cleanup_(audit_freep) struct audit_collector *c = NULL;
        struct cosmos_audit_options o;
        int r;

        r = cosmos__options(&o, sizeof(o), options, "cosmos_audit_options", reterr);
        if (r < 0)
                return r;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->base = (cosmos_collector){.ops = &audit_ops, .log = o.log};
        c->records_fd = c->timer_fd = c->epoll_fd = -1;
        r = cosmos__audit_host_open(&c->host, o.state_dir, reterr);
        if (r < 0)
                return r;
        if (r > 0)
                cosmos__log(&o.log, COSMOS_LOG_WARNING,
                            "an earlier collector died without restoring the kernel's audit settings: restored now");
        c->lost = c->host.saved.lost;
        r = cosmos__assembler_new(&c->assembler);
        if (r == 0)
                r = open_descriptors(c, reterr);
        if (r == 0)
                r = cosmos__audit_host_take(&c->host, c->records_fd, o.backlog_limit ? o.backlog_limit : BACKLOG_LIMIT,
                                            reterr);
        if (r < 0)
                return r;
        cosmos__trace_head(&c->head, "audit", c->hostname);
        c->head_pending = true;
        *ret = &TAKE_PTR(c)->base;
        return 0;
}
