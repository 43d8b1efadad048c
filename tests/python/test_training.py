# SPDX-License-Identifier: Apache-2.0
"""models/train.py as it is used: from traces to a model file, and what goes wrong."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys

import conftest
import pytest

import cosmos

pytestmark = conftest.needs_tensorflow

SMALL = ["--units", "8", "--embedding", "4", "--window", "20", "--hop", "10"]


def command(*arguments):
    return [sys.executable, str(conftest.TREE / "models/train.py"), *map(str, arguments)]


def train(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)


def fails(run, *texts):
    assert run.returncode == 2 and run.stdout == "", (run.stdout, run.stderr)
    last = run.stderr.splitlines()[-1]
    assert last.startswith("train.py: ") and "Traceback" not in run.stderr, run.stderr
    for text in texts:
        assert text in last


def test_from_traces_to_verdicts(normal, trace, tmp_path):
    first, second, out = normal("1.jsonl", seed=1), normal("2.jsonl", seed=2), tmp_path / "model.bin"
    run = train(first, second, "-o", out, *SMALL, "--units", 32, "--embedding", 16, "--seed", 5)
    assert run.returncode == 0, run.stderr
    assert "epoch 1/30: loss" in run.stderr and "\r" not in run.stderr
    assert str(out) in run.stdout and "threshold" in run.stdout

    model = cosmos.Model(out)
    assert model.info["units"] == (32,) and model.info["fields"] == ("name", "errno")
    assert model.info["quantile"] == 0.999 and model.info["source"] == "audit"
    trained_on = json.loads(model.metadata("cosmos.trained_on"))
    assert len(trained_on["traces"]) == 2 and trained_on["calls"] > 12_000
    assert model.metadata("cosmos.seed") == "5" and "tensorflow" in json.loads(model.metadata("cosmos.versions"))

    card, plot = out.with_name("model.bin.md").read_text(), out.with_name("model.bin.svg").read_text()
    curve, report = (json.loads(model.metadata(f"cosmos.{key}")) for key in ("curve", "report"))
    assert [point["epoch"] for point in curve] == list(range(1, report["epochs"] + 1)) and len(curve) > 3
    assert math.exp(min(point["held_out"] for point in curve)) == pytest.approx(report["perplexity"])
    assert 1 < report["perplexity"] < report["unigram_perplexity"]
    assert report["theta"] == model.info["threshold"] and report["windows"] == model.info["threshold_n"]
    assert report["interval"][0] <= report["quantile"] and report["interval"][1] is None
    assert json.loads(model.metadata("cosmos.training"))["batch"] == 64
    digests = hashlib.sha256(out.read_bytes()).hexdigest(), trained_on["traces"][1]["sha256"]
    for said in (*digests, f"{len(curve)} epochs; "):
        assert said in card
    assert plot.startswith("<svg ") and "](model.bin.svg)" in card
    assert cosmos.Threshold.of_model(model).adaptive().info["adaptive"]

    verdicts = [line["verdict"] for line in cosmos.score(model, normal("3.jsonl", seed=3))]
    assert len(verdicts) > 500 and "anomalous" not in verdicts
    odd = trace("odd.jsonl")
    for name in ["execve", "ptrace", "socket", "connect", "dup2", "dup2", "execve", "openat", "sendto"] * 3:
        odd.call(name, pid=7)
    assert {line["verdict"] for line in cosmos.score(model, odd.done())} == {"anomalous"}


def test_same_seed_same_bytes(normal, tmp_path):
    path = normal()

    def bytes_of(name, seed):
        run = train(path, "-o", tmp_path / name, *SMALL, "--epochs", 2, "--layers", 2, "--seed", seed)
        assert run.returncode == 0, run.stderr
        return (tmp_path / name).read_bytes()

    first = bytes_of("model.bin", 1)
    assert bytes_of("again.bin", 1) == first
    assert bytes_of("other.bin", 2) != first


def test_every_field(normal, tmp_path):
    scheme, out = "name,errno,size/half,fd,path,args,frequency/100", tmp_path / "model.bin"
    run = train(normal(), "-o", out, *SMALL, "--epochs", 1, "--fields", scheme)
    assert run.returncode == 0, run.stderr
    assert cosmos.Model(out).metadata("cosmos.tokens") == scheme
    fails(train(normal(), "-o", out, "--fields", "name,bar"), "'name,bar' is no scheme of tokens")


def test_names_alone_and_the_plain_threshold(normal, tmp_path):
    out = tmp_path / "model.bin"
    run = train(normal(), "-o", out, *SMALL, "--epochs", 1, "--fields", "name", "--margin", 0, "--quantile", 0.9)
    assert run.returncode == 0, run.stderr
    model = cosmos.Model(out)
    assert model.info["fields"] == ("name",)
    # The last 15% of the very trace: a tenth of the windows lies above.
    lines = [line["score"] for line in cosmos.score(model, normal())]
    above = sum(score > model.info["threshold"] for score in lines) / len(lines)
    assert 0.04 < above < 0.2


def test_bad_input(normal, trace, tmp_path):
    out = tmp_path / "model.bin"
    fails(train(tmp_path / "none.jsonl", "-o", out), "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    fails(train(tmp_path / "empty.jsonl", "-o", out), "empty.jsonl", "empty")
    fails(train(trace("head.jsonl").done(), "-o", out), "no call")
    few = trace("few.jsonl")
    for _ in range(100):
        few.call("read")
    fails(train(few.done(), "-o", out), "100 calls are too few: collect 3667 at least")
    fails(train(few.path, "-o", tmp_path / "none" / "model.bin"), "No such file or directory", "none")
    fails(train(few.path, "-o", tmp_path), "Is a directory")
    fails(train(few.path, "-o", out, "--card", tmp_path / "none" / "card.md"), "No such file or directory", "card.md")
    for options in (["--hop", "101"], ["--quantile", "0"], ["--units", "x"], ["--layers", "9"], ["--margin", "-1"]):
        run = train(few.path, "-o", out, *options)
        assert run.returncode == 2 and options[0] in run.stderr and "Traceback" not in run.stderr
    assert not [name for name in os.listdir(tmp_path) if "model.bin" in name]


def test_interrupt_leaves_nothing(normal, tmp_path):
    out = tmp_path / "model.bin"
    run = subprocess.Popen(command(normal(), "-o", out, *SMALL, "--epochs", 10_000), stderr=subprocess.PIPE, text=True)
    try:
        while not run.stderr.readline().startswith("epoch 1/"):
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        said = run.stderr.read()
        assert run.wait(60) == 130
    finally:
        run.kill()
    assert "interrupted, nothing written" in said and "Traceback" not in said
    assert not [name for name in os.listdir(tmp_path) if "model.bin" in name]


def test_help_needs_no_tensorflow():
    run = train("--help")
    assert run.returncode == 0 and "--container" in run.stdout


def test_library_that_is_not_there():
    env = {**os.environ, "COSMOS_LIBRARY": "/nonexistent"}
    run = subprocess.run(command("x", "-o", "y"), env=env, capture_output=True, text=True)
    fails(run, "COSMOS_LIBRARY=/nonexistent can't be loaded")


@pytest.mark.parametrize("argument", ["--window", "--hop"])
def test_sizes_are_at_least_one(argument):
    run = train("x", "-o", "y", argument, "0")
    assert run.returncode == 2 and f"{argument}: 0 is not 1 or more" in run.stderr
