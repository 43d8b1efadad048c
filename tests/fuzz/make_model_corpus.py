#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes corpus/model/: small valid models and damaged ones, the same each time."""

import json
import pathlib
import random
import struct

# Ids of a token's fields; those of the name are the vocabulary's.
FIELD_SIZES = {"errno": 135, "size": 121, "fd": 8, "path": 13, "args": 254, "frequency": 1}


def metadata(layers, embedding, vocab, tokens, more):
    names = ["<start>", "<unknown>"] + ["call%d" % i for i in range(vocab - 2)]
    keys = {
        "format": "1",
        "arch": "lstm",
        "gates": "ifgo",
        "layers": ",".join(map(str, layers)),
        "embedding": str(embedding),
        "vocab": json.dumps(names),
        "tokens": tokens,
        "unit": "process",
        "window": "100",
        "hop": "50",
        "score": "shrunk_mean",
        "prior_count": "8",
        "prior_mean": "1.5",
    }
    keys.update(more)
    return {"cosmos." + k: v for k, v in keys.items()}


def shapes(layers, embedding, vocab, tokens="name"):
    result = {}
    for field in tokens.split(","):
        name = field.split("/")[0]
        result["embedding.%s.weight" % name] = [FIELD_SIZES.get(name, vocab), embedding]
    below = embedding
    for i, units in enumerate(layers):
        result["lstm.%d.kernel" % i] = [below, 4 * units]
        result["lstm.%d.recurrent_kernel" % i] = [units, 4 * units]
        result["lstm.%d.bias" % i] = [4 * units]
        below = units
    result["dense.kernel"] = [below, vocab]
    result["dense.bias"] = [vocab]
    return result


def pack(header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def parts(layers, embedding, vocab, tokens="name", scale=0.5, seed=1, keys={}):
    """The header, as a dict, and the data of a model with random weights; `keys` replace the metadata."""
    rng = random.Random(seed)
    header = {"__metadata__": metadata(layers, embedding, vocab, tokens, keys)}
    data = b""
    for name, shape in shapes(layers, embedding, vocab, tokens).items():
        n = shape[0] * (shape[1] if len(shape) == 2 else 1)
        values = struct.pack("<%df" % n, *(rng.uniform(-scale, scale) for _ in range(n)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    return header, data


def quantised(layers, embedding, vocab, seed=1):
    """The same in int8, with random weights too: what has one byte stands last, as the others are aligned."""
    rng = random.Random(seed)
    header = {"__metadata__": metadata(layers, embedding, vocab, "name", dict(precision="int8"))}
    small, data = {}, b""

    def add(name, dtype, shape, values):
        nonlocal data
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values

    def floats(n, low):
        return struct.pack("<%df" % n, *(rng.uniform(low, 0.5) for _ in range(n)))

    for name, shape in shapes(layers, embedding, vocab).items():
        if name == "dense.kernel" or "kernel" in name and name != "lstm.0.kernel":
            small[name] = shape
            add(name + ".scale", "F32", shape[1:], floats(shape[1], 0))
        else:
            add(name, "F32", shape, floats(shape[0] * (shape[1] if len(shape) == 2 else 1), -0.5))
    for name, (rows, columns) in small.items():
        add(name, "I8", [rows, columns], bytes(rng.randrange(-127, 128) & 255 for _ in range(rows * columns)))
    return header, data


def keeping(rows, frequency=(), tokens="name"):
    """A model that keeps rows of what it has learnt."""
    header, data = parts([2], 1, 3, tokens=tokens, keys=dict(format="2", kept="100"))
    flat = [value for row in rows for value in row]
    for name, dtype, shape, values in (
        ("kept.frequency", "F32", [len(frequency)], struct.pack("<%df" % len(frequency), *frequency)),
        ("kept.tokens", "U16", [len(rows), len(rows[0])], struct.pack("<%dH" % len(flat), *flat)),
    ):
        if values:
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
            data += values
    return header, data


def model(*args, **more):
    return pack(*parts(*args, **more))


def damaged():
    """Name and bytes of a tiny model, damaged in one place each."""

    def edit(change):
        header, data = parts([2], 2, 3)
        changed = change(header, bytearray(data))
        return pack(header, bytes(data) if changed is None else bytes(changed))

    def patch(header, name, key, value):
        header[name][key] = value

    def put(data, offset, value):
        struct.pack_into("<f", data, offset, value)
        return data

    good = model([2], 2, 3)
    yield "empty", b""
    yield "length-only", good[:8]
    yield "length-zero", bytes(8) + good[8:]
    yield "length-huge", b"\xff" * 8 + good[8:]
    yield "cut-header", good[:200]
    yield "cut-data", good[:-4]
    yield "tail", good + b"\0\0\0\0"
    yield "not-json", pack({}, b"").replace(b"{}", b"{]")
    yield "no-metadata", pack({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4))
    yield "newer-format", model([2], 2, 3, keys=dict(format="3"))
    yield "bad-layers", model([2], 2, 3, keys=dict(layers="2,"))
    yield "bad-tokens", model([2], 2, 3, tokens="name", keys=dict(tokens="name,size/third,frequency/1001"))
    yield "bad-vocab", model([2], 2, 3, keys=dict(vocab='["<start>","<unknown>","a\\u0000b"]'))
    yield "twin-vocab", model([2], 2, 3, keys=dict(vocab='["<start>","<unknown>","<start>"]'))
    yield "bad-thresholds", model([2], 2, 3, keys=dict(threshold="1", thresholds='{"a":{"theta":1,"quantile":2}}'))
    yield "deep-thresholds", model([2], 2, 3, keys=dict(threshold="1", thresholds='{"a":' * 1500 + "0" + "}" * 1500))
    yield "bad-prior", model([2], 2, 3, keys=dict(prior_mean="1,5"))
    yield "huge-units", model([2], 2, 3, keys=dict(layers="4096,4096,4096"))
    yield "twin-key", good.replace(b'"cosmos.unit"', b'"cosmos.arch"')
    yield "bad-shape", edit(lambda h, d: patch(h, "dense.kernel", "shape", [3, 2]))
    yield "huge-shape", edit(lambda h, d: patch(h, "dense.kernel", "shape", [1 << 62, 1 << 62]))
    yield "bad-dtype", edit(lambda h, d: patch(h, "dense.bias", "dtype", "F16"))
    yield "overlap", edit(lambda h, d: patch(h, "dense.bias", "data_offsets", [0, 12]))
    yield "unaligned", edit(lambda h, d: patch(h, "embedding.name.weight", "data_offsets", [2, 26]))
    yield "backwards", edit(lambda h, d: patch(h, "dense.bias", "data_offsets", [12, 0]))
    yield "missing", edit(lambda h, d: h.pop("lstm.0.bias") and None)
    yield "stranger", edit(lambda h, d: h.update(x={"dtype": "I8", "shape": [0], "data_offsets": [0, 0]}))
    yield "nan", edit(lambda h, d: put(d, 0, float("nan")))
    header, data = quantised([2, 1], 2, 3)
    yield "int8-minus-128", pack(header, data[:-1] + b"\x80")
    patch(header, "dense.kernel", "dtype", "F32")
    yield "int8-bad-dtype", pack(header, data)
    header, data = quantised([2], 2, 3)
    at = header["dense.kernel.scale"]["data_offsets"][0]
    yield "int8-bad-scale", pack(header, bytes(put(bytearray(data), at, -1.0)))
    header, data = keeping([[0x8000], [2]])
    patch(header, "kept.tokens", "shape", [1, 2])
    yield "kept-bad-shape", pack(header, data)
    patch(header, "kept.tokens", "dtype", "F32")
    yield "kept-bad-dtype", pack(header, data)
    yield "kept-bad-token", pack(*keeping([[0x8000], [3]]))
    yield "kept-of-no-piece", pack(*keeping([[1], [2]]))
    yield "kept-bad-frequency", pack(*keeping([[0x8000], [2]], [0, 2], tokens="name,frequency/10"))
    header, data = keeping([[0x8000], [2]], [0, 1])
    yield "kept-stranger", pack(header, data)
    yield "infinity", edit(lambda h, d: put(d, len(d) - 4, float("-inf")))


def main():
    folder = pathlib.Path(__file__).parent / "corpus" / "model"
    folder.mkdir(parents=True, exist_ok=True)
    valid = {
        "one-layer": model([2], 2, 3),
        "two-layers": model([2, 3], 2, 4),
        "three-layers": model([1, 2, 1], 1, 2),
        "int8": pack(*quantised([3, 2], 2, 4)),
        "errno": model([2], 1, 3, tokens="name,errno"),
        "fields": model([1], 1, 3, tokens="name,errno,fd,path,frequency/100"),
        "args": model([1], 1, 2, tokens="name,args"),
        "size": model([1], 1, 2, tokens="name,size/half"),
        "kept": pack(*keeping([[0x8000, 0], [2, 134], [0x8001, 0]], tokens="name,errno")),
        "kept-much": pack(*keeping([[[0x8001, 0xc001][i % 2] if i % 9 == 0 else 1 + i % 2] for i in range(200)])),
        "kept-frequency": pack(*keeping([[0x8000], [2]], [0, 0.5], tokens="name,frequency/10")),
        "all-keys": model([2], 2, 3, keys=dict(threshold="2.5", quantile="0.99", source="audit", calls="all", unit="thread")),
        "thresholds": model(
            [2],
            2,
            3,
            keys=dict(
                threshold="2",
                quantile="0.9",
                threshold_n="1000",
                threshold_spread="0.1",
                thresholds='{"b:1":{"theta":1.5},"a":{"theta":-1e0,"quantile":0.5,"n":7,"spread":1e-3}}',
            ),
        ),
        "overflow": model([2, 2], 2, 3, scale=3.4e38),
    }
    for name, content in list(valid.items()) + list(damaged()):
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
