# SPDX-License-Identifier: Apache-2.0
"""models/import.py and export.py: a model file to Keras and back; models/train.py --init goes on from one."""

import importlib
import json
import subprocess
import sys
import zipfile

import conftest
import numpy as np
import pytest

import cosmos

pytestmark = [conftest.needs_tensorflow, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]


def run(program, *arguments):
    command = [sys.executable, str(conftest.TREE / "models" / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def fails(process, *texts):
    assert process.returncode == 2 and process.stdout == "" and "Traceback" not in process.stderr, process.stderr
    for text in texts:
        assert text in process.stderr.splitlines()[-1]


@pytest.fixture
def main(monkeypatch, capsys):
    """A function: a program within this process, which has TensorFlow already. Its status and what it said."""

    def call(program, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{program}.py", *map(str, arguments)])
        status = importlib.import_module(program).main()
        said = capsys.readouterr()
        return status, said.out + said.err

    return call


def write_model(path, layers=(5,), tokens="name,errno", reserved=0, spread=1.0, kept=False, **more):
    import export

    vocab = conftest.VOCAB + [f"<reserved-{i}>" for i in range(reserved)]
    weights = conftest.weights(np.random.default_rng(1), len(vocab), layers, 3, tokens)
    metadata = conftest.metadata(vocab, layers, 3, tokens, **{"seed": "1", **more})
    weights = {name: spread * value for name, value in weights.items()}
    if kept:
        tensors, said = conftest.kept(tokens)
        weights.update(tensors)
        metadata.update(said)
    path.write_bytes(export.serialise(weights, metadata))
    return path


def other_header(path):
    """The same model as another program would write it: keys and tensors in another order."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, tensors, at = json.loads(data[8 : 8 + size]), b"", 0
    metadata = dict(reversed(header.pop("__metadata__").items()))
    for entry in list(header.values())[::-1]:
        begin, end = entry["data_offsets"]
        tensors += data[8 + size + begin : 8 + size + end]
        entry["data_offsets"], at = [at, at + end - begin], at + end - begin
    text = json.dumps({**header, "__metadata__": metadata}, indent=1).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensors)


@pytest.mark.parametrize("layers,tokens,changed", [((7, 5), "name", False), ((5,), "name,errno", True)])
def test_there_and_back(layers, tokens, changed, tmp_path, main):
    import export
    import team

    model = write_model(tmp_path / "model.bin", layers, tokens, threshold="1.5")
    if changed:
        other_header(model)
    there, back, like = tmp_path / "network.keras", tmp_path / "back.bin", tmp_path / "like.bin"
    status, said = main("import", model, "-o", there)
    assert status == 0 and f"inputs {tokens}, 6 names" in said, said
    status, said = main("export", there, "-o", back)
    assert status == 0 and said.startswith(f"{back}: ") and "threshold" not in said, said
    assert back.read_bytes() == model.read_bytes()

    # As one's own program sees it, and after Keras itself has saved it.
    team.quiet()
    import keras

    network = keras.saving.load_model(str(there))
    calls = [np.array([[0, 3, 2, 5]])] * len(tokens.split(","))
    logits = np.asarray(network(calls), np.float64)[0]
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    token = np.stack([calls[0][0]] * len(calls), axis=1)
    assert np.abs(cosmos.Model(model).log_probs(token[1:])[1:] - logp[1:3]).max() < 1e-5
    network.get_layer("dense").bias.assign(np.arange(6) / 8)
    network.save(there)
    status, said = main("export", there, "-o", like)
    assert status == 2 and "give the model file that it began as with --like" in said
    status, said = main("export", there, "-o", like, "--like", model)
    assert status == 0 and "threshold   none" in said, said
    weights, metadata = export.parse(like.read_bytes())
    assert weights["dense.bias"].tolist() == [0, 0.125, 0.25, 0.375, 0.5, 0.625]
    assert metadata["cosmos.seed"] == "1" and "cosmos.threshold" not in metadata


def test_what_is_kept_to_be_learnt_again_goes(tmp_path, main):
    model, plain = write_model(tmp_path / "model.bin", kept=True), write_model(tmp_path / "plain.bin")
    there, back = tmp_path / "network.keras", tmp_path / "back.bin"
    for like in ([], ["--like", model]):
        assert main("import", model, "-o", there)[0] == 0
        status, said = main("export", there, "-o", back, *like)
        assert status == 0, said
        assert back.read_bytes() == plain.read_bytes()


def test_results_of_other_weights_go(tmp_path, main):
    import export

    more = dict(threshold="1.5", quantile="0.9", threshold_n="10", threshold_spread="0.5", report="{}", curve="[]")
    model = write_model(tmp_path / "model.bin", thresholds='{"a":{"theta":1}}', **more)
    there, back = tmp_path / "network.keras", tmp_path / "back.bin"
    assert main("import", model, "-o", there)[0] == 0
    status, said = main("export", there, "-o", back, "--like", model)
    assert status == 0, said
    assert export.parse(back.read_bytes())[1] == export.parse(write_model(tmp_path / "none.bin").read_bytes())[1]


def test_what_is_refused(tmp_path):
    import export
    import quantise

    model = write_model(tmp_path / "model.bin")
    weights, metadata = quantise.quantise(*export.parse(model.read_bytes()))
    int8 = tmp_path / "int8.bin"
    int8.write_bytes(export.serialise(weights, metadata))
    fails(run("import.py", int8, "-o", tmp_path / "x.keras"), "int8.bin is of int8 weights: take the float32 file")
    fails(run("train.py", "trace", "-o", tmp_path / "x.bin", "--init", int8), "int8.bin is of int8 weights")
    fails(run("import.py", tmp_path / "none", "-o", tmp_path / "x.keras"), "none")
    fails(run("import.py", model, "-o", tmp_path / "x.bin"), "by the name of .keras only")
    fails(run("export.py", model, "-o", tmp_path / "x.bin"), "model.bin is not a network that Keras can read")
    fails(run("export.py", tmp_path, "-o", tmp_path / "x.bin"), "no checkpoint is in this folder")
    assert not list(tmp_path.glob("x.*"))


def test_metadata_that_do_not_fit(tmp_path):
    import data
    import export

    weights = export.parse(write_model(tmp_path / "model.bin").read_bytes())[0]
    header = export.load(str(write_model(tmp_path / "wider.bin", (6,)))).header
    with pytest.raises(data.BadInput, match=r"dense.kernel is \[5, 6\] in the network, but \[6, 6\] by its metadata"):
        export.with_header(weights, header)
    for damaged in (b"", header[:40], b"12345678[]", b"12345678{}"):
        with pytest.raises(data.BadInput, match="damaged"):
            export.with_header(weights, damaged)
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr("config.json", "{")
    with pytest.raises(data.BadInput, match="x.keras is not a network that Keras can read"):
        export.load_keras(str(tmp_path / "x.keras"))


def test_train_goes_on(normal, tmp_path):
    model = write_model(tmp_path / "model.bin", reserved=3, window="20", hop="10", spread=0.1, kept=True)
    out, path = tmp_path / "next.bin", normal()
    process = run("train.py", path, "-o", out, "--init", model, "--epochs", 2)
    assert process.returncode == 0, process.stderr
    assert "held-out loss" in process.stderr and "before anything is learnt" in process.stderr
    assert "will be <unknown>" in process.stderr and "recvfrom" not in process.stderr, "the most frequent have a place"
    info, vocab = cosmos.Model(out).info, tuple(cosmos.Model(out).vocab)
    assert (info["units"], info["embedding"], info["window"], info["hop"]) == ((5,), 3, 20, 10)
    assert vocab[:6] == tuple(conftest.VOCAB) and len(vocab) == 9 and "recvfrom" in vocab[6:]
    assert len(json.loads(cosmos.Model(out).metadata("cosmos.trained_on"))["init"]) == 64
    assert cosmos.Model(out).metadata("cosmos.kept") is None and cosmos.Model(out).metadata("cosmos.format") == "1"

    fails(run("train.py", path, "-o", out, "--init", model, "--units", 6), "--units 6", "has 5, which must stay")
    fails(run("train.py", path, "-o", out, "--init", model, "--fields", "name"), "has name,errno, which must stay")
    other = write_model(tmp_path / "other.bin", source="bpf")
    fails(run("train.py", path, "-o", out, "--init", other), "has learnt from traces whose source is bpf, here audit")
