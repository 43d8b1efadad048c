# SPDX-License-Identifier: Apache-2.0
"""The rules of docs/bpf.md for the odd cases: what has no result, what the kernel
interrupts, denies or kills, and what no table names."""
import os
import signal

import harness
import pytest

pytestmark = pytest.mark.bpf

EPERM, EINTR, ENOSYS = -1, -4, -38
SECCOMP_TAG = 0x5EC


@pytest.fixture
def watched(box, collect):
    """A container, and the collector of its calls."""
    container = box()
    return container, collect("--container", container.id)


def calls_of(lines, tid):
    """The calls, and the ends, of all threads that have had this number."""
    return [line for line in lines if line.get("tid") == tid and line.get("type") in (None, "thread_exit")]


def waits(pid, tid=None, call=harness.READ):
    harness.until(lambda: harness.blocked_in(pid, tid) == call, 10, f"thread {tid or pid} in call {call}")


def all_wait(process):
    for tid in harness.threads(process.pid):
        waits(process.pid, tid)


def short(line):
    """A call and its result; None: it has none."""
    return line.get("type") or line["syscall"], line.get("ret")


# --- ends ------------------------------------------------------------------------


def test_exit_has_no_result(watched):
    container, collector = watched
    container.run("brief", 1)
    lines = collector.stop()
    threads = harness.by_thread(lines)
    assert len(threads) == 9
    ends = [[short(line) for line in thread[-2:]] for thread in threads.values()]
    assert ends.count([("exit", None), ("thread_exit", None)]) == 8
    assert ends.count([("exit_group", None), ("thread_exit", None)]) == 1


@pytest.mark.parametrize("by", ["exit_group", "SIGKILL"])
def test_threads_killed_in_a_call(watched, by):
    """Each waits in a read: that is told as interrupted, then the thread's end."""
    container, collector = watched
    process = container.obey(4)
    process.do("all 5")
    all_wait(process)
    first, *others = harness.threads(process.pid)
    if by == "SIGKILL":
        process.signal(signal.SIGKILL)
    else:
        process.tell("exit")
    process.wait()
    process.end()
    lines = collector.stop()
    assert len(others) == 4
    for tid in others:
        assert [short(line) for line in calls_of(lines, tid)][-2:] == [("read", EINTR), ("thread_exit", None)]
        assert sum(line.get("type") == "thread_exit" for line in calls_of(lines, tid)) == 1
    last = ("read", EINTR) if by == "SIGKILL" else ("exit_group", None)
    assert [short(line) for line in calls_of(lines, first)][-2:] == [last, ("thread_exit", None)]


def test_execve_by_another_thread(watched, guest):
    """It becomes the process's first thread; all others end as if killed."""
    container, collector = watched
    process = container.obey(3)
    all_wait(process)
    pid = process.pid
    second, *others = harness.threads(pid)[1:]
    process.tell("exec 77")
    assert process.wait() == 0, process.said
    process.end()
    lines = [line for line in collector.stop() if line.get("pid") == pid]

    of_second = calls_of(lines, second)
    assert [short(line) for line in of_second][-2:] == [("read", 8), ("thread_exit", None)]
    for tid in others:
        assert [short(line) for line in calls_of(lines, tid)][-2:] == [("read", EINTR), ("thread_exit", None)]

    # The number of the first thread: its own life, then that of the second.
    of_first = calls_of(lines, pid)
    ends = [i for i, line in enumerate(of_first) if line.get("type") == "thread_exit"]
    assert len(ends) == 2 and ends[1] == len(of_first) - 1
    # It was to wait for the second's answer, or was on its way there.
    assert short(of_first[ends[0] - 1]) in [("read", EINTR), ("write", 8)]
    execve = of_first[ends[0] + 1]
    assert short(execve) == ("execve", 0)
    assert execve["argv"] == "guest tag 77"
    assert execve["exe"] == str(guest)
    assert "args" not in execve
    assert lines.index(of_second[-1]) < lines.index(execve)
    assert harness.tags(of_first[ends[0] :]) == [77]
    assert harness.names(of_first)[-2:] == ["exit_group", "thread_exit"]
    # What follows is the life of one thread, which is not the one before.
    later = {line["thread_start"] for line in of_first[ends[0] + 1 :]}
    assert len(later) == 1
    assert len(harness.typed(lines, "thread_exit")) == 5


# --- signals ------------------------------------------------------------------------


def signalled(watched, number):
    """The calls of a process that had a signal in a read, and where that read stands."""
    container, collector = watched
    process = container.obey()
    waits(process.pid)
    process.signal(number)
    collector.told(b'"rt_sigreturn"')
    process.do("tag 5")
    process.leave()
    lines = harness.calls(collector.stop())
    at = next(i for i, line in enumerate(lines) if short(line) == ("read", EINTR))
    assert [short(line) for line in lines[at : at + 3]] == [("read", EINTR), ("rt_sigreturn", None), ("read", 1)]
    return lines, at


def test_signal_restarts_a_call(watched):
    lines, at = signalled(watched, signal.SIGUSR1)
    assert lines[at]["args"] == lines[at + 2]["args"]
    assert "args" not in lines[at + 1] and "ret" not in lines[at + 1]
    assert lines[at + 1]["nr"] == 15
    assert harness.names(lines).count("rt_sigreturn") == 1
    assert harness.tags(lines) == [5]


def test_signal_interrupts_a_call(watched):
    lines, _ = signalled(watched, signal.SIGUSR2)
    assert [short(line) for line in lines].count(("read", EINTR)) == 1


def test_restart_syscall(watched):
    """A sleep that is stopped and continued is made again by another call."""
    container, collector = watched
    process = container.obey()
    process.tell("sleep 300")
    waits(process.pid, call=harness.NANOSLEEP)
    process.signal(signal.SIGSTOP)
    harness.until(lambda: "T (stopped)" in open(f"/proc/{process.pid}/status").read(), 10, "a stopped process")
    process.signal(signal.SIGCONT)
    process.do("tag 1")
    process.leave()
    lines = harness.calls(collector.stop())
    at = harness.names(lines).index("nanosleep")
    assert [short(line) for line in lines[at : at + 2]] == [("nanosleep", EINTR), ("restart_syscall", 0)]
    assert harness.names(lines).count("nanosleep") == 1


# --- seccomp ---------------------------------------------------------------------------


def test_own_filter(watched):
    container, collector = watched
    pid = container.run("seccomp").pid
    lines = collector.stop()
    denied = [line for line in harness.calls(lines, syscall="getppid")]
    assert [(line["ret"], int(line["args"][1], 16)) for line in denied] == [(-77, SECCOMP_TAG), (denied[1]["ret"], 0)]
    assert denied[1]["ret"] == os.getpid()

    (killed,) = harness.calls(lines, syscall="getpgid")
    assert killed["tid"] != pid
    assert int(killed["args"][0], 16) == SECCOMP_TAG
    thread = calls_of(lines, killed["tid"])
    assert [short(line) for line in thread][-2:] == [("getpgid", None), ("thread_exit", None)]

    (killed,) = harness.calls(lines, syscall="getsid")
    assert killed["pid"] != pid
    process = calls_of(lines, killed["tid"])
    assert [short(line) for line in process] == [("getsid", killed["nr"]), ("thread_exit", None)]
    assert int(killed["args"][0], 16) == SECCOMP_TAG


# --- numbers -----------------------------------------------------------------------------


def test_numbers_that_no_table_has(watched):
    container, collector = watched
    container.run("numbers")
    lines = harness.calls(collector.stop())
    odd = [line for line in lines if line["syscall"].startswith("syscall_")]
    assert [line["syscall"] for line in odd] == [
        f"syscall_{nr}" for nr in (999, 511, 512, 0x40000000 + 39, 0x7FFFFFFF, 0xFFFFFFFF)
    ]
    assert [line["nr"] for line in odd] == [int(line["syscall"][8:]) for line in odd]
    assert {line["ret"] for line in odd} == {ENOSYS}
    assert [int(line["args"][0], 16) for line in odd] == list(range(len(odd)))


def test_32_bit_calls(watched):
    container, collector = watched
    container.run("i386", 20)
    container.run("i386-open")
    lines = harness.calls(collector.stop())
    narrow = [line for line in lines if line["arch"] == "i386"]
    assert [line["syscall"] for line in narrow] == ["getpid", "getppid"] * 20 + ["open"]
    assert [line["nr"] for line in narrow] == [20, 64] * 20 + [5]
    assert [int(line["args"][0], 16) for line in narrow[:40:2]] == list(range(20))
    assert narrow[-1]["path"] == "/no/such/32-bit/file"
    assert narrow[-1]["ret"] == -2


# --- a start in the middle ------------------------------------------------------------------


def test_call_in_progress_at_the_start(box, collect):
    """It is seen when it returns, and nothing that was before it."""
    container = box()
    process = container.obey(2)
    process.do("tag 1")
    process.do("all 2")
    all_wait(process)
    first, *others = harness.threads(process.pid)
    collector = collect("--container", container.id)
    process.do("all 3")
    process.do("tag 4")
    process.leave()
    lines = collector.stop()
    assert [short(line) for line in calls_of(lines, first)][0] == ("read", 1)
    for tid in others:
        assert [short(line) for line in calls_of(lines, tid)][:3] == [("read", 8), ("getppid", os.getpid()), ("write", 1)]
    assert sorted(harness.tags(harness.calls(lines))) == [3, 3, 4]
    assert {line["exe"] for line in harness.calls(lines)} == {str(container.guest)}


def test_execve_in_a_container_that_runs_already(box, collect, guest):
    container = box()
    process = container.obey(1)
    all_wait(process)
    collector = collect("--container", container.id)
    process.tell("exec 9")
    assert process.wait() == 0, process.said
    process.end()
    lines = collector.stop()
    assert harness.tags(harness.calls(lines)) == [9]
    (execve,) = harness.calls(lines, syscall="execve")
    assert execve["argv"] == "guest tag 9"
    assert execve["tid"] == process.pid
