# SPDX-License-Identifier: Apache-2.0
"""Threshold: is a score normal?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._library import Owned, lib


def fit_threshold(scores: ArrayLike, quantile: float) -> float:
    """Threshold θ in nats a call, fitted to benign scores.

    The smallest score x such that at least `quantile` of all scores are <= x.
    0 < quantile <= 1; one score or more, all finite; else InvalidError. The
    scores must be of data that the model was not trained on.
    """
    x = np.ascontiguousarray(scores, dtype=np.float64).ravel()
    fitted = Owned(lib.threshold_free, lib.threshold_new_fitted, x.ctypes.data, x.size, quantile)
    return lib.threshold_theta(fitted.ptr)
