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
    import fields

    sys.path.insert(0, str(conftest.TREE / "tests/golden"))
    import make

    rng = np.random.default_rng(vocab)
    network = export.build(vocab, embedding, units, scheme.split(","), dtype="float64")
    make.set_random(network, rng)
    names = conftest.VOCAB[:2] + [f"call{i}" for i in range(vocab - 2)]
    data = export.serialise(export.tensors(network), conftest.metadata(names, units, embedding, scheme))
    tokens = rng.integers(0, vocab, (200, 1))
    if scheme == "name,errno":
        tokens = np.concatenate([tokens, rng.integers(0, fields.ERRNO_SIZE, (200, 1))], axis=1)
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
