/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in the containers of the live tests: one static program, so that
 * the image is one file and each call that it makes is known.
 *
 *   guest exact SEED           10,000 getppid and 1,000 openat in 4 processes
 *   guest noise RATE SECONDS   about RATE calls a second
 *   guest work PERIOD_MS       a few calls, every period, for ever
 *   guest tag NUMBER           one getppid that carries a number
 *   guest i386 COUNT           32-bit calls of a 64-bit program
 *   guest i386-open            a 32-bit open
 *   guest threads SEED COUNT   each thread what a process of `exact` makes
 *   guest brief ROUNDS         8 threads of 10 getppid each, over and over
 *   guest forks COUNT          as many children of one getppid each
 *   guest execs COUNT OTHER    a getppid, then execve of OTHER, which comes back to us
 *   guest spawns COUNT PROGRAM children that execute PROGRAM, to tag with
 *   guest vforks COUNT PROGRAM the same with vfork, one after the other
 *   guest reuse PID COUNT      children that all have this pid, one after the other
 *   guest obey THREADS         commands on standard input, see obey(); "ok" for each
 *   guest flood THREADS        a line N: each thread makes N getppid; "ok"
 *   guest seccomp              calls that a filter of its own denies and kills for
 *   guest forbidden            calls that Docker's filter denies
 *   guest numbers              calls that no table has
 *   guest opens PATH...        openat of each
 *   guest bad-pointer          openat of what can't be read, then of what can
 *   guest peers PATH           connect to a socket of each family
 *   guest accepts              a connection to itself
 *   guest moves FOLDER         bytes through a descriptor of each kind
 *
 * getppid takes no argument, but what stands in the registers is recorded all
 * the same: that is how each call carries its own number. Calls are made by
 * syscall(2), since libc may make others of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 4
#define GETPPID (10000 / PROCESSES)
#define OPENAT (1000 / PROCESSES)
#define NOISE_TAG 0xbadUL
#define SECCOMP_TAG 0x5ecUL
#define THREADS_MAX 64
#define BRIEF_THREADS 8
#define BRIEF_CALLS 10
#define AT_ONCE 64 /* children that are not waited for yet */

static void getppid_tagged(unsigned long a0, unsigned long a1)
{
        syscall(SYS_getppid, a0, a1);
}

/* The mode is ignored where nothing is created: room for a number. */
static void openat_tagged(unsigned long a3)
{
        syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY, a3);
}

static void sleep_ms(long ms)
{
        struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        while (nanosleep(&left, &left) && errno == EINTR)
                ;
}

/* Numerical Recipes' generator; the test computes the same order. */
static uint32_t next_random(uint32_t *state)
{
        *state = *state * 1664525u + 1013904223u;
        return *state >> 8;
}

static void exact_process(uint32_t seed, unsigned long process)
{
        uint32_t state = seed + (uint32_t)process, getppids = GETPPID, openats = OPENAT;

        for (unsigned long i = 0; getppids + openats > 0; i++) {
                if (next_random(&state) % (getppids + openats) < getppids) {
                        getppid_tagged(i, process);
                        getppids--;
                } else {
                        openat_tagged(i);
                        openats--;
                }
        }
}

static int exact(uint32_t seed)
{
        for (unsigned long process = 1; process < PROCESSES; process++) {
                pid_t pid = fork();

                if (pid < 0)
                        return 1;
                if (pid == 0) {
                        exact_process(seed, process);
                        _exit(0);
                }
        }
        exact_process(seed, 0);
        for (int status, n = 1; n < PROCESSES; n++)
                if (wait(&status) < 0 || status)
                        return 1;
        return 0;
}

/* In bursts of 10 ms; prints how many calls it made. */
static int noise(long rate, long seconds)
{
        unsigned long made = 0;
        time_t end = time(NULL) + seconds;

        while (time(NULL) < end) {
                for (long i = 0; i < rate / 100; i += 2, made += 2) {
                        getppid_tagged(made, NOISE_TAG);
                        openat_tagged(made);
                }
                sleep_ms(10);
        }
        printf("%lu\n", made);
        return 0;
}

_Noreturn static void work(long period_ms)
{
        for (unsigned long i = 0;; i++) {
                getppid_tagged(i, 0);
                openat_tagged(i);
                sleep_ms(period_ms);
        }
}

#ifdef __x86_64__
/* 20 and 64 are getpid and getppid on i386, but writev and semget on x86_64. */
static int i386(long count)
{
        for (long i = 0; i < count; i++) {
                long result = 20;

                __asm__ volatile("int $0x80" : "+a"(result) : "b"(i) : "memory", "r8", "r9", "r10", "r11");
                if (result < 0)
                        return 77;
                result = 64;
                __asm__ volatile("int $0x80" : "+a"(result) : "b"(i) : "memory", "r8", "r9", "r10", "r11");
        }
        return 0;
}
#else
static int i386(long count)
{
        (void)count;
        return 77;
}
#endif

/* ---- threads ---------------------------------------------------------------- */

struct member {
        pthread_t thread;
        uint32_t seed;
        unsigned long number, next;
        int order[2], done; /* pipes */
};

static int start_members(struct member *members, long count, void *(*run)(void *))
{
        for (long i = 0; i < count; i++)
                if (pthread_create(&members[i].thread, NULL, run, &members[i]) != 0)
                        return 1;
        return 0;
}

static int join_members(struct member *members, long count)
{
        for (long i = 0; i < count; i++)
                if (pthread_join(members[i].thread, NULL) != 0)
                        return 1;
        return 0;
}

static void *exact_thread(void *userdata)
{
        struct member *m = userdata;

        exact_process(m->seed, m->number);
        return NULL;
}

static int threads(uint32_t seed, long count)
{
        static struct member members[THREADS_MAX];

        for (long i = 0; i < count; i++)
                members[i] = (struct member){.seed = seed, .number = (unsigned long)i};
        return start_members(members, count, exact_thread) || join_members(members, count);
}

static void *brief_thread(void *userdata)
{
        struct member *m = userdata;

        for (unsigned long i = 0; i < BRIEF_CALLS; i++)
                getppid_tagged(i, m->number);
        return NULL;
}

static int brief(long rounds)
{
        struct member members[BRIEF_THREADS];

        for (long round = 0; round < rounds; round++) {
                for (long i = 0; i < BRIEF_THREADS; i++)
                        members[i] = (struct member){.number = (unsigned long)(round * BRIEF_THREADS + i)};
                if (start_members(members, BRIEF_THREADS, brief_thread) || join_members(members, BRIEF_THREADS))
                        return 1;
        }
        return 0;
}

/* ---- processes ---------------------------------------------------------------- */

static int wait_for(long count)
{
        for (int status; count > 0; count--)
                if (wait(&status) < 0 || status)
                        return 1;
        return 0;
}

/* As the kernel has it: what libc's fork does in the child are calls too. */
static pid_t bare_fork(void)
{
        return (pid_t)syscall(SYS_fork);
}

static int forks(long count)
{
        for (long i = 0; i < count; i++) {
                pid_t pid = bare_fork();

                if (pid < 0)
                        return 1;
                if (pid == 0) {
                        getppid_tagged((unsigned long)i, 0);
                        syscall(SYS_exit_group, 0);
                }
                if (i % AT_ONCE == AT_ONCE - 1 && wait_for(AT_ONCE))
                        return 1;
        }
        return wait_for(count % AT_ONCE);
}

static int execs(const char *self, long count, const char *other)
{
        char number[32];

        getppid_tagged((unsigned long)count, 0);
        if (count == 0)
                return 0;
        snprintf(number, sizeof(number), "%ld", count - 1);
        execl(other, other, "execs", number, self, (char *)NULL);
        return 1;
}

static int spawns(long count, const char *program)
{
        char number[32];

        for (long i = 0; i < count; i++) {
                pid_t pid;

                snprintf(number, sizeof(number), "%ld", i);
                pid = fork();
                if (pid < 0)
                        return 1;
                if (pid == 0) {
                        execl(program, program, "tag", number, (char *)NULL);
                        _exit(1);
                }
                if (i % AT_ONCE == AT_ONCE - 1 && wait_for(AT_ONCE))
                        return 1;
        }
        return wait_for(count % AT_ONCE);
}

static int vforks(long count, const char *program)
{
        char number[32];

        for (long i = 0; i < count; i++) {
                pid_t pid;

                snprintf(number, sizeof(number), "%ld", i);
                pid = vfork();
                if (pid < 0)
                        return 1;
                if (pid == 0) {
                        execl(program, program, "tag", number, (char *)NULL);
                        _exit(1);
                }
                if (wait_for(1))
                        return 1;
        }
        return 0;
}

/* 20 ms apart: a start time is in hundredths of a second. */
static int reuse(pid_t wanted, long count)
{
        struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&wanted, .set_tid_size = 1};

        for (long k = 0; k < count; k++) {
                pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

                if (pid < 0)
                        return errno == EEXIST ? 75 : 77;
                if (pid == 0) {
                        for (unsigned long i = 0; i < BRIEF_CALLS; i++)
                                getppid_tagged(i, (unsigned long)k);
                        syscall(SYS_exit_group, 0);
                }
                if (wait_for(1))
                        return 1;
                sleep_ms(20);
        }
        return 0;
}

/* ---- what waits for orders ------------------------------------------------------ */

static void nothing(int number)
{
        (void)number;
}

static void handle(int number, int flags)
{
        struct sigaction action = {.sa_handler = nothing, .sa_flags = flags};

        sigaction(number, &action, NULL);
}

/* Byte by byte: nothing is left over. False: the end. */
static bool read_line(char *line, size_t size)
{
        for (size_t n = 0; n < size;) {
                ssize_t r = read(STDIN_FILENO, line + n, 1);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return false;
                if (line[n] == '\n') {
                        line[n] = 0;
                        return true;
                }
                n++;
        }
        return false;
}

static void say_ok(void)
{
        if (write(STDOUT_FILENO, "ok\n", 3) != 3)
                exit(1);
}

/* An order for each thread; done is one byte each. */
static int order_all(struct member *members, long count, const int done[2], long order)
{
        char bytes[THREADS_MAX];

        for (long i = 0; i < count; i++)
                if (write(members[i].order[1], &order, sizeof(order)) != sizeof(order))
                        return 1;
        for (ssize_t n = 0, r; n < count; n += r)
                if ((r = read(done[0], bytes, (size_t)(count - n))) <= 0)
                        return 1;
        return 0;
}

static int open_pipes(struct member *members, long count, int done[2])
{
        if (count > THREADS_MAX || pipe(done) < 0)
                return 1;
        for (long i = 0; i < count; i++) {
                members[i].number = (unsigned long)i + 1;
                members[i].done = done[1];
                if (pipe(members[i].order) < 0)
                        return 1;
        }
        return 0;
}

/* An order N tags with it; -N - 1 executes this program to tag with N. */
static void *obey_thread(void *userdata)
{
        struct member *m = userdata;
        char number[32];
        long order;

        while (read(m->order[0], &order, sizeof(order)) == sizeof(order)) {
                if (order < 0) {
                        snprintf(number, sizeof(number), "%ld", -order - 1);
                        execl("/proc/self/exe", "guest", "tag", number, (char *)NULL);
                }
                getppid_tagged((unsigned long)order, m->number);
                if (write(m->done, "", 1) != 1)
                        break;
        }
        return NULL;
}

/*
 * Commands: `tag N` by the first thread; `all N` by all others; `fork N` by a child;
 * `zombie`, a child that has ended and is not waited for;
 * `exec N` by the program that the second thread executes; `sleep MS`; `exit`, at once
 * and whatever the others do. SIGUSR1 restarts calls, SIGUSR2 does not.
 */
static int obey(long count)
{
        static struct member members[THREADS_MAX];
        char line[64], what[16];
        int done[2];
        long n;

        handle(SIGUSR1, SA_RESTART);
        handle(SIGUSR2, 0);
        if (open_pipes(members, count, done) || start_members(members, count, obey_thread))
                return 1;
        say_ok();
        while (read_line(line, sizeof(line))) {
                n = 0;
                if (sscanf(line, "%15s %ld", what, &n) < 1)
                        return 2;
                if (!strcmp(what, "tag"))
                        getppid_tagged((unsigned long)n, 0);
                else if (!strcmp(what, "all") && order_all(members, count, done, n))
                        return 1;
                else if (!strcmp(what, "exec"))
                        return order_all(members, 1, done, -n - 1);
                else if (!strcmp(what, "sleep"))
                        syscall(SYS_nanosleep, &(struct timespec){n / 1000, n % 1000 * 1000000}, NULL);
                else if (!strcmp(what, "exit"))
                        syscall(SYS_exit_group, 0);
                else if (!strcmp(what, "zombie")) {
                        pid_t pid = bare_fork();

                        if (pid == 0)
                                syscall(SYS_exit_group, 0);
                        if (waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT) < 0)
                                return 1;
                } else if (!strcmp(what, "fork")) {
                        if (bare_fork() == 0) {
                                getppid_tagged((unsigned long)n, 0);
                                syscall(SYS_exit_group, 0);
                        }
                        if (wait_for(1))
                                return 1;
                }
                say_ok();
        }
        return 0;
}

/* Each call of such a thread has its number, in a register that it does not use. */
static void *flood_thread(void *userdata)
{
        struct member *m = userdata;
        long order;

        while (syscall(SYS_read, m->order[0], &order, sizeof(order), m->next++) == sizeof(order) && order >= 0) {
                for (long i = 0; i < order; i++)
                        getppid_tagged(m->next++, m->number);
                syscall(SYS_write, m->done, "", 1, m->next++);
        }
        syscall(SYS_write, m->done, "", 1, m->next++);
        syscall(SYS_exit, 0, 0, 0, m->next++);
        return NULL;
}

static int flood(long count)
{
        static struct member members[THREADS_MAX];
        char line[64];
        int done[2];

        if (open_pipes(members, count, done) || start_members(members, count, flood_thread))
                return 1;
        say_ok();
        while (read_line(line, sizeof(line))) {
                long order = atol(line);

                if (order_all(members, count, done, order))
                        return 1;
                if (order < 0 && join_members(members, count))
                        return 1;
                say_ok();
        }
        return 0;
}

/* ---- odd calls -------------------------------------------------------------------- */

static int install_filter(void)
{
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 5, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsid, 5, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 2),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SECCOMP_TAG, 3, 0),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
        };
        struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0;
}

static void *killed_thread(void *userdata)
{
        (void)userdata;
        syscall(SYS_getpgid, SECCOMP_TAG);
        return NULL;
}

static int denied(void)
{
        struct member member = {0};
        int status;

        if (install_filter())
                return 77;
        getppid_tagged(1, SECCOMP_TAG);
        if (start_members(&member, 1, killed_thread) || join_members(&member, 1))
                return 1;
        getppid_tagged(2, 0);
        if (bare_fork() == 0) {
                syscall(SYS_getsid, SECCOMP_TAG);
                syscall(SYS_exit_group, 1);
        }
        return wait(&status) < 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS;
}

static int forbidden(void)
{
        syscall(SYS_keyctl, 0, 0, 0);
        syscall(SYS_unshare, CLONE_NEWUSER);
        syscall(SYS_mount, "none", "/", "tmpfs", 0, 0);
        getppid_tagged(1, 0);
        return 0;
}

static int numbers(void)
{
        static const long none[] = {999, 511, 512, 0x40000000 + SYS_getpid, 0x7fffffff, -1};

        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
                if (syscall(none[i], i, NOISE_TAG) != -1 || errno != ENOSYS)
                        return 1;
        return 0;
}

static int opens(int n, char **paths)
{
        for (int i = 0; i < n; i++)
                syscall(SYS_openat, AT_FDCWD, paths[i], O_RDONLY, (unsigned long)i);
        return 0;
}

static int connect_to(int family, const void *address, socklen_t size)
{
        int fd = socket(family, SOCK_STREAM, 0);

        if (fd < 0)
                return 1;
        connect(fd, address, size);
        close(fd);
        return 0;
}

static int peers(const char *path)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        struct sockaddr_un local = {.sun_family = AF_UNIX}, abstract = {.sun_family = AF_UNIX};
        int fd;

        inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
        strncpy(local.sun_path, path, sizeof(local.sun_path) - 1);
        memcpy(abstract.sun_path, "\0nobody", 7);
        if (connect_to(AF_INET, &in, sizeof(in)) || connect_to(AF_INET6, &in6, sizeof(in6)) ||
            connect_to(AF_UNIX, &local, sizeof(local)) ||
            connect_to(AF_UNIX, &abstract, offsetof(struct sockaddr_un, sun_path) + 7))
                return 1;
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        return fd < 0 || sendto(fd, "", 1, 0, (const void *)&in, sizeof(in)) != 1;
}

static int accepts(void)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, from;
        socklen_t size = sizeof(in);
        int listening = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

        if (listening < 0 || fd < 0 || bind(listening, (void *)&in, sizeof(in)) < 0 || listen(listening, 1) < 0 ||
            getsockname(listening, (void *)&in, &size) < 0 || connect(fd, (void *)&in, sizeof(in)) < 0)
                return 1;
        size = sizeof(from);
        if (syscall(SYS_accept, listening, &from, &size) < 0)
                return 1;
        return syscall(SYS_accept4, listening, &from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC | 0x10000000) >= 0;
}

/* As many bytes as the number of the kind, times 10. */
static int moves(const char *folder)
{
        static char data[4096];
        int file, directory = open(folder, O_RDONLY | O_DIRECTORY), sockets[2], ends[2];
        int null = open("/dev/null", O_WRONLY), event = eventfd(0, 0);

        file = openat(directory, "moved", O_RDWR | O_CREAT, 0600);
        if (file < 0 || directory < 0 || null < 0 || event < 0 || pipe(ends) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
                return 1;
        return write(file, data, 10) != 10 || syscall(SYS_getdents64, directory, data, sizeof(data)) <= 0 ||
               write(sockets[0], data, 30) != 30 || write(ends[1], data, 40) != 40 || write(null, data, 50) != 50 ||
               write(event, &(uint64_t){1}, 8) != 8 || write(-1, data, 1) != -1;
}

#ifdef __x86_64__
/* A 32-bit pointer: this program is linked to low addresses. */
static int i386_open(void)
{
        static const char path[] = "/no/such/32-bit/file";
        long result = 5;

        if ((uintptr_t)path > UINT32_MAX)
                return 77;
        __asm__ volatile("int $0x80"
                         : "+a"(result)
                         : "b"(path), "c"(O_RDONLY), "d"(0)
                         : "memory", "r8", "r9", "r10", "r11");
        return result == -ENOENT ? 0 : 77;
}
#else
static int i386_open(void)
{
        return 77;
}
#endif

int main(int argc, char **argv)
{
        const char *what = argc > 1 ? argv[1] : "";
        long first = argc > 2 ? atol(argv[2]) : 0;

        if (!strcmp(what, "exact"))
                return exact((uint32_t)first);
        if (!strcmp(what, "noise") && argc > 3)
                return noise(first, atol(argv[3]));
        if (!strcmp(what, "work"))
                work(first > 0 ? first : 100);
        if (!strcmp(what, "i386"))
                return i386(first);
        if (!strcmp(what, "i386-open"))
                return i386_open();
        if (!strcmp(what, "threads") && argc > 3)
                return threads((uint32_t)first, atol(argv[3]));
        if (!strcmp(what, "brief"))
                return brief(first);
        if (!strcmp(what, "forks"))
                return forks(first);
        if (!strcmp(what, "execs") && argc > 3)
                return execs(argv[0], first, argv[3]);
        if (!strcmp(what, "spawns") && argc > 3)
                return spawns(first, argv[3]);
        if (!strcmp(what, "vforks") && argc > 3)
                return vforks(first, argv[3]);
        if (!strcmp(what, "reuse") && argc > 3)
                return reuse((pid_t)first, atol(argv[3]));
        if (!strcmp(what, "obey"))
                return obey(first);
        if (!strcmp(what, "flood"))
                return flood(first);
        if (!strcmp(what, "seccomp"))
                return denied();
        if (!strcmp(what, "forbidden"))
                return forbidden();
        if (!strcmp(what, "numbers"))
                return numbers();
        if (!strcmp(what, "opens"))
                return opens(argc - 2, argv + 2);
        if (!strcmp(what, "peers") && argc > 2)
                return peers(argv[2]);
        if (!strcmp(what, "accepts"))
                return accepts();
        if (!strcmp(what, "bad-pointer")) {
                syscall(SYS_openat, AT_FDCWD, 8, O_RDONLY);
                openat_tagged(0);
                return 0;
        }
        if (!strcmp(what, "moves") && argc > 2)
                return moves(argv[2]);
        if (!strcmp(what, "tag")) {
                getppid_tagged((unsigned long)first, 0);
                return 0;
        }
        fprintf(stderr, "usage: guest COMMAND ARGUMENT...: see guest.c\n");
        return 2;
}
