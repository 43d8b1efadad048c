/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's audit settings: what we change, and how it is put back on every
 * exit path. Before anything is changed the host's own settings are written to
 * a file, from which a later process can restore them.
 */
#ifndef COSMOS_AUDIT_HOST_H
#define COSMOS_AUDIT_HOST_H

#include <cosmos/error.h>

#include <libaudit.h>
#include <stdint.h>

struct cosmos__audit_host {
        int fd; /* netlink, for requests; not the socket on which records come */
        char *state_path;
        struct audit_status saved; /* as the host had them */
        uint32_t rules;            /* bit i: rule i of ours is loaded, and was not there before */
        int taken;                 /* something may have been changed */
};

/* Ask for the status and wait for the answer, up to a second. */
int cosmos__audit_status(int fd, struct audit_status *ret);

/* Check that we may, and that nobody else owns the stream; change nothing.
 * `state_dir` NULL: the default. Whatever an earlier owner left is mended first. */
int cosmos__audit_host_open(struct cosmos__audit_host *host, const char *state_dir, struct cosmos_diag *reterr);

/* Own the stream with the socket `records_fd` and load the rules. */
int cosmos__audit_host_take(struct cosmos__audit_host *host, int records_fd, uint32_t backlog_limit,
                            struct cosmos_diag *reterr);

/* Unload the rules: no new events, but what is queued still comes. */
int cosmos__audit_host_remove_rules(struct cosmos__audit_host *host, struct cosmos_diag *reterr);

/* Unload the rules if they still are, restore all settings, give the stream up. */
int cosmos__audit_host_restore(struct cosmos__audit_host *host, struct cosmos_diag *reterr);

/* Restores if that is still to be done. */
void cosmos__audit_host_close(struct cosmos__audit_host *host);

#endif
