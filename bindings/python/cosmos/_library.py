# SPDX-License-Identifier: Apache-2.0
"""The shared library: finding it, the types and prototypes that are used of it,
and how a call is made.

Objects of the library are opaque pointers here. Mirrored are only structs that
begin with their own size, so that a newer library reads an older binding; a
test compares them with the headers.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
import threading
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Callable, Iterable, Optional

from . import errors

_SONAME = "libcosmos.so.0"
_log = logging.getLogger("cosmos")


def _open() -> ctypes.CDLL:
    path = os.environ.get("COSMOS_LIBRARY")
    if path:
        try:
            return ctypes.CDLL(path)
        except OSError as e:
            raise ImportError(f"COSMOS_LIBRARY={path} can't be loaded: {e}") from None
    try:
        return ctypes.CDLL(_SONAME)
    except OSError as e:
        found = ctypes.util.find_library("cosmos")
        if found:
            return ctypes.CDLL(found)
        raise ImportError(
            f"libcosmos is not installed ({e}): build it and `meson install` it (then `ldconfig`), "
            f"or set COSMOS_LIBRARY to the path of a built {_SONAME}"
        ) from None


class Diag(Structure):
    _fields_ = [("text", c_char * 512)]


LOG_LINE = CFUNCTYPE(None, c_void_p, c_int, c_char_p)
PROGRESS = CFUNCTYPE(c_int, c_void_p, c_uint64, c_double)
SINK_LINE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


class Log(Structure):
    _fields_ = [("line", LOG_LINE), ("userdata", c_void_p)]


class Options(Structure):
    """A struct that begins with its own size."""

    def __init__(self, **values: Any):
        super().__init__(**values)
        self.size = ctypes.sizeof(self)


class ReplayOptions(Options):
    _fields_ = [("size", c_size_t), ("log", Log)]


class ResolverOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("log", Log),
        ("select", POINTER(c_char_p)),
        ("n_select", c_size_t),
        ("live", c_int),
        ("detect_unaudited", c_int),
        ("proc_root", c_char_p),
        ("cgroup_root", c_char_p),
        ("docker_root", c_char_p),
    ]


class TokenScheme(Structure):
    _fields_ = [("fields", c_uint32), ("size", c_uint32), ("frequency", c_uint32)]


class Token(Structure):
    _fields_ = [("field", c_uint32 * 6), ("frequency", c_float)]


class CorpusOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("log", Log),
        ("unit", c_int),
        ("vocab", c_void_p),
        ("select", POINTER(c_char_p)),
        ("n_select", c_size_t),
        ("reserve", c_uint32),
        ("extend", c_int),
        ("progress", PROGRESS),
        ("userdata", c_void_p),
        ("tokens", POINTER(TokenScheme)),
    ]


class CorpusTrace(Options):
    _fields_ = [
        ("size", c_size_t),
        ("path", c_char_p),
        ("sha256", c_char_p),
        ("calls", c_uint64),
        ("sequences", c_uint64),
    ]


class DetectorOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("threshold", c_void_p),
        ("why", c_uint32),
        ("max_sequences", c_uint32),
        ("idle_ns", c_uint64),
    ]


class ModelOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("precision", c_int),
        ("isa", c_char_p),
    ]


class ModelInfo(Options):
    _fields_ = [
        ("size", c_size_t),
        ("n_fields", c_uint32),
        ("embedding", c_uint32),
        ("n_layers", c_uint32),
        ("units", c_uint32 * 8),
        ("unit", c_int),
        ("window", c_uint32),
        ("hop", c_uint32),
        ("prior_count", c_double),
        ("prior_mean", c_double),
        ("has_threshold", c_int),
        ("threshold", c_double),
        ("quantile", c_double),
        ("source", c_char_p),
        ("precision", c_int),
        ("isa", c_char_p),
        ("memory", c_size_t),
        ("tokens", TokenScheme),
        ("threshold_n", c_uint32),
        ("spread", c_double),
    ]


class ThresholdFit(Options):
    _fields_ = [
        ("size", c_size_t),
        ("theta", c_double),
        ("lower", c_double),
        ("upper", c_double),
        ("n", c_uint64),
        ("quantile", c_double),
        ("confidence", c_double),
        ("spread", c_double),
    ]


class AdaptiveOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("quantile", c_double),
        ("min", c_double),
        ("max", c_double),
        ("spread", c_double),
        ("hold", c_uint64),
    ]


class ThresholdInfo(Options):
    _fields_ = [
        ("size", c_size_t),
        ("theta", c_double),
        ("quantile", c_double),
        ("n", c_uint64),
        ("spread", c_double),
        ("adaptive", c_int),
        ("alert", c_int),
        ("counted", c_uint64),
        ("held", c_uint64),
        ("n_images", c_size_t),
    ]


class TrainerOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("log", Log),
        ("embedding", c_uint32),
        ("n_layers", c_uint32),
        ("units", c_uint32 * 8),
        ("tokens", TokenScheme),
        ("batch", c_uint32),
        ("length", c_uint32),
        ("epochs", c_uint32),
        ("epoch_chunks", c_uint32),
        ("learning_rate", c_double),
        ("dropout", c_double),
        ("seed", c_uint64),
        ("threads", c_uint32),
        ("window", c_uint32),
        ("hop", c_uint32),
        ("quantile", c_double),
        ("margin", c_double),
        ("init", c_char_p),
        ("init_size", c_size_t),
        ("learn_anomalous", c_int),
        ("keep", c_uint32),
    ]


class TrainerProgress(Options):
    _fields_ = [
        ("size", c_size_t),
        ("phase", c_int),
        ("epoch", c_uint32),
        ("epochs", c_uint32),
        ("share", c_double),
        ("loss", c_double),
        ("held_out", c_double),
        ("best", c_double),
        ("learning_rate", c_double),
        ("calls", c_uint64),
    ]


class TrainerMoment(Structure):
    _fields_ = [
        ("nll", c_double),
        ("timestamp", c_int64),
        ("comm", c_char_p),
        ("syscall", c_char_p),
        ("before", c_char_p),
        ("expected", c_char_p),
        ("expected_p", c_double),
    ]


class TrainerReport(Options):
    _fields_ = [
        ("size", c_size_t),
        ("parameters", c_uint64),
        ("learnt", c_uint64),
        ("stopping", c_uint64),
        ("calibration", c_uint64),
        ("epochs", c_uint32),
        ("perplexity", c_double),
        ("unigram_perplexity", c_double),
        ("fivegram_perplexity", c_double),
        ("windows", c_uint64),
        ("median", c_double),
        ("highest", c_double),
        ("quantile_score", c_double),
        ("quantile_lower", c_double),
        ("quantile_upper", c_double),
        ("theta", c_double),
        ("above_later", c_double),
        ("above", c_double),
        ("moments", TrainerMoment * 10),
        ("n_moments", c_size_t),
        ("sifted", c_uint64),
        ("refused", c_uint64),
        ("refused_calls", c_uint64),
        ("trimmed_calls", c_uint64),
        ("refused_sequences", c_uint64),
        ("refused_spread", c_double),
        ("before", c_double),
        ("after", c_double),
        ("new_calls", c_uint64),
        ("kept_before", c_double),
        ("kept_after", c_double),
    ]


# name: (result, arguments). `int` results that are errors go through call().
_PROTOTYPES = {
    "version": (c_char_p, []),
    "strerror": (c_char_p, [c_int, c_char_p, c_size_t]),
    "unit_name": (c_char_p, [c_int]),
    "collector_open_replay": (c_int, [c_void_p, c_char_p, c_void_p, c_void_p]),
    "collector_fd": (c_int, [c_void_p]),
    "collector_next": (c_int, [c_void_p, c_void_p, c_void_p]),
    "collector_free": (c_void_p, [c_void_p]),
    "resolver_new": (c_int, [c_void_p, c_void_p, c_void_p]),
    "resolver_free": (c_void_p, [c_void_p]),
    "token_field_name": (c_char_p, [c_int]),
    "token_field_size": (c_uint32, [c_void_p, c_int]),
    "token_scheme_parse": (c_int, [c_void_p, c_char_p, c_void_p]),
    "token_scheme_text": (c_char_p, [c_void_p, c_char_p, c_size_t]),
    "vocab_new": (c_int, [c_void_p, c_void_p, c_size_t, c_void_p]),
    "vocab_size": (c_size_t, [c_void_p]),
    "vocab_name": (c_char_p, [c_void_p, c_uint32]),
    "vocab_id": (c_uint32, [c_void_p, c_char_p]),
    "vocab_free": (c_void_p, [c_void_p]),
    "corpus_read": (c_int, [c_void_p, c_void_p, c_size_t, c_void_p, c_void_p]),
    "corpus_sequences": (c_size_t, [c_void_p]),
    "corpus_calls": (c_size_t, [c_void_p]),
    "corpus_offsets": (c_void_p, [c_void_p]),
    "corpus_tokens": (c_void_p, [c_void_p]),
    "corpus_frequency": (c_void_p, [c_void_p]),
    "corpus_timestamps": (c_void_p, [c_void_p]),
    "corpus_comm": (c_char_p, [c_void_p, c_size_t]),
    "corpus_vocab": (c_void_p, [c_void_p]),
    "corpus_unplaced": (c_size_t, [c_void_p]),
    "corpus_unit": (c_int, [c_void_p]),
    "corpus_source": (c_char_p, [c_void_p]),
    "corpus_call_set": (c_char_p, [c_void_p]),
    "corpus_traces": (c_size_t, [c_void_p]),
    "corpus_get_trace": (None, [c_void_p, c_size_t, c_void_p]),
    "corpus_image": (c_char_p, [c_void_p, c_size_t]),
    "corpus_free": (c_void_p, [c_void_p]),
    "precision_name": (c_char_p, [c_int]),
    "isa_name": (c_char_p, [c_size_t]),
    "model_load_file": (c_int, [c_void_p, c_char_p, c_void_p, c_void_p]),
    "model_load": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_void_p, c_void_p]),
    "model_unref": (c_void_p, [c_void_p]),
    "model_get_info": (None, [c_void_p, c_void_p]),
    "model_vocab": (c_void_p, [c_void_p]),
    "model_name": (c_char_p, [c_void_p]),
    "model_metadata": (c_char_p, [c_void_p, c_char_p]),
    "predictor_new": (c_int, [c_void_p, c_void_p, c_void_p]),
    "predictor_free": (c_void_p, [c_void_p]),
    "session_new": (c_int, [c_void_p, c_void_p, c_void_p]),
    "session_free": (c_void_p, [c_void_p]),
    "predictor_step": (c_int, [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p]),
    "trainer_options_init": (None, [c_void_p]),
    "trainer_new": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "trainer_run": (c_int, [c_void_p, c_void_p]),
    "trainer_get_progress": (None, [c_void_p, c_void_p]),
    "trainer_checkpoint": (c_int, [c_void_p, c_char_p, c_void_p]),
    "trainer_resume": (c_int, [c_void_p, c_char_p, c_void_p]),
    "trainer_get_report": (None, [c_void_p, c_void_p]),
    "trainer_get_model": (None, [c_void_p, c_void_p, c_void_p]),
    "trainer_save": (c_int, [c_void_p, c_char_p, c_void_p]),
    "trainer_free": (c_void_p, [c_void_p]),
    "model_card": (c_int, [c_char_p, c_char_p, c_void_p]),
    "threshold_new_fixed": (c_int, [c_void_p, c_double, c_void_p]),
    "threshold_new_fitted": (c_int, [c_void_p, c_void_p, c_size_t, c_double, c_void_p]),
    "threshold_fit_quantile": (c_int, [c_void_p, c_void_p, c_size_t, c_double, c_double, c_void_p]),
    "threshold_new_model": (c_int, [c_void_p, c_void_p, c_void_p]),
    "threshold_add_image": (c_int, [c_void_p, c_char_p, c_void_p, c_void_p]),
    "threshold_of": (c_void_p, [c_void_p, c_char_p]),
    "threshold_new_adaptive": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "threshold_update": (None, [c_void_p, c_double]),
    "threshold_theta": (c_double, [c_void_p]),
    "threshold_judge": (c_int, [c_void_p, c_double]),
    "threshold_get_info": (None, [c_void_p, c_void_p]),
    "threshold_save": (c_int, [c_void_p, c_char_p, c_char_p, c_void_p]),
    "verdict_name": (c_char_p, [c_int]),
    "threshold_free": (c_void_p, [c_void_p]),
    "sink_new_lines": (c_int, [c_void_p, SINK_LINE, c_void_p, c_void_p]),
    "sink_write_event": (c_int, [c_void_p, c_void_p, c_void_p]),
    "sink_free": (c_void_p, [c_void_p]),
    "detector_new": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "detector_run": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "detector_free": (c_void_p, [c_void_p]),
}


class _Library:
    """The functions, named without their "cosmos_"."""

    def __init__(self) -> None:
        dll = _open()
        for name, (result, arguments) in _PROTOTYPES.items():
            try:
                function = getattr(dll, "cosmos_" + name)
            except AttributeError:
                raise ImportError(
                    f"{dll._name} has no cosmos_{name}: this binding needs libcosmos 0.1 or later"
                ) from None
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)


lib: Any = _Library()


def version() -> str:
    """Version of the shared library that is loaded, "MAJOR.MINOR.PATCH"."""
    return lib.version().decode()


# The library calls back in the thread that called it, so an exception in a
# callback waits here until call() is back in that thread.
_raised = threading.local()


def guarded(function: Callable[..., Optional[int]], stopped: Optional[int]) -> Callable[..., Optional[int]]:
    """Wrap a callback: an exception is kept for call() and `stopped` is returned."""

    def wrapper(*args: Any) -> Optional[int]:
        try:
            return function(*args)
        except BaseException as e:
            _raised.exception = e
            return stopped

    return wrapper


def _line(_userdata: Optional[int], level: int, text: bytes) -> None:
    _log.log(logging.WARNING if level == 0 else logging.INFO, "%s", text.decode("utf-8", "replace"))


_log_line = LOG_LINE(guarded(_line, None))


def log() -> Log:
    """A hook that hands the library's lines to the logger "cosmos"."""
    return Log(_log_line, None)


def call(function: Callable[..., int], *args: Any) -> int:
    """Call a function whose last parameter is a diag; raise what it fails with."""
    diag = Diag()
    _raised.exception = None
    rc = function(*args, byref(diag))
    e, _raised.exception = _raised.exception, None
    if e is not None:
        raise e
    if rc < 0:
        raise error(rc, diag.text)
    return rc


def error(rc: int, text: bytes = b"") -> Exception:
    """The exception for a negative result and its diagnostic."""
    if not text:
        buf = ctypes.create_string_buffer(64)
        text = lib.strerror(rc, buf, len(buf))
    return errors.from_code(-rc, text.decode("utf-8", "replace"))


class Owned:
    """An object of the library, freed with this one. `keeps` live as long."""

    def __init__(self, free: Callable[[int], Any], new: Callable[..., int], *args: Any, keeps: Any = None):
        self._free = free
        self.ptr: Optional[int] = None
        self._keeps = keeps
        ptr = c_void_p()
        call(new, byref(ptr), *args)
        self.ptr = ptr.value

    def __del__(self) -> None:
        if self.ptr is not None:
            self._free(self.ptr)
            self.ptr = None


def path_bytes(path: Any) -> bytes:
    """A path for C; a NUL would cut it short."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise errors.InvalidError(f"a path can't hold a NUL: {path!r}")
    return raw


def strings(names: Iterable[str], what: str) -> Any:
    """A C array of strings."""
    if isinstance(names, str):
        raise TypeError(f"{what} must be a list of strings, not one string")
    raw = []
    for name in names:
        if "\0" in name:
            raise errors.InvalidError(f"{what}: {name!r} holds a NUL")
        raw.append(os.fsencode(name))
    return (c_char_p * len(raw))(*raw)
