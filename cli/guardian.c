/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian.h"

#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(long ms)
{
        nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* The collector's end of the pipe is closed a moment before it counts as dead. */
static int mend(struct cosmos_diag *diag)
{
        int r = 0;

        for (int i = 0; i < 500 && r == 0; i++) {
                r = cosmos_audit_mend(NULL, diag);
                if (r == 0)
                        sleep_ms(10);
        }
        return r;
}

static _Noreturn void watch(int fd)
{
        const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
        struct cosmos_diag diag = {0};
        char farewell;
        ssize_t n;
        int r;

        setsid(); /* out of reach of Ctrl-C and of signals to the collector's group */
        prctl(PR_SET_NAME, "cosmos-guardian");
        for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
                signal(ignored[i], SIG_IGN);
        /* Whoever reads the collector's output must not wait for us. */
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        do
                n = read(fd, &farewell, 1);
        while (n < 0 && errno == EINTR);
        if (n == 1)
                _exit(EXIT_OK);
        r = mend(&diag);
        if (r > 0)
                cli_say("the collector died; the kernel's audit settings are as they were before it");
        else if (r < 0)
                cli_fail(r, &diag);
        _exit(r < 0 ? EXIT_ERROR : EXIT_OK);
}

int guardian_start(struct guardian *ret)
{
        int fds[2];
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid < 0) {
                int r = -errno;

                close(fds[0]);
                close(fds[1]);
                return r;
        }
        if (pid == 0) {
                close(fds[1]);
                watch(fds[0]);
        }
        close(fds[0]);
        *ret = (struct guardian){.pid = pid, .fd = fds[1]};
        return 0;
}

void guardian_dismiss(struct guardian *guardian)
{
        ssize_t n;

        if (guardian->pid <= 0)
                return;
        do
                n = write(guardian->fd, "q", 1);
        while (n < 0 && errno == EINTR);
        close(guardian->fd);
        while (waitpid(guardian->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        guardian->pid = 0;
}
