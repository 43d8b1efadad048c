# SPDX-License-Identifier: Apache-2.0
"""The bytes that both writers of model files must make (tests/golden/serialised.py); the other one is the library's."""

import sys

from conftest import TREE


def test_serialise(monkeypatch):
    monkeypatch.syspath_prepend(str(TREE / "tests/golden"))
    import serialised

    assert serialised.content() == serialised.PATH.read_bytes()
    sys.modules.pop("serialised")
