# SPDX-License-Identifier: Apache-2.0
"""Both backends on the same container at the same time see the same calls, but for
what docs/bpf.md says they do not."""
import collections
import signal

import harness
import pytest

pytestmark = pytest.mark.audit


@pytest.fixture
def both(started, tmp_path):
    """both(CONTAINER): a collector of each backend; stop() gives their calls."""
    reason = harness.missing_bpf()
    if reason:
        pytest.skip(reason)

    class Both:
        def __init__(self, *arguments):
            self._pair = [
                started(harness.Collector(tmp_path / f"{backend}.jsonl", *arguments, backend=backend))
                for backend in ("bpf", "audit")
            ]

        def stop(self):
            traces = [collector.stop() for collector in self._pair]
            assert [harness.typed(lines, "loss") for lines in traces] == [[], []]
            return [harness.calls(lines) for lines in traces]

    return Both


def multiset(lines):
    return collections.Counter((line["pid"], line["syscall"], line.get("ret")) for line in lines)


def by_process(lines):
    found = collections.defaultdict(list)
    for line in lines:
        found[line["pid"]].append((line["syscall"], line.get("ret")))
    return found


def check(bpf, audit):
    assert multiset(bpf) - multiset(audit) == collections.Counter()
    assert multiset(audit) - multiset(bpf) == collections.Counter()
    threads = collections.defaultdict(set)
    for line in bpf:
        threads[line["pid"]].add(line["tid"])
    single = {pid for pid, tids in threads.items() if len(tids) == 1}
    of_bpf, of_audit = by_process(bpf), by_process(audit)
    for pid in single:
        assert of_bpf[pid] == of_audit[pid], pid


@pytest.mark.parametrize(
    "command",
    [
        ("exact", 2026),
        ("threads", 2026, 4),
        ("forks", 200),
        ("i386", 50),
        ("opens", "/etc/hostname", "/no/such"),
        ("accepts",),
    ],
    ids=lambda command: command[0],
)
def test_the_same_calls(box, both, command):
    container = box()
    pair = both("--container", container.id)
    container.run(*command)
    check(*pair.stop())


def test_the_same_programs(box, both, guest, tmp_path):
    container = box()
    pair = both("--container", container.id)
    container.run("spawns", 50, guest)
    container.run("execs", 20, guest)
    check(*pair.stop())


def test_the_same_signals(box, both):
    container = box()
    pair = both("--container", container.id)
    process = container.obey()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        harness.until(lambda: harness.blocked_in(process.pid) == harness.READ, 10, "a read")
        process.signal(number)
    process.do("tag 5")
    process.leave()
    check(*pair.stop())


def test_what_seccomp_denies_is_seen_by_bpf_only(box, both):
    container = box()
    pair = both("--container", container.id)
    container.run("seccomp")
    bpf, audit = pair.stop()
    only = multiset(bpf) - multiset(audit)
    assert multiset(audit) - multiset(bpf) == collections.Counter()
    assert {name for _, name, _ in only} == {"getppid", "getpgid", "getsid"}


def test_numbers_that_no_rule_can_name_are_seen_by_bpf_only(box, both):
    """A rule of audit has a bit for each call below 2,048."""
    container = box()
    pair = both("--container", container.id)
    container.run("numbers")
    bpf, audit = pair.stop()
    check([line for line in bpf if line["nr"] < 2048], audit)
    assert {line["nr"] for line in bpf if line["nr"] >= 2048} == {0x40000000 + 39, 0x7FFFFFFF, 0xFFFFFFFF}


def test_a_real_container(docker, both):
    pair = both("--container", "agreed")
    docker.run("agreed", "exact", 2026)
    check(*pair.stop())
