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
from ._library import ModelInfo, ModelOptions, Owned, error, lib, path_bytes
from .sequence import ERRNO_SIZE, TOKEN_FIELDS, Vocab, as_tokens


PRECISIONS = {None: 0, "f32": 1, "int8": 2}


def isas() -> Tuple[str, ...]:
    """The instruction sets that the library has kernels for and this machine can run,
    fastest first; the last is "portable"."""
    names = []
    while name := lib.isa_name(len(names)):
        names.append(name.decode())
    return tuple(names)


def _options(precision: Optional[str], isa: Optional[str]) -> ModelOptions:
    if precision not in PRECISIONS:
        raise errors.InvalidError(f'precision must be "f32", "int8" or None, not {precision!r}')
    return ModelOptions(precision=PRECISIONS[precision], isa=None if isa is None else isa.encode())


class Model:
    """A trained model from a safetensors file. Immutable; threads may share it.

    precision  "f32" or "int8": of the weights in memory; None: as the file has them
    isa        one of isas(); None: the first

    info   dict: name, fields (of a token that it reads), embedding (width), units
           (width of each LSTM layer), unit ("process" or "thread"), window and
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
        self.info = {
            "name": os.fsdecode(lib.model_name(self.ptr)),
            "fields": TOKEN_FIELDS[: info.n_fields],
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

    def nll(self, tokens: ArrayLike) -> NDArray[np.float32]:
        """Negative log-likelihood in nats of each call of one sequence given the
        calls before it: float32 [n]. `tokens` is [n, 4], or [n] name ids."""
        return self._run(tokens, False)[0]

    def log_probs(self, tokens: ArrayLike) -> NDArray[np.float32]:
        """Log-probability of every call name *before* each call of one sequence:
        float32 [n, len(vocab)]. `tokens` is [n, 4], or [n] name ids."""
        return self._run(tokens, True)[1]

    def _run(self, tokens: ArrayLike, with_logp: bool) -> Tuple[NDArray[np.float32], Any]:
        t = as_tokens(tokens)
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

    def _check(self, tokens: NDArray[np.uint32]) -> None:
        """Name the call whose field is out of range, which the library does not."""
        sizes = (len(self.vocab), ERRNO_SIZE)
        for column, field in enumerate(self.info["fields"]):
            bad = np.flatnonzero(tokens[:, column] >= sizes[column])
            if len(bad):
                raise errors.InvalidError(
                    f"call {bad[0]}: {field} {tokens[bad[0], column]} is out of range: "
                    f"the model has {sizes[column]}, from 0",
                )

    def __repr__(self) -> str:
        units = "+".join(str(u) for u in self.info["units"])
        return f"<cosmos.Model {self.info['name']!r}: LSTM {units}, {len(self.vocab)} names>"
