# SPDX-License-Identifier: Apache-2.0
"""Collector: the events of a recorded trace."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
from typing import Any, Dict, Iterator, List, Union

from ._library import SINK_LINE, Owned, ReplayOptions, call, guarded, lib, log, path_bytes


class Lines:
    """A sink that gathers JSON Lines."""

    def __init__(self) -> None:
        texts: List[bytes] = []

        def append(_userdata: Any, text: int, length: int) -> int:
            texts.append(ctypes.string_at(text, length))
            return 0

        # ECANCELED: any error would do, the exception is what is raised.
        line = SINK_LINE(guarded(append, -errno.ECANCELED))
        self._texts = texts
        self._owner = Owned(lib.sink_free, lib.sink_new_lines, line, None, keeps=line)
        self.ptr = self._owner.ptr

    def take(self) -> Iterator[Dict[str, Any]]:
        """What has come since the last time, parsed."""
        texts = self._texts[:]
        self._texts.clear()
        return (json.loads(text) for text in texts)


def open_replay(path: Union[str, os.PathLike]) -> Owned:
    options = ReplayOptions(log=log())
    return Owned(lib.collector_free, lib.collector_open_replay, path_bytes(path), ctypes.byref(options))


def wait(collector: Owned) -> None:
    """Until there may be more, for up to a second."""
    select.select([lib.collector_fd(collector.ptr)], [], [], 1.0)


def read_trace(path: Union[str, os.PathLike]) -> Iterator[Dict[str, Any]]:
    """The events of a trace (JSON Lines, or a log of auditd; "-" is standard
    input), one dict for each as the library reads it, with the keys of
    docs/formats.md. Lines that can't be read are skipped, with a warning in the log.
    """
    return _events(open_replay(path))


def _events(collector: Owned) -> Iterator[Dict[str, Any]]:
    lines = Lines()
    event = ctypes.c_void_p()
    while True:
        rc = call(lib.collector_next, collector.ptr, ctypes.byref(event))
        if rc == 2:
            return
        if rc == 0:
            wait(collector)
            continue
        call(lib.sink_write_event, lines.ptr, event)
        yield from lines.take()
