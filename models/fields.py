# SPDX-License-Identifier: Apache-2.0
"""The fields of a token: what the network is told of each call.

The library knows which there are and how many values each has; all of models/ that
depends on it asks here.
"""

from __future__ import annotations

from typing import List, Sequence

DEFAULT = "name,errno"
FREQUENCY = "frequency"  # no id but a number, which is dense


def of(text: str) -> List[str]:
    """The parts of a scheme as the metadata names it, in the order of the network's inputs."""
    return text.split(",")


def scheme(parts: Sequence[str]):
    """The library's scheme, or what is wrong with it."""
    import cosmos

    return cosmos.Scheme(",".join(parts))


def columns(parts: Sequence[str]) -> List[int]:
    """Where the ids of a scheme stand in a token."""
    from cosmos.sequence import TOKEN_FIELDS

    return [TOKEN_FIELDS.index(field) for field in scheme(parts).fields]


def initializer(field: str) -> str:
    """Of its embedding. A value that training never meets keeps its row of zeros: it says nothing."""
    return "uniform" if field == "name" else "zeros"
