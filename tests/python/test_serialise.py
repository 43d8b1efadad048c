# SPDX-License-Identifier: Apache-2.0
"""The bytes that both writers of model files must make (tests/golden/serialised.py); the other one is the library's."""

import sys

import conftest
import numpy as np
import pytest
from conftest import TREE

import cosmos


def test_serialise(monkeypatch):
    monkeypatch.syspath_prepend(str(TREE / "tests/golden"))
    import serialised

    assert serialised.content() == serialised.PATH.read_bytes()
    sys.modules.pop("serialised")


@pytest.mark.parametrize("tokens", ["name", "name,errno", "name,errno,frequency/100"])
def test_what_the_c_trainer_keeps(tokens):
    import export

    weights, metadata = conftest.weights(np.random.default_rng(1), tokens=tokens), conftest.metadata(tokens=tokens)
    more, said = conftest.kept(tokens)
    contents = export.serialise({**more, **weights}, {**metadata, **said})
    model = cosmos.Model.from_bytes(contents)
    assert model.metadata("cosmos.kept") == "1000"
    assert (model.nll([2, 3], [1, 0.5]) == cosmos.Model.from_bytes(export.serialise(weights, metadata)).nll(
        [2, 3], [1, 0.5]
    )).all()  # fmt: skip

    found, of_it = export.parse(contents)
    assert found.keys() == {*weights, *more} and of_it == {**metadata, **said}
    assert all(found[name].dtype == value.dtype and (found[name] == value).all() for name, value in more.items())
    assert export.serialise(found, of_it) == contents
    assert export.serialise(*export.without_kept(found, of_it)) == export.serialise(weights, metadata)
    assert export.without_kept(weights, metadata) == (weights, metadata)
