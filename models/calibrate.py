# SPDX-License-Identifier: Apache-2.0
"""Scores of held-out normal calls, and the threshold that follows from them.

NLLs come from the C library, and windows are cut as its detector cuts them, so
that the threshold means the same where it is used.
"""

from __future__ import annotations

import math

import numpy as np

import cosmos
from data import BadInput, Data

WARM_UP = 10_000  # calls before a piece that the state of a long sequence is built up from
PIECE = 1 << 20  # calls whose NLLs are in memory at a time
MIN_SCORES = 10


def window_scores(nll: np.ndarray, window: int, hop: int, prior_count: float, prior_mean: float):
    """Scores of one sequence and the end (exclusive) of each one's window: at each hop as soon as
    there are `window` calls, and at the end for the calls since the last score."""
    ends = np.arange(window, len(nll) + 1, hop)
    if len(nll) and (not len(ends) or ends[-1] != len(nll)):
        ends = np.append(ends, len(nll))
    starts = np.maximum(ends - window, 0)
    # cumsum adds one by one from the left, as the detector does: the same bits.
    prior = [prior_count * prior_mean]
    sums = np.array([np.cumsum(np.concatenate([prior, nll[a:b]]), dtype=np.float64)[-1] for a, b in zip(starts, ends)])
    return sums / (ends - starts + prior_count), ends


def calibration_scores(model: cosmos.Model, data: Data, bounds: np.ndarray) -> np.ndarray:
    """float64, in order of time: the score of every window that lies in the calibration part whole."""
    rule = {key: model.info[key] for key in ("window", "hop", "prior_count", "prior_mean")}
    found = []
    for begin, _, cut, end in bounds.tolist():
        for at in range(cut, end, PIECE):
            found.append(_scores_from(model, data, rule, (begin, at, min(at + PIECE, end), end)))
    if not found:
        return np.empty(0)
    at, scores = np.concatenate(found, axis=1)
    return scores[np.argsort(at, kind="stable")]


def _scores_from(model: cosmos.Model, data: Data, rule, places) -> np.ndarray:
    """float64 [2, n]: time and score of the windows of one sequence that begin in a piece of it. `places`: where
    the sequence begins, the piece begins and ends, and the sequence ends."""
    begin, at, stop, end = places
    # A whole number of hops back, so that windows fall where they do live.
    first = begin + max(0, at - begin - WARM_UP) // rule["hop"] * rule["hop"]
    last = min(stop + rule["window"], end)
    frequency = None if data.frequency is None else data.frequency[first:last]
    scores, ends = window_scores(model.nll(data.tokens[first:last], frequency), **rule)
    starts = np.maximum(ends + first - rule["window"], begin)
    inside = (starts >= at) & (starts < stop)
    if last < end:
        inside &= (ends - rule["window"]) % rule["hop"] == 0  # a shorter rest there is at the sequence's end only
    return np.stack([data.timestamps[first + ends[inside] - 1], scores[inside]])


def surprise(vocab_size: int, smoothing: float) -> float:
    """The NLL in nats of a call that training never met where it comes: label smoothing leaves it a
    probability of about smoothing / vocab_size."""
    return math.log(vocab_size / smoothing)


def false_alarms_later(scores: np.ndarray, quantile: float) -> float:
    """Of scores in order of time, the share of the later half above the quantile of the earlier half."""
    half = len(scores) // 2
    return float(np.mean(scores[half:] > cosmos.fit_threshold(scores[:half], quantile)))


def fit(scores: np.ndarray, quantile: float) -> cosmos.Fit:
    """The library's quantile, of scores enough to speak of one."""
    if len(scores) < MIN_SCORES:
        raise BadInput(
            f"only {len(scores)} windows lie in the last part of the traces and calibration needs {MIN_SCORES}: "
            "collect for longer, or take a smaller --window and --hop"
        )
    return cosmos.fit_quantile(scores, quantile)
