/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of audit records: text in, numbers and slices out. Pure: no I/O, no
 * memory; slices point into the input. Fuzzed by tests/fuzz/fuzz_record.c.
 *
 * Source of the texts: Linux kernel/auditsc.c (audit_log_exit and what it calls),
 * kernel/audit.c (audit_log_start, audit_log_n_untrustedstring); for log files
 * auditd's src/auditd-event.c ("node=", "type=", the 0x1d before enriched fields).
 */
#ifndef COSMOS_RECORD_H
#define COSMOS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr_storage;

/* Types of record that we read (linux/audit.h). */
enum cosmos__record_type {
        COSMOS__RECORD_SYSCALL = 1300,
        COSMOS__RECORD_PATH = 1302,
        COSMOS__RECORD_SOCKADDR = 1306,
        COSMOS__RECORD_EXECVE = 1309,
        COSMOS__RECORD_EOE = 1320,
        COSMOS__RECORD_PROCTITLE = 1327,
        COSMOS__RECORD_OTHER = 0,
};

struct cosmos__slice {
        const uint8_t *data;
        size_t n;
};

struct cosmos__record_head {
        int64_t timestamp; /* ns since 1970 */
        uint64_t serial;
        struct cosmos__slice body; /* after "audit(...): " */
};

/* "audit(1364481363.243:24287): body", as it comes from netlink. 0 or -EBADMSG. */
int cosmos__record_parse_head(const uint8_t *data, size_t n, struct cosmos__record_head *ret);

/* One line of an audit.log, without its newline: "[node=N ]type=T msg=audit(...): body".
 * The type of one that we do not read is COSMOS__RECORD_OTHER. 0 or -EBADMSG. */
int cosmos__record_parse_log_line(const uint8_t *data, size_t n, enum cosmos__record_type *ret_type,
                                  struct cosmos__record_head *ret);

/* A value as it stands in the record: "quoted", hexadecimal, or (null). */
struct cosmos__untrusted {
        struct cosmos__slice raw; /* without the quotes */
        bool quoted;              /* else hexadecimal */
};

/* Bytes of the decoded value, at most `room`; what does not fit is cut. Bytes of
 * an unquoted value that is not hexadecimal, or is (null), are none. A NUL byte
 * becomes a space (it separates the arguments of a process title). */
size_t cosmos__untrusted_decode(const struct cosmos__untrusted *value, char *out, size_t room);

struct cosmos__syscall_record {
        uint32_t arch; /* AUDIT_ARCH_* */
        uint32_t nr;
        bool has_exit;
        int64_t exit;
        uint64_t args[4];
        int32_t ppid, pid;
        uint32_t auid, uid;
        struct cosmos__untrusted comm, exe; /* raw.data NULL: (null) */
};

/* 0, or -EBADMSG if a number is malformed or a field but exit is missing: the kernel
 * always writes them, comm and exe near the end, so that a record that was cut off
 * is not taken for a whole one. */
int cosmos__record_parse_syscall(struct cosmos__slice body, struct cosmos__syscall_record *ret);

struct cosmos__path_record {
        struct cosmos__untrusted name; /* raw.data NULL: none, or (null) */
        bool parent;                   /* the folder of what the call names */
};

/* 0, or -EBADMSG if item or name are missing or cut off. */
int cosmos__record_parse_path(struct cosmos__slice body, struct cosmos__path_record *ret);

/* The arguments of an EXECVE record, decoded and separated by one space, at most
 * `room` bytes. Long arguments come in pieces (a1[0]=, a1[1]=). Returns the bytes used. */
size_t cosmos__record_decode_execve(struct cosmos__slice body, char *out, size_t room);

/* "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path" ("unix:@name" if abstract) from the first
 * `n` bytes of an address, NUL-terminated; an empty text for other families. `room` of at least 128. */
void cosmos__format_sockaddr(const struct sockaddr_storage *address, size_t n, char *out, size_t room);
/* The same from a SOCKADDR record. 0 or -EBADMSG. */
int cosmos__record_decode_sockaddr(struct cosmos__slice body, char *out, size_t room);

#endif
