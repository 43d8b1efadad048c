/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event: what a collector delivers, a resolver completes and a trace holds.
 * One struct for all sources, so that a live event and its line in a trace are
 * the same thing to everything downstream.
 *
 * An event is lent: it and all its strings belong to the object that handed it
 * out and stay valid until the next call on that object. Strings are
 * NUL-terminated bytes *chosen by the audited process*: any byte but NUL, not
 * necessarily UTF-8; NULL where the source does not know them. Numbers that the
 * source may not know are valid only if their bit is set in `known`.
 *
 * Source of the fields: Linux kernel/auditsc.c (audit_log_exit) for the audit
 * backend; docs/formats.md for the trace.
 */
#ifndef COSMOS_EVENT_H
#define COSMOS_EVENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cosmos_event_type {
        COSMOS_EVENT_CALL = 0,            /* one system call, seen at its return */
        COSMOS_EVENT_THREAD_EXIT = 1,     /* a thread ended (sources that know threads) */
        COSMOS_EVENT_LOSS = 2,            /* something is missing here: see loss_kind */
        COSMOS_EVENT_CONTAINER_START = 3, /* a container was seen for the first time */
        COSMOS_EVENT_CONTAINER_STOP = 4,  /* a container is gone */
        COSMOS_EVENT_TRACE = 5,           /* head of a trace: `source`, `host` */
};

/* How to read the raw number `nr`. The names are those of `uname -m`, and i386
 * for the 32-bit calls of an x86_64 kernel. */
enum cosmos_arch {
        COSMOS_ARCH_UNKNOWN = 0,
        COSMOS_ARCH_X86_64 = 1,
        COSMOS_ARCH_I386 = 2,
        COSMOS_ARCH_AARCH64 = 3,
};

enum cosmos_loss_kind {
        COSMOS_LOSS_KERNEL = 0,    /* the kernel dropped `loss_count` records: of thread `tid` if that is
                                      known (backend bpf), else of any process */
        COSMOS_LOSS_ENOBUFS = 1,   /* our socket's buffer overflowed, of any process */
        COSMOS_LOSS_GAP = 2,       /* the trace says, or shows, that something is missing */
        COSMOS_LOSS_UNAUDITED = 3, /* process `pid` acts, but the kernel never reports its calls: it
                                      was born before audit was first enabled, or under a "never"
                                      rule. Only its container is incomplete. */
};

/* Bits of `known`. */
#define COSMOS_KNOWN_SEQ (1u << 0)
#define COSMOS_KNOWN_TID (1u << 1)
#define COSMOS_KNOWN_PPID (1u << 2)
#define COSMOS_KNOWN_NR (1u << 3)
#define COSMOS_KNOWN_RET (1u << 4)
#define COSMOS_KNOWN_PROC_START (1u << 5)
#define COSMOS_KNOWN_THREAD_START (1u << 6)
#define COSMOS_KNOWN_UID (1u << 7)
#define COSMOS_KNOWN_AUID (1u << 8)
#define COSMOS_KNOWN_PID (1u << 9) /* a call always has one; a loss may not */
#define COSMOS_KNOWN_FD_KIND (1u << 10)
#define COSMOS_KNOWN_SIZE_CLASS (1u << 11)
#define COSMOS_KNOWN_PATH_CLASS (1u << 12)

#define COSMOS_EVENT_ARGS 6

/* What a descriptor stands for: the one that the call was given first, or gave. */
enum cosmos_fd_kind {
        COSMOS_FD_NONE = 0, /* the call has none, or it was not open */
        COSMOS_FD_FILE = 1,
        COSMOS_FD_DIRECTORY = 2,
        COSMOS_FD_SOCKET = 3,
        COSMOS_FD_PIPE = 4,
        COSMOS_FD_CHARACTER = 5, /* a device: terminal, /dev/null, ... */
        COSMOS_FD_BLOCK = 6,
        COSMOS_FD_OTHER = 7, /* epoll, eventfd, timerfd, ... */
};

/* Which part of the file system a path leads to, as it was given. */
enum cosmos_path_class {
        COSMOS_PATH_NONE = 0,     /* the call has no path */
        COSMOS_PATH_RELATIVE = 1, /* also to a directory's descriptor */
        COSMOS_PATH_ETC = 2,
        COSMOS_PATH_PROC = 3,
        COSMOS_PATH_SYS = 4,
        COSMOS_PATH_DEV = 5,
        COSMOS_PATH_TMP = 6,   /* /tmp, /var/tmp, /dev/shm */
        COSMOS_PATH_RUN = 7,   /* /run, /var/run */
        COSMOS_PATH_LIB = 8,   /* /lib*, /usr/lib*, and shared objects anywhere else */
        COSMOS_PATH_BIN = 9,   /* /bin, /sbin, /usr/bin, ... */
        COSMOS_PATH_HOME = 10, /* /home, /root */
        COSMOS_PATH_VAR = 11,
        COSMOS_PATH_OTHER = 12,
};

struct cosmos_event {
        enum cosmos_event_type type;
        uint32_t known;

        int64_t timestamp;         /* ns since 1970-01-01 UTC; at a call's entry for audit */
        uint32_t timestamp_digits; /* precision of the source: decimals of a second, 0..9 */
        uint64_t seq;              /* orders equal timestamps; audit: the serial */

        const char *container_id; /* 64 hexadecimal digits; NULL: none, or not resolved */
        const char *container_name;
        const char *image;
        const char *host;

        int32_t pid; /* process (thread group) as the host numbers it */
        int32_t tid;
        int32_t ppid;
        uint32_t uid;
        uint32_t auid;
        uint64_t proc_start;   /* clock ticks since boot, field 22 of /proc/PID/stat */
        uint64_t thread_start; /* likewise, of the thread */

        const char *comm; /* up to 15 bytes */
        const char *exe;

        const char *syscall; /* the call's name; "syscall_N" where number N has none */
        enum cosmos_arch arch;
        uint32_t nr;
        uint32_t n_args; /* 0 where unknown; audit gives 4 */
        uint64_t args[COSMOS_EVENT_ARGS];
        int64_t ret; /* the result, or a negative errno; never-returning calls have none */

        const char *path; /* of the file that the call names */
        const char *argv; /* of an execve, arguments separated by one space */
        const char *addr; /* socket peer: "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path" */

        enum cosmos_fd_kind fd_kind;
        uint32_t size_class; /* of the bytes that a call moved: see cosmos_size_class() */
        enum cosmos_path_class path_class;

        enum cosmos_loss_kind loss_kind;
        uint64_t loss_count; /* 0: not known how many */

        const char *source; /* of a trace: "audit", "bpf", ... */
        const char *calls;  /* of a trace: the calls that were collected, by name with commas between;
                               NULL: all */
};

/* What the library says of a scored window. */
enum cosmos_verdict {
        COSMOS_NORMAL = 0,        /* score <= threshold */
        COSMOS_ANOMALOUS = 1,     /* score > threshold */
        COSMOS_INDETERMINATE = 2, /* something was lost inside: no claim either way */
};

#define COSMOS_WHY_EXPECTED 3

/* One surprising call of a scored window, and what the model expected there. */
struct cosmos_surprise {
        const char *syscall;
        double nll;        /* nats */
        int64_t timestamp; /* of the call */
        uint64_t seq;      /* of the call; 0 if unknown */
        int64_t ret;       /* valid if has_ret */
        uint32_t has_ret;
        const char *detail;                        /* path, argv or addr of the call; NULL if it has none */
        const char *expected[COSMOS_WHY_EXPECTED]; /* most likely first; NULL-padded */
        double expected_p[COSMOS_WHY_EXPECTED];    /* their probabilities, 0..1 */
};

/* One scored window of one sequence. Lent, like an event. */
struct cosmos_score {
        enum cosmos_verdict verdict;
        double score;     /* nats a call; NaN if indeterminate */
        double threshold; /* nats a call */

        int64_t timestamp; /* of the window's last call */
        uint32_t timestamp_digits;
        uint64_t first_seq, last_seq; /* of the window's first and last call; 0 if unknown */
        uint32_t window;              /* calls in the window */
        uint64_t calls;               /* calls of the sequence so far */
        const char *end;              /* why the sequence ended here; NULL: it goes on */

        const char *container_id; /* NULL where the trace has none */
        const char *container_name;
        const char *image;
        uint32_t known; /* COSMOS_KNOWN_TID, _PROC_START, _THREAD_START */
        int32_t pid;
        int32_t tid;
        uint64_t proc_start;
        uint64_t thread_start;
        const char *comm; /* of the window's last call */
        const char *exe;  /* of the window's last call; NULL where unknown */

        const struct cosmos_surprise *why; /* most surprising first */
        size_t n_why;
        const char *model; /* path or name that the model was loaded by */
        const char *trace; /* of several: which one; NULL (the detector's): there is but one */
};

/* "x86_64", "i386", "aarch64"; NULL for COSMOS_ARCH_UNKNOWN. Static. */
const char *cosmos_arch_name(enum cosmos_arch arch);
/* The inverse; COSMOS_ARCH_UNKNOWN for any other text. */
enum cosmos_arch cosmos_arch_from_name(const char *name);
/* The name of call `nr`, or NULL where the table has none. Static.
 * Source: the kernel's syscall tables, see lib/syscall/generate.py. */
const char *cosmos_syscall_name(enum cosmos_arch arch, uint32_t nr);
/* The inverse: the number, or -1. */
int cosmos_syscall_number(enum cosmos_arch arch, const char *name);
/* "normal", "anomalous", "indeterminate". Static. */
const char *cosmos_verdict_name(enum cosmos_verdict verdict);
/* "kernel_lost", "enobufs", "gap", "unaudited". Static. */
const char *cosmos_loss_kind_name(enum cosmos_loss_kind kind);
/* "none", "file", "directory", "socket", "pipe", "character", "block", "other". Static. */
const char *cosmos_fd_kind_name(enum cosmos_fd_kind kind);
/* "none", "relative", "etc", "proc", ... as the constants are called. Static. */
const char *cosmos_path_class_name(enum cosmos_path_class path_class);

/*
 * The class of `bytes` moved by a read or write: 0 for none, 1 for 1..7, 2 for 8..31 (where an
 * id that grows by a digit should not make another class), then two for each octave, 3 beginning
 * at 32, 4 at 46 (32 x sqrt 2), 5 at 64, ...; up to COSMOS_SIZE_CLASSES - 1.
 */
#define COSMOS_SIZE_CLASSES 121u
uint32_t cosmos_size_class(uint64_t bytes);
/* Does this call's result count bytes that were read or written? */
int cosmos_moves_bytes(const char *syscall);
enum cosmos_path_class cosmos_path_class_of(const char *path);

/*
 * The class of a call's scalar arguments: flags of open and mmap, protection, domain and type of
 * a socket, ... Each call, or group of like calls, has ids of its own; docs/formats-model.md lists
 * them. 0: the call has no rule, or its arguments are not known. Pointers and descriptors (but for the
 * standard ones that dup2 puts in place) play no part.
 */
#define COSMOS_ARGS_CLASSES 254u
uint32_t cosmos_args_class(const struct cosmos_event *event);

#ifdef __cplusplus
}
#endif
#endif
