# SPDX-License-Identifier: Apache-2.0
"""Detector: a trace and a model to scored windows."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Dict, Iterator, Optional, Sequence, Union

from ._library import DetectorOptions, Owned, ResolverOptions, call, lib, log, strings
from .collector import Lines, open_replay, wait
from .model import Model
from .threshold import Threshold


def score(
    model: Union[Model, str, os.PathLike],
    trace: Union[str, os.PathLike],
    threshold: Union[float, Threshold, None] = None,
    why: int = 0,
    containers: Sequence[str] = (),
) -> Iterator[Dict[str, Any]]:
    """Score a trace: one dict for each scored window, as cosmos-score writes it
    (docs/formats.md), in the same order and with the same bits.

    threshold   θ in nats a call, or a Threshold, which is told of each score if it
                adapts; None: the model's own
    why         most surprising calls to name in each window, 0..16
    containers  score only these: names, ids (4 digits or more) or images; none: every event

    What is wrong with the model or the trace's head is raised at once; what comes up
    later, after the scores that stand before it.
    """
    if not isinstance(model, Model):
        model = Model(model)
    theta = threshold
    if theta is not None and not isinstance(theta, Threshold):
        theta = Threshold(theta)
    collector = open_replay(trace)
    select = strings(containers, "containers")
    replayed = ResolverOptions(log=log(), select=select, n_select=len(select), live=0)
    resolver = Owned(lib.resolver_free, lib.resolver_new, ctypes.byref(replayed))
    lines = Lines()
    options = DetectorOptions(threshold=theta.ptr if theta else None, why=why)
    detector = Owned(
        lib.detector_free, lib.detector_new, model.ptr, lines.ptr, ctypes.byref(options), keeps=(lines, theta)
    )
    return _scores(detector, collector, resolver, lines)


def _scores(detector: Owned, collector: Owned, resolver: Owned, lines: Lines) -> Iterator[Dict[str, Any]]:
    while True:
        try:
            rc = call(lib.detector_run, detector.ptr, collector.ptr, resolver.ptr)
        except BaseException:
            yield from lines.take()
            raise
        yield from lines.take()
        if rc == 2:
            return
        if rc == 0:
            wait(collector)
