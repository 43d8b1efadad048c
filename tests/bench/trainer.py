#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What training costs: the trainer in C beside TensorFlow, and beside what the machine can do.

    python3 tests/bench/trainer.py [PART...] [--build FOLDER] [--data ADFA-LD.zip] [--rounds N] [--json FILE]

Needs a build (build/tests/gcc of tests/run.sh, or --build), a C compiler, two cores, and the packages of
models/requirements.txt. The data set is no part of the project; models/adfa_ld.py says what it is. Nothing else
should run meanwhile. Text is on standard error, one line of JSON on standard output.

  steps  calls a second that are learnt from: batches of 64 chunks of 200 calls, embedding 64, one layer of 128, 341
         names, the loss and the optimizer of models/train.py. TensorFlow in every way that promises speed, each in a
         process of its own, which has compiled before it is timed. In rounds whose order is drawn (fixed seed), so that
         whatever else happens to the machine happens to all; given are medians over the rounds, and of ratios the
         median of those within a round. A way that is not ready after --patience seconds is left out, and told.
  whole  the training set of ADFA-LD to early stopping, by cosmos-train and by models/train.py with their defaults,
         one after the other in each of --trainings rounds: wall time, the most memory, NLL on held-out calls

The share of the peak: operations of a step, over those that the cores reach at once in registers in the same round
(limits.c; a multiply-add is two). With E the embedding, U the units, V the names, P the parameters, of a batch of B
chunks of T calls, they are

  matrices     3 * 2 * (B (T - 1) U 4U + B T U V + V E 4U)
  the rest     B T (49 U + 4U + 12 V) + 15 P

Three, because each product has two more on the way back. The first step of a chunk has no state to multiply. The input
product is one of the whole vocabulary, since it is the same wherever a name stands. An addition, a product, a division,
a root, a maximum, a comparison, an exponential is one operation; of a unit 21 on the way forwards (gates and two
hyperbolic tangents) and 28 back, with 4 U to sum up by name; of a logit 12 (softmax, loss, derivative, bias); of
a parameter 15 (norm, clipping, Adam). TensorFlow is held against the same number, whatever it does.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
sys.path[:0] = [str(TREE / "tests/python"), str(TREE / "models"), str(TREE / "bindings/python")]

SEED = 2026
BATCH, LENGTH = 64, 200
EMBEDDING, UNITS, VOCABULARY = 64, 128, 341
STEPS = 6  # of one way in one round
CORES = sorted(os.sched_getaffinity(0))[:2]
SAMPLE_MS = 100  # of the peak
BAR_STEPS, BAR_SECONDS = 3, 120

# What TensorFlow is told; what is not said: 2 threads within an operation, 1 operation at a time.
KERAS = {
    "function": {"how": "function"},
    "function, 1 thread": {"how": "function", "intra": 1},
    "function, 2 operations at a time": {"how": "function", "inter": 2},
    "function, 1 thread, 2 operations at a time": {"how": "function", "intra": 1, "inter": 2},
    "function, without oneDNN": {"how": "function", "onednn": 0},
    "function, XLA": {"how": "function", "xla": True},
    "function, unrolled": {"how": "function", "unroll": True},
    "function, unrolled, 2 operations at a time": {"how": "function", "unroll": True, "inter": 2},
    "function, unrolled, XLA": {"how": "function", "unroll": True, "xla": True},
    "fit": {"how": "fit"},
    "fit, 2 operations at a time": {"how": "fit", "inter": 2},
    "fit, XLA": {"how": "fit", "xla": True},
    "fit, unrolled": {"how": "fit", "unroll": True},
    "function, padding masked, deterministic": {"how": "function", "mask": True, "deterministic": True},
}


def show(text=""):
    print(text, file=sys.stderr, flush=True)


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{command} ended with {result.returncode}: {result.stderr or result.stdout}")
    return result.stdout


def parameters():
    return VOCABULARY * EMBEDDING + 4 * UNITS * (EMBEDDING + UNITS + 1) + (UNITS + 1) * VOCABULARY


def operations():
    """Of a step."""
    calls = BATCH * LENGTH
    matrices = BATCH * (LENGTH - 1) * 4 * UNITS**2 + calls * UNITS * VOCABULARY + VOCABULARY * EMBEDDING * 4 * UNITS
    return 3 * 2 * matrices + calls * (53 * UNITS + 12 * VOCABULARY) + 15 * parameters()


def ids():
    """[inputs and targets][BATCH][LENGTH]: few names often, as in a trace."""
    import numpy as np

    drawn = np.random.default_rng(SEED).geometric(0.05, (2, BATCH, LENGTH))
    return np.minimum(drawn, VOCABULARY - 1).astype(np.int32)


# --- TensorFlow, in a process of its own ----------------------------------------------------------


def network(unroll):
    import export
    import keras

    network = export.build(VOCABULARY, EMBEDDING, [UNITS], ["name"])
    if not unroll:
        return network

    def clone(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, "unroll": True} if "unroll" in config else config)

    inputs = keras.Input(batch_shape=(BATCH, LENGTH), dtype="int32", name="name")
    return keras.models.clone_model(network, input_tensors=[inputs], clone_function=clone)


def loss_of(targets, logits):
    """That of models/train.py at each call, in one pass over the logits where that needs two."""
    import tensorflow as tf
    import train

    targets = tf.cast(targets, tf.int32)  # fit() makes floats of them
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    target = tf.gather(logits, targets, axis=-1, batch_dims=2)
    return nll + train.SMOOTHING * (target - tf.reduce_mean(logits, axis=-1))


def function(way, network, optimizer, inputs, targets):
    """A function: so many steps of a loop of one's own."""
    import tensorflow as tf

    weights = tf.ones([BATCH, LENGTH])

    def step(inputs, targets, weights):
        with tf.GradientTape() as tape:
            losses = loss_of(targets, network(inputs, training=True))
            if way.get("mask"):
                loss = tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
            else:
                loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, [v.value for v in network.trainable_variables]))
        return loss

    compiled = tf.function(step, jit_compile=way.get("xla", False), autograph=False)

    def steps(n):
        for _ in range(n):
            loss = compiled(inputs, targets, weights)
        return float(loss)

    return steps


def fit(way, network, optimizer, inputs, targets):
    import tensorflow as tf

    network.compile(optimizer, loss=loss_of, jit_compile=way.get("xla", False))
    options = tf.data.Options()
    options.autotune.enabled = False  # there is nothing to tune, and it takes time
    data = tf.data.Dataset.from_tensors((inputs, targets)).cache().repeat().with_options(options)

    def steps(n):
        return network.fit(data, steps_per_epoch=n, epochs=1, verbose=0).history["loss"][-1]

    return steps


def serve(way):
    """A line asks for so many steps, a line answers with the seconds that they took."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS=str(way.get("onednn", 1)))
    import keras
    import tensorflow as tf
    import train

    tf.config.threading.set_intra_op_parallelism_threads(way.get("intra", 2))
    tf.config.threading.set_inter_op_parallelism_threads(way.get("inter", 1))
    keras.utils.set_random_seed(SEED)
    if way.get("deterministic"):
        tf.config.experimental.enable_op_determinism()
    optimizer = keras.optimizers.Adam(train.LEARNING_RATE, global_clipnorm=train.CLIP)
    built = network(way.get("unroll", False))
    optimizer.build(built.trainable_variables)
    steps = {"function": function, "fit": fit}[way["how"]](way, built, optimizer, *map(tf.constant, ids()))
    steps(2)
    print("ready", flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        steps(int(line))
        print(time.perf_counter() - begun, flush=True)


class Asked:
    """A program that answers each line with one."""

    def __init__(self, *command, core=None, errors=None):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
            preexec_fn=(lambda: os.sched_setaffinity(0, {core})) if core is not None else None,
        )

    def ask(self, text):
        self.process.stdin.write(f"{text}\n")

    def answer(self, patience=600):
        if not select.select([self.process.stdout], [], [], patience)[0]:
            return None
        return self.process.stdout.readline().strip() or None

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


# --- steps ------------------------------------------------------------------------------------------


class Ours:
    """The C network on the same calls, from random weights."""

    def __init__(self, build):
        import conftest
        import network_steps
        import numpy as np
        import train

        inputs, targets = ids()
        self._steps, self._build = network_steps, build
        self._shape = network_steps.Shape(VOCABULARY, EMBEDDING, [UNITS])
        drawn = conftest.weights(np.random.default_rng(SEED), VOCABULARY, [UNITS], EMBEDDING, "name")
        self._weights = {name: value / 8 for name, value in drawn.items()}
        self._batch = network_steps.Batch(
            np.full(BATCH, LENGTH), inputs[:, :, None], targets, rate=train.LEARNING_RATE
        )
        self._rest = train.CLIP, train.SMOOTHING

    def __call__(self, threads, isa):
        """Seconds a step. The first is not counted: memory is met in it for the first time."""
        settings = self._steps.Settings(*self._rest, threads, isa)
        found = self._steps.run(self._build, self._shape, settings, self._weights, [self._batch] * (STEPS + 1))
        return float(found.seconds[1:].mean())


def begin_keras(ways_out, patience):
    """Those that are ready, and why the others are not."""
    ready, missing = {}, {}
    for name, way in KERAS.items():
        begun = time.monotonic()
        asked = Asked(sys.executable, __file__, "--serve", json.dumps(way), errors=subprocess.DEVNULL)
        if asked.answer(patience) == "ready":
            ready[name] = asked
            ways_out.callback(asked.close)
        else:
            late = time.monotonic() - begun >= patience
            missing[name] = f"not ready after {patience:.0f} s" if late else "it failed"
            asked.close()
        show(f"  {name}: {missing.get(name, f'ready after {time.monotonic() - begun:.0f} s')}")
    return ready, missing


def peaks(limits, isas):
    """Operations a second of one core, and of two at once."""
    found = {}
    for isa in isas:
        for n in range(1, len(CORES) + 1):
            for asked in limits[:n]:
                asked.ask(f"f32 {isa} {SAMPLE_MS}")
            found[f"{n} {isa}"] = 2 * sum(float(asked.answer()) for asked in limits[:n])
    return found


def one_round(order, keras, ours, limits, isas):
    """Seconds a step of every way, operations a second of the cores."""
    ways = {name: lambda asked=asked: ask_steps(asked) for name, asked in keras.items()}
    for n in range(1, len(CORES) + 1):
        for isa in isas:
            ways[f"{n} {isa}"] = lambda n=n, isa=isa: ours(n, isa)
    names = list(ways)
    order.shuffle(names)
    return {name: ways[name]() for name in names}, peaks(limits, isas)


def ask_steps(asked):
    asked.ask(STEPS)
    return float(asked.answer()) / STEPS


def steps(args):
    os.sched_setaffinity(0, CORES)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ways_out:
        run("cc", "-O3", HERE / "limits.c", "-o", Path(folder) / "limits")
        limits = [Asked(Path(folder) / "limits", core=core) for core in CORES]
        for asked in limits:
            ways_out.callback(asked.close)
        limits[0].ask("isas")
        isas = [isa for isa in limits[0].answer().split() if isa != "avx512vnni"]  # int8, which training has not
        keras, missing = begin_keras(ways_out, args.patience)
        if not keras:
            raise SystemExit("trainer.py: TensorFlow can't be run (pip install -r models/requirements.txt)")
        ours, order, rounds = Ours(args.build), random.Random(SEED), []
        for i in range(args.rounds):
            rounds.append(one_round(order, keras, ours, limits, isas))
            show(f"  round {i + 1}/{args.rounds}")
    return summary(rounds, list(keras), missing, isas)


def summary(rounds, keras, missing, isas):
    median = lambda of: statistics.median(of(*one) for one in rounds)
    times = {name: median(lambda times, _, name=name: times[name]) for name in rounds[0][0]}
    fastest, mine = min(keras, key=times.get), f"{len(CORES)} {isas[0]}"
    share = {}
    for name in times:
        of = name if name not in keras else mine
        share[name] = median(lambda times, peaks, name=name, of=of: operations() / times[name] / peaks[of])
    return {
        "calls_per_s": {name: BATCH * LENGTH / t for name, t in times.items()},
        "share_of_peak": share,
        "peak_flops": {name: median(lambda _, peaks, name=name: peaks[name]) for name in rounds[0][1]},
        "operations_a_step": operations(),
        "fastest_of_tensorflow": fastest,
        "ratio": median(lambda times, _: times[fastest] / times[mine]),
        "ratio_of_each_round": [times[fastest] / times[mine] for times, _ in rounds],
        "missing": missing,
    }


def show_steps(found):
    show(f"\n{'':46}{'calls/s':>10}{'of peak':>9}")
    for name, rate in sorted(found["calls_per_s"].items(), key=lambda item: -item[1]):
        mine = re.fullmatch(r"(\d) (\w+)", name)
        label = f"libcosmos, {mine[2]}, threads: {mine[1]}" if mine else f"TensorFlow, {name}"
        show(f"{label:46}{rate:10.0f}{found['share_of_peak'][name]:8.0%}")
    for name, why in found["missing"].items():
        show(f"{'TensorFlow, ' + name:46}{why:>19}")
    for name, peak in found["peak_flops"].items():
        show(f"peak, {name.split()[1]}, cores: {name.split()[0]}: {peak / 1e9:.0f} GFLOP/s")
    verdict = "met" if found["ratio"] >= BAR_STEPS else "missed"
    show(f"{found['ratio']:.2f} times as fast as the fastest way of TensorFlow ({BAR_STEPS}: {verdict})")


# --- whole --------------------------------------------------------------------------------------------


def train(folder, name, *command):
    """Seconds, the most memory in bytes, NLL on held-out calls."""
    import cosmos

    output, begun = folder / f"{name}.bin", time.monotonic()
    with open(folder / f"{name}.log", "w+") as log:
        started = [*map(str, command), "-o", str(output), str(folder / "trace.jsonl")]
        process = subprocess.Popen(started, stdout=log, stderr=log)
        status, usage = os.wait4(process.pid, 0)[1:]
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        if status:
            log.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}: {log.read()}")
    nll = float(cosmos.Model(output).metadata("cosmos.prior_mean"))
    return {"seconds": seconds, "memory": usage.ru_maxrss * 1024, "held_out_nll": nll}


def whole(args):
    os.sched_setaffinity(0, CORES)
    os.environ["PYTHONPATH"] = str(TREE / "bindings/python")
    ways = {
        "cosmos-train": [args.build / "cli/cosmos-train", "--threads", len(CORES)],
        "models/train.py": [sys.executable, TREE / "models/train.py"],
    }
    with tempfile.TemporaryDirectory() as name:
        folder, rounds = Path(name), []
        run(sys.executable, TREE / "models/adfa_ld.py", args.data, "-o", folder / "trace.jsonl")
        for i in range(args.trainings):
            found = {way: train(folder, Path(way).stem, *command) for way, command in ways.items()}
            rounds.append(found)
            said = ", ".join(f"{way} {one['seconds']:.0f} s" for way, one in found.items())
            show(f"  training {i + 1}/{args.trainings}: {said}")
    median = lambda way, key: statistics.median(found[way][key] for found in rounds)
    return {way: {key: median(way, key) for key in rounds[0][way]} for way in ways}


def show_whole(found):
    show(f"\n{'':20}{'time':>8}{'memory':>12}{'held-out NLL':>15}")
    for way, one in found.items():
        show(f"{way:20}{one['seconds']:6.1f} s{one['memory'] / 2**20:8.0f} MiB{one['held_out_nll']:15.4f}")
    verdict = "met" if found["cosmos-train"]["seconds"] <= BAR_SECONDS else "missed"
    show(f"{BAR_SECONDS} s: {verdict}")


PARTS = {"steps": (steps, show_steps), "whole": (whole, show_whole)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", nargs="*", choices=[[], *PARTS], help="default: steps, and whole if there is --data")
    p.add_argument("--build", type=Path, default=TREE / "build/tests/gcc")
    p.add_argument("--data", type=Path, metavar="ADFA-LD.zip")
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--trainings", type=int, default=1)
    p.add_argument("--patience", type=float, default=300, help="seconds for a way of TensorFlow to compile")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the line there too")
    p.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    args = p.parse_args()
    args.build = args.build.resolve()
    os.environ.setdefault("COSMOS_LIBRARY", str(args.build / "lib/libcosmos.so"))
    if args.serve:
        return serve(args.serve)
    if len(CORES) < 2:
        p.error("two cores are needed")
    parts = args.part or ["steps"] + ["whole"] * (args.data is not None)
    if "whole" in parts and not args.data:
        p.error("whole needs --data")
    result = {"bench": "trainer", "machine": platform.machine(), "cores": len(CORES), "rounds": args.rounds}
    for name in parts:
        measure, tell = PARTS[name]
        result[name] = measure(args)
        tell(result[name])
    line = json.dumps(result)
    print(line)
    if args.json:
        args.json.write_text(line + "\n")


if __name__ == "__main__":
    main()
