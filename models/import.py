#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model file as a network that Keras can load.

    python models/import.py model.bin -o network.keras

keras.saving.load_model("network.keras") needs nothing of this project. export.py
is the way back; the weights are the same bits.
"""

from __future__ import annotations

import argparse
import json
import sys

try:
    import export
    import fields
    import script
    import team
except ImportError as e:
    print(f"import.py: {e}", file=sys.stderr)
    sys.exit(2)


def run(args: argparse.Namespace) -> None:
    export.check_writable(args.output)
    model = export.load(args.model)
    team.quiet()
    said = model.metadata
    units = [int(width) for width in said["cosmos.layers"].split(",")]
    vocab = json.loads(said["cosmos.vocab"])
    network = export.build(len(vocab), int(said["cosmos.embedding"]), units, fields.of(said["cosmos.tokens"]))
    export.assign(network, model.weights)
    export.save_keras(network, model.header, args.output)
    print(f"{args.output}: inputs {said['cosmos.tokens']}, {len(vocab)} names, LSTM of {', '.join(map(str, units))}")


def main() -> int:
    p = argparse.ArgumentParser(description="Make a network that Keras can load of a model file.")
    p.add_argument("model", metavar="MODEL", help="the model file to read, of float32 weights")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .keras file to write")
    args = p.parse_args()
    if not args.output.endswith(".keras"):
        p.error(f"-o {args.output}: Keras loads files by the name of .keras only")
    return script.status("import.py", run, args)


if __name__ == "__main__":
    sys.exit(main())
