# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the live tests. They skip, with the reason, where the machine
lacks what they need, and leave the machine as they found it."""
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import harness  # noqa: E402

LIMIT = 180  # seconds for one test


def missing():
    """Why nothing can be tested live here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if not harness.COLLECT.exists():
        return f"{harness.COLLECT} is not built"
    if not shutil.which("auditctl"):
        return "needs auditctl (package auditd)"
    status = harness.run("auditctl", "-s", check=False)
    if status.returncode != 0 or "enabled" not in status.stdout:
        return f"the kernel's audit system can't be reached: {status.stderr.strip() or status.stdout.strip()}"
    state = harness.audit_status()
    if state["enabled"] == 2:
        return "the audit configuration is locked until the next boot (enabled 2)"
    if state["pid"] != 0:
        return "another process owns the audit stream"
    return None


def pytest_collection_modifyitems(items):
    reason = missing()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def kernel_at_first():
    """The audit state that all tests together must leave."""
    if missing():
        yield None
        return
    state = harness.audit_state()
    yield state
    harness.audit_restore(state)


@pytest.fixture(autouse=True)
def kernel(kernel_at_first):
    """Each test must leave the kernel as it was; if not, it fails and that is mended."""
    state = harness.audit_state()
    yield state
    try:
        now = harness.audit_state()
        assert now == state, "the test left the kernel's audit settings changed"
    finally:
        harness.audit_restore(state)


@pytest.fixture(autouse=True)
def bounded():
    def late(_number, _frame):
        raise TimeoutError(f"the test took more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def started():
    """started(process): it is ended with the test, however that goes."""
    processes = []

    def start(process):
        processes.append(process)
        return process

    yield start
    for process in reversed(processes):
        process.end()


@pytest.fixture
def collect(started, tmp_path):
    """collect(ARGUMENT...): a collector that is ready."""
    count = 0

    def start(*arguments, **options):
        nonlocal count
        count += 1
        return started(harness.Collector(tmp_path / f"trace{count}.jsonl", *arguments, **options))

    return start


@pytest.fixture(scope="session")
def daemon(tmp_path_factory):
    for tool in ("dockerd", "docker", "cc"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    try:
        docker = harness.Docker(tmp_path_factory.mktemp("docker"))
    except RuntimeError as error:
        pytest.skip(f"Docker does not start here: {error}")
    yield docker
    docker.close()


@pytest.fixture
def docker(daemon):
    """The daemon without any container."""
    yield daemon
    names = daemon("ps", "-aq").split()
    if names:
        daemon.remove(*names)
