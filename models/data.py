# SPDX-License-Identifier: Apache-2.0
"""Traces to what the network is trained on.

The calls of all traces are numbered through, sequence after sequence. They stay
where the library has them (files that are mapped into memory); only blocks and
batches of them are ever copied, so a trace may be larger than memory. Time cuts
them into three parts: the network learns from the first, the second says when to
stop, the third calibrates. A sequence that spans a cut is cut there; no call is in
two parts. The network sees chunks: the input at each place is the token of the
call before it, the target the name of the call itself.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import logging
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

import cosmos

CUTS = (0.70, 0.85)  # shares of all calls at which time is cut
CHUNK = 200  # calls; gradients reach no further back
SEQUENCE_CHUNKS = 400  # a longer sequence counts no more than this many chunks
RESERVED = 16  # places at the end of a new vocabulary, for calls that are met when training goes on
BLOCK = 1 << 20  # calls that are looked at at a time
UNKNOWN = 1  # id of "<unknown>"


class BadInput(Exception):
    """What is wrong with the input, for a person, in one line."""


@dataclasses.dataclass
class Part:
    """The calls of one reading, as the library has them."""

    tokens: np.ndarray  # uint32 [calls, fields]
    timestamps: np.ndarray  # int64 [calls], ns
    offsets: np.ndarray  # [sequences + 1]
    ids: Optional[np.ndarray] = None  # uint32: ids of names in the vocabulary of all; None: they are those


class Data:
    """vocab      names by id
    offsets    int64 [sequences + 1]: sequence i is the calls offsets[i] .. offsets[i + 1] - 1
    source     the collector, call_set which calls it collected
    different  number of different names that were met
    traces     what each trace held, for the metadata
    """

    def __init__(
        self,
        vocab: Sequence[str],
        parts: Sequence[Part],
        source: str,
        traces: Sequence[Dict[str, object]],
        call_set: str = "all",
        different: int = 0,
    ):
        self.different = different
        self.vocab, self.source, self.traces, self.call_set = list(vocab), source, list(traces), call_set
        self._parts = list(parts)
        self._begins = np.cumsum([0] + [len(part.tokens) for part in parts])
        offsets = [part.offsets[1:].astype(np.int64) + begin for part, begin in zip(parts, self._begins)]
        self.offsets = np.concatenate([np.zeros(1, np.int64), *offsets])

    @property
    def calls(self) -> int:
        return int(self._begins[-1])

    @property
    def width(self) -> int:
        """The number of a token's fields."""
        return int(self._parts[0].tokens.shape[1])

    def tokens(self, begin: int, end: int) -> np.ndarray:
        """uint32 [end - begin, fields], a copy; of one sequence."""
        part, first = self._part(begin)
        tokens = part.tokens[begin - first : end - first].copy()
        if part.ids is not None:
            tokens[:, 0] = part.ids[tokens[:, 0]]
        return tokens

    def names(self, begin: int, end: int) -> np.ndarray:
        """uint32 [end - begin]: ids of names, of one sequence."""
        part, first = self._part(begin)
        names = part.tokens[begin - first : end - first, 0]
        return names if part.ids is None else part.ids[names]

    def inputs(self, begin: int, end: int) -> np.ndarray:
        """uint32 [end - begin, fields]: the token before each call, <start> before a sequence's first."""
        if self.offsets[np.searchsorted(self.offsets, begin)] != begin:
            return self.tokens(begin - 1, end - 1)
        behind = self.tokens(begin, end - 1)
        return np.concatenate([np.zeros((1, behind.shape[1]), np.uint32), behind])

    def timestamps(self, begin: int, end: int) -> np.ndarray:
        """int64 [end - begin], of one sequence, not to be written to."""
        part, first = self._part(begin)
        return part.timestamps[begin - first : end - first]

    def all_timestamps(self) -> Iterator[np.ndarray]:
        """In blocks."""
        for part in self._parts:
            for begin in range(0, len(part.timestamps), BLOCK):
                yield part.timestamps[begin : begin + BLOCK]

    def _part(self, call: int) -> Tuple[Part, int]:
        """Whose the call is, and the number of its first one."""
        i = int(np.searchsorted(self._begins, call, side="right")) - 1
        return self._parts[i], int(self._begins[i])


def read(
    paths: Sequence[str], unit: str, containers: Sequence[str], vocab: Optional[Sequence[str]] = None
) -> Data:
    """Read all traces with one vocabulary: that which is given, calls that are not in it in its reserved places
    as long as there are any; else a new one, most frequent call first, equal counts by name."""
    corpora = [_read_one(path, unit, containers) for path in paths]
    sources = sorted({corpus.source for corpus, _ in corpora})
    if len(sources) > 1:
        listed = ", ".join(source or "unknown" for source in sources)
        raise BadInput(f"the traces are of different sources ({listed}): train a model for each")
    if len({corpus.call_set for corpus, _ in corpora}) > 1:
        raise BadInput("the traces hold different sets of calls (cosmos-collect --calls): train a model for each")
    found: Dict[str, int] = collections.Counter()
    for corpus, _ in corpora:
        of_id = _counts((corpus.tokens[i : i + BLOCK, 0] for i in _blocks(0, len(corpus.tokens))), len(corpus.vocab))
        found.update({name: int(n) for name, n in zip(corpus.vocab[2:], of_id[2:]) if n})
    by_frequency = sorted(found, key=lambda name: (-found[name], name))
    vocab = _new_vocab(by_frequency) if vocab is None else _extended(vocab, by_frequency)

    ids = {name: i for i, name in enumerate(vocab)}
    parts = []
    for corpus, _ in corpora:
        of_mine = np.array([ids.get(name, UNKNOWN) for name in corpus.vocab], np.uint32)
        parts.append(Part(corpus.tokens, corpus.timestamps, corpus.offsets, of_mine))
    return Data(
        vocab,
        parts,
        sources[0],
        [{"sha256": digest, "calls": len(corpus.tokens), "sequences": len(corpus)} for corpus, digest in corpora],
        corpora[0][0].call_set,
        len(found),
    )


def _reserved(i: int) -> str:
    return f"<reserved-{i}>"


def _new_vocab(names: List[str]) -> List[str]:
    return ["<start>", "<unknown>", *names, *map(_reserved, range(RESERVED))]


def _extended(vocab: Sequence[str], names: Sequence[str]) -> List[str]:
    """`vocab` with the names that it lacks in its reserved places, in order."""
    extended, known = list(vocab), set(vocab)
    missing = [name for name in names if name not in known]
    reserved = set(map(_reserved, range(len(vocab))))
    free = [i for i, name in enumerate(vocab) if name in reserved]
    for i, name in zip(free, missing):
        extended[i] = name
    left = missing[len(free) :]
    if left:
        logging.warning(
            "the model's vocabulary has no place left: %s will be <unknown>; train a new model to have %s",
            ", ".join(left),
            "it" if len(left) == 1 else "them",
        )
    return extended


def natural_unit(path: str) -> str:
    """What a sequence is, where nobody says: a thread, if the trace tells threads apart."""
    for event in cosmos.read_trace(path):
        return "thread" if event.get("source") == "bpf" or "tid" in event else "process"
    return "process"


def _read_one(path: str, unit: str, containers: Sequence[str]) -> Tuple[cosmos.Corpus, str]:
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return cosmos.read_corpus(path, unit=unit, containers=containers), digest.hexdigest()


def _blocks(begin: int, end: int) -> range:
    return range(int(begin), int(end), BLOCK)


def _counts(blocks: Iterable[np.ndarray], size: int) -> np.ndarray:
    total = np.zeros(size, np.int64)
    for ids in blocks:
        total += np.bincount(ids, minlength=size)
    return total


def split(data: Data) -> np.ndarray:
    """int64 [sequences, 4]: where each sequence's three parts begin, and its end."""
    cuts = [_smallest(data, int(share * data.calls)) for share in CUTS]
    bounds = np.empty((len(data.offsets) - 1, 4), np.int64)
    for i, (begin, end) in enumerate(zip(data.offsets[:-1], data.offsets[1:])):
        # Timestamps within a sequence may step back a little: cut at the first late one.
        first = _first_since(data, begin, end, cuts[0])
        bounds[i] = begin, first, _first_since(data, first, end, cuts[1]), end
    return bounds


def _first_since(data: Data, begin: int, end: int, time: int) -> int:
    for at in _blocks(begin, end):
        late = data.timestamps(at, min(at + BLOCK, int(end))) >= time
        if late.any():
            return at + int(late.argmax())
    return int(end)


def _smallest(data: Data, k: int) -> int:
    """The k-th (from 0) of all timestamps in order. Counted, range by ever smaller range, not sorted."""
    low = min(int(block.min()) for block in data.all_timestamps())
    high = max(int(block.max()) for block in data.all_timestamps())
    while low < high:
        width = (high - low) // (1 << 16) + 1
        counts = np.zeros(1 << 16, np.int64)
        for block in data.all_timestamps():
            inside = block[(block >= low) & (block <= high)]
            counts += np.bincount((inside - low) // width, minlength=1 << 16)
        before = np.cumsum(counts) - counts
        place = int(np.searchsorted(before, k, side="right")) - 1
        k -= int(before[place])
        low += place * width
        high = min(high, low + width - 1)
    return low


def counts(data: Data, spans: np.ndarray) -> np.ndarray:
    """int64 [names]: how often each is in the pieces `spans`, int64 [n, 2]."""
    pieces = ((at, min(at + BLOCK, int(end))) for begin, end in spans for at in _blocks(begin, end))
    return _counts((data.names(*piece) for piece in pieces), len(data.vocab))


@dataclasses.dataclass
class Batch:
    inputs: np.ndarray  # int32 [n, CHUNK, fields]
    targets: np.ndarray  # int32 [n, CHUNK]
    weights: np.ndarray  # float32 [n, CHUNK]: 1 for a call, 0 for padding


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
            np.zeros((size, CHUNK, self._data.width), np.int32),
            np.zeros((size, CHUNK), np.int32),
            np.zeros((size, CHUNK), np.float32),
        )
        for row, (begin, end) in enumerate(picks):
            batch.inputs[row, : end - begin] = self._data.inputs(begin, end)
            batch.targets[row, : end - begin] = self._data.names(begin, end)
            batch.weights[row, : end - begin] = 1
        return batch
