/* SPDX-License-Identifier: Apache-2.0 */
#include "container/proc.h"

#include "base/base.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL_MAX (64u << 10)
#define MOUNTS_MAX (4u << 20)
#define THREADS_MAX 1024u

static void closedirp(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

int cosmos__proc_open(struct cosmos__proc *ret, const char *root, struct cosmos_diag *reterr)
{
        char quoted[256], error[64];
        long ticks = sysconf(_SC_CLK_TCK);
        int fd;

        fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                int r = -errno;

                return cosmos__fail(reterr, r, "container resolver: cannot open %s: %s; is it the proc file system?",
                                    cosmos__quote_str(quoted, sizeof(quoted), root),
                                    cosmos_strerror(r, error, sizeof(error)));
        }
        *ret = (struct cosmos__proc){.root = fd, .ticks = ticks > 0 ? ticks : 100};
        return 0;
}

void cosmos__proc_close(struct cosmos__proc *proc)
{
        cosmos__closep(&proc->root);
        proc->root = -1;
        cosmos__buffer_free(&proc->text);
}

/* Read a file below the root into proc->text, NUL-terminated. */
static int read_text(struct cosmos__proc *proc, const char *path, size_t max)
{
        _cleanup_close_ int fd = openat(proc->root, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        proc->text.size = 0;
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        for (;;) {
                ssize_t n;
                int r = cosmos__buffer_reserve(&proc->text, 4096);

                if (r < 0)
                        return r;
                n = read(fd, proc->text.data + proc->text.size, proc->text.room - proc->text.size - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                proc->text.size += (size_t)n;
                if (proc->text.size > max)
                        return -EFBIG;
                if (n == 0)
                        break;
        }
        proc->text.data[proc->text.size] = 0;
        return 0;
}

static int read_of(struct cosmos__proc *proc, int32_t pid, const char *file, size_t max)
{
        char path[64];

        snprintf(path, sizeof(path), "%" PRId32 "/%s", pid, file);
        return read_text(proc, path, max);
}

/* A field of digits, as the kernel writes it; `*s` goes behind it. */
static bool take_number(const char **s, uint64_t *ret)
{
        uint64_t value = 0;

        while (**s == ' ')
                (*s)++;
        if (**s == '-') /* none that we read is negative */
                (*s)++;
        if (!isdigit((unsigned char)**s))
                return false;
        for (; isdigit((unsigned char)**s); (*s)++)
                if (__builtin_mul_overflow(value, 10u, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(**s - '0'), &value))
                        return false;
        *ret = value;
        return true;
}

/* "PID (COMM) STATE PPID ...": COMM is any bytes, so the last ')' ends it. */
int cosmos__proc_parse_stat(const char *text, struct cosmos__proc_stat *ret)
{
        const char *open = strchr(text, '('), *close = strrchr(text, ')'), *s;
        uint64_t field[23] = {0};
        size_t n;

        if (!open || !close || close < open || close[1] != ' ' || !close[2])
                return -COSMOS_EFORMAT;
        s = close + 3;
        for (size_t i = 4; i < ARRAY_SIZE(field); i++)
                if (!take_number(&s, &field[i]))
                        return -COSMOS_EFORMAT;
        if (field[4] > INT32_MAX)
                return -COSMOS_EFORMAT;
        *ret = (struct cosmos__proc_stat){
            .ppid = (int32_t)field[4],
            .flags = (uint32_t)field[9],
            .start = field[22],
        };
        n = MIN((size_t)(close - open - 1), sizeof(ret->comm) - 1);
        memcpy(ret->comm, open + 1, n);
        return 0;
}

int cosmos__proc_stat(struct cosmos__proc *proc, int32_t pid, struct cosmos__proc_stat *ret)
{
        int r = read_of(proc, pid, "stat", SMALL_MAX);

        return r < 0 ? r : cosmos__proc_parse_stat(proc->text.data, ret);
}

int64_t cosmos__proc_start_time(const struct cosmos__proc *proc, uint64_t ticks)
{
        /* Both clocks now, each time: the realtime clock may be set. */
        int64_t boot = cosmos__now() - cosmos__boottime();
        uint64_t hz = (uint64_t)proc->ticks, seconds = ticks / hz;

        if (seconds > (uint64_t)INT64_MAX / 1000000000u / 2)
                return INT64_MAX;
        return boot + (int64_t)(seconds * 1000000000u + ticks % hz * 1000000000u / hz);
}

int cosmos__proc_cgroup(struct cosmos__proc *proc, int32_t pid, struct cosmos__cgroup *ret)
{
        int r = read_of(proc, pid, "cgroup", SMALL_MAX);

        return r < 0 ? r : cosmos__cgroup_parse((const uint8_t *)proc->text.data, proc->text.size, ret);
}

int cosmos__proc_shim_id(struct cosmos__proc *proc, int32_t pid, char id[COSMOS__ID_SIZE])
{
        int r = read_of(proc, pid, "cmdline", SMALL_MAX);
        const char *s, *end;
        bool next = false;

        if (r < 0)
                return r;
        end = proc->text.data + proc->text.size;
        for (s = proc->text.data; s < end; s += strlen(s) + 1) {
                if (next && strlen(s) == COSMOS__ID_SIZE - 1 && cosmos__is_id(s)) {
                        memcpy(id, s, COSMOS__ID_SIZE);
                        return 0;
                }
                next = strcmp(s, "-id") == 0;
        }
        return -ENOENT;
}

static bool is_dockerd(struct cosmos__proc *proc, int32_t pid)
{
        struct cosmos__proc_stat stat;
        struct stat owner;
        char path[16];

        snprintf(path, sizeof(path), "%" PRId32, pid);
        return cosmos__proc_stat(proc, pid, &stat) == 0 && strcmp(stat.comm, "dockerd") == 0 &&
               fstatat(proc->root, path, &owner, 0) == 0 && owner.st_uid == 0;
}

int cosmos__proc_dockerd_root(struct cosmos__proc *proc, int32_t pid, char **ret)
{
        static const char option[] = "--data-root";
        const char *s, *end, *value = NULL;
        bool next = false;
        int r;

        if (!is_dockerd(proc, pid))
                return -ENOENT;
        r = read_of(proc, pid, "cmdline", SMALL_MAX);
        if (r < 0)
                return r;
        end = proc->text.data + proc->text.size;
        for (s = proc->text.data; s < end; s += strlen(s) + 1) {
                if (next)
                        value = s;
                else if (strncmp(s, option, strlen(option)) == 0 && s[strlen(option)] == '=')
                        value = s + strlen(option) + 1;
                next = strcmp(s, option) == 0;
        }
        if (!value || *value != '/')
                return -ENOENT;
        *ret = strdup(value);
        return *ret ? 0 : -ENOMEM;
}

static int mounts_of(struct cosmos__proc *proc, int32_t pid, char *buf, size_t size)
{
        char path[64];
        ssize_t n;

        snprintf(path, sizeof(path), "%" PRId32 "/ns/mnt", pid);
        n = readlinkat(proc->root, path, buf, size - 1);
        if (n < 0)
                return -errno;
        buf[n] = 0;
        return 0;
}

int cosmos__proc_same_mounts(struct cosmos__proc *proc, int32_t a, int32_t b)
{
        char first[64], second[64];
        int r;

        r = mounts_of(proc, a, first, sizeof(first));
        if (r == 0)
                r = mounts_of(proc, b, second, sizeof(second));
        return r < 0 ? r : strcmp(first, second) == 0;
}

static uint64_t switches_of(const char *status)
{
        static const char key[] = "\nvoluntary_ctxt_switches:";
        const char *s = strstr(status, key);

        return s ? strtoull(s + strlen(key), NULL, 10) : 0;
}

int cosmos__proc_switches(struct cosmos__proc *proc, int32_t pid, uint64_t *ret)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        char path[320];
        struct dirent *entry;
        uint64_t sum = 0;
        unsigned int n = 0;
        int fd;

        snprintf(path, sizeof(path), "%" PRId32 "/task", pid);
        fd = openat(proc->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return -ENOMEM;
        }
        while (n < THREADS_MAX && (entry = readdir(dir))) {
                if (!isdigit((unsigned char)entry->d_name[0]))
                        continue;
                snprintf(path, sizeof(path), "%" PRId32 "/task/%s/status", pid, entry->d_name);
                if (read_text(proc, path, SMALL_MAX) == 0)
                        sum += switches_of(proc->text.data);
                n++;
        }
        *ret = sum;
        return 0;
}

/* One line of mountinfo, cut into its fields in place; proc_pid_mountinfo(5). */
struct mount {
        const char *device; /* "MAJOR:MINOR" */
        char *root;         /* of the mount within its file system */
        char *point;
};

static void unescape(char *s)
{
        char *out = s;

        for (; *s; s++) {
                if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
                    s[3] <= '7') {
                        *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
                        s += 3;
                } else {
                        *out++ = *s;
                }
        }
        *out = 0;
}

static bool parse_mount(char *line, struct mount *ret)
{
        char *save, *field[5];

        for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
                field[i] = strtok_r(i ? NULL : line, " ", &save);
                if (!field[i])
                        return false;
        }
        *ret = (struct mount){.device = field[2], .root = field[3], .point = field[4]};
        unescape(ret->root);
        unescape(ret->point);
        return *ret->root == '/' && *ret->point == '/';
}

/* Cut "/containers/ID/hostname" or the like off the mount's root. */
static bool cut_to_docker_root(char *root, const char *id)
{
        static const char *const files[] = {"hostname", "hosts", "resolv.conf"};
        char tail[32 + COSMOS__ID_SIZE];

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                size_t n = strlen(root), m;

                snprintf(tail, sizeof(tail), "/containers/%s/%s", id, files[i]);
                m = strlen(tail);
                if (n >= m && strcmp(root + n - m, tail) == 0) {
                        root[n - m] = 0;
                        return true;
                }
        }
        return false;
}

/* The folder within its file system, and that file system's device. */
static int docker_mount(struct cosmos__proc *proc, int32_t pid, const char *id, char **ret_root, char **ret_device)
{
        char *line, *save;
        int r = read_of(proc, pid, "mountinfo", MOUNTS_MAX);

        if (r < 0)
                return r;
        for (line = strtok_r(proc->text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                _cleanup_free_ char *root = NULL, *device = NULL;
                struct mount mount;

                if (!parse_mount(line, &mount) || !cut_to_docker_root(mount.root, id))
                        continue;
                root = strdup(mount.root);
                device = strdup(mount.device);
                if (!root || !device)
                        return -ENOMEM;
                *ret_root = TAKE_PTR(root);
                *ret_device = TAKE_PTR(device);
                return 0;
        }
        return -ENOENT;
}

/* Is `path` in the folder `root`? Then what is left of it: "" or "/...". */
static const char *below(const char *path, const char *root)
{
        size_t n = strlen(root);

        if (strcmp(root, "/") == 0)
                return strcmp(path, "/") == 0 ? "" : path;
        return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == 0) ? path + n : NULL;
}

/* The n-th place on this host where that folder is mounted. */
static int host_path(struct cosmos__proc *proc, const char *root, const char *device, unsigned int n, char **ret)
{
        char *line, *save;
        int r = read_text(proc, "self/mountinfo", MOUNTS_MAX);

        if (r < 0)
                return r;
        for (line = strtok_r(proc->text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                struct mount mount;
                const char *rest;

                if (!parse_mount(line, &mount) || strcmp(mount.device, device) != 0)
                        continue;
                rest = below(root, mount.root);
                if (!rest || n-- > 0)
                        continue;
                if (asprintf(ret, "%s%s", strcmp(mount.point, "/") == 0 ? "" : mount.point, rest) < 0)
                        return -ENOMEM;
                return 0;
        }
        return -ENOENT;
}

int cosmos__proc_docker_root(struct cosmos__proc *proc, int32_t pid, const char *id, unsigned int n, char **ret)
{
        _cleanup_free_ char *root = NULL, *device = NULL;
        int r = docker_mount(proc, pid, id, &root, &device);

        if (r < 0)
                return r;
        if (n > 0)
                return host_path(proc, root, device, n - 1, ret);
        *ret = TAKE_PTR(root);
        return 0;
}

DIR *cosmos__proc_list(struct cosmos__proc *proc)
{
        int fd = openat(proc->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir && fd >= 0)
                close(fd);
        return dir;
}

int32_t cosmos__proc_list_next(DIR *dir)
{
        struct dirent *entry;

        while ((entry = readdir(dir))) {
                const char *s = entry->d_name;
                uint64_t pid = 0;

                if (isdigit((unsigned char)*s) && take_number(&s, &pid) && !*s && pid > 0 && pid <= INT32_MAX)
                        return (int32_t)pid;
        }
        return 0;
}
