# SPDX-License-Identifier: Apache-2.0
"""What the scripts of models/ have in common: how they end, say how far they are, and write into a document."""

from __future__ import annotations

import sys
from typing import Any, Callable, Optional, Tuple

import cosmos

import export
from data import BadInput


def status(name: str, run: Callable[..., Optional[int]], *args: Any) -> int:
    """What run(*args) returns (None: 0), or 2 and a line of what is wrong."""
    try:
        return run(*args) or 0
    except (BadInput, cosmos.CosmosError) as e:
        text = str(e)
    except ImportError as e:
        text = f"{e}: pip install -r models/requirements.txt"
    except OSError as e:
        text = f"{e.strerror or e}" + (f": {e.filename}" if e.filename else "")
    progress("")
    print(f"{name}: {text}", file=sys.stderr)
    return 2


def progress(text: str) -> None:
    """A line that the next one takes the place of; on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def put(path: str, marks: Tuple[str, str], text: Optional[str]) -> None:
    """Replace what stands between the marks, each a line; without a text only look whether they are there."""
    with open(path, encoding="utf-8") as f:
        before, mark, rest = f.read().partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not mark or not end:
        raise BadInput(f"{path} has no place for the tables, two lines {' and '.join(m.strip() for m in marks)}")
    if text is not None:
        export.write(path, (before + mark + text + end + after).encode())
