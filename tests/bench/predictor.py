#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a prediction costs: beside other runtimes, and beside what the machine can do.

    python3 tests/bench/predictor.py [PART...] [--build FOLDER] [--rounds N] [--json FILE] [--markdown FILE] [--plot FILE]
    python3 tests/bench/predictor.py --from FILE [--markdown FILE] [--plot FILE]

Needs a build (build/tests/gcc of tests/run.sh, or --build) and a C compiler. The Python packages of
tests/bench/requirements.txt are taken from where it runs, else installed into build/predictor-venv; a
runtime that is still missing is left out, with the reason.

All is measured on one core, each runtime with one thread, in rounds whose order is drawn (fixed seed), so that
whatever else happens to the machine happens to all. Given are the median over the rounds with its 95% bootstrap
interval, and of ratios the median of those within a round. Nothing may run beside it: a busy machine is refused.
The build is copied first, so that it may be built again meanwhile.

  predictor  the same random weights in each runtime: 1 stream and 64 streams step by step, 1 and 16 sequences of
             1,000; sizes of models, precisions, instruction sets. Before that, what each says is held against a
             reference in double precision. The limits are the multiply-adds and the reads that the core reaches.
  cores      four files scored by one thread and by two, beside what two cores do together at best
  file       cosmos-score over a trace of full lines: events a second, and where the time goes
  memory     of a model, of a session, and of a detector with 10,000 open sequences
"""

import argparse
import contextlib
import functools
import gc
import gzip
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple, Tuple

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
SEED = 2026
SAMPLE = 0.02  # seconds that one figure of one round takes, about
BUSY = 0.1  # of a core that others may take
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PACKAGES = ("numpy", "onnx", "onnxruntime", "openvino", "tensorflow", "matplotlib")


class Size(NamedTuple):
    """Of a model. Multiply-adds and weights are those that are left when the product of embedding and first
    kernel is a look-up in a table, without any padding."""

    embedding: int
    units: Tuple[int, ...]
    vocabulary: int

    def __str__(self):
        return f"{self.embedding}/{'+'.join(map(str, self.units))}/{self.vocabulary}"

    def matrices(self):
        """Of each its weights, and whether it waits for the step before."""
        for below, units in zip((0, *self.units), self.units):
            yield units * 4 * units, True
            yield below * 4 * units, False
        yield self.units[-1] * self.vocabulary, False

    def weights(self):
        return sum(n for n, _ in self.matrices())


BAR = Size(64, (128,), 341)
SIZES = (Size(32, (64,), 128), BAR, Size(128, (256,), 512), Size(64, (128, 128), 341))
CASES = {  # streams, and tokens of each in one call
    "1 stream": (1, 1),
    "64 streams": (64, 1),
    "1 sequence of 1,000": (1, 1000),
    "16 sequences of 1,000": (16, 1000),
}
BYTES = {"f32": 4, "int8": 1}
WRONG = {"f32": 2e-5, "int8": 0.5}  # so far from the reference no log-probability may be


def run(*command, **options):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if result.returncode:
        raise RuntimeError(f"{command} ended with {result.returncode}: {result.stderr or result.stdout}")
    return result.stdout


def interval(samples, rounds=10_000):
    """The median and its 95% bootstrap interval."""
    import numpy as np

    samples = np.asarray(samples, float)
    draws = np.random.default_rng(SEED).integers(0, len(samples), (rounds, len(samples)))
    low, high = np.quantile(np.median(samples[draws], axis=1), (0.025, 0.975))
    return float(np.median(samples)), float(low), float(high)


class Asked:
    """A program that answers each line with one."""

    def __init__(self, *command):
        self.name = Path(command[0]).name
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}")
        return line.split()

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")

    def __call__(self, *words):
        self.ask(*words)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Bench:
    def __init__(self, args):
        self.args = args
        # In memory: the disk's moods are not what is measured.
        self.folder = Path(
            tempfile.mkdtemp(prefix="cosmos-bench.", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        )
        self.ways_out = contextlib.ExitStack()
        self.ways_out.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.prepare()
        except BaseException:
            self.close()
            raise

    def prepare(self):
        lib = self.folder / "build" / "lib"
        lib.mkdir(parents=True)
        (self.folder / "build" / "cli").mkdir()
        for name in ("libcosmos.so", "libcosmos.so.0"):
            shutil.copy2(self.args.build / "lib" / name, lib / name)
        self.score = self.folder / "build" / "cli" / "cosmos-score"
        shutil.copy2(self.args.build / "cli" / "cosmos-score", self.score)
        used = run("ldd", self.score)
        if str(self.folder) not in used:
            raise RuntimeError(f"{self.score} would not use its own library: {used}")
        run("cc", "-O3", HERE / "limits.c", "-o", self.folder / "limits")
        for name in ("predictor_steps", "predictor_stages"):
            run("cc", "-O2", HERE / f"{name}.c", f"-I{TREE}/include", f"-L{lib}", "-lcosmos",
                f"-Wl,-rpath,{lib}", "-o", self.folder / name)  # fmt: skip
        self.isas = run(self.folder / "predictor_steps").split()
        self.limits = self.ask("limits")
        # The instruction sets that the limits are known of; of another one only the time is told.
        self.limited = self.limits("isas")

    def ask(self, program, *arguments):
        asked = Asked(self.folder / program, *arguments)
        self.ways_out.callback(asked.close)
        return asked

    def close(self):
        self.ways_out.close()


# --- the model ---------------------------------------------------------------------------


def example_names():
    """The calls of the example's trace, most frequent first."""
    counts = {}
    for line in example_lines():
        name = re.search(r'"syscall":"([^"]+)"', line)[1]
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))


@functools.lru_cache(1)
def example_lines():
    with gzip.open(TREE / "examples/traces/normal.jsonl.gz", "rt") as f:
        return [line for line in f if '"type":' not in line]


def random_weights(size):
    """As a model file calls them. Each output's sum has about the variance of one input, as in a trained model:
    with more, a difference in the last bit would grow from step to step in every runtime."""
    import numpy as np

    draw, weights, below = np.random.default_rng(SEED), {}, size.embedding
    weights["embedding.name.weight"] = draw.normal(0, 1, (size.vocabulary, size.embedding))
    for i, units in enumerate(size.units):
        weights[f"lstm.{i}.kernel"] = draw.normal(0, below**-0.5, (below, 4 * units))
        weights[f"lstm.{i}.recurrent_kernel"] = draw.normal(0, units**-0.5, (units, 4 * units))
        weights[f"lstm.{i}.bias"] = draw.normal(0, 0.5, 4 * units)
        below = units
    weights["dense.kernel"] = draw.normal(0, 4 * below**-0.5, (below, size.vocabulary))
    weights["dense.bias"] = draw.normal(0, 1, size.vocabulary)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def write_model(path, size, weights):
    sys.path.insert(0, str(TREE / "models"))
    import export

    names = ["<start>", "<unknown>", *example_names()][: size.vocabulary]
    names += [f"call{i}" for i in range(size.vocabulary - len(names))]
    metadata = {
        "format": "1", "arch": "lstm", "gates": "ifgo", "layers": ",".join(map(str, size.units)),
        "embedding": str(size.embedding), "vocab": json.dumps(names), "tokens": "name", "unit": "process",
        "window": "100", "hop": "50", "score": "shrunk_mean", "prior_count": "10.0", "prior_mean": "1.0",
        "threshold": "1000.0",
    }  # fmt: skip
    path.write_bytes(export.serialise(weights, {f"cosmos.{key}": value for key, value in metadata.items()}))


def random_tokens(size, n):
    """Few calls are most of a trace: the k-th is 1/k as frequent as the first."""
    import numpy as np

    frequency = 1 / np.arange(1, size.vocabulary - 1)
    ids = np.random.default_rng(SEED).choice(size.vocabulary - 2, n, p=frequency / frequency.sum()) + 2
    return ids.astype(np.uint32)


def reference(size, weights, tokens):
    """[time, streams] tokens -> [time, streams, vocabulary]: the log-probabilities after each, in double precision."""
    import numpy as np

    w = {name: value.astype(np.float64) for name, value in weights.items()}
    streams = tokens.shape[1]
    states = [[np.zeros((streams, units)), np.zeros((streams, units))] for units in size.units]
    found = np.empty((*tokens.shape, size.vocabulary))
    for at, ids in enumerate(tokens):
        x = w["embedding.name.weight"][ids]
        for i, state in enumerate(states):
            z = x @ w[f"lstm.{i}.kernel"] + state[0] @ w[f"lstm.{i}.recurrent_kernel"] + w[f"lstm.{i}.bias"]
            i_, f, g, o = np.split(z, 4, axis=1)
            sigmoid = lambda v: 1 / (1 + np.exp(-v))
            state[1] = sigmoid(f) * state[1] + sigmoid(i_) * np.tanh(g)
            x = state[0] = sigmoid(o) * np.tanh(state[1])
        logits = x @ w["dense.kernel"] + w["dense.bias"]
        found[at] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return found


# --- the contenders: each makes calls of one case, takes their time, and shows what it says -----------


class Ours:
    def __init__(self, bench, model, tokens, precision, isa):
        self.bench, self.precision, self.isa = bench, precision, isa
        self.program = bench.ask("predictor_steps", model, precision, isa, tokens)
        _, memory = self.program.answer()
        self.memory = int(memory)

    def case(self, streams, length, every=False):
        return OursCase(self, streams, length, every)


class OursCase:
    def __init__(self, ours, streams, length, every):
        self.ours, self.streams, self.length, self.every = ours, streams, length, every

    def run(self, calls):
        return int(self.ours.program("time", self.streams, self.length, calls, int(self.every))[0])

    def outputs(self, calls, size):
        """What is said after `<start>` and after each token but the last; a session begins behind `<start>`."""
        import numpy as np

        path = self.ours.bench.folder / "logp"
        self.ours.program("logp", self.streams, self.length, calls, path)
        found = np.fromfile(path, np.float32).reshape(-1, self.streams, size.vocabulary)
        path.unlink()
        return found


class Bound:
    """A peer's case: calls on `self.slots` in turn, each with tokens of its own, of which the one leaves its
    states where the next one takes them from. So nothing is copied between calls, and nothing is done for one in
    Python but to make it."""

    SLOTS = 16  # even: two sets of states

    def run(self, calls):
        call, slots = self.call, itertools.cycle(self.slots)
        for slot in itertools.islice(slots, calls // 10 + 1):
            call(slot)
        slots = itertools.islice(itertools.cycle(self.slots), calls)
        begun = time.perf_counter_ns()
        for slot in slots:
            call(slot)
        return time.perf_counter_ns() - begun

    def allocate(self, size, streams, length, tokens):
        """Memory of the two sets of states, the tokens of each slot, and the output."""
        import numpy as np

        tokens = np.resize(tokens, self.SLOTS * length * streams).astype(np.int64)
        self.tokens = list(tokens.reshape(self.SLOTS, length, streams))
        self.states = [
            [np.zeros((1, streams, units), np.float32) for units in size.units for _ in "hc"] for _ in range(2)
        ]
        self.logp = np.zeros((length, streams, size.vocabulary), np.float32)

    def outputs(self, tokens):
        """[calls, length, streams] tokens -> log-probabilities after each."""
        import numpy as np

        for state in self.states[0]:
            state[:] = 0
        found = []
        for i, ids in enumerate(tokens):
            self.tokens[i % self.SLOTS][:] = ids
            self.call(self.slots[i % self.SLOTS])
            found.append(self.logp.copy())
        return np.concatenate(found)


def onnx_graph(path, size, weights, streams, length):
    """Tokens [length, streams], then h and c of each layer -> log-probabilities, then h and c of each layer."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants, nodes, states_in, states_out = {}, [], [], []
    constants["embedding"] = weights["embedding.name.weight"]
    nodes.append(helper.make_node("Gather", ["embedding", "tokens"], ["x.0"]))
    for i, units in enumerate(size.units):
        # Columns i, f, g, o here, rows i, o, f, c there.
        order = np.concatenate([np.arange(units) + k * units for k in (0, 3, 1, 2)])
        bias = weights[f"lstm.{i}.bias"][order]
        constants[f"w.{i}"] = weights[f"lstm.{i}.kernel"].T[order][None]
        constants[f"r.{i}"] = weights[f"lstm.{i}.recurrent_kernel"].T[order][None]
        constants[f"b.{i}"] = np.concatenate([bias, np.zeros_like(bias)])[None]
        names = [f"{which}.{i}" for which in "hc"]
        inputs = [f"x.{i}", f"w.{i}", f"r.{i}", f"b.{i}", "", *names]
        nodes.append(helper.make_node("LSTM", inputs, [f"y.{i}", *(f"new.{n}" for n in names)], hidden_size=units))
        constants[f"axes.{i}"] = np.array([1], np.int64)
        nodes.append(helper.make_node("Squeeze", [f"y.{i}", f"axes.{i}"], [f"x.{i + 1}"]))
        shape = [1, streams, units]
        states_in += [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in names]
        states_out += [helper.make_tensor_value_info(f"new.{n}", TensorProto.FLOAT, shape) for n in names]
    constants["kernel"], constants["bias"] = weights["dense.kernel"], weights["dense.bias"]
    nodes.append(helper.make_node("MatMul", [f"x.{len(size.units)}", "kernel"], ["product"]))
    nodes.append(helper.make_node("Add", ["product", "bias"], ["logits"]))
    nodes.append(helper.make_node("LogSoftmax", ["logits"], ["logp"], axis=2))
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, [length, streams])
    logp = helper.make_tensor_value_info("logp", TensorProto.FLOAT, [length, streams, size.vocabulary])
    constants = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    save_graph(path, nodes, [tokens, *states_in], [logp, *states_out], constants)


def identity_graph(path, arrays):
    """Each input is an output."""
    from onnx import helper

    def infos(letter):
        for i, array in enumerate(arrays):
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            yield helper.make_tensor_value_info(f"{letter}{i}", kind, array.shape)

    nodes = [helper.make_node("Identity", [f"x{i}"], [f"y{i}"]) for i in range(len(arrays))]
    save_graph(path, nodes, list(infos("x")), list(infos("y")), [])


def nothing_arrays(size):
    """As many as a step of one stream has: a token, and the states."""
    import numpy as np

    return [np.zeros((1, 1), np.int64), *(np.zeros((1, 1, n), np.float32) for n in size.units for _ in "hc")]


def save_graph(path, nodes, inputs, outputs, constants):
    import onnx
    from onnx import helper

    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    # Not the newest of each: a runtime may be older than the package that writes the file.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class Onnxruntime:
    """Inputs and outputs bound to memory of ours."""

    name, packages, precisions = "onnxruntime", ("onnx", "onnxruntime"), ("f32", "int8")

    @staticmethod
    def session(path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    @staticmethod
    def bind(session, inputs, outputs):
        """A binding of arrays, which must live as long as it does."""
        binding = session.io_binding()
        for value, array in zip(session.get_inputs(), inputs):
            binding.bind_input(value.name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for value, array in zip(session.get_outputs(), outputs):
            binding.bind_output(value.name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        return binding

    class Case(Bound):
        def __init__(self, folder, precision, size, weights, streams, length, tokens):
            path = folder / "model.onnx"
            onnx_graph(path, size, weights, streams, length)
            if precision == "int8":
                path = Onnxruntime.quantized(path)
            session = Onnxruntime.session(path)
            self.allocate(size, streams, length, tokens)
            self.call = session.run_with_iobinding
            self.slots = [
                Onnxruntime.bind(session, [ids, *self.states[i % 2]], [self.logp, *self.states[1 - i % 2]])
                for i, ids in enumerate(self.tokens)
            ]

    class Nothing(Bound):
        def __init__(self, folder, size):
            path, self.arrays = folder / "identity.onnx", [nothing_arrays(size) for _ in range(2)]
            identity_graph(path, self.arrays[0])
            session = Onnxruntime.session(path)
            self.call, self.slots = session.run_with_iobinding, [Onnxruntime.bind(session, *self.arrays)]

    @staticmethod
    def quantized(path):
        import logging

        from onnxruntime.quantization import QuantType, quantize_dynamic

        logging.getLogger().setLevel(logging.ERROR)  # it asks for a preparation that does not help here
        to = path.with_suffix(".int8.onnx")
        # Not the embedding: it would have to be converted back for each token.
        quantize_dynamic(path, to, op_types_to_quantize=["LSTM", "MatMul"], weight_type=QuantType.QInt8)
        return to


class Openvino:
    """The same graph; requests whose tensors are memory of ours."""

    name, packages, precisions = "OpenVINO", ("onnx", "openvino"), ("f32",)

    @staticmethod
    def compiled(path):
        import openvino

        core = openvino.Core()
        # Else it would compute in bfloat16 where the machine can.
        options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32",
                   "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}  # fmt: skip
        return core.compile_model(core.read_model(str(path)), "CPU", options)

    @staticmethod
    def request(compiled, inputs, outputs):
        import openvino

        request = compiled.create_infer_request()
        for i, array in enumerate(inputs):
            request.set_input_tensor(i, openvino.Tensor(array, shared_memory=True))
        for i, array in enumerate(outputs):
            request.set_output_tensor(i, openvino.Tensor(array, shared_memory=True))
        return request

    @staticmethod
    def infer(request):
        request.infer(share_outputs=True)

    class Case(Bound):
        def __init__(self, folder, precision, size, weights, streams, length, tokens):
            path = folder / "model.onnx"
            onnx_graph(path, size, weights, streams, length)
            compiled = Openvino.compiled(path)
            self.allocate(size, streams, length, tokens)
            self.call = Openvino.infer
            self.slots = [
                Openvino.request(compiled, [ids, *self.states[i % 2]], [self.logp, *self.states[1 - i % 2]])
                for i, ids in enumerate(self.tokens)
            ]

    class Nothing(Bound):
        def __init__(self, folder, size):
            path, self.arrays = folder / "identity.onnx", [nothing_arrays(size) for _ in range(2)]
            identity_graph(path, self.arrays[0])
            self.call = Openvino.infer
            self.slots = [Openvino.request(Openvino.compiled(path), *self.arrays)]


class Tensorflow:
    """tf.function around BlockLSTMV2, its one operation for a whole LSTM: Keras's layers, made of many small ones,
    take several times as long. States are the tensors that the call before gave."""

    name, packages, precisions = "TensorFlow", ("tensorflow",), ("f32",)

    class Case(Bound):
        def __init__(self, folder, precision, size, weights, streams, length, tokens):
            import tensorflow as tf

            constants = {name: tf.constant(value) for name, value in weights.items()}
            both = [  # here, not in the function, which would do it at each call
                tf.concat([constants[f"lstm.{i}.kernel"], constants[f"lstm.{i}.recurrent_kernel"]], 0)
                for i in range(len(size.units))
            ]

            @tf.function(jit_compile=False)
            def call(ids, states):
                x, new = tf.gather(constants["embedding.name.weight"], ids), []
                for i, units in enumerate(size.units):
                    peephole = tf.zeros(units)
                    out = tf.raw_ops.BlockLSTMV2(
                        seq_len_max=tf.constant(length, tf.int64), x=x, cs_prev=states[2 * i + 1], h_prev=states[2 * i],
                        w=both[i], wci=peephole, wcf=peephole, wco=peephole, b=constants[f"lstm.{i}.bias"], cell_clip=0.0,
                    )  # fmt: skip
                    x = out.h
                    new += [out.h[-1], out.cs[-1]]
                rows = tf.reshape(x, (length * streams, size.units[-1]))
                logits = tf.matmul(rows, constants["dense.kernel"]) + constants["dense.bias"]
                return tf.nn.log_softmax(logits), new

            self.function, self.shape = call, (length, streams, size.vocabulary)
            self.tf, self.size, self.streams = tf, size, streams
            import numpy as np

            ids = np.resize(tokens, self.SLOTS * length * streams).astype(np.int64)
            self.slots = [tf.constant(part) for part in ids.reshape(self.SLOTS, length, streams)]
            self.forget()

        def forget(self):
            self.states = [self.tf.zeros((self.streams, units)) for units in self.size.units for _ in "hc"]

        def call(self, ids):
            self.logp, self.states = self.function(ids, self.states)

        def outputs(self, tokens):
            import numpy as np

            self.forget()
            found = []
            for ids in tokens:
                self.call(self.tf.constant(ids.astype(np.int64)))
                found.append(self.logp.numpy().reshape(self.shape))
            return np.concatenate(found)

    class Nothing(Bound):
        def __init__(self, folder, size):
            import tensorflow as tf

            ids, *self.states = map(tf.constant, nothing_arrays(size))
            self.function, self.slots = tf.function(lambda ids, states: (ids, states)), [ids]

        def call(self, ids):
            _, self.states = self.function(ids, self.states)


PEERS = (Onnxruntime, Openvino, Tensorflow)


def missing(packages):
    """Why they cannot be had; None if they can."""
    for package in packages:
        try:
            importlib.import_module(package)
        except Exception as error:  # whatever it is that a package's beginning fails with
            return f"{package}: {type(error).__name__}: {error}"
    return None


def one_thread():
    """For the runtimes that are told once for all."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["OMP_NUM_THREADS"] = "1"
    if not missing(["tensorflow"]):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


# --- predictor ---------------------------------------------------------------------------


class Entry(NamedTuple):
    """One thing that each round measures: `measure()` gives a figure in the unit of its kind."""

    kind: str  # time: µs a token; overhead: µs a call; multiply: multiply-adds/s; read: bytes/s
    about: dict
    measure: object


def calls_of(case):
    """So many that a sample takes its time."""
    calls = 1
    while (taken := case.run(calls) / 1e9) < SAMPLE / 4 and calls < 1e7:
        calls *= 4
    return max(1, round(calls * SAMPLE / max(taken, 1e-9)))


def timed(case, tokens):
    """A measure in µs a token, or µs a call where a call has one."""
    calls = calls_of(case)
    return lambda: case.run(calls) / 1000 / calls / tokens


def checked(case, expected, calls, size, tokens):
    """How far the furthest log-probability is from the reference."""
    import numpy as np

    found = case.outputs(calls, size) if isinstance(case, OursCase) else case.outputs(tokens)
    return float(np.abs(found.reshape(expected.shape) - expected).max())


def entries_of(bench, size, cases):
    """Prepare all that a round measures of one size of model, and check what it says."""
    import numpy as np

    weights, tokens = random_weights(size), random_tokens(size, 50_000)
    model, ids = bench.folder / f"model-{size.units[0]}", bench.folder / "tokens"
    write_model(model, size, weights)
    tokens.tofile(ids)
    isas = bench.isas if size == BAR else bench.isas[:1]
    ours = [Ours(bench, model, ids, precision, isa) for precision in BYTES for isa in isas]
    peers = [(peer, precision) for peer in bench.peers for precision in peer.precisions]
    for name in cases:
        streams, length = CASES[name]
        calls = 1 if length > 1 else 50
        told = np.resize(tokens, calls * length * streams).reshape(-1, streams)
        # `<start>`, 0, is shown to peers; our sessions have seen it.
        shown = np.concatenate([np.zeros((1, streams), np.uint32), told[:-1]])
        expected = reference(size, weights, shown)
        shown = shown.reshape(calls, length, streams)

        def entry(case, **about):
            difference = checked(case, expected, calls, size, shown)
            if difference > WRONG[about["precision"]]:
                raise RuntimeError(f"{size}, {name}, {about}: {difference} from the reference")
            about = {"size": str(size), "case": name, **about, "difference": difference}
            return Entry("time", about, timed(case, streams * length))

        for one in ours:
            yield entry(one.case(streams, length), name="libcosmos", precision=one.precision, isa=one.isa, every=False)
            if one.isa == isas[0]:
                case = one.case(streams, length, every=True)
                yield entry(case, name="libcosmos", precision=one.precision, isa=one.isa, every=True)
        for peer, precision in peers:
            case = peer.Case(bench.folder, precision, size, weights, streams, length, tokens)
            yield entry(case, name=peer.name, precision=precision)
    for peer in bench.peers:
        about = {"size": str(size), "name": peer.name}
        yield Entry("overhead", about, timed(peer.Nothing(bench.folder, size), 1))
    yield from limits_of(bench, size, [isa for isa in isas if isa in bench.limited])


def limits_of(bench, size, isas):
    def entry(kind, *words, unit=1, **about):
        return Entry(kind, {"size": str(size), **about}, lambda: float(bench.limits(*words)[0]) * unit)

    for isa in isas:
        for precision in BYTES:
            yield entry("multiply", precision, isa, SAMPLE * 1000, precision=precision, isa=isa)
            n = size.weights() * BYTES[precision]
            yield entry("read", "read", isa, n, precision=precision, isa=isa, bytes=n)
    if size == BAR and isas:
        for level, n in caches().items():
            yield entry("read", "read", isas[0], n // 2, isa=isas[0], level=level, bytes=n // 2)


def caches():
    """Bytes of this core's first and second level."""
    found = {}
    for folder in sorted(Path(f"/sys/devices/system/cpu/cpu{min(os.sched_getaffinity(0))}/cache").glob("index*")):
        level, kind, text = (folder.joinpath(name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction" and level in "12":
            found[f"L{level}"] = int(text.rstrip("K")) * 1024
    return found or {"L1": 32 << 10, "L2": 512 << 10}


def predictor(bench):
    bench.peers = []
    one_thread()
    for peer in PEERS:
        if why := missing(peer.packages):
            print(f"predictor: without {peer.name}: {why}", flush=True)
        else:
            bench.peers.append(peer)
    results = []
    for size in SIZES:
        entries = list(entries_of(bench, size, CASES))
        figures = measured(bench, f"predictor, {size}", entries, bench.args.rounds)
        results += [{"kind": e.kind, **e.about, "samples": f} for e, f in zip(entries, figures)]
        print(table(results, size), flush=True)
    return results


def measured(bench, what, entries, rounds):
    """The figures of each, one a round."""
    draw, figures = random.Random(SEED), [[] for _ in entries]
    for i in range(rounds):
        if sys.stderr.isatty():
            print(f"\r{what}: round {i + 1} of {rounds} ", end="", file=sys.stderr, flush=True)
        gc.collect()
        gc.disable()
        for k in draw.sample(range(len(entries)), len(entries)):
            figures[k].append(entries[k].measure())
        gc.enable()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return figures


# --- what the figures of `predictor` say --------------------------------------------------------


def find(results, kind, **about):
    return [r for r in results if r["kind"] == kind and all(r.get(key) == value for key, value in about.items())]


def samples_of(results, kind, **about):
    found = find(results, kind, **about)
    return found[0]["samples"] if found else None


def size_named(name):
    return next(size for size in SIZES if str(size) == name)


def best_ours(results, size, case, precision, every=False):
    """Our row of the fastest instruction set. Others are held against the one with `every`: they give all
    log-probabilities too."""
    return find(results, "time", size=size, case=case, name="libcosmos", precision=precision, every=every)[0]


def ratio(samples, to):
    return interval([a / b for a, b in zip(samples, to)])


def without_overhead(results, row):
    """The row's samples without what Python's call takes; the row's own where there is none."""
    overhead = samples_of(results, "overhead", size=row["size"], name=row["name"])
    if not overhead:
        return row["samples"]
    streams, length = CASES[row["case"]]
    return [max(a - b / streams / length, 0) for a, b in zip(row["samples"], overhead)]


def limit(results, row):
    """µs a token that the multiply-adds and the reads of weights take at least, None where that was not measured. A
    matrix is read once for all tokens that can be multiplied with it at a time: those of all streams, and where
    nothing waits for the step before, those of the whole sequence. Of its reads and its multiply-adds the longer
    counts, as both can be done at once."""
    about = {"size": row["size"], "precision": row["precision"], "isa": row["isa"]}
    multiply, read = samples_of(results, "multiply", **about), samples_of(results, "read", **about)
    if not multiply or not read or max(multiply) == 0:
        return None
    (streams, length), total = CASES[row["case"]], 0
    multiply, read = statistics.median(multiply), statistics.median(read)
    for n, waits in size_named(row["size"]).matrices():
        together = streams if waits else streams * length
        total += max(n / multiply, n * BYTES[row["precision"]] / together / read)
    return total * 1e6


def label(row):
    text = f"{row['name']} {row['precision']}"
    if row.get("isa"):
        text += f", {row['isa']}"
    return text + (", all log-probabilities" if row.get("every") else "")


def table(results, size):
    lines = [f"predictor, {size}: {size.weights():,} multiply-adds a token; µs a token, with 95% intervals",
             f"  {'':43}{'µs':>9}  {'':20}{'x ours':>8} {'without overhead':>17} {'of limit':>9} {'max difference':>15}"]  # fmt: skip
    for case in CASES:
        lines.append(f"  {case}")
        for row in find(results, "time", size=str(size), case=case):
            ours = best_ours(results, str(size), case, row["precision"], row["name"] != "libcosmos")["samples"]
            median, low, high = interval(row["samples"])
            text = f"    {label(row):41}{median:9.3f}  {f'[{low:.3f}, {high:.3f}]':20}"
            if row["name"] == "libcosmos":
                least = limit(results, row)
                of_limit = f"{100 * least / median:8.0f}%" if least else ""
                times = "" if ours is row["samples"] else f"{ratio(row['samples'], ours)[0]:.2f}"
                text += f"{times:>8} {'':17} {of_limit:>9}"
            else:
                less = ratio(without_overhead(results, row), ours)[0]
                text += f"{ratio(row['samples'], ours)[0]:8.2f} {less:17.2f} {'':9}"
            lines.append(f"{text} {row['difference']:15.2g}")
    for row in find(results, "overhead", size=str(size)):
        lines.append("  call overhead, {}: {:.2f} µs [{:.2f}, {:.2f}]".format(row["name"], *interval(row["samples"])))
    for row in find(results, "multiply", size=str(size)):
        if max(row["samples"]) > 0:
            text = "{:.1f} G multiply-adds/s [{:.1f}, {:.1f}]".format(*(x / 1e9 for x in interval(row["samples"])))
            lines.append(f"  limit, {row['precision']}, {row['isa']}: {text}")
    for row in find(results, "read", size=str(size)):
        text = "{:.1f} GB/s [{:.1f}, {:.1f}]".format(*(x / 1e9 for x in interval(row["samples"])))
        lines.append(f"  limit, reading {row['bytes']:,} bytes, {row['isa']}: {text}")
    return "\n".join(lines)


# --- cores, file --------------------------------------------------------------------------


def write_trace(path, calls, seed):
    """A trace of full lines in which 96 threads of four containers live on from the beginning to the end, and make
    the example's calls, each from another place on, a few at a time."""
    pattern = re.compile(
        r'.*?"pid":\d+,"ppid":\d+,"proc_start":\d+,(?P<program>.*?"exe":"[^"]*",)(?P<call>.*"syscall":"(?P<name>\w+)".*)'
    )
    matches = [m for m in map(pattern.match, example_lines()) if m and m["name"] not in ("exit", "exit_group")]
    ends = [m["program"] + m["call"] for m in matches]
    draw, begun = random.Random(seed), datetime(2026, 11, 24, tzinfo=timezone.utc)
    seconds = [(begun.replace(minute=k // 60, second=k % 60)).strftime("%Y-%m-%dT%H:%M:%S") for k in range(3600)]
    threads = []
    for k in range(96):
        container = f'"container_id":"{k % 4:064x}","container_name":"db{k % 4}","image":"mariadb:11",'
        pid, start = 1000 + k // 2 * 2, 100_000 + k // 2
        mine = f'{container}"pid":{pid},"tid":{1000 + k},"ppid":1,"proc_start":{start},"thread_start":{start + k % 2},'
        threads.append([mine, draw.randrange(len(ends))])
    with open(path, "w", buffering=1 << 20) as f:
        f.write('{"timestamp":"2026-11-24T00:00:00.000000000Z","type":"trace","format":1,"source":"bpf","version":"0.1.0","host":"bench"}\n')  # fmt: skip
        made = 0
        while made < calls:
            thread = draw.choice(threads)
            for _ in range(min(draw.randint(1, 6), calls - made)):
                second, ns = divmod(made * 1000, 10**9)
                f.write(f'{{"timestamp":"{seconds[second]}.{ns:09}Z","seq":{made},{thread[0]}{ends[thread[1]]}\n')
                thread[1] = (thread[1] + 1) % len(ends)
                made += 1
    return path


@contextlib.contextmanager
def traces(bench, n, calls):
    """In memory, and removed afterwards."""
    paths = [bench.folder / f"trace{i}.jsonl" for i in range(n)]
    try:
        yield [write_trace(path, calls, SEED + i) for i, path in enumerate(paths)]
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def bar_model(bench):
    path = bench.folder / "bar"
    write_model(path, BAR, random_weights(BAR))
    return path


def scored(bench, *arguments):
    """Seconds of cosmos-score."""
    begun = time.perf_counter()
    with open(os.devnull, "w") as null:
        result = subprocess.run(
            [str(w) for w in (bench.score, *arguments)], stdout=null, stderr=subprocess.PIPE, text=True
        )
    taken = time.perf_counter() - begun
    if result.returncode:
        raise RuntimeError(f"cosmos-score {arguments} ended with {result.returncode}: {result.stderr}")
    return taken


def file(bench):
    model, calls = bar_model(bench), bench.args.calls
    with traces(bench, 1, calls) as [trace]:

        def score(precision):
            return lambda: calls / scored(bench, "--precision", precision, model, trace)

        def stage(what, precision):
            def measure():
                n, seconds = map(float, run(bench.folder / "predictor_stages", what, trace, model, precision).split())
                if n != calls:
                    raise RuntimeError(f"{what}: {n:,.0f} calls of {calls:,}")
                return n / seconds

            return measure

        whole = [Entry("cosmos-score", {"precision": p}, score(p)) for p in BYTES]
        stages = [
            Entry("reader", {}, stage("reader", "f32")),
            Entry("reader to sequencer", {}, stage("sequencer", "f32")),
        ]
        stages += [Entry("predictor", {"precision": p}, stage("step", p)) for p in BYTES]
        entries = [*whole, *stages]
        figures, size = measured(bench, "file", entries, bench.few), trace.stat().st_size
    results = [
        {"kind": e.kind, **e.about, "calls": calls, "bytes": size, "samples": f} for e, f in zip(entries, figures)
    ]
    print(
        f"file: {calls:,} calls of 96 threads, {size / calls:.0f} bytes a line\n" + "\n".join(file_lines(results)),
        flush=True,
    )
    return results


def file_lines(results):
    for row in results:
        rate, low, high = interval(row["samples"])
        yield (f"  {row['kind']} {row.get('precision', '')}".rstrip() + f": {rate:,.0f} events/s [{low:,.0f}, {high:,.0f}], "
               f"{1e6 / rate:.2f} µs each, {100 * rate / 1e6:.0f}% of a million a second")  # fmt: skip


def cores(bench):
    if len(bench.cores) < 2:
        print("cores: there is but one", flush=True)
        return []
    pair = sorted(bench.cores)[-2:]
    model, isa = bar_model(bench), bench.limited[0]
    alone = [bench.ask("limits") for _ in pair]
    for program, core in zip(alone, pair):
        os.sched_setaffinity(program.process.pid, {core})

    def peak(programs):
        def measure():
            for program in programs:
                program.ask("f32", isa, 500)
            return sum(float(program.answer()[0]) for program in programs)

        return measure

    with traces(bench, 4, bench.args.calls // 4) as paths:

        def score(jobs, precision):
            def measure():
                os.sched_setaffinity(0, pair)
                try:
                    return bench.args.calls / scored(bench, "--precision", precision, "--jobs", jobs, model, *paths)
                finally:
                    os.sched_setaffinity(0, {bench.core})

            return measure

        entries = [Entry("multiply", {"threads": n}, peak(alone[:n])) for n in (1, 2)]
        entries += [Entry("cosmos-score", {"threads": n, "precision": p}, score(n, p)) for p in BYTES for n in (1, 2)]
        figures = measured(bench, "cores", entries, bench.few)
    results = [{"kind": e.kind, **e.about, "samples": f} for e, f in zip(entries, figures)]
    print("cores: with two threads instead of one\n" + "\n".join(core_lines(results)), flush=True)
    return results


def core_lines(results):
    if not results:
        return
    gain = lambda **about: [b / a for a, b in zip(*(samples_of(results, **about, threads=n) for n in (1, 2)))]
    most = gain(kind="multiply")
    yield "  multiply-adds in registers: {:.2f}x [{:.2f}, {:.2f}]".format(*interval(most))
    for precision in BYTES:
        ours = gain(kind="cosmos-score", precision=precision)
        share = interval([100 * a / b for a, b in zip(ours, most)])
        yield ("  cosmos-score {} over 4 files: {:.2f}x [{:.2f}, {:.2f}]".format(precision, *interval(ours))
               + ", {:.0f}% [{:.0f}, {:.0f}] of that".format(*share))  # fmt: skip


# --- memory -------------------------------------------------------------------------------


def memory(bench):
    """Bytes; nothing here varies, so once."""
    model, ids, results, n = bar_model(bench), bench.folder / "tokens", [], 10_000
    random_tokens(BAR, 1000).tofile(ids)
    for precision in BYTES:
        ours = Ours(bench, model, ids, precision, bench.isas[0])
        said = run(bench.folder / "predictor_stages", "open", n, model, precision)
        empty, half, whole = map(int, said.split())
        results.append({
            "precision": precision, "file": model.stat().st_size, "model": ours.memory,
            "session": float(ours.program("session", n)[0]), "state": 2 * 4 * sum(BAR.units),
            "detector": empty, "sequences": n, "open": whole, "sequence": (whole - half) / (n - n // 2),
        })  # fmt: skip
    print("memory, bytes\n" + "\n".join(memory_lines(results)), flush=True)
    return results


def memory_lines(results):
    for row in results:
        yield (f"  {row['precision']}: model {row['model']:,}, {row['model'] / row['file']:.2f} of its file; session "
               f"{row['session']:,.0f}, {row['session'] - row['state']:,.0f} beyond its state of {row['state']:,}; detector with "
               f"{row['sequences']:,} open sequences {row['open']:,}, {row['sequence']:,.0f} each")  # fmt: skip


# --- the page: a table and a plot, of what a run has written ------------------------------------------


def page(results):
    """Markdown."""
    found = results["predictor"]
    lines = [f"{results['machine']['cpu']}, one core; {results['machine']['rounds']} rounds, of `file` and `cores` a fifth. "
             + ", ".join(f"{name} {version}" for name, version in results["machine"]["packages"].items()) + ".",
             "", f"**{BAR}** (embedding/units/vocabulary): {BAR.weights():,} multiply-adds a token. µs a token, with 95% "
             "intervals; of ours how much of the limit that is, of others how many times as long as ours with all "
             "log-probabilities, in the same precision (in brackets with the call from Python subtracted).", ""]  # fmt: skip
    lines += ["| | " + " | ".join(CASES) + " | max difference |", "|---|" + "---|" * (len(CASES) + 1)]
    for first in find(found, "time", size=str(BAR), case=next(iter(CASES))):
        about = {key: first.get(key) for key in ("name", "precision", "isa", "every")}
        rows = [find(found, "time", size=str(BAR), case=case, **about)[0] for case in CASES]
        worst = max(row["difference"] for row in rows)
        lines.append(f"| {label(first)} | " + " | ".join(cell(found, row) for row in rows) + f" | {worst:.1g} |")
    if any(limits := [least(found, BAR, case, precision) for precision in BYTES for case in CASES]):
        for i, precision in enumerate(BYTES):
            part = limits[i * len(CASES) : (i + 1) * len(CASES)]
            lines.append(f"| *limit, {precision}* | " + " | ".join(f"*{x:.2f}*" if x else "" for x in part) + " | |")
    lines += [
        "",
        "Other sizes, µs a token:",
        "",
        "| | | " + " | ".join(CASES) + " |",
        "|---|---|" + "---|" * len(CASES),
    ]
    for size in SIZES:
        if size != BAR:
            for first in find(found, "time", size=str(size), case=next(iter(CASES))):
                about = {key: first.get(key) for key in ("name", "precision", "isa", "every")}
                rows = [find(found, "time", size=str(size), case=case, **about)[0] for case in CASES]
                lines.append(
                    f"| {size} | {label(first)} | "
                    + " | ".join(f"{interval(r['samples'])[0]:.2f}" for r in rows)
                    + " |"
                )
    lines += ["", "Calls from Python that do nothing: " + ", ".join(
        f"{r['name']} {interval(r['samples'])[0]:.1f} µs" for r in find(found, "overhead", size=str(BAR))) + "."]  # fmt: skip
    lines += ["", "What the core reaches: " + "; ".join(roofs_in_words(found)) + "."]
    for part, said in (("file", file_lines), ("cores", core_lines), ("memory", memory_lines)):
        if results.get(part):
            lines += ["", f"`{part}`:", "", *(f"- {line.strip()}" for line in said(results[part]))]
    return "\n".join(lines)


def cell(results, row):
    median, low, high = interval(row["samples"])
    text = f"{median:.2f} [{low:.2f}, {high:.2f}]"
    if row["name"] == "libcosmos":
        lowest = limit(results, row)
        return text + (f", {100 * lowest / median:.0f}%" if lowest else "")
    ours = best_ours(results, row["size"], row["case"], row["precision"], every=True)["samples"]
    return f"{text}, {ratio(row['samples'], ours)[0]:.1f}x ({ratio(without_overhead(results, row), ours)[0]:.1f}x)"


def least(results, size, case, precision):
    return limit(results, best_ours(results, str(size), case, precision))


def roofs_in_words(results):
    for row in find(results, "multiply", size=str(BAR)):
        if max(row["samples"]) > 0:
            yield f"{row['precision']} {row['isa']} {interval(row['samples'])[0] / 1e9:.0f} G multiply-adds/s"
    for row in find(results, "read", size=str(BAR)):
        if row.get("level"):
            yield f"reads from {row['level']} {interval(row['samples'])[0] / 1e9:.0f} GB/s"


MARKS = "<!-- figures: tests/bench/predictor.py --markdown -->\n", "<!-- end of figures -->\n"


def write_page(path, results):
    """Between its two marks."""
    head, rest = path.read_text().split(MARKS[0])
    path.write_text(head + MARKS[0] + "\n" + page(results) + "\n\n" + MARKS[1] + rest.split(MARKS[1])[1])


def write_plot(path, results):
    """Roofs and points: multiply-adds a second over multiply-adds for each byte of weights that is read."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "cosmos", "font.size": 9})
    import matplotlib.pyplot as plt

    found = find(results["predictor"], "time", size=str(BAR))
    figure, axes = plt.subplots(figsize=(9, 5.5))
    xs = [0.1, 3000]
    median = lambda row: statistics.median(row["samples"]) / 1e9
    reads = {row["level"]: median(row) for row in find(results["predictor"], "read", size=str(BAR)) if row.get("level")}
    fastest = best_ours(results["predictor"], str(BAR), next(iter(CASES)), "f32")["isa"]
    peaks = {
        row["precision"]: median(row) for row in find(results["predictor"], "multiply", size=str(BAR), isa=fastest)
    }
    colours = {"f32": "tab:blue", "int8": "tab:orange"}
    top = max(peaks.values(), default=1)
    for (level, rate), style in zip(reads.items(), ("--", "-")):
        axes.plot(
            [xs[0], top / rate],
            [xs[0] * rate, top],
            style,
            color="grey",
            linewidth=1,
            label=f"reads, {level}: {rate:.0f} GB/s",
        )
    for precision, peak in peaks.items():
        axes.plot([peak / max(reads.values()), xs[1]], [peak, peak], color=colours[precision], linewidth=1,
                  label=f"multiply-adds, {precision}, {fastest}: {peak:.0f} G/s")  # fmt: skip
    marks = {"libcosmos": "o", "onnxruntime": "s", "OpenVINO": "^", "TensorFlow": "v"}
    isas = [row["isa"] for row in found if row.get("isa")]
    for row in found:
        if row.get("every") or row.get("isa") == "portable":
            continue
        other = row.get("isa") and row["isa"] != isas[0]
        name = label(row)
        axes.plot(intensity(row), BAR.weights() / statistics.median(row["samples"]) / 1000, marks[row["name"]], linestyle="none",
                  color=colours[row["precision"]], fillstyle="none" if other else "full", markersize=8 if not other else 5 + 2 * (row["isa"] == "avx2"),
                  alpha=1 if row["name"] == "libcosmos" else 0.6, label=name if row["case"] == next(iter(CASES)) else None)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=xs, xlabel="multiply-adds for each byte of weights that must be read",
             ylabel="G multiply-adds/s", title=f"{BAR}: 1 stream, 1 sequence, 16 sequences, 64 streams (left to right, per precision)")  # fmt: skip
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def intensity(row):
    """Of the case: the same for all, with the weights of this precision."""
    (streams, length), read = CASES[row["case"]], 0
    for n, waits in BAR.matrices():
        read += n * BYTES[row["precision"]] / (streams if waits else streams * length)
    return BAR.weights() / read


# --- the whole ----------------------------------------------------------------------------


def own_packages(wanted):
    """If some are missing, begin again in a virtual environment that has them."""
    absent = [name for name in wanted if importlib.util.find_spec(name) is None]
    folder, requirements = TREE / "build" / "predictor-venv", HERE / "requirements.txt"
    if not absent:
        return
    if Path(sys.prefix) == folder:
        print(f"still missing: {', '.join(absent)}", flush=True)
        return
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"installing {requirements} into {folder}", flush=True)
        try:
            run(sys.executable, "-m", "venv", "--clear", folder)
            run(folder / "bin/pip", "install", "--disable-pip-version-check", "-r", requirements)
            stamp.write_text(requirements.read_text())
        except RuntimeError as error:
            print(f"{error}\nTo be installed by hand: pip install -r {requirements}", flush=True)
            return
    os.execv(folder / "bin/python", [str(folder / "bin/python"), *sys.argv])


def busy_ticks():
    """Of all cores, since the machine was started; what a host took away counts."""
    fields = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
    return sum(fields) - fields[3] - fields[4]


def others():
    """Cores that are busy without us."""
    before = busy_ticks()
    time.sleep(2)
    return (busy_ticks() - before) / CLOCK_TICKS / 2


def machine(args):
    cpu = re.search(r"model name\s+: (.*)", Path("/proc/cpuinfo").read_text())
    packages = {}
    for name in ("onnxruntime", "openvino", "tensorflow-cpu", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return {"cpu": cpu[1] if cpu else platform.machine(), "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "python": platform.python_version(), "packages": packages, "rounds": args.rounds}  # fmt: skip


def measure(args, parts):
    os.environ.update(OMP_NUM_THREADS="1")
    results = {"machine": machine(args)}
    print(", ".join(f"{k} {v}" for k, v in results["machine"].items()), flush=True)
    begun, busy = time.monotonic(), busy_ticks()
    bench = Bench(args)
    bench.few = max(1, args.rounds // 5)
    bench.cores = os.sched_getaffinity(0)
    # The last, as interrupts as a rule go to the first. Before any runtime makes a thread, so that all have it.
    bench.core = max(bench.cores)
    os.sched_setaffinity(0, {bench.core})
    try:
        for name in args.part or parts:
            results[name] = parts[name](bench)
            if args.json:  # what there is, also if the next part fails
                args.json.write_text(json.dumps(results, indent=1))
    finally:
        bench.close()
    mine, seconds = os.times(), time.monotonic() - begun
    mine = mine.user + mine.system + mine.children_user + mine.children_system
    results["machine"]["others"] = max((busy_ticks() - busy) / CLOCK_TICKS - mine, 0) / seconds
    print(f"others took {100 * results['machine']['others']:.0f}% of a core in these {seconds:.0f} s", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return results


def main():
    parts = {"predictor": predictor, "file": file, "cores": cores, "memory": memory}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", nargs="*", choices=[[], *parts], help="default: all")
    p.add_argument("--build", type=Path, default=TREE / "build/tests/gcc")
    p.add_argument("--rounds", type=int, default=30, help="of `predictor`; of `file` and `cores` a fifth as many")
    p.add_argument("--calls", type=int, default=2_000_000, help="of the traces of `file` and `cores`")
    p.add_argument("--busy", action="store_true", help="also on a busy machine: to try it, not for figures")
    p.add_argument("--json", type=Path, help="all samples go there")
    p.add_argument(
        "--from", dest="earlier", type=Path, metavar="FILE", help="measure nothing: take what --json has written"
    )
    p.add_argument("--markdown", type=Path, help="a page with a place for the figures: put them there")
    p.add_argument("--plot", type=Path, help="an SVG of `predictor`: its figures under the machine's roofs")
    args = p.parse_args()
    args.build = args.build.resolve()
    asked = args.part or list(parts)
    own_packages(
        ["numpy"]
        + (["matplotlib"] if args.plot else [])
        + (list(PACKAGES) if "predictor" in asked and not args.earlier else [])
    )
    if args.markdown and not all(mark in args.markdown.read_text() for mark in MARKS):
        p.error(f"{args.markdown} has no place for the figures: {' and '.join(map(str.strip, MARKS))}")
    if args.earlier:
        results = json.loads(args.earlier.read_text())
    if (args.markdown or args.plot) and "predictor" not in (results if args.earlier else asked):
        p.error("a page and a plot need the part `predictor`")
    if not args.earlier:
        if (n := others()) > BUSY and not args.busy:
            p.error(f"{n:.1f} cores of this machine are busy; figures would be wrong (--busy to try it all the same)")
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            signal.signal(number, lambda *_, status=status: sys.exit(status))
        results = measure(args, parts)
    if (args.markdown or args.plot) and results["machine"]["others"] > BUSY:
        print(f"others took {results['machine']['others']:.1f} of a core: no figures for a page", file=sys.stderr)
        return 1
    if args.markdown:
        write_page(args.markdown, results)
    if args.plot:
        write_plot(args.plot, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
