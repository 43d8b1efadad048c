#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a second worker brings: models/train.py on two workers beside one with the doubled batch.

    COSMOS_LIBRARY=BUILD/lib/libcosmos.so python3 tests/bench/distributed.py [--rounds N] [--json FILE]

Needs the packages of models/requirements.txt, and two cores. The workers are on loopback and each is held on
a core of its own, in place of two machines; beside them one worker on one core, and one on both. In rounds, so that
whatever else happens to the machine happens to all. Given are medians over the rounds of an epoch's time (2,000
chunks of 200 calls, and the held-out part), without the first epoch, in which TensorFlow compiles.

The table is on standard error, one line of JSON on standard output.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TREE / "tests/python"))

import loopback  # noqa: E402

TRACE = TREE / "examples/traces/learn.jsonl.gz"
SHORT = TREE / "examples/traces/normal.jsonl.gz"
BATCH = 64  # chunks of each of two workers
CHUNKS = 2000  # of an epoch
CHUNK = 200  # calls
EPOCHS = 4
CORES = sorted(os.sched_getaffinity(0))[:2]
# Each way: the cores of each of its workers.
WAYS = {
    "one worker, one core": [CORES[:1]],
    "two workers, a core each": [CORES[:1], CORES[1:]],
    "one worker, both cores": [CORES],
}
ONE, TWO, BOTH = WAYS


def train(cores, output, *arguments):
    """Run a worker on each of `cores`; what the first one said."""
    n, running = len(cores), []
    env = {**os.environ, "PYTHONPATH": str(TREE / "bindings/python"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        for mine, configuration in zip(cores, loopback.cluster(n)[1]):
            more = ["--strategy", "multiworker"] if n > 1 else []
            command = [sys.executable, TREE / "models/train.py", "-o", output, *arguments, *more]
            running.append(
                subprocess.Popen(
                    list(map(str, command)),
                    env={**env, "TF_CONFIG": configuration},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    preexec_fn=lambda mine=mine: os.sched_setaffinity(0, mine),
                )
            )
        said = [process.communicate(timeout=1800)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    if any(process.returncode for process in running):
        raise RuntimeError(f"training ended with {[process.returncode for process in running]}: {said}")
    return said[0]


def seconds(cores, folder):
    """Of an epoch: the median without the first one."""
    batch = 2 * BATCH // len(cores)
    said = train(cores, folder / "model.bin", TRACE, "--epochs", EPOCHS, "--batch", batch)
    found = [float(text) for text in re.findall(r"^epoch .* ([0-9.]+) s$", said, re.MULTILINE)]
    return statistics.median(found[1:])


def difference(folder):
    """The largest of a weight, after 50 steps by two workers and by one with the doubled batch. At Adam's usual rate:
    at the one that is the default here, training magnifies the rounding that the order of a sum makes."""
    import numpy as np

    sys.path.insert(0, str(TREE / "models"))
    import export

    found = []
    for way in (ONE, TWO):
        cores = WAYS[way]
        arguments = ["--epochs", 2, "--batch", 16 // len(cores), "--learning-rate", 0.001]  # 400 chunks an epoch
        train(cores, folder / "model.bin", SHORT, *arguments)
        found.append(export.parse((folder / "model.bin").read_bytes())[0])
    return max(float(np.abs(found[0][name] - found[1][name]).max()) for name in found[0])


def main():
    p = argparse.ArgumentParser(description="What a second worker brings in distributed training.")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", metavar="FILE", help="write the line there too")
    args = p.parse_args()
    if len(CORES) < 2:
        p.error("two cores are needed")
    show = lambda text: print(text, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rounds = []
        for i in range(args.rounds):
            rounds.append({way: seconds(cores, Path(folder)) for way, cores in WAYS.items()})
            show(f"round {i + 1}/{args.rounds}: " + ", ".join(f"{way} {t:.1f} s" for way, t in rounds[-1].items()))
        apart = difference(Path(folder))
    times = {way: statistics.median(found[way] for found in rounds) for way in WAYS}
    ratio = lambda way: statistics.median(found[ONE] / found[way] for found in rounds)
    result = {
        "bench": "distributed",
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rounds": args.rounds,
        "epoch_s": times,
        "calls_per_s": {way: CHUNKS * CHUNK / t for way, t in times.items()},
        "speed_up": {way: ratio(way) for way in (TWO, BOTH)},
        "largest_difference_after_50_steps": apart,
    }
    show(f"\n{'':26}{'epoch':>8}{'calls/s':>10}{'beside one':>12}")
    for way, t in times.items():
        show(f"{way:26}{t:6.1f} s{CHUNKS * CHUNK / t:10.0f}{ratio(way):11.2f}x")
    show(
        f"\nAfter 50 steps no weight of two workers is further than {apart:.1e} from that of one with the doubled"
        "\nbatch. On one machine two workers share its memory and caches, and what they exchange goes through the"
        "\nloopback: the first ratio says what the exchange costs, not what a second machine brings. The threads of"
        "\none worker use both cores too: where the second ratio is the higher, one worker is the better use of it."
    )
    line = json.dumps(result)
    print(line)
    if args.json:
        Path(args.json).write_text(line + "\n")


if __name__ == "__main__":
    main()
