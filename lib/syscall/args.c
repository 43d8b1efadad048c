/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes of argument values: which kind of arguments a call has, and what the ids of a
 * kind stand for. Ids are in model files: a kind's never change, and new kinds
 * would need another name in the scheme of tokens.
 *
 * Source of the values: Linux include/uapi, those of x86_64; they are the same on the
 * other architectures for the bits and values below.
 */
#include "base/base.h"
#include "syscall/syscall.h"

#include <string.h>

#define VALUES_MAX 13

/* Of one argument, cut to 32 bits. */
struct part {
        enum { NONE, BITS, VALUES } type;
        uint32_t mask; /* VALUES: of what is compared; 0: all */
        uint32_t n;
        uint32_t values[VALUES_MAX]; /* BITS: is any bit of this one set? VALUES: which of them is it? */
};

/* The ids from `first` on: the second part counts fastest; a value that is not listed comes last. */
struct kind {
        uint32_t first;
        struct part parts[2];
};

enum {
        OPEN,
        MMAP,
        PROTECT,
        CLONE,
        NAMESPACE,
        SOCKET,
        FUTEX,
        FCNTL,
        IOCTL,
        PRCTL,
        PTRACE,
        SIGNAL,
        SIGMASK,
        SEEK,
        ADVICE,
        SOCKOPT,
        SHUTDOWN,
        EPOLL,
        IDENTITY,
        MODE,
        ACCESS,
        MOUNT,
        UNLINK,
        MESSAGE,
        WAIT,
        DUP,
};

static const struct kind kinds[] = {
    /* O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND */
    [OPEN] = {1, {{BITS, 0, 5, {0x1, 0x2, 0x40, 0x200, 0x400}}}},
    /* PROT_READ, _WRITE, _EXEC; MAP_SHARED, _ANONYMOUS */
    [MMAP] = {33, {{BITS, 0, 3, {0x1, 0x2, 0x4}}, {BITS, 0, 2, {0x1, 0x20}}}},
    [PROTECT] = {65, {{BITS, 0, 3, {0x1, 0x2, 0x4}}}},
    /* CLONE_VM, _THREAD, _VFORK, any new namespace */
    [CLONE] = {73, {{BITS, 0, 4, {0x100, 0x10000, 0x4000, 0x7e020000}}}},
    /* CLONE_NEWUSER, _NEWNS, any other namespace */
    [NAMESPACE] = {89, {{BITS, 0, 3, {0x10000000, 0x20000, 0x6e000080}}}},
    /* AF_UNIX, _INET, _INET6, _NETLINK, _PACKET; SOCK_STREAM, _DGRAM, _RAW */
    [SOCKET] = {97, {{VALUES, 0, 5, {1, 2, 10, 16, 17}}, {VALUES, 0xf, 3, {1, 2, 3}}}},
    /* Without FUTEX_PRIVATE_FLAG and _CLOCK_REALTIME. */
    [FUTEX] = {121, {{VALUES, 0x7f, 13, {0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}}}},
    /* F_DUPFD, _GETFD, _SETFD, _GETFL, _SETFL, _SETLK, _SETLKW, _DUPFD_CLOEXEC */
    [FCNTL] = {135, {{VALUES, 0, 8, {0, 1, 2, 3, 4, 6, 7, 1030}}}},
    /* TCGETS, TCSETS, TIOCSTI, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX */
    [IOCTL] = {144, {{VALUES, 0, 7, {0x5401, 0x5402, 0x5412, 0x5413, 0x541b, 0x5421, 0x5451}}}},
    /* PR_SET_PDEATHSIG, _DUMPABLE, _KEEPCAPS, _NAME, _SECCOMP, PR_CAPBSET_READ, _DROP, PR_SET_NO_NEW_PRIVS,
     * PR_CAP_AMBIENT, PR_SET_VMA */
    [PRCTL] = {152, {{VALUES, 0, 10, {1, 4, 8, 15, 22, 23, 24, 38, 47, 0x53564d41}}}},
    /* PTRACE_TRACEME, _PEEKTEXT, _PEEKDATA, _POKETEXT, _POKEDATA, _SETREGS, _ATTACH, _SEIZE */
    [PTRACE] = {163, {{VALUES, 0, 8, {0, 1, 2, 4, 5, 13, 16, 0x4206}}}},
    /* None, HUP, INT, QUIT, ABRT, KILL, USR1, SEGV, PIPE, ALRM, TERM, CHLD, STOP */
    [SIGNAL] = {172, {{VALUES, 0, 13, {0, 1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 17, 19}}}},
    /* SIG_BLOCK, _UNBLOCK, _SETMASK */
    [SIGMASK] = {186, {{VALUES, 0, 3, {0, 1, 2}}}},
    /* SEEK_SET, _CUR, _END */
    [SEEK] = {190, {{VALUES, 0, 3, {0, 1, 2}}}},
    /* MADV_NORMAL, _WILLNEED, _DONTNEED, _FREE, _HUGEPAGE, _NOHUGEPAGE */
    [ADVICE] = {194, {{VALUES, 0, 6, {0, 3, 4, 8, 14, 15}}}},
    /* The level: IP, SOL_SOCKET, TCP, UDP, IPv6. */
    [SOCKOPT] = {201, {{VALUES, 0, 5, {0, 1, 6, 17, 41}}}},
    /* SHUT_RD, _WR, _RDWR */
    [SHUTDOWN] = {207, {{VALUES, 0, 3, {0, 1, 2}}}},
    /* EPOLL_CTL_ADD, _DEL, _MOD */
    [EPOLL] = {211, {{VALUES, 0, 3, {1, 2, 3}}}},
    /* Root, unchanged (the effective one, where there are several). */
    [IDENTITY] = {215, {{VALUES, 0, 2, {0, UINT32_MAX}}}},
    /* Set-user-ID or set-group-ID, executable by any, writable by group or others. */
    [MODE] = {218, {{BITS, 0, 3, {06000, 0111, 022}}}},
    /* X_OK, W_OK, R_OK */
    [ACCESS] = {226, {{BITS, 0, 3, {1, 2, 4}}}},
    /* MS_RDONLY, _REMOUNT, _BIND */
    [MOUNT] = {234, {{BITS, 0, 3, {1, 32, 4096}}}},
    /* AT_REMOVEDIR */
    [UNLINK] = {242, {{BITS, 0, 1, {0x200}}}},
    /* MSG_PEEK, _DONTWAIT */
    [MESSAGE] = {244, {{BITS, 0, 2, {0x2, 0x40}}}},
    /* WNOHANG */
    [WAIT] = {248, {{BITS, 0, 1, {1}}}},
    /* The descriptor that is put in place: standard input, output, error. */
    [DUP] = {250, {{VALUES, 0, 3, {0, 1, 2}}}},
};

struct cosmos__args_rule {
        const char *syscall;
        uint8_t kind;
        uint8_t args[2]; /* which one each part looks at */
};

/* By name. */
static const struct cosmos__args_rule rules[] = {
    {"_llseek", SEEK, {4}},
    {"access", ACCESS, {1}},
    {"chmod", MODE, {1}},
    {"clone", CLONE, {0}},
    {"dup2", DUP, {1}},
    {"dup3", DUP, {1}},
    {"epoll_ctl", EPOLL, {1}},
    {"faccessat", ACCESS, {2}},
    {"faccessat2", ACCESS, {2}},
    {"fchmod", MODE, {1}},
    {"fchmodat", MODE, {2}},
    {"fchmodat2", MODE, {2}},
    {"fcntl", FCNTL, {1}},
    {"fcntl64", FCNTL, {1}},
    {"futex", FUTEX, {1}},
    {"futex_time64", FUTEX, {1}},
    {"getsockopt", SOCKOPT, {1}},
    {"ioctl", IOCTL, {1}},
    {"kill", SIGNAL, {1}},
    {"lseek", SEEK, {2}},
    {"madvise", ADVICE, {2}},
    {"mmap", MMAP, {2, 3}},
    {"mmap2", MMAP, {2, 3}},
    {"mount", MOUNT, {3}},
    {"mprotect", PROTECT, {2}},
    {"open", OPEN, {1}},
    {"open_by_handle_at", OPEN, {2}},
    {"openat", OPEN, {2}},
    {"pkey_mprotect", PROTECT, {2}},
    {"prctl", PRCTL, {0}},
    {"ptrace", PTRACE, {0}},
    {"recvfrom", MESSAGE, {3}},
    {"recvmsg", MESSAGE, {2}},
    {"rt_sigaction", SIGNAL, {0}},
    {"rt_sigprocmask", SIGMASK, {0}},
    {"rt_sigqueueinfo", SIGNAL, {1}},
    {"sendmsg", MESSAGE, {2}},
    {"sendto", MESSAGE, {3}},
    {"setgid", IDENTITY, {0}},
    {"setgid32", IDENTITY, {0}},
    {"setns", NAMESPACE, {1}},
    {"setregid", IDENTITY, {1}},
    {"setregid32", IDENTITY, {1}},
    {"setresgid", IDENTITY, {1}},
    {"setresgid32", IDENTITY, {1}},
    {"setresuid", IDENTITY, {1}},
    {"setresuid32", IDENTITY, {1}},
    {"setreuid", IDENTITY, {1}},
    {"setreuid32", IDENTITY, {1}},
    {"setsockopt", SOCKOPT, {1}},
    {"setuid", IDENTITY, {0}},
    {"setuid32", IDENTITY, {0}},
    {"shutdown", SHUTDOWN, {1}},
    {"socket", SOCKET, {0, 1}},
    {"socketpair", SOCKET, {0, 1}},
    {"tgkill", SIGNAL, {2}},
    {"tkill", SIGNAL, {1}},
    {"unlinkat", UNLINK, {2}},
    {"unshare", NAMESPACE, {0}},
    {"wait4", WAIT, {2}},
    {"waitid", WAIT, {3}},
};

static int compare_rule(const void *name, const void *rule)
{
        return strcmp(name, ((const struct cosmos__args_rule *)rule)->syscall);
}

const struct cosmos__args_rule *cosmos__args_rule(const char *syscall)
{
        return bsearch(syscall, rules, ARRAY_SIZE(rules), sizeof(*rules), compare_rule);
}

static uint32_t class_of(const struct part *part, uint32_t arg)
{
        uint32_t set = 0, i = 0;

        if (part->type == BITS) {
                for (; i < part->n; i++)
                        set |= (uint32_t)((arg & part->values[i]) != 0) << i;
                return set;
        }
        if (part->mask)
                arg &= part->mask;
        while (i < part->n && part->values[i] != arg)
                i++;
        return i;
}

static uint32_t classes_of(const struct part *part)
{
        return part->type == BITS ? 1u << part->n : part->n + 1;
}

uint32_t cosmos__args_class(const struct cosmos__args_rule *rule, const struct cosmos_event *e)
{
        const struct kind *kind;
        uint32_t at = 0;

        if (!rule)
                return 0;
        kind = &kinds[rule->kind];
        /* The mmap of i386 takes all its arguments from memory; mmap2 is the one that programs call. */
        if (rule->kind == MMAP && e->arch == COSMOS_ARCH_I386 && strcmp(rule->syscall, "mmap") == 0)
                return 0;
        for (size_t p = 0; p < ARRAY_SIZE(kind->parts) && kind->parts[p].type != NONE; p++) {
                if (rule->args[p] >= e->n_args)
                        return 0;
                at = at * classes_of(&kind->parts[p]) + class_of(&kind->parts[p], (uint32_t)e->args[rule->args[p]]);
        }
        return kind->first + at;
}

COSMOS_API uint32_t cosmos_args_class(const struct cosmos_event *event)
{
        return event->syscall ? cosmos__args_class(cosmos__args_rule(event->syscall), event) : 0;
}
