# SPDX-License-Identifier: Apache-2.0
"""models/quantise.py: its file gives the scores of the other one that is loaded as int8."""

import subprocess
import sys

import conftest
import numpy as np
import pytest

import cosmos


def quantise(*arguments):
    command = [sys.executable, str(conftest.TREE / "models/quantise.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def model_file(path, layers, **metadata):
    import export

    weights = conftest.weights(np.random.default_rng(2), layers=layers)
    path.write_bytes(export.serialise(weights, {**conftest.metadata(layers=layers), **metadata}))
    return path


@pytest.mark.parametrize("layers", [(5,), (7, 5)])
def test_same_bits(tmp_path, layers):
    path, small = model_file(tmp_path / "model.bin", layers), tmp_path / "small.bin"
    result = quantise(path, "-o", small)
    assert result.returncode == 0, result.stderr
    assert small.stat().st_size < path.stat().st_size
    tokens = np.random.default_rng(3).integers(0, len(conftest.VOCAB), (200, 2)).astype(np.uint32)
    for isa in cosmos.isas():
        loaded = cosmos.Model(str(path), precision="int8", isa=isa)
        stored = cosmos.Model(str(small), isa=isa)
        assert stored.info["precision"] == "int8" and stored.info["isa"] == isa
        assert np.array_equal(loaded.log_probs(tokens), stored.log_probs(tokens))
        assert not np.array_equal(cosmos.Model(str(path), isa=isa).nll(tokens), stored.nll(tokens))


def test_what_is_kept_to_be_learnt_again_goes(tmp_path):
    import export

    path, small = model_file(tmp_path / "model.bin", (5,), **{"cosmos.threshold": "1.5"}), tmp_path / "small.bin"
    assert quantise(path, "-o", small).returncode == 0
    expected = small.read_bytes()
    (weights, metadata), (more, said) = export.parse(path.read_bytes()), conftest.kept()
    path.write_bytes(export.serialise({**weights, **more}, {**metadata, **said}))
    assert quantise(path, "-o", small).returncode == 0
    assert small.read_bytes() == expected


def test_what_it_takes(tmp_path):
    path, small = model_file(tmp_path / "model.bin", (5,)), tmp_path / "small.bin"
    named = model_file(tmp_path / "named.bin", (5,), **{"cosmos.precision": "f32"})
    assert quantise(named, "-o", small).returncode == 0
    result = quantise(small, "-o", tmp_path / "smaller.bin")
    assert result.returncode == 2 and "int8 already" in result.stderr
    assert not (tmp_path / "smaller.bin").exists()
    result = quantise(tmp_path / "none.bin", "-o", small)
    assert result.returncode == 2 and "none.bin" in result.stderr
    path.write_bytes(path.read_bytes()[:100])
    assert quantise(path, "-o", small).returncode == 2


def test_a_precision_and_an_instruction_set_that_there_are_not(tmp_path):
    path = str(model_file(tmp_path / "model.bin", (5,)))
    with pytest.raises(cosmos.InvalidError, match="int4"):
        cosmos.Model(path, precision="int4")
    with pytest.raises(cosmos.InvalidError, match="avx1024"):
        cosmos.Model(path, isa="avx1024")
