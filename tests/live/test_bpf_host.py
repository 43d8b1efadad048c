# SPDX-License-Identifier: Apache-2.0
"""The bpf backend and the host: what it needs, what it leaves behind (nothing), and that
any number of collectors run beside each other, and never watch themselves."""
import json
import os
import shutil
import signal
import subprocess
import time

import harness
import pytest

pytestmark = pytest.mark.bpf

COMMAND = [harness.COLLECT, "--backend", "bpf"]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
RSS_GROWTH = 16 * 1024  # KiB


def programs():
    """Ids of the programs of all collectors."""
    listed = json.loads(harness.run("bpftool", "--json", "prog", "show").stdout)
    return {program["id"] for program in listed if program.get("name", "").startswith("cosmos_")}


@pytest.fixture
def bpftool():
    if not shutil.which("bpftool"):
        pytest.skip("needs bpftool")


# --- nothing stays ------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV], ids=lambda n: n.name)
def test_no_program_stays(bpftool, box, collect, number):
    container = box()
    before = programs()
    collector = collect("--container", container.id)
    container.run("brief", 10)
    own = programs() - before
    assert len(own) >= 6
    collector.signal(number)
    code = collector.wait()
    if number == signal.SIGSEGV and "COSMOS_SANITIZED" in os.environ:
        assert code == 1  # AddressSanitizer reports it
    else:
        assert code == (0 if number in (signal.SIGINT, signal.SIGTERM) else -number)
    harness.until(lambda: not programs() & own, 10, "the end of its programs")


def test_no_guardian_is_needed(collect):
    """Nothing is changed that would have to be restored."""
    collector = collect()
    assert harness.children(collector.pid) == []


def test_duration(collect):
    collector = collect("--duration", "0.5")
    assert collector.wait() == 0, collector.said
    seen, delivered, lost = collector.seen()
    assert seen == delivered + lost


def test_closed_output(docker, started):
    """As in `cosmos-collect | head`."""
    docker.start("busy", "work", 5)
    collector = started(harness.Process(*COMMAND, stdout=subprocess.PIPE))
    collector.said_within("collecting")
    assert collector.popen.stdout.readline().startswith(b"{")
    collector.popen.stdout.close()
    assert collector.wait() == 0, collector.said


def test_full_disk(docker, started):
    docker.start("busy", "work", 5)
    collector = started(harness.Process(*COMMAND, "--output", "/dev/full"))
    assert collector.wait() == 2
    assert "No space left" in collector.said


# --- beside each other ------------------------------------------------------------------


def comparable(line):
    return {name: value for name, value in line.items() if name not in ("seq", "timestamp")}


def test_two_collectors_say_the_same(docker, collect):
    """Thread by thread; between threads the returns of two cpus may be told in either order."""
    collectors = [collect("--container", "watched") for _ in range(2)]
    container = docker.run("watched", "exact", 5)
    docker.remove("watched")
    threads = [harness.by_thread(collector.stop()) for collector in collectors]
    assert threads[0].keys() == threads[1].keys()
    assert len(threads[0]) == 4
    for key, of_first in threads[0].items():
        assert list(map(comparable, of_first)) == list(map(comparable, threads[1][key]))
        assert {line["container_id"] for line in of_first} == {container}
    assert [collector.seen()[0] for collector in collectors] == [collectors[0].seen()[0]] * 2


def test_one_that_ends_leaves_the_other(box, collect):
    container = box()
    first, second = (collect("--container", container.id) for _ in range(2))
    process = container.obey()
    process.do("tag 1")
    first.signal(signal.SIGKILL)
    first.wait()
    process.do("tag 2")
    process.leave()
    assert harness.tags(harness.calls(second.stop())) == [1, 2]


def test_collector_in_a_container_does_not_watch_itself(box, started, tmp_path):
    container = box()
    output = tmp_path / "trace.jsonl"
    collector = started(
        harness.Collector(output, "--container", container.id, backend="bpf", prefix=container.enter())
    )
    container.run("tag", 1)
    lines = collector.stop()
    assert harness.tags(harness.calls(lines)) == [1]
    assert collector.pid not in {line.get("pid") for line in lines}


def test_collector_in_a_container_is_watched_by_another(box, collect, started, tmp_path):
    container = box()
    outer = collect("--container", container.id)
    inner = started(
        harness.Collector(
            tmp_path / "inner.jsonl", "--container", container.id, backend="bpf", prefix=container.enter()
        )
    )
    container.run("tag", 1)
    inner.stop()
    lines = harness.calls(outer.stop())
    # The sanitizers make calls of their own, in processes of their own.
    assert harness.tags([line for line in lines if line["exe"] == str(container.guest)]) == [1]
    assert harness.calls(lines, pid=inner.pid, syscall="bpf")


# --- what it needs --------------------------------------------------------------------------


def reachable():
    if harness.run(*NOBODY, "test", "-x", harness.COLLECT, check=False).returncode != 0:
        pytest.skip(f"user 65534 can't reach {harness.COLLECT}")


def test_two_capabilities_will_do(box, started):
    reachable()
    container = box()
    able = [*NOBODY, "--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon"]
    collector = started(harness.Process(*able, *COMMAND, "--container", container.id, stdout=subprocess.PIPE))
    collector.said_within("^cosmos-collect: collecting")
    assert os.stat(f"/proc/{collector.pid}").st_uid in (0, 65534)
    process = container.obey(2)
    process.do("all 1")
    process.do("tag 2")
    process.leave()
    collector.signal(signal.SIGINT)
    lines = [json.loads(line) for line in collector.popen.stdout]
    assert collector.wait() == 0, collector.said
    assert harness.tags(harness.calls(lines, container_id=container.id)) == [1, 1, 2]
    assert harness.calls(lines)[0]["syscall"] == "execve"
    assert {line["exe"] for line in harness.calls(lines)} == {str(container.guest)}


@pytest.mark.parametrize("only", ["none", "bpf", "perfmon"])
def test_less_is_too_little(started, only):
    reachable()
    drop = [*NOBODY, "--bounding-set=-all"] if only == "none" else [*NOBODY, f"--inh-caps=+{only}", f"--ambient-caps=+{only}"]
    collector = started(harness.Process(*drop, *COMMAND, stdout=subprocess.DEVNULL))
    assert collector.wait() == 2
    assert "needs root, or CAP_BPF and CAP_PERFMON" in collector.said


def test_kernel_that_does_not_describe_its_types(started):
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh"]
    collector = started(harness.Process(*hide, *COMMAND, stdout=subprocess.DEVNULL))
    assert collector.wait() == 2
    assert "/sys/kernel/btf/vmlinux" in collector.said
    assert "does not describe its types" in collector.said


def test_another_pid_namespace(started):
    collector = started(harness.Process("unshare", "--pid", "--fork", *COMMAND, stdout=subprocess.DEVNULL))
    assert collector.wait() == 2
    assert "pid namespace" in collector.said
    assert "--pid=host" in collector.said


def test_file_that_cannot_be_made_is_named(started):
    collector = started(harness.Process(*COMMAND, "--output", "/no/such/folder/trace"))
    assert collector.wait() == 2
    assert "/no/such/folder/trace" in collector.said


@pytest.mark.parametrize("options", [["--with", "nothing"], ["--without", "nothing"], ["--with", "path", "--without", "text"]])
def test_options_that_make_no_sense(started, options):
    collector = started(harness.Process(*COMMAND, *options, stdout=subprocess.DEVNULL))
    assert collector.wait() == 2
    assert "collecting" not in collector.said


# --- memory ------------------------------------------------------------------------------------


def test_memory_stays(box, collect):
    """500,000 events, then 100 containers with 800 threads each that come and go."""
    collector = collect()
    container = box()
    process = container.obey(2, what="flood")
    process.do(1000)
    collector.drained()
    before = collector.rss_kib()
    for _ in range(10):
        process.do(25_000)
        collector.drained()
    after_events = collector.rss_kib()
    for _ in range(100):
        brief = box()
        brief.run("brief", 10)
        brief.close()
    collector.drained()
    after = collector.rss_kib()
    collector.stop()
    # A ring's pages count when they are touched: 16 MiB, once.
    limit = 16 * 1024 + RSS_GROWTH
    assert after_events - before < limit and after - after_events < RSS_GROWTH, (before, after_events, after)


# --- a stop is quick -----------------------------------------------------------------------------


def test_quiet_collector_stops_at_once(collect):
    collector = collect()
    start = time.monotonic()
    collector.stop()
    assert time.monotonic() - start < 5
