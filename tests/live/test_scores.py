# SPDX-License-Identifier: Apache-2.0
"""The same calls give the same scores, to the bit: live in a pipe, replayed from
the trace, and through Python."""
import json
import os
import subprocess
import sys
import time

import harness
import pytest

np = pytest.importorskip("numpy")
sys.path.insert(0, str(harness.TREE / "models"))
export = pytest.importorskip("export")

NAMES = ["<start>", "<unknown>", "getppid", "openat", "execve", "brk", "exit_group", "clock_nanosleep", "mprotect"]
WINDOW, HOP = 20, 7


@pytest.fixture
def model(tmp_path, backend):
    """Random weights will do: any difference of the inputs shows in the scores."""
    random = np.random.default_rng(1)
    v, e, units = len(NAMES), 5, [7, 6]
    weights = {
        "embedding.name.weight": (v, e),
        "embedding.errno.weight": (export.fields.scheme(["name", "errno"]).sizes["errno"], e),
        "dense.kernel": (units[-1], v),
        "dense.bias": (v,),
    }
    for i, (below, width) in enumerate(zip([e, *units], units)):
        weights[f"lstm.{i}.kernel"] = (below, 4 * width)
        weights[f"lstm.{i}.recurrent_kernel"] = (width, 4 * width)
        weights[f"lstm.{i}.bias"] = (4 * width,)
    metadata = {
        "cosmos.format": "1",
        "cosmos.arch": "lstm",
        "cosmos.gates": "ifgo",
        "cosmos.layers": ",".join(map(str, units)),
        "cosmos.embedding": str(e),
        "cosmos.vocab": json.dumps(NAMES),
        "cosmos.tokens": "name,errno",
        "cosmos.unit": "process",
        "cosmos.window": str(WINDOW),
        "cosmos.hop": str(HOP),
        "cosmos.score": "shrunk_mean",
        "cosmos.prior_count": "5.0",
        "cosmos.prior_mean": "2.0",
        "cosmos.source": backend,
        "cosmos.calls": "all",
        "cosmos.threshold": "2.2",
        "cosmos.quantile": "0.5",
    }
    path = tmp_path / "model.bin"
    path.write_bytes(
        export.serialise({name: random.normal(0, 1, shape) for name, shape in weights.items()}, metadata)
    )
    return path


def scores(model, trace):
    result = harness.run(harness.SCORE, "--why", model, trace, check=False)
    assert result.returncode in (0, 1), result.stderr
    return result.stdout


@pytest.fixture
def live(docker, started, model, tmp_path, backend):
    """A trace, and the scores that were given while it was recorded."""
    trace, output = tmp_path / "trace.jsonl", tmp_path / "live.jsonl"
    docker.start("working", "work", 10)
    with open(output, "wb") as file:
        command = [harness.COLLECT, "--backend", backend, "--container", "working"]
        collector = started(harness.Process(*command, stdout=subprocess.PIPE))
        tee = started(harness.Process("tee", trace, stdin=collector.popen.stdout, stdout=subprocess.PIPE))
        scorer = started(harness.Process(harness.SCORE, "--why", model, "-", stdin=tee.popen.stdout, stdout=file))
        collector.said_within("collecting")
        for tag in range(5):
            docker("exec", "working", "/guest", "tag", tag)
        harness.until(lambda: output.stat().st_size > 0, 10, "a verdict while the container runs")
        assert harness.alive(collector.pid)
        time.sleep(1)
        collector.signal(harness.signal.SIGINT)
        assert collector.wait() == 0, collector.said
        assert tee.wait() == 0
        assert scorer.wait() in (0, 1), scorer.said
    return trace, output


def test_live_and_replayed_scores_are_the_same_bits(live, model):
    trace, output = live
    given = output.read_text().splitlines()
    assert len(given) > 5
    assert given == scores(model, trace).splitlines()


def test_python_gives_the_same_bits(live, model):
    if not os.environ.get("COSMOS_LIBRARY"):
        pytest.skip("COSMOS_LIBRARY does not say where the library is")
    cosmos = pytest.importorskip("cosmos")
    trace, output = live
    given = [json.loads(line) for line in output.read_text().splitlines()]
    bound = list(cosmos.score(cosmos.Model(str(model)), str(trace), why=len(given[0]["why"])))
    assert [line["score"] for line in given] == [line["score"] for line in bound]
    assert given == bound


def test_replayed_trace_written_anew_scores_the_same(live, model, tmp_path):
    """cosmos-collect --replay gives a trace that is the same to a model."""
    trace, output = live
    again = tmp_path / "again.jsonl"
    harness.run(harness.COLLECT, "--replay", trace, "--output", again)
    assert scores(model, again) == output.read_text()
