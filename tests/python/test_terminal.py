# SPDX-License-Identifier: Apache-2.0
"""What cosmos-score shows on a terminal while it works."""

import os
import pathlib
import subprocess

import conftest
import pytest

TREE = pathlib.Path(__file__).resolve().parents[2]
SCORE = pathlib.Path(os.environ.get("COSMOS_BUILD", "/nonexistent"), "cli", "cosmos-score")

pytestmark = pytest.mark.skipif(not SCORE.exists(), reason="no cosmos-score: set COSMOS_BUILD to a build folder")


def errors_on_a_terminal(*traces, stdin=None):
    """What a person sees of the traces' scoring."""
    command = [str(SCORE), "-t", "100", str(TREE / "tests/golden/model.bin"), *map(str, traces)]
    return conftest.on_a_terminal(command, stdin=stdin, stdout=subprocess.DEVNULL)


def long_trace(path):
    line = '{"timestamp":"2026-11-23T04:20:11.123Z","pid":%d,"comm":"c","syscall":"read"}\n'
    path.write_text("".join(line % (1 + i % 50) for i in range(60_000)))
    return path


def test_a_bar_with_the_share_that_is_done(tmp_path):
    path = long_trace(tmp_path / "long.jsonl")
    for traces in ([path], [path, path]):
        seen = errors_on_a_terminal(*traces)
        shown = [part for part in seen.split("\r\033[K") if part.startswith("[")]
        assert shown, seen
        for part in shown:
            share = int(part.split("] ")[1].split("%")[0])
            assert 0 <= share <= 100 and abs(part.count("#") - share * 24 / 100) < 2 and " s left, " in part
        assert "\r\033[Kcosmos-score: " in seen, "the bar goes before the summary comes"


def test_no_bar_where_the_end_is_not_known(tmp_path):
    path = long_trace(tmp_path / "long.jsonl")
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as cat:
        seen = errors_on_a_terminal("-", stdin=cat.stdout)
    assert " calls, 0 anomalous windows" in seen and "left" not in seen
