# SPDX-License-Identifier: Apache-2.0
"""What training makes of traces, and calibration against the detector. No TensorFlow."""

import calibrate
import conftest
import data as traces
import numpy as np
import pytest

import cosmos


def made_up(lengths, gap=1):
    """Sequences one after the other in time."""
    n = sum(lengths)
    tokens = np.zeros((n, 4), np.uint32)
    tokens[:, 0] = 2 + np.arange(n) % 4
    tokens[:, 1] = np.arange(n) % 3
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return traces.Data(conftest.VOCAB, tokens, offsets, np.arange(n, dtype=np.int64) * gap, "audit", [])


def test_read_joins_traces_and_vocabularies(trace):
    first, second = trace("one.jsonl"), trace("two.jsonl")
    for name in ("read", "close", "close"):
        first.call(name)
    for name in ("futex", "futex", "futex", "read", "read"):
        second.call(name, ret=-11)
    data = traces.read([first.done(), second.done()], "process", [])
    assert data.vocab[:5] == ["<start>", "<unknown>", "futex", "read", "close"]
    assert data.vocab[5:] == [f"<reserved-{i}>" for i in range(16)] and data.different() == 3
    assert data.offsets.tolist() == [0, 3, 8] and len(data.tokens) == 8
    assert data.tokens[:, 0].tolist() == [3, 4, 4, 2, 2, 2, 3, 3]
    inputs = np.concatenate([data.inputs(0, 3), data.inputs(3, 8)])
    assert data.tokens[:, 1].tolist() == [0, 0, 0] + [11] * 5
    assert inputs[:, 0].tolist() == [0, 3, 4, 0, 2, 2, 2, 3]
    assert not inputs[3].any() and inputs[4, :2].tolist() == [2, 11]
    assert data.inputs(4, 6)[:, :2].tolist() == [[2, 11]] * 2
    assert [(t["calls"], t["sequences"], len(t["sha256"])) for t in data.traces] == [(3, 1, 64), (5, 1, 64)]
    third = trace("three.jsonl", source="bpf")
    third.call("read")
    with pytest.raises(cosmos.MismatchError, match=r"one.jsonl \(audit\) and .*three.jsonl \(bpf\)"):
        traces.read([first.path, third.done()], "process", [])


def test_new_calls_take_the_reserved_places(trace, caplog):
    t = trace()
    for name in ("futex", "futex", "read", "brk", "poll", "poll", "poll"):
        t.call(name)
    path, vocab = t.done(), ["<start>", "<unknown>", "read", "write", "<reserved-0>", "<reserved-1>", "<reserved-2>"]
    data = traces.read([path], "process", [], vocab)
    assert data.vocab == ["<start>", "<unknown>", "read", "write", "poll", "futex", "brk"] and not caplog.records
    assert data.tokens[:, 0].tolist() == [5, 5, 2, 6, 4, 4, 4]
    data = traces.read([path], "process", [], vocab[:5])
    assert data.vocab == ["<start>", "<unknown>", "read", "write", "poll"]
    assert data.tokens[:, 0].tolist() == [1, 1, 2, 1, 4, 4, 4]
    assert "2 different calls of these traces will be <unknown>" in caplog.text


def test_split_by_time():
    bounds = traces.split(made_up([1000]))
    assert bounds.tolist() == [[0, 700, 850, 1000]]
    bounds = traces.split(made_up([690, 20, 290]))
    assert bounds.tolist() == [[0, 690, 690, 690], [690, 700, 710, 710], [710, 710, 850, 1000]]
    # One that runs all the time beside others: every part has its share of it.
    data = made_up([500, 500])
    data.timestamps[:] = np.concatenate([np.arange(500), np.arange(500)])
    assert traces.split(data).tolist() == [[0, 350, 425, 500], [500, 850, 925, 1000]]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_split_is_that_of_sorted_times(block, monkeypatch):
    monkeypatch.setattr(traces, "BLOCK", block)
    rng, data = np.random.default_rng(3), made_up([100, 1, 99])
    for spread in (1, 3, 50, 10**18):
        times = rng.integers(0, spread, 200) + 1_795_000_000_000_000_000
        data.timestamps[:] = times
        cuts = [np.sort(times)[k] for k in (140, 170)]
        for begin, first, second, end in traces.split(data):
            late = [begin + np.flatnonzero(np.append(times[begin:end], 2**62) >= cut)[0] for cut in cuts]
            assert [first, second] == late


def test_split_of_timestamps_that_step_back():
    data = made_up([100])
    times = data.timestamps
    times[[10, 90]] = times[[90, 10]]
    begin, first, second, end = traces.split(data)[0]
    assert begin <= first <= second <= end
    assert times[begin:first].max() < np.sort(times)[70]


def test_chunks():
    data = made_up([1, 199, 200, 201, 100_000])
    spans = np.stack([data.offsets[:-1], data.offsets[1:]], axis=1)
    chunks = traces.Chunks(data, spans)
    assert len(chunks) == 1 + 1 + 1 + 2 + 400  # the longest is capped
    picks = chunks.all(10**6)
    assert len(picks) == 405 and picks[:5] == [(0, 1), (1, 200), (200, 400), (400, 600), (600, 601)]
    assert len(chunks.all(100)) == 100
    drawn = chunks.drawn(np.random.default_rng(1), 5000)
    assert drawn == chunks.drawn(np.random.default_rng(1), 5000)
    for begin, end in drawn:
        i = np.searchsorted(data.offsets, begin, side="right") - 1
        assert 1 <= end - begin <= 200 and end <= data.offsets[i + 1]
        assert end - begin == min(200, data.offsets[i + 1] - data.offsets[i])
    begins = [begin for begin, _ in drawn]
    assert {0, 1, 200, 400, 601} <= set(begins), "every sequence's beginning is learnt"


def test_batches():
    data = made_up([3, 5])
    chunks = traces.Chunks(data, np.array([[0, 3], [3, 8]]))
    batch = chunks.batch(chunks.all(10), 4)
    assert batch.inputs.shape == (4, 200, 4) and batch.weights.sum() == 8
    assert batch.inputs[1, 1:5].tolist() == data.tokens[3:7].tolist() and not batch.inputs[1, [0, 5]].any()
    assert batch.targets[1, :6].tolist() == data.tokens[3:8, 0].tolist() + [0]
    assert batch.weights[1, :6].tolist() == [1, 1, 1, 1, 1, 0]
    # A piece that does not begin a sequence: the call before it is its first input.
    batch = traces.Chunks(data, np.array([[5, 8]])).batch([(5, 8)], 1)
    assert batch.inputs[0, 0].tolist() == data.tokens[4].tolist()
    assert not chunks.batch([], 2).weights.any()


@pytest.mark.parametrize("window,hop", [(10, 4), (7, 7), (1, 1), (1000, 500), (25, 10)])
def test_window_scores_are_those_of_the_detector(normal, model_file, window, hop):
    path = normal(calls=1500)
    model = cosmos.Model(model_file(window=str(window), hop=str(hop), prior_mean="0.7123", threshold="1.0"))
    corpus = cosmos.read_corpus(path, vocab=model.vocab)
    mine = []
    for tokens in corpus.sequences():
        scores, ends = calibrate.window_scores(model.nll(tokens), window, hop, 5.0, 0.7123)
        mine += [(int(end), float(score)) for end, score in zip(ends, scores)]
    detectors = [(line["calls"], line["score"]) for line in cosmos.score(model, path)]
    assert sorted(mine) == sorted(detectors) and len(mine) > 10


def test_calibration_scores(normal, model_file, monkeypatch):
    model = cosmos.Model(model_file())
    corpus = cosmos.read_corpus(normal(calls=3000), vocab=model.vocab)
    offsets = corpus.offsets.astype(np.int64)
    data = traces.Data(list(model.vocab), corpus.tokens, offsets, corpus.timestamps, corpus.source, [])
    bounds = traces.split(data)
    found = calibrate.calibration_scores(model, data, bounds)
    expected = []
    for begin, _, cut, end in bounds:
        scores, ends = calibrate.window_scores(model.nll(corpus.tokens[begin:end]), 10, 4, 5.0, 0.5)
        for score, stop in zip(scores, ends + begin):
            if max(stop - 10, begin) >= cut:
                expected.append((corpus.timestamps[stop - 1], score))
    assert found.tolist() == [score for _, score in sorted(expected)] and len(found) > 100
    # A state that is built up from a part of the past keeps the windows, and nearly their scores.
    monkeypatch.setattr(calibrate, "WARM_UP", 101)
    near = calibrate.calibration_scores(model, data, bounds)
    assert len(near) == len(found) and np.abs(near - found).max() < 1e-3
    for piece in (1, 7, 100):
        monkeypatch.setattr(calibrate, "PIECE", piece)
        near = calibrate.calibration_scores(model, data, bounds)
        assert len(near) == len(found) and np.abs(near - found).max() < 1e-3


def test_quantile():
    assert calibrate.fit(np.arange(10.0), 0.5).theta == 4.0
    with pytest.raises(traces.BadInput, match="only 9 windows"):
        calibrate.fit(np.arange(9.0), 0.5)
    assert calibrate.false_alarms_later(np.array([1.0, 3, 2, 2, 3, 4, 5]), 1.0) == 0.5
    assert abs(calibrate.surprise(100, 1e-3) - 11.513) < 1e-3
