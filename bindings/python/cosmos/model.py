# SPDX-License-Identifier: Apache-2.0
"""Model: trained weights, and what they think of a sequence."""

from __future__ import annotations

import math
import os
from ctypes import byref, c_void_p
from typing import Any, Optional, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import errors
from ._library import ModelInfo, ModelOptions, Owned, call, error, lib, path_bytes
from .sequence import TOKEN_FIELDS, Scheme, Vocab, as_tokens


PRECISIONS = {None: 0, "f32": 1, "int8": 2}


def isas() -> Tuple[str, ...]:
    """The instruction sets that the library has kernels for and this machine can run,
    fastest first; the last is "portable"."""
    names = []
    while name := lib.isa_name(len(names)):
        names.append(name.decode())
    return tuple(names)


def write_card(model: Union[str, os.PathLike], card: Union[str, os.PathLike]) -> None:
    """Write the card of a model file: Markdown to `card`, and the learning curve beside it as SVG, by the same name
    with .svg in place of .md, or else behind it. What the file does not say is left out; without a curve there is
    no plot."""
    call(lib.model_card, path_bytes(model), path_bytes(card))


def _options(precision: Optional[str], isa: Optional[str]) -> ModelOptions:
    if precision not in PRECISIONS:
        raise errors.InvalidError(f'precision must be "f32", "int8" or None, not {precision!r}')
    return ModelOptions(precision=PRECISIONS[precision], isa=None if isa is None else isa.encode())


class Model:
    """A trained model from a safetensors file. Immutable; threads may share it.

    precision  "f32" or "int8": of the weights in memory; None: as the file has them
    isa        one of isas(); None: the first

    info   dict: name, tokens (the text of a Scheme: what it reads of a call), fields (of a
           token among it), embedding (width), units (width of each LSTM layer), unit ("process" or "thread"), window and
           hop (calls), prior_count, prior_mean (nats), threshold (nats a call) and
           quantile (None where the file has none), threshold_n (scores that it was
           fitted to) and spread (of these), also None, source ("" if any), precision,
           isa, memory (bytes of weights and tables)
    vocab  names by id
    """

    def __init__(self, path: Union[str, os.PathLike], precision: Optional[str] = None, isa: Optional[str] = None):
        options = byref(_options(precision, isa))
        self._adopt(Owned(lib.model_unref, lib.model_load_file, path_bytes(path), options))

    @classmethod
    def from_bytes(
        cls, data: bytes, name: str = "(memory)", precision: Optional[str] = None, isa: Optional[str] = None
    ) -> Model:
        """Load from memory. `name` stands in messages and score lines."""
        model = cls.__new__(cls)
        data, options = bytes(data), byref(_options(precision, isa))
        model._adopt(Owned(lib.model_unref, lib.model_load, data, len(data), path_bytes(name), options))
        return model

    def _adopt(self, owner: Owned) -> None:
        self._owner = owner
        self.ptr = owner.ptr
        self.vocab = Vocab._borrow(lib.model_vocab(self.ptr), owner)
        info = ModelInfo()
        lib.model_get_info(self.ptr, byref(info))
        self._scheme = Scheme._of(info.tokens)
        self.info = {
            "name": os.fsdecode(lib.model_name(self.ptr)),
            "tokens": str(self._scheme),
            "fields": self._scheme.fields,
            "embedding": info.embedding,
            "units": tuple(info.units[: info.n_layers]),
            "unit": lib.unit_name(info.unit).decode(),
            "window": info.window,
            "hop": info.hop,
            "prior_count": info.prior_count,
            "prior_mean": info.prior_mean,
            "threshold": info.threshold if info.has_threshold else None,
            "quantile": None if math.isnan(info.quantile) else info.quantile,
            "threshold_n": info.threshold_n or None,
            "spread": None if math.isnan(info.spread) else info.spread,
            "source": os.fsdecode(info.source or b""),
            "precision": lib.precision_name(info.precision).decode(),
            "isa": info.isa.decode(),
            "memory": info.memory,
        }

    def metadata(self, key: str) -> Optional[str]:
        """A raw value of the file's metadata ("cosmos.seed"), None if it has no such key."""
        value = lib.model_metadata(self.ptr, path_bytes(key))
        return None if value is None else value.decode("utf-8", "surrogateescape")

    def nll(self, tokens: ArrayLike, frequency: Optional[ArrayLike] = None) -> NDArray[np.float32]:
        """Negative log-likelihood in nats of each call of one sequence given the
        calls before it: float32 [n]. `tokens` is [n, 6], or [n] name ids; `frequency`
        is [n], for a model that reads it."""
        return self._run(tokens, frequency, False)[0]

    def log_probs(self, tokens: ArrayLike, frequency: Optional[ArrayLike] = None) -> NDArray[np.float32]:
        """Log-probability of every call name *before* each call of one sequence:
        float32 [n, len(vocab)]. Arguments as of nll()."""
        return self._run(tokens, frequency, True)[1]

    def _run(
        self, tokens: ArrayLike, frequency: Optional[ArrayLike], with_logp: bool
    ) -> Tuple[NDArray[np.float32], Any]:
        if self._scheme.frequency and frequency is None:
            raise errors.InvalidError(f"{self.info['name']}: the model reads {self._scheme}: give the frequency too")
        t = as_tokens(tokens, frequency)
        self._check(t)
        n, width = len(t), len(self.vocab)
        nll = np.empty(n, np.float32)
        logp = np.empty((n, width), np.float32) if with_logp else None
        predictor = Owned(lib.predictor_free, lib.predictor_new, self.ptr)
        session = Owned(lib.session_free, lib.session_new, self.ptr)
        rc = lib.predictor_step(
            predictor.ptr,
            (c_void_p * n)(*[session.ptr] * n),
            t.ctypes.data,
            n,
            nll.ctypes.data,
            None if logp is None else logp.ctypes.data,
        )
        if rc < 0:
            raise error(rc)
        return nll, logp

    def _check(self, tokens: NDArray[Any]) -> None:
        """Name the call of which something is out of range, which the library does not."""
        for field, size in self._scheme.sizes.items():
            ids, size = tokens["field"][:, TOKEN_FIELDS.index(field)], size or len(self.vocab)
            bad = np.flatnonzero(ids >= size)
            if len(bad):
                raise errors.InvalidError(
                    f"call {bad[0]}: {field} {ids[bad[0]]} is out of range: the model has {size}, from 0",
                )
        bad = np.flatnonzero(~((tokens["frequency"] >= 0) & (tokens["frequency"] <= 1)))
        if self._scheme.frequency and len(bad):
            raise errors.InvalidError(f"call {bad[0]}: the frequency {tokens['frequency'][bad[0]]} is not from 0 to 1")

    def __repr__(self) -> str:
        units = "+".join(str(u) for u in self.info["units"])
        return f"<cosmos.Model {self.info['name']!r}: LSTM {units}, {len(self.vocab)} names>"
