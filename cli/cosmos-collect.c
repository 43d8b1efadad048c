/* SPDX-License-Identifier: Apache-2.0 */
/* Collect the system calls of containers as a trace. */
#include "common.h"
#include "guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static const char help[] = "Usage: cosmos-collect [OPTION]... > trace.jsonl\n"
                           "\n"
                           "Record the system calls of containers, one JSON object a line. The containers\n"
                           "are not modified, and nothing need be known of what they run.\n"
                           "\n"
                           "  -c, --container C    only this container: its name, the first digits of its id\n"
                           "                       (4 or more), or its image; may be given several times.\n"
                           "                       Default: every container; in a replay, every call\n"
                           "  -d, --duration S     stop after S seconds (also 0.5). Default: at Ctrl-C or SIGTERM\n"
                           "  -o, --output FILE    write there instead of to standard output\n"
                           "  -b, --backend B      where calls come from: bpf (each thread in order, at little\n"
                           "                       cost), audit (the kernel's audit system: processes only, and\n"
                           "                       costly), or auto, the default: bpf, or audit where that can't be\n"
                           "      --calls LIST     only these calls, by name with commas between (bpf)\n"
                           "      --with LIST      add to each call (bpf): fd, the kind of its descriptor; size,\n"
                           "                       the class of the bytes it moved; path, the class of its path\n"
                           "      --without LIST   leave out (bpf): exe, the program; text, paths, arguments and\n"
                           "                       addresses\n"
                           "  -r, --replay FILE    read an audit.log or a trace, also compressed with gzip, instead\n"
                           "                       of the kernel (- is standard input)\n"
                           "  -h, --help           this text\n"
                           "      --version        the version\n"
                           "\n"
                           "Live collection needs root (bpf: CAP_BPF and CAP_PERFMON). Whatever it changes in the\n"
                           "kernel is restored when it ends, also if it is killed. Start it before the container to\n"
                           "see its first call.\n"
                           "\n"
                           "Examples:\n"
                           "  cosmos-collect --container db --duration 60 > normal.jsonl   learn from these\n"
                           "  cosmos-collect --container db | cosmos-score model.bin -     watch it live\n"
                           "  cosmos-collect --calls execve,connect                        programs and peers only\n"
                           "  cosmos-collect --replay /var/log/audit/audit.log             convert a log\n"
                           "\n"
                           "Exit status: 0 done, 2 an error. See also cosmos-score(1).\n";

enum backend { AUTO, BPF, AUDIT };

#define CALLS_MAX 512
#define PIPE_BYTES (1 << 20)

struct arguments {
        struct cli_containers containers;
        double duration; /* seconds; 0: until a signal */
        const char *output, *replay;
        enum backend backend;
        const char *calls[CALLS_MAX];
        size_t n_calls;
        uint32_t with, without;
};

struct collection {
        cosmos_collector *collector;
        cosmos_resolver *resolver;
        cosmos_sink *sink;
        int output;
        struct guardian guardian;
        enum backend backend;
        uint64_t calls;
};

static int parse_duration(const char *text, double *ret)
{
        char *end;

        *ret = strtod(text, &end);
        if (*end || end == text || !(*ret > 0 && *ret <= 1e8)) {
                cli_say("--duration '%s': give a number of seconds above 0", text);
                return cli_usage_error();
        }
        return EXIT_OK;
}

static int parse_backend(const char *text, enum backend *ret)
{
        static const char *const names[] = {"auto", "bpf", "audit"};

        for (size_t i = 0; i < 3; i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum backend)i;
                        return EXIT_OK;
                }
        cli_say("--backend '%s': give auto, bpf or audit", text);
        return cli_usage_error();
}

/* Cuts `text` at its commas. */
static int parse_calls(char *text, struct arguments *a)
{
        char *rest;

        for (char *name = strtok_r(text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
                if (a->n_calls == CALLS_MAX) {
                        cli_say("--calls: more than %d names", CALLS_MAX);
                        return EXIT_ERROR;
                }
                a->calls[a->n_calls++] = name;
        }
        if (a->n_calls > 0)
                return EXIT_OK;
        cli_say("--calls: give the names of calls, with commas between");
        return cli_usage_error();
}

struct feature {
        const char *name;
        uint32_t bit;
};

static int parse_features(const char *option, char *text, const struct feature *features, size_t n, uint32_t *ret)
{
        char *rest;

        for (char *name = strtok_r(text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
                size_t i = 0;

                while (i < n && strcmp(name, features[i].name) != 0)
                        i++;
                if (i == n) {
                        cli_say("--%s '%s': not one of those that --help names", option, name);
                        return cli_usage_error();
                }
                *ret |= features[i].bit;
        }
        if (*ret)
                return EXIT_OK;
        cli_say("--%s: give some of those that --help names, with commas between", option);
        return cli_usage_error();
}

static int parse_with(char *text, uint32_t *ret)
{
        static const struct feature features[] = {
            {"fd", COSMOS_BPF_FD_KIND}, {"size", COSMOS_BPF_SIZE_CLASS}, {"path", COSMOS_BPF_PATH_CLASS}};

        return parse_features("with", text, features, 3, ret);
}

static int parse_without(char *text, uint32_t *ret)
{
        static const struct feature features[] = {{"exe", COSMOS_BPF_EXE}, {"text", COSMOS_BPF_TEXT}};

        return parse_features("without", text, features, 2, ret);
}

/* Options that only one backend knows are not passed over in silence. */
static int check_arguments(struct arguments *a)
{
        bool only_bpf = a->n_calls || a->with || a->without;

        if (only_bpf && (a->replay || a->backend == AUDIT)) {
                cli_say("--calls, --with and --without are for the bpf backend");
                return cli_usage_error();
        }
        if (only_bpf)
                a->backend = BPF;
        return -1;
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
        static const struct option options[] = {
            {"container", required_argument, NULL, 'c'},
            {"duration", required_argument, NULL, 'd'},
            {"output", required_argument, NULL, 'o'},
            {"backend", required_argument, NULL, 'b'},
            {"calls", required_argument, NULL, 'C'},
            {"with", required_argument, NULL, 'w'},
            {"without", required_argument, NULL, 'W'},
            {"replay", required_argument, NULL, 'r'},
            {"help", no_argument, NULL, 'h'},
            {"version", no_argument, NULL, 'V'},
            {0},
        };
        int option;

        while ((option = getopt_long(argc, argv, "c:d:o:b:r:h", options, NULL)) != -1)
                switch (option) {
                case 'c':
                        if (cli_add_container(&a->containers, optarg) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'd':
                        if (parse_duration(optarg, &a->duration) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'o':
                        a->output = optarg;
                        break;
                case 'b':
                        if (parse_backend(optarg, &a->backend) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'C':
                        if (parse_calls(optarg, a) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'w':
                        if (parse_with(optarg, &a->with) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'W':
                        if (parse_without(optarg, &a->without) != EXIT_OK)
                                return EXIT_ERROR;
                        break;
                case 'r':
                        a->replay = optarg;
                        break;
                case 'h':
                        fputs(help, stdout);
                        return EXIT_OK;
                case 'V':
                        printf("cosmos-collect %s\n", cosmos_version());
                        return EXIT_OK;
                default:
                        return cli_usage_error();
                }
        if (optind < argc) {
                cli_say("'%s': not an option; containers are chosen with --container", argv[optind]);
                return cli_usage_error();
        }
        return check_arguments(a);
}

static int open_audit(struct collection *c, struct cosmos_diag *diag)
{
        struct cosmos_audit_options options = {.size = sizeof(options), .log = cli_log()};
        int r = guardian_start(&c->guardian);

        c->backend = AUDIT;
        return r < 0 ? r : cosmos_collector_open_audit(&c->collector, &options, diag);
}

/* The best that this machine can do, and why it is not better. */
static int open_live(struct collection *c, const struct arguments *a, struct cosmos_diag *diag)
{
        struct cosmos_bpf_options options = {
            .size = sizeof(options),
            .log = cli_log(),
            .without = a->without,
            .with = a->with,
            .calls = a->calls,
            .n_calls = a->n_calls,
        };
        int r;

        if (a->backend == AUDIT)
                return open_audit(c, diag);
        c->backend = BPF;
        r = cosmos_collector_open_bpf(&c->collector, &options, diag);
        if (r != -COSMOS_EUNAVAILABLE || a->backend == BPF)
                return r;
        cli_say("%s; going on with audit, which does not tell threads apart", diag->text);
        diag->text[0] = 0;
        return open_audit(c, diag);
}

static int open_source(struct collection *c, const struct arguments *a, struct cosmos_diag *diag)
{
        struct cosmos_replay_options replay = {.size = sizeof(replay), .log = cli_log()};
        struct cosmos_resolver_options containers = {
            .size = sizeof(containers),
            .log = cli_log(),
            .select = a->containers.names,
            .n_select = a->containers.n,
            .live = !a->replay,
        };
        int r;

        if (a->replay)
                r = cosmos_collector_open_replay(&c->collector, a->replay, &replay, diag);
        else
                r = open_live(c, a, diag);
        containers.detect_unaudited = !a->replay && c->backend == AUDIT;
        return r < 0 ? r : cosmos_resolver_new(&c->resolver, &containers, diag);
}

static int open_sink(struct collection *c, const struct arguments *a, struct cosmos_diag *diag)
{
        int fd = STDOUT_FILENO;

        if (a->output) {
                /* A trace tells what a service does and reads: nobody else's business. */
                fd = open(a->output, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0) {
                        snprintf(diag->text, sizeof(diag->text), "%s: cannot create: %s", a->output, strerror(errno));
                        return -errno;
                }
        }
        c->output = fd;
        fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* room for a reader that is late; no pipe, no matter */
        return cosmos_sink_new_jsonl(&c->sink, fd, diag);
}

/* What the output held goes only now that there is something to write in its place. */
static int empty_output(const struct collection *c, const struct arguments *a, struct cosmos_diag *diag)
{
        struct stat in, out;

        if (fstat(c->output, &out) < 0 || !S_ISREG(out.st_mode))
                return 0;
        if (a->replay && fstat(cosmos_collector_fd(c->collector), &in) == 0 && in.st_dev == out.st_dev &&
            in.st_ino == out.st_ino) {
                snprintf(diag->text, sizeof(diag->text), "%s: is the input too; write to another file",
                         a->output ? a->output : "standard output");
                return -EINVAL;
        }
        if (a->output && ftruncate(c->output, 0) < 0) {
                snprintf(diag->text, sizeof(diag->text), "%s: cannot empty: %s", a->output, strerror(errno));
                return -errno;
        }
        return 0;
}

static void start_timer(double seconds)
{
        struct itimerval t = {.it_value = {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)}};

        if (seconds > 0)
                setitimer(ITIMER_REAL, &t, NULL);
}

/* All that is there now: 0 nothing more yet, 2 the end, or an error. */
static int write_events(struct collection *c, struct cosmos_diag *diag)
{
        const struct cosmos_event *event;
        int r = 0, q;

        while (!cli_stop_signals && (r = cosmos_resolver_pull(c->resolver, c->collector, &event, diag)) == 1) {
                q = cosmos_sink_write_event(c->sink, event, diag);
                if (q < 0)
                        return q;
                c->calls += event->type == COSMOS_EVENT_CALL;
        }
        if (cli_stop_signals)
                r = 0;
        if (r < 0)
                return r;
        q = cosmos_sink_flush(c->sink, diag);
        return q < 0 ? q : r;
}

static int collect(struct collection *c, struct cosmos_diag *diag)
{
        bool stopped = false;
        int r;

        while ((r = write_events(c, diag)) == 0) {
                if (cli_stop_signals && !stopped) {
                        stopped = true;
                        r = cosmos_collector_stop(c->collector, diag);
                        if (r < 0)
                                return r;
                }
                if (stopped) /* from here on a signal changes nothing: what is on its way is not lost */
                        cli_stop_signals = 0;
                cli_progress("%llu calls, %zu containers", (unsigned long long)c->calls,
                             cosmos_resolver_count(c->resolver));
                cli_wait(cosmos_collector_fd(c->collector));
        }
        return r;
}

static void summarise(const struct collection *c, bool live)
{
        struct cosmos_collector_stats s = {.size = sizeof(s)};

        cosmos_collector_get_stats(c->collector, &s);
        cli_say("%llu calls written%s", (unsigned long long)c->calls,
                live && c->backend == AUDIT ? "; the kernel's audit settings are as they were" : "");
        if (live && c->backend == BPF)
                cli_say("seen %llu = delivered %llu + lost %llu (calls and ends of threads)",
                        (unsigned long long)s.seen, (unsigned long long)s.events, (unsigned long long)s.lost);
        if (s.lost && c->backend == BPF)
                cli_say("warning: %llu events found no room: the trace has gaps, and says where",
                        (unsigned long long)s.lost);
        else if (s.lost || s.overruns)
                cli_say("warning: the kernel dropped %llu records (and the socket overflowed %llu times): the trace "
                        "has gaps, which it says",
                        (unsigned long long)s.lost, (unsigned long long)s.overruns);
        if (s.malformed || s.incomplete)
                cli_say("warning: %llu malformed records or lines, %llu incomplete calls",
                        (unsigned long long)s.malformed, (unsigned long long)s.incomplete);
        if (live && c->calls == 0)
                cli_say("warning: no container made a call");
}

static int run(struct collection *c, const struct arguments *a)
{
        struct cosmos_diag diag = {0};
        int r;

        r = open_sink(c, a, &diag);
        if (r == 0)
                r = open_source(c, a, &diag);
        if (r == 0)
                r = empty_output(c, a, &diag);
        if (r < 0)
                return cli_fail(r, &diag);
        if (!a->replay) {
                /* A busy host must not keep us from what is ours; we take no more time for it.
                 * With audit, processes are looked up in /proc, where they must be found still. With
                 * bpf nothing is urgent, and a thread that holds a lock is not to be interrupted
                 * for us: we wait until it pauses by itself. */
                if (c->backend == BPF)
                        sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
                setpriority(PRIO_PROCESS, 0, -10);
                cli_say("collecting (%s), %zu containers running", c->backend == BPF ? "bpf" : "audit",
                        cosmos_resolver_count(c->resolver));
        }
        start_timer(a->duration);
        r = collect(c, &diag);
        /* The reader of a pipe may have had enough: `cosmos-collect | head`. */
        if (r < 0 && r != -EPIPE)
                return cli_fail(r, &diag);
        return EXIT_OK;
}

int main(int argc, char **argv)
{
        struct arguments arguments = {0};
        struct collection c = {0};
        int r;

        cli_name = "cosmos-collect";
        cli_open_standard();
        r = parse_arguments(argc, argv, &arguments);
        if (r >= 0)
                return r;
        cli_catch_signals(0);
        r = run(&c, &arguments);
        if (r == EXIT_OK)
                summarise(&c, !arguments.replay);
        cosmos_sink_free(c.sink);
        cosmos_resolver_free(c.resolver);
        cosmos_collector_free(c.collector);
        guardian_dismiss(&c.guardian);
        return r;
}
