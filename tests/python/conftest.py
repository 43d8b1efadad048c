# SPDX-License-Identifier: Apache-2.0
"""Small traces and models for the tests, and where the trainer's modules are."""

import importlib.util
import json
import os
import pathlib
import pty
import random
import subprocess
import sys
from datetime import datetime, timezone

import numpy as np
import pytest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / "models"), str(pathlib.Path(__file__).parent)]

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None or "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="TensorFlow is not installed (pip install -r models/requirements.txt), or would run under a sanitizer",
)

VOCAB = ["<start>", "<unknown>", "read", "write", "openat", "close"]


class Trace:
    """Writes a trace: the head, then what is asked for, a microsecond apart."""

    def __init__(self, path, source="audit"):
        self.path = path
        self._file = open(path, "w")
        self._ns = 1_795_000_000_000_000_000
        if source is not None:
            self.line(type="trace", format=1, source=source, timestamp=self._now())

    def _now(self):
        self._ns += 1000
        seconds, ns = divmod(self._ns, 10**9)
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns:09d}Z"

    def line(self, **fields):
        self._file.write(json.dumps(fields) + "\n")

    def raw(self, text):
        self._file.write(text + "\n")

    def call(self, name, pid=10, ret=0, **fields):
        mine = {"timestamp": self._now(), "pid": pid, "proc_start": pid, "comm": "app", "syscall": name, "ret": ret}
        self.line(**{**mine, **fields})

    def done(self):
        self._file.close()
        return str(self.path)


def on_a_terminal(command, limit=None, **streams):
    """What a person sees of a command that ends well: its standard error is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stderr=theirs, **streams)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait(limit) == 0, seen
    return seen.decode()


@pytest.fixture
def trace(tmp_path):
    return lambda name="trace.jsonl", **options: Trace(tmp_path / name, **options)


def _server(rng):
    while True:
        if rng.random() < 0.7:
            yield from [("poll", 1), ("recvfrom", 80)]
            for _ in range(rng.choice([1, 1, 2])):
                yield "pread64", 16384
            yield from [("sendto", 200), ("recvfrom", -11)]
        else:
            yield from [("futex", rng.choice([0, -110])), ("pwrite64", 512), ("fdatasync", 0)]


def _tool(rng):
    yield from [("execve", 0), ("brk", 0), ("access", -2)]
    for _ in range(rng.choice([2, 3])):
        yield from [("openat", 3), ("read", 832), ("mmap", 1), ("close", 0)]
    yield from [("write", 10), ("exit_group", 0)]


@pytest.fixture
def normal(trace):
    """A function: a normal trace of about `calls` calls, one long server and many short processes."""

    def make(name="normal.jsonl", calls=6000, seed=1):
        rng = random.Random(seed)
        out, live, made, pid = trace(name), [(1, _server(rng))], 0, 100
        while made < calls:
            who = rng.choice(live)
            for _ in range(rng.randint(1, 6)):
                call = next(who[1], None)
                if call is None:
                    live.remove(who)
                    break
                out.call(call[0], pid=who[0], ret=call[1])
                made += 1
            if rng.random() < 0.02:
                pid += 1
                live.append((pid, _tool(rng)))
        return out.done()

    return make


def metadata(vocab=VOCAB, layers=(5,), embedding=3, tokens="name,errno", **more):
    """What a model file must say, as the trainer writes it."""
    found = {
        "cosmos.format": "1",
        "cosmos.arch": "lstm",
        "cosmos.gates": "ifgo",
        "cosmos.layers": ",".join(map(str, layers)),
        "cosmos.embedding": str(embedding),
        "cosmos.vocab": json.dumps(vocab),
        "cosmos.tokens": tokens,
        "cosmos.unit": "process",
        "cosmos.window": "10",
        "cosmos.hop": "4",
        "cosmos.score": "shrunk_mean",
        "cosmos.prior_count": "5.0",
        "cosmos.prior_mean": "0.5",
        "cosmos.source": "audit",
        "cosmos.calls": "all",
    }
    found.update({f"cosmos.{key}": value for key, value in more.items()})
    return {key: value for key, value in found.items() if value is not None}


def weights(rng, vocab=len(VOCAB), layers=(5,), embedding=3, tokens="name,errno"):
    """Random weights with the shapes of the format."""
    import cosmos

    scheme = cosmos.Scheme(tokens)
    shapes = {f"embedding.{field}.weight": (size or vocab, embedding) for field, size in scheme.sizes.items()}
    if scheme.frequency:
        shapes["embedding.frequency.weight"] = (1, embedding)
    width = embedding
    for i, units in enumerate(layers):
        shapes[f"lstm.{i}.kernel"] = (width, 4 * units)
        shapes[f"lstm.{i}.recurrent_kernel"] = (units, 4 * units)
        shapes[f"lstm.{i}.bias"] = (4 * units,)
        width = units
    shapes["dense.kernel"] = (width, vocab)
    shapes["dense.bias"] = (vocab,)
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def kept(tokens="name,errno", rows=3):
    """Tensors and metadata that a model has more where the C trainer has kept some of what it had learnt."""
    import cosmos

    scheme = cosmos.Scheme(tokens)
    tensors = {"kept.tokens": np.full((rows, len(scheme.fields)), 2, np.uint16)}
    tensors["kept.tokens"][0, 0] |= 0x8000
    if scheme.frequency:
        tensors["kept.frequency"] = np.linspace(0, 1, rows, dtype=np.float32)
    return tensors, {"cosmos.format": "2", "cosmos.kept": "1000"}


@pytest.fixture
def model_file(tmp_path):
    """A function: a model with random weights, as a file."""
    import export

    def make(name="model.bin", seed=1, **more):
        path = tmp_path / name
        values = weights(np.random.default_rng(seed), tokens=more.get("tokens", "name,errno"))
        path.write_bytes(export.serialise(values, metadata(**more)))
        return str(path)

    return make
