# SPDX-License-Identifier: Apache-2.0
"""What is lost is told: how much, of which thread, and where in its sequence. The
collector is stopped under load, so that the ring overflows for sure."""
import collections
import os
import re
import signal
import subprocess

import harness
import pytest

pytestmark = pytest.mark.bpf

MANY = 100_000  # calls of a thread: three of them are more than a ring holds
GETPPID, READ, WRITE, EXIT = "getppid", "read", "write", "exit"


def number(line):
    """The number of a call of a thread of `guest flood`: it stands in a register that the call does
    not use. None: it has none."""
    at = {GETPPID: 0, READ: 3, WRITE: 3, EXIT: 3}.get(line.get("syscall"))
    return None if at is None else int(line["args"][at], 16)


def is_thread_line(line):
    return "tid" in line and line.get("type") in (None, "thread_exit", "loss")


def by_thread(lines):
    """As harness.by_thread(), with the losses."""
    found = collections.defaultdict(list)
    for line in filter(is_thread_line, lines):
        found[line["tid"], line["thread_start"]].append(line)
    return found


def losses(lines):
    return sum(line["count"] for line in lines if line.get("type") == "loss")


def check_sum(collector, lines):
    """seen = delivered + lost, in words and in the trace; something was lost. What was lost."""
    seen, delivered, lost = collector.seen()
    assert seen == delivered + lost
    assert lost > 0
    assert delivered == len(harness.calls(lines)) + len(harness.typed(lines, "thread_exit"))
    told = harness.typed(lines, "loss")
    assert {line["kind"] for line in told} == {"kernel_lost"}
    assert all("pid" in line and "tid" in line and "container_id" in line for line in told)
    assert losses(lines) == lost
    return lost


def check_jumps(thread):
    """The numbers of a thread's calls follow each other, but for what its losses say, exactly.
    Numbers begin with the first read."""
    following, missing = None, 0
    for line in thread:
        if line.get("type") == "loss":
            missing += line["count"]
        elif line.get("type") is None and (following is not None or line["syscall"] == READ):
            if following is not None:
                assert number(line) == following + missing, f"after {missing} lost: {line}"
            elif missing == 0:
                assert number(line) == 0
            following, missing = number(line) + 1, 0


def total(thread):
    """What a thread did, told or lost."""
    return losses(thread) + sum(line.get("type") in (None, "thread_exit") for line in thread)


def flood_threads(lines, process):
    return [t for (tid, _), t in by_thread(lines).items() if t[0]["pid"] == process.pid != tid]


def test_losses_are_told_by_thread(box, collect):
    loud, quiet = box(), box()
    collector = collect("--container", loud.id, "--container", quiet.id)
    bystander = quiet.obey(1)
    whole, ending, silent = (loud.obey(n, what="flood") for n in (1, 3, 2))
    bystander.do("all 1")
    for process in (whole, ending, silent):
        process.do(100)
    whole.do(-1)
    collector.drained()

    collector.signal(signal.SIGSTOP)
    ending.do(MANY)
    collector.signal(signal.SIGCONT)
    collector.drained()
    ending.do(100)
    bystander.do("all 2")
    collector.drained()

    # Threads that end, others that begin and end, and others that say nothing more, all while there is no room.
    collector.signal(signal.SIGSTOP)
    silent.do(MANY)
    silent.do(MANY)
    ending.do(100)
    ending.do(-1)
    loud.run("brief", 20)
    collector.signal(signal.SIGCONT)
    collector.drained()
    bystander.do("all 3")
    lines = collector.stop()

    check_sum(collector, lines)
    # A thread that was never stopped at says what is no numbered call: libc's, before and behind.
    (plain,) = flood_threads(lines, whole)
    assert losses(plain) == 0 and harness.names(plain)[-2:] == [EXIT, "thread_exit"]
    numbered = 1 + 100 + 1 + 1 + 1 + 1  # read, calls, write, read, write, exit
    besides = total(plain) - numbered
    assert [number(line) for line in plain if number(line) is not None][-numbered:] == list(range(numbered))

    threads = flood_threads(lines, ending)
    assert len(threads) == 3
    for thread in threads:
        check_jumps(thread)
        assert total(thread) == besides + 3 * 102 + (MANY + 2) + 3
        assert len(harness.typed(thread, "loss")) >= 1
    # The first loss stands before the thread's next call, not at its end.
    assert any("type" not in line for thread in threads for line in thread[harness.names(thread).index("loss") :])

    threads = flood_threads(lines, silent)
    assert len(threads) == 2
    for thread in threads:
        check_jumps(thread)
        # All but the end: it waits in a read.
        assert total(thread) == besides - 1 + 102 + 2 * (MANY + 2)
    assert any(thread[-1].get("type") == "loss" for thread in threads)

    mine = [line for line in lines if line.get("container_id") == quiet.id]
    assert harness.typed(mine, "loss") == []
    assert harness.tags(mine) == [1, 2, 3]


def test_ends_are_lost_too(box, collect):
    """Threads of which the ring never heard: what each has lost is told all the same."""
    container = box()
    collector = collect("--container", container.id)
    filling = container.obey(3, what="flood")
    filling.do(1)
    collector.drained()
    collector.signal(signal.SIGSTOP)
    filling.do(MANY)
    brief = container.run("brief", 100)
    collector.signal(signal.SIGCONT)
    collector.drained()
    lines = collector.stop()

    check_sum(collector, lines)
    threads = {key: t for key, t in by_thread(lines).items() if t[0]["pid"] == brief.pid}
    others = [thread for (tid, _), thread in threads.items() if tid != brief.pid]
    assert len(others) == 800
    assert {total(thread) for thread in others} == {total(others[0])}
    assert all(harness.names(thread) == ["loss"] for thread in others)
    assert all(losses(thread) == total(thread) > 10 for thread in others)


def test_more_ends_than_are_kept(box, collect):
    """Then nobody knows whose they were: everything may have been hit."""
    container = box()
    collector = collect("--container", container.id)
    filling = container.obey(3, what="flood")
    collector.signal(signal.SIGSTOP)
    filling.do(MANY)
    container.run("brief", 8500 // 8)
    collector.signal(signal.SIGCONT)
    collector.drained()
    lines = collector.stop()
    seen, delivered, lost = collector.seen()
    assert seen == delivered + lost
    told = harness.typed(lines, "loss")
    assert [line for line in told if "pid" not in line and "container_id" not in line]
    assert sum(line["count"] for line in told if "pid" in line) < lost
    for thread in flood_threads(lines, filling):
        check_jumps(thread)


def test_reader_that_does_not_read(box, started):
    """`cosmos-collect | something slow`: the pipe is full, then the ring."""
    container = box()
    command = [harness.COLLECT, "--backend", "bpf", "--container", container.id]
    collector = started(harness.Process(*command, stdout=subprocess.PIPE))
    collector.said_within("^cosmos-collect: collecting")
    process = container.obey(4, what="flood")
    process.do(MANY)
    collector.signal(signal.SIGINT)
    lines = [harness.json.loads(line) for line in collector.popen.stdout]
    assert collector.wait() == 0, collector.said

    seen, delivered, lost = (int(n) for n in re.search(r"seen (\d+) = delivered (\d+) \+ lost (\d+)", collector.said).groups())
    assert seen == delivered + lost and lost > 0
    assert losses(lines) == lost
    assert delivered == len(harness.calls(lines)) + len(harness.typed(lines, "thread_exit"))
    threads = flood_threads(lines, process)
    assert len(threads) == 4
    for thread in threads:
        check_jumps(thread)
    assert len({total(thread) for thread in threads}) == 1


def test_losses_of_forks_and_programs(box, collect, guest):
    """What is lost of processes: sums hold, and the programs that are told are right."""
    container = box()
    collector = collect("--container", container.id)
    filling = container.obey(3, what="flood")
    spawning = container.obey()
    collector.signal(signal.SIGSTOP)
    filling.do(MANY)
    for tag in range(50):
        spawning.do(f"fork {tag}")
    container.run("execs", 30, guest)
    collector.signal(signal.SIGCONT)
    collector.drained()
    for tag in range(100, 150):
        spawning.do(f"fork {tag}")
    lines = collector.stop()
    check_sum(collector, lines)
    for line in harness.calls(lines):
        assert line.get("exe", str(guest)) == str(guest)
    assert harness.tags(lines, 0)[-50:] == list(range(100, 150))
    told = [t for t in by_thread(lines).values() if harness.tags(t, 0) and harness.tags(t, 0)[0] >= 100]
    assert all(harness.typed(thread, "loss") == [] for thread in told)


def test_container_that_comes_and_goes_while_there_is_no_room(box, collect):
    """Its beginning and its end are told later; a new one is known all the same."""
    loud, brief, later = box(), box(), box()
    collector = collect()
    filling = loud.obey(3, what="flood")
    collector.signal(signal.SIGSTOP)
    filling.do(MANY)
    brief.run("tag", 1)
    brief.remove()
    late = later.obey()
    collector.signal(signal.SIGCONT)
    collector.drained()
    late.do("tag 2")
    collector.drained()  # its program can only be asked for while it lives
    late.leave()
    lines = collector.stop()
    seen, delivered, lost = collector.seen()
    assert seen == delivered + lost and lost > 0
    mine = harness.calls(lines, container_id=later.id)
    assert harness.tags(mine) == [2]
    assert {line["exe"] for line in mine} == {str(later.guest)}  # its execve was lost
    starts = collections.Counter(line["container_id"] for line in harness.typed(lines, "container_start"))
    stops = collections.Counter(line["container_id"] for line in harness.typed(lines, "container_stop"))
    assert starts[later.id] == 1 and starts[loud.id] == 1
    assert starts[brief.id] == stops[brief.id] <= 1
