# SPDX-License-Identifier: Apache-2.0
"""The bpf backend tells threads apart: each one's calls, all of them, in its order,
from its first to its end; and processes, however quickly they come and go."""
import shutil

import harness
import pytest
import test_exact

pytestmark = pytest.mark.bpf

SEED = test_exact.SEED
BRIEF_THREADS, BRIEF_CALLS = 8, 10  # see guest.c


def tagged(lines):
    return [line for line in lines if line.get("syscall") in ("getppid", "openat")]


def test_eight_threads_exactly(box, collect):
    container = box()
    collector = collect("--container", container.id)
    pid = container.run("threads", SEED, 8).pid
    lines = collector.stop()

    threads = harness.by_thread(lines)
    assert len(threads) == 9
    found = {}
    for thread in threads.values():
        names = harness.names(thread)
        assert names.count("thread_exit") == 1 and names[-1] == "thread_exit"
        assert {line["pid"] for line in thread} == {pid}
        if made := tagged(thread):
            of = {int(line["args"][1], 16) for line in made if line["syscall"] == "getppid"}
            assert len(of) == 1, f"one thread has the calls of {of}"
            found[of.pop()] = [(line["syscall"], test_exact.number(line)) for line in made]
            # What libc does for a thread stands before and behind its program.
            assert set(names[names.index(made[0]["syscall"]) :][: len(made)]) == {"getppid", "openat"}
    assert sorted(found) == list(range(8))
    for number, made in found.items():
        assert made == test_exact.program(number)
    assert harness.typed(lines, "loss") == []


def test_brief_threads(box, collect):
    """Threads that are started and ended over and over."""
    rounds = 150
    container = box()
    collector = collect("--container", container.id)
    container.run("brief", rounds)
    lines = collector.stop()

    threads = harness.by_thread(lines)
    found = {}
    for thread in threads.values():
        assert harness.names(thread)[-1] == "thread_exit"
        made = [line for line in thread if line.get("syscall") == "getppid"]
        if made:
            numbers = {int(line["args"][1], 16) for line in made}
            assert len(numbers) == 1
            found[numbers.pop()] = harness.tags(made)
    assert len(threads) == rounds * BRIEF_THREADS + 1
    assert found == {n: list(range(BRIEF_CALLS)) for n in range(rounds * BRIEF_THREADS)}
    assert harness.typed(lines, "loss") == []
    assert len(harness.typed(lines, "thread_exit")) == len(threads)


def test_brief_threads_on_each_cpu(box, collect, started):
    """Threads that begin while others end beside them: the kernel may refuse us room for a moment. No
    more events than the ring buffer holds, so that a busy host loses none of them."""
    rounds = 300
    containers = [box() for _ in range(4)]
    collector = collect("--calls", "getppid")
    for process in [started(container.start("brief", rounds)) for container in containers]:
        assert process.wait(60) == 0, process.said
    lines = collector.stop()
    assert harness.typed(lines, "loss") == []
    for container in containers:
        found = {}
        for line in harness.calls(lines, container_id=container.id):
            found.setdefault(int(line["args"][1], 16), []).append(int(line["args"][0], 16))
        assert found == {n: list(range(BRIEF_CALLS)) for n in range(rounds * BRIEF_THREADS)}
        ends = [line for line in harness.typed(lines, "thread_exit") if line["container_id"] == container.id]
        assert len(ends) == rounds * BRIEF_THREADS + 1


def test_fork_storm(box, collect):
    """2,000 children of one call each: each has that call and its end, and nothing else."""
    count = 2000
    container = box()
    collector = collect("--container", container.id)
    parent = container.run("forks", count).pid
    lines = collector.stop()

    threads = harness.by_thread(lines)
    forked = [line["ret"] for line in harness.calls(lines, syscall="fork")]
    assert len(forked) == len(set(forked)) == count
    children = {tid: thread for (tid, _), thread in threads.items() if tid != parent}
    assert sorted(children) == sorted(forked)
    for thread in children.values():
        assert harness.names(thread) == ["getppid", "exit_group", "thread_exit"]
        assert {line["ppid"] for line in harness.calls(thread, syscall="getppid")} == {parent}
        assert thread[0]["ret"] == parent
        assert "ret" not in thread[1]
    assert [harness.tags(children[pid]) for pid in forked] == [[i] for i in range(count)]
    assert {line["exe"] for line in harness.calls(lines)} == {str(container.guest)}


def test_process_that_executes_itself_over_and_over(box, collect, guest, tmp_path):
    count = 400
    other = shutil.copy(guest, tmp_path / "other")
    container = box()
    collector = collect("--container", container.id)
    pid = container.run("execs", count, other).pid
    lines = harness.calls(collector.stop())

    assert {line["pid"] for line in lines} == {line["tid"] for line in lines} == {pid}
    assert harness.tags(lines) == list(range(count, -1, -1))
    programs = [str(guest), str(other)]
    current = None
    for line in lines:
        if line["syscall"] == "execve":
            current = programs[0] if current != programs[0] else programs[1]
            assert line["ret"] == 0
            assert "args" not in line
            assert line["argv"].startswith(f"{current} execs ")
        assert line["exe"] == current
    assert harness.names(lines).count("execve") == count + 1


def test_programs_that_are_spawned(box, collect, guest, tmp_path):
    count = 500
    other = shutil.copy(guest, tmp_path / "other")
    container = box()
    collector = collect("--container", container.id)
    parent = container.run("spawns", count, other).pid
    lines = collector.stop()

    children = {tid: thread for (tid, _), thread in harness.by_thread(lines).items() if tid != parent}
    assert len(children) == count
    for thread in children.values():
        at = harness.names(thread).index("execve")
        assert {line["exe"] for line in harness.calls(thread[:at])} <= {str(guest)}
        assert {line["exe"] for line in harness.calls(thread[at:])} == {str(other)}
        assert thread[at]["argv"] == f"{other} tag {harness.tags(thread)[0]}"
        assert harness.names(thread)[-2:] == ["exit_group", "thread_exit"]
    assert sorted(tag for thread in children.values() for tag in harness.tags(thread)) == list(range(count))


def test_vfork(box, collect, guest):
    """The parent's call returns when the child has executed its program: the child comes first."""
    count = 100
    container = box()
    collector = collect("--container", container.id)
    parent = container.run("vforks", count, guest).pid
    lines = collector.stop()
    threads = {tid: thread for (tid, _), thread in harness.by_thread(lines).items()}
    forked = [line["ret"] for line in harness.calls(threads.pop(parent), syscall="vfork")]
    assert list(threads) == forked
    for i, thread in enumerate(threads.values()):
        assert harness.names(thread)[0] == "execve"
        assert thread[0]["argv"] == f"{guest} tag {i}"
        assert harness.tags(thread) == [i]
        assert harness.names(thread)[-2:] == ["exit_group", "thread_exit"]


def test_same_pid_again(box, collect):
    """Processes that have had the same pid are kept apart by when they began."""
    times = 5
    last = max(pid for pid in range(300, 32000) if not harness.alive(pid))
    container = box()
    collector = collect("--container", container.id)
    container.run("reuse", last, times)
    lines = collector.stop()

    threads = {key: thread for key, thread in harness.by_thread(lines).items() if key[0] == last}
    assert len(threads) == times
    for k, thread in enumerate(threads.values()):
        assert harness.names(thread) == ["getppid"] * BRIEF_CALLS + ["exit_group", "thread_exit"]
        assert harness.tags(thread, k) == list(range(BRIEF_CALLS))
        assert {line["pid"] for line in thread} == {last}
        assert {line["proc_start"] for line in harness.calls(thread)} == {thread[0]["thread_start"]}
