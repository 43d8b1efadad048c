# SPDX-License-Identifier: Apache-2.0
"""The bpf backend knows a container from its first call to its last: which cgroups are
containers, where a container begins, and who belongs to it."""
import os
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor

import harness
import pytest

pytestmark = pytest.mark.bpf

EPERM = -1
BRIEF_FOR_EVER = 1_000_000  # rounds of guest.c's


def lines_of(lines, container):
    return [line for line in lines if line.get("container_id") == container]


def is_whole(lines, command):
    """A container's trace: the execve of its program, one tagged call, its end."""
    calls = harness.calls(lines)
    assert harness.names(calls)[0] == "execve"
    assert calls[0]["argv"] == command
    assert calls[0]["ret"] == 0
    assert harness.names(calls).count("execve") == 1
    assert {os.path.basename(line["exe"]) for line in calls} == {os.path.basename(command.split()[0])}
    assert harness.names(calls)[-1] == "exit_group"
    assert len({line["pid"] for line in calls}) == 1


# --- short lives ------------------------------------------------------------------


def test_200_short_containers(runc, collect):
    """Of the runtime that Docker uses; two at a time, milliseconds each."""
    collector = collect()
    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(lambda tag: runc.run("tag", tag), range(200)))
    lines = collector.stop()
    assert len(set(ids)) == 200
    by_id = {}
    for line in lines:
        by_id.setdefault(line.get("container_id"), []).append(line)
    for tag, container in enumerate(ids):
        own = by_id[container]
        is_whole(own, f"/guest tag {tag}")
        assert harness.tags(own) == [tag]
        types = [line["type"] for line in own if "type" in line]
        assert types == ["container_start", "thread_exit", "container_stop"]
        assert own[0]["type"] == "container_start" and own[-1]["type"] == "container_stop"
    assert harness.typed(lines, "loss") == []


@pytest.mark.skipif("COSMOS_SANITIZED" in os.environ, reason="the sanitizers make the collector too slow")
def test_short_docker_containers_have_their_names(docker, collect):
    collector = collect()
    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(lambda tag: docker.run(f"named-{tag}", "tag", tag), range(20)))
    lines = collector.stop()
    for tag, container in enumerate(ids):
        own = lines_of(lines, container)
        is_whole(own, f"/guest tag {tag}")
        assert harness.tags(own) == [tag]
        assert {line["container_name"] for line in own} == {f"named-{tag}"}
        assert {line["image"] for line in own} == {docker.IMAGE}


def test_container_that_is_restarted(docker, collect):
    """Its second life is told like its first."""
    collector = collect("--container", "again")
    container = docker.run("again", "tag", 7)
    docker("start", "again")
    docker("wait", "again")
    lines = lines_of(collector.stop(), container)
    assert [line["type"] for line in lines if "type" in line] == [
        "container_start",
        "thread_exit",
        "container_stop",
    ] * 2
    assert harness.tags(lines) == [7, 7]
    assert harness.names(harness.calls(lines)).count("execve") == 2


# --- which cgroups are containers ------------------------------------------------------

NAMES = {
    "{}": True,
    "docker-{}.scope": True,
    "cri-containerd-{}.scope": True,
    "kubepods-pod1.slice:cri-containerd:{}": True,
    "libpod-{}.scope/container": True,
    "kubepods/burstable/pod1/{}/a/b/c/d": True,
    "libpod-conmon-{}.scope": False,
    "x{}": False,
    "{}x": False,
    "-{}": False,
    "{0:.63}": False,
}


@pytest.mark.parametrize("name", NAMES)
def test_name_of_a_cgroup(box, collect, name):
    container = box(name)
    collector = collect()
    pid = container.run("tag", 5).pid
    lines = [line for line in collector.stop() if line.get("pid") == pid]
    assert {line["container_id"] for line in lines} == ({container.id} if NAMES[name] else set())
    assert harness.tags(lines) == ([5] if NAMES[name] else [])


def test_outermost_cgroup_is_the_container(box, collect):
    """A container may make cgroups of any name below its own."""
    outer = secrets.token_hex(32)
    inner = box(f"{outer}/{{}}")
    collector = collect("--container", outer)
    pid = inner.run("tag", 5).pid
    lines = collector.stop()
    assert {line["container_id"] for line in lines if line.get("pid") == pid} == {outer}
    assert harness.tags(harness.calls(lines)) == [5]


def test_cgroup_of_the_first_version(box, collect):
    older = [path for path in harness.hierarchies() if path.name == "pids"]
    if not older:
        pytest.skip("this host has no cgroups v1")
    container = box(hierarchy=older[0])
    collector = collect("--container", container.id)
    container.run("tag", 5)
    lines = collector.stop()
    assert harness.tags(harness.calls(lines, container_id=container.id)) == [5]


def test_same_id_again(box, collect):
    """A cgroup that is removed and made anew: two lives."""
    container = box()
    collector = collect("--container", container.id)
    for tag in (1, 2):
        container.run("tag", tag)
        container.remove()
        container.make()
    lines = lines_of(collector.stop(), container.id)
    assert [line["type"] for line in lines if "type" in line] == [
        "container_start",
        "thread_exit",
        "container_stop",
    ] * 2
    assert harness.tags(lines) == [1, 2]


# --- where a container begins --------------------------------------------------------------


def test_what_enters_from_outside_is_passed_over(box, collect):
    """The shell of Box.enter() makes calls inside before it executes the program."""
    container = box()
    collector = collect("--container", container.id)
    container.run("tag", 5)
    lines = lines_of(collector.stop(), container.id)
    is_whole(lines, f"{container.guest} tag 5")


def test_children_of_what_enters(box, collect, started):
    """They begin with their own programs, too."""
    container = box()
    collector = collect("--container", container.id)
    script = 'echo $$ >"$0/cgroup.procs"; "$1" tag 1; (: ; "$1" tag 2); exec "$1" tag 3'
    process = started(harness.Process("sh", "-c", script, container.folder, container.guest))
    assert process.wait() == 0, process.said
    lines = lines_of(collector.stop(), container.id)
    threads = harness.by_thread(lines)
    assert harness.tags(lines) == [1, 2, 3]
    assert len(threads) == 3
    for tag, thread in enumerate(threads.values(), 1):
        is_whole(thread, f"{container.guest} tag {tag}")


def test_program_that_is_called_like_a_runtime(runc, collect):
    """In a mount namespace of its own it is the container's, whatever its name."""
    collector = collect()
    container = runc.run("tag", 6, program="/runc")
    lines = lines_of(collector.stop(), container)
    is_whole(lines, "/runc tag 6")
    assert harness.tags(lines) == [6]


def test_docker_exec(docker, collect, started):
    """Which it begins with the command's own execve."""
    container = docker.start("commanded", "work", 1000)
    collector = collect("--container", "commanded")
    for tag in range(100, 110):
        docker("exec", "commanded", "/guest", "tag", tag)
    lines = lines_of(collector.stop(), container)
    commands = [t for t in harness.by_thread(lines).values() if harness.names(t)[0] == "execve"]
    assert [thread[0]["argv"] for thread in commands] == [f"/guest tag {tag}" for tag in range(100, 110)]
    for thread in commands:
        is_whole(thread, thread[0]["argv"])
    others = [t for t in harness.by_thread(lines).values() if harness.names(t)[0] != "execve"]
    assert len(others) == 1  # the container's own
    assert {line["exe"] for line in harness.calls(others[0])} == {"/guest"}


def test_calls_that_dockers_filter_denies(docker, collect):
    collector = collect("--container", "forbidden")
    docker.run("forbidden", "forbidden")
    lines = harness.calls(collector.stop())
    denied = [line for line in lines if line["syscall"] in ("keyctl", "unshare", "mount")]
    assert [(line["syscall"], line["ret"]) for line in denied] == [
        ("keyctl", EPERM),
        ("unshare", EPERM),
        ("mount", EPERM),
    ]
    assert denied[2]["path"] == "/"
    assert harness.tags(lines) == [1]


# --- who belongs to it ------------------------------------------------------------------------


def leave(box, pid):
    (box.hierarchy / "cgroup.procs").write_text(str(pid))


def test_member_that_leaves_stays(box, collect):
    container = box()
    collector = collect("--container", container.id)
    process = container.obey(2)
    process.do("tag 1")
    leave(container, process.pid)
    process.do("tag 2")
    process.do("fork 3")
    process.do("all 4")
    process.leave()
    lines = lines_of(collector.stop(), container.id)
    assert harness.tags(lines) == [1, 2, 3, 4, 4]
    assert len({line["pid"] for line in harness.calls(lines)}) == 2


def test_member_that_left_before_the_start(box, collect):
    """Nobody can know: it is none."""
    container = box()
    process = container.obey()
    leave(container, process.pid)
    collector = collect("--container", container.id)
    process.do("tag 1")
    process.leave()
    assert lines_of(collector.stop(), container.id) == []


def test_member_that_outlives_its_cgroup(box, collect):
    """Its cgroup is removed behind it: it stays the container's."""
    container = box()
    collector = collect("--container", container.id)
    process = container.obey()
    process.do("tag 1")
    leave(container, process.pid)
    container.remove()
    process.do("tag 2")
    process.do("fork 3")
    process.leave()
    lines = collector.stop()
    assert harness.tags(lines_of(lines, container.id)) == [1, 2, 3]
    assert {line["container_id"] for line in harness.calls(lines)} == {container.id}
    # It stops when its last thread is gone, and once.
    types = [line["type"] for line in lines_of(lines, container.id) if "type" in line]
    assert types == ["container_start", "thread_exit", "thread_exit", "container_stop"]


def test_zombie_at_the_start_holds_no_container(box, collect):
    """A process that has ended already, and that nobody has waited for: it will not end once more."""
    container = box()
    process = container.obey()
    process.do("zombie")
    collector = collect("--container", container.id)
    process.do("tag 1")
    process.leave()
    container.remove()
    lines = lines_of(collector.stop(), container.id)
    assert harness.tags(lines) == [1]
    assert lines[-1]["type"] == "container_stop"


def test_process_of_many_threads_that_is_put_in(box, collect, guest, started):
    """All of its threads are passed over until one executes a program."""
    container = box()
    collector = collect("--container", container.id)
    process = started(harness.Obedient(guest, "obey", 3))
    process.do("all 1")
    container.add(process.pid)
    process.do("tag 2")
    process.do("all 3")
    process.do("all 4")
    process.tell("exec 5")
    assert process.wait() == 0, process.said
    lines = lines_of(collector.stop(), container.id)
    is_whole(lines, "guest tag 5")
    assert harness.tags(lines) == [5]


def test_many_threads_that_run_already(box, collect):
    container = box()
    process = container.obey(20)
    collector = collect("--container", container.id)
    process.do("all 1")
    process.do("tag 2")
    process.leave()
    lines = lines_of(collector.stop(), container.id)
    assert harness.tags(lines) == [1] * 20 + [2]
    assert len(harness.by_thread(lines)) == 21


def test_threads_that_begin_while_the_collector_starts(box, collect, started):
    """What the look at all tasks does not see, the fork tells."""
    container = box()
    process = started(container.start("brief", BRIEF_FOR_EVER))
    collector = collect("--container", container.id)
    collector.told(b'"thread_exit"', times=1000)
    process.signal(signal.SIGKILL)
    process.wait()
    lines = lines_of(collector.stop(), container.id)
    found = {}
    for thread in harness.by_thread(lines).values():
        made = [line for line in thread if line.get("syscall") == "getppid"]
        if made:
            found[int(made[0]["args"][1], 16)] = harness.tags(made)
    # From the second group of eight on each is there, and whole; but for the last, which was killed.
    numbers = range(min(found) // 8 * 8 + 16, max(found) // 8 * 8)
    assert len(numbers) > 100
    assert {n: found.get(n) for n in numbers} == {n: list(range(10)) for n in numbers}
