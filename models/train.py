#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Learn the system calls of a container from traces of its normal life, with TensorFlow.

    python models/train.py trace.jsonl -o model.bin

data.py makes chunks of tokens, export.py defines the network and writes it, team.py
knows the machines and devices that train together, here it is trained, checkpoint.py
keeps what a kill must not take, calibrate.py finds the threshold. docs/training.md says
why, docs/training-distributed.md how on many machines.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import logging
import math
import os
import platform
import signal
import sys
import time
import zlib

try:
    import numpy as np

    import cosmos

    import calibrate
    import data as traces
    import export
    import fields
    import script
    import team as teams
    from checkpoint import Checkpoint, State
except ImportError as e:
    print(f"train.py: {e}", file=sys.stderr)
    sys.exit(2)

BATCH = 64  # chunks that a replica takes in one step
EPOCH = 2000  # chunks at most, so that an epoch takes seconds however long the traces are
VALIDATION = 1000  # chunks at most
LEARNING_RATE = 1e-2
PATIENCE = 2  # epochs without a gain, each of which halves the learning rate
GAIN = 1e-3  # nats a call; less is none
CLIP = 1.0  # norm of the gradient
AHEAD = 4  # batches that are made ready before they are asked for
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

    def above_zero(text):
        value = float(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    p = argparse.ArgumentParser(
        description="Learn the system calls of a container from traces of its normal life, with TensorFlow.",
        epilog="On several machines each worker is started with the "
        "same command and its own TF_CONFIG; docs/training-distributed.md has the examples.",
    )
    p.add_argument("traces", nargs="+", metavar="TRACE", help="trace.jsonl or audit.log, of normal life only")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file to write")
    p.add_argument(
        "--card", metavar="FILE", help="the model card to write, with its plot beside it (default: that of -o, and .md)"
    )
    p.add_argument(
        "--container", action="append", default=[], metavar="C", help="only this name, id or image (repeatable)"
    )
    p.add_argument("--init", metavar="MODEL", help="go on from this model file: its shape, vocabulary and weights")
    p.add_argument(
        "--unit", choices=["process", "thread"], help="what one sequence is: thread where the trace knows them"
    )
    p.add_argument(
        "--fields",
        metavar="SCHEME",
        help="what the network is told of a call: name, then any of errno, size/octave (or /half, /quarter), fd, path, "
        f"args, frequency/CALLS, with commas between (default {fields.DEFAULT}; with --init as there)",
    )
    size = at_least(1, int)
    p.add_argument("--layers", type=size, help="LSTM layers (default 1)")
    p.add_argument("--units", type=size, help="width of each LSTM layer (default 128)")
    p.add_argument("--embedding", type=size, help="width of the embedding (default 64)")
    p.add_argument("--epochs", type=size, default=30, help="at most; it stops by itself (default %(default)s)")
    p.add_argument(
        "--batch",
        type=size,
        default=BATCH,
        help="chunks of 200 calls that each replica takes in one step (default %(default)s)",
    )
    p.add_argument(
        "--learning-rate",
        type=above_zero,
        default=LEARNING_RATE,
        help="of Adam, at the beginning (default %(default)s)",
    )
    p.add_argument("--window", type=size, help="calls in a scored window (default 100)")
    p.add_argument("--hop", type=size, help="calls from one score to the next (default 50)")
    p.add_argument("--quantile", type=share, default=0.999, help="of normal windows that are to be called normal")
    p.add_argument(
        "--margin",
        type=at_least(0, float),
        default=0.08,
        help="share of never seen calls that a normal window may hold on top",
    )
    p.add_argument("--seed", type=at_least(0, int), default=1)
    p.add_argument(
        "--strategy",
        choices=teams.STRATEGIES,
        default="default",
        help="default: one device; mirrored: all GPUs of this machine; multiworker: the machines that TF_CONFIG names; "
        "tpu: the TPU that TPU_NAME names",
    )
    p.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="keep the training here after each epoch, and on Ctrl-C; the same command goes on from it",
    )
    p.add_argument("--tensorboard", metavar="DIR", help="write the curves here, for TensorBoard")
    return p.parse_args()


def resolve(args, start) -> None:
    """What was not said: as the model that is gone on from has it, else as usual. `start`: an export.ModelFile."""
    usual = {"fields": fields.DEFAULT, "embedding": 64, "window": 100, "hop": 50}
    said = start.metadata if start else {}
    units = [int(width) for width in said["cosmos.layers"].split(",")] if start else None
    fixed = {}
    if start:
        fixed = {"fields": said["cosmos.tokens"], "unit": said["cosmos.unit"]}
        fixed.update(embedding=int(said["cosmos.embedding"]), layers=len(units))
        if args.units and set(units) != {args.units}:
            raise traces.BadInput(f"--units {args.units}: {args.init} has {said['cosmos.layers']}, which must stay")
        usual.update(window=int(said["cosmos.window"]), hop=int(said["cosmos.hop"]))
    for name, value in fixed.items():
        if getattr(args, name) not in (None, value):
            raise traces.BadInput(f"--{name} {getattr(args, name)}: {args.init} has {value}, which must stay")
        setattr(args, name, value)
    for name, value in usual.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    fields.scheme(fields.of(args.fields))  # or it says what is wrong with it
    args.units = units or [args.units or 128] * (args.layers or 1)
    if args.hop > args.window:
        raise traces.BadInput(
            f"--hop {args.hop} is more than --window {args.window}: calls between windows would never be scored"
        )
    if len(args.units) > 8:
        raise traces.BadInput("--layers can be 8 at most")
    if max(args.units) > 4096 or args.embedding > 4096:
        raise traces.BadInput("--units and --embedding can be 4096 at most")


class Progress:
    """A line an epoch on stderr, and on a terminal one that moves within it."""

    def __init__(self):
        self._live = sys.stderr.isatty()
        self.silent = False

    def within(self, text: str) -> None:
        if self._live and not self.silent:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        if not self.silent:
            print(f"\r\033[K{text}" if self._live else text, file=sys.stderr, flush=True)


class Curves:
    """Scalars for TensorBoard, which reads them but is not needed to write them."""

    def __init__(self, tf, folder):
        self._tf, self._writer = tf, tf.summary.create_file_writer(folder)
        self._metadata = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class=1
        ).SerializeToString()

    def add(self, epoch: int, values: dict) -> None:
        tf = self._tf
        with self._writer.as_default():
            for tag, value in values.items():
                tf.summary.write(tag, tf.constant(value, tf.float32), step=epoch, metadata=self._metadata)
        self._writer.flush()


class Interrupted(Exception):
    """A signal has ended the training, between two steps."""


class Signals:
    """Within it, the first SIGINT or SIGTERM only asks to stop, so that the state can be saved."""

    def __init__(self):
        self.asked = 0

    def __enter__(self):
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number, _frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = number


class Trainer:
    """The network on all replicas, one step of training, and the mean NLL of a part."""

    def __init__(self, team, data, args, counts, start):
        tf = teams.quiet()
        import keras

        keras.utils.set_random_seed(args.seed)
        if args.strategy != "tpu":
            tf.config.experimental.enable_op_determinism()
        self._tf, self._team, self._seed = tf, team, args.seed
        scheme = fields.of(args.fields)
        self._columns, self._frequency = fields.columns(scheme), data.frequency is not None
        self._each, self.batch = args.batch, args.batch * team.size
        with team.strategy.scope():
            self.network = export.build(len(data.vocab), args.embedding, args.units, scheme)
            if start:
                export.assign(self.network, start.weights)
            else:  # from the frequencies of the calls, to learn only what context adds
                self.network.get_layer("dense").bias.assign(np.log((counts + 1) / (counts + 1).sum()))
            self.optimizer = keras.optimizers.Adam(args.learning_rate)
            self.optimizer.build(self.network.trainable_variables)
        self.best = {name: tf.Variable(value) for name, value in export.tensors(self.network).items()}
        self._functions()

    def _functions(self) -> None:
        tf, team, network, optimizer = self._tf, self._team, self.network, self.optimizer
        add = tf.distribute.ReduceOp.SUM

        def losses(rows, training):
            inputs, targets, weights, _ = rows
            logp = tf.nn.log_softmax(network(list(inputs), training=training))
            nll = -tf.gather(logp, targets, axis=-1, batch_dims=2)
            smooth = (1 - SMOOTHING) * nll - SMOOTHING * tf.reduce_mean(logp, axis=-1)
            return tf.reduce_sum(smooth * weights), tf.reduce_sum(nll * weights)

        # optimizer.apply() would clip the gradients of each replica by themselves, and then sum them up.
        def apply(strategy, variables, gradients):
            rate = tf.convert_to_tensor(optimizer.learning_rate)
            for variable, gradient in zip(variables, gradients):
                update = lambda own, *args: optimizer.update_step(args[0], own, args[1])
                strategy.extended.update(variable, update, args=(gradient, rate), group=False)
            optimizer.iterations.assign_add(1)

        def replica_step(rows, stop):
            variables = [variable.value for variable in network.trainable_variables]
            with tf.GradientTape() as tape:
                loss, nll = losses(rows, True)
                loss /= rows[3][0]  # calls of the whole batch, on whichever replica
            # Those of embeddings name rows, some twice: sums, or their norm would be another.
            gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
            context = tf.distribute.get_replica_context()
            *gradients, nll, stop = context.all_reduce(add, [*gradients, nll, tf.identity(stop)])
            gradients, _ = tf.clip_by_global_norm(gradients, CLIP)
            context.merge_call(apply, args=(variables, gradients))
            return nll, stop

        def replica_evaluate(rows):
            return tf.distribute.get_replica_context().all_reduce(add, losses(rows, False)[1])

        self._step = tf.function(lambda *args: team.strategy.run(replica_step, args=args), autograph=False)
        self._evaluate = tf.function(lambda *args: team.strategy.run(replica_evaluate, args=args), autograph=False)

    def _rows(self, chunks, picks, first, epoch):
        """This worker's rows of each batch from the `first` on, made in a thread beside the training: the inputs
        by field, targets, weights, and for each of its replicas the calls of the whole batch. `epoch`: some names
        become <unknown>, in each epoch other ones; None: none do."""
        tf, mine = self._tf, slice(self._team.mine.start * self._each, self._team.mine.stop * self._each)
        n, chunk, replicas = mine.stop - mine.start, traces.CHUNK, len(self._team.mine)

        def generate():
            for step in range(first, -(-len(picks) // self.batch)):
                every = picks[step * self.batch : (step + 1) * self.batch]
                batch = chunks.batch(every[mine], n)
                if epoch is not None:
                    rng = np.random.default_rng([self._seed, epoch, step])
                    names, chance = batch.inputs[:, :, 0], rng.random((self.batch, chunk))[mine]
                    names[(chance < UNKNOWN) & (names != 0)] = traces.UNKNOWN
                inputs = tuple(batch.inputs[:, :, column] for column in self._columns)
                if batch.frequency is not None:
                    inputs += (batch.frequency,)
                calls = np.full(replicas, sum(end - begin for begin, end in every), np.float32)
                yield inputs, batch.targets, batch.weights, calls

        ids, weights = tf.TensorSpec((n, chunk), tf.int32), tf.TensorSpec((n, chunk), tf.float32)
        inputs = (ids,) * len(self._columns)
        if self._frequency:
            inputs += (tf.TensorSpec((n, chunk, 1), tf.float32),)
        signature = (inputs, ids, weights, tf.TensorSpec((replicas,), tf.float32))
        # There is nothing to tune, and the thread that would can take 5 s to end, which each pass waits for.
        options = tf.data.Options()
        options.autotune.enabled = False
        rows = tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(AHEAD)
        return rows.with_options(options)

    def epoch(self, chunks, n, state, signals, progress) -> None:
        """Train on what is left of this epoch's `n` drawn chunks, in `state`."""
        picks = chunks.drawn(np.random.default_rng([self._seed, state.epoch]), n)
        begun, replicas = time.monotonic(), len(self._team.mine)
        for rows in self._rows(chunks, picks, state.step, state.epoch):
            calls = int(rows[3][0])
            stop = self._tf.fill([replicas], float(signals.asked != 0))
            nll, stopped = self._step(*self._team.spread((rows, stop)))
            state.total, state.calls = state.total + float(self._team.first(nll)), state.calls + calls
            state.step += 1
            done, seconds = min(n, state.step * self.batch), time.monotonic() - begun
            progress(f"{done}/{n} chunks, loss {state.total / state.calls:.3f}, {seconds:.0f} s")
            if float(self._team.first(stopped)[0]):
                raise Interrupted

    def mean_nll(self, chunks) -> float:
        picks, total = chunks.all(VALIDATION), 0.0
        for rows in self._rows(chunks, picks, 0, None):
            total += float(self._team.first(self._evaluate(self._team.spread(rows))))
        return total / sum(end - begin for begin, end in picks)

    def keep_best(self) -> None:
        for name, value in export.tensors(self.network).items():
            self.best[name].assign(value)

    def best_weights(self) -> dict:
        return {name: variable.numpy() for name, variable in self.best.items()}

    @property
    def learning_rate(self) -> float:
        return float(self._tf.convert_to_tensor(self.optimizer.learning_rate))

    def slow_down(self) -> None:
        self.optimizer.learning_rate = self.learning_rate / 2


def fit(trainer, parts, epochs, state, checkpoint, curves, progress) -> State:
    """Train until the second part gains no more; the state after it. `parts`: chunks of the first
    part and of the second; `checkpoint`, `curves`: None, or where to keep them."""
    train, stop = parts
    n = max(4 * trainer.batch, min(EPOCH, 4 * len(train)))
    with Signals() as signals:
        while state.epoch <= epochs and state.without <= PATIENCE:
            begun, head = time.monotonic(), f"epoch {state.epoch}/{epochs}"
            try:
                trainer.epoch(train, n, state, signals, lambda text, head=head: progress.within(f"{head}: {text}"))
            except Interrupted:
                if checkpoint:
                    checkpoint.save(state)
                raise
            loss, value = state.total / state.calls, trainer.mean_nll(stop)
            progress.line(
                f"{head}: loss {loss:.3f}, held-out loss {value:.3f}, "
                f"perplexity {math.exp(value):.2f}, {time.monotonic() - begun:.1f} s"
            )
            if curves:
                curves.add(
                    state.epoch, {"loss": loss, "held-out loss": value, "learning rate": trainer.learning_rate}
                )
            point = {"epoch": state.epoch, "loss": loss, "held_out": value, "learning_rate": trainer.learning_rate}
            without = 0 if value < state.best - GAIN else state.without + 1
            if value < state.best:
                trainer.keep_best()
            if without:
                trainer.slow_down()
            state = State(
                epoch=state.epoch + 1,
                best=min(value, state.best),
                without=without,
                curve=[*state.curve, point],
            )
            if checkpoint:
                checkpoint.save(state)
    return state


def training(args, batch) -> dict:
    """What was chosen: the keys that the C trainer has too, and what only this one does."""
    return {
        "optimizer": "Adam",
        "batch": batch,
        "length": traces.CHUNK,
        "epochs_at_most": args.epochs,
        "epoch_chunks_at_most": max(EPOCH, 4 * batch),
        "learning_rate": args.learning_rate,
        "label_smoothing": SMOOTHING,
        "margin": args.margin,
        "unknown_inputs": UNKNOWN,
    }


def describe(data, args, start, batch) -> dict:
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
    trained_on = {
        "calls": len(data.tokens),
        "sequences": len(data.offsets) - 1,
        "traces": data.traces,
        "images": data.images,
    }
    if start:
        trained_on["init"] = start.sha256
    return {
        "cosmos.format": "1",
        "cosmos.arch": "lstm",
        "cosmos.gates": "ifgo",
        "cosmos.layers": ",".join(map(str, args.units)),
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
        "cosmos.training": json.dumps(training(args, batch)),
        "cosmos.seed": str(args.seed),
        "cosmos.versions": json.dumps(versions),
    }


def settings(data, args, start, batch) -> dict:
    """All that decides which weights a training ends with, but for how long it goes on."""
    return {
        "traces": [trace["sha256"] for trace in data.traces],
        "calls": len(data.tokens),
        "init": start.sha256 if start else None,
        "batch of all replicas": batch,
        **{name: getattr(args, name) for name in ("unit", "fields", "units", "embedding", "learning_rate", "seed")},
    }


def read(args, start, progress):
    """The traces and their three parts, or why they can't be trained on."""
    vocab = json.loads(start.metadata["cosmos.vocab"]) if start else None
    data = traces.read(args.traces, args.unit, args.container, vocab, args.fields)
    args.unit = data.unit
    if start:
        of_model = {key: start.metadata.get(f"cosmos.{key}") for key in ("source", "calls")}
        for key, mine in {"source": data.source, "calls": data.call_set}.items():
            if of_model[key] not in (None, mine):
                raise traces.BadInput(
                    f"{args.init} has learnt from traces whose {key} is {of_model[key]}, here {mine}"
                )
    bounds = traces.split(data)
    sizes = (bounds[:, 1:] - bounds[:, :-1]).sum(axis=0)
    progress.line(
        f"read {len(data.tokens)} calls in {len(data.offsets) - 1} sequences, {data.different()} different names; "
        f"in order of time {sizes[0]} to learn, {sizes[1]} to stop by, {sizes[2]} to calibrate"
    )
    windows = args.window + (calibrate.MIN_SCORES - 1) * args.hop
    least = math.ceil(windows / (1 - traces.CUTS[1]))
    if len(data.tokens) < least:
        raise traces.BadInput(f"{len(data.tokens)} calls are too few: collect {least} at least, better 100000")
    if not sizes.all():
        raise traces.BadInput("the calls stand too close in time to be cut into three parts: collect for longer")
    return data, bounds


def begin(args, trainer, team, side):
    """The state to train from, and where to keep it: a Checkpoint, or None."""
    state, checkpoint = State(), None
    if args.checkpoint:
        checkpoint = Checkpoint(args.checkpoint, trainer.network, trainer.optimizer, trainer.best, side)
        state = checkpoint.restore() or state
    same = zlib.crc32(json.dumps([side["settings"], dataclasses.astuple(state)]).encode()) >> 1
    if not team.agree(same):
        raise traces.BadInput(
            "the workers don't do the same: each needs the same traces, options and --checkpoint (a shared folder)"
        )
    return state, checkpoint if team.chief else None


def train(args, team, data, parts, start, progress):
    """The best weights, the state after the last epoch, and the metadata of the model."""
    counts = traces.counts(data, parts[0].spans)
    trainer = Trainer(team, data, args, counts, start)
    metadata = describe(data, args, start, trainer.batch)
    side = {"settings": settings(data, args, start, trainer.batch), "metadata": metadata}
    state, checkpoint = begin(args, trainer, team, side)
    if (state.epoch, state.step) != (1, 0):
        progress.line(f"{args.checkpoint}: going on from epoch {state.epoch}, chunk {state.step * trainer.batch}")
    elif start:
        state.best = trainer.mean_nll(parts[1])
        progress.line(f"{args.init}: held-out loss {state.best:.3f} before anything is learnt")
    curves = Curves(teams.quiet(), args.tensorboard) if args.tensorboard and team.chief else None
    state = fit(trainer, parts, args.epochs, state, checkpoint, curves, progress)
    team.leave()
    return trainer.best_weights(), state, metadata


def unigram_perplexity(data, bounds) -> float:
    """On the second part, by the frequency of calls in the first alone."""
    counts, later = traces.counts(data, bounds[:, 0:2]), traces.counts(data, bounds[:, 1:3])
    return math.exp(-(np.log((counts + 1) / (counts + 1).sum()) * later).sum() / later.sum())


def results(args, data, bounds, state, scores, of) -> dict:
    """cosmos.report. `of`: the fit to the scores."""
    return {
        "perplexity": math.exp(state.best),
        "unigram_perplexity": unigram_perplexity(data, bounds),
        "theta": of.theta + args.margin * calibrate.surprise(len(data.vocab), SMOOTHING),
        "quantile": of.theta,
        "interval": [end if math.isfinite(end) else None for end in (of.lower, of.upper)],
        "false_alarms_later": calibrate.false_alarms_later(scores, args.quantile),
        "windows": len(scores),
        "epochs": len(state.curve),
    }


def report(args, came_of_it, scores, size) -> None:
    theta = came_of_it["theta"]
    few = ", so few that it is the highest" if len(scores) * (1 - args.quantile) < 1 else ""
    layers = ", ".join(map(str, args.units))
    print(f"{args.output}: LSTM of {layers}, {size / 1024:.0f} KiB")
    perplexities = [came_of_it[key] for key in ("perplexity", "unigram_perplexity")]
    print("  perplexity  {:.2f} on later calls; by the frequency of calls alone {:.2f}".format(*perplexities))
    print(f"  normal      median {np.median(scores):.4f}, highest {scores.max():.4f} nats a call")
    print(f"  quantile    {came_of_it['quantile']:.4f} ({args.quantile:g} of {len(scores)} later windows{few})")
    print(f"  threshold   {theta:.4f} (room for {args.margin:.0%} more calls that were never seen)")
    print(f"  above it    {np.mean(scores > theta):.2%} of these windows")


def finish(args, data, bounds, weights, state, metadata, progress) -> None:
    """Find the threshold, write the model and its card."""
    progress.within("calibrating")
    metadata["cosmos.prior_mean"] = repr(state.best)
    metadata["cosmos.curve"] = json.dumps(state.curve)
    model = cosmos.Model.from_bytes(export.serialise(weights, metadata), args.output)
    scores = calibrate.calibration_scores(model, data, bounds)
    of = calibrate.fit(scores, args.quantile)
    came_of_it = results(args, data, bounds, state, scores, of)
    rule = {"quantile": of.theta, "scores": of.n, "margin": args.margin}
    metadata.update(
        {
            "cosmos.threshold": repr(came_of_it["theta"]),
            "cosmos.threshold_n": str(of.n),
            "cosmos.threshold_spread": repr(of.spread),
            "cosmos.quantile": repr(args.quantile),
            "cosmos.threshold_rule": json.dumps(rule),
            "cosmos.report": json.dumps(came_of_it),
        }
    )
    contents = export.serialise(weights, metadata)
    cosmos.Model.from_bytes(contents, args.output)  # what can't be read back is not written
    export.write(args.output, contents)
    cosmos.write_card(args.output, args.card)
    progress.within("")
    report(args, came_of_it, scores, len(contents))


def run(args) -> None:
    args.card = args.card or f"{args.output}.md"
    progress, again = Progress(), "start the same command on every worker again"
    again += f": it goes on from {args.checkpoint}" if args.checkpoint else " (with --checkpoint it would go on)"

    def lost(text):
        raise traces.BadInput(f"{text}; {again}")

    join = lambda: teams.join(args.strategy, lost)
    # Several workers meet first, so that none waits for one that finds its input bad.
    team = join() if args.strategy == "multiworker" else None
    if team is None or team.chief:
        for path in (args.output, args.card):
            export.check_writable(path)
    else:
        progress.silent = True
    start = export.load(args.init) if args.init else None
    resolve(args, start)
    data, bounds = read(args, start, progress)
    team = team or join()
    parts = traces.Chunks(data, bounds[:, 0:2]), traces.Chunks(data, bounds[:, 1:3])
    try:
        weights, state, metadata = train(args, team, data, parts, start, progress)
    except teams.quiet().errors.OpError as e:
        raise traces.BadInput(f"{team.failure(e)}; {again}" if team.cluster else team.failure(e)) from None
    if team.chief:
        finish(args, data, bounds, weights, state, metadata, progress)


def main() -> int:
    logging.basicConfig(format="train.py: %(message)s")
    args = arguments()
    try:
        return script.status("train.py", run, args)
    except Interrupted:
        kept = f"the same command goes on from {args.checkpoint}" if args.checkpoint else "nothing written"
        print(f"\ntrain.py: interrupted, {kept}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        print("\ntrain.py: interrupted, nothing written", file=sys.stderr)
        status = 130
    sys.exit(status)
