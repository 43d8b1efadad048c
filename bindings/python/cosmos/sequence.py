# SPDX-License-Identifier: Apache-2.0
"""Sequence: vocabularies, tokens, and all sequences of traces as arrays."""

from __future__ import annotations

import collections.abc
import ctypes
import os
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _library, errors
from ._library import PROGRESS, CorpusOptions, CorpusTrace, Owned, call, guarded, lib, log, path_bytes, strings

#: Columns of a token; those that a scheme does not have are 0.
TOKEN_FIELDS = tuple(lib.token_field_name(i).decode() for i in range(6))
_TOKEN = np.dtype(_library.Token)

UNITS = {"process": 0, "thread": 1, "natural": 2}


class Scheme:
    """Which fields a token has, by the text in a model's `cosmos.tokens`:
    "name,errno,size/half,fd,path,args,frequency/100" has all that there are.

    fields     their names, in order
    sizes      dict: how many ids each of them has; 0 for the name, of which the vocabulary decides
    frequency  calls in the window of the frequency; 0: there is none
    """

    def __init__(self, text: str):
        self._struct = _library.TokenScheme()
        call(lib.token_scheme_parse, ctypes.byref(self._struct), strings([text], "a scheme")[0])
        self._read()

    @classmethod
    def _of(cls, struct: _library.TokenScheme) -> Scheme:
        scheme = cls.__new__(cls)
        scheme._struct = struct
        scheme._read()
        return scheme

    def _read(self) -> None:
        present = [(i, name) for i, name in enumerate(TOKEN_FIELDS) if self._struct.fields >> i & 1]
        self.fields: Tuple[str, ...] = tuple(name for _, name in present)
        self.sizes: Dict[str, int] = {name: lib.token_field_size(ctypes.byref(self._struct), i) for i, name in present}
        self.frequency: int = self._struct.frequency

    def __str__(self) -> str:
        buf = ctypes.create_string_buffer(64)
        return lib.token_scheme_text(ctypes.byref(self._struct), buf, len(buf)).decode()

    def __repr__(self) -> str:
        return f"cosmos.Scheme({str(self)!r})"


class Vocab(collections.abc.Sequence):
    """Call names by id, an immutable sequence of str. 0 is "<start>", 1 "<unknown>".

    `names` must be unique and begin with those two.
    """

    def __init__(self, names: Sequence[str]):
        array = strings(names, "a vocabulary")
        owner = Owned(lib.vocab_free, lib.vocab_new, array, len(array))
        self._adopt(owner.ptr, owner)

    @classmethod
    def _borrow(cls, ptr: int, owner: Any) -> Vocab:
        vocab = cls.__new__(cls)
        vocab._adopt(ptr, owner)
        return vocab

    def _adopt(self, ptr: Optional[int], owner: Any) -> None:
        self.ptr = ptr
        self._owner = owner
        self._names = tuple(os.fsdecode(lib.vocab_name(ptr, i)) for i in range(lib.vocab_size(ptr)))

    def id(self, name: str) -> int:
        """The id of a call's name; 1 ("<unknown>") if it is not there."""
        return lib.vocab_id(self.ptr, os.fsencode(name))

    def __getitem__(self, index):
        return self._names[index]

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocab) and self._names == other._names

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        return f"<cosmos.Vocab of {len(self)} names>"


class Corpus:
    """All sequences of some traces, at rest. The arrays are read-only views of the
    library's files, which live as long as any of them.

    tokens      uint32 [calls, 6], columns as in TOKEN_FIELDS
    frequency   float32 [calls], 0..1: how often the call's name is among the latest ones of its
                sequence; None where the scheme has none
    offsets     uint64 [sequences + 1]; sequence i is tokens[offsets[i]:offsets[i + 1]];
                those of a trace stand in the order of their first call
    timestamps  int64 [calls], ns since 1970-01-01 UTC
    scheme      what a token has of a call: a Scheme
    vocab       names by id
    unplaced    how many different calls found no place in the vocabulary that was to be extended
    unit        what one sequence is: "process" or "thread"
    source      what the traces say of their source ("bpf", "audit"), "" if they say nothing
    call_set    which calls were collected: names with commas between, or "all"
    traces      what each held: a dict of path, sha256 ("" for a pipe), calls, sequences
    images      the container images that it is of, 64 at most
    """

    def __init__(self, owner: Owned, scheme: Scheme):
        self._owner = owner
        self.ptr = ptr = owner.ptr
        self.scheme = scheme
        calls, sequences = lib.corpus_calls(ptr), lib.corpus_sequences(ptr)
        columns = len(TOKEN_FIELDS)
        tokens = self._view(lib.corpus_tokens(ptr), ctypes.c_uint32, calls * columns)
        self.tokens: NDArray[np.uint32] = tokens.reshape(-1, columns)
        frequency = lib.corpus_frequency(ptr)
        self.frequency: Optional[NDArray[np.float32]] = frequency and self._view(frequency, ctypes.c_float, calls)
        self.offsets: NDArray[np.uint64] = self._view(lib.corpus_offsets(ptr), ctypes.c_uint64, sequences + 1)
        self.timestamps: NDArray[np.int64] = self._view(lib.corpus_timestamps(ptr), ctypes.c_int64, calls)
        self.vocab = Vocab._borrow(lib.corpus_vocab(ptr), owner)
        self.source: str = os.fsdecode(lib.corpus_source(ptr))
        self.call_set: str = os.fsdecode(lib.corpus_call_set(ptr))
        self.unplaced: int = lib.corpus_unplaced(ptr)
        self.unit: str = lib.unit_name(lib.corpus_unit(ptr)).decode()
        self.traces: List[Dict[str, Any]] = [self._trace(i) for i in range(lib.corpus_traces(ptr))]
        self.images: Tuple[str, ...] = tuple(self._images())

    def _trace(self, i: int) -> Dict[str, Any]:
        trace = CorpusTrace()
        lib.corpus_get_trace(self._owner.ptr, i, ctypes.byref(trace))
        return {
            "path": os.fsdecode(trace.path),
            "sha256": trace.sha256.decode(),
            "calls": trace.calls,
            "sequences": trace.sequences,
        }

    def _images(self) -> Iterator[str]:
        i = 0
        while image := lib.corpus_image(self._owner.ptr, i):
            yield os.fsdecode(image)
            i += 1

    def comm(self, sequence: int) -> str:
        """comm of the first call of a sequence, "" if not known."""
        return os.fsdecode(lib.corpus_comm(self._owner.ptr, range(len(self))[sequence]))

    def _view(self, address: int, ctype: Any, n: int) -> Any:
        memory = (ctype * n).from_address(address)
        memory._owner = self._owner  # NumPy keeps `memory`, and that the library's object
        view = np.frombuffer(memory, dtype=ctype)
        view.flags.writeable = False
        return view

    def __len__(self) -> int:
        """The number of sequences."""
        return len(self.offsets) - 1

    def sequences(self) -> Iterator[NDArray[np.uint32]]:
        """The tokens of each sequence, uint32 [its calls, 6], as views."""
        for i in range(len(self)):
            yield self.tokens[int(self.offsets[i]) : int(self.offsets[i + 1])]

    def __repr__(self) -> str:
        return f"<cosmos.Corpus of {len(self.tokens)} calls in {len(self)} sequences>"


def read_corpus(
    traces: Union[str, os.PathLike, Sequence[Union[str, os.PathLike]]],
    unit: str = "process",
    vocab: Union[Vocab, Sequence[str], None] = None,
    containers: Sequence[str] = (),
    reserve: int = 0,
    extend: bool = False,
    progress: Optional[Callable[[int, float], Any]] = None,
    tokens: str = "name,errno",
) -> Corpus:
    """Read a whole trace (JSON Lines, or a log of auditd), or several with one vocabulary.

    The arrays are in files without a name in $TMPDIR, else /var/tmp: they may be larger than memory.

    unit        what one sequence is: "process", "thread", or "natural": the thread where
                the first trace tells threads apart
    vocab       the vocabulary to read with; None: make one from the traces, most
                frequent call first
    containers  read only these: names, ids (4 digits or more) or images; none: every event
    reserve     without `vocab`: so many places for calls that are not in these traces
    extend      with `vocab`: calls that it lacks take its reserved places
    progress    called a few times a second with the calls read so far, and the share of all
                that is done (NaN where a trace is a pipe)
    tokens      what a token has of a call: the text of a Scheme

    EmptyError if no call of a trace is left; MismatchError for threads of a trace that does
    not know them, and for traces of different sources or sets of calls. Lines that can't be
    read are skipped, with a warning in the log for each.
    """
    if unit not in UNITS:
        raise errors.InvalidError(f'unit must be "process", "thread" or "natural", not {unit!r}')
    if not 0 <= reserve < 2**32:
        raise errors.InvalidError(f"reserve must be 0 or more, and fit 32 bits, not {reserve}")
    if vocab is not None and not isinstance(vocab, Vocab):
        vocab = Vocab(vocab)
    if isinstance(traces, (str, bytes, os.PathLike)):
        traces = [traces]
    paths = [path_bytes(path) for path in traces]
    select = strings(containers, "containers")
    scheme = Scheme(tokens)
    options = CorpusOptions(
        log=log(),
        unit=UNITS[unit],
        vocab=vocab.ptr if vocab else None,
        select=select,
        n_select=len(select),
        reserve=reserve,
        extend=extend,
        tokens=ctypes.pointer(scheme._struct),
    )
    if progress:
        options.progress = PROGRESS(guarded(_tells(progress), -1))
    array = (ctypes.c_char_p * len(paths))(*paths)
    return Corpus(Owned(lib.corpus_free, lib.corpus_read, array, len(paths), ctypes.byref(options)), scheme)


def _tells(progress: Callable[[int, float], Any]) -> Callable[..., int]:
    def tell(_userdata: Optional[int], calls: int, share: float) -> int:
        progress(calls, share)
        return 0

    return tell


def as_tokens(tokens: ArrayLike, frequency: Optional[ArrayLike] = None) -> NDArray[Any]:
    """Tokens as the library takes them, [n] of `field` (uint32 [6]) and `frequency`. One column (or
    one dimension) is the name alone; columns that are left out are 0."""
    a = np.asarray(tokens)
    if a.ndim == 1:
        a = a.reshape(-1, 1)
    if a.ndim != 2 or not 1 <= a.shape[1] <= len(TOKEN_FIELDS):
        raise errors.InvalidError(f"tokens must have the shape [n] or [n, 1..6], not {list(a.shape)}")
    if a.size and a.dtype.kind not in "iu":
        raise errors.InvalidError(f"tokens must be integers, not {a.dtype}")
    if a.size and (a.min() < 0 or a.max() >= 2**32):
        raise errors.InvalidError("tokens must be 0 or more, and fit 32 bits")
    whole = np.zeros(len(a), _TOKEN)
    whole["field"][:, : a.shape[1]] = a
    if frequency is not None:
        f = np.asarray(frequency)
        if f.shape != (len(a),):
            raise errors.InvalidError(f"there must be a frequency for each of {len(a)} tokens, not {list(f.shape)}")
        whole["frequency"] = f
    return whole
