# SPDX-License-Identifier: Apache-2.0
"""Training through the binding: the same bytes as the command's."""

import errno
import math
import os
import pathlib
import struct
import subprocess

import pytest

import cosmos

TRAIN = pathlib.Path(os.environ.get("COSMOS_BUILD", "/nonexistent"), "cli", "cosmos-train")

SMALL = dict(units=(8,), embedding=4, window=20, hop=10, threads=1, epochs=2)


@pytest.fixture
def corpus(normal):
    return cosmos.read_corpus(normal(), reserve=16)


def trained(corpus, **options):
    trainer = cosmos.Trainer(corpus, **{**SMALL, **options})
    trainer.run()
    return trainer


def saved(trainer, path):
    trainer.save(path)
    return path.read_bytes()


def test_from_traces_to_a_model(corpus, tmp_path):
    seen = []
    trainer = cosmos.Trainer(corpus, **SMALL)
    report = trainer.run(seen.append)
    assert {p["phase"] for p in seen} == {"learning", "evaluating", "calibrating", "comparing"}
    assert seen[-1]["epochs"] == 2 and all(0 <= p["share"] <= 1 for p in seen)
    assert trainer.progress["phase"] == "done"

    assert report["learnt"] + report["stopping"] + report["calibration"] == len(corpus.tokens)
    assert 1 < report["perplexity"] < report["unigram_perplexity"]
    assert math.isnan(report["kept_before"]) and report["sifted"] == 0
    moments = report["moments"]
    assert len(moments) == 10 and {m["comm"] for m in moments} == {"app"}
    assert {m["syscall"] for m in moments} | {m["expected"] for m in moments} <= set(corpus.vocab)
    assert [m["nll"] for m in moments] == sorted((m["nll"] for m in moments), reverse=True)

    trainer.save(tmp_path / "model.bin")
    model = cosmos.Model(tmp_path / "model.bin")
    assert model.info["threshold"] == trainer.model.info["threshold"] == report["theta"]
    assert model.info["units"] == (8,) and model.vocab == corpus.vocab


@pytest.mark.skipif(not TRAIN.exists(), reason="no cosmos-train: set COSMOS_BUILD to a build folder")
def test_same_bytes_as_the_command(normal, tmp_path):
    path, out = normal(), tmp_path / "model.bin"
    options = [f"--{name}={value}" for name, value in SMALL.items() if name != "units"]
    subprocess.run([TRAIN, path, "-o", out, "--units=8", *options], check=True, capture_output=True)
    corpus = cosmos.read_corpus(path, reserve=16)
    assert saved(trained(corpus), tmp_path / "again.bin") == out.read_bytes()


def test_interrupted_and_gone_on(corpus, tmp_path):
    class Enough(Exception):
        pass

    def stop(progress):
        if progress["epoch"] == 2 and progress["share"] > 0:
            raise Enough

    whole = saved(trained(corpus), tmp_path / "whole.bin")
    first = cosmos.Trainer(corpus, **SMALL)
    with pytest.raises(Enough):
        first.run(stop)
    first.checkpoint(tmp_path / "kept")
    second = cosmos.Trainer(corpus, **SMALL)
    second.resume(tmp_path / "kept")
    assert second.progress == first.progress
    for trainer in (first, second):
        trainer.run()
        assert saved(trainer, tmp_path / "model.bin") == whole
    with pytest.raises(cosmos.MismatchError, match="other seed"):
        cosmos.Trainer(corpus, **SMALL, seed=2).resume(tmp_path / "kept")
    with pytest.raises(FileNotFoundError):
        cosmos.Trainer(corpus, **SMALL).resume(tmp_path / "none")


def test_weights_that_are_of_no_use(corpus, tmp_path):
    kept, trainer = tmp_path / "kept", cosmos.Trainer(corpus, **SMALL)
    trainer.checkpoint(kept)
    data = kept.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    kept.write_bytes(data[:begin] + struct.pack("<f", 3e38) * ((len(data) - begin) // 4))
    trainer.resume(kept)
    with pytest.raises(cosmos.CosmosError, match="diverged in epoch 1") as raised:
        trainer.run()
    assert raised.value.code == errno.EDOM


def test_going_on_from_a_model(corpus, normal, tmp_path):
    first = trained(corpus)
    first.save(tmp_path / "first.bin")
    model = first.model
    newer = cosmos.read_corpus(normal("2.jsonl", seed=2), vocab=model.vocab, extend=True)
    options = dict(window=20, hop=10, threads=1, epochs=1)
    by_path = cosmos.Trainer(newer, init=tmp_path / "first.bin", **options)
    report = by_path.run()
    assert report["sifted"] > 0 and report["kept_after"] > 1 and by_path.model.info["units"] == (8,)
    by_bytes = cosmos.Trainer(newer, init=(tmp_path / "first.bin").read_bytes(), **options)
    by_bytes.run()
    assert saved(by_bytes, tmp_path / "b.bin") == saved(by_path, tmp_path / "a.bin")
    with pytest.raises(cosmos.FormatError):
        cosmos.Trainer(newer, init=b"no model")


def test_any_scheme(normal):
    corpus = cosmos.read_corpus(normal(), tokens="name,size/half,frequency/10")
    assert str(corpus.scheme) == trained(corpus).model.info["tokens"] == "name,size/half,frequency/10"


def test_what_is_refused(corpus, trace, tmp_path):
    for wrong in (
        dict(batch=0),
        dict(batch=-1),
        dict(seed=2**64),
        dict(dropout=1.0),
        dict(quantile=math.nan),
        dict(units=()),
        dict(units=(0,)),
        dict(units=(2**32 + 8,)),
        dict(units=(8,) * 9),
    ):
        with pytest.raises(cosmos.InvalidError):
            cosmos.Trainer(corpus, **{**SMALL, **wrong})
    with pytest.raises(TypeError, match="no option 'layers'.*learning_rate"):
        cosmos.Trainer(corpus, layers=1)
    with pytest.raises(TypeError):
        cosmos.Trainer(corpus, batch=1.5)
    short = trace("short.jsonl")
    short.call("read")
    with pytest.raises(cosmos.EmptyError, match="too few to learn from"):
        cosmos.Trainer(cosmos.read_corpus(short.done()))
    begun = cosmos.Trainer(corpus, **SMALL)
    for unfinished in (lambda: begun.report, lambda: begun.model, lambda: begun.save(tmp_path / "m")):
        with pytest.raises(cosmos.InvalidError, match="no model yet"):
            unfinished()


def test_a_trainer_keeps_its_corpus(normal):
    trainer = cosmos.Trainer(cosmos.read_corpus(normal()), **SMALL)
    assert trainer.run()["epochs"] == 2
