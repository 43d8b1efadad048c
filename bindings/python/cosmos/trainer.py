# SPDX-License-Identifier: Apache-2.0
"""Trainer: traces to a model."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref
from typing import Any, Callable, Dict, Optional, Sequence, Union

from . import errors
from ._library import Owned, TrainerMoment, TrainerOptions, TrainerProgress, TrainerReport, call, lib, log, path_bytes
from .model import Model
from .sequence import Corpus

PHASES = ("sifting", "learning", "evaluating", "calibrating", "comparing", "done")

# Of the library's options, those that are a number and nothing else.
_NUMBERS = (
    "embedding batch length epochs epoch_chunks learning_rate dropout seed threads window hop quantile margin "
    "learn_anomalous keep"
).split()


def _options(init: Optional[bytes], units: Optional[Sequence[int]], numbers: Dict[str, Any]) -> TrainerOptions:
    options = TrainerOptions()
    lib.trainer_options_init(byref(options))
    options.log = log()
    for name, value in numbers.items():
        if name not in _NUMBERS:
            raise TypeError(f"Trainer has no option {name!r}; it has units, init, {', '.join(_NUMBERS)}")
        setattr(options, name, value)
        if getattr(options, name) != value:
            raise errors.InvalidError(f"{name} is {value}, which is out of its range")
    if units is not None:
        if not 1 <= len(units) <= len(options.units):
            raise errors.InvalidError(f"units must be the widths of 1 to {len(options.units)} layers, not {units!r}")
        options.n_layers, options.units[: len(units)] = len(units), list(units)
        if options.units[: len(units)] != list(units):
            raise errors.InvalidError(f"units {units!r} are out of their range")
    if init is not None:
        options.init, options.init_size = init, len(init)
    return options


def _values(struct: ctypes.Structure, *without: str) -> Dict[str, Any]:
    return {name: getattr(struct, name) for name, *_ in struct._fields_ if name not in without}


def _moment(struct: TrainerMoment) -> Dict[str, Any]:
    texts = ("comm", "syscall", "before", "expected")
    return {**_values(struct, *texts), **{name: os.fsdecode(getattr(struct, name)) for name in texts}}


class Trainer:
    """Learns a model from a corpus. The same corpus, options and seed give the same bytes as cosmos-train does.

    corpus  to learn from, read with reserve=16 or so, that calls may be added later; for `init`, read with
            vocab=model.vocab, extend=True, tokens=model.info["tokens"]
    units   width of each LSTM layer; (128,)
    init    a model file to go on from, as a path or its bytes; its shape is taken then

    The other options are numbers, each with its name and default in include/cosmos/trainer.h: embedding, batch, length,
    epochs, epoch_chunks, learning_rate, dropout, seed, threads, window, hop, quantile, margin, learn_anomalous, keep.

    EmptyError if the corpus is too small, MismatchError if it does not fit `init`; CosmosError if the training diverges.
    A trainer belongs to one thread, and uses threads of its own.
    """

    def __init__(
        self,
        corpus: Corpus,
        units: Optional[Sequence[int]] = None,
        init: Union[bytes, str, os.PathLike, None] = None,
        **numbers: Any,
    ):
        if init is not None and not isinstance(init, bytes):
            with open(init, "rb") as file:
                init = file.read()
        options = _options(init, units, numbers)
        options.tokens = corpus.scheme._struct
        self._owner = Owned(lib.trainer_free, lib.trainer_new, corpus.ptr, byref(options), keeps=corpus)
        self.ptr = self._owner.ptr

    def step(self) -> bool:
        """Work on for a fraction of a second. False: it is done."""
        return call(lib.trainer_run, self.ptr) > 0

    def run(self, progress: Optional[Callable[[Dict[str, Any]], Any]] = None) -> Dict[str, Any]:
        """Work to the end; the report. `progress` is told self.progress after each step. What it raises, or Ctrl-C,
        ends this, and the trainer can go on from there, or be kept by checkpoint()."""
        while self.step():
            if progress:
                progress(self.progress)
        return self.report

    @property
    def progress(self) -> Dict[str, Any]:
        """How far it is: phase (one of PHASES), epoch, epochs (at most), share (of the phase, 0..1), loss, held_out,
        best (nats a call; NaN: not known yet), learning_rate, calls (learnt from in all)."""
        p = TrainerProgress()
        lib.trainer_get_progress(self.ptr, byref(p))
        return {**_values(p, "size"), "phase": PHASES[p.phase]}

    @property
    def report(self) -> Dict[str, Any]:
        """What came of it, once it is done: the fields of struct cosmos_trainer_report; moments is a list of dicts."""
        r = TrainerReport()
        self._check_done()
        lib.trainer_get_report(self.ptr, byref(r))
        return {**_values(r, "size", "n_moments"), "moments": [_moment(m) for m in r.moments[: r.n_moments]]}

    @property
    def model(self) -> Model:
        """What was learnt, once it is done."""
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        self._check_done()
        lib.trainer_get_model(self.ptr, byref(data), byref(size))
        return Model.from_bytes(ctypes.string_at(data.value or 0, size.value), "(trained)")

    def save(self, path: Union[str, os.PathLike]) -> None:
        """The model to a file, whole or not at all, once it is done."""
        call(lib.trainer_save, self.ptr, path_bytes(path))

    def checkpoint(self, path: Union[str, os.PathLike]) -> None:
        """All that is needed to go on later, to a file, whole or not at all."""
        call(lib.trainer_checkpoint, self.ptr, path_bytes(path))

    def resume(self, path: Union[str, os.PathLike]) -> None:
        """Go on from a checkpoint, in a trainer that has just been made of the same corpus and options: to the same
        bytes. MismatchError says what differs, FormatError what is damaged."""
        call(lib.trainer_resume, self.ptr, path_bytes(path))

    def _check_done(self) -> None:
        if self.progress["phase"] != "done":
            raise errors.InvalidError("the trainer is not done: there is no model yet")
