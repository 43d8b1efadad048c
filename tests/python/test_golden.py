# SPDX-License-Identifier: Apache-2.0
"""The predictor against vectors that Keras computed in float64 (tests/golden/make.py)."""

import json

import numpy as np
from conftest import TREE

import cosmos


def test_golden():
    expected = json.loads((TREE / "tests/golden/expected.json").read_text())
    model = cosmos.Model(TREE / "tests/golden/model.bin")
    found = model.log_probs(expected["tokens"])
    difference = np.abs(found - np.array(expected["log_probs"])).max()
    print(f"largest difference {difference:.2e}")
    assert difference < 2e-5
