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


MISSING = {"bpf": harness.missing_bpf, "audit": harness.missing_audit}


def pytest_configure(config):
    for backend in harness.BACKENDS:
        config.addinivalue_line("markers", f"{backend}: needs what the {backend} backend needs")


def pytest_generate_tests(metafunc):
    """A test is run with the backend that its marks name, else with each."""
    if "backend" in metafunc.fixturenames:
        marked = [name for name in harness.BACKENDS if metafunc.definition.get_closest_marker(name)]
        metafunc.parametrize(
            "backend",
            [pytest.param(name, marks=getattr(pytest.mark, name)) for name in marked or harness.BACKENDS],
        )


def pytest_collection_modifyitems(items):
    anything = harness.missing()
    reasons = {} if anything else {backend: missing() for backend, missing in MISSING.items()}
    for item in items:
        for reason in [anything, *(reasons.get(mark.name) for mark in item.iter_markers())]:
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def kernel_at_first():
    """The audit state that all tests together must leave; None where audit is not here."""
    if harness.missing():
        yield None
        return
    state = harness.audit_state()
    yield state
    harness.audit_restore(state)


@pytest.fixture(autouse=True)
def kernel(kernel_at_first):
    """Each test must leave the kernel as it was; if not, it fails and that is mended."""
    state = kernel_at_first and harness.audit_state()
    yield state
    try:
        now = kernel_at_first and harness.audit_state()
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
def collect(started, tmp_path, backend):
    """collect(ARGUMENT...): a collector that is ready."""
    count = 0

    def start(*arguments, **options):
        nonlocal count
        count += 1
        options.setdefault("backend", backend)
        return started(harness.Collector(tmp_path / f"trace{count}.jsonl", *arguments, **options))

    return start


@pytest.fixture(scope="session")
def guest(tmp_path_factory):
    """The program that runs in containers."""
    if not shutil.which("cc"):
        pytest.skip("needs cc")
    return harness.build_guest(tmp_path_factory.mktemp("guest"))


@pytest.fixture
def box(guest):
    """box(): a container that is nothing but its cgroup."""
    boxes = []

    def make(*arguments, **options):
        boxes.append(harness.Box(guest, *arguments, **options))
        return boxes[-1]

    yield make
    for each in boxes:
        each.close()


@pytest.fixture
def runc(tmp_path, guest):
    if not shutil.which("runc"):
        pytest.skip("needs runc")
    runc = harness.Runc(tmp_path / "runc", guest)
    yield runc
    runc.close()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory, guest):
    for tool in ("dockerd", "docker"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    try:
        docker = harness.Docker(tmp_path_factory.mktemp("docker"), guest)
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
