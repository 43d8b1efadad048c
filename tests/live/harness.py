# SPDX-License-Identifier: Apache-2.0
"""What the live tests stand on: the kernel's audit state, the collector as a
process, and containers. Each wait is bounded, and all that is started is ended."""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
BUILD = Path(os.environ.get("COSMOS_BUILD", TREE / "build"))
COLLECT = BUILD / "cli" / "cosmos-collect"
SCORE = BUILD / "cli" / "cosmos-score"

# These change by themselves.
VOLATILE = {"lost", "backlog", "backlog_wait_time_actual"}


def run(*command, timeout=60, check=True, **options):
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=timeout, **options
    )
    if check and result.returncode != 0:
        raise AssertionError(f"{command} ended with {result.returncode}: {result.stderr or result.stdout}")
    return result


def until(condition, timeout, what):
    """Wait until condition() is true; its value."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {timeout} s")


# --- the kernel's audit system ---------------------------------------------------


def audit_status():
    """`auditctl -s` as a dict of numbers."""
    status = {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)", run("auditctl", "-s").stdout, re.M)}
    # A dead owner stays one until the kernel has something for it: as good as none.
    if status["pid"] and not alive(status["pid"]):
        status["pid"] = 0
    return status


def audit_state():
    """All of it that must be as before: settings and rules."""
    settings = {name: value for name, value in audit_status().items() if name not in VOLATILE}
    return settings, run("auditctl", "-l").stdout.splitlines()


def audit_restore(state):
    """Make it as it was, whatever a test did. Says whether there was need to."""
    if re.search(r"^pid [1-9]", run("auditctl", "-s").stdout, re.M) and audit_status()["pid"] == 0:
        run("auditctl", "-e", "1")
        time.sleep(0.5)
        run("auditctl", "-e", state[0]["enabled"])
    if audit_state() == state:
        return False
    settings, rules = state
    run("auditctl", "-D", check=False)
    for rule in rules:
        if rule != "No rules":
            run("auditctl", *rule.split(), check=False)
    for option, name in (("-b", "backlog_limit"), ("-f", "failure"), ("-r", "rate_limit"), ("-e", "enabled")):
        run("auditctl", option, settings[name], check=False)
    run("auditctl", "--backlog_wait_time", settings["backlog_wait_time"], check=False)
    return True


# --- processes ---------------------------------------------------------------------


def children(pid):
    """All descendants of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *children(int(child))]
    return found


def alive(pid):
    try:
        return not re.search(r"^State:\s+[ZX]", Path(f"/proc/{pid}/status").read_text(), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return False


class Process:
    """A process in a group of its own; its standard error is gathered."""

    def __init__(self, *command, **options):
        self.popen = subprocess.Popen(
            [str(word) for word in command], stderr=subprocess.PIPE, start_new_session=True, **options
        )
        self.pid = self.popen.pid
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for chunk in iter(lambda: self.popen.stderr.read1(65536), b""):
            self._said.extend(chunk)

    @property
    def said(self):
        return self._said.decode(errors="replace")

    def said_within(self, pattern, timeout=15):
        def look():
            found = re.search(pattern, self.said, re.M)
            # Once more: its last words may have come between the two looks.
            if not found and self.popen.poll() is not None:
                self._reader.join(2)
                found = re.search(pattern, self.said, re.M)
                assert found, f"it ended with {self.popen.returncode} before it said {pattern!r}: {self.said}"
            return found

        try:
            return until(look, timeout, pattern)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said: {self.said}") from None

    def wait(self, timeout=30):
        code = self.popen.wait(timeout)
        # A guardian may hold the other end a moment longer.
        self._reader.join(10)
        return code

    def signal(self, number):
        self.popen.send_signal(number)

    def end(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(10)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream:
                stream.close()


class Collector(Process):
    """cosmos-collect, writing to a file, once its rules are active."""

    def __init__(self, output, *arguments, ready=True, **options):
        self.output = Path(output)
        super().__init__(COLLECT, "--output", self.output, *arguments, **options)
        if ready:
            self.said_within(r"^cosmos-collect: collecting")

    def stop(self, number=signal.SIGINT):
        """Stop it and give its lines."""
        self.signal(number)
        code = self.wait(60)
        assert code == 0, f"cosmos-collect ended with {code}: {self.said}"
        return self.lines()

    def lines(self):
        with open(self.output, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1])


def calls(lines, **fields):
    """The calls among a trace's lines, those with the given fields."""
    return [
        line
        for line in lines
        if "type" not in line and all(line.get(name) == value for name, value in fields.items())
    ]


def typed(lines, kind):
    return [line for line in lines if line.get("type") == kind]


# --- containers --------------------------------------------------------------------


class Docker:
    """A daemon of our own with one image that holds one program."""

    IMAGE = "cosmos-guest:test"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.guest = self.folder / "guest"
        run("cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-static", HERE / "guest.c", "-o", self.guest)
        self.daemon = subprocess.Popen(
            ["bash", str(HERE / "dockerd.sh"), str(self.folder / "docker")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self.folder / "dockerd.err", "wb"),
            start_new_session=True,
        )
        self.client = self._read_client()
        archive = run("tar", "-C", self.folder, "-cf", self.folder / "guest.tar", "guest")
        assert archive.returncode == 0
        self("import", self.folder / "guest.tar", self.IMAGE)

    def _read_client(self):
        text = b""
        while not text.endswith(b"\n\n"):
            ready, _, _ = select.select([self.daemon.stdout], [], [], 90)
            chunk = os.read(self.daemon.stdout.fileno(), 4096) if ready else b""
            if not chunk:
                self.close()
                raise RuntimeError((self.folder / "dockerd.err").read_text(errors="replace").strip())
            text += chunk
        return text.decode().split()

    def __call__(self, *arguments, timeout=60, check=True):
        return run(*self.client, *arguments, timeout=timeout, check=check).stdout.strip()

    def start(self, name, *command):
        """A container that runs in the background; its id."""
        return self("run", "-d", "--network", "none", "--name", name, self.IMAGE, "/guest", *command)

    def run(self, name, *command, timeout=60):
        """A container from its start to its end; its id."""
        identity = self.start(name, *command)
        assert self("wait", name, timeout=timeout) == "0", self("logs", name)
        return identity

    def remove(self, *names):
        self("rm", "-f", "-v", *names, check=False)

    def close(self):
        self.daemon.stdin.close()
        try:
            self.daemon.wait(60)
        finally:
            if self.daemon.poll() is None:
                self.daemon.kill()
            self.daemon.stdout.close()
