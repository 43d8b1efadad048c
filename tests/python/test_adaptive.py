# SPDX-License-Identifier: Apache-2.0
"""The streams and figures of models/experiments/adaptive.py, which takes data that are not here."""

import sys

import numpy as np
import pytest
from conftest import TREE

import cosmos

sys.path.insert(0, str(TREE / "models/experiments"))
import adaptive  # noqa: E402
import script  # noqa: E402


def test_an_intrusion_an_hour_at_most():
    traces = [np.zeros(400) + i for i in range(40)]
    intrusions = [[np.full(5, 100.0), np.full(7, 101.0)] for _ in range(3)]
    stream = adaptive.stream_of(traces, intrusions, np.random.default_rng(1))
    normal = stream.intruder < 0
    assert (stream.scores[normal] == np.concatenate(traces)).all() and (~normal).sum() == 36
    assert stream.scores[~normal].tolist() == ([100.0] * 5 + [101.0] * 7) * 3
    assert stream.intruder.max() == 5
    begins = np.flatnonzero(np.diff(normal.astype(int)) == -1) + 1
    hours = np.cumsum(normal)[begins] // adaptive.HOUR
    assert hours.tolist() == [1, 2, 3] and (np.cumsum(normal)[begins] % 400 == 0).all()


def test_the_synthetic_normal_shifts():
    normal = np.random.default_rng(1).normal(0, 1, 1000)
    means = [part.mean() for part in np.split(adaptive.synthetic(normal, np.random.default_rng(2)).scores, 12)]
    size = normal.std()
    assert np.allclose(np.array(means) - normal.mean(), np.repeat([0, 0.25, 0.5, 1.5, 0], [3, 1, 2, 3, 3]) * size, atol=0.1)


def test_outcomes_are_of_what_comes_after_the_first_hour():
    n = 3 * adaptive.HOUR
    scores = np.zeros(n)
    scores[: adaptive.HOUR] = 1
    scores[adaptive.HOUR : adaptive.HOUR + 360] = 1
    intruder = np.full(n + 4, -1)
    intruder[-4:] = [0, 0, 1, 1]
    stream = adaptive.Stream(np.concatenate([scores, [1, 0, 0, 0]]), intruder)
    found = adaptive.outcome(stream, np.full(n + 4, 0.5), 0.05, 0.0)
    assert found.false == pytest.approx(0.05) and (found.low, found.high) == (0, pytest.approx(0.1))
    assert found.windows == 0.25 and found.traces == 0.5
    assert list(adaptive.missed({"x": {(0.05, "adaptive"): found}})) == []
    assert list(adaptive.missed({"x": {(0.01, "adaptive"): found}})) and not list(adaptive.missed({"x": {(0.01, "fixed"): found}}))


def test_the_tables_and_the_plot(tmp_path):
    rng = np.random.default_rng(1)
    normal = rng.exponential(1, 5000)
    stream = adaptive.synthetic(normal, rng)
    found = adaptive.over([stream], normal, "test")
    assert not list(adaptive.missed({"test": found}))
    assert {kind for _, kind in found} == {"fixed", "adaptive", "fixed, in hindsight"}
    text = adaptive.table(found, False)
    assert text.count("\n") == 2 + len(found) + 1 and "| 5% | adaptive | 5.0" in text.replace("4.9", "5.0")
    page = tmp_path / "page.md"
    page.write_text("before\n" + "".join(adaptive.MARKS) + "after\n")
    script.put(str(page), adaptive.MARKS, text)
    assert page.read_text() == "before\n" + adaptive.MARKS[0] + text + adaptive.MARKS[1] + "after\n"
    with pytest.raises(adaptive.BadInput, match="no place"):
        script.put(__file__.replace("test_adaptive", "conftest"), adaptive.MARKS, text)


def test_windows_that_were_held_out(trace, model_file):
    t = trace()
    for i in range(200):
        t.call("read" if i % 3 else "write", pid=1 + i % 2)
    model, path = cosmos.Model(model_file(threshold="1.0")), t.done()
    scores = adaptive.held_out(model, path)
    lines = [line["score"] for line in cosmos.score(model, path)]
    assert 0 < len(scores) < 0.15 * len(lines) and set(scores) <= set(lines)
