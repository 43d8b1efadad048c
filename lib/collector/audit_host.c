/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: small requests; our rules; the state file; taking, restoring, mending.
 *
 * What is changed: enabled (to 1), rate_limit (to 0), backlog_limit (raised),
 * backlog_wait_time (to 0, so that a full backlog never stalls an audited
 * process), failure (from 2, panic, to 1), the owner's pid, and three rules.
 */
#include "collector/audit_host.h"

#include "base/base.h"

#include <cosmos/collector.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_DIR "/run/cosmos"
#define STATE_FILE "audit.json"
#define FAILURE_PANIC 2

/* ---- requests ------------------------------------------------------------------ */

int cosmos__audit_status(int fd, struct audit_status *ret)
{
        struct audit_reply reply;
        int r;

        r = audit_request_status(fd);
        if (r < 0)
                return r;
        for (int64_t until = cosmos__boottime() + 1000000000; cosmos__boottime() < until;) {
                struct pollfd p = {.fd = fd, .events = POLLIN};

                if (poll(&p, 1, 100) < 0 && errno != EINTR)
                        return -errno;
                r = audit_get_reply(fd, &reply, GET_REPLY_NONBLOCKING, 0);
                if (r > 0 && reply.type == AUDIT_GET) {
                        *ret = *reply.status;
                        return 0;
                }
        }
        return -ETIMEDOUT;
}

/* ---- rules ---------------------------------------------------------------------- */

/* In front of the host's own rules, since the first that matches decides. Working
 * directories and process titles are dropped in the kernel: two of a call's
 * records less to queue, and we are the only reader of the stream. */
static const struct {
        int filter;
        const char *field; /* NULL: every system call of both architectures */
} rules[] = {
    {AUDIT_FILTER_EXCLUDE, "msgtype=PROCTITLE"},
    {AUDIT_FILTER_EXCLUDE, "msgtype=CWD"},
    {AUDIT_FILTER_EXIT, NULL},
};

static int make_rule(size_t i, struct audit_rule_data **ret)
{
        _cleanup_free_ struct audit_rule_data *rule = calloc(1, sizeof(*rule) + 64);
        int r;

        if (!rule)
                return -ENOMEM;
        if (rules[i].field) {
                char pair[64]; /* libaudit writes into it, and may move the rule */

                snprintf(pair, sizeof(pair), "%s", rules[i].field);
                r = audit_rule_fieldpair_data(&rule, pair, rules[i].filter);
        } else
                r = audit_rule_syscallbyname_data(rule, "all");
        if (r != 0)
                return -EINVAL;
        *ret = TAKE_PTR(rule);
        return 0;
}

static int add_rule(int fd, size_t i)
{
        _cleanup_free_ struct audit_rule_data *rule = NULL;
        int r = make_rule(i, &rule);

        if (r < 0)
                return r;
        r = audit_add_rule_data(fd, rule, rules[i].filter | AUDIT_FILTER_PREPEND, AUDIT_ALWAYS);
        return r < 0 ? r : 0;
}

/* 0 also if it is not there (any more). */
static int delete_rule(int fd, size_t i)
{
        _cleanup_free_ struct audit_rule_data *rule = NULL;
        int r = make_rule(i, &rule);

        if (r < 0)
                return r;
        r = audit_delete_rule_data(fd, rule, rules[i].filter, AUDIT_ALWAYS);
        return r < 0 && r != -ENOENT ? r : 0;
}

/* ---- state file -------------------------------------------------------------------- */

static void boot_id(char ret[64])
{
        _cleanup_free_ char *text = NULL;
        size_t n;

        ret[0] = 0;
        if (cosmos__read_file("/proc/sys/kernel/random/boot_id", 63, &text, &n) == 0)
                snprintf(ret, 64, "%.*s", (int)strcspn(text, "\n"), text);
}

/* Field 22 of /proc/PID/stat: with the pid it names a process for good. 0: no such
 * process, or one that is dead and only waits for its parent. */
static uint64_t start_time(int64_t pid)
{
        _cleanup_free_ char *text = NULL;
        char path[64], *p;
        size_t n;

        snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
        if (cosmos__read_file(path, 4096, &text, &n) < 0 || !(p = strrchr(text, ')')) || strncmp(p, ") Z", 3) == 0 ||
            strncmp(p, ") X", 3) == 0)
                return 0;
        for (int field = 2; field < 22; field++) {
                p = strchr(p + 1, ' ');
                if (!p)
                        return 0;
        }
        return strtoull(p, NULL, 10);
}

static int write_state(const struct cosmos__audit_host *host)
{
        _cleanup_free_ char *temporary = NULL;
        const struct audit_status *s = &host->saved;
        char boot[64];
        json_t *json;
        int r;

        boot_id(boot);
        json = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "boot_id", boot, "pid", (json_int_t)getpid(),
                         "start", (json_int_t)start_time(getpid()), "enabled", (json_int_t)s->enabled, "failure",
                         (json_int_t)s->failure, "rate_limit", (json_int_t)s->rate_limit, "backlog_limit",
                         (json_int_t)s->backlog_limit, "backlog_wait_time", (json_int_t)s->backlog_wait_time, "rules",
                         (json_int_t)host->rules);
        if (!json)
                return -ENOMEM;
        if (asprintf(&temporary, "%s.new", host->state_path) < 0) {
                json_decref(json);
                return -ENOMEM;
        }
        /* The rename makes it whole or absent, whenever we may be killed. */
        r = json_dump_file(json, temporary, JSON_COMPACT) < 0 ? -errno : 0;
        if (r == 0 && rename(temporary, host->state_path) < 0)
                r = -errno;
        json_decref(json);
        return r;
}

struct state {
        struct audit_status saved;
        uint32_t rules;
        int64_t pid;
        uint64_t start;
        bool this_boot;
};

/* 1: read; 0: there is none. */
static int read_state(const char *path, struct state *ret, struct cosmos_diag *reterr)
{
        json_int_t pid, start, enabled, failure, rate_limit, backlog_limit, wait_time, mask;
        _cleanup_free_ char *text = NULL;
        const char *boot;
        char now[64];
        json_t *json;
        size_t n;
        int r;

        r = cosmos__read_file(path, 65536, &text, &n);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return cosmos__fail(reterr, r, "%s: cannot read: %s", path, strerrordesc_np(-r));
        json = json_loads(text, 0, NULL);
        if (!json ||
            json_unpack(json, "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "boot_id", &boot, "pid", &pid, "start",
                        &start, "enabled", &enabled, "failure", &failure, "rate_limit", &rate_limit, "backlog_limit",
                        &backlog_limit, "backlog_wait_time", &wait_time, "rules", &mask) < 0) {
                json_decref(json);
                return cosmos__fail(reterr, -COSMOS_EFORMAT,
                                    "%s: not the state of a collector; check `auditctl -s` and `-l`, then remove it",
                                    path);
        }
        boot_id(now);
        *ret = (struct state){
            .saved = {.enabled = (uint32_t)enabled,
                      .failure = (uint32_t)failure,
                      .rate_limit = (uint32_t)rate_limit,
                      .backlog_limit = (uint32_t)backlog_limit,
                      .backlog_wait_time = (uint32_t)wait_time},
            .rules = (uint32_t)mask,
            .pid = pid,
            .start = (uint64_t)start,
            .this_boot = strcmp(boot, now) == 0,
        };
        json_decref(json);
        return 1;
}

static int state_path(const char *state_dir, char **ret)
{
        return asprintf(ret, "%s/%s", state_dir ? state_dir : STATE_DIR, STATE_FILE) < 0 ? -ENOMEM : 0;
}

/* ---- restoring ------------------------------------------------------------------------- */

static int delete_rules(int fd, uint32_t mask)
{
        int r = 0;

        /* The one that makes events goes first, whatever fails after it. */
        for (size_t i = ARRAY_SIZE(rules); i-- > 0;)
                if (mask & 1u << i) {
                        int q = delete_rule(fd, i);

                        r = r < 0 ? r : q;
                }
        return r;
}

static int set_back(int fd, const struct audit_status *saved)
{
        int r[] = {
            audit_set_enabled(fd, saved->enabled),
            audit_set_failure(fd, saved->failure),
            audit_set_rate_limit(fd, saved->rate_limit),
            audit_set_backlog_limit(fd, saved->backlog_limit),
            audit_set_backlog_wait_time(fd, saved->backlog_wait_time),
        };

        for (size_t i = 0; i < ARRAY_SIZE(r); i++)
                if (r[i] < 0)
                        return r[i];
        return 0;
}

/* An owner that died stays in the status until the kernel next has something for
 * it. Only an owner can leave, so take its place first. */
static int clear_dead_owner(int fd)
{
        struct audit_status status;
        int r = cosmos__audit_status(fd, &status);

        if (r < 0 || !status.pid || start_time(status.pid))
                return r;
        r = audit_set_pid(fd, (uint32_t)getpid(), WAIT_NO);
        return r < 0 ? r : audit_set_pid(fd, 0, WAIT_NO);
}

static int restore_failed(struct cosmos_diag *reterr, int r, const char *state)
{
        return cosmos__fail(reterr, r,
                            "the kernel's audit settings could not be restored: %s; the host's own are in %s "
                            "(see auditctl -s and -l)",
                            strerrordesc_np(-r), state);
}

int cosmos__audit_host_remove_rules(struct cosmos__audit_host *host, struct cosmos_diag *reterr)
{
        int r = delete_rules(host->fd, host->rules);

        if (r < 0)
                return restore_failed(reterr, r, host->state_path);
        host->rules = 0;
        return 0;
}

int cosmos__audit_host_restore(struct cosmos__audit_host *host, struct cosmos_diag *reterr)
{
        int r, q;

        if (!host->taken)
                return 0;
        r = delete_rules(host->fd, host->rules);
        q = set_back(host->fd, &host->saved);
        r = r < 0 ? r : q;
        /* -EACCES: the kernel has found us gone already and has let go of us. */
        q = audit_set_pid(host->fd, 0, WAIT_NO);
        r = r < 0 ? r : q == -EACCES ? 0 : q;
        if (r < 0)
                return restore_failed(reterr, r, host->state_path);
        host->taken = 0;
        host->rules = 0;
        unlink(host->state_path);
        return 0;
}

void cosmos__audit_host_close(struct cosmos__audit_host *host)
{
        cosmos__audit_host_restore(host, NULL);
        if (host->fd >= 0)
                audit_close(host->fd);
        free(host->state_path);
        *host = (struct cosmos__audit_host){.fd = -1};
}

COSMOS_API int cosmos_audit_mend(const char *state_dir, struct cosmos_diag *reterr)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        struct state state;
        int r, q;

        r = state_path(state_dir, &path);
        if (r < 0)
                return r;
        r = read_state(path, &state, reterr);
        if (r <= 0)
                return r;
        if (state.this_boot && start_time(state.pid) == state.start)
                return 0; /* it is alive */
        if (state.this_boot) {
                fd = audit_open();
                if (fd < 0)
                        return restore_failed(reterr, -errno, path);
                r = delete_rules(fd, state.rules);
                q = set_back(fd, &state.saved);
                r = r < 0 ? r : q;
                q = clear_dead_owner(fd);
                r = r < 0 ? r : q;
                if (r < 0)
                        return restore_failed(reterr, r, path);
        }
        if (unlink(path) < 0)
                return cosmos__fail(reterr, -errno, "%s: cannot remove: %s", path, strerrordesc_np(errno));
        return state.this_boot;
}

/* ---- taking ------------------------------------------------------------------------------ */

static int no_access(struct cosmos_diag *reterr, int r)
{
        switch (-r) {
        case EPERM:
                return cosmos__fail(reterr, r,
                                    "the kernel's audit system needs CAP_AUDIT_CONTROL: run as root, in the "
                                    "initial namespaces");
        case EPROTONOSUPPORT:
        case EAFNOSUPPORT:
                return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE, "this kernel was built without audit (CONFIG_AUDIT)");
        case ECONNREFUSED:
                return cosmos__fail(reterr, -COSMOS_EUNAVAILABLE,
                                    "the kernel refuses audit here: not in the initial user and pid namespaces, or "
                                    "booted with audit=off");
        default:
                return cosmos__fail(reterr, r, "cannot talk to the kernel's audit system: %s", strerrordesc_np(-r));
        }
}

static int owned(struct cosmos_diag *reterr, uint32_t pid)
{
        _cleanup_free_ char *comm = NULL;
        char path[64], name[64];
        size_t n = 0;

        snprintf(path, sizeof(path), "/proc/%u/comm", pid);
        if (cosmos__read_file(path, 64, &comm, &n) < 0)
                n = 0;
        while (n > 0 && comm[n - 1] == '\n')
                n--;
        return cosmos__fail(reterr, -COSMOS_EOWNER,
                            "the kernel's audit stream is owned by %s (pid %u); stop it first: "
                            "only one process can have it",
                            n ? cosmos__quote(name, sizeof(name), comm, n) : "another process", pid);
}

int cosmos__audit_host_open(struct cosmos__audit_host *host, const char *state_dir, struct cosmos_diag *reterr)
{
        int r;

        *host = (struct cosmos__audit_host){.fd = audit_open()};
        if (host->fd < 0)
                return no_access(reterr, -errno);
        r = cosmos__audit_status(host->fd, &host->saved);
        if (r < 0)
                return no_access(reterr, r);
        if (host->saved.pid && start_time(host->saved.pid))
                return owned(reterr, host->saved.pid);
        r = state_path(state_dir, &host->state_path);
        if (r < 0)
                return r;
        r = cosmos_audit_mend(state_dir, reterr);
        if (r > 0) {
                int q = cosmos__audit_status(host->fd, &host->saved);

                r = q < 0 ? no_access(reterr, q) : r;
        }
        if (r >= 0 && host->saved.enabled == 2)
                return cosmos__fail(reterr, -EPERM,
                                    "the kernel's audit configuration is locked (enabled 2) until the next boot");
        if (mkdir(state_dir ? state_dir : STATE_DIR, 0700) < 0 && errno != EEXIST)
                return cosmos__fail(reterr, -errno, "%s: cannot create: %s", state_dir ? state_dir : STATE_DIR,
                                    strerrordesc_np(errno));
        return r;
}

static int load_rules(struct cosmos__audit_host *host)
{
        for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
                int r;

                /* Written before it is loaded: a crash in between leaves nothing behind. */
                host->rules |= 1u << i;
                r = write_state(host);
                if (r < 0)
                        return r;
                r = add_rule(host->fd, i);
                if (r == -EEXIST) { /* the host's own: it stays */
                        host->rules &= ~(1u << i);
                        r = write_state(host);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static int change(struct cosmos__audit_host *host, uint32_t backlog_limit)
{
        int r = 0;

        /* Waiting must be off before the first rule is loaded. */
        r = audit_set_backlog_wait_time(host->fd, 0);
        if (r >= 0 && host->saved.backlog_limit < backlog_limit)
                r = audit_set_backlog_limit(host->fd, backlog_limit);
        if (r >= 0 && host->saved.rate_limit)
                r = audit_set_rate_limit(host->fd, 0);
        if (r >= 0 && host->saved.failure == FAILURE_PANIC)
                r = audit_set_failure(host->fd, 1);
        if (r >= 0)
                r = load_rules(host);
        if (r >= 0)
                r = audit_set_enabled(host->fd, 1);
        return r < 0 ? r : 0;
}

int cosmos__audit_host_take(struct cosmos__audit_host *host, int records_fd, uint32_t backlog_limit,
                            struct cosmos_diag *reterr)
{
        int r;

        r = write_state(host);
        if (r < 0)
                return cosmos__fail(reterr, r, "%s: cannot write: %s", host->state_path, strerrordesc_np(-r));
        host->taken = 1;
        r = audit_set_pid(records_fd, (uint32_t)getpid(), WAIT_NO);
        if (r < 0) {
                struct audit_status status = {0};

                if (r == -EEXIST && cosmos__audit_status(host->fd, &status) == 0)
                        r = owned(reterr, status.pid);
                else
                        r = no_access(reterr, r);
                host->taken = 0; /* the stream is another's now, and its settings too */
                unlink(host->state_path);
                return r;
        }
        r = change(host, backlog_limit);
        if (r < 0) {
                cosmos__audit_host_restore(host, NULL);
                return cosmos__fail(reterr, r, "cannot set up the kernel's audit system: %s", strerrordesc_np(-r));
        }
        return 0;
}
