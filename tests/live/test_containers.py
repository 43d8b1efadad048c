# SPDX-License-Identifier: Apache-2.0
"""Which container made this call: selection, starts and stops, short lives, and
containers that can only be seen in part."""
import os
import time
from concurrent.futures import ThreadPoolExecutor

import harness
import pytest

# These containers live for milliseconds: a collector that lags behind finds
# nothing in /proc any more.
needs_speed = pytest.mark.skipif("COSMOS_SANITIZED" in os.environ, reason="the sanitizers make the collector too slow")


def test_start_and_stop_lines(docker, collect):
    collector = collect()
    container = docker.run("coming-and-going", "noise", 100, 1)
    harness.until(
        lambda: b"container_stop" in collector.output.read_bytes(), 15, "the line that says that it stopped"
    )
    lines = collector.stop()
    mine = [line for line in lines if line.get("container_id") == container and line.get("type") != "thread_exit"]
    assert [line["type"] for line in mine if "type" in line] == ["container_start", "container_stop"]
    assert mine[0]["type"] == "container_start"
    assert mine[-1]["type"] == "container_stop"
    assert mine[0]["container_name"] == "coming-and-going"
    assert mine[0]["image"] == docker.IMAGE


def test_running_container_is_announced(docker, collect):
    container = docker.start("running", "work", 50)
    collector = collect()
    assert "1 container" in collector.said
    time.sleep(1)
    lines = collector.stop()
    starts = harness.typed(lines, "container_start")
    assert [line["container_id"] for line in starts] == [container]
    assert harness.calls(lines, container_id=container, syscall="getppid")


@pytest.mark.parametrize("by", ["name", "id", "prefix", "image", "image without its tag"])
def test_selection(docker, collect, by):
    identity = docker.start("wanted", "work", 20)
    docker("tag", docker.IMAGE, "cosmos-other:test")
    docker("run", "-d", "--network", "none", "--name", "unwanted", "cosmos-other:test", "/guest", "work", 20)
    selector = {
        "name": "wanted",
        "id": identity,
        "prefix": identity[:12],
        "image": docker.IMAGE,
        "image without its tag": docker.IMAGE.split(":")[0],
    }[by]
    collector = collect("--container", selector)
    time.sleep(1)
    lines = collector.stop()
    assert len(harness.calls(lines, container_id=identity)) > 20
    assert {line["container_id"] for line in lines if "container_id" in line} == {identity}


def test_two_selections(docker, collect):
    wanted = {docker.start(name, "work", 20) for name in ("one", "two")}
    docker.start("three", "work", 20)
    collector = collect("--container", "one", "--container", "two")
    time.sleep(1)
    lines = collector.stop()
    assert {line["container_id"] for line in harness.calls(lines)} == wanted


@needs_speed
def test_short_lived_containers(docker, collect):
    """50 containers of a few milliseconds each: every call goes to the right one."""
    collector = collect()
    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(lambda tag: docker.run(f"short-{tag}", "tag", tag), range(50)))
    lines = collector.stop()
    for tag, container in enumerate(ids):
        own = harness.calls(lines, container_id=container)
        assert [line["exe"] for line in own if line["syscall"] == "execve"] == ["/guest"]
        assert [int(line["args"][0], 16) for line in own if line["syscall"] == "getppid"] == [tag]
        assert {line["container_name"] for line in own} == {f"short-{tag}"}
    assert {line["container_id"] for line in harness.calls(lines)} == set(ids)


def test_short_lived_commands(docker, collect):
    """docker exec, 20 times: each command is its container's."""
    container = docker.start("host-of-commands", "work", 100)
    collector = collect()
    for tag in range(1000, 1020):
        docker("exec", "host-of-commands", "/guest", "tag", tag)
    lines = harness.calls(collector.stop())
    assert {line["container_id"] for line in lines} == {container}
    tags = [int(line["args"][0], 16) for line in lines if line["syscall"] == "getppid"]
    assert [tag for tag in tags if tag >= 1000] == list(range(1000, 1020))
    execs = [line for line in lines if line["syscall"] == "execve" and line["exe"] == "/guest"]
    assert len(execs) == 20
    assert all("tag" in line["argv"] for line in execs if "argv" in line)


def test_32_bit_calls_have_their_own_names(docker, collect):
    count = 50
    container = docker.start("i386", "i386", count)
    code = docker("wait", "i386")
    if code == "77":
        pytest.skip("this kernel has no 32-bit calls")
    docker.remove("i386")
    collector = collect()
    container = docker.run("i386", "i386", count)
    lines = harness.calls(collector.stop(), container_id=container)
    names = [line["syscall"] for line in lines if line["arch"] == "i386"]
    assert names == ["getpid", "getppid"] * count
    assert {line["arch"] for line in lines} == {"x86_64", "i386"}
    assert not any(line["syscall"] in ("writev", "semget") for line in lines)


@pytest.mark.audit
def test_container_that_audit_does_not_see_is_named(docker, collect):
    """A process born under `never,task`, like one born before audit was first
    enabled, has no audit context: its container must be called partial."""
    harness.run("auditctl", "-a", "never,task")
    try:
        container = docker.start("partial", "work", 20)
    finally:
        harness.run("auditctl", "-d", "never,task")
    whole = docker.start("whole", "work", 20)
    collector = collect()
    collector.said_within(r"partial", timeout=30)
    lines = collector.stop()
    losses = harness.typed(lines, "loss")
    assert losses
    assert {line["kind"] for line in losses} == {"unaudited"}
    assert {line["container_id"] for line in losses} == {container}
    assert harness.calls(lines, container_id=whole)
    assert harness.calls(lines, container_id=container) == []


def test_name_with_nothing_behind_it(docker, collect):
    """A container that does not run yet may be waited for; that is said."""
    docker.start("other", "work", 20)
    collector = collect("--container", "not-there-yet")
    assert "0 containers" in collector.said
    container = docker.run("not-there-yet", "tag", 3)
    lines = collector.stop()
    assert {line["container_id"] for line in harness.calls(lines)} == {container}
