# SPDX-License-Identifier: Apache-2.0
"""What the live tests stand on: the kernel's audit state, the collector as a
process, and containers. Each wait is bounded, and all that is started is ended."""
import json
import os
import re
import secrets
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

# Numbers of calls.
READ, POLL, NANOSLEEP, PPOLL = 0, 7, 35, 271

BACKENDS = ("bpf", "audit")

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


# --- what there is on this machine -------------------------------------------------


def missing():
    """Why nothing can be tested live here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if not COLLECT.exists():
        return f"{COLLECT} is not built"
    return None


def missing_bpf():
    """Why the bpf backend can't be tested here, or None."""
    if not os.access("/sys/kernel/btf/vmlinux", os.R_OK):
        return "this kernel does not describe its types (/sys/kernel/btf/vmlinux)"
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
        return "this is not the host's pid namespace"
    return None


def missing_audit():
    """Why the audit backend can't be tested here, or None."""
    if "COSMOS_NO_AUDIT" in os.environ:
        return "COSMOS_NO_AUDIT is set: audit must not be touched"
    if not shutil.which("auditctl"):
        return "needs auditctl (package auditd)"
    status = run("auditctl", "-s", check=False)
    if status.returncode != 0 or "enabled" not in status.stdout:
        return f"the kernel's audit system can't be reached: {status.stderr.strip() or status.stdout.strip()}"
    state = audit_status()
    if state["enabled"] == 2:
        return "the audit configuration is locked until the next boot (enabled 2)"
    if state["pid"] != 0:
        return "another process owns the audit stream"
    return None


# --- the kernel's audit system ---------------------------------------------------


def audit_status():
    """`auditctl -s` as a dict of numbers."""
    status = {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)", run("auditctl", "-s").stdout, re.M)}
    # A dead owner stays one until the kernel has something for it: as good as none.
    if status["pid"] and not alive(status["pid"]):
        status["pid"] = 0
    return status


def audit_state():
    """All of it that must be as before: settings and rules. None: it can't be asked."""
    if not shutil.which("auditctl") or run("auditctl", "-s", check=False).returncode != 0:
        return None
    settings = {name: value for name, value in audit_status().items() if name not in VOLATILE}
    return settings, run("auditctl", "-l").stdout.splitlines()


def audit_restore(state):
    """Make it as it was, whatever a test did. Says whether there was need to."""
    if state is None or "COSMOS_NO_AUDIT" in os.environ:
        return False
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


def blocked_in(pid, tid=None):
    """The number of the call that a thread waits in; None: it runs, or is gone."""
    try:
        first = Path(f"/proc/{pid}/task/{tid or pid}/syscall").read_text().split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(first) if first.isdigit() else None


def threads(pid):
    return sorted(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())


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
    """cosmos-collect, writing to a file, once it collects."""

    def __init__(self, output, *arguments, backend, prefix=(), ready=True, **options):
        self.output = Path(output)
        super().__init__(
            *prefix, COLLECT, "--backend", backend, "--output", self.output, *arguments, **options
        )
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

    def seen(self):
        """The counters of its last words: seen, delivered, lost."""
        found = re.search(r"seen (\d+) = delivered (\d+) \+ lost (\d+)", self.said)
        assert found, self.said
        return tuple(int(number) for number in found.groups())

    def told(self, text, times=1, timeout=15):
        """Wait until the trace has these bytes."""
        until(lambda: self.output.read_bytes().count(text) >= times, timeout, f"{text} in the trace")

    def drained(self, timeout=30):
        """Wait until it has taken all that there was: it sleeps, and its output stays as it is."""
        sizes = []

        def look():
            sizes.append(self.output.stat().st_size if blocked_in(self.pid) in (POLL, PPOLL) else None)
            return len(sizes) > 4 and sizes[-1] is not None and len(set(sizes[-4:])) == 1

        until(look, timeout, "the collector's rest")

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


def by_thread(lines):
    """Calls and ends of threads by thread, in their order: {(tid, thread_start): lines}."""
    found = {}
    for line in lines:
        if line.get("type") in (None, "thread_exit") and "tid" in line:
            found.setdefault((line["tid"], line["thread_start"]), []).append(line)
    return found


def names(lines):
    """Calls and ends of threads in short."""
    return [line.get("type") or line["syscall"] for line in lines]


def tags(lines, tag=None):
    """Numbers of the getppid calls: see guest.c."""
    return [
        int(line["args"][0], 16)
        for line in lines
        if line.get("syscall") == "getppid" and tag in (None, int(line["args"][1], 16))
    ]


# --- containers --------------------------------------------------------------------


def build_guest(folder):
    guest = Path(folder) / "guest"
    run("cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-static", "-pthread", HERE / "guest.c", "-o", guest)
    return guest


def hierarchies():
    """Where cgroups are: v2's folder first, then v1's."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(m[1]) for kind in ("cgroup2", "cgroup") for m in mounts if m[2] == kind]


class Obedient(Process):
    """`guest obey` or `guest flood`: does what it is told, and has done it then."""

    def __init__(self, *command, **options):
        super().__init__(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self._done()

    def _done(self, timeout=60):
        assert select.select([self.popen.stdout], [], [], timeout)[0], f"no answer: {self.said}"
        assert self.popen.stdout.readline() == b"ok\n", self.said

    def tell(self, order):
        """An order that is not waited for."""
        self.popen.stdin.write(f"{order}\n".encode())
        self.popen.stdin.flush()

    def do(self, order, **options):
        self.tell(order)
        self._done(**options)

    def leave(self):
        """No more orders: it ends by itself."""
        self.popen.stdin.close()
        assert self.wait() == 0, self.said


class Box:
    """A container that is nothing but its cgroup: what Docker makes of it is not needed
    where the test is about calls."""

    def __init__(self, guest, name="{}", hierarchy=None):
        self.guest = guest
        self.id = secrets.token_hex(32)
        self.hierarchy = hierarchy or hierarchies()[0]
        self.folder = self.hierarchy / name.format(self.id)
        self.make()

    def make(self):
        self.folder.mkdir(parents=True)

    def enter(self, *command):
        """The command that makes a command a member, as a runtime does: it enters, then executes."""
        return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', self.folder, *command]

    def start(self, *command, kind=Process, **options):
        return kind(*self.enter(self.guest, *command), **options)

    def obey(self, threads=0, what="obey"):
        return self.start(what, threads, kind=Obedient)

    def run(self, *command, code=0, program=None, **options):
        process = Process(*self.enter(program or self.guest, *command), **options)
        try:
            assert process.wait(60) == code, process.said
        finally:
            process.end()
        return process

    def add(self, pid):
        (self.folder / "cgroup.procs").write_text(str(pid))

    def members(self):
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]

    def close(self):
        def empty():
            for pid in self.members():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not self.members()

        if self.folder.exists():
            until(empty, 10, "the end of a container's processes")
            self.remove()

    def remove(self):
        def removed():
            try:
                folder.rmdir()
            except OSError:  # a process that is ending
                return False
            return True

        folder = self.folder
        while folder != self.hierarchy:
            until(removed, 10, "the end of a container's cgroup")
            folder = folder.parent


class Runc:
    """Containers of runc without Docker: milliseconds each."""

    def __init__(self, folder, guest):
        self.folder = Path(folder)
        rootfs = self.folder / "rootfs"
        for name in ("proc", "dev"):
            (rootfs / name).mkdir(parents=True)
        shutil.copy(guest, rootfs / "guest")
        shutil.copy(guest, rootfs / "runc")

    def run(self, *command, program="/guest"):
        """From its start to its end; its id."""
        identity = secrets.token_hex(32)
        bundle = self.folder / identity
        bundle.mkdir()
        config = {
            "ociVersion": "1.0.2",
            "process": {"cwd": "/", "args": [program, *map(str, command)], "user": {"uid": 0, "gid": 0}},
            "root": {"path": str(self.folder / "rootfs"), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            ],
            "linux": {
                "cgroupsPath": f"/cosmos-test/{identity}",
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
            },
        }
        (bundle / "config.json").write_text(json.dumps(config))
        run("runc", "--root", self.folder / "state", "run", "--bundle", bundle, identity)
        return identity

    def close(self):
        for hierarchy in hierarchies():
            if (hierarchy / "cosmos-test").exists():
                (hierarchy / "cosmos-test").rmdir()


class Docker:
    """A daemon of our own with one image that holds one program."""

    IMAGE = "cosmos-guest:test"

    def __init__(self, folder, guest):
        self.folder = Path(folder)
        self.guest = guest
        self.daemon = subprocess.Popen(
            ["bash", str(HERE / "dockerd.sh"), str(self.folder / "docker")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self.folder / "dockerd.err", "wb"),
            start_new_session=True,
        )
        self.client = self._read_client()
        archive = run("tar", "-C", guest.parent, "-cf", self.folder / "guest.tar", "guest")
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

    def start(self, name, *command, options=()):
        """A container that runs in the background; its id."""
        return self(
            "run", "-d", "--network", "none", "--name", name, *options, self.IMAGE, "/guest", *command
        )

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
