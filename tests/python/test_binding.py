# SPDX-License-Identifier: Apache-2.0
"""The binding: traces, corpora, models, scores, and what goes wrong."""

import gc
import gzip
import hashlib
import json
import logging
import math
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import conftest
import numpy as np
import pytest

import cosmos


def test_version():
    assert cosmos.__version__ == cosmos.version() == "0.1.0"


def test_library_that_is_not_there():
    env = {**os.environ, "COSMOS_LIBRARY": "/nonexistent/libcosmos.so.0"}
    run = subprocess.run([sys.executable, "-c", "import cosmos"], env=env, capture_output=True, text=True)
    assert run.returncode == 1
    assert "ImportError: COSMOS_LIBRARY=/nonexistent/libcosmos.so.0 can't be loaded" in run.stderr


def test_library_that_is_another():
    env = {**os.environ, "COSMOS_LIBRARY": "libc.so.6"}
    run = subprocess.run([sys.executable, "-c", "import cosmos"], env=env, capture_output=True, text=True)
    assert run.returncode == 1
    assert "ImportError: libc.so.6 has no cosmos_version" in run.stderr


# ---- corpus -------------------------------------------------------------------


def test_corpus(trace):
    t = trace()
    for name, pid, ret in [("read", 1, 5), ("openat", 2, -2), ("read", 1, -11), ("close", 2, 0), ("read", 1, -200)]:
        t.call(name, pid=pid, ret=ret)
    corpus = cosmos.read_corpus(t.done())
    assert list(corpus.vocab) == ["<start>", "<unknown>", "read", "close", "openat"]
    assert corpus.source == "audit"
    assert corpus.offsets.tolist() == [0, 3, 5] and corpus.offsets.dtype == np.uint64
    assert corpus.tokens[:, :2].tolist() == [[2, 0], [2, 11], [2, 134], [4, 2], [3, 0]]
    assert corpus.tokens.shape == (5, 6) and not corpus.tokens[:, 2:].any() and corpus.frequency is None
    assert corpus.tokens.dtype == np.uint32 and corpus.timestamps.dtype == np.int64
    assert np.diff(corpus.timestamps[:3]).tolist() == [2000, 2000]
    assert len(corpus) == 2
    assert [s.tolist() for s in corpus.sequences()] == [corpus.tokens[:3].tolist(), corpus.tokens[3:].tolist()]


def test_corpus_of_any_scheme(trace):
    t = trace()
    t.call("openat", ret=3, path="/etc/passwd", args=["ffffff9c", "7ffe0000", "241", "1b6"])
    for size in (100, 40, 7):
        t.call("read", ret=size, fd_kind="file")
    path = t.done()
    corpus = cosmos.read_corpus(path, tokens="name,errno,size/quarter,fd,path,args,frequency/2")
    assert corpus.tokens.tolist() == [
        [3, 0, 0, 0, 2, 1 + 1 + 4 + 8],
        [2, 0, 9, 1, 0, 0],
        [2, 0, 4, 1, 0, 0],
        [2, 0, 1, 1, 0, 0],
    ]
    assert corpus.frequency.dtype == np.float32 and corpus.frequency.tolist() == [1, 0.5, 1, 1]
    some = cosmos.read_corpus(path, tokens="name,fd")
    assert some.tokens[:, 3].tolist() == [0, 1, 1, 1] and not some.tokens[:, [1, 2, 4, 5]].any()
    assert some.frequency is None
    for bad in ("", "errno", "name,colour", "name\0"):
        with pytest.raises(cosmos.InvalidError):
            cosmos.read_corpus(path, tokens=bad)


def test_scheme():
    scheme = cosmos.Scheme("name,size/half,args,frequency/100")
    assert scheme.fields == ("name", "size", "args") and scheme.frequency == 100
    assert scheme.sizes == {"name": 0, "size": 121, "args": 254}
    assert str(scheme) == "name,size/half,args,frequency/100"
    assert repr(scheme) == "cosmos.Scheme('name,size/half,args,frequency/100')"
    assert cosmos.TOKEN_FIELDS == ("name", "errno", "size", "fd", "path", "args")
    with pytest.raises(cosmos.InvalidError, match="'name,size' is no scheme of tokens; it must be 'name'"):
        cosmos.Scheme("name,size")


def test_a_trace_may_be_compressed(trace, tmp_path):
    t = trace()
    for i in range(1000):
        t.call("read" if i % 3 else "close")
    plain, packed = t.done(), tmp_path / "packed"
    packed.write_bytes(gzip.compress(pathlib.Path(plain).read_bytes()))
    assert list(cosmos.read_trace(packed)) == list(cosmos.read_trace(plain))
    corpus, expected = cosmos.read_corpus(packed), cosmos.read_corpus(plain)
    assert corpus.vocab == expected.vocab and corpus.tokens.tolist() == expected.tokens.tolist()
    packed.write_bytes(packed.read_bytes()[:-1])
    with pytest.raises(cosmos.FormatError, match="packed: after 1001 lines it ends within its gzip data"):
        cosmos.read_corpus(packed)


def test_views_outlive_the_corpus_and_cannot_be_written(trace):
    t = trace()
    for _ in range(1000):
        t.call("read")
    corpus = cosmos.read_corpus(t.done())
    tokens, vocab = corpus.tokens, corpus.vocab
    sequence = next(corpus.sequences())
    assert np.shares_memory(tokens, sequence)
    del corpus
    gc.collect()
    junk = [np.ones((1000, 4), np.uint32) for _ in range(100)]
    assert tokens.tolist() == [[2, 0, 0, 0, 0, 0]] * 1000 and len(junk) == 100
    assert vocab.id("read") == 2
    with pytest.raises(ValueError):
        tokens[0, 0] = 1


def test_corpus_with_a_vocabulary(trace):
    t = trace()
    for name in ("read", "close", "futex"):
        t.call(name)
    path = t.done()
    corpus = cosmos.read_corpus(path, vocab=conftest.VOCAB)
    assert corpus.tokens[:, 0].tolist() == [2, 5, 1]
    assert corpus.vocab == cosmos.Vocab(conftest.VOCAB)
    assert cosmos.read_corpus(path, vocab=corpus.vocab).tokens.tolist() == corpus.tokens.tolist()


def test_corpus_of_several_traces(trace):
    paths = []
    for name, calls in [("one.jsonl", ["read", "close"]), ("two.jsonl", ["close", "futex"])]:
        t = trace(name)
        for call in calls:
            t.call(call, pid=1, image="db:11", container_id="a" * 64)
        paths.append(t.done())
    corpus = cosmos.read_corpus(paths, unit="natural", reserve=1)
    assert list(corpus.vocab[2:]) == ["close", "futex", "read", "<reserved-0>"]
    assert corpus.tokens[:, 0].tolist() == [4, 2, 2, 3] and corpus.offsets.tolist() == [0, 2, 4]
    digests = [hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest() for path in paths]
    assert corpus.traces == [
        {"path": path, "sha256": digest, "calls": 2, "sequences": 1} for path, digest in zip(paths, digests)
    ]
    assert (corpus.unit, corpus.images, corpus.comm(-1)) == ("process", ("db:11",), "app")
    with pytest.raises(IndexError):
        corpus.comm(2)
    with pytest.raises(cosmos.InvalidError, match="no trace"):
        cosmos.read_corpus([])
    with pytest.raises(cosmos.InvalidError, match="reserve"):
        cosmos.read_corpus(paths, reserve=-1)

    t = trace("three.jsonl")
    for call in ("brk", "mmap", "mmap", "read"):
        t.call(call)
    extended = cosmos.read_corpus(t.done(), vocab=corpus.vocab, extend=True)
    assert list(extended.vocab[2:]) == ["close", "futex", "read", "mmap"]
    assert extended.tokens[:, 0].tolist() == [1, 5, 5, 4] and extended.unplaced == 1


def test_corpus_tells_its_progress(trace):
    t = trace()
    for _ in range(10_000):
        t.call("read")
    told = []
    path = t.done()
    cosmos.read_corpus(path, progress=lambda calls, share: told.append((calls, share)))
    assert told and all(0 <= calls <= 10_000 and 0 <= share <= 1 for calls, share in told)

    def stop(calls, share):
        raise KeyboardInterrupt("enough")

    with pytest.raises(KeyboardInterrupt, match="enough"):
        cosmos.read_corpus(path, progress=stop)


def test_corpus_of_chosen_containers(trace):
    t = trace()
    t.call("read", container_id="a" * 64, container_name="db")
    t.call("close", pid=11, container_id="b" * 64, container_name="web")
    path = t.done()
    assert list(cosmos.read_corpus(path, containers=["web"]).vocab[2:]) == ["close"]
    assert len(cosmos.read_corpus(path, containers=["web", "aaaa"])) == 2
    with pytest.raises(cosmos.EmptyError, match="no call of the containers"):
        cosmos.read_corpus(path, containers=["mail"])
    with pytest.raises(TypeError):
        cosmos.read_corpus(path, containers="web")


def test_corpus_of_threads(trace):
    t = trace(source="bpf")
    for tid in (1, 2, 1):
        t.call("read", pid=1, tid=tid, thread_start=tid)
    assert cosmos.read_corpus(t.done(), unit="thread").offsets.tolist() == [0, 2, 3]
    t = trace()
    t.call("read")
    with pytest.raises(cosmos.MismatchError):
        cosmos.read_corpus(t.done(), unit="thread")
    with pytest.raises(cosmos.InvalidError, match="unit must be"):
        cosmos.read_corpus(str(t.path), unit="connection")


def test_traces_that_are_bad(tmp_path, trace):
    missing = str(tmp_path / "missing.jsonl")
    with pytest.raises(FileNotFoundError, match="missing.jsonl"):
        cosmos.read_corpus(missing)
    with pytest.raises(FileNotFoundError, match="missing.jsonl"):
        cosmos.read_trace(missing)
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(cosmos.FormatError, match="empty.jsonl"):
        cosmos.read_corpus(empty)
    with pytest.raises(cosmos.EmptyError, match="no call"):
        cosmos.read_corpus(trace("head.jsonl").done())
    with pytest.raises(cosmos.InvalidError, match="NUL"):
        cosmos.read_corpus("a\0b")


def test_bad_lines_are_logged(trace, caplog):
    t = trace()
    t.call("read")
    t.raw('{"timestamp":')
    t.call("read")
    with caplog.at_level(logging.INFO, "cosmos"):
        assert len(cosmos.read_corpus(t.done()).tokens) == 2
    warnings = [r.getMessage() for r in caplog.records if r.name == "cosmos" and r.levelno == logging.WARNING]
    assert any("3" in w for w in warnings), warnings


def test_exception_of_a_log_handler_is_not_lost(trace):
    class Stop(logging.Filter):
        def filter(self, record):
            raise KeyboardInterrupt("from the filter")

    t = trace()
    t.call("read")
    t.raw("not json")
    path, logger, stop = t.done(), logging.getLogger("cosmos"), Stop()
    logger.addFilter(stop)
    try:
        with pytest.raises(KeyboardInterrupt, match="from the filter"):
            cosmos.read_corpus(path)
    finally:
        logger.removeFilter(stop)
    assert len(cosmos.read_corpus(path).tokens) == 1


def test_trace_to_events(trace):
    t = trace()
    t.call("openat", ret=-2, path="/etc/my.cnf", container_id="a" * 64)
    t.call("read", comm='q"\u00e9\n')
    head, first, second = cosmos.read_trace(t.done())
    assert head["type"] == "trace" and head["source"] == "audit"
    assert (first["syscall"], first["ret"], first["path"]) == ("openat", -2, "/etc/my.cnf")
    assert first["container_id"] == "a" * 64
    assert second["comm"] == 'q"\u00e9\n' and second["timestamp"].endswith("Z")


# ---- vocabulary ---------------------------------------------------------------


def test_vocab():
    vocab = cosmos.Vocab(conftest.VOCAB)
    assert list(vocab) == conftest.VOCAB and len(vocab) == 6 and vocab[2] == "read" and vocab[-1] == "close"
    assert vocab.id("close") == 5 and vocab.id("futex") == 1
    for bad in ([], ["read"], ["<start>", "<unknown>", "read", "read"], ["<start>", "<unknown>", "a\0b"]):
        with pytest.raises(cosmos.InvalidError):
            cosmos.Vocab(bad)


# ---- model --------------------------------------------------------------------


def test_model(model_file):
    path = model_file(threshold="1.5", quantile="0.999", seed_="7")
    model = cosmos.Model(path)
    assert model.info == {
        "name": path,
        "tokens": "name,errno",
        "fields": ("name", "errno"),
        "embedding": 3,
        "units": (5,),
        "unit": "process",
        "window": 10,
        "hop": 4,
        "prior_count": 5.0,
        "prior_mean": 0.5,
        "threshold": 1.5,
        "quantile": 0.999,
        "threshold_n": None,
        "spread": None,
        "source": "audit",
        "precision": "f32",
        "isa": cosmos.isas()[0],
        "memory": model.info["memory"],
    }
    assert model.info["memory"] > 0
    assert list(model.vocab) == conftest.VOCAB
    assert model.metadata("cosmos.seed_") == "7" and model.metadata("nothing") is None
    memory = cosmos.Model.from_bytes(pathlib.Path(path).read_bytes(), "mine")
    assert memory.info == {**model.info, "name": "mine"}


def test_model_of_any_scheme(model_file):
    model = cosmos.Model(model_file("all.bin", tokens="name,errno,size/half,fd,path,args,frequency/100"))
    assert model.info["tokens"] == "name,errno,size/half,fd,path,args,frequency/100"
    assert model.info["fields"] == cosmos.TOKEN_FIELDS
    tokens = [[2, 0, 5, 1, 0, 0], [3, 13, 0, 2, 4, 30], [5, 0, 120, 7, 12, 253]]
    whole = model.nll(tokens, [1, 0.5, 0.25])
    assert (model.nll(tokens, [1, 0.5, 0.75]) == whole).all(), "the last token is not read yet"
    assert (model.nll(tokens, [1, 0.4, 0.25]) == whole).tolist() == [True, True, False]
    for column in range(6):
        changed = np.array(tokens)
        changed[1, column] += 1
        assert (model.nll(changed, [1, 0.5, 0.25]) == whole).tolist() == [True, column > 0, False]
        changed[1, column] = 999
        with pytest.raises(cosmos.InvalidError, match=f"call 1: {cosmos.TOKEN_FIELDS[column]} 999 is out of range"):
            model.nll(changed, [1, 0.5, 0.25])
    with pytest.raises(cosmos.InvalidError, match="give the frequency too"):
        model.nll(tokens)
    with pytest.raises(cosmos.InvalidError, match="a frequency for each of 3 tokens"):
        model.nll(tokens, [1, 0.5])
    for bad in (-0.1, 1.1, math.nan, math.inf):
        with pytest.raises(cosmos.InvalidError, match="call 1: the frequency .* is not from 0 to 1"):
            model.log_probs(tokens, [1, bad, 1])


def test_model_without_threshold(model_file):
    info = cosmos.Model(model_file(source=None)).info
    assert info["threshold"] is None and info["quantile"] is None and info["source"] == ""


def test_distribution_and_nll(model_file):
    model = cosmos.Model(model_file())
    rng = np.random.default_rng(3)
    tokens = np.stack([rng.integers(0, 6, 50), rng.integers(0, 135, 50)], axis=1)
    nll, logp = model.nll(tokens), model.log_probs(tokens)
    assert nll.shape == (50,) and logp.shape == (50, 6) and nll.dtype == logp.dtype == np.float32
    assert np.abs(np.exp(logp.astype(np.float64)).sum(axis=1) - 1).max() < 1e-6
    assert np.array_equal(nll, -logp[np.arange(50), tokens[:, 0]])
    # The past alone decides: cut, change the last call, leave the errno out.
    assert np.array_equal(model.log_probs(tokens[:20]), logp[:20])
    assert not np.array_equal(model.nll(tokens[:, 0]), nll)
    assert model.nll(np.empty((0, 4), np.uint32)).shape == (0,)


def test_tokens_that_are_bad(model_file):
    model = cosmos.Model(model_file())
    with pytest.raises(cosmos.InvalidError, match="call 1: name 6 is out of range"):
        model.nll([2, 6])
    with pytest.raises(cosmos.InvalidError, match="call 0: errno 135 is out of range"):
        model.nll([[2, 135]])
    for bad in ([[1.5]], [-1], np.zeros((2, 7), int), 3, [2**32]):
        with pytest.raises(ValueError):
            model.nll(bad)


def test_model_card(tmp_path, model_file):
    curve = [{"epoch": 1, "loss": 2.0, "held_out": 1.5, "learning_rate": 0.01}]
    path = pathlib.Path(model_file(seed_="7", curve=json.dumps(curve), versions=json.dumps({"a|b": "<1>"})))
    card = tmp_path / "card.md"
    cosmos.write_card(path, card)
    text = card.read_text()
    assert "# Model card: model.bin\n" in text and hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert "| a\\|b | &lt;1&gt; |\n" in text and "](card.svg)" in text
    assert xml.etree.ElementTree.parse(tmp_path / "card.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    with pytest.raises(FileNotFoundError, match="none.bin"):
        cosmos.write_card(tmp_path / "none.bin", card)
    with pytest.raises(FileNotFoundError, match="none/card.svg': not written"):
        cosmos.write_card(path, tmp_path / "none" / "card.md")
    with pytest.raises(cosmos.InvalidError, match="NUL"):
        cosmos.write_card(path, "a\0b")
    assert card.read_text() == text


def test_models_that_are_bad(tmp_path, model_file):
    with pytest.raises(FileNotFoundError, match="none.bin"):
        cosmos.Model(tmp_path / "none.bin")
    path = pathlib.Path(model_file())
    whole = path.read_bytes()
    for cut in (0, 7, 100, len(whole) - 1):
        with pytest.raises(cosmos.FormatError):
            cosmos.Model.from_bytes(whole[:cut])
    with pytest.raises(cosmos.VersionError, match="cosmos.format"):
        cosmos.Model(model_file(format="3"))
    with pytest.raises(cosmos.FormatError, match="cosmos.window"):
        cosmos.Model(model_file(window="0"))


# ---- scores -------------------------------------------------------------------


def make_trace(trace, calls=23, name="scored.jsonl", **options):
    t, rng = trace(name, **options), np.random.default_rng(5)
    for i in range(calls):
        t.call(conftest.VOCAB[rng.integers(2, 6)], ret=int(rng.choice([0, -2])), seq=i + 1)
    return t.done()


def test_scores(trace, model_file):
    model, path = cosmos.Model(model_file(threshold="1.7")), make_trace(trace)
    lines = list(cosmos.score(model, path, why=2))
    assert [line["calls"] for line in lines] == [10, 14, 18, 22, 23]
    assert [line["window"] for line in lines] == [10] * 5
    nll = model.nll(cosmos.read_corpus(path, vocab=model.vocab).tokens).astype(np.float64)
    for line in lines:
        total = 5.0 * 0.5
        for x in nll[line["calls"] - 10 : line["calls"]]:
            total += x
        assert line["score"] == total / 15.0  # the same bits
        assert line["verdict"] == ("anomalous" if line["score"] > 1.7 else "normal")
        assert len(line["why"]) == 2
    assert lines == list(cosmos.score(str(model.info["name"]), path, why=2))


def test_threshold_of_the_caller(trace, model_file):
    model, path = cosmos.Model(model_file()), make_trace(trace)
    with pytest.raises(cosmos.InvalidError, match="threshold"):
        cosmos.score(model, path)
    assert {line["verdict"] for line in cosmos.score(model, path, threshold=100)} == {"normal"}
    assert {line["verdict"] for line in cosmos.score(model, path, threshold=-1.0)} == {"anomalous"}
    with pytest.raises(cosmos.InvalidError):
        cosmos.score(model, path, threshold=math.nan)


def test_score_of_a_trace_that_does_not_fit(trace, model_file):
    model = cosmos.Model(model_file(threshold="1.0"))
    with pytest.raises(cosmos.MismatchError, match='"bpf"'):
        list(cosmos.score(model, make_trace(trace, source="bpf")))
    with pytest.raises(FileNotFoundError):
        cosmos.score(model, "/nonexistent/trace.jsonl")
    with pytest.raises(cosmos.InvalidError):
        cosmos.score(model, make_trace(trace), why=17)


def test_scores_before_an_error_are_kept(trace, model_file):
    t = trace()
    for _ in range(10):
        t.call("read")
    t.line(type="trace", format=1, source="bpf", timestamp="2026-11-23T00:00:00.000Z")
    lines, scores = cosmos.score(cosmos.Model(model_file(threshold="1.0")), t.done()), []
    with pytest.raises(cosmos.MismatchError):
        for line in lines:
            scores.append(line)
    assert [line["calls"] for line in scores] == [10]


def test_same_bits_as_the_command(trace, model_file):
    command = pathlib.Path(os.environ.get("COSMOS_BUILD", "/nonexistent"), "cli", "cosmos-score")
    if not command.exists():
        pytest.skip("no cosmos-score: set COSMOS_BUILD to a build folder")
    model, path = model_file(threshold="1.7"), make_trace(trace, calls=500)
    run = subprocess.run([command, model, path], capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stderr
    by_command = [json.loads(line) for line in run.stdout.splitlines()]
    by_python = list(cosmos.score(model, path))
    assert by_command == by_python and len(by_python) == 124


def test_fit_threshold():
    scores = np.arange(1, 1001) / 10
    assert cosmos.fit_threshold(scores, 0.999) == 99.9
    assert cosmos.fit_threshold(scores[::-1], 0.5) == 50.0
    assert cosmos.fit_threshold([3], 1.0) == 3.0
    for scores, quantile in (([], 0.5), ([1.0], 0.0), ([1.0], 1.5), ([math.nan], 0.5)):
        with pytest.raises(cosmos.InvalidError):
            cosmos.fit_threshold(scores, quantile)


def test_fit_quantile():
    fit = cosmos.fit_quantile(np.arange(1, 101), 0.9)
    assert fit.theta == 90 and fit.n == 100 and fit.quantile == 0.9 and fit.confidence == 0.95
    assert 80 < fit.lower < 90 < fit.upper < 100 and fit.spread > 0
    assert cosmos.fit_quantile(np.arange(1, 11), 0.9).upper == math.inf
    with pytest.raises(cosmos.InvalidError, match="confidence"):
        cosmos.fit_quantile([1.0], 0.5, 1.0)


def test_threshold_follows():
    rng = np.random.default_rng(1)
    start = cosmos.Threshold.fitted(rng.exponential(1, 1000), 0.9)
    adaptive, scores = start.adaptive(), rng.exponential(1, 20000) + 1
    thetas = adaptive.follow(scores)
    assert thetas[0] == start.theta and adaptive.theta != start.theta
    assert abs(np.mean(scores > thetas) - 0.1) < 0.01 < np.mean(scores > start.theta) - 0.1
    assert adaptive.info["counted"] == 20000 and adaptive.info["adaptive"] and not adaptive.info["alert"]
    assert (start.adaptive().follow(scores) == thetas).all()
    bound = start.adaptive(bounds=(0.5, 2.5))
    assert max(bound.follow(scores)) == 2.5
    for wrong in (dict(bounds=(2, 1)), dict(quantile=1.0), dict(spread=-1.0)):
        with pytest.raises(cosmos.InvalidError):
            start.adaptive(**wrong)
    with pytest.raises(cosmos.InvalidError, match="quantile"):
        cosmos.Threshold(1.0).adaptive()


def test_threshold_of_images(trace, model_file, tmp_path):
    path, copy = model_file(threshold="1.5"), str(tmp_path / "copy.bin")
    general = cosmos.Threshold.fitted(np.arange(100.0), 0.9)
    general.add_image("db:1", cosmos.Threshold(-1.0))
    with pytest.raises(FileExistsError):
        general.add_image("db:1", cosmos.Threshold(2.0))
    general.save(path, copy)
    model = cosmos.Model(copy)
    assert model.info["threshold"] == 89 and model.info["threshold_n"] == 100 and model.info["spread"] > 0
    again = cosmos.Threshold.of_model(model)
    assert again.info["n_images"] == 1 and again.of_image("db:1").theta == -1
    assert again.of_image("db:2").theta == 89 and again.of_image("db:1").judge(0.0) == "anomalous"
    t = trace()
    for pid, image in ((1, "db:1"), (2, "web")):
        t.call("read", pid=pid, container_id=f"{pid}" * 64, image=image)
    lines = {line["pid"]: line for line in cosmos.score(model, t.done())}
    assert lines[1]["threshold"] == -1 and lines[1]["verdict"] == "anomalous"
    assert lines[2]["threshold"] == 89 and lines[2]["verdict"] == "normal"
    with pytest.raises(OSError, match="as it was"):
        general.save(path, "/dev/full")


def test_score_with_an_adaptive_threshold(trace, model_file):
    model, path = cosmos.Model(model_file(threshold="1.7")), make_trace(trace, calls=500)
    start = cosmos.Threshold.of_model(model)
    adaptive = start.adaptive(quantile=0.9, spread=0.1)
    lines = list(cosmos.score(model, path, threshold=adaptive))
    scores = [line["score"] for line in lines]
    assert [line["threshold"] for line in lines] == start.adaptive(quantile=0.9, spread=0.1).follow(scores).tolist()
    assert adaptive.info["counted"] == len(lines)
