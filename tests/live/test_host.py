# SPDX-License-Identifier: Apache-2.0
"""The host comes first: however the audit backend ends, the kernel's audit settings
and rules are as they were."""
import os
import signal
import subprocess
import time

import harness
import pytest

pytestmark = pytest.mark.audit
COMMAND = [harness.COLLECT, "--backend", "audit"]


@pytest.fixture
def noise(started):
    """A process of the host that makes calls, so that there is something to collect."""

    def start():
        return started(
            harness.Process("sh", "-c", "while :; do /bin/true; done", stdout=subprocess.DEVNULL)
        )

    return start


def restored(state, timeout=10):
    harness.until(lambda: harness.audit_state() == state, timeout, "the kernel as it was")


def changed(state):
    """The test would mean nothing if the collector had changed nothing."""
    assert harness.audit_state() != state


def test_duration(collect, kernel):
    collector = collect("--duration", "1")
    changed(kernel)
    assert collector.wait() == 0, collector.said
    restored(kernel, 0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_signals(collect, kernel, noise, number):
    noise()
    collector = collect()
    changed(kernel)
    collector.signal(number)
    assert collector.wait() == 0, collector.said
    restored(kernel, 0.1)


def test_ctrl_c_reaches_the_whole_group(collect, kernel):
    collector = collect()
    os.killpg(collector.pid, signal.SIGINT)
    assert collector.wait() == 0, collector.said
    restored(kernel, 0.1)


def test_many_signals_at_once(collect, kernel, noise):
    noise()
    collector = collect()
    for _ in range(5):
        collector.signal(signal.SIGTERM)
        collector.signal(signal.SIGINT)
    collector.wait()
    restored(kernel)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS], ids=lambda n: n.name)
def test_crash(collect, kernel, noise, number):
    noise()
    collector = collect()
    changed(kernel)
    collector.signal(number)
    assert collector.wait() != 0
    restored(kernel)


def test_killed_guardian_mends_and_says_so(collect, kernel, noise):
    noise()
    collector = collect()
    changed(kernel)
    collector.signal(signal.SIGKILL)
    collector.said_within(r"the collector died", timeout=10)
    collector.wait()
    restored(kernel, 1)


def test_killed_with_its_whole_group(collect, kernel):
    collector = collect()
    os.killpg(collector.pid, signal.SIGKILL)
    collector.wait()
    restored(kernel)


def test_killed_together_with_its_guardian_next_start_mends(collect, kernel):
    collector = collect()
    guardians = harness.children(collector.pid)
    assert guardians, "the collector has no guardian"
    for pid in [*guardians, collector.pid]:
        os.kill(pid, signal.SIGKILL)
    collector.wait()
    time.sleep(0.5)
    changed(kernel)

    following = collect("--duration", "1")
    assert "restored" in following.said
    assert following.wait() == 0, following.said
    restored(kernel, 0.1)


def test_guardian_leaves_with_its_collector(collect):
    collector = collect()
    guardians = harness.children(collector.pid)
    collector.stop()
    harness.until(lambda: not any(map(harness.alive, guardians)), 5, "the guardian's end")


def test_killed_guardian_does_not_end_the_collector(collect, kernel):
    collector = collect()
    for pid in harness.children(collector.pid):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    assert harness.alive(collector.pid)
    collector.stop()
    restored(kernel, 0.1)


def test_closed_output(kernel, docker, started):
    """As in `cosmos-collect | head`."""
    docker.start("busy", "work", 5)
    collector = started(harness.Process(*COMMAND, stdout=subprocess.PIPE))
    collector.said_within("collecting")
    assert collector.popen.stdout.readline().startswith(b"{")
    collector.popen.stdout.close()
    collector.wait()
    restored(kernel)


def test_full_disk(kernel, docker, started):
    docker.start("busy", "work", 5)
    collector = started(harness.Process(*COMMAND, "--output", "/dev/full"))
    assert collector.wait() == 2
    assert "No space left" in collector.said
    restored(kernel, 0.1)


def test_settings_and_rules_of_the_host_survive(collect, kernel):
    """A host that has its own: other limits, a rule, audit enabled."""
    try:
        harness.run("auditctl", "-b", "8192", "-f", "0", "--backlog_wait_time", "1000")
        harness.run("auditctl", "-a", "always,exit", "-F", "arch=b64", "-S", "mount", "-k", "of-the-host")
        harness.run("auditctl", "-e", "1")
        own = harness.audit_state()
        collector = collect()
        changed(own)
        assert any("of-the-host" in rule for rule in harness.audit_state()[1])
        collector.stop()
        restored(own, 0.1)
        killed = collect()
        killed.signal(signal.SIGKILL)
        killed.wait()
        restored(own)
    finally:
        harness.audit_restore(kernel)


def test_rule_added_meanwhile_stays(collect, kernel):
    """What somebody else did while we collected is not ours to undo."""
    rule = ["exit,always", "-F", "arch=b64", "-S", "mount", "-k", "of-another"]
    collector = collect()
    try:
        harness.run("auditctl", "-a", *rule)
        collector.stop()
        assert any("of-another" in line for line in harness.audit_state()[1])
    finally:
        harness.run("auditctl", "-d", *rule, check=False)
    restored(kernel, 0.1)


def test_backlog_never_waits(collect):
    collector = collect()
    status = harness.audit_status()
    assert status["backlog_wait_time"] == 0
    assert status["failure"] != 2
    assert status["enabled"] == 1
    collector.stop()


# --- the audit stream has one owner -----------------------------------------------


@pytest.fixture
def auditd(started, tmp_path):
    """The real one, with a configuration of its own."""
    if not harness.shutil.which("auditd"):
        pytest.skip("needs auditd")
    folder = tmp_path / "auditd"
    (folder / "plugins.d").mkdir(parents=True)
    folder.chmod(0o750)
    config = folder / "auditd.conf"
    config.write_text(
        f"local_events = yes\nwrite_logs = yes\nlog_file = {folder}/audit.log\nlog_group = root\n"
        f"plugin_dir = {folder}/plugins.d\nmax_log_file = 8\nnum_logs = 0\n"
        "space_left = 75\nspace_left_action = IGNORE\nadmin_space_left = 50\nadmin_space_left_action = IGNORE\n"
    )
    config.chmod(0o640)
    process = started(harness.Process("auditd", "-n", "-s", "nochange", "-c", folder))
    harness.until(lambda: harness.audit_status()["pid"] == process.pid, 10, "auditd as the owner")
    # It is the owner before it listens to signals.
    log = folder / "audit.log"
    harness.until(lambda: log.exists() and "DAEMON_START" in log.read_text(), 10, "auditd's first line")
    time.sleep(0.5)
    yield process
    process.end()
    harness.until(lambda: harness.audit_status()["pid"] == 0, 10, "auditd's end")


def test_another_owner_is_named(auditd, started):
    before = harness.audit_state()
    collector = started(harness.Process(*COMMAND, stdout=subprocess.DEVNULL))
    assert collector.wait() == 2
    assert "auditd" in collector.said
    assert str(auditd.pid) in collector.said
    assert harness.audit_state() == before
    assert harness.alive(auditd.pid)


def test_second_collector_is_refused(collect, started):
    first = collect()
    before = harness.audit_state()
    second = started(harness.Process(*COMMAND, stdout=subprocess.DEVNULL))
    assert second.wait() == 2
    assert "cosmos-collect" in second.said
    assert str(first.pid) in second.said
    assert harness.audit_state() == before
    first.stop()


def test_without_root(started):
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if harness.run(*drop, "test", "-x", harness.COLLECT, check=False).returncode != 0:
        pytest.skip(f"user 65534 can't reach {harness.COLLECT}")
    collector = started(harness.Process(*drop, *COMMAND, stdout=subprocess.DEVNULL))
    assert collector.wait() == 2
    assert "root" in collector.said
