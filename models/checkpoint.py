# SPDX-License-Identifier: Apache-2.0
"""A training on disk, to go on from after a kill.

The folder holds what tf.train.CheckpointManager makes (weights, the best ones so far,
the optimizer, and where in the training they are) and training.json: names of tensors
and metadata of the model to be, for export.py, and the settings, for a training to
know its own.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any, Dict, Optional, Tuple

import numpy as np

import export
from data import BadInput
from team import first_line, quiet

SIDE = "training.json"
KEPT = 2  # the last is whole when the one before it goes


@dataclasses.dataclass
class State:
    """Where a training is: before step `step` (from 0) of epoch `epoch` (from 1). What chance decides follows from
    these two and the seed."""

    epoch: int = 1
    step: int = 0
    total: float = 0.0  # NLL of the epoch's calls so far
    calls: int = 0
    best: float = math.inf  # mean NLL on the second part after the best epoch
    without: int = 0  # epochs since a gain
    curve: list = dataclasses.field(default_factory=list)  # cosmos.curve: a dict for each whole epoch


class Checkpoint:
    """Of one training, in a folder. Every worker reads; the chief writes."""

    def __init__(self, folder: str, network: Any, optimizer: Any, best: Dict[str, Any], side: Dict[str, Any]):
        """`best`: variables with the best weights; `side`: {"settings": {name: value}, "metadata": {key: value}}"""
        tf = quiet()
        self._tf, self._folder, self._side = tf, folder, {**side, "tensors": list(best)}
        self._state = tf.Variable("", dtype=tf.string)
        self._all = tf.train.Checkpoint(
            weights=[v.value for v in network.weights],
            optimizer=[v.value for v in optimizer.variables],
            best=list(best.values()),
            state=self._state,
        )
        os.makedirs(folder, exist_ok=True)
        self._manager = tf.train.CheckpointManager(self._all, folder, KEPT)

    def restore(self) -> Optional[State]:
        """The state that was saved last, its weights and the optimizer's; None if there is none."""
        latest = self._manager.latest_checkpoint
        if latest is None:
            return None
        settings = _side(self._folder)["settings"]
        mine = json.loads(json.dumps(self._side["settings"]))
        for name in sorted({*settings, *mine}):
            if settings.get(name) != mine.get(name):
                there, here = _short(settings.get(name)), _short(mine.get(name))
                raise BadInput(
                    f"{self._folder} holds the checkpoint of another training: {name} is {there} there, {here} here; "
                    "take another folder, or remove it"
                )
        try:
            self._all.restore(latest).assert_consumed()
            return State(**json.loads(self._state.numpy()))
        except (self._tf.errors.OpError, AssertionError, ValueError, TypeError) as e:
            raise damaged(latest, e) from None

    def save(self, state: State) -> None:
        self._state.assign(json.dumps(dataclasses.asdict(state)))
        if self._manager.latest_checkpoint is None:
            export.write(os.path.join(self._folder, SIDE), json.dumps(self._side, indent=1).encode())
        try:
            self._manager.save()
        except self._tf.errors.OpError as e:
            last = self._manager.latest_checkpoint
            stays = f"; {last} is there to go on from" if last else ""
            raise BadInput(f"{self._folder}: the checkpoint was not written: {first_line(e)}{stays}") from None


def read(folder: str) -> Tuple[Dict[str, np.ndarray], Dict[str, str], State]:
    """The best weights that a training has left, the metadata of the model to be, and where it is."""
    tf = quiet()
    latest = tf.train.latest_checkpoint(folder)
    if latest is None:
        raise BadInput(f"{folder}: no checkpoint is in this folder")
    side, end = _side(folder), "/.ATTRIBUTES/VARIABLE_VALUE"
    try:
        reader = tf.train.load_checkpoint(latest)
        state = State(**json.loads(reader.get_tensor("state" + end)))
        weights = {name: reader.get_tensor(f"best/{i}{end}") for i, name in enumerate(side["tensors"])}
    except (tf.errors.OpError, RuntimeError, ValueError, TypeError) as e:
        raise damaged(latest, e) from None
    if math.isinf(state.best):
        raise BadInput(f"{folder}: the training has not come to the end of its first epoch; there is nothing to export")
    return weights, side["metadata"], state


def damaged(path: str, e: Exception) -> BadInput:
    return BadInput(f"{path}: this checkpoint is damaged ({first_line(e)}): remove the folder to begin anew")


def _side(folder: str) -> Dict[str, Any]:
    path = os.path.join(folder, SIDE)
    try:
        with open(path, "rb") as f:
            side = json.load(f)
        if [type(side[key]) for key in ("settings", "metadata", "tensors")] != [dict, dict, list]:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{path} is not as train.py writes it: remove the folder to begin anew") from None
    return side


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
