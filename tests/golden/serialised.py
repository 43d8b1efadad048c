#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make serialised.bin: what serialise() of models/export.py makes of metadata that has all that JSON escapes, and of
tensors in disorder. The library's own writer must make the same bytes (tests/unit/predictor/test_safetensors.cc).

    PYTHONPATH=models python tests/golden/serialised.py
"""

import pathlib

import export
import numpy as np

METADATA = {
    "cosmos.format": "1",
    "plain": " !#[]~/",
    "escaped": '"\\\b\f\n\r\t',
    "control": "\x01\x1f\x7f",
    "wide": "\x80é߿ࠀ€￿\U00010000😀\U0010ffff",
    "é": "a key that is not ASCII",
    "Upper": "before lower case",
    "empty": "",
}
WEIGHTS = {
    "z": np.array([[1, -2, 0.5], [0, 3e38, -1e-45]], np.float32),
    "b.i8": np.array([[-127, 0, 127]], np.int8),
    "a.i8": np.array([1, 2, 3], np.int8),
    "a": np.array([0.25], np.float32),
    "a.u16": np.array([[1], [0x8000], [0xFFFF]], np.uint16),
}
PATH = pathlib.Path(__file__).parent / "serialised.bin"


def content() -> bytes:
    return export.serialise(WEIGHTS, METADATA)


if __name__ == "__main__":
    PATH.write_bytes(content())
