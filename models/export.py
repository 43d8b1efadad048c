#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The network in Keras, and its weights as a model file.

    python models/export.py network.keras -o model.bin
    python models/export.py DIR -o model.bin            the best of a training so far (train.py --checkpoint DIR)

build() is the one definition of the network; tensors() and serialise() put it
into the form that docs/formats-model.md describes, parse() reads that. The file
is written here, not by the safetensors package, because that one orders the
metadata by chance, and the same training must give the same bytes. import.py is
the way back.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import hashlib
import json
import os
import sys
import zipfile
from typing import Any, Dict, Optional, Sequence, Tuple

try:
    import numpy as np
except ImportError as e:
    print(f"export.py: {e}", file=sys.stderr)
    sys.exit(2)

import fields

DTYPES = {"F32": "<f4", "U16": "<u2", "I8": "i1"}  # from the widest to the narrowest
NARROW = {np.dtype(np.uint16): "U16", np.dtype(np.int8): "I8"}  # anything else is written as F32
# What the C trainer keeps of calls that were learnt, to learn them again.
KEPT = ("kept.tokens", "kept.frequency")
# The tensors of each kind of layer, as Keras orders them.
PARTS = {"embedding": ["weight"], "lstm": ["kernel", "recurrent_kernel", "bias"], "dense": ["kernel", "bias"]}
# Beginnings of the keys that say what came of weights, and nothing of others.
OF_WEIGHTS = ("cosmos.threshold", "cosmos.quantile", "cosmos.curve", "cosmos.report")
SIDE = "cosmos-header.json"  # in a .keras file: the header of the model file that it is of


def build(vocab_size: int, embedding: int, units: Sequence[int], scheme: Sequence[str], dtype: str = "float32"):
    """int32 [batch, calls] of each field, and float32 [batch, calls, 1] of the frequency (a list in the order of
    `scheme`) -> logits [batch, calls, vocab_size]."""
    import keras

    known = fields.scheme(scheme)
    inputs, embedded = [], []
    for field, size in known.sizes.items():
        inputs.append(keras.Input((None,), dtype="int32", name=field))
        layer = keras.layers.Embedding(
            size or vocab_size,
            embedding,
            embeddings_initializer=fields.initializer(field),
            dtype=dtype,
            name=f"embedding.{field}",
        )
        embedded.append(layer(inputs[-1]))
    if known.frequency:
        inputs.append(keras.Input((None, 1), dtype=dtype, name=fields.FREQUENCY))
        layer = keras.layers.Dense(
            embedding, use_bias=False, kernel_initializer="zeros", dtype=dtype, name=f"embedding.{fields.FREQUENCY}"
        )
        embedded.append(layer(inputs[-1]))
    x = embedded[0] if len(embedded) == 1 else keras.layers.Add(dtype=dtype)(embedded)
    for i, width in enumerate(units):
        x = keras.layers.LSTM(width, return_sequences=True, dtype=dtype, name=f"lstm.{i}")(x)
    return keras.Model(inputs, keras.layers.Dense(vocab_size, dtype=dtype, name="dense")(x))


def tensors(model) -> Dict[str, np.ndarray]:
    """The weights of a network from build(), by the names that they have in the file."""
    found = {}
    for layer in model.layers:
        names = PARTS.get(layer.name.split(".")[0], [])
        for name, value in zip(names, layer.get_weights()):
            found[f"{layer.name}.{name}"] = np.ascontiguousarray(value, np.float32)
    return found


def assign(model, weights: Dict[str, np.ndarray]) -> None:
    """The inverse of tensors(): give a network from build() these weights."""
    for layer in model.layers:
        names = PARTS.get(layer.name.split(".")[0], [])
        if names:
            layer.set_weights([weights[f"{layer.name}.{name}"] for name in names])


def serialise(weights: Dict[str, np.ndarray], metadata: Dict[str, str]) -> bytes:
    """A safetensors file: header length, JSON header, tensors without gaps in order of name; the narrow types
    behind the wide ones, so that each begins at a multiple of its size."""
    header: Dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    data, at = [], 0
    dtypes = {name: NARROW.get(value.dtype, "F32") for name, value in weights.items()}
    for name, value in sorted(weights.items(), key=lambda item: (list(DTYPES).index(dtypes[item[0]]), item[0])):
        dtype = dtypes[name]
        raw = np.asarray(value, DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(data)


def parse(data: bytes) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """Tensors and metadata of a file that the library has found good; nothing is checked again."""
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    metadata = header.pop("__metadata__")
    weights = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        weights[name] = np.frombuffer(data[begin + first : begin + end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return weights, metadata


def without_kept(weights: Dict[str, np.ndarray], metadata: Dict[str, str]):
    """The same without what the C trainer keeps in a file: weights and metadata. It is no part of the network, so
    whoever makes other weights, or another file of them, leaves it out."""
    if KEPT[0] not in weights:
        return weights, metadata
    weights = {name: value for name, value in weights.items() if name not in KEPT}
    metadata = {key: value for key, value in metadata.items() if key != "cosmos.kept"}
    return weights, {**metadata, "cosmos.format": "1"}


@dataclasses.dataclass
class ModelFile:
    """A model file of float32 weights, as it is read, but for what the C trainer keeps in it."""

    weights: Dict[str, np.ndarray]
    metadata: Dict[str, str]
    header: bytes  # all that stands before the tensors
    sha256: str  # of the file as it is


def load(path: str) -> ModelFile:
    """Read a model file to go on from. Of int8 there is none to go on from: steps of training would be lost
    between two of its weights."""
    import cosmos
    from data import BadInput

    with open(path, "rb") as f:
        data = f.read()
    cosmos.Model.from_bytes(data, path)  # or it says what is wrong with it
    weights, metadata = parse(data)
    if metadata.get("cosmos.precision", "f32") != "f32":
        precision = metadata["cosmos.precision"]
        raise BadInput(f"{path} is of {precision} weights: take the float32 file that it was made of")
    sha256 = hashlib.sha256(data).hexdigest()
    if KEPT[0] in weights:
        weights, metadata = without_kept(weights, metadata)
        data = serialise(weights, metadata)
    header = data[: 8 + int.from_bytes(data[:8], "little")]
    return ModelFile(weights, metadata, header, sha256)


def with_header(weights: Dict[str, np.ndarray], header: bytes) -> bytes:
    """A file with the header of another one, whose tensors have the same names and shapes."""
    from data import BadInput

    try:
        entries = json.loads(header[8:])
        del entries["__metadata__"]
        shapes = {name: list(entry["shape"]) for name, entry in entries.items()}
        places = {name: slice(*map(int, entry["data_offsets"])) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput("the metadata in the .keras file are damaged: give a model file with --like") from None
    for name in sorted({*shapes, *weights}):
        mine = list(weights[name].shape) if name in weights else "not there"
        if shapes.get(name, "not there") != mine:
            raise BadInput(f"{name} is {mine} in the network, but {shapes.get(name, 'not there')} by its metadata")
    data = bytearray(sum(value.nbytes for value in weights.values()))
    for name, value in weights.items():
        data[places[name]] = np.asarray(value, DTYPES["F32"]).tobytes()
    return header + bytes(data)


def save_keras(network, header: bytes, path: str) -> None:
    """A .keras file, and in it, where Keras does not look, what else the model file says."""
    temporary = _beside(path) + ".keras"
    try:
        network.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(SIDE, header)
        with open(temporary, "rb+") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def load_keras(path: str) -> Tuple[Dict[str, np.ndarray], Optional[bytes]]:
    """Weights of a .keras file, and the header that save_keras() gave it; None if it has none (any more)."""
    import team
    from data import BadInput

    try:
        with zipfile.ZipFile(path) as archive:
            header = archive.read(SIDE) if SIDE in archive.namelist() else None
        team.quiet()
        import keras

        network = keras.saving.load_model(path, compile=False)
    except (zipfile.BadZipFile, ValueError, TypeError, KeyError) as e:
        raise BadInput(f"{path} is not a network that Keras can read: {str(e).strip().splitlines()[0]}") from None
    return tensors(network), header


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
    except BaseException as e:
        if os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(e, OSError) and e.filename is None:
            e.filename = path
        raise


def exported(args: argparse.Namespace) -> bytes:
    """The model file that is asked for."""
    import checkpoint
    from data import BadInput

    if os.path.isdir(args.source):
        weights, metadata, state = checkpoint.read(args.source)
        metadata["cosmos.curve"] = json.dumps(state.curve)
        return serialise(weights, {**metadata, "cosmos.prior_mean": repr(state.best)})
    weights, header = load_keras(args.source)
    if args.like:
        header = load_keras(args.like)[1] if zipfile.is_zipfile(args.like) else load(args.like).header
    if header is None:
        raise BadInput(
            f"{args.like or args.source} does not say what the network's inputs and outputs mean (Keras drops that "
            "when it saves one): give the model file that it began as with --like"
        )
    contents = with_header(weights, header)
    if not args.like:
        return contents
    metadata = {key: value for key, value in parse(contents)[1].items() if not key.startswith(OF_WEIGHTS)}
    return serialise(weights, metadata)


def run(args: argparse.Namespace) -> None:
    import cosmos

    check_writable(args.output)
    contents = exported(args)
    model = cosmos.Model.from_bytes(contents, args.output)  # what can't be read back is not written
    write(args.output, contents)
    print(f"{args.output}: {len(contents) / 1024:.0f} KiB")
    if model.info["threshold"] is None:
        print("  threshold   none: cosmos-score needs one from benign traces, or --threshold")


def main() -> int:
    p = argparse.ArgumentParser(
        description="Make a model file of a network that Keras has saved, or of a training's checkpoint.",
    )
    p.add_argument("source", metavar="NETWORK", help="network.keras, or the folder of train.py --checkpoint")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file to write")
    p.add_argument(
        "--like",
        metavar="MODEL",
        help="a model file, or a .keras file of import.py, of the same shape and vocabulary: take the metadata from "
        "there, but for the threshold; needed where Keras itself has saved the network",
    )
    args = p.parse_args()
    try:
        import script
    except ImportError as e:
        print(f"export.py: {e}", file=sys.stderr)
        return 2
    return script.status("export.py", run, args)


if __name__ == "__main__":
    sys.exit(main())
