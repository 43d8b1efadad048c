#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ADFA-LD data set (G. Creech, J. Hu, UNSW Canberra, 2013) as a trace to train on.

    python models/adfa_ld.py ADFA-LD.zip -o normal.jsonl

Its traces are numbers of i386 system calls, one file each, from which names are
made as the library makes them. (A list of names that goes round with the data
is that of another architecture.) They tell neither results nor times nor
processes: each becomes a process of its own, and they follow one another in the
order of their names. The data are free for research and no part of this project.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import hashlib
import json
import sys
import zipfile
from datetime import datetime, timezone
from typing import Dict, List, Tuple

try:
    import numpy as np

    import cosmos
    from cosmos import _library

    import export
    import script
    from data import BadInput
except ImportError as e:
    print(f"adfa_ld.py: {e}", file=sys.stderr)
    sys.exit(2)

PARTS = {
    "training": "ADFA-LD/Training_Data_Master/",
    "validation": "ADFA-LD/Validation_Data_Master/",
    "attack": "ADFA-LD/Attack_Data_Master/",
}
I386 = 2  # COSMOS_ARCH_I386
EXIT_GROUP = 252
EPOCH = datetime(2013, 1, 1, tzinfo=timezone.utc)  # any would do


@dataclasses.dataclass
class Trace:
    name: str  # its path in the archive
    numbers: np.ndarray  # int64 [calls]


def read(path: str) -> Dict[str, List[Trace]]:
    """All traces of the archive, by PARTS, in order of name."""
    found: Dict[str, List[Trace]] = {part: [] for part in PARTS}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                for part, folder in PARTS.items():
                    if name.startswith(folder) and name.endswith(".txt"):
                        found[part].append(Trace(name, np.array(archive.read(name).split(), np.int64)))
    except (zipfile.BadZipFile, ValueError) as e:
        raise BadInput(f"{path} is not ADFA-LD.zip: {e}") from None
    for trace in sum(found.values(), []):
        if trace.numbers.size == 0:
            raise BadInput(f"{path}: {trace.name} is empty")
    for part, traces in found.items():
        if not traces:
            raise BadInput(f"{path} is not ADFA-LD.zip: it has no {PARTS[part]}*.txt")
    return found


def call_names(highest: int) -> List[str]:
    """The names of the i386 calls 0 to `highest`. From the library itself: the binding has no use for them."""
    name_of = _library._open().cosmos_syscall_name
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.c_int, ctypes.c_uint32]
    names = [name_of(I386, number) for number in range(highest + 1)]
    return [name.decode() if name else f"syscall_{number}" for number, name in enumerate(names)]


def sequences(trace: Trace) -> List[np.ndarray]:
    """Cut as the library cuts a process: a trace goes on behind exit_group where its processes did."""
    return np.split(trace.numbers, np.flatnonzero(trace.numbers[:-1] == EXIT_GROUP) + 1)


def tokens(trace: Trace, vocab: cosmos.Vocab) -> List[np.ndarray]:
    """Name ids of each of its sequences, uint32 [calls, 1]."""
    ids = np.array([vocab.id(name) for name in call_names(int(trace.numbers.max()))], np.uint32)
    return [ids[numbers].reshape(-1, 1) for numbers in sequences(trace)]


def distinct(traces: List[Trace]) -> Tuple[List[Trace], np.ndarray]:
    """One of each distinct trace, and how often it is there: int64."""
    found: Dict[bytes, List[Trace]] = {}
    for trace in traces:
        found.setdefault(trace.numbers.tobytes(), []).append(trace)
    return [same[0] for same in found.values()], np.array([len(same) for same in found.values()])


def trained_on(model: cosmos.Model, path: str) -> bool:
    """Is a trace the one that a model was trained on?"""
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    known = json.loads(model.metadata("cosmos.trained_on") or "{}").get("traces", [])
    return [trace.get("sha256") for trace in known] == [digest]


def write(path: str, traces: List[Trace]) -> None:
    """A trace in JSON Lines, a microsecond from call to call."""
    names = call_names(max(int(trace.numbers.max()) for trace in traces))
    lines, at = [f'{{"type":"trace","format":1,"timestamp":"{EPOCH:%Y-%m-%dT%H:%M:%S}Z"}}'], 0
    for pid, trace in enumerate(traces, 1):
        for number in trace.numbers.tolist():
            at += 1
            timestamp = f"{EPOCH:%Y-%m-%dT%H}:{at // 60_000_000:02}:{at // 1_000_000 % 60:02}.{at % 1_000_000:06}Z"
            lines.append(
                f'{{"timestamp":"{timestamp}","pid":{pid},"proc_start":{pid},"comm":"adfa-ld",'
                f'"arch":"i386","syscall":"{names[number]}","nr":{number}}}'
            )
    export.write(path, "\n".join(lines).encode() + b"\n")


def main() -> int:
    p = argparse.ArgumentParser(description="Make a trace of one part of ADFA-LD.")
    p.add_argument("archive", metavar="ADFA-LD.zip")
    p.add_argument("--part", choices=PARTS, default="training")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the trace to write")
    args = p.parse_args()
    return script.status("adfa_ld.py", lambda: write(args.output, read(args.archive)[args.part]))


if __name__ == "__main__":
    sys.exit(main())
