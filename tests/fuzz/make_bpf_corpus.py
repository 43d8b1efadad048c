#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes corpus/bpf/: records of the ring buffer as lib/collector/bpf/wire.h has them, and damaged ones."""

import pathlib
import socket
import struct

CALL, EXIT, PROCESS, FORK, CONTAINER, STOP, SEED = range(1, 8)
COMPAT, HAS_CALL, LAST, PATH, ARGV, ADDR, DELETED, TOO_DEEP = (1 << i for i in range(8))
READ, CONNECT, EXECVE, OPENAT, RT_SIGRETURN, EXIT_GROUP = 0, 42, 59, 257, 15, 231


def head(kind, flags=0, nr=0, fd_kind=0, lost=0, time=5_000_000_007, comm=b"mariadbd"):
    return struct.pack(
        "<BBBxIIIQIIIIQQ16s",
        *(kind, flags, fd_kind, lost, 7, 999, time, 4242, 4250, 4200, nr, 1_239_999_999, 1_240_000_000, comm),
    )


def call(nr, ret=0, flags=0, text=b"", kind=CALL, **more):
    return head(kind, flags, nr, **more) + struct.pack("<q6Q", ret, 3, 0x7FFD0A10, 100, 0, 0, 2**64 - 1) + text


def process(text, flags=0):
    return call(0, flags=flags, text=text, kind=PROCESS)


def records():
    family = lambda f: struct.pack("<H", f)
    inet = family(socket.AF_INET) + struct.pack(">H", 80) + bytes([192, 0, 2, 1]) + bytes(8)
    inet6 = family(socket.AF_INET6) + struct.pack(">HI", 443, 0) + bytes([0x20, 1] + 13 * [0] + [1]) + bytes(4)
    yield "read", call(READ, 100, fd_kind=1)
    yield "read-failed", call(READ, -9)
    yield "read-32", call(3, 8, COMPAT, fd_kind=3)
    yield "read-lost", call(READ, 1, lost=5)
    yield "openat", call(OPENAT, 3, PATH, b"/etc/passwd\0", fd_kind=1)
    yield "openat-relative", call(OPENAT, -2, PATH, b"lib.so.6\0")
    yield "openat-empty", call(OPENAT, -2, PATH, b"\0")
    yield "openat-longest", call(OPENAT, -36, PATH, b"/" + 4094 * b"x" + b"\0")
    yield "openat-no-nul", call(OPENAT, 3, PATH, b"/etc/passwd")
    yield "openat-no-text", call(OPENAT, 3, PATH)
    yield "execve", call(EXECVE, 0, ARGV, b"sh\0-c\0ls -l\0")
    yield "execve-failed", call(EXECVE, -2, PATH, b"/bin/none\0")
    yield "execve-longest", call(EXECVE, 0, ARGV, 4096 * b"x")
    yield "execve-too-long", call(EXECVE, 0, ARGV, 5000 * b"x")
    yield "execve-nuls", call(EXECVE, 0, ARGV, bytes(100))
    yield "sigreturn", call(RT_SIGRETURN, 5)
    yield "unnamed", call(511, -38)
    yield "x32", call(0x4000003B, 0)
    yield "largest", call(2**32 - 1, -38, COMPAT)
    yield "connect-inet", call(CONNECT, 0, ADDR, inet, fd_kind=3)
    yield "connect-inet6", call(CONNECT, -115, ADDR, inet6)
    yield "connect-short", call(CONNECT, -22, ADDR, inet[:15])
    yield "connect-one-byte", call(CONNECT, -22, ADDR, inet[:1])
    yield "connect-unix", call(CONNECT, 0, ADDR, family(socket.AF_UNIX) + b"/run/x\0")
    yield "connect-unix-longest", call(CONNECT, 0, ADDR, family(socket.AF_UNIX) + 126 * b"x")
    yield "connect-abstract", call(CONNECT, 0, ADDR, family(socket.AF_UNIX) + b"\0name")
    yield "connect-netlink", call(CONNECT, 0, ADDR, family(16) + bytes(10))
    yield "connect-too-long", call(CONNECT, 0, ADDR, inet + 5000 * b"x")
    yield "all-flags", call(OPENAT, 3, 0xFF, b"/x\0", fd_kind=255)
    yield "comm-no-nul", call(READ, 1, comm=16 * b"x")
    yield "time-largest", call(READ, 1, time=2**64 - 1)
    yield "time-overflow", call(READ, 1, time=2**63 - 1)
    yield "exit", call(0, kind=EXIT, flags=LAST)
    yield "exit-call", call(EXIT_GROUP, kind=EXIT, flags=HAS_CALL | LAST)
    yield "exit-path", call(OPENAT, kind=EXIT, flags=HAS_CALL | PATH, text=b"/etc/passwd\0")
    yield "exit-path-no-nul", call(OPENAT, kind=EXIT, flags=HAS_CALL | PATH, text=b"/etc/passwd")
    yield "process", process(b"bash\0bin\0usr\0")
    yield "process-root", process(b"bash\0bin\0/\0")
    yield "process-deleted", process(b"x\0tmp\0", DELETED)
    yield "process-too-deep", process(32 * b"x\0", TOO_DEEP)
    yield "process-cut", process(b"bash\0bin\0us", TOO_DEEP | DELETED)
    yield "process-empty", process(b"")
    yield "process-nuls", process(bytes(50))
    yield "process-longest", process(4095 * b"x" + b"\0")
    yield "process-too-long", process(3000 * b"x\0", TOO_DEEP | DELETED)
    yield "fork", head(FORK, nr=4242)
    yield "container", head(CONTAINER) + 64 * b"a"
    yield "stop", head(STOP) + 64 * b"a"
    yield "seed", head(SEED)
    yield "no-type", head(0)
    yield "type-above", head(SEED + 1)
    yield "empty", b""
    yield "cut-head", head(CALL)[:-1]
    yield "cut-call", call(READ)[:-1]
    yield "cut-container", (head(CONTAINER) + 64 * b"a")[:-1]


def main():
    folder = pathlib.Path(__file__).parent / "corpus" / "bpf"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in records():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
