# SPDX-License-Identifier: Apache-2.0
"""What the network is told of each call: the fields of a token, and the frequency.

All that depends on which there are, and on how many values each has, is here: the
rest of models/ asks. docs/formats-model.md says what they mean.
"""

from __future__ import annotations

from typing import List, Sequence

import cosmos

USUAL = "name,errno"
PREDICTED = "name"
FREQUENCY = "frequency"  # a number, no id: it multiplies a vector that is learnt


def of(scheme: str) -> List[str]:
    """A scheme as the metadata names it: what each of the network's inputs is, in their order. CosmosError if it
    is none."""
    return str(cosmos.Scheme(scheme)).split(",")


def name(part: str) -> str:
    """Of a part of a scheme, without what it says of its classes: that of an input, and of a tensor."""
    return part.split("/")[0]


def size(part: str, vocab_size: int) -> int:
    """The number of ids of a field; the frequency has none."""
    return cosmos.Scheme(part if part == PREDICTED else f"{PREDICTED},{part}").sizes[name(part)] or vocab_size


def columns(scheme: Sequence[str]) -> List[int]:
    """Where its fields stand in a token."""
    return [cosmos.TOKEN_FIELDS.index(name(part)) for part in scheme if name(part) != FREQUENCY]


def initializer(part: str) -> str:
    """Of its embedding. A value that training never meets keeps its row of zeros: it says nothing."""
    return "uniform" if part == PREDICTED else "zeros"
