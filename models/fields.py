# SPDX-License-Identifier: Apache-2.0
"""The fields of a token: what the network is told of each call.

All that depends on which fields there are, and on how many values each has, is
here: the rest of models/ asks.
"""

from __future__ import annotations

from typing import Dict, List, Sequence

COLUMNS = ("name", "errno")  # of a token, in order
ERRNO_SIZE = 135
SCHEMES = ("name", "name,errno")  # that training offers; the last is the default
PREDICTED = "name"


def of(scheme: str) -> List[str]:
    """The fields of a scheme as the metadata names it, in the order of the network's inputs."""
    return scheme.split(",")


def sizes(vocab_size: int) -> Dict[str, int]:
    """The number of values of each field."""
    return {"name": vocab_size, "errno": ERRNO_SIZE}


def columns(scheme: Sequence[str]) -> List[int]:
    """Where its fields stand in a token."""
    return [COLUMNS.index(field) for field in scheme]


def initializer(field: str) -> str:
    """Of its embedding. A value that training never meets keeps its row of zeros: it says nothing."""
    return "uniform" if field == PREDICTED else "zeros"
