#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What int8 weights cost: in scores, in verdicts, and in AUC where attacks are known.

    python models/precision.py model.bin trace.jsonl
    python models/precision.py build/adfa-ld.bin --adfa-ld ADFA-LD.zip --markdown docs/precision.md

The first compares the scores of one's own model and traces. The second trains the
model first, unless it is there, and repeats what docs/precision.md reports; that
says how, and why so. The scores are those of the C library.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np

    import cosmos

    import adfa_ld
    import calibrate
    import export
    from data import BadInput
except ImportError as e:
    print(f"precision.py: {e}", file=sys.stderr)
    sys.exit(2)

PRECISIONS = ("f32", "int8")
SAMPLE = (100, 1000)  # sequences, and calls of each, whose log-probabilities of all names are compared
RESAMPLES = 2000
# θ at 5% of normal windows, without a margin: where scores lie close, so that verdicts can change.
TRAINING = ["--fields", "name", "--seed", "1", "--quantile", "0.95", "--margin", "0"]
# What ADFA-LD must stay within, else the status is 1.
MOST_AUC = 0.002
MOST_ROUNDING = 2e-5  # nats
MARKS = ("<!-- precision.py: begin -->\n", "<!-- precision.py: end -->\n")


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- log-probabilities ----


def reference(weights, n_layers: int, fields, tokens: np.ndarray) -> np.ndarray:
    """float64 [n, vocabulary]: as docs/formats-model.md defines it, of the float32 weights."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    before = np.concatenate([np.zeros((1, tokens.shape[1]), tokens.dtype), tokens[:-1]])
    x = sum(w[f"embedding.{field}.weight"][before[:, i]] for i, field in enumerate(fields))
    for layer in range(n_layers):
        inputs = x @ w[f"lstm.{layer}.kernel"] + w[f"lstm.{layer}.bias"]
        recurrent = w[f"lstm.{layer}.recurrent_kernel"]
        h = c = np.zeros(len(recurrent))
        x = np.empty((len(tokens), len(h)))
        for t, z in enumerate(inputs):
            i, f, g, o = np.split(z + h @ recurrent, 4)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = x[t] = _sigmoid(o) * np.tanh(c)
    logits = x @ w["dense.kernel"] + w["dense.bias"]
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def _sigmoid(x):
    return (1 + np.tanh(x / 2)) / 2  # no overflow


def difference(pairs):
    """Of pairs of arrays: the second less the first."""
    n = total = absolute = largest = 0
    for first, second in pairs:
        d = second.astype(np.float64) - first
        n, total, absolute = n + d.size, total + d.sum(), absolute + np.abs(d).sum()
        largest = max(largest, np.abs(d).max(initial=0))
    return {"n": n, "mean": total / n, "mean_absolute": absolute / n, "largest": float(largest)}


def of_names(models, weights, sequences):
    """Differences of the log-probabilities of every name, on a sample."""
    n = min(SAMPLE[0], len(sequences))
    picks = [sequences[i * len(sequences) // n][: SAMPLE[1]] for i in range(n)]
    info = models["f32"].info
    found = {precision: [model.log_probs(tokens) for tokens in picks] for precision, model in models.items()}
    exact = [reference(weights, len(info["units"]), info["fields"], tokens) for tokens in picks]
    return {
        "sequences": n,
        "calls": sum(map(len, picks)),
        "float64_to_f32": difference(zip(exact, found["f32"])),
        "f32_to_int8": difference(zip(found["f32"], found["int8"])),
    }


# ---- scores and verdicts ----


def of_scores(info, nll):
    """Differences of what the detector says: the scores of windows, and their verdicts."""
    rule = {key: info[key] for key in ("window", "hop", "prior_count", "prior_mean")}
    scores = {p: np.concatenate([calibrate.window_scores(x, **rule)[0] for x in nll[p]]) for p in PRECISIONS}
    found = {"windows": len(scores["f32"]), "scores": difference([(scores["f32"], scores["int8"])])}
    theta = info["threshold"]
    if theta is not None:
        above = {p: scores[p] > theta for p in PRECISIONS}
        found["threshold"] = theta
        found["anomalous"] = {p: int(above[p].sum()) for p in PRECISIONS}
        found["changed_verdicts"] = int((above["f32"] != above["int8"]).sum())
    return found


def compare(path: str, sequences):
    """Everything that needs no labels; and the NLLs of each sequence in both precisions."""
    with open(path, "rb") as f:
        contents = f.read()
    models = {p: cosmos.Model.from_bytes(contents, path, precision=p) for p in PRECISIONS}
    weights, metadata = export.parse(contents)
    if metadata.get("cosmos.precision", "f32") != "f32":
        raise BadInput(f"{path} holds int8 weights: give the file that it was made of, to compare with")
    info = models["f32"].info
    nll = {}
    for p, model in models.items():
        begun = time.monotonic()
        nll[p] = [model.nll(tokens) for tokens in sequences]
        progress(f"scored {sum(map(len, sequences))} calls in {p}, {time.monotonic() - begun:.0f} s")
    return {
        "model": {
            "units": info["units"],
            "vocabulary": len(models["f32"].vocab),
            "memory": {p: models[p].info["memory"] for p in PRECISIONS},
        },
        "isa": info["isa"],
        "log_probabilities": of_names(models, weights, sequences),
        "nll": difference(zip(nll["f32"], nll["int8"])),
        "detector": of_scores(info, nll),
    }, nll


# ---- AUC ----


class Auc:
    """Area under the ROC curve of weighted traces; equal scores count half."""

    def __init__(self, normal: np.ndarray, attack: np.ndarray):
        values, ranks = np.unique(np.concatenate([normal, attack]), return_inverse=True)
        self._n, (self._normal, self._attack) = len(values), np.split(ranks, [len(normal)])

    def __call__(self, normal_weights, attack_weights) -> float:
        normal = np.bincount(self._normal, normal_weights, self._n)
        attack = np.bincount(self._attack, attack_weights, self._n)
        return float(attack @ (np.cumsum(normal) - normal / 2) / (normal.sum() * attack.sum()))


def of_auc(scores, normal, attack, rng):
    """Of both precisions, and their difference with its interval. `scores`: for each precision those of normal
    traces and of attacks, all distinct; `normal`, `attack`: how often each of them counts."""
    auc = {p: Auc(*scores[p]) for p in PRECISIONS}
    differences = []
    for _ in range(RESAMPLES):
        # A distinct trace is drawn with all its copies: they are no news of each other.
        drawn = [weights * rng.multinomial(len(weights), np.full(len(weights), 1 / len(weights)))
                 for weights in (normal, attack)]
        differences.append(auc["int8"](*drawn) - auc["f32"](*drawn))
    found = {p: auc[p](normal, attack) for p in PRECISIONS}
    low, high = np.quantile(differences, [0.025, 0.975])
    return {
        "normal": int(normal.sum()),
        "attacks": int(attack.sum()),
        **found,
        "difference": found["int8"] - found["f32"],
        "interval": [float(low), float(high)],
    }


# ---- ADFA-LD ----


def train(path: str, training) -> None:
    """The model, of the training traces alone; one that is there must be of them too."""
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "adfa-ld.jsonl")
        adfa_ld.write(trace, training)
        if not os.path.exists(path):
            begun = time.monotonic()
            script = pathlib.Path(__file__).with_name("train.py")
            run = subprocess.run([sys.executable, str(script), trace, "-o", path, *TRAINING], stdout=sys.stderr)
            if run.returncode:
                raise BadInput("training failed")
            progress(f"trained in {time.monotonic() - begun:.0f} s")
        elif not adfa_ld.trained_on(cosmos.Model(path), trace):
            raise BadInput(f"{path} was trained on something else: remove it, or name another file")


def adfa(path: str, archive: str):
    parts = adfa_ld.read(archive)
    train(path, parts["training"])
    vocab = cosmos.Model(path).vocab
    # Each distinct trace of a part is scored once, and counted as often as it is there.
    sequences, owners, counts = [], [], []
    for part in ("validation", "attack"):
        distinct, copies = adfa_ld.distinct(parts[part])
        counts.append(copies)
        first = owners[-1] + 1 if owners else 0
        for i, trace in enumerate(distinct):
            cut = adfa_ld.tokens(trace, vocab)
            sequences += cut
            owners += [first + i] * len(cut)
    found, nll = compare(path, sequences)
    lengths, scores = np.bincount(owners, list(map(len, sequences))), {}
    for p in PRECISIONS:
        means = np.bincount(owners, [x.sum(dtype=np.float64) for x in nll[p]]) / lengths
        scores[p] = np.split(means, [len(counts[0])])
    rng = np.random.default_rng(1)
    found["auc"] = {
        "all": of_auc(scores, *counts, rng),
        "distinct": of_auc(scores, *(np.ones_like(c) for c in counts), rng),
    }
    return found


# ---- the report ----


def table(found) -> str:
    """Markdown, which can be read as it is."""
    lines = []
    if "auc" in found:
        lines += ["| AUC | f32 | int8 | difference | its 95% interval |", "|---|---|---|---|---|"]
        for key, what in (("all", "all traces"), ("distinct", "one of each distinct trace")):
            a = found["auc"][key]
            lines.append(
                f"| {what}: {a['normal']:,} normal, {a['attacks']:,} attacks | {a['f32']:.4f} | {a['int8']:.4f} "
                f"| {a['difference']:+.5f} | {a['interval'][0]:+.5f} to {a['interval'][1]:+.5f} |"
            )
        lines.append("")
    names, detector = found["log_probabilities"], found["detector"]
    lines += ["| in nats | mean | mean of absolute values | largest |", "|---|---|---|---|"]
    sample = f"log-probabilities of every name at {names['calls']:,} calls"
    for what, d in (
        (f"f32 − float64: {sample}", names["float64_to_f32"]),
        (f"int8 − f32: {sample}", names["f32_to_int8"]),
        (f"int8 − f32: NLLs of {found['nll']['n']:,} calls", found["nll"]),
        (f"int8 − f32: scores of {detector['windows']:,} windows", detector["scores"]),
    ):
        lines.append(f"| {what} | {d['mean']:+.1e} | {d['mean_absolute']:.1e} | {d['largest']:.1e} |")
    memory = {p: f"{found['model']['memory'][p] / 1024:,.0f} KiB" for p in PRECISIONS}
    lines += ["", "| | f32 | int8 |", "|---|---|---|"]
    if "threshold" in detector:
        above = {p: f"{detector['anomalous'][p]:,}" for p in PRECISIONS}
        lines.append(f"| windows above θ = {detector['threshold']:.4f} | {above['f32']} | {above['int8']} |")
        share = detector["changed_verdicts"] / detector["windows"]
        lines.append(f"| verdicts that int8 changes | | {detector['changed_verdicts']:,} ({share:.2%}) |")
    lines.append(f"| weights and tables in memory | {memory['f32']} | {memory['int8']} |")
    units = " + ".join(map(str, found["model"]["units"]))
    lines += ["", f"LSTM {units}, {found['model']['vocabulary']} names; kernels for {found['isa']} ({platform.machine()})."]
    return "\n".join(lines) + "\n"


def put(path: str, text: str) -> None:
    """Replace what stands between the marks."""
    with open(path, encoding="utf-8") as f:
        before, mark, rest = f.read().partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not mark or not end:
        raise BadInput(f"{path} has no place for the table, two lines {' and '.join(m.strip() for m in MARKS)}")
    export.write(path, (before + mark + text + end + after).encode())


def missed(found):
    """What ADFA-LD shows beyond what it may."""
    for key, auc in found["auc"].items():
        if abs(auc["difference"]) > MOST_AUC:
            yield f"the AUC of {key} traces differs by {auc['difference']:+.5f}, more than {MOST_AUC}"
    rounding = found["log_probabilities"]["float64_to_f32"]["largest"]
    if rounding > MOST_ROUNDING:
        yield f"log-probabilities in f32 are {rounding:.1e} from those in float64, more than {MOST_ROUNDING}"


def run(args) -> int:
    if args.adfa_ld:
        found = adfa(args.model, args.adfa_ld)
    else:
        model = cosmos.Model(args.model)
        corpora = [cosmos.read_corpus(path, model.info["unit"], model.vocab) for path in args.traces]
        found, _ = compare(args.model, [tokens for corpus in corpora for tokens in corpus.sequences()])
    text = table(found)
    print(text, end="")
    if args.markdown:
        put(args.markdown, text)
    if args.json:
        export.write(args.json, json.dumps(found, indent=1).encode() + b"\n")
    failures = list(missed(found)) if args.adfa_ld else []
    for failure in failures:
        progress(f"precision.py: {failure}")
    return 1 if failures else 0


def main() -> int:
    p = argparse.ArgumentParser(description="What int8 weights cost in scores, in verdicts, and in AUC on ADFA-LD.")
    p.add_argument("model", metavar="MODEL", help="a model file of float32 weights")
    p.add_argument("traces", nargs="*", metavar="TRACE", help="trace.jsonl or audit.log")
    p.add_argument("--adfa-ld", metavar="ZIP", help="score ADFA-LD.zip, and train MODEL on it if it is not there")
    p.add_argument("--markdown", metavar="FILE", help="write the tables into a document too, between its marks")
    p.add_argument("--json", metavar="FILE", help="write all figures to a file")
    args = p.parse_args()
    if bool(args.traces) == bool(args.adfa_ld):
        p.error("give either traces or --adfa-ld")
    try:
        return run(args)
    except (BadInput, cosmos.CosmosError) as e:
        print(f"precision.py: {e}", file=sys.stderr)
    except OSError as e:
        named = f": {e.filename}" if e.filename else ""
        print(f"precision.py: {e.strerror or e}{named}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
