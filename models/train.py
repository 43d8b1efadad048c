#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Learn the system calls of a container from traces of its normal life.

    python models/train.py trace.jsonl -o model.bin

data.py makes chunks of tokens, export.py defines the network and writes it, here
it is trained, calibrate.py finds its threshold. docs/training.md says why.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import platform
import sys
import time

try:
    import numpy as np

    import cosmos

    import calibrate
    import data as traces
    import export
except ImportError as e:
    print(f"train.py: {e}", file=sys.stderr)
    sys.exit(2)

BATCH = 64  # chunks
EPOCH = 2000  # chunks at most, so that an epoch takes seconds however long the traces are
VALIDATION = 1000  # chunks at most
LEARNING_RATE = 1e-2
PATIENCE = 2  # epochs without a gain, each of which halves the learning rate
GAIN = 1e-3  # nats a call; less is none
# Share of the target's probability that is spread over the vocabulary. It bounds
# the surprise at a call that was never seen: about ln(V / SMOOTHING) nats.
SMOOTHING = 1e-3
# Share of input names that are made <unknown>, which training traces hardly hold.
UNKNOWN = 5e-3
# A window of n calls weighs n : PRIOR_COUNT against the mean. Five, because a
# process of a few calls should have to surprise by more than its first one or two.
PRIOR_COUNT = 5.0


def arguments() -> argparse.Namespace:
    def at_least(low, kind):
        def parse(text):
            value = kind(text)
            if not low <= value < math.inf:
                raise argparse.ArgumentTypeError(f"{text} is not {low} or more")
            return value

        return parse

    def share(text):
        value = float(text)
        if not 0 < value <= 1:
            raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to 1")
        return value

    p = argparse.ArgumentParser(description="Learn the system calls of a container from traces of its normal life.")
    p.add_argument("traces", nargs="+", metavar="TRACE", help="trace.jsonl or audit.log, of normal life only")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file to write")
    p.add_argument(
        "--container", action="append", default=[], metavar="C", help="only this name, id or image (repeatable)"
    )
    p.add_argument("--unit", choices=["process", "thread"], help="what one sequence is: thread where the trace knows them")
    p.add_argument(
        "--fields", choices=["name", "name,errno"], default="name,errno", help="what the network is told of a call"
    )
    p.add_argument("--layers", type=at_least(1, int), default=1, help="LSTM layers")
    p.add_argument("--units", type=at_least(1, int), default=128, help="width of each LSTM layer")
    p.add_argument("--embedding", type=at_least(1, int), default=64, help="width of the embedding")
    p.add_argument("--epochs", type=at_least(1, int), default=30, help="at most; it stops by itself")
    p.add_argument("--window", type=at_least(1, int), default=100, help="calls in a scored window")
    p.add_argument("--hop", type=at_least(1, int), default=50, help="calls from one score to the next")
    p.add_argument("--quantile", type=share, default=0.999, help="of normal windows that are to be called normal")
    p.add_argument(
        "--margin",
        type=at_least(0, float),
        default=0.08,
        help="share of never seen calls that a normal window may hold on top",
    )
    p.add_argument("--seed", type=at_least(0, int), default=1)
    args = p.parse_args()
    if args.hop > args.window:
        p.error(f"--hop {args.hop} is more than --window {args.window}: calls between windows would never be scored")
    if args.layers > 8:
        p.error("--layers can be 8 at most")
    if args.units > 4096 or args.embedding > 4096:
        p.error("--units and --embedding can be 4096 at most")
    return args


class Progress:
    """A line an epoch on stderr, and on a terminal one that moves within it."""

    def __init__(self):
        self._live = sys.stderr.isatty()

    def within(self, text: str) -> None:
        if self._live:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        print(f"\r\033[K{text}" if self._live else text, file=sys.stderr, flush=True)


class Trainer:
    """The network, one step of training, and the mean NLL of a part."""

    def __init__(self, data, args, counts):
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # no news of devices
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # nor of kernels whose sums come in another order
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(args.seed)
        tf.config.experimental.enable_op_determinism()
        self._rng = np.random.default_rng(args.seed)
        self._fields = args.fields.split(",")
        self.network = export.build(len(data.vocab), args.embedding, [args.units] * args.layers, self._fields)
        # Start from the frequencies of the calls, and learn only what context adds.
        self.network.get_layer("dense").bias.assign(np.log((counts + 1) / (counts + 1).sum()))
        self.optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)
        self.optimizer.build(self.network.trainable_variables)

        def losses(inputs, targets, weights, training):
            logp = tf.nn.log_softmax(self.network(inputs, training=training))
            nll = -tf.gather(logp, targets, axis=-1, batch_dims=2)
            smooth = (1 - SMOOTHING) * nll - SMOOTHING * tf.reduce_mean(logp, axis=-1)
            calls = tf.reduce_sum(weights)
            return tf.reduce_sum(smooth * weights) / calls, tf.reduce_sum(nll * weights), calls

        @tf.function(autograph=False)
        def step(inputs, targets, weights):
            with tf.GradientTape() as tape:
                loss, nll, calls = losses(inputs, targets, weights, True)
            variables = self.network.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            return nll, calls

        @tf.function(autograph=False)
        def evaluate(inputs, targets, weights):
            return losses(inputs, targets, weights, False)[1:]

        self._step, self._evaluate, self._tf = step, evaluate, tf

    def _tensors(self, batch):
        inputs = [self._tf.constant(batch.inputs[:, :, i]) for i in range(len(self._fields))]
        return inputs, self._tf.constant(batch.targets), self._tf.constant(batch.weights)

    def epoch(self, chunks, n, progress) -> float:
        """Train on `n` drawn chunks; the mean NLL on the way."""
        picks, total, calls, begun = chunks.drawn(self._rng, n), 0.0, 0.0, time.monotonic()
        for i, batch in enumerate(chunks.batches(picks, BATCH)):
            names = batch.inputs[:, :, 0]
            names[(self._rng.random(names.shape) < UNKNOWN) & (names != 0)] = 1
            nll, k = self._step(*self._tensors(batch))
            total, calls = total + float(nll), calls + float(k)
            done, seconds = min(n, (i + 1) * BATCH), time.monotonic() - begun
            progress(f"{done}/{n} chunks, loss {total / calls:.3f}, {seconds:.0f} s")
        return total / calls

    def mean_nll(self, chunks) -> float:
        total = calls = 0.0
        for batch in chunks.batches(chunks.all(VALIDATION), BATCH):
            nll, k = self._evaluate(*self._tensors(batch))
            total, calls = total + float(nll), calls + float(k)
        return total / calls


def fit(trainer, train, stop, epochs, progress) -> float:
    """Train until the second part gains no more; leaves the best weights, returns their mean NLL there."""
    best, weights, without = math.inf, None, 0
    n = min(EPOCH, max(4 * BATCH, 4 * len(train)))
    for epoch in range(1, epochs + 1):
        begun, head = time.monotonic(), f"epoch {epoch}/{epochs}"
        loss = trainer.epoch(train, n, lambda text, head=head: progress.within(f"{head}: {text}"))
        value = trainer.mean_nll(stop)
        progress.line(
            f"{head}: loss {loss:.3f}, held-out loss {value:.3f}, "
            f"perplexity {math.exp(value):.2f}, {time.monotonic() - begun:.1f} s"
        )
        without = 0 if value < best - GAIN else without + 1
        if value < best:
            best, weights = value, trainer.network.get_weights()
        if without:
            trainer.optimizer.learning_rate.assign(trainer.optimizer.learning_rate / 2)
        if without > PATIENCE:
            break
    trainer.network.set_weights(weights)
    return best


def describe(data, args) -> dict:
    """The metadata that is known before training."""
    import keras
    import tensorflow

    versions = {
        "cosmos": cosmos.version(),
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "tensorflow": tensorflow.__version__,
    }
    trained_on = {"calls": len(data.tokens), "sequences": len(data.offsets) - 1, "traces": data.traces}
    return {
        "cosmos.format": "1",
        "cosmos.arch": "lstm",
        "cosmos.gates": "ifgo",
        "cosmos.layers": ",".join([str(args.units)] * args.layers),
        "cosmos.embedding": str(args.embedding),
        "cosmos.vocab": json.dumps(data.vocab),
        "cosmos.tokens": args.fields,
        "cosmos.unit": args.unit,
        "cosmos.window": str(args.window),
        "cosmos.hop": str(args.hop),
        "cosmos.score": "shrunk_mean",
        "cosmos.prior_count": repr(PRIOR_COUNT),
        "cosmos.source": data.source,
        "cosmos.calls": data.call_set,
        "cosmos.trained_on": json.dumps(trained_on),
        "cosmos.seed": str(args.seed),
        "cosmos.versions": json.dumps(versions),
    }


def read(args, progress):
    """The traces and their three parts, or why they can't be trained on."""
    args.unit = args.unit or traces.natural_unit(args.traces[0])
    data = traces.read(args.traces, args.unit, args.container)
    bounds = traces.split(data)
    sizes = (bounds[:, 1:] - bounds[:, :-1]).sum(axis=0)
    progress.line(
        f"read {len(data.tokens)} calls in {len(data.offsets) - 1} sequences, {len(data.vocab) - 2} different names; "
        f"in order of time {sizes[0]} to learn, {sizes[1]} to stop by, {sizes[2]} to calibrate"
    )
    windows = args.window + (calibrate.MIN_SCORES - 1) * args.hop
    least = math.ceil(windows / (1 - traces.CUTS[1]))
    if len(data.tokens) < least:
        raise traces.BadInput(f"{len(data.tokens)} calls are too few: collect {least} at least, better 100000")
    if not sizes.all():
        raise traces.BadInput("the calls stand too close in time to be cut into three parts: collect for longer")
    return data, bounds


def report(args, data, bounds, counts, mean, scores, quantile, theta, size) -> None:
    later = traces.names(data, bounds[:, 1:3])
    unigram = -np.log((counts + 1) / (counts + 1).sum())[later].mean()
    few = ", so few that it is the highest" if len(scores) * (1 - args.quantile) < 1 else ""
    print(f"{args.output}: LSTM {args.layers} x {args.units}, {size / 1024:.0f} KiB")
    print(f"  perplexity  {math.exp(mean):.2f} on later calls; by the frequency of calls alone {math.exp(unigram):.2f}")
    print(f"  normal      median {np.median(scores):.4f}, highest {scores.max():.4f} nats a call")
    print(f"  quantile    {quantile:.4f} ({args.quantile:g} of {len(scores)} later windows{few})")
    print(f"  threshold   {theta:.4f} (room for {args.margin:.0%} more calls that were never seen)")
    print(f"  above it    {np.mean(scores > theta):.2%} of these windows")


def run(args) -> None:
    progress = Progress()
    export.check_writable(args.output)
    data, bounds = read(args, progress)
    counts = np.bincount(traces.names(data, bounds[:, 0:2]), minlength=len(data.vocab))
    trainer = Trainer(data, args, counts)
    train, stop = traces.Chunks(data, bounds[:, 0:2]), traces.Chunks(data, bounds[:, 1:3])
    mean = fit(trainer, train, stop, args.epochs, progress)

    progress.within("calibrating")
    weights = export.tensors(trainer.network)
    metadata = {**describe(data, args), "cosmos.prior_mean": repr(mean)}
    model = cosmos.Model.from_bytes(export.serialise(weights, metadata), args.output)
    scores = calibrate.calibration_scores(model, data, bounds)
    quantile = calibrate.quantile_of(scores, args.quantile)
    theta = quantile + args.margin * calibrate.surprise(len(data.vocab), SMOOTHING)
    metadata["cosmos.threshold"] = repr(theta)
    metadata["cosmos.quantile"] = repr(args.quantile)
    metadata["cosmos.threshold_rule"] = f"{quantile!r} of {len(scores)} scores, and {args.margin:g} unseen calls"
    contents = export.serialise(weights, metadata)
    cosmos.Model.from_bytes(contents, args.output)  # what can't be read back is not written
    export.write(args.output, contents)
    progress.within("")
    report(args, data, bounds, counts, mean, scores, quantile, theta, len(contents))


def main() -> int:
    logging.basicConfig(format="train.py: %(message)s")
    args = arguments()
    try:
        run(args)
    except (traces.BadInput, cosmos.CosmosError) as e:
        print(f"train.py: {e}", file=sys.stderr)
        return 2
    except ImportError as e:
        print(f"train.py: {e}: pip install -r models/requirements.txt", file=sys.stderr)
        return 2
    except OSError as e:
        named = f": {e.filename}" if e.filename else ""
        print(f"train.py: {e.strerror or e}{named}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ntrain.py: interrupted, nothing written", file=sys.stderr)
        sys.exit(130)
