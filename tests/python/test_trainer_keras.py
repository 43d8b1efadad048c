# SPDX-License-Identifier: Apache-2.0
"""The trainer in C beside the one in Keras: the same gradients, the same losses, as good a model in the end."""

import argparse
import os
import pathlib

import conftest
import network_steps
import numpy as np
import pytest

BUILD = pathlib.Path(os.environ.get("COSMOS_BUILD", "/nonexistent"))

pytestmark = [
    conftest.needs_tensorflow,
    pytest.mark.skipif(
        not (BUILD / network_steps.PROGRAM).exists(), reason="no network-steps: set COSMOS_BUILD to a build folder"
    ),
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]

GRADIENT = 1e-4  # the largest relative error of a gradient
LOSS = 1e-3  # the largest difference of a step's loss, nats
STEPS = 100  # for which it holds
HELD_OUT = 0.01  # the largest relative difference of the held-out NLL in the end

TRACE = conftest.TREE / "examples/traces/learn.jsonl.gz"
# Calls. Over longer chunks a training at this rate magnifies rounding until, within 100 steps, Keras itself in single
# precision is further than LOSS from Keras in double precision.
CHUNK = 20
TRAINING = {"embedding": 24, "units": [40], "batch": 64, "fields": "name,errno", "seed": 3, "strategy": "default"}
HALVED = range(100, 300, 33)  # before which steps the learning rate is halved, as when epochs gain nothing
TRAINED = 300  # steps of a whole training

SHAPES = {
    "one layer": (network_steps.Shape(32, 16, [32]), [20] * 4),
    "two layers": (network_steps.Shape(48, 16, [32, 16]), [16] * 6),
    "fields and frequency": (network_steps.Shape(40, 16, [32], "name,errno,size/octave,fd,frequency/100"), [15] * 5),
    "odd sizes": (network_steps.Shape(37, 11, [19, 7], "name,errno"), [13] * 3),
    "unequal lengths": (network_steps.Shape(341, 64, [128]), [60, 59, 31, 31, 8, 2, 1]),
}


def random_batch(rng, shape, lengths):
    size = len(lengths), max(lengths)
    return network_steps.Batch(
        np.array(lengths),
        np.stack([rng.integers(0, n or shape.vocab, size) for n in shape.scheme.sizes.values()], axis=2),
        rng.integers(0, shape.vocab, size),
        rng.random(size, np.float32) if shape.scheme.frequency else None,
    )


def keras_gradient(shape, weights, batch, smoothing):
    import export
    import fields
    import tensorflow as tf

    network = export.build(shape.vocab, shape.embedding, shape.units, fields.of(shape.tokens))
    export.assign(network, weights)
    inputs = [tf.constant(batch.inputs[:, :, i], tf.int32) for i in range(batch.inputs.shape[2])]
    if batch.frequency is not None:
        inputs.append(tf.constant(batch.frequency[:, :, None]))
    target = tf.one_hot(batch.targets, shape.vocab) * (1 - smoothing) + smoothing / shape.vocab
    with tf.GradientTape() as tape:
        loss = -tf.reduce_sum(tf.nn.log_softmax(network(inputs)) * target, axis=2)
        loss = tf.reduce_sum(loss * batch.weights) / batch.lengths.sum()
    # In the order of the variables; each takes its place among the weights, so that these are by name.
    gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
    for variable, gradient in zip(network.trainable_variables, gradients):
        variable.assign(tf.convert_to_tensor(gradient))
    return export.tensors(network)


def error(mine, other):
    return np.linalg.norm(mine - other) / np.linalg.norm(other)


@pytest.mark.parametrize("name", SHAPES)
def test_gradients(name):
    import train

    shape, lengths = SHAPES[name]
    rng = np.random.default_rng(1)
    weights = conftest.weights(rng, shape.vocab, shape.units, shape.embedding, shape.tokens)
    for tensor, value in weights.items():  # wide layers with larger ones magnify rounding from step to step
        if tensor.endswith("kernel"):
            value *= 2 * len(value) ** -0.5
    batch = random_batch(rng, shape, lengths)
    batch.rate = train.LEARNING_RATE
    settings = network_steps.Settings(train.CLIP, train.SMOOTHING, threads=2)
    mine = network_steps.run(BUILD, shape, settings, weights, [batch]).gradient
    other = keras_gradient(shape, weights, batch, train.SMOOTHING)
    assert mine.keys() == other.keys()
    errors = {tensor: error(mine[tensor], other[tensor]) for tensor in mine}
    assert max(errors.values()) <= GRADIENT, errors
    every = [np.concatenate([found[tensor].ravel() for tensor in mine]) for found in (mine, other)]
    assert error(*every) <= GRADIENT


@pytest.fixture
def both(monkeypatch):
    """A training of models/train.py on a real trace, its weights before any step, its rows step by step and what it
    then holds itself against; and the same for C."""
    import data
    import export
    import fields
    import team
    import train

    monkeypatch.setattr(data, "CHUNK", CHUNK)
    args = argparse.Namespace(**TRAINING, learning_rate=train.LEARNING_RATE)
    calls = data.read([str(TRACE)], None, [], tokens=args.fields)
    bounds = data.split(calls)
    learn, held = data.Chunks(calls, bounds[:, 0:2]), data.Chunks(calls, bounds[:, 1:3])
    counts = data.counts(calls, learn.spans)
    trainer = train.Trainer(team.join(args.strategy, pytest.fail), calls, args, counts, None)
    start = export.tensors(trainer.network)
    columns = fields.columns(fields.of(args.fields))

    def batches(chunks, picks):
        """Longest piece first."""
        for at in range(0, len(picks), args.batch):
            some = sorted(picks[at : at + args.batch], key=lambda pick: pick[0] - pick[1])
            rows = chunks.batch(some, len(some))
            lengths = rows.weights.sum(axis=1).astype(int)
            yield network_steps.Batch(lengths, rows.inputs[:, :, columns], rows.targets)

    rng = np.random.default_rng(args.seed)
    steps = list(batches(learn, learn.drawn(rng, TRAINED * args.batch)))
    last = list(batches(held, held.all(train.VALIDATION)))
    shape = network_steps.Shape(len(calls.vocab), args.embedding, args.units, args.fields)
    settings = network_steps.Settings(train.CLIP, train.SMOOTHING, threads=2)
    for i, step in enumerate(steps):
        step.rate = args.learning_rate * 0.5 ** sum(i >= at for at in HALVED)
    return trainer, held, network_steps.run(BUILD, shape, settings, start, steps + last), steps, last


def test_training(both):
    """The step is the one of models/train.py, as it is."""
    import tensorflow as tf

    trainer, held, mine, steps, last = both
    nll = []
    for step in steps:
        inputs = tuple(tf.constant(step.inputs[:, :, i], tf.int32) for i in range(step.inputs.shape[2]))
        calls = tf.constant([step.lengths.sum()], tf.float32)
        rows = inputs, tf.constant(step.targets, tf.int32), tf.constant(step.weights), calls
        trainer.optimizer.learning_rate = step.rate
        nll.append(float(trainer._step(rows, tf.zeros([1]))[0]) / step.lengths.sum())
    apart = np.abs(mine.nll[:STEPS] - nll[:STEPS])
    assert apart.max() <= LOSS, (int(apart.argmax()), float(apart.max()))

    calls = np.array([batch.lengths.sum() for batch in last])
    mean, other = (mine.nll[len(steps) :] * calls).sum() / calls.sum(), trainer.mean_nll(held)
    print(f"largest difference {apart.max():.2g}; held-out NLL {mean:.5f}, of Keras {other:.5f}")
    assert other < np.mean(nll[:5]) / 2, "nothing was learnt"
    assert abs(mean / other - 1) <= HELD_OUT, (mean, other)
