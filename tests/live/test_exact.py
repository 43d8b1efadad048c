# SPDX-License-Identifier: Apache-2.0
"""Exactness: what a container did is what its trace says, nothing more, nothing
less, nothing else, in the order in which it was done."""
import os

import harness
import pytest

SEED = 2026
PROCESSES, GETPPID, OPENAT = 4, 10_000, 1_000
NOISE_TAG = 0xBAD
RSS_GROWTH = 16 * 1024  # KiB: caches fill, events do not pile up


def program(process):
    """What guest.c's process makes, in its order: (call, its number)."""
    state = (SEED + process) & 0xFFFFFFFF
    left = {"getppid": GETPPID // PROCESSES, "openat": OPENAT // PROCESSES}
    made = []
    while sum(left.values()):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        call = "getppid" if (state >> 8) % sum(left.values()) < left["getppid"] else "openat"
        left[call] -= 1
        made.append((call, len(made)))
    return made


def number(line):
    """The number that a call carries: see guest.c."""
    return int(line["args"][0 if line["syscall"] == "getppid" else 3], 16)


def check_exact(lines, container):
    made = [line for line in harness.calls(lines, container_id=container) if line["syscall"] in ("getppid", "openat")]
    assert sum(line["syscall"] == "getppid" for line in made) == GETPPID
    assert sum(line["syscall"] == "openat" for line in made) == OPENAT
    by_pid = {}
    for line in made:
        by_pid.setdefault(line["pid"], []).append(line)
    assert len(by_pid) == PROCESSES
    seen = []
    for of_process in by_pid.values():
        process = next(int(line["args"][1], 16) for line in of_process if line["syscall"] == "getppid")
        seen.append(process)
        assert [(line["syscall"], number(line)) for line in of_process] == program(process)
        assert all(line["path"] == "/no/such/file" for line in of_process if line["syscall"] == "openat")
        assert all(line["ret"] == -2 for line in of_process if line["syscall"] == "openat")
    assert sorted(seen) == list(range(PROCESSES))


@pytest.fixture
def noisy(docker, started):
    """A second container and a process of the host, each about 5,000 calls a second."""

    def start():
        other = docker.start("noise", "noise", 5000, 12)
        started(harness.Process(docker.guest, "noise", "5000", "12", stdout=harness.subprocess.DEVNULL))
        return other

    return start


def test_selected_container_exactly(docker, collect, noisy, backend):
    lost = harness.audit_status()["lost"] if backend == "audit" else 0
    collector = collect("--container", "exact")
    noisy()
    before = collector.rss_kib()
    container = docker.run("exact", "exact", SEED)
    after = collector.rss_kib()
    lines = collector.stop()

    check_exact(lines, container)
    assert {line["container_id"] for line in lines if "container_id" in line} == {container}
    assert all(line["container_id"] == container for line in harness.calls(lines))
    assert {line["container_name"] for line in harness.calls(lines)} == {"exact"}
    assert harness.typed(lines, "loss") == []
    if backend == "audit":
        assert harness.audit_status()["lost"] == lost
    if "COSMOS_SANITIZED" not in os.environ:
        assert after - before < RSS_GROWTH, f"from {before} to {after} KiB"


def test_every_container_exactly(docker, collect, noisy):
    """Without a selection: both containers, each line with its own container, and nothing of the host."""
    collector = collect()
    other = noisy()
    container = docker.run("exact", "exact", SEED)
    assert docker("wait", "noise") == "0"
    made = int(docker("logs", "noise"))
    lines = collector.stop()

    check_exact(lines, container)
    assert {line["container_id"] for line in harness.calls(lines)} == {container, other}
    noise = harness.calls(lines, container_id=other)
    getppid = [line for line in noise if line["syscall"] == "getppid"]
    openat = [line for line in noise if line["syscall"] == "openat"]
    assert all(int(line["args"][1], 16) == NOISE_TAG for line in getppid)
    assert [number(line) for line in getppid] == list(range(0, made, 2))
    assert [number(line) for line in openat] == list(range(0, made, 2))
    assert harness.typed(lines, "loss") == []


def test_trace_begins_with_the_containers_own_execve(docker, collect):
    """What the runtime's init does before it is not the container's."""
    collector = collect()
    container = docker.run("first", "noise", 100, 1)
    lines = harness.calls(collector.stop(), container_id=container)
    assert lines[0]["syscall"] == "execve"
    assert lines[0]["exe"] == "/guest"
    assert lines[-1]["syscall"] == "exit_group"
    assert [line["syscall"] for line in lines].count("execve") == 1
