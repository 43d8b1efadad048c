#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make a model file with int8 weights of one with float32 weights.

    python models/quantise.py model.bin -o model-int8.bin

The library does the same when it loads a float32 file as int8; the file is for
where size matters. docs/precision.md says what int8 costs.
"""

from __future__ import annotations

import argparse
import re
import sys

try:
    import numpy as np

    import cosmos

    import export
    import script
    from data import BadInput
except ImportError as e:
    print(f"quantise.py: {e}", file=sys.stderr)
    sys.exit(2)

# The matrices that a step multiplies by. The first layer's kernel is not among them: the library multiplies
# it with the embedding once, at load.
_QUANTISED = re.compile(r"dense\.kernel|lstm\.\d+\.recurrent_kernel|lstm\.[1-9]\d*\.kernel")
LARGEST = 127  # -128 is left out, so that a weight and its negative are as precise


def columns(matrix: np.ndarray):
    """int8 [rows, columns] and float32 [columns]: the matrix is nearly their product. All of it is computed in
    float32, in the one way that the library has too, for the same bits."""
    matrix = np.asarray(matrix, np.float32)
    scale = np.abs(matrix).max(axis=0) / np.float32(LARGEST)
    quotient = np.divide(matrix, scale, out=np.zeros_like(matrix), where=scale > 0)
    # Only where the scale is so small that it has lost its precision is anything to be clipped.
    return np.clip(np.rint(quotient), -LARGEST, LARGEST).astype(np.int8), scale


def quantise(weights, metadata):
    """Weights and metadata of an int8 file, from those of a float32 one. What that keeps to be learnt again is left
    out: int8 weights can't be learnt on."""
    weights, metadata = export.without_kept(weights, metadata)
    found = {}
    for name, value in weights.items():
        if _QUANTISED.fullmatch(name):
            found[name], found[f"{name}.scale"] = columns(value)
        else:
            found[name] = value
    return found, {**metadata, "cosmos.precision": "int8"}


def run(args) -> None:
    export.check_writable(args.output)
    with open(args.model, "rb") as f:
        data = f.read()
    model = cosmos.Model.from_bytes(data, args.model)
    weights, metadata = export.parse(data)
    if metadata.get("cosmos.precision", "f32") != "f32":
        raise BadInput(f"{args.model} is of {metadata['cosmos.precision']} already")
    contents = export.serialise(*quantise(weights, metadata))
    export.write(args.output, contents)
    print(f"{args.output}: {len(contents) / 1024:.0f} KiB, {args.model}: {len(data) / 1024:.0f} KiB")
    if model.info["threshold"] is not None:
        print(f"  threshold   {model.info['threshold']:.4f} as it was, fitted to scores in float32")


def main() -> int:
    p = argparse.ArgumentParser(description="Make a model file with int8 weights of one with float32 weights.")
    p.add_argument("model", metavar="MODEL", help="the model file to read")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file to write")
    return script.status("quantise.py", run, p.parse_args())


if __name__ == "__main__":
    sys.exit(main())
