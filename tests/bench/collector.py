#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What collecting costs: the watched container, the host, the collector itself.

    python3 tests/bench/collector.py [PART...] [--pairs N] [--build FOLDER] [--json FILE]

Needs root, a build (build/tests/gcc of tests/run.sh, or --build), and for `mysql` Docker
with the image that examples/quickstart.sh makes. Times are never compared with a constant: each
is a ratio to the same thing without a collector, run beside it in pairs whose order is drawn
(fixed seed); given is the median over the pairs with its 95% bootstrap interval.

  mysql     mysqlslap in a container, three loads, without and with the bpf backend; CPU, memory, losses
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


def run(*command, **options):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if result.returncode:
        raise RuntimeError(f"{command} ended with {result.returncode}: {result.stderr or result.stdout}")
    return result.stdout


def interval(samples, rounds=10_000):
    """The median, and the 95% bootstrap interval of it."""
    draw = random.Random(SEED)
    medians = sorted(statistics.median(draw.choices(samples, k=len(samples))) for _ in range(rounds))
    return statistics.median(samples), medians[int(0.025 * rounds)], medians[int(0.975 * rounds)]


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


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = Path(tempfile.mkdtemp(prefix="cosmos-bench."))
        for name in ("caller", "drain"):
            run("cc", "-O2", "-static", HERE / f"{name}.c", "-o", self.folder / name)
        run("cc", "-O2", HERE / "null_sink.c", f"-I{TREE}/include", f"-L{args.build}/lib", "-lcosmos",
            f"-Wl,-rpath,{args.build}/lib", "-o", self.folder / "null_sink")  # fmt: skip
        self.caller = self.folder / "caller"

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


# --- the collector, and something to watch ---------------------------------------------


class Collector:
    """cosmos-collect with its lines into a pipe that is drained."""

    def __init__(self, bench, *arguments, backend="bpf", cpu=None, drain=0):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        # The reader keeps up: like the collector, it goes before the load. That is what "drained" means here.
        drain = [*pin, "nice", "-n", "-10", str(bench.folder / "drain"), str(drain)]
        self.process = subprocess.Popen(
            [*pin, bench.args.build / "cli" / "cosmos-collect", "--backend", backend, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.drain = subprocess.Popen(
            drain, stdin=self.process.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.process.stdout.close()
        for line in self.process.stderr:
            if "collecting" in line:
                break
        else:
            raise RuntimeError("cosmos-collect did not start")
        self.before = self.cpu()

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def stop(self):
        """What it says at its end, and what the drain saw."""
        cpu, rss = self.cpu() - self.before, self.rss()
        self.process.send_signal(signal.SIGINT)
        delays, drained = self.drain.communicate(timeout=120)
        said = self.process.stderr.read()
        self.process.wait(60)
        seen = re.search(r"seen (\d+) = delivered (\d+) \+ lost (\d+)", said)
        lines, losses, lost = map(int, drained.split())
        return {
            "cpu": cpu, "rss_kib": rss, "lines": lines, "loss_lines": losses, "lost_by_lines": lost,
            **dict(zip(("seen", "delivered", "lost"), map(int, seen.groups()) if seen else (0, 0, 0))),
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
                path.rmdir()
                break
            except OSError:
                time.sleep(0.01)


libc = ctypes.CDLL(None, use_errno=True)


def contained(path, command, **options):
    """A process in a container: the runtime's part is to enter the cgroup, leave the host's
    mounts, and execute."""

    def enter():
        (path / "cgroup.procs").write_text("0")
        if libc.unshare(MOUNT_NAMESPACE):
            os._exit(126)

    return subprocess.Popen([str(w) for w in command], preexec_fn=enter, stdout=subprocess.PIPE, text=True, **options)


# --- mysql ----------------------------------------------------------------------------------


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
        self.client = []
        for line in self.daemon.stdout:
            if not line.strip():
                break
            self.client += line.split()
        image, volume = "cosmos-quickstart-mariadb", f"{self.folder}/data:/var/lib/mysql"
        self("run", "--rm", "--network", "none", "-v", volume, "--entrypoint", "mariadb-install-db", image,
             "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=normal")  # fmt: skip
        self("run", "-d", "--name", "db", "--network", "none", "-v", volume, "-v",
             f"{self.folder}/socket:/run/mysqld", "--tmpfs", "/tmp", "--entrypoint", "mariadbd", image,
             "--user=mysql", "--skip-networking", "--socket=/run/mysqld/mysqld.sock",
             "--max-connections=2000", "--innodb-flush-log-at-trx-commit=0")  # fmt: skip
        self.socket = self.folder / "socket" / "mysqld.sock"
        for _ in range(150):
            if subprocess.run(["mysqladmin", f"--socket={self.socket}", "-uroot", "ping"], capture_output=True).returncode == 0:
                return
            time.sleep(0.2)
        raise RuntimeError("MariaDB does not answer")

    def __call__(self, *arguments):
        return run(*self.client, *arguments)

    def load(self, clients, queries, iterations):
        """Seconds of wall time for all iterations."""
        begun = time.monotonic()
        run("mysqlslap", f"--socket={self.socket}", "-uroot", f"--concurrency={clients}", f"--iterations={iterations}",
            f"--number-of-queries={clients * queries}", "--auto-generate-sql",
            "--auto-generate-sql-load-type=mixed")  # fmt: skip
        return time.monotonic() - begun

    def close(self):
        self.daemon.stdin.close()
        self.daemon.wait(90)
        shutil.rmtree(self.folder, ignore_errors=True)


def mysql(bench):
    results = {}
    service = Service(bench)
    try:
        for name, load in LOADS.items():
            service.load(*load)
            collections = []

            def watched(load=load, collections=collections):
                collector = Collector(bench, "--container", "db")
                seconds = service.load(*load)
                collections.append({**collector.stop(), "seconds": seconds})
                return seconds

            pairs = in_pairs(bench.args.pairs, lambda load=load: service.load(*load), watched)
            median, low, high = interval([b / a for a, b in pairs])
            lost = sum(c["lost"] for c in collections)
            rate = statistics.median(c["delivered"] / c["seconds"] for c in collections)
            cpu = statistics.median(c["cpu"] / c["seconds"] for c in collections)
            rss = max(c["rss_kib"] for c in collections)
            print(f"mysql {name}: {median:.3f}x [{low:.3f}, {high:.3f}] of {len(pairs)} pairs, without "
                  f"{statistics.median(a for a, _ in pairs):.2f} s; {rate:,.0f} events/s, {lost} lost of "
                  f"{sum(c['seen'] for c in collections):,}; collector {cpu:.1%} of a core, {rss / 1024:.1f} MiB",
                  flush=True)  # fmt: skip
            results[name] = {"pairs": pairs, "ratio": [median, low, high], "lost": lost, "cpu": cpu, "rss_kib": rss,
                             "events_per_s": rate}  # fmt: skip
        results["ns_in_kernel"] = in_kernel(bench, service)
    finally:
        service.close()
    return results


def in_kernel(bench, service):
    """ns of each program, by the kernel's own statistics."""
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    collector = Collector(bench, "--container", "db")
    try:
        service.load(*LOADS["200 x 40"])
        programs = json.loads(run("bpftool", "-j", "prog", "show"))
    finally:
        switch.write_text(before)
        collector.stop()
    found = {p["name"]: (p["run_time_ns"] / p["run_cnt"], p["run_cnt"]) for p in programs
             if p.get("name", "").startswith("cosmos_") and p.get("run_cnt")}  # fmt: skip
    for name, (ns, n) in found.items():
        print(f"mysql 200 x 40, {name}: {ns:.0f} ns x {n:,} (statistics themselves included)")
    return found


# --- getppid ------------------------------------------------------------------------------------


def getppid(bench):
    """ns a call, the other core being the tracer's."""
    loop = [bench.caller, "loop", "1", "200000", "5"]

    def least(process):
        return min(float(line) for line in process.communicate(timeout=300)[0].split())

    def here(*prefix):
        process = subprocess.Popen([*prefix, *map(str, loop)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return least(process)

    def watched(backend="bpf", inside=True):
        with cgroup(1) as path:
            collector = Collector(bench, backend=backend, cpu=0)
            try:
                return least(contained(path, loop)) if inside else here()
            finally:
                collector.stop()

    def beside(*command):
        tracer = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(4)
        try:
            return here()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(60)

    ways = {"ours, bpf, as JSON into a pipe": watched, "ours, on a process of the host": lambda: watched(inside=False)}
    if shutil.which("bpftrace"):
        ways["bpftrace, counting by thread"] = lambda: beside("bpftrace", "-e", "tracepoint:raw_syscalls:sys_exit /comm == \"caller\"/ { @[tid] = count(); }")
        ways["bpftrace, printing each"] = lambda: beside("bpftrace", "-e", "tracepoint:raw_syscalls:sys_exit /comm == \"caller\"/ { printf(\"%d %d\\n\", tid, args->id); }")
    if shutil.which("perf"):
        ways["perf trace"] = lambda: here("perf", "trace", "-o", "/dev/null")
    if shutil.which("sysdig"):
        ways["sysdig"] = lambda: beside("sysdig", "proc.name=caller")
    if shutil.which("strace"):
        ways["strace -f"] = lambda: here("strace", "-f", "-o", "/dev/null")
    if bench.args.audit:
        ways["ours, audit"] = lambda: watched("audit")
    results = {}
    for name, way in ways.items():
        try:
            pairs = in_pairs(min(bench.args.pairs, 5), here, way)
        except (RuntimeError, ValueError) as error:
            print(f"getppid, {name}: does not run here ({error})")
            continue
        none, with_ = (statistics.median(side) for side in zip(*pairs))
        print(f"getppid, {name}: {with_:.0f} ns a call, {with_ - none:+.0f} over {none:.0f}", flush=True)
        results[name] = pairs
    return results


# --- loss, delay, memory -------------------------------------------------------------------------


def loss(bench):
    results = {}
    with cgroup(2) as path:
        collector = Collector(bench, cpu=0)
        made = int(contained(path, [bench.caller, "pace", 1, 300_000, bench.args.seconds]).communicate()[0])
        got = collector.stop()
        del got["delays_us"]
        print(f"loss, JSON: {made:,} calls at 300,000/s for {bench.args.seconds} s: {got['lost']} lost, "
              f"{got['lines']:,} lines, {got['cpu'] / bench.args.seconds:.0%} of a core, {got['rss_kib'] / 1024:.1f} MiB",
              flush=True)  # fmt: skip
        results["json"] = got

        for rate in (1_000_000, 10_000_000):
            null = subprocess.Popen(["taskset", "-c", "0", bench.folder / "null_sink"], stderr=subprocess.PIPE, text=True)
            null.stderr.readline()
            made = int(contained(path, [bench.caller, "pace", 1, rate, 20]).communicate()[0])
            null.send_signal(signal.SIGINT)
            said = null.communicate(timeout=60)[1].strip()
            print(f"loss, null sink: {made / 20:,.0f} calls/s (asked for {rate:,}) for 20 s: {said}", flush=True)
            results[f"null {rate}"] = {"made": made, "said": said}

        collector = Collector(bench, drain=20_000)
        callers = [contained(path, [bench.caller, "pace", cpu, 10_000_000, 5]) for cpu in (0, 1, 0, 1)]
        made = sum(int(caller.communicate()[0]) for caller in callers)
        got = collector.stop()
        del got["delays_us"]
        holds = got["seen"] == got["delivered"] + got["lost"] and got["lost_by_lines"] == got["lost"]
        print(f"loss, above capacity: {made:,} calls; seen {got['seen']:,} = delivered {got['delivered']:,} + lost "
              f"{got['lost']:,}; the trace's loss lines say {got['lost_by_lines']:,}: "
              f"{'to the event' if holds else 'NOT EQUAL'}", flush=True)  # fmt: skip
        results["above capacity"] = got
    return results


def delay(bench):
    results = {}
    for name in ("idle", "loaded"):
        with cgroup(3) as path:
            collector = Collector(bench, drain="marks")
            others = []
            if name == "loaded":
                others = [contained(path, [bench.caller, "pace", cpu, 100_000, 32]) for cpu in (0, 1)]
                others += [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2)]
            try:
                contained(path, [bench.caller, "mark", 30]).communicate()
            finally:
                for other in others:
                    other.kill()
                    other.wait()
            got = collector.stop()
        d = sorted(got["delays_us"])
        at = {q: d[min(len(d) - 1, int(q * len(d)))] / 1000 for q in (0.5, 0.99, 0.999)}
        print(f"delay, {name}: p50 {at[0.5]:.2f} ms, p99 {at[0.99]:.2f} ms, p99.9 {at[0.999]:.2f} ms, longest "
              f"{d[-1] / 1000:.2f} ms of {len(d)}; lost {got['lost']}", flush=True)  # fmt: skip
        results[name] = d
    return results


def memory(bench):
    results = {}
    collector = Collector(bench, cpu=0)
    rss = {"start": collector.rss()}
    with cgroup(4) as path:
        for millions in (1, 5, 10):
            n = (millions - max([0, *(k for k in rss if isinstance(k, int))])) * 1_000_000
            contained(path, [bench.caller, "pace", 1, 400_000, n / 400_000]).communicate()
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
    print(f"memory, KiB at containers: {', '.join(f'{k}: {v:,}' for k, v in rss.items())}; lost {got['lost']}", flush=True)
    results["containers"] = rss
    return results


# --- the whole ---------------------------------------------------------------------------------------


def machine():
    cpu = re.search(r"model name\s+: (.*)", Path("/proc/cpuinfo").read_text())[1]
    audit = "auditctl is not here"
    if shutil.which("auditctl"):
        audit = "audit " + run("auditctl", "-s").split("\n")[0] + " (now; the kernel does not say whether it ever was)"
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "audit": audit,
            "load": os.getloadavg()[0]}  # fmt: skip


def main():
    parts = {"mysql": mysql, "loss": loss, "delay": delay, "memory": memory, "getppid": getppid}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", nargs="*", choices=[[], *parts], help="default: all")
    p.add_argument("--pairs", type=int, default=15)
    p.add_argument("--seconds", type=int, default=60, help="of the JSON part of `loss`")
    p.add_argument("--build", type=Path, default=TREE / "build/tests/gcc")
    p.add_argument("--json", type=Path, help="all samples go there")
    p.add_argument("--audit", action="store_true", help="also our audit backend (it changes the kernel until reboot)")
    args = p.parse_args()
    args.build = args.build.resolve()
    os.environ["PATH"] += ":/usr/sbin"
    if os.geteuid() != 0:
        p.error("needs root")
    results = {"machine": machine()}
    print(", ".join(f"{k} {v}" for k, v in results["machine"].items()), flush=True)
    bench = Bench(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for name in args.part or parts:
            results[name] = parts[name](bench)
    finally:
        bench.close()
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
