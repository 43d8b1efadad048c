# SPDX-License-Identifier: Apache-2.0
"""Traces to what the network is trained on.

All calls of all traces stand in three flat arrays, sequence after sequence. Time
cuts them into three parts: the network learns from the first, the second says
when to stop, the third calibrates. A sequence that spans a cut is cut there; no
call is in two parts. The network sees chunks: the input at each place is the
token of the call before it, the target the name of the call itself.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np

import cosmos

CUTS = (0.70, 0.85)  # shares of all calls at which time is cut
CHUNK = 200  # calls; gradients reach no further back
SEQUENCE_CHUNKS = 400  # a longer sequence counts no more than this many chunks


class BadInput(Exception):
    """What is wrong with the input, for a person, in one line."""


@dataclasses.dataclass
class Data:
    vocab: List[str]
    tokens: np.ndarray  # uint32 [calls, fields]
    offsets: np.ndarray  # int64 [sequences + 1]
    timestamps: np.ndarray  # int64 [calls], ns
    source: str
    traces: List[Dict[str, object]]  # what each trace held, for the metadata
    call_set: str = "all"  # which calls were collected

    @property
    def inputs(self) -> np.ndarray:
        """uint32 [calls, fields]: the token before each call, <start> before a sequence's first."""
        before = np.roll(self.tokens, 1, axis=0)
        before[self.offsets[:-1]] = 0
        return before


def read(paths: Sequence[str], unit: str, containers: Sequence[str]) -> Data:
    """Read all traces with one vocabulary: most frequent call first, equal counts by name."""
    corpus = cosmos.read_corpus(paths, unit=unit, containers=containers)
    return Data(
        list(corpus.vocab),
        corpus.tokens,
        corpus.offsets.astype(np.int64),
        corpus.timestamps,
        corpus.source,
        [{key: trace[key] for key in ("sha256", "calls", "sequences")} for trace in corpus.traces],
        corpus.call_set,
    )


def natural_unit(path: str) -> str:
    """What a sequence is, where nobody says: a thread, if the trace tells threads apart."""
    for event in cosmos.read_trace(path):
        return "thread" if event.get("source") == "bpf" or "tid" in event else "process"
    return "process"


def split(data: Data) -> np.ndarray:
    """int64 [sequences, 4]: where each sequence's three parts begin, and its end."""
    by_time = np.sort(data.timestamps)
    cuts = [by_time[int(share * len(by_time))] for share in CUTS]
    bounds = np.empty((len(data.offsets) - 1, 4), np.int64)
    for i, (begin, end) in enumerate(zip(data.offsets[:-1], data.offsets[1:])):
        # Timestamps within a sequence may step back a little: cut at the first late one.
        latest = np.maximum.accumulate(data.timestamps[begin:end])
        bounds[i] = begin, *(begin + np.searchsorted(latest, cuts)), end
    return bounds


def names(data: Data, spans: np.ndarray) -> np.ndarray:
    """The name ids of all calls of the pieces `spans`, int64 [n, 2]."""
    return np.concatenate([data.tokens[begin:end, 0] for begin, end in spans])


@dataclasses.dataclass
class Batch:
    inputs: np.ndarray  # int32 [n, CHUNK, fields]
    targets: np.ndarray  # int32 [n, CHUNK]
    weights: np.ndarray  # float32 [n, CHUNK]: 1 for a call, 0 for padding


class Chunks:
    """Chunks of one part. Long sequences are capped, or the short ones would not count."""

    def __init__(self, data: Data, spans: np.ndarray):
        """`spans`: int64 [n, 2], begin and end of each sequence's piece; empty ones are dropped."""
        self._inputs, self._targets = data.inputs, data.tokens[:, 0]
        self._spans = spans[spans[:, 1] > spans[:, 0]]
        lengths = self._spans[:, 1] - self._spans[:, 0]
        self._counts = np.minimum(-(-lengths // CHUNK), SEQUENCE_CHUNKS)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def drawn(self, rng: np.random.Generator, n: int) -> List[Tuple[int, int]]:
        """`n` chunks by chance: a sequence by its share of chunks; of its k chunks, the beginning
        once in k times, else any full one."""
        which = rng.choice(len(self._spans), n, p=self._counts / self._counts.sum())
        picks = []
        for i in which:
            begin, end = self._spans[i]
            if rng.integers(self._counts[i]) > 0:
                begin += rng.integers(end - begin - CHUNK + 1)
            picks.append((int(begin), int(min(begin + CHUNK, end))))
        return picks

    def all(self, most: int) -> List[Tuple[int, int]]:
        """Every chunk of the fixed grid, up to `most`, evenly spaced."""
        picks = []
        for (begin, end), n in zip(self._spans, self._counts):
            starts = np.arange(begin, end, CHUNK)
            for start in starts[np.arange(n) * len(starts) // n]:
                picks.append((int(start), int(min(start + CHUNK, end))))
        n = min(most, len(picks))
        return [picks[i * len(picks) // n] for i in range(n)]

    def batches(self, picks: List[Tuple[int, int]], size: int) -> Iterator[Batch]:
        """All of one shape: the last is padded with chunks of weight 0."""
        for first in range(0, len(picks), size):
            inputs = np.zeros((size, CHUNK, self._inputs.shape[1]), np.int32)
            targets = np.zeros((size, CHUNK), np.int32)
            weights = np.zeros((size, CHUNK), np.float32)
            for row, (begin, end) in enumerate(picks[first : first + size]):
                inputs[row, : end - begin] = self._inputs[begin:end]
                targets[row, : end - begin] = self._targets[begin:end]
                weights[row, : end - begin] = 1
            yield Batch(inputs, targets, weights)
