/* SPDX-License-Identifier: Apache-2.0 */
/* What the command-line tools share. Any thread may say things. */
#ifndef COSMOS_CLI_COMMON_H
#define COSMOS_CLI_COMMON_H

#include <cosmos/cosmos.h>

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum {
        EXIT_OK = 0,
        EXIT_ANOMALY = 1,
        EXIT_ERROR = 2,
};

extern const char *cli_name;                   /* of the tool, before each message */
extern volatile sig_atomic_t cli_stop_signals; /* SIGINT, SIGTERM, SIGHUP and SIGALRM that came so far */

/* "NAME: text" on stderr. What is not printable ASCII becomes a question mark. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says an error's text, or its number's if it has none; returns EXIT_ERROR. */
int cli_fail(int error, const struct cosmos_diag *diag);

/* A hook that says each line. */
struct cosmos_log cli_log(void);

/* Descriptors 0 to 2 that were closed become /dev/null, without writing for standard output: nothing else that is
 * opened is to be taken for them. */
void cli_open_standard(void);

/* Count stop signals from now on, and ignore SIGPIPE. Of them the first `most` are counted, the next one kills; 0:
 * all are counted. */
void cli_catch_signals(int most);

/* "Try 'NAME --help'." Returns EXIT_ERROR. */
int cli_usage_error(void);

/* The containers that were chosen on the command line. */
struct cli_containers {
        const char *names[256];
        size_t n;
};

/* One more --container. EXIT_OK or EXIT_ERROR. */
int cli_add_container(struct cli_containers *containers, const char *name);

/* Wait until `fd` is readable, for up to a second; a signal ends it too. */
void cli_wait(int fd);

/* One such line that is written over, on a terminal only, twice a second at most. */
void cli_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
