# SPDX-License-Identifier: Apache-2.0
"""The network in Keras, and its weights as a model file.

build() is the one definition of the network; tensors() and serialise() put it
into the form that docs/formats-model.md describes, parse() reads that. The file
is written here, not by the safetensors package, because that one orders the
metadata by chance, and the same training must give the same bytes.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Dict, Sequence, Tuple

import numpy as np

ERRNO_SIZE = 135
DTYPES = {"F32": "<f4", "I8": "i1"}


def build(vocab_size: int, embedding: int, units: Sequence[int], fields: Sequence[str], dtype: str = "float32"):
    """int32 [batch, calls] of each field (a list in the order of `fields`) -> logits [batch, calls, vocab_size]."""
    import keras

    sizes = {"name": vocab_size, "errno": ERRNO_SIZE}
    inputs, embedded = [], []
    for field in fields:
        ids = keras.Input((None,), dtype="int32", name=field)
        # An errno that training never meets keeps its row of zeros: it says nothing.
        init = "uniform" if field == "name" else "zeros"
        layer = keras.layers.Embedding(
            sizes[field], embedding, embeddings_initializer=init, dtype=dtype, name=f"embedding.{field}"
        )
        inputs.append(ids)
        embedded.append(layer(ids))
    x = embedded[0] if len(embedded) == 1 else keras.layers.Add(dtype=dtype)(embedded)
    for i, width in enumerate(units):
        x = keras.layers.LSTM(width, return_sequences=True, dtype=dtype, name=f"lstm.{i}")(x)
    return keras.Model(inputs, keras.layers.Dense(vocab_size, dtype=dtype, name="dense")(x))


def tensors(model) -> Dict[str, np.ndarray]:
    """The weights of a network from build(), by the names that they have in the file."""
    found = {}
    for layer in model.layers:
        parts = {"embedding": ["weight"], "lstm": ["kernel", "recurrent_kernel", "bias"], "dense": ["kernel", "bias"]}
        names = parts.get(layer.name.split(".")[0], [])
        for name, value in zip(names, layer.get_weights()):
            found[f"{layer.name}.{name}"] = np.ascontiguousarray(value, np.float32)
    return found


def serialise(weights: Dict[str, np.ndarray], metadata: Dict[str, str]) -> bytes:
    """A safetensors file: header length, JSON header, tensors without gaps in order of name; those of int8
    behind all others, which must begin at multiples of 4 bytes."""
    header: Dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    data, at = [], 0
    for name, value in sorted(weights.items(), key=lambda item: (item[1].dtype == np.int8, item[0])):
        dtype = "I8" if value.dtype == np.int8 else "F32"
        raw = np.asarray(value, DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(data)


def parse(data: bytes) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """Weights and metadata of a file that the library has found good; nothing is checked again."""
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    metadata = header.pop("__metadata__")
    weights = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        weights[name] = np.frombuffer(data[begin + first : begin + end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return weights, metadata


def _beside(path: str) -> str:
    return f"{path}.{os.getpid()}.tmp"


def check_writable(path: str) -> None:
    """Fail now, not after the training."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    open(_beside(path), "xb").close()
    os.unlink(_beside(path))


def write(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = _beside(path)
    try:
        with open(temporary, "xb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
