# SPDX-License-Identifier: Apache-2.0
"""Steps of the C trainer's network, on given parameters and batches: network-steps of the build, from Python."""

import dataclasses
import io
import os
import pathlib
import subprocess
import tempfile
from typing import Dict, Sequence, Tuple

import numpy as np

import cosmos

PROGRAM = pathlib.Path("tests/unit/trainer/network-steps")  # in a build folder


@dataclasses.dataclass
class Shape:
    """As the arguments of models/export.py's build()."""

    vocab: int
    embedding: int
    units: Sequence[int]
    tokens: str = "name"

    @property
    def scheme(self):
        return cosmos.Scheme(self.tokens)

    def tensors(self) -> Dict[str, Tuple[int, ...]]:
        """Names and shapes, in the order of the parameters in C."""
        found = {f"embedding.{f}.weight": (size or self.vocab, self.embedding) for f, size in self.scheme.sizes.items()}
        if self.scheme.frequency:
            found["embedding.frequency.weight"] = (1, self.embedding)
        below = self.embedding
        for i, width in enumerate(self.units):
            found[f"lstm.{i}.kernel"] = (below, 4 * width)
            found[f"lstm.{i}.recurrent_kernel"] = (width, 4 * width)
            found[f"lstm.{i}.bias"] = (4 * width,)
            below = width
        return {**found, "dense.kernel": (below, self.vocab), "dense.bias": (self.vocab,)}


@dataclasses.dataclass
class Batch:
    """Pieces in descending order of length, padded to the same number of steps."""

    lengths: np.ndarray  # [pieces]
    inputs: np.ndarray  # [pieces, steps, fields of the scheme]
    targets: np.ndarray  # [pieces, steps]
    frequency: np.ndarray = None  # [pieces, steps]
    rate: float = 0  # at which it is learnt; 0: it is only evaluated

    @property
    def weights(self) -> np.ndarray:
        """float32 [pieces, steps]: 1 for a call, 0 for padding."""
        return (np.arange(self.targets.shape[1]) < self.lengths[:, None]).astype(np.float32)


@dataclasses.dataclass
class Settings:
    clip: float
    smoothing: float
    threads: int = 1
    isa: str = "best"


@dataclasses.dataclass
class Result:
    nll: np.ndarray  # [batches], nats a call, before each was learnt
    seconds: np.ndarray  # [batches]
    gradient: Dict[str, np.ndarray]  # of the first batch
    weights: Dict[str, np.ndarray]  # at the end


def _input(shape: Shape, settings: Settings, weights, batches: Sequence[Batch]) -> bytes:
    out = io.BytesIO()
    put = lambda values, kind="<u4": out.write(np.ascontiguousarray(values, kind).tobytes())
    sizes = [size or shape.vocab for size in shape.scheme.sizes.values()]
    put([shape.vocab, shape.embedding, len(shape.units), *shape.units])
    put([len(sizes), *sizes, shape.scheme.frequency > 0])
    put([max(len(b.lengths) for b in batches), batches[0].targets.shape[1], len(batches)])
    put([settings.clip, settings.smoothing], "<f4")
    for name in shape.tensors():
        put(weights[name], "<f4")
    for batch in batches:
        put([batch.rate], "<f4")
        put([len(batch.lengths), *batch.lengths])
        put(batch.inputs)
        if shape.scheme.frequency:
            put(batch.frequency, "<f4")
        put(batch.targets)
    return out.getvalue()


def _split(shape: Shape, values: np.ndarray) -> Dict[str, np.ndarray]:
    found, at = {}, 0
    for name, size in shape.tensors().items():
        n = int(np.prod(size))
        found[name], at = values[at : at + n].reshape(size), at + n
    return found


def run(build, shape: Shape, settings: Settings, weights, batches: Sequence[Batch]) -> Result:
    """One batch after another, the first of which is learnt. `build`: the folder."""
    with tempfile.TemporaryDirectory() as folder:
        given, got = os.path.join(folder, "input"), os.path.join(folder, "output")
        pathlib.Path(given).write_bytes(_input(shape, settings, weights, batches))
        command = [str(pathlib.Path(build) / PROGRAM), str(settings.threads), settings.isa, given, got]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        first, last = np.fromfile(got, "<f4").reshape(2, -1)
    nll, seconds = np.array([line.split() for line in said.splitlines()], float).T
    return Result(nll, seconds, _split(shape, first), _split(shape, last))
