/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *cli_name;
volatile sig_atomic_t cli_stop_signals;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the terminal */
static bool progress_shown;

static void clear_progress(void)
{
        if (progress_shown)
                fputs("\r\033[K", stderr);
        progress_shown = false;
}

/* Names come from outside: a terminal gets printable ASCII only. */
static void print(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
static void print(const char *format, va_list args)
{
        char text[4096];

        vsnprintf(text, sizeof(text), format, args);
        for (char *p = text; *p; p++)
                if (*p < 0x20 || *p >= 0x7f)
                        *p = '?';
        fputs(text, stderr);
}

void cli_say(const char *format, ...)
{
        va_list args;

        pthread_mutex_lock(&lock);
        clear_progress();
        fprintf(stderr, "%s: ", cli_name);
        va_start(args, format);
        print(format, args);
        va_end(args);
        fputc('\n', stderr);
        pthread_mutex_unlock(&lock);
}

int cli_fail(int error, const struct cosmos_diag *diag)
{
        char text[128];

        cli_say("%s", diag->text[0] ? diag->text : cosmos_strerror(error, text, sizeof(text)));
        return EXIT_ERROR;
}

static void say_line(void *userdata, enum cosmos_log_level level, const char *text)
{
        (void)userdata;
        cli_say("%s%s", level == COSMOS_LOG_WARNING ? "warning: " : "", text);
}

struct cosmos_log cli_log(void)
{
        return (struct cosmos_log){.line = say_line};
}

void cli_open_standard(void)
{
        for (int fd = 0; fd <= 2; fd++)
                if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
                        exit(EXIT_ERROR);
}

static int counted; /* stop signals; 0: all */

static void count_signal(int number)
{
        cli_stop_signals++;
        if (cli_stop_signals == counted)
                signal(number, SIG_DFL);
}

void cli_catch_signals(int most)
{
        const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
        struct sigaction count = {.sa_handler = count_signal}, ignore = {.sa_handler = SIG_IGN};

        counted = most;
        for (size_t i = 0; i < sizeof(stops) / sizeof(*stops); i++)
                sigaction(stops[i], &count, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
}

int cli_usage_error(void)
{
        fprintf(stderr, "Try '%s --help'.\n", cli_name);
        return EXIT_ERROR;
}

int cli_add_container(struct cli_containers *containers, const char *name)
{
        if (containers->n == sizeof(containers->names) / sizeof(*containers->names)) {
                cli_say("more than %zu --container", containers->n);
                return EXIT_ERROR;
        }
        containers->names[containers->n++] = name;
        return EXIT_OK;
}

void cli_wait(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};

        poll(&p, 1, 1000);
}

/* With the lock. */
static bool is_due(void)
{
        static struct timespec last;
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000 < 500)
                return false;
        last = now;
        return isatty(STDERR_FILENO);
}

void cli_progress(const char *format, ...)
{
        va_list args;

        pthread_mutex_lock(&lock);
        if (is_due()) {
                progress_shown = true;
                fputs("\r\033[K", stderr);
                va_start(args, format);
                print(format, args);
                va_end(args);
                fflush(stderr);
        }
        pthread_mutex_unlock(&lock);
}
