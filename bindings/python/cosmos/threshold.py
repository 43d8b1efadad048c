# SPDX-License-Identifier: Apache-2.0
"""Threshold: is a score normal?"""

from __future__ import annotations

import math
import os
from ctypes import byref
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import errors
from ._library import AdaptiveOptions, Owned, ThresholdFit, ThresholdInfo, call, lib, path_bytes
from .model import Model


class Fit(NamedTuple):
    """What a quantile of benign scores is, and how sure; include/cosmos/threshold.h has the definitions."""

    theta: float  # nats a call, as all that follows but n, quantile and confidence
    lower: float  # with at least this confidence the quantile of all scores there could be lies
    upper: float  # between these two; -inf, inf where there are too few scores to say
    n: int
    quantile: float
    confidence: float
    spread: float  # by how much theta must rise for e times fewer scores to be above it


def _scores(scores: ArrayLike) -> NDArray[np.float64]:
    return np.ascontiguousarray(scores, dtype=np.float64).ravel()


def fit_quantile(scores: ArrayLike, quantile: float, confidence: float = 0.95) -> Fit:
    """The quantile of benign scores with its interval.

    theta is the smallest score x such that at least `quantile` of all scores are <= x.
    0 < quantile <= 1, 0 < confidence < 1; one score or more, all finite; else InvalidError.
    The scores must be of data that the model was not trained on.
    """
    x, fit = _scores(scores), ThresholdFit()
    call(lib.threshold_fit_quantile, byref(fit), x.ctypes.data, x.size, quantile, confidence)
    return Fit(*(getattr(fit, name) for name in Fit._fields))


def fit_threshold(scores: ArrayLike, quantile: float) -> float:
    """Threshold θ in nats a call, fitted to benign scores: fit_quantile(scores, quantile).theta."""
    return fit_quantile(scores, quantile).theta


def _name(image: str) -> bytes:
    if "\0" in image:
        raise errors.InvalidError(f"an image's name can't hold a NUL: {image!r}")
    return os.fsencode(image)


class Threshold:
    """A threshold, perhaps with others for container images. One that adapts belongs to one thread."""

    def __init__(self, theta: float):
        """θ as given, in nats a call."""
        self._adopt(Owned(lib.threshold_free, lib.threshold_new_fixed, theta))

    def _adopt(self, owner: Any) -> Threshold:
        self._owner, self.ptr = owner, owner.ptr
        return self

    @classmethod
    def fitted(cls, scores: ArrayLike, quantile: float) -> Threshold:
        """That of fit_quantile()."""
        x = _scores(scores)
        owner = Owned(lib.threshold_free, lib.threshold_new_fitted, x.ctypes.data, x.size, quantile)
        return cls.__new__(cls)._adopt(owner)

    @classmethod
    def of_model(cls, model: Model) -> Threshold:
        """The model's own, with those of its images."""
        return cls.__new__(cls)._adopt(Owned(lib.threshold_free, lib.threshold_new_model, model.ptr))

    def adaptive(
        self,
        quantile: Optional[float] = None,
        bounds: Optional[Tuple[float, float]] = None,
        spread: Optional[float] = None,
        hold: Optional[int] = None,
    ) -> Threshold:
        """A copy that follows the scores that it is told of.

        quantile  of all scores that it is to hold; None: that which it was fitted to
        bounds    it stays between these two, in nats a call; None: there are none
        spread    of scores near it; None: that of its fit
        hold      scores that an alert may last; None: 10 / (1 - quantile)
        """
        if bounds is not None and not bounds[0] < bounds[1]:
            raise errors.InvalidError(f"bounds must be two numbers in order, not {bounds!r}")
        low, high = bounds or (0, 0)
        options = AdaptiveOptions(quantile=quantile or 0, min=low, max=high, spread=spread or 0, hold=hold or 0)
        owner = Owned(lib.threshold_free, lib.threshold_new_adaptive, self.ptr, byref(options))
        return Threshold.__new__(Threshold)._adopt(owner)

    def add_image(self, image: str, its: Threshold) -> None:
        """Judge what is of this image by a copy of `its`."""
        call(lib.threshold_add_image, self.ptr, _name(image), its.ptr)

    def of_image(self, image: str) -> Threshold:
        """The one for an image; this one if it holds none for it. It shares what it is."""
        found = Threshold.__new__(Threshold)
        found._owner, found.ptr = self._owner, lib.threshold_of(self.ptr, _name(image))
        return found

    @property
    def theta(self) -> float:
        """θ as it is now, in nats a call."""
        return lib.threshold_theta(self.ptr)

    @property
    def info(self) -> Dict[str, Any]:
        """theta, quantile, n and spread (None where they are not known), adaptive, alert (no score counts
        now), counted and held (scores that have moved θ, or could not for an alert), n_images."""
        info = ThresholdInfo()
        lib.threshold_get_info(self.ptr, byref(info))
        found = {name: getattr(info, name) for name, _ in ThresholdInfo._fields_ if name != "size"}
        found.update(adaptive=bool(info.adaptive), alert=bool(info.alert), n=info.n or None)
        return {name: None if isinstance(x, float) and math.isnan(x) else x for name, x in found.items()}

    def judge(self, score: float) -> str:
        """ "normal", "anomalous", or "indeterminate" for a NaN."""
        return lib.verdict_name(lib.threshold_judge(self.ptr, score)).decode()

    def update(self, score: float) -> None:
        """Tell it of a score that it has judged."""
        lib.threshold_update(self.ptr, score)

    def follow(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Tell it of scores in their order; returns the θ that each was judged by."""
        x = _scores(scores)
        thetas, theta, update, ptr = np.empty(len(x)), lib.threshold_theta, lib.threshold_update, self.ptr
        for i, score in enumerate(x.tolist()):
            thetas[i] = theta(ptr)
            update(ptr, score)
        return thetas

    def save(self, source: Union[str, os.PathLike], target: Union[str, os.PathLike]) -> None:
        """Write a copy of the model file `source` with this threshold as it is now, and its images."""
        call(lib.threshold_save, self.ptr, path_bytes(source), path_bytes(target))

    def __repr__(self) -> str:
        info = self.info
        return f"<cosmos.Threshold {info['theta']:.6g}{', adaptive' if info['adaptive'] else ''}>"
