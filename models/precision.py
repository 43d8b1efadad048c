#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a precision costs: in log-probabilities, scores and verdicts, and in AUC where attacks are known.

    python models/precision.py model.bin trace.jsonl
    python models/precision.py build/adfa-ld.bin --adfa-ld ADFA-LD.zip --markdown docs/precision.md

The first compares the precisions by one's own model and traces. The second trains
the model first, unless it is there, and repeats what docs/precision.md reports;
that says how, and why so. Status 0: all is as it should be; 1: on ADFA-LD a precision
costs more than it may; 2: an error.
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

try:
    import numpy as np

    import cosmos

    import adfa_ld
    import calibrate
    import export
    import script
    from data import CUTS, BadInput
except ImportError as e:
    print(f"precision.py: {e}", file=sys.stderr)
    sys.exit(2)

PRECISIONS = ("f32", "int8")
# Each way that log-probabilities are computed here. All are held against the first, which is next to exact; the
# second says what float32 costs by itself.
WAYS = {
    "double": "NumPy in double precision",
    "float": "NumPy in single precision",
    "f32": "the library, f32",
    "int8": "the library, int8",
}
EXACT = "double"
DTYPES = {"double": np.float64, "float": np.float32}  # of the two in NumPy
QUANTILE = 0.999
BLOCK = 1 << 15  # calls whose log-probabilities are in memory at a time
PIECE = 20_000  # calls behind which a longer sequence is begun anew, for the same reason
RESAMPLES = 2000
# θ at 5% of normal windows, without a margin: where scores lie close, so that verdicts can change.
TRAINING = {"fields": "name", "seed": "1", "quantile": "0.95", "margin": "0"}
# What ADFA-LD must stay within, else the status is 1.
MOST_AUC = 0.002
MOST_ROUNDING = 2e-5  # nats
MARKS = ("<!-- precision.py: begin -->\n", "<!-- precision.py: end -->\n")


# ---- log-probabilities ----


def log_probs(weights, n_layers: int, fields, sequences):
    """[calls, vocabulary] of each sequence, the longest of which is the first: as docs/formats-model.md defines
    it, computed in the type of the weights."""
    w, dtype = weights, weights["dense.bias"].dtype
    lengths = list(map(len, sequences))
    columns = [cosmos.TOKEN_FIELDS.index(field) for field in fields]
    before = np.zeros((lengths[0], len(sequences), len(fields)), np.intp)
    for i, tokens in enumerate(sequences):
        before[1 : lengths[i], i] = tokens[:-1, columns]
    # The first call of each sequence, then the second ones, and so on: rows of one array without gaps.
    going = [sum(length > t for length in lengths) for t in range(lengths[0])]
    starts = np.cumsum([0, *going])
    units = [len(w[f"lstm.{layer}.recurrent_kernel"]) for layer in range(n_layers)]
    state = [np.zeros((2, len(sequences), width), dtype) for width in units]
    top = np.empty((starts[-1], units[-1]), dtype)
    for n, start, names in zip(going, starts, before):
        x = sum(w[f"embedding.{field}.weight"][names[:n, i]] for i, field in enumerate(fields))
        for layer in range(n_layers):
            h, c = state[layer][:, :n]
            z = x @ w[f"lstm.{layer}.kernel"] + h @ w[f"lstm.{layer}.recurrent_kernel"] + w[f"lstm.{layer}.bias"]
            i, f, g, o = np.split(z, 4, axis=1)
            c[:] = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h[:] = _sigmoid(o) * np.tanh(c)
            x = h
        top[start : start + n] = x
    logits = top @ w["dense.kernel"] + w["dense.bias"]
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return [logits[starts[:length] + i] for i, length in enumerate(lengths)]


def _sigmoid(x):
    return (1 + np.tanh(x / 2)) / 2  # no overflow


class Difference:
    """Of the log-probabilities of all names at many calls from those that are next to exact."""

    def __init__(self):
        self.n, self.largest, self.beyond, self._squares = 0, 0.0, 0, 0.0

    def add(self, values: np.ndarray) -> None:
        """`values`: [calls, vocabulary]"""
        largest = np.abs(values).max(axis=1, initial=0)
        self.n += values.size
        self.largest = max(self.largest, float(largest.max(initial=0)))
        self.beyond += int((largest > MOST_ROUNDING).sum())
        self._squares += float(np.square(values).sum())

    def found(self):
        return {"n": self.n, "rms": (self._squares / self.n) ** 0.5, "largest": self.largest, "beyond": self.beyond}


def difference(values: np.ndarray):
    size = np.abs(values)
    return {
        "rms": float(np.sqrt(np.square(size).mean())),
        "quantile": float(np.quantile(size, QUANTILE)),
        "largest": float(size.max()),
        "mean": float(values.mean()),
    }


def pieces(sequences):
    return [tokens[at : at + PIECE] for tokens in sequences for at in range(0, len(tokens), PIECE)]


def blocks(sequences):
    """Their indices, those of long ones first: BLOCK calls or one sequence at a time."""
    block, calls = [], 0
    for i in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
        if block and calls + len(sequences[i]) > BLOCK:
            yield block
            block, calls = [], 0
        block.append(i)
        calls += len(sequences[i])
    if block:
        yield block


def measure(models, weights, sequences):
    """NLLs of each sequence in each way, and the differences of the log-probabilities of every name at every call."""
    info = models["f32"].info
    network = len(info["units"]), info["fields"]
    typed = {way: {k: v.astype(dtype) for k, v in weights.items()} for way, dtype in DTYPES.items()}
    nll = {way: [np.empty(0)] * len(sequences) for way in WAYS}
    names = {way: Difference() for way in WAYS if way != EXACT}
    done, calls = 0, sum(map(len, sequences))
    for block in blocks(sequences):
        tokens = [sequences[i] for i in block]
        found = {way: log_probs(w, *network, tokens) for way, w in typed.items()}
        found.update({way: [model.log_probs(t) for t in tokens] for way, model in models.items()})
        for way, logps in found.items():
            for i, logp, exact in zip(block, logps, found[EXACT]):
                nll[way][i] = -logp[np.arange(len(logp)), sequences[i][:, 0]].astype(np.float64)
                if way != EXACT:
                    names[way].add(logp - exact)
        done += sum(map(len, tokens))
        script.progress(f"compared {done / calls:.0%} of {calls} calls")
    script.progress("")
    return nll, {way: d.found() for way, d in names.items()}


# ---- scores and verdicts ----


def of_scores(info, nll):
    """What the detector says: differences of the scores of windows, and verdicts."""
    rule = {key: info[key] for key in ("window", "hop", "prior_count", "prior_mean")}
    scores = {way: np.concatenate([calibrate.window_scores(x, **rule)[0] for x in nll[way]]) for way in WAYS}
    found = {
        "windows": len(scores[EXACT]),
        "scores": {way: difference(scores[way] - scores[EXACT]) for way in WAYS if way != EXACT},
    }
    theta = info["threshold"]
    if theta is not None:
        above = {way: scores[way] > theta for way in WAYS}
        found["threshold"] = theta
        found["anomalous"] = {way: int(above[way].sum()) for way in WAYS}
        found["changed_verdicts"] = {way: int((above[way] != above[EXACT]).sum()) for way in WAYS}
    return found


def compare(path: str, sequences):
    """Everything that needs no labels; and the NLLs of each sequence in each way."""
    with open(path, "rb") as f:
        contents = f.read()
    models = {p: cosmos.Model.from_bytes(contents, path, precision=p) for p in PRECISIONS}
    weights, metadata = export.parse(contents)
    if metadata.get("cosmos.precision", "f32") != "f32":
        raise BadInput(f"{path} holds int8 weights: give the file that it was made of, to compare with")
    if not sequences:
        raise BadInput("there is no call to compare by")
    if "embedding.frequency.weight" in weights:
        raise BadInput(f"{path} reads the frequency of calls, which this does not: compare a model without it")
    info = models["f32"].info
    nll, names = measure(models, weights, sequences)
    return {
        "model": {
            "units": info["units"],
            "embedding": info["embedding"],
            "vocabulary": len(models["f32"].vocab),
            "memory": {p: models[p].info["memory"] for p in PRECISIONS},
        },
        "isa": info["isa"],
        "calls": sum(map(len, sequences)),
        "sequences": len(sequences),
        "log_probabilities": names,
        "nll": {way: difference(np.concatenate(nll[way]) - np.concatenate(nll[EXACT])) for way in names},
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


def of_auc(scores, normal, attack):
    """For each way, and its difference from the exact one with an interval. `scores`: for each way those of
    normal traces and of attacks, all distinct; `normal`, `attack`: how often each of them counts."""
    rng = np.random.default_rng(1)
    auc = {way: Auc(*scores[way]) for way in WAYS}
    differences = {way: [] for way in WAYS}
    for _ in range(RESAMPLES):
        # A distinct trace is drawn with all its copies: they are no news of each other.
        drawn = [weights * rng.multinomial(len(weights), np.full(len(weights), 1 / len(weights)))
                 for weights in (normal, attack)]
        exact = auc[EXACT](*drawn)
        for way in WAYS:
            differences[way].append(auc[way](*drawn) - exact)
    exact = auc[EXACT](normal, attack)
    found = {"normal": int(normal.sum()), "attacks": int(attack.sum())}
    for way in WAYS:
        value = auc[way](normal, attack)
        interval = [float(x) for x in np.quantile(differences[way], [0.025, 0.975])]
        found[way] = {"auc": value, "difference": value - exact, "interval": interval}
    return found


# ---- ADFA-LD ----


def train(path: str, training) -> bool:
    """The model, of the training traces alone; one that is there must be of them too. True: it was not there."""
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "adfa-ld.jsonl")
        adfa_ld.write(trace, training)
        absent = not os.path.exists(path)
        if absent:
            script = pathlib.Path(__file__).with_name("train.py")
            options = [word for key, value in TRAINING.items() for word in (f"--{key}", value)]
            said = None if sys.stderr.isatty() else subprocess.PIPE
            command = [sys.executable, str(script), trace, "-o", path, *options]
            run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=said, text=True)
            if run.returncode:
                why = (run.stderr or "").strip().splitlines()
                raise BadInput("; ".join(["training failed", *why[-1:]]))
        elif not adfa_ld.trained_on(cosmos.Model(path), trace):
            raise BadInput(f"{path} was trained on something else: remove it, or name another file")
    return absent


def adfa(path: str, archive: str):
    parts = adfa_ld.read(archive)
    trained_now = train(path, parts["training"])
    model = cosmos.Model(path)
    # Each distinct trace of a part is scored once, and counted as often as it is there.
    sequences, owners, counts = [], [], []
    for part in ("validation", "attack"):
        distinct, copies = adfa_ld.distinct(parts[part])
        counts.append(copies)
        first = owners[-1] + 1 if owners else 0
        for i, trace in enumerate(distinct):
            cut = pieces(adfa_ld.tokens(trace, model.vocab))
            sequences += cut
            owners += [first + i] * len(cut)
    found, nll = compare(path, sequences)
    lengths, scores = np.bincount(owners, list(map(len, sequences))), {}
    for way in WAYS:
        means = np.bincount(owners, [x.sum() for x in nll[way]]) / lengths
        scores[way] = np.split(means, [len(counts[0])])
    found["auc"] = {
        "all": of_auc(scores, *counts),
        "distinct": of_auc(scores, *(np.ones_like(c) for c in counts)),
    }
    found["training"], found["trained_now"] = len(parts["training"]), trained_now
    found["seed"] = model.metadata("cosmos.seed")
    return found


# ---- the report ----


def markdown(head, rows) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n\n"


def table_of_auc(found) -> str:
    every, one = found["auc"]["all"], found["auc"]["distinct"]
    learnt, stopped = CUTS
    text = (
        f"ADFA-LD. Trained on its {found['training']:,} training traces alone, with seed {found['seed']}: {learnt:.0%} "
        f"of their calls to learn from, {stopped - learnt:.0%} to stop by, {1 - stopped:.0%} for θ. Compared are its "
        f"{every['normal']:,} validation traces, which are normal, and {every['attacks']:,} attacks; of distinct ones "
        f"there are {one['normal']:,} and {one['attacks']:,}. The score of a trace is the mean NLL of its calls. "
    )
    if found["trained_now"]:
        text += (
            "No test label chose anything: all is as the trainer has it by default, but for --fields name, since the "
            "data have no errno, and θ.\n\n"
        )
    else:
        text += "The model's file was there before this run; how it was trained is not known, but for its trace and seed.\n\n"
    head = ["AUC"]
    for what in ("all traces", "distinct ones"):
        head += [what, "difference", "its 95% interval"]
    rows = []
    for way, name in WAYS.items():
        row = [name]
        for a in (every[way], one[way]):
            low, high = a["interval"]
            changed = [f"{a['difference']:+.6f}", f"{low:+.6f} to {high:+.6f}"]
            row += [f"{a['auc']:.5f}", *(["", ""] if way == EXACT else changed)]
        rows.append(row)
    return text + markdown(head, rows)


def table_of_log_probs(found) -> str:
    text = (
        f"Differences from {WAYS[EXACT]}, in nats: of the log-probabilities of all names before each of "
        f"{found['calls']:,} calls in {found['sequences']:,} sequences, "
        f"{found['log_probabilities']['f32']['n']:,} values; of the NLL of the call that came; and of the scores of {found['detector']['windows']:,} windows.\n\n"
    )
    head = [
        "", "all names: RMS", "largest", f"calls with one beyond {MOST_ROUNDING:g}",
        "NLL: RMS", f"{QUANTILE:.1%} are within", "largest", "windows: RMS", "largest",
    ]  # fmt: skip
    rows = []
    for way, names in found["log_probabilities"].items():
        nll, scores = found["nll"][way], found["detector"]["scores"][way]
        figures = [*(nll[key] for key in ("rms", "quantile", "largest")), scores["rms"], scores["largest"]]
        rows.append([WAYS[way], f"{names['rms']:.1e}", f"{names['largest']:.1e}", f"{names['beyond']:,}"])
        rows[-1] += [f"{x:.1e}" for x in figures]
    return text + markdown(head, rows)


def table_of_verdicts(detector) -> str:
    rows = []
    for way, name in WAYS.items():
        changed = detector["changed_verdicts"][way]
        share = f"{changed:,} ({changed / detector['windows']:.3%})"
        rows.append([name, f"{detector['anomalous'][way]:,}", "" if way == EXACT else share])
    return markdown([f"θ = {detector['threshold']:.4f}", "windows above it", "verdicts that differ"], rows)


def report(found) -> str:
    """Markdown, which can be read as it is."""
    text = table_of_auc(found) if "auc" in found else ""
    text += table_of_log_probs(found)
    if "threshold" in found["detector"]:
        text += table_of_verdicts(found["detector"])
    model = found["model"]
    memory = " and ".join(f"{model['memory'][p] / 1024:,.0f} KiB in {p}" for p in PRECISIONS)
    text += (
        f"Embedding {model['embedding']}, LSTM {' + '.join(map(str, model['units']))}, {model['vocabulary']} names; "
        f"weights and tables take {memory}. Kernels for {found['isa']} ({platform.machine()}), "
        f"NumPy {np.__version__}.\n"
    )
    if "auc" in found:
        failures = list(missed(found))
        text += (
            f"\nWhat may be: int8 changes an AUC by {MOST_AUC} at most, f32 a log-probability by {MOST_ROUNDING:g}. "
            f"{'It is not so: ' + '; '.join(failures) if failures else 'So it is'}.\n"
        )
    return text


def missed(found):
    """What ADFA-LD shows beyond what it may."""
    for key, auc in found["auc"].items():
        difference = auc["int8"]["difference"]
        if abs(difference) > MOST_AUC:
            yield f"int8 changes the AUC of {key} traces by {difference:+.5f}, more than {MOST_AUC}"
    rounding = found["log_probabilities"]["f32"]["largest"]
    if rounding > MOST_ROUNDING:
        yield f"a log-probability in f32 is {rounding:.1e} from that in double precision, more than {MOST_ROUNDING:g}"


def run(args) -> int:
    if args.markdown:
        script.put(args.markdown, MARKS, None)
    if args.json:
        export.check_writable(args.json)
    if args.adfa_ld:
        found = adfa(args.model, args.adfa_ld)
    else:
        model = cosmos.Model(args.model)
        how = dict(unit=model.info["unit"], vocab=model.vocab, tokens=model.info["tokens"])
        corpora = [cosmos.read_corpus(path, **how) for path in args.traces]
        found, _ = compare(args.model, pieces(tokens for corpus in corpora for tokens in corpus.sequences()))
    text = report(found)
    print(text, end="")
    if args.markdown:
        script.put(args.markdown, MARKS, text)
    if args.json:
        export.write(args.json, json.dumps(found, indent=1).encode() + b"\n")
    failures = list(missed(found)) if args.adfa_ld else []
    for failure in failures:
        print(f"precision.py: {failure}", file=sys.stderr)
    return 1 if failures else 0


def main() -> int:
    p = argparse.ArgumentParser(
        description="What a precision costs in log-probabilities, scores and verdicts, and in AUC on ADFA-LD."
    )
    p.add_argument("model", metavar="MODEL", help="a model file of float32 weights")
    p.add_argument("traces", nargs="*", metavar="TRACE", help="trace.jsonl or audit.log")
    p.add_argument("--adfa-ld", metavar="ZIP", help="score ADFA-LD.zip, and train MODEL on it if it is not there")
    p.add_argument("--markdown", metavar="FILE", help="write the tables into a document too, between its marks")
    p.add_argument("--json", metavar="FILE", help="write all figures to a file")
    args = p.parse_args()
    if bool(args.traces) == bool(args.adfa_ld):
        p.error("give either traces or --adfa-ld")
    return script.status("precision.py", run, args)


if __name__ == "__main__":
    sys.exit(main())
