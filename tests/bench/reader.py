#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a trace is read: the reader alone, with resolver and sequencer, and what it is compared with.

    python3 tests/bench/reader.py [--build FOLDER] [--lines N] [--sequences N] [--rounds N] [--json FILE]

Needs a build (build/tests/gcc of tests/run.sh, or --build) and jansson. A trace of the bpf backend's full format is
made of the calls of examples/traces, in memory, with `--sequences` threads whose calls come at random, and removed
afterwards. Each part is a process of its own on one core, which passes over the trace once; given is the median
of its CPU time over the rounds, in which the parts take turns. The limits are those of this machine:
`newlines` reads the file and finds the lines' ends, `sum` reads it and adds up its bytes. tests/bench/reader.c
says what each part does.
"""
import argparse
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
SEED = 2026
PARTS = ("read", "newlines", "sum", "jansson", "reader", "resolver", "sequencer")
CONTAINERS = 8


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{command} ended with {result.returncode}: {result.stderr or result.stdout}")
    return result.stdout


def calls():
    """Calls as examples/traces has them."""
    for path in sorted((TREE / "examples" / "traces").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                call = json.loads(line)
                if "type" not in call:
                    yield call


def line_of(i, call, thread):
    """A call as a line of the bpf backend, 20 µs after the one before."""
    container, pid, tid = thread
    second, rest = divmod(i * 20_000 + 631_861_220, 1_000_000_000)
    whole = {
        "timestamp": f"2026-11-23T{4 + second // 3600 % 20:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{rest:09d}Z",
        "seq": 25_950_497 + i,
        "container_id": container,
        "container_name": call["container_name"],
        "image": call["image"],
        "pid": pid,
        "tid": tid,
        "ppid": call["ppid"],
        "proc_start": 603_042 + pid,
        "thread_start": 603_042 + tid,
    }
    whole.update((key, call[key]) for key in ("comm", "exe", "arch", "syscall", "nr"))
    whole["args"] = (call["args"] + ["0", "7f3a5c0e21b0"])[:6]
    whole.update((key, call[key]) for key in ("ret", "path", "argv", "addr", "uid") if key in call)
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False) + "\n"


def make_trace(path, lines, sequences):
    draw = random.Random(SEED)
    containers = [f"{draw.getrandbits(256):064x}" for _ in range(CONTAINERS)]
    threads = [(containers[i % CONTAINERS], 14_000 + i // 4 * 4, 14_000 + i) for i in range(sequences)]
    # Not the end of a thread: all of them stay open.
    some = [call for call in calls() if not call["syscall"].startswith("exit")]
    # One stretch of the traces is like another only in part: what is repeated is all of it.
    with open(path, "w", encoding="utf-8") as trace:
        trace.write('{"timestamp":"2026-11-23T04:00:00Z","type":"trace","format":1,"source":"bpf"}\n')
        for i in range(lines):
            trace.write(line_of(i, some[i * 7 % len(some)], threads[draw.randrange(sequences)]))


def compile_reader(build, folder):
    shutil.copy2(build / "lib" / "libcosmos.so.0", folder)
    run("cc", "-O3", HERE / "reader.c", f"-I{TREE}/include", folder / "libcosmos.so.0", "-ljansson",
        f"-Wl,-rpath,{folder}", "-o", folder / "reader")  # fmt: skip
    return folder / "reader"


def measure(reader, trace, lines, rounds):
    times = {part: [] for part in PARTS}
    for i in range(rounds):
        for part in PARTS:
            seconds, seen, *_ = run(reader, part, trace).split()
            if part not in ("read", "sum") and int(seen) != lines:  # it did not read all
                raise RuntimeError(f"{part}: {seen} lines of {lines}")
            times[part].append(float(seconds))
        print(f"round {i + 1} of {rounds}", file=sys.stderr)
    return {part: statistics.median(samples) for part, samples in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=TREE / "build" / "tests" / "gcc")
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--sequences", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="cosmos-bench.", dir=memory) as name:
        folder = Path(name)
        trace = folder / "trace.jsonl"
        make_trace(trace, args.lines, args.sequences)
        times = measure(compile_reader(args.build, folder), trace, args.lines + 1, args.rounds)
        size = trace.stat().st_size
    lines = args.lines + 1
    result = {
        part: {
            "lines_per_second": lines / seconds,
            "ns_per_line": seconds / lines * 1e9,
            "bytes_per_second": size / seconds,
            "of_newlines": times["newlines"] / seconds,
            "of_sum": times["sum"] / seconds,
            "of_jansson": times["jansson"] / seconds,
        }
        for part, seconds in times.items()
    }
    print(f"{lines} lines of {size / lines:.0f} bytes, {args.sequences} sequences, {args.rounds} rounds")
    print(f"{'part':10} {'M lines/s':>10} {'ns/line':>8} {'GB/s':>6} {'/newlines':>10} {'/sum':>6} {'/jansson':>9}")
    for part, r in result.items():
        print(
            f"{part:10} {r['lines_per_second'] / 1e6:10.3f} {r['ns_per_line']:8.0f} {r['bytes_per_second'] / 1e9:6.2f} "
            f"{r['of_newlines']:10.3f} {r['of_sum']:6.2f} {r['of_jansson']:9.2f}"
        )
    if args.json:
        about = {"lines": lines, "bytes": size, "sequences": args.sequences, "rounds": args.rounds}
        args.json.write_text(json.dumps({**about, "parts": result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
