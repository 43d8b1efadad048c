# SPDX-License-Identifier: Apache-2.0
"""Random networks: every log-probability of the library against Keras in float64."""

import sys

import conftest
import numpy as np
import pytest

import cosmos

pytestmark = conftest.needs_tensorflow

NETWORKS = [
    # vocabulary, embedding, units of each layer, token scheme
    (2, 1, [1], "name"),
    (37, 9, [17], "name,errno"),
    (113, 33, [31, 7], "name"),
    (500, 61, [67, 45, 23], "name,errno"),
    (301, 15, [129], "name,errno"),
]


@pytest.mark.parametrize("vocab,embedding,units,scheme", NETWORKS)
def test_against_keras(vocab, embedding, units, scheme):
    import export

    sys.path.insert(0, str(conftest.TREE / "tests/golden"))
    import make

    rng = np.random.default_rng(vocab)
    network = export.build(vocab, embedding, units, scheme.split(","), dtype="float64")
    make.set_random(network, rng)
    names = conftest.VOCAB[:2] + [f"call{i}" for i in range(vocab - 2)]
    data = export.serialise(export.tensors(network), conftest.metadata(names, units, embedding, scheme))
    tokens = rng.integers(0, vocab, (200, 1))
    if scheme == "name,errno":
        tokens = np.concatenate([tokens, rng.integers(0, 135, (200, 1))], axis=1)
    expected = make.log_probs(network, tokens)
    difference = np.abs(cosmos.Model.from_bytes(data).log_probs(tokens) - expected)
    print(f"vocabulary {vocab}, layers {units}, {scheme}: largest difference {difference.max():.2e}")
    assert difference.shape == (200, vocab)
    assert difference.max() < 2e-5


def test_file_is_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    import export

    weights = conftest.weights(np.random.default_rng(1))
    data = export.serialise(weights, conftest.metadata())
    read = safetensors.load(data)
    assert sorted(read) == sorted(weights)
    for name, value in weights.items():
        assert np.array_equal(read[name], value)


def test_every_field_against_keras():
    import export
    import fields

    text, rng = "name,errno,size/quarter,fd,path,args,frequency/50", np.random.default_rng(4)
    known = fields.scheme(fields.of(text))
    network = export.build(len(conftest.VOCAB), 5, [7], fields.of(text), dtype="float64")
    network.set_weights([rng.normal(0, 0.5, value.shape) for value in network.get_weights()])
    model = cosmos.Model.from_bytes(
        export.serialise(export.tensors(network), conftest.metadata(layers=(7,), embedding=5, tokens=text))
    )
    sizes = [size or len(conftest.VOCAB) for size in known.sizes.values()]
    tokens, frequency = rng.integers(0, sizes, (100, len(sizes))), rng.random(100).astype(np.float32)
    network_sees = [np.roll(tokens, 1, axis=0), np.roll(frequency, 1)]
    network_sees[0][0], network_sees[1][0] = 0, 0
    inputs = [network_sees[0][None, :, i].astype(np.int32) for i in range(len(sizes))]
    logits = np.asarray(network([*inputs, network_sees[1][None, :, None]]), np.float64)[0]
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert np.abs(model.log_probs(tokens, frequency) - expected).max() < 1e-5
