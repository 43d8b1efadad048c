#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What collecting costs: the watched container, the host, the collector itself.

    python3 tests/bench/collector.py [PART...] [--pairs N] [--build FOLDER] [--json FILE]

Needs root, a build (build/tests/gcc of tests/run.sh, or --build), and for `mysql` Docker
with the image that examples/quickstart.sh makes. Times are never compared with a constant: each
is a ratio to the same thing without a collector, run beside it in pairs whose order is drawn
(fixed seed); given is the median over the pairs with its 95% bootstrap interval.

Nothing may run beside it: another collector is refused, and the machine's load is said before each part.
The build is copied first, so that it may be built again meanwhile.

  noise     a load of mysql (--load) in pairs without a collector on either side: what no difference looks like
  floor     the same, but one side with an empty program where ours is: what no tracer of every call goes below
  mysql     mysqlslap on a server in a container, three loads, without and with the bpf backend: its time on the
            wall (also where both sides switch contexts equally often), and the CPU time of the container; CPU and
            memory of the collector, losses
  getppid   ns a call in a tight loop, beside other tracers; --audit adds our audit backend, last
  loss      300,000 calls/s for a minute as JSON; as fast as it can into a null sink; above capacity
  delay     from a call to its line on the pipe, idle and loaded
  memory    over 10 million events and 1,000 containers
"""
import argparse
import contextlib
import ctypes
import json
import os
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
SEED = 2026
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
LOADS = {"100 x 20": (100, 20, 10), "200 x 40": (200, 40, 1), "500 x 60": (500, 60, 1)}  # clients, queries, iterations
MOUNT_NAMESPACE = 0x00020000
PR_SET_PDEATHSIG = 1


def run(*command, **options):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if result.returncode:
        raise RuntimeError(f"{command} ended with {result.returncode}: {result.stderr or result.stdout}")
    return result.stdout


def interval(samples, of=statistics.median, rounds=10_000):
    """The median, or what `of` finds instead, and the 95% bootstrap interval of it."""
    draw = random.Random(SEED)
    found = sorted(of(draw.choices(samples, k=len(samples))) for _ in range(rounds))
    return of(samples), found[int(0.025 * rounds)], found[int(0.975 * rounds)]


def in_pairs(n, without, with_):
    """n pairs of results, the order within each drawn."""
    draw, pairs = random.Random(SEED), []
    for _ in range(n):
        if draw.random() < 0.5:
            a = without()
            pairs.append((a, with_()))
        else:
            b = with_()
            pairs.append((without(), b))
    return pairs


libc = ctypes.CDLL(None, use_errno=True)


def with_us():
    """In a child: to end when we do, however that is."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Bench:
    def __init__(self, args):
        self.args = args
        # In memory: the disk's moods are not what is measured.
        self.folder = Path(tempfile.mkdtemp(prefix="cosmos-bench.", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.folder.chmod(0o755)
        try:
            self.prepare(args)
        except BaseException:
            self.close()
            raise

    def prepare(self, args):
        self.collect = self.folder / "build" / "cli" / "cosmos-collect"
        self.collect.parent.mkdir(parents=True)
        (self.folder / "build" / "lib").mkdir()
        shutil.copy2(args.build / "cli" / "cosmos-collect", self.collect)
        for name in ("libcosmos.so", "libcosmos.so.0"):
            shutil.copy2(args.build / "lib" / name, self.folder / "build" / "lib" / name)
        lib = self.folder / "build" / "lib"
        used = run("ldd", self.collect)
        if str(self.folder) not in used:
            raise RuntimeError(f"{self.collect} would not use its own library: {used}")
        for name in ("caller", "drain"):
            run("cc", "-O2", "-static", HERE / f"{name}.c", "-o", self.folder / name)
        run("cc", "-O2", HERE / "null_sink.c", f"-I{TREE}/include", f"-L{lib}", "-lcosmos",
            f"-Wl,-rpath,{lib}", "-o", self.folder / "null_sink")  # fmt: skip
        run("cc", "-O2", HERE / "floor.c", "-lbpf", "-o", self.folder / "floor")
        self.caller = self.folder / "caller"

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


# --- the collector, and something to watch ---------------------------------------------


class Collector:
    """cosmos-collect with its lines into a pipe that is drained."""

    def __init__(self, bench, *arguments, backend="bpf", cpu=None, drain=0):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        self.process = self.drain = None
        # Neither may ever wait for us: a pipe that nobody reads would be full one day.
        self.said, self.delays = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        # The reader keeps up: like the collector, it goes before the load. That is what "drained" means here.
        drain = [*pin, "chrt", "--batch", "0", "nice", "-n", "-10", str(bench.folder / "drain"), str(drain)]
        self.process = subprocess.Popen(
            [*pin, bench.collect, "--backend", backend, *arguments],
            stdout=subprocess.PIPE, stderr=self.said, preexec_fn=with_us,
        )  # fmt: skip
        try:
            self.drain = subprocess.Popen(
                drain, stdin=self.process.stdout, stdout=self.delays, stderr=subprocess.PIPE, text=True, preexec_fn=with_us
            )
            self.process.stdout.close()
            for _ in range(300):
                if re.search(r"^cosmos-collect: collecting", self.words(), re.M):
                    break
                if self.process.poll() is not None:
                    raise RuntimeError(f"cosmos-collect did not start: {self.words()}")
                time.sleep(0.05)
            else:
                raise RuntimeError(f"cosmos-collect was not ready in 15 s: {self.words()}")
        except BaseException:
            self.close()
            raise
        self.before = self.cpu()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End both, where stop() has not."""
        for process in (self.process, self.drain):
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
        self.said.close()
        self.delays.close()

    def words(self):
        # Not by its own position: the writer shares it.
        return os.pread(self.said.fileno(), 1 << 20, 0).decode(errors="replace")

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def rss(self, which="VmRSS"):
        return int(re.search(rf"{which}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def stop(self):
        """What it says at its end, and what the drain saw."""
        cpu, rss, peak = self.cpu() - self.before, self.rss(), self.rss("VmHWM")
        self.process.send_signal(signal.SIGINT)
        drained = self.drain.communicate(timeout=120)[1]
        if self.process.wait(60):
            raise RuntimeError(f"cosmos-collect ended with {self.process.returncode}: {self.words()}")
        said = self.words()
        self.delays.seek(0)
        delays = self.delays.read()
        seen = re.search(r"seen (\d+) = delivered (\d+) \+ lost (\d+)", said)
        lines, losses, lost = map(int, drained.split())
        return {
            "cpu": cpu, "rss_kib": rss, "peak_kib": peak, "lines": lines, "loss_lines": losses, "lost_by_lines": lost,
            # The audit backend does not say it.
            **dict(zip(("seen", "delivered", "lost"), map(int, seen.groups()) if seen else (0, lines, lost))),
            "delays_us": [float(line) for line in delays.split()], "said": said,
        }  # fmt: skip


def container_id(number):
    return f"{number:064x}"


@contextlib.contextmanager
def cgroup(number):
    """An empty container: a cgroup whose name is an id."""
    path = Path("/sys/fs/cgroup/unified" if Path("/sys/fs/cgroup/unified").exists() else "/sys/fs/cgroup")
    path /= container_id(number)
    path.mkdir()
    try:
        yield path
    finally:
        for _ in range(200):
            try:
                for pid in (path / "cgroup.procs").read_text().split():  # after an error: what was still at work
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                path.rmdir()
                break
            except OSError:
                time.sleep(0.01)


def contained(path, command, **options):
    """A process in a container: the runtime's part is to enter the cgroup, leave the host's
    mounts, and execute."""

    def enter():
        with_us()
        (path / "cgroup.procs").write_text("0")
        if libc.unshare(MOUNT_NAMESPACE):
            os._exit(126)

    return subprocess.Popen([str(w) for w in command], preexec_fn=enter, stdout=subprocess.PIPE, text=True, **options)


# --- mysql ----------------------------------------------------------------------------------


def cpu_file(pid):
    """Where the kernel counts the CPU time of a process's cgroup."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            return Path(f"/sys/fs/cgroup/cpuacct{path}/cpuacct.usage")
    return Path(f"/sys/fs/cgroup{path}/cpu.stat")


def at_equal_switches(pairs):
    """The ratio of wall times that is left where both sides of a pair switch contexts equally often. For the same
    queries a crowded server makes several times as many calls in one run as in another, as its threads happen to
    meet at a lock: by that alone two runs differ more than by anything we do. The line through the pairs'
    differences is met where the number of switches does not differ. To be read only where the ratio of their
    numbers, which stands beside it, is about 1: otherwise the collector has a part in how many there are, that
    part is left out, and the line is met far from the pairs."""

    def at_none(chosen):
        more = [b[2] - a[2] for a, b in chosen]
        longer = [b[0] - a[0] for a, b in chosen]
        line = statistics.linear_regression(more, longer) if len(set(more)) > 1 else (0, statistics.mean(longer))
        return 1 + line[1] / statistics.median(a[0] for a, _ in chosen)

    return interval(pairs, at_none)


def compared(pairs):
    """What Service.load() found, with to without: text, and the numbers."""
    wall, cpu, more = (interval([b[i] / a[i] for a, b in pairs]) for i in range(3))
    ratios = {"wall": wall, "container_cpu": cpu, "switches": more, "wall_at_equal_switches": at_equal_switches(pairs)}
    words = ("{:.3f}x [{:.3f}, {:.3f}]".format(*numbers) for numbers in ratios.values())
    text = "wall {}, CPU of the container {}, context switches {}, wall where these are equal {}".format(*words)
    return f"{text} of {len(pairs)} pairs", ratios


def switches():
    """Context switches of the machine since it was started."""
    return int(re.search(r"^ctxt (\d+)", Path("/proc/stat").read_text(), re.M)[1])


class Service:
    """MariaDB in a real container, on a daemon of our own."""

    def __init__(self, bench):
        # In memory, so that no disk has a say in it.
        self.folder = Path(tempfile.mkdtemp(prefix="cosmos-bench.", dir="/dev/shm"))
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "socket").mkdir()
        (self.folder / "socket").chmod(0o777)
        self.daemon = subprocess.Popen(
            ["bash", str(HERE / "dockerd.sh")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        self.client = []
        for line in self.daemon.stdout:
            if not line.strip():
                break
            self.client += line.split()
        if not self.client:
            raise RuntimeError("the Docker daemon did not start")
        image, volume = "cosmos-quickstart-mariadb", f"{self.folder}/data:/var/lib/mysql"
        self("run", "--rm", "--network", "none", "-v", volume, "--entrypoint", "mariadb-install-db", image,
             "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=normal")  # fmt: skip
        self("run", "-d", "--name", "db", "--network", "none", "-v", volume, "-v",
             f"{self.folder}/socket:/run/mysqld", "--tmpfs", "/tmp", "--cpuset-cpus", "1", "--entrypoint", "mariadbd", image,
             "--user=mysql", "--skip-networking", "--socket=/run/mysqld/mysqld.sock",
             "--max-connections=2000", "--innodb-flush-log-at-trx-commit=0")  # fmt: skip
        self.socket = self.folder / "socket" / "mysqld.sock"
        self.usage = cpu_file(int(self("inspect", "-f", "{{.State.Pid}}", "db")))
        for _ in range(150):
            if subprocess.run(["mysqladmin", f"--socket={self.socket}", "-uroot", "ping"], capture_output=True).returncode == 0:
                return
            time.sleep(0.2)
        raise RuntimeError("MariaDB does not answer")

    def __call__(self, *arguments):
        return run(*self.client, *arguments)

    def cpu(self):
        """Seconds that the container has used."""
        text = self.usage.read_text()
        return int(text) / 1e9 if text.strip().isdigit() else int(re.search(r"usage_usec (\d+)", text)[1]) / 1e6

    def load(self, clients, queries, iterations):
        """Seconds of all iterations: on the wall, and of the container's CPU; then context switches. The server has
        core 1, its clients core 0, so that chance does not place them otherwise each time."""
        begun, used, before = time.monotonic(), self.cpu(), switches()
        run("taskset", "-c", "0", "mysqlslap", f"--socket={self.socket}", "-uroot", f"--concurrency={clients}", f"--iterations={iterations}",
            f"--number-of-queries={clients * queries}", "--auto-generate-sql",
            "--auto-generate-sql-load-type=mixed")  # fmt: skip
        return time.monotonic() - begun, self.cpu() - used, switches() - before

    def close(self):
        self.daemon.stdin.close()
        self.daemon.wait(90)
        self.daemon.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def empty_program(bench):
    process = subprocess.Popen([bench.folder / "floor"], stdout=subprocess.PIPE, text=True, preexec_fn=with_us)
    try:
        if process.stdout.readline() != "on\n":
            raise RuntimeError("the empty program could not be attached")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def without_us(bench, what, context):
    """One of mysql's loads in pairs without our collector; one side is in the context."""
    service = Service(bench)
    name = bench.args.load or next(iter(LOADS))
    load = LOADS[name]

    def inside():
        with context():
            return service.load(*load)

    try:
        service.load(*load)
        pairs = in_pairs(bench.args.pairs, lambda: service.load(*load), inside)
    finally:
        service.close()
    print(f"mysql {name}, {what}: {compared(pairs)[0]}", flush=True)
    return pairs


def noise(bench):
    return without_us(bench, "no collector on either side", contextlib.nullcontext)


def floor(bench):
    return without_us(bench, "an empty program on one side", lambda: empty_program(bench))


def mysql(bench):
    results = {}
    service = Service(bench)
    try:
        for name, load in LOADS.items():
            if bench.args.load not in (None, name):
                continue
            service.load(*load)
            collections = []

            def watched(load=load, collections=collections):
                with Collector(bench, "--container", "db") as collector:
                    seconds = service.load(*load)
                    collections.append({**collector.stop(), "seconds": seconds[0]})
                return seconds

            pairs = in_pairs(bench.args.pairs, lambda load=load: service.load(*load), watched)
            text, ratios = compared(pairs)
            lost = sum(c["lost"] for c in collections)
            rate = statistics.median(c["delivered"] / c["seconds"] for c in collections)
            cpu = statistics.median(c["cpu"] / c["seconds"] for c in collections)
            rss, peak = max(c["rss_kib"] for c in collections), max(c["peak_kib"] for c in collections)
            spread = statistics.quantiles([a[0] for a, _ in pairs], n=4) if len(pairs) > 1 else [0, 1, 0]
            print(f"mysql {name}: {text}, without {statistics.median(a[0] for a, _ in pairs):.2f} s (quartiles {spread[0] / spread[1] - 1:+.0%}, "
                  f"{spread[2] / spread[1] - 1:+.0%}); {rate:,.0f} events/s, {lost} lost of "
                  f"{sum(c['seen'] for c in collections):,}; collector {cpu:.1%} of a core, {rss / 1024:.1f} MiB "
                  f"(peak {peak / 1024:.1f})", flush=True)  # fmt: skip
            results[name] = {"pairs": pairs, **ratios, "lost": lost, "cpu": cpu, "rss_kib": rss, "peak_kib": peak,
                             "events_per_s": rate, "collections": collections}  # fmt: skip
        results["ns_in_kernel"] = in_kernel(bench, service)
    finally:
        service.close()
    return results


def in_kernel(bench, service):
    """ns of each program, by the kernel's own statistics."""
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        with Collector(bench, "--container", "db") as collector:
            service.load(*LOADS["200 x 40"])
            programs = json.loads(run("bpftool", "-j", "prog", "show"))
            collector.stop()
    finally:
        switch.write_text(before)
    found = {p["name"]: (p["run_time_ns"] / p["run_cnt"], p["run_cnt"]) for p in programs
             if p.get("name", "").startswith("cosmos_") and p.get("run_cnt")}  # fmt: skip
    for name, (ns, n) in found.items():
        print(f"mysql 200 x 40, {name}: {ns:.0f} ns x {n:,} (statistics themselves included)")
    return found


# --- getppid ------------------------------------------------------------------------------------


def getppid(bench):
    """ns a call, the other core being the tracer's: of 5 rounds the least, so that what else the machine does
    is not in it. A tracer that stops the process for each call gets fewer calls to stop."""

    def loop(calls=200_000):
        return [bench.caller, "loop", "1", str(calls), "5"]

    def least(process):
        return min(float(line) for line in process.communicate(timeout=300)[0].split())

    def here(*prefix, calls=200_000):
        return least(subprocess.Popen([*prefix, *map(str, loop(calls))], stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True, preexec_fn=with_us))  # fmt: skip

    def watched(backend="bpf", inside=True):
        with cgroup(1) as path:
            with Collector(bench, backend=backend, cpu=0) as collector:
                ns = least(contained(path, loop())) if inside else here()
                # Is it what it is taken for?
                seen = collector.stop()["delivered"]
                if inside and seen < 1_000_000 or not inside and seen >= 1_000_000:
                    raise RuntimeError(f"{seen} events of 1,000,000 calls")
                return ns

    def beside(*command):
        tracer = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  preexec_fn=with_us)  # fmt: skip
        try:
            time.sleep(4)
            if tracer.poll() is not None:
                raise RuntimeError(f"it ended with {tracer.returncode}")
            return here()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(60)

    def with_empty():
        with empty_program(bench):
            return here()

    ways = {
        "an empty program there": with_empty, "ours, bpf, as JSON into a pipe": watched,
        "ours, on a process of the host": lambda: watched(inside=False),
    }  # fmt: skip
    if shutil.which("bpftrace"):
        ways["bpftrace, counting by thread"] = lambda: beside("bpftrace", "-e", "tracepoint:raw_syscalls:sys_exit /comm == \"caller\"/ { @[tid] = count(); }")
        ways["bpftrace, printing each"] = lambda: beside("bpftrace", "-e", "tracepoint:raw_syscalls:sys_exit /comm == \"caller\"/ { printf(\"%d %d\\n\", tid, args->id); }")
    if shutil.which("perf"):
        ways["perf trace"] = lambda: here("perf", "trace", "-o", "/dev/null", calls=50_000)
    if shutil.which("sysdig"):
        ways["sysdig"] = lambda: beside("sysdig", "proc.name=caller")
    if shutil.which("strace"):
        ways["strace -f"] = lambda: here("strace", "-f", "-o", "/dev/null", calls=5_000)
    if bench.args.audit:
        ways["ours, audit"] = lambda: watched("audit")
    results = {}
    for name, way in ways.items():
        try:
            pairs = in_pairs(bench.args.pairs, here, way)
        except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
            print(f"getppid, {name}: does not run here ({error})")
            continue
        none, with_ = (statistics.median(side) for side in zip(*pairs))
        added = interval([b - a for a, b in pairs])
        print(f"getppid, {name}: {with_:.0f} ns a call, {added[0]:+.0f} [{added[1]:+.0f}, {added[2]:+.0f}] over {none:.0f}", flush=True)
        results[name] = pairs
    return results


# --- loss, delay, memory -------------------------------------------------------------------------


def made_by(*callers):
    """Calls that `caller pace` has made, and in how many seconds."""
    told = [caller.communicate(timeout=300)[0].split() for caller in callers]
    return sum(int(made) for made, _ in told), max(float(seconds) for _, seconds in told)


def loss(bench):
    results = {}
    with cgroup(2) as path:
        with Collector(bench, cpu=0) as collector:
            made, seconds = made_by(contained(path, [bench.caller, "pace", 1, 300_000, bench.args.seconds]))
            got = collector.stop()
        del got["delays_us"]
        print(f"loss, JSON: {made:,} calls, {made / seconds:,.0f}/s (asked for 300,000) for {seconds:.0f} s: seen "
              f"{got['seen']:,}, {got['lost']} lost, {got['lines']:,} lines, {got['cpu'] / seconds:.0%} of a core, "
              f"{got['rss_kib'] / 1024:.1f} MiB", flush=True)  # fmt: skip
        results["json"] = {"made": made, "seconds": seconds, **got}

        for rate in (1_000_000, 0):
            null = subprocess.Popen(["taskset", "-c", "0", bench.folder / "null_sink"], stderr=subprocess.PIPE, text=True,
                                    preexec_fn=with_us)  # fmt: skip
            try:
                if "collecting" not in (line := null.stderr.readline()):
                    raise RuntimeError(f"null_sink did not start: {line}")
                made, seconds = made_by(contained(path, [bench.caller, "pace", 1, rate, 20]))
                null.send_signal(signal.SIGINT)
                said = null.communicate(timeout=60)[1].strip()
            finally:
                null.kill()
                null.wait()
            print(f"loss, null sink: {made:,} calls, {made / seconds:,.0f}/s (asked for {rate or 'all it can':{',' if rate else ''}}) "
                  f"for {seconds:.0f} s: {said}", flush=True)  # fmt: skip
            results[f"null {rate}"] = {"made": made, "seconds": seconds, "said": said}

        with Collector(bench, drain=20_000) as collector:
            made, seconds = made_by(*(contained(path, [bench.caller, "pace", cpu, 0, 5]) for cpu in (0, 1, 0, 1)))
            got = collector.stop()
        del got["delays_us"]
        holds = got["seen"] == got["delivered"] + got["lost"] and got["lost_by_lines"] == got["lost"] and got["seen"] >= made
        print(f"loss, above capacity: {made:,} calls, {made / seconds:,.0f}/s; seen {got['seen']:,} = delivered "
              f"{got['delivered']:,} + lost {got['lost']:,}; the trace's loss lines say {got['lost_by_lines']:,}: "
              f"{'to the event' if holds else 'NOT EQUAL'}", flush=True)  # fmt: skip
        results["above capacity"] = {"made": made, "seconds": seconds, **got}
    return results


def delay(bench):
    """Idle; then with two loops of 100,000 calls/s in the container and two processes of the host that only
    compute, on both cores."""
    results = {}
    for name in ("idle", "loaded"):
        others = []
        with cgroup(3) as path, Collector(bench, drain="marks") as collector:
            try:
                if name == "loaded":
                    others += [contained(path, [bench.caller, "pace", cpu, 100_000, 120]) for cpu in (0, 1)]
                    others += [subprocess.Popen(["sh", "-c", "while :; do :; done"], preexec_fn=with_us) for _ in range(2)]
                contained(path, [bench.caller, "mark", 60 if others else 30]).communicate(timeout=120)
            finally:
                for other in others:
                    other.kill()
                    other.wait()
            got = collector.stop()
        d = sorted(got["delays_us"])
        at = {q: d[min(len(d) - 1, int(q * len(d)))] / 1000 for q in (0.5, 0.99, 0.999)}
        print(f"delay, {name}: p50 {at[0.5]:.2f} ms, p99 {at[0.99]:.2f} ms, p99.9 {at[0.999]:.2f} ms, longest "
              f"{d[-1] / 1000:.2f} ms of {len(d)}{' (TOO FEW)' if len(d) < 3000 else ''}; lost {got['lost']}",
              flush=True)  # fmt: skip
        results[name] = got["delays_us"]
    return results


def memory(bench):
    """The containers are cgroups with a process each, without a runtime's state."""
    results = {}
    with Collector(bench, cpu=0) as collector:
        rss, made = {"start": collector.rss()}, 0
        with cgroup(4) as path:
            for millions in (1, 5, 10):
                while made < millions * 1_000_000:
                    made += made_by(contained(path, [bench.caller, "pace", 1, 300_000, (millions * 1e6 - made + 64) / 300_000]))[0]
                rss[millions] = collector.rss()
        print("memory, KiB at millions of events: " + ", ".join(f"{k}: {v:,}" for k, v in rss.items()), flush=True)
        results["events"] = {str(k): v for k, v in rss.items()}
        rss = {}
        for n in range(1, 1001):
            with cgroup(1000 + n) as path:
                contained(path, [bench.caller, "loop", 1, 10, 1]).communicate()
            if n in (1, 100, 500, 1000):
                rss[n] = collector.rss()
        got = collector.stop()
    print(f"memory, KiB at containers: {', '.join(f'{k}: {v:,}' for k, v in rss.items())}; peak {got['peak_kib']:,}; "
          f"seen {got['seen']:,} of {made:,} calls and more, lost {got['lost']}", flush=True)  # fmt: skip
    results["containers"] = rss
    return results


# --- the whole ---------------------------------------------------------------------------------------


def alone():
    """Who else collects; a collector that an earlier run has left behind would be in every measurement."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[0].endswith((b"/cosmos-collect", b"/null_sink")):
                return f"process {path.parent.name} collects too: {b' '.join(words).decode(errors='replace')}"
    if shutil.which("bpftool"):
        for program in json.loads(run("bpftool", "-j", "prog", "show")):
            if program.get("name") == "cosmos_call":
                return f"bpf program {program['id']} of a collector is loaded"
    return None


def peers():
    """Versions of what we are measured against."""
    found = {}
    for name in ("strace", "perf", "bpftrace", "sysdig", "mysqlslap"):
        if shutil.which(name):
            found[name] = run(name, "--version").split("\n")[0].strip()
    return found


def machine():
    cpu = re.search(r"model name\s+: (.*)", Path("/proc/cpuinfo").read_text())[1]
    audit = "auditctl is not here"
    if shutil.which("auditctl"):
        audit = "audit " + run("auditctl", "-s").split("\n")[0] + " (now; the kernel does not say whether it ever was)"
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "audit": audit,
            "load": os.getloadavg()[0], "peers": peers()}  # fmt: skip


def main():
    parts = {"noise": noise, "floor": floor, "mysql": mysql, "loss": loss, "delay": delay, "memory": memory, "getppid": getppid}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", nargs="*", choices=[[], *parts], help="default: all")
    p.add_argument("--pairs", type=int, default=15)
    p.add_argument("--load", choices=LOADS, help="of `mysql`, only this one")
    p.add_argument("--seconds", type=int, default=60, help="of the JSON part of `loss`")
    p.add_argument("--build", type=Path, default=TREE / "build/tests/gcc")
    p.add_argument("--json", type=Path, help="all samples go there")
    p.add_argument("--audit", action="store_true", help="also our audit backend (it changes the kernel until reboot)")
    args = p.parse_args()
    args.build = args.build.resolve()
    os.environ["PATH"] += ":/usr/sbin"
    if os.geteuid() != 0:
        p.error("needs root")
    for _ in range(10):  # the kernel lets go of a collector's programs a moment after its end
        if not (why := alone()):
            break
        time.sleep(0.5)
    else:
        p.error(why)
    results = {"machine": machine(), "load": {}}
    print(", ".join(f"{k} {v}" for k, v in results["machine"].items()), flush=True)
    # A shell's background job ignores SIGINT; it should not be ignored by what we start.
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        signal.signal(number, lambda *_, status=status: sys.exit(status))
    bench = Bench(args)
    try:
        for name in args.part or parts:
            results["load"][name] = os.getloadavg()
            if os.getloadavg()[0] > 1:
                print(f"{name}: ! the machine's load is {os.getloadavg()[0]:.1f} before it begins", flush=True)
            results[name] = parts[name](bench)
            if args.json:  # what there is, also if the next part fails
                args.json.write_text(json.dumps(results, indent=1))
    finally:
        bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
