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
    (41, 7, [19], "name,args,frequency/10"),
    (200, 31, [45, 16], "name,errno,size/half,fd,path,args,frequency/100"),
]


@pytest.mark.parametrize("vocab,embedding,units,scheme", NETWORKS)
def test_against_keras(vocab, embedding, units, scheme):
    import export
    import fields

    sys.path.insert(0, str(conftest.TREE / "tests/golden"))
    import make

    rng = np.random.default_rng(vocab)
    parts = fields.of(scheme)
    network = export.build(vocab, embedding, units, parts, dtype="float64")
    make.set_random(network, rng)
    names = conftest.VOCAB[:2] + [f"call{i}" for i in range(vocab - 2)]
    data = export.serialise(export.tensors(network), conftest.metadata(names, units, embedding, scheme))
    columns, tokens, frequency = fields.columns(parts), np.zeros((200, 6), np.uint32), None
    for part, column in zip(parts, columns):
        tokens[:, column] = rng.integers(0, fields.size(part, vocab), 200)
    inputs = tokens[:, columns]
    if len(columns) < len(parts):
        frequency = rng.random(200).astype(np.float32)
        inputs = np.concatenate([inputs, frequency[:, None]], axis=1)
    expected = make.log_probs(network, inputs)
    difference = np.abs(cosmos.Model.from_bytes(data).log_probs(tokens, frequency) - expected)
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
