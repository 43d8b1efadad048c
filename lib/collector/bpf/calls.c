/* SPDX-License-Identifier: Apache-2.0 */
/* Which calls are collected, and what the programs are to read of each. */
#include "collector/bpf/bpf.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>

#define EACH_NAME(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct {
        uint16_t what;
        const char *const *names;
} table[] = {
    {CALL_PATH0,
     EACH_NAME("open", "creat", "stat", "lstat", "stat64", "lstat64", "access", "truncate", "truncate64", "chdir",
               "chroot", "rename", "mkdir", "rmdir", "link", "unlink", "symlink", "readlink", "chmod", "chown",
               "lchown", "chown32", "lchown32", "mknod", "statfs", "statfs64", "utime", "utimes", "setxattr",
               "lsetxattr", "getxattr", "lgetxattr", "listxattr", "llistxattr", "removexattr", "lremovexattr", "acct",
               "swapon", "swapoff", "uselib", "umount", "umount2", "memfd_create", "execve")},
    {CALL_PATH1, EACH_NAME("openat", "openat2", "newfstatat", "fstatat64", "statx", "mkdirat", "mknodat", "fchownat",
                           "futimesat", "utimensat", "unlinkat", "renameat", "renameat2", "linkat", "symlinkat",
                           "readlinkat", "fchmodat", "fchmodat2", "faccessat", "faccessat2", "name_to_handle_at",
                           "inotify_add_watch", "pivot_root", "mount", "execveat", "open_tree", "mount_setattr")},
    {CALL_EXEC, EACH_NAME("execve", "execveat")},
    {CALL_ADDR1, EACH_NAME("connect", "bind")},
    {CALL_ADDR4, EACH_NAME("sendto")},
    {CALL_ADDR1P, EACH_NAME("accept", "accept4")},
    {CALL_ADDR4P, EACH_NAME("recvfrom")},
    {CALL_NO_RETURN, EACH_NAME("exit", "exit_group")},
    {CALL_FD_RET, EACH_NAME("open", "openat", "openat2", "creat", "socket", "accept", "accept4", "dup", "dup2", "dup3",
                            "epoll_create", "epoll_create1", "eventfd", "eventfd2", "signalfd", "signalfd4",
                            "timerfd_create", "inotify_init", "inotify_init1", "memfd_create", "pidfd_open",
                            "userfaultfd", "io_uring_setup", "bpf", "perf_event_open")},
    {CALL_FD0,
     EACH_NAME("read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2",
               "fstat", "fstat64", "lseek", "_llseek", "ioctl", "fcntl", "fcntl64", "flock", "fsync", "fdatasync",
               "sync_file_range", "ftruncate", "ftruncate64", "fallocate", "fadvise64", "readahead", "getdents",
               "getdents64", "fchdir", "fchmod", "fchown", "fchown32", "fstatfs", "fstatfs64", "fsetxattr", "fgetxattr",
               "flistxattr", "fremovexattr", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg",
               "connect", "bind", "listen", "shutdown", "getsockname", "getpeername", "setsockopt", "getsockopt",
               "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "timerfd_settime", "timerfd_gettime",
               "sendfile", "sendfile64", "splice", "tee", "vmsplice", "copy_file_range", "inotify_add_watch",
               "io_uring_enter", "syncfs")},
};

static const enum cosmos_arch arches[2] = {COSMOS_ARCH_X86_64, COSMOS_ARCH_I386}; /* as `calls` is indexed */

/* For this call of both architectures. False: neither has it. */
static bool mark(struct wire_settings *settings, const char *name, uint16_t what)
{
        bool found = false;

        for (size_t i = 0; i < ARRAY_SIZE(arches); i++) {
                int nr = cosmos_syscall_number(arches[i], name);

                if (nr < 0 || nr >= WIRE_CALLS)
                        continue;
                settings->calls[i][nr] |= what;
                found = true;
        }
        return found;
}

static int want(struct wire_settings *settings, const char *const *calls, size_t n, struct cosmos_diag *reterr)
{
        char quoted[64];

        for (size_t i = 0; i < 2 && n == 0; i++)
                for (size_t nr = 0; nr < WIRE_CALLS; nr++)
                        settings->calls[i][nr] |= CALL_WANTED;
        for (size_t i = 0; i < n; i++)
                if (!mark(settings, calls[i], CALL_WANTED))
                        return cosmos__fail(reterr, -EINVAL, "'%s' is not the name of a system call",
                                            cosmos__quote_str(quoted, sizeof(quoted), calls[i]));
        return 0;
}

int cosmos__bpf_calls(struct wire_settings *settings, const char *const *calls, size_t n, struct cosmos_diag *reterr)
{
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                for (const char *const *name = table[i].names; *name; name++)
                        mark(settings, *name, table[i].what);
        return want(settings, calls, n, reterr);
}

/* For events: bit NR of the calls of `arch` whose result counts bytes. */
void cosmos__bpf_sizes(struct cosmos__bpf_sizes *ret)
{
        *ret = (struct cosmos__bpf_sizes){0};
        for (size_t i = 0; i < ARRAY_SIZE(arches); i++)
                for (uint32_t nr = 0; nr < WIRE_CALLS; nr++) {
                        const char *name = cosmos_syscall_name(arches[i], nr);

                        ret->moves[i][nr] = name && cosmos_moves_bytes(name);
                }
}
