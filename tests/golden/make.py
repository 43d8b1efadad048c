#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the golden vectors of the predictor: model.bin, and expected.json with
what Keras computes of it in float64. Needs TensorFlow; the test that reads them
(tests/python/test_golden.py) does not.

    PYTHONPATH=models python tests/golden/make.py
"""

import json
import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import export
import fields
import numpy as np

VOCAB = ["<start>", "<unknown>", "read", "write", "openat", "close"]
METADATA = {
    "cosmos.format": "1",
    "cosmos.arch": "lstm",
    "cosmos.gates": "ifgo",
    "cosmos.layers": "5,3",
    "cosmos.embedding": "3",
    "cosmos.vocab": json.dumps(VOCAB),
    "cosmos.tokens": "name,errno",
    "cosmos.unit": "process",
    "cosmos.window": "10",
    "cosmos.hop": "5",
    "cosmos.score": "shrunk_mean",
    "cosmos.prior_count": "5.0",
    "cosmos.prior_mean": "1.0",
    "cosmos.threshold": "1.5",
    "cosmos.source": "audit",
    "cosmos.calls": "all",
}


def set_random(network, rng):
    """Weights that float32 holds exactly. Those of the LSTM shrink with its width, as trained ones do: much
    wider and a recurrent network is chaotic, and any rounding at all grows without end."""
    for layer in network.layers:
        wide = layer.name.startswith(("embedding", "dense"))  # as sharp as trained ones
        layer.set_weights(
            [
                rng.normal(0, 1 if wide else w.shape[0] ** -0.5 if w.ndim == 2 else 0.5, w.shape).astype(np.float32)
                for w in layer.get_weights()
            ]
        )


def log_probs(network, tokens):
    """float64 [n, vocabulary]: before each call, given the calls before it."""
    before = np.concatenate([np.zeros((1, tokens.shape[1]), tokens.dtype), tokens[:-1]]).astype(np.int32)
    inputs = [before[None, :, i] for i in range(len(network.inputs))]
    logits = np.asarray(network(inputs), np.float64)[0]
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def main():
    folder, rng = pathlib.Path(__file__).parent, np.random.default_rng(20261123)
    network = export.build(len(VOCAB), 3, [5, 3], ["name", "errno"], dtype="float64")
    set_random(network, rng)
    errnos = fields.scheme(["name", "errno"]).sizes["errno"]
    tokens = np.stack([rng.integers(0, len(VOCAB), 50), rng.integers(0, errnos, 50)], axis=1)
    export.write(str(folder / "model.bin"), export.serialise(export.tensors(network), METADATA))
    rows = [[round(x, 12) for x in row] for row in log_probs(network, tokens).tolist()]
    text = "{\n" + f'"tokens": {json.dumps(tokens.tolist())},\n"log_probs": [\n'
    text += ",\n".join(json.dumps(row) for row in rows) + "\n]\n}\n"
    (folder / "expected.json").write_text(text)


if __name__ == "__main__":
    main()
