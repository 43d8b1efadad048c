# SPDX-License-Identifier: Apache-2.0
"""Traces to what the network is trained on.

All calls of all traces stand in flat arrays, sequence after sequence. They stay in
the library's files, which are mapped into memory; only blocks and batches of them
are ever copied, so that traces may be larger than memory. Time cuts them into three
parts: the network learns from the first, the second says when to
stop, the third calibrates. A sequence that spans a cut is cut there; no call is in
two parts. The network sees chunks: the input at each place is the token of the
call before it, the target the name of the call itself.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

import cosmos

import fields

CUTS = (0.70, 0.85)  # shares of all calls at which time is cut
CHUNK = 200  # calls; gradients reach no further back
SEQUENCE_CHUNKS = 400  # a longer sequence counts no more than this many chunks
RESERVED = 16  # places at the end of a new vocabulary, for calls that are met when training goes on
BLOCK = 1 << 20  # calls that are looked at at a time
UNKNOWN = 1  # id of "<unknown>"


class BadInput(Exception):
    """What is wrong with the input, for a person, in one line."""


@dataclasses.dataclass
class Data:
    """The arrays are views of the library's files: what is taken of them whole is taken into memory."""

    vocab: List[str]
    tokens: np.ndarray  # uint32 [calls, fields]
    offsets: np.ndarray  # int64 [sequences + 1]
    timestamps: np.ndarray  # int64 [calls], ns
    source: str
    traces: List[Dict[str, object]]  # what each trace held, for the metadata
    call_set: str = "all"  # which calls were collected
    unit: str = "process"  # what a sequence is
    frequency: Optional[np.ndarray] = None  # float32 [calls], where the scheme has it
    images: Sequence[str] = ()  # of the containers

    def frequencies(self, begin: int, end: int) -> np.ndarray:
        """float32 [end - begin]: those of the calls before these, 0 before a sequence's first."""
        return self._before(self.frequency, begin, end)

    def inputs(self, begin: int, end: int) -> np.ndarray:
        """uint32 [end - begin, fields]: the token before each of these calls of one sequence, <start> before a
        sequence's first."""
        return self._before(self.tokens, begin, end)

    def _before(self, values: np.ndarray, begin: int, end: int) -> np.ndarray:
        if self.offsets[np.searchsorted(self.offsets, begin)] != begin:
            return values[begin - 1 : end - 1]
        return np.concatenate([np.zeros_like(values[:1]), values[begin : end - 1]])

    def different(self) -> int:
        """How many different names were met."""
        return int((counts(self, np.array([[0, len(self.tokens)]]))[UNKNOWN + 1 :] > 0).sum())


def read(
    paths: Sequence[str],
    unit: Optional[str],
    containers: Sequence[str],
    vocab: Optional[Sequence[str]] = None,
    tokens: str = fields.DEFAULT,
) -> Data:
    """Read all traces with one vocabulary: that which is given, calls that are not in it in its reserved places
    as long as there are any; else a new one, most frequent call first, equal counts by name. `unit`: None for that
    which the traces tell apart."""
    corpus = cosmos.read_corpus(
        paths,
        unit=unit or "natural",
        vocab=vocab,
        containers=containers,
        reserve=RESERVED if vocab is None else 0,
        extend=vocab is not None,
        tokens=tokens,
    )
    if corpus.unplaced:
        logging.warning(
            "the model's vocabulary has no place left: %d different calls of these traces will be <unknown>; "
            "train a new model to have them",
            corpus.unplaced,
        )
    return Data(
        list(corpus.vocab),
        corpus.tokens,
        corpus.offsets.astype(np.int64),
        corpus.timestamps,
        corpus.source,
        [{key: trace[key] for key in ("sha256", "calls", "sequences")} for trace in corpus.traces],
        corpus.call_set,
        corpus.unit,
        corpus.frequency,
        [_utf8(image) for image in corpus.images],
    )


def _utf8(text: str) -> str:
    """Bytes that are no UTF-8 are no JSON either."""
    return text.encode("utf-8", "replace").decode()


def _blocks(begin: int, end: int) -> range:
    return range(int(begin), int(end), BLOCK)


def split(data: Data) -> np.ndarray:
    """int64 [sequences, 4]: where each sequence's three parts begin, and its end."""
    cuts = [_smallest(data, int(share * len(data.tokens))) for share in CUTS]
    bounds = np.empty((len(data.offsets) - 1, 4), np.int64)
    for i, (begin, end) in enumerate(zip(data.offsets[:-1], data.offsets[1:])):
        # Timestamps within a sequence may step back a little: cut at the first late one.
        first = _first_since(data, begin, end, cuts[0])
        bounds[i] = begin, first, _first_since(data, first, end, cuts[1]), end
    return bounds


def _first_since(data: Data, begin: int, end: int, time: int) -> int:
    for at in _blocks(begin, end):
        late = data.timestamps[at : min(at + BLOCK, int(end))] >= time
        if late.any():
            return at + int(late.argmax())
    return int(end)


def _smallest(data: Data, k: int) -> int:
    """The k-th (from 0) of all timestamps in order. Counted, range by ever smaller range, not sorted."""
    blocks = lambda: (data.timestamps[at : at + BLOCK] for at in _blocks(0, len(data.timestamps)))
    low, high = min(int(block.min()) for block in blocks()), max(int(block.max()) for block in blocks())
    while low < high:
        width = (high - low) // (1 << 16) + 1
        found = np.zeros(1 << 16, np.int64)
        for block in blocks():
            inside = block[(block >= low) & (block <= high)]
            found += np.bincount((inside - low) // width, minlength=1 << 16)
        before = np.cumsum(found) - found
        place = int(np.searchsorted(before, k, side="right")) - 1
        k -= int(before[place])
        low += place * width
        high = min(high, low + width - 1)
    return low


def counts(data: Data, spans: np.ndarray) -> np.ndarray:
    """int64 [names]: how often each is in the pieces `spans`, int64 [n, 2]."""
    total = np.zeros(len(data.vocab), np.int64)
    for begin, end in spans:
        for at in _blocks(begin, end):
            total += np.bincount(data.tokens[at : min(at + BLOCK, int(end)), 0], minlength=len(total))
    return total


@dataclasses.dataclass
class Batch:
    inputs: np.ndarray  # int32 [n, CHUNK, fields]
    targets: np.ndarray  # int32 [n, CHUNK]
    weights: np.ndarray  # float32 [n, CHUNK]: 1 for a call, 0 for padding
    frequency: Optional[np.ndarray] = None  # float32 [n, CHUNK, 1], of the calls of `inputs`


class Chunks:
    """Chunks of one part. Long sequences are capped, or the short ones would not count."""

    def __init__(self, data: Data, spans: np.ndarray):
        """`spans`: int64 [n, 2], begin and end of each sequence's piece; empty ones are dropped."""
        self._data = data
        self.spans = spans[spans[:, 1] > spans[:, 0]]
        self._grid = -(-(self.spans[:, 1] - self.spans[:, 0]) // CHUNK)
        self._counts = np.minimum(self._grid, SEQUENCE_CHUNKS)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def drawn(self, rng: np.random.Generator, n: int) -> List[Tuple[int, int]]:
        """`n` chunks by chance: a sequence by its share of chunks; of its k chunks, the beginning
        once in k times, else any full one."""
        which = rng.choice(len(self.spans), n, p=self._counts / self._counts.sum())
        picks = []
        for i in which:
            begin, end = self.spans[i]
            if rng.integers(self._counts[i]) > 0:
                begin += rng.integers(end - begin - CHUNK + 1)
            picks.append((int(begin), int(min(begin + CHUNK, end))))
        return picks

    def all(self, most: int) -> List[Tuple[int, int]]:
        """Every chunk of the fixed grid, up to `most`, evenly spaced."""
        n = min(most, len(self))
        ends, picks = np.cumsum(self._counts), []
        for k in (i * len(self) // n for i in range(n)):
            of = int(np.searchsorted(ends, k, side="right"))
            place = k - int(ends[of] - self._counts[of])
            begin = int(self.spans[of, 0]) + CHUNK * (place * int(self._grid[of]) // int(self._counts[of]))
            picks.append((begin, min(begin + CHUNK, int(self.spans[of, 1]))))
        return picks

    def batch(self, picks: Sequence[Tuple[int, int]], size: int) -> Batch:
        """Of `size` chunks: behind those of `picks`, ones of weight 0."""
        batch = Batch(
            np.zeros((size, CHUNK, self._data.tokens.shape[1]), np.int32),
            np.zeros((size, CHUNK), np.int32),
            np.zeros((size, CHUNK), np.float32),
            None if self._data.frequency is None else np.zeros((size, CHUNK, 1), np.float32),
        )
        for row, (begin, end) in enumerate(picks):
            batch.inputs[row, : end - begin] = self._data.inputs(begin, end)
            batch.targets[row, : end - begin] = self._data.tokens[begin:end, 0]
            batch.weights[row, : end - begin] = 1
            if batch.frequency is not None:
                batch.frequency[row, : end - begin, 0] = self._data.frequencies(begin, end)
        return batch
