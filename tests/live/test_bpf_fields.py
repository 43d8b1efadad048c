# SPDX-License-Identifier: Apache-2.0
"""What an event of the bpf backend holds: paths, arguments, peers, users, programs; what
is left out, and what is added."""
import os
import shutil
import socket

import harness
import pytest

pytestmark = pytest.mark.bpf

TEXT_MAX = 4096


@pytest.fixture
def record(box, collect):
    """record(OPTION..., of=[command]): the calls that a command made."""

    def run(*options, of, **how):
        container = box()
        collector = collect("--container", container.id, *options)
        container.run(*of, **how)
        return collector.stop()

    return run


# --- paths, arguments, peers ---------------------------------------------------------


@pytest.mark.parametrize(
    "path, told",
    [
        (b"/no/such/file", "/no/such/file"),
        (b"", ""),
        (b"relative/to this", "relative/to this"),
        ("/žluťoučký/ファイル/🐚".encode(), "/žluťoučký/ファイル/🐚"),
        (b"/bad/\xff\xfe/\xc3(", "/bad/%FF%FE/%C3("),
        (b'/odd/\n\t"quoted"\\\x01', '/odd/\n\t"quoted"\\\x01'),
        (b"/" + b"x" * 4000, "/" + "x" * 4000),
    ],
    ids=["plain", "empty", "relative", "utf-8", "no utf-8", "control characters", "long"],
)
def test_path_of_an_open(record, path, told):
    lines = harness.calls(record(of=["opens", os.fsdecode(path)]), syscall="openat")
    assert [line["path"] for line in lines] == [told]
    assert lines[0]["ret"] == -2 or path.count(b"x") > 255


def test_path_of_5000_bytes_is_cut(record):
    """Longer than the kernel allows; the calls around it are as they were."""
    path = "/" + "long/" * 1000
    lines = harness.calls(record(of=["opens", "/before", path, "/after"]), syscall="openat")
    assert [line["path"] for line in lines] == ["/before", path[: TEXT_MAX - 1], "/after"]
    assert [line["ret"] for line in lines] == [-2, -36, -2]


def test_bad_pointer_is_no_path(record, guest):
    """What the kernel could not read, we can't either: the field is absent."""
    lines = harness.calls(record(of=["bad-pointer"]), syscall="openat")
    assert [line["ret"] for line in lines] == [-14, -2]
    assert "path" not in lines[0]
    assert lines[1]["path"] == "/no/such/file"


@pytest.mark.parametrize(
    "argument, told",
    [
        ("", ""),
        ("one two", "one two"),
        ('a\n"b"', 'a\n"b"'),
        (os.fsdecode(b"\xff\xc3\xa9"), "%FFé"),
        ("y" * 3000, "y" * 3000),
    ],
    ids=["empty", "spaces", "control characters", "no utf-8", "long"],
)
def test_argv(record, guest, argument, told):
    (execve,) = harness.calls(record(of=["opens", argument, "end"]), syscall="execve")
    assert execve["argv"] == f"{guest} opens {told} end"


def test_argv_of_5000_bytes_is_cut(record, guest):
    (execve,) = harness.calls(record(of=["opens", "z" * 5000, "end"]), syscall="execve")
    assert execve["argv"] == f"{guest} opens {'z' * 5000} end"[: len(execve["argv"])]
    assert TEXT_MAX - 10 <= len(execve["argv"]) <= TEXT_MAX


def test_execve_that_fails_names_its_path(record):
    lines = harness.calls(record(of=["execs", 1, "/no/such/program"], code=1), syscall="execve")
    assert [line["ret"] for line in lines] == [0, -2]
    assert lines[1]["path"] == "/no/such/program"
    assert len(lines[1]["args"]) == 6
    assert "argv" not in lines[1] or lines[1]["argv"] == ""


def test_peers(record, tmp_path):
    path = tmp_path / "s"
    lines = harness.calls(record(of=["peers", path]))
    assert [line["addr"] for line in lines if line["syscall"] == "connect"] == [
        "127.0.0.1:9",
        "[::1]:9",
        f"unix:{path}",
        "unix:@nobody",
    ]
    assert [line["addr"] for line in lines if line["syscall"] == "sendto"] == ["127.0.0.1:9"]
    assert [line for line in lines if "addr" in line and line["syscall"] not in ("connect", "sendto")] == []


def test_peers_that_the_kernel_fills_in(record):
    """accept and recvfrom: known when they return."""
    lines = harness.calls(record(of=["accepts"]))
    (connected,) = harness.calls(lines, syscall="connect")
    (bound,) = [line["addr"] for line in lines if line["syscall"] == "bind"]
    (accepted,) = [line["addr"] for line in lines if line["syscall"] == "accept"]
    assert bound == "127.0.0.1:0"
    assert connected["addr"].startswith("127.0.0.1:")
    assert accepted.startswith("127.0.0.1:") and accepted != connected["addr"]
    assert not any("addr" in line for line in lines if line["syscall"] == "accept4")  # it failed


# --- who ------------------------------------------------------------------------------


def test_user_and_parent(record, guest):
    lines = record(of=["--reuid=1234", "--clear-groups", guest, "tag", 5], program="setpriv")
    (tagged,) = harness.calls(lines, syscall="getppid")
    assert tagged["uid"] == 1234
    assert tagged["ppid"] == tagged["ret"] == os.getpid()
    assert {line["uid"] for line in harness.calls(lines, exe=str(guest))} == {1234}
    assert harness.calls(lines)[0]["uid"] == 0
    assert tagged["comm"] == "guest"
    assert not any("auid" in line for line in lines)


def test_ids_are_those_of_proc(box, collect):
    container = box()
    process = container.obey(2)
    stat = {}
    for tid in harness.threads(process.pid):
        text = open(f"/proc/{process.pid}/task/{tid}/stat").read()
        stat[tid] = int(text.rpartition(")")[2].split()[19])
    collector = collect("--container", container.id)
    process.do("all 1")
    process.do("tag 2")
    process.leave()
    lines = harness.calls(collector.stop())
    assert {line["tid"]: line["thread_start"] for line in lines} == stat
    assert {(line["pid"], line["proc_start"]) for line in lines} == {(process.pid, stat[process.pid])}


# --- programs ----------------------------------------------------------------------------


def exe_of(box, collect, program, before=True, **options):
    """What /proc says of a process, and what its calls say; seen from its start, or not."""
    container = box()
    collector = collect("--container", container.id) if before else None
    process = harness.Obedient(*container.enter(program, "obey", 0), **options)
    collector = collector or collect("--container", container.id)
    process.do("tag 1")
    said = os.readlink(f"/proc/{process.pid}/exe")
    process.leave()
    (tagged,) = harness.calls(collector.stop(), syscall="getppid")
    return tagged.get("exe"), said


@pytest.mark.parametrize("before", [True, False], ids=["from its start", "from its middle"])
@pytest.mark.parametrize("kind", ["plain", "deleted", "memfd", "link", "odd name", "deep", "long"])
def test_exe(box, collect, guest, tmp_path, kind, before):
    program, options = tmp_path / "program", {}
    if kind == "odd name":
        program = tmp_path / 'a "program"\n é'
    if kind == "deep":
        program = tmp_path.joinpath(*"abcdefghijklmnopqrstuvwxyz", "program")
    if kind == "long":
        program = tmp_path.joinpath(*["x" * 250] * 14, "program")
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(guest, program)
    if kind == "link":
        (tmp_path / "link").symlink_to(program)
        program = tmp_path / "link"
    if kind in ("deleted", "memfd"):
        fd = os.open(program, os.O_RDONLY) if kind == "deleted" else os.memfd_create("cosmos-test", 0)
        if kind == "memfd":
            os.write(fd, guest.read_bytes())
        program.unlink()
        program, options = f"/proc/self/fd/{fd}", {"pass_fds": [fd]}
    exe, said = exe_of(box, collect, program, before, **options)
    assert exe == said
    assert exe.endswith(" (deleted)") == (kind in ("deleted", "memfd"))


@pytest.mark.parametrize("before", [True, False], ids=["from its start", "from its middle"])
def test_exe_that_is_too_deep(box, collect, guest, tmp_path, before):
    """More components than are read: its end is told, and that it is not whole."""
    program = tmp_path.joinpath(*["d"] * 60, "program")
    program.parent.mkdir(parents=True)
    shutil.copy(guest, program)
    exe, said = exe_of(box, collect, program, before)
    assert exe.startswith("[...]/")
    assert said.endswith(exe[len("[...]") :])
    assert exe.count("/") >= 32


def test_exe_in_a_root_of_its_own(docker, collect):
    collector = collect("--container", "rooted")
    docker.run("rooted", "tag", 1)
    assert {line["exe"] for line in harness.calls(collector.stop())} == {"/guest"}


# --- what can be left out, and added ---------------------------------------------------------


def test_without_exe_and_text(record, tmp_path):
    for of in (["opens", "/some/file"], ["peers", tmp_path / "s"]):
        lines = harness.calls(record("--without", "exe,text", of=of))
        assert len(lines) > 10
        assert not any(field in line for line in lines for field in ("exe", "path", "argv", "addr"))
        assert all(line["comm"] == "guest" and "uid" in line for line in lines)


def test_without_exe(record):
    lines = harness.calls(record("--without", "exe", of=["opens", "/some/file"]))
    assert not any("exe" in line for line in lines)
    assert [line["path"] for line in lines if line["syscall"] == "openat"] == ["/some/file"]


def test_without_text(record, guest):
    lines = harness.calls(record("--without", "text", of=["opens", "/some/file"]))
    assert {line["exe"] for line in lines} == {str(guest)}
    assert not any(field in line for line in lines for field in ("path", "argv", "addr"))


def test_nothing_is_added_by_itself(record):
    lines = harness.calls(record(of=["opens", "/some/file"]))
    assert not any(field in line for line in lines for field in ("fd_kind", "size_class", "path_class"))


def moved(lines):
    return [line for line in lines if line["syscall"] in ("write", "getdents64")]


def test_kind_of_a_descriptor(record, tmp_path):
    lines = harness.calls(record("--with", "fd", of=["moves", tmp_path]))
    assert [line.get("fd_kind") for line in moved(lines)] == [
        "file",
        "directory",
        "socket",
        "pipe",
        "character",
        "other",
        None,
    ]
    made = {(line["syscall"], line.get("fd_kind")) for line in lines if line["syscall"] in ("open", "openat", "eventfd2")}
    assert made == {("openat", "directory"), ("openat", "character"), ("openat", "file"), ("eventfd2", "other")}
    assert not any("size_class" in line or "path_class" in line for line in lines)


def test_class_of_a_size(record, tmp_path):
    lines = harness.calls(record("--with", "size", of=["moves", tmp_path]))
    classes = [line.get("size_class") for line in moved(lines)]
    # 10, 30, 40, 50 and 8 bytes: see cosmos_size_class() in event.h.
    assert classes[0] == 2 and classes[2:6] == [2, 3, 4, 2]
    assert classes[6] is None
    assert not any("size_class" in line for line in lines if line["syscall"] in ("openat", "mmap", "getppid", "brk"))


def test_class_of_a_path(record):
    paths = {
        "relative": "relative",
        "/etc/passwd": "etc",
        "/proc/self/maps": "proc",
        "/sys/kernel": "sys",
        "/dev/null": "dev",
        "/tmp/x": "tmp",
        "/var/tmp/x": "tmp",
        "/run/x": "run",
        "/usr/lib/x": "lib",
        "/opt/x.so.1": "lib",
        "/usr/bin/x": "bin",
        "/root/x": "home",
        "/var/log/x": "var",
        "/srv/x": "other",
    }
    lines = harness.calls(record("--with", "path", of=["opens", *paths]), syscall="openat")
    assert {line["path"]: line["path_class"] for line in lines} == paths


def test_some_calls_only(record, collect):
    lines = record("--calls", "openat,getppid", of=["brief", 2])
    assert lines[0]["type"] == "trace"
    assert lines[0]["source"] == "bpf"
    assert lines[0]["calls"] == "getppid,openat"
    assert {line["syscall"] for line in harness.calls(lines)} == {"getppid"}
    assert len(harness.calls(lines)) == 2 * 8 * 10
    assert len(harness.typed(lines, "thread_exit")) == 2 * 8 + 1


def test_head_of_all_calls(record):
    lines = record(of=["tag", 1])
    assert lines[0]["type"] == "trace"
    assert lines[0]["source"] == "bpf"
    assert lines[0]["host"] == socket.gethostname()
    assert "calls" not in lines[0]


def test_unknown_call_is_refused(started):
    collector = started(harness.Process(harness.COLLECT, "--backend", "bpf", "--calls", "getppid,no_such_call"))
    assert collector.wait() == 2
    assert "no_such_call" in collector.said
