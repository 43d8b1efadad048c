# SPDX-License-Identifier: Apache-2.0
"""models/precision.py: its reference, its figures, and the command."""

import hashlib
import json
import subprocess
import sys
import zipfile

import conftest
import numpy as np
import pytest

import cosmos

PAGE = "before\n<!-- precision.py: begin -->\nold\n<!-- precision.py: end -->\nafter\n"


def sequences(rng, *lengths):
    return [rng.integers(0, len(conftest.VOCAB), (n, 2)).astype(np.uint32) for n in lengths]


def network(rng):
    weights = conftest.weights(rng, layers=(7, 5))
    return weights, model_of(weights)


def model_of(weights):
    import export

    return cosmos.Model.from_bytes(export.serialise(weights, conftest.metadata(layers=(7, 5))))


def run(*arguments):
    command = [sys.executable, str(conftest.TREE / "models/precision.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_reference_is_what_the_library_computes():
    import precision

    rng = np.random.default_rng(1)
    weights, model = network(rng)
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    several = sequences(rng, 60, 31, 31, 1)
    for tokens, found in zip(several, precision.log_probs(weights, 2, ("name", "errno"), several)):
        assert found.dtype == np.float64 and np.abs(found - model.log_probs(tokens)).max() < 5e-6


def test_every_call_counts(monkeypatch):
    """The largest difference is found wherever it is: here one name is wrong, and comes before one call alone."""
    import precision

    rng = np.random.default_rng(2)
    weights, right = network(rng)
    embedding = weights["embedding.name.weight"].copy()
    embedding[5] += 0.5
    wrong = model_of({**weights, "embedding.name.weight": embedding})
    models = {"f32": right, "int8": wrong}
    several = [tokens % [5, 2] for tokens in sequences(rng, 9, 40, 3, 20)]
    several[3][-2, 0] = 5
    expected = np.abs(wrong.log_probs(several[3]) - right.log_probs(several[3]))[-1].max()
    for block in (1, 41, 1 << 15):
        monkeypatch.setattr(precision, "BLOCK", block)
        nll, names = precision.measure(models, weights, several)
        assert names["int8"]["largest"] == pytest.approx(expected, abs=1e-5) and expected > 0.01
        assert names["int8"]["beyond"] == 1 and names["f32"]["beyond"] == names["float"]["beyond"] == 0
        assert names["f32"]["n"] == 72 * len(conftest.VOCAB) and 0 < names["f32"]["rms"] < 5e-6
        for i, tokens in enumerate(several):
            assert np.array_equal(nll["f32"][i], right.nll(tokens))


def test_own_traces(normal, model_file, tmp_path):
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text(PAGE)
    done = run(model_file(threshold="1.2"), normal(), "--markdown", page, "--json", figures)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert page.read_text() == PAGE.replace("old\n", done.stdout)
    found = json.loads(figures.read_text())
    assert 6000 <= found["calls"] < 6100 and "auc" not in found
    assert 0 < found["log_probabilities"]["f32"]["largest"] < 2e-5 < found["log_probabilities"]["int8"]["largest"] < 0.5
    detector = found["detector"]
    assert 0 < detector["anomalous"]["double"] == detector["anomalous"]["f32"] < detector["windows"]


def test_adfa_ld_with_a_model_that_is_there(tmp_path):
    import adfa_ld
    import export

    rng, archive = np.random.default_rng(3), tmp_path / "ADFA-LD.zip"
    parts = {
        "training": [rng.choice([3, 4], 30) for _ in range(3)],
        "validation": [rng.choice([3, 4, 3], n) for n in (30, 31, 40, 40, 50, 1, 7, 30)],
        "attack": [rng.choice([6, 295, 3], 30) for _ in range(5)],
    }
    parts["attack"].append(parts["attack"][0])
    with zipfile.ZipFile(archive, "w") as file:
        for part, traces in parts.items():
            for i, numbers in enumerate(traces):
                file.writestr(f"{adfa_ld.PARTS[part]}{i}.txt", " ".join(map(str, numbers)))
    adfa_ld.write(str(tmp_path / "trace.jsonl"), adfa_ld.read(str(archive))["training"])

    def model(digest):
        trained_on = json.dumps({"traces": [{"sha256": digest}]})
        metadata = conftest.metadata(tokens="name", trained_on=trained_on, seed="7")
        (tmp_path / "model.bin").write_bytes(export.serialise(conftest.weights(rng, tokens="name"), metadata))
        return tmp_path / "model.bin"

    path = model(hashlib.sha256((tmp_path / "trace.jsonl").read_bytes()).hexdigest())
    done = run(path, "--adfa-ld", archive, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    auc = json.loads((tmp_path / "figures.json").read_text())["auc"]
    assert (auc["all"]["normal"], auc["all"]["attacks"], auc["distinct"]["attacks"]) == (8, 6, 5)
    # The area by its definition, of the library's own scores.
    scores = {}
    for part, traces in adfa_ld.read(str(archive)).items():
        cut = [adfa_ld.tokens(trace, cosmos.Model(path).vocab) for trace in traces]
        scores[part] = np.array([np.mean(cosmos.Model(path).nll(one)) for (one,) in cut])
    pairs = scores["attack"][:, None] > scores["validation"]
    assert auc["all"]["f32"]["auc"] == pytest.approx(pairs.mean()) and "with seed 7" in done.stdout

    done = run(model("0" * 64), "--adfa-ld", archive)
    assert done.returncode == 2 and "was trained on something else" in done.stderr


def test_what_may_be_and_what_not():
    import precision

    def found(difference, rounding):
        return {
            "auc": {"all": {"int8": {"difference": difference}}},
            "log_probabilities": {"f32": {"largest": rounding}},
        }

    assert list(precision.missed(found(-0.002, 2e-5))) == []
    assert len(list(precision.missed(found(-0.0021, 2e-5)))) == len(list(precision.missed(found(0.0, 2.1e-5)))) == 1


def test_bad_input(normal, model_file, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    model = model_file()
    for arguments, text in (
        ([model, normal(), "--markdown", page], "has no place for the table"),
        ([model, tmp_path / "none.jsonl"], "none.jsonl"),
        ([tmp_path / "none.bin", normal()], "none.bin"),
        ([model, "--adfa-ld", model], "is not ADFA-LD.zip"),
        ([model], "give either traces or --adfa-ld"),
    ):
        done = run(*arguments)
        assert done.returncode == 2 and done.stdout == "" and text in done.stderr and "Traceback" not in done.stderr
    assert page.read_text() == "no marks\n"
