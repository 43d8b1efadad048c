/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * What the programs in the kernel (cosmos.bpf.c) and the library (bpf.c,
 * bpf_event.c) say to each other: the records of the ring buffer, the values of
 * the maps, and the settings. Both sides run on the same machine.
 */
#ifndef COSMOS_BPF_WIRE_H
#define COSMOS_BPF_WIRE_H

#ifndef __bpf__
#include <stdint.h>
#endif

#define WIRE_TEXT_MAX 4096 /* bytes of a path or of arguments that are kept, a NUL included */
#define WIRE_ADDR_MAX 128  /* sizeof(struct sockaddr_storage) */
#define WIRE_ID_SIZE 64    /* a container's id: hexadecimal digits, no NUL */
#define WIRE_COMM_SIZE 16
#define WIRE_CALLS 512 /* numbers of calls are below */
#define WIRE_CPUS 1024 /* counters are by cpu modulo this */

enum wire_type {
        WIRE_CALL = 1,      /* struct wire_call, then its text */
        WIRE_EXIT = 2,      /* struct wire_call: the thread ended; with a call that it never returned from */
        WIRE_PROCESS = 3,   /* struct wire_head, then its program's path, innermost component first */
        WIRE_FORK = 4,      /* struct wire_head: a process came to be; its program is that of process `nr` */
        WIRE_CONTAINER = 5, /* struct wire_container: it was seen for the first time */
        WIRE_STOP = 6,      /* struct wire_container: its last cgroup and its last thread are gone */
        WIRE_SEED = 7,      /* struct wire_head: a process of several threads entered: look at all tasks again */
};

/* Flags of a record. */
#define WIRE_COMPAT 0x01u   /* a 32-bit call */
#define WIRE_HAS_CALL 0x02u /* EXIT: nr and args are of a call that never returned */
#define WIRE_LAST 0x04u     /* EXIT: of the process's last thread */
#define WIRE_PATH 0x08u     /* text: a path and its NUL */
#define WIRE_ARGV 0x10u     /* text: arguments, each with its NUL */
#define WIRE_ADDR 0x20u     /* text: a struct sockaddr */
#define WIRE_DELETED 0x40u  /* PROCESS: the program's file has no name any more */
#define WIRE_TOO_DEEP 0x80u /* PROCESS: the path is not whole */

/* Who it was. The same in each record: nothing of it needs another record. */
struct wire_head {
        uint8_t type;
        uint8_t flags;
        uint8_t fd_kind; /* enum cosmos_fd_kind; 0: not asked for, or none */
        uint8_t pad;
        uint32_t lost;      /* records of this thread that found no room just before this one */
        uint32_t container; /* its number: see WIRE_CONTAINER */
        uint32_t uid;
        uint64_t time; /* ns of CLOCK_BOOTTIME */
        uint32_t pid, tid, ppid;
        uint32_t nr;
        uint64_t proc_start, thread_start; /* ns of CLOCK_BOOTTIME */
        char comm[WIRE_COMM_SIZE];
};

struct wire_call {
        struct wire_head head;
        int64_t ret;
        uint64_t args[6];
};

struct wire_container {
        struct wire_head head; /* type and container only */
        char id[WIRE_ID_SIZE];
};

/* What is to be done with a call: the value of `calls` in the settings. */
#define CALL_WANTED 0x0001u
#define CALL_PATH0 0x0002u  /* args[0] is a path */
#define CALL_PATH1 0x0004u  /* args[1] is a path */
#define CALL_ADDR1 0x0008u  /* args[1] is a socket's address, args[2] its size */
#define CALL_ADDR4 0x0010u  /* args[4] ..., args[5] */
#define CALL_ADDR1P 0x0020u /* args[1] ..., args[2] points to its size: filled in by the kernel */
#define CALL_ADDR4P 0x0040u /* args[4] ..., args[5] points */
#define CALL_EXEC 0x0080u   /* where it succeeds, the process's arguments are new */
#define CALL_FD0 0x0100u    /* args[0] is a descriptor */
#define CALL_FD_RET 0x0200u /* the result is one */
#define CALL_NO_RETURN 0x0400u
#define CALL_TEXT (CALL_PATH0 | CALL_PATH1 | CALL_ADDR1 | CALL_ADDR4 | CALL_ADDR1P | CALL_ADDR4P | CALL_EXEC)

/* Settings: constant once the programs are loaded, so that what is off costs nothing. */
struct wire_settings {
        uint32_t exe;                  /* WIRE_PROCESS and WIRE_FORK are wanted */
        uint32_t text;                 /* paths, arguments, addresses */
        uint32_t fd_kind;              /* what kind of thing a descriptor is */
        uint16_t calls[2][WIRE_CALLS]; /* [64-bit, 32-bit][number] */
};

/* Counters of one cpu: only it writes them. */
struct wire_counters {
        uint64_t seen;      /* calls and ends of threads that were to be delivered, and what is lost */
        uint64_t lost;      /* records of threads that found no room */
        uint64_t untracked; /* threads that there was no memory for: their calls are not seen at all */
        uint64_t other;     /* records of containers that found no room: look at them all */
        uint64_t pad[4];    /* a cache line each */
};

/* Shared at run time. */
struct wire_shared {
        uint32_t wake;       /* we sleep: wake us with the next record */
        uint32_t generation; /* counts the decisions on containers */
        uint32_t stopped;
        uint32_t containers; /* numbers given out */
        uint32_t self;       /* our own process, as the host numbers it: not listened to */
        uint32_t pending;    /* threads that are to be followed, but could not be at once */
        uint32_t graveless;  /* ends that not even the map of ends had room for */
};

enum wire_state {
        WIRE_UNDECIDED = 0, /* delivered until we know better */
        WIRE_IGNORED = 1,
};

/* A container in the kernel. */
struct wire_state_of {
        char id[WIRE_ID_SIZE];
        uint32_t state;
        uint32_t cgroups; /* that are known of it */
        uint32_t threads;
        uint32_t stopped; /* neither is left: told once */
        uint32_t gone;    /* its WIRE_STOP found no room */
};

#endif
