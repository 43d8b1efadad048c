#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a threshold keep its promise when the normal shifts? Fixed and adaptive ones on the same streams of scores.

    python models/experiments/adaptive.py ADFA-LD.zip examples/traces/learn.jsonl.gz --models build \\
        --markdown docs/thresholds.md --plot docs/thresholds.svg

It trains the two models first, unless they are there, and repeats what docs/thresholds.md reports; that says how.
Scores and thresholds are the library's. Status 0: each adaptive threshold keeps its promise within a factor of 1.5;
1: one does not; 2: an error.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Dict, List

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

try:
    import numpy as np

    import cosmos

    import adfa_ld
    import calibrate
    import export
    import script
    from data import BadInput
except ImportError as e:
    print(f"adaptive.py: {e}", file=sys.stderr)
    sys.exit(2)

RATES = (0.2, 0.1, 0.05, 0.01)  # promised: of normal windows above the threshold
WITHIN = 1.5
HOUR = 3600  # windows: one a second, a service that makes 50 calls a second with the default hop
HELD_OUT = 0.85  # of a trace's calls: what lies behind them was neither learnt nor stopped by
TRAINING = ("--seed", "1", "--quantile", "0.95", "--margin", "0")
SEED = 1
ROUNDS = 5  # of intrusions, each time others
HOURS = 12  # of the synthetic streams
STREAMS = 10  # synthetic ones
STRETCH = 20  # windows in a row that are drawn together: they hang together
MARKS = ("<!-- adaptive.py: begin -->\n", "<!-- adaptive.py: end -->\n")


# ---- scores ----


def window_scores(model: cosmos.Model, tokens: np.ndarray) -> np.ndarray:
    rule = {key: model.info[key] for key in ("window", "hop", "prior_count", "prior_mean")}
    return calibrate.window_scores(model.nll(tokens), **rule)


def held_out(model: cosmos.Model, path: str) -> np.ndarray:
    """In order of time, the scores of the windows of a trace that lie whole behind what was learnt of it."""
    corpus = cosmos.read_corpus(path, model.info["unit"], model.vocab)
    times, window, found = np.asarray(corpus.timestamps), model.info["window"], []
    cut = np.sort(times)[int(HELD_OUT * len(times))]
    for begin, tokens in zip(corpus.offsets, corpus.sequences()):
        scores, ends = window_scores(model, tokens)
        first, last = (int(begin) + at for at in (np.maximum(ends - window, 0), ends - 1))
        inside = times[first] >= cut
        found.append(np.stack([times[last[inside]].astype(np.float64), scores[inside]]))
    at, scores = np.concatenate(found, axis=1)
    return scores[np.argsort(at, kind="stable")]


def train(path: str, trace: str, *more: str) -> cosmos.Model:
    """The model of this trace, trained now if it is not there."""
    if not os.path.exists(path):
        script.progress(f"training {path}")
        program = pathlib.Path(__file__).resolve().parents[1] / "train.py"
        command = [sys.executable, str(program), trace, "-o", path, *TRAINING, *more]
        run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            raise BadInput("; ".join(["training failed", *run.stderr.strip().splitlines()[-1:]]))
    model = cosmos.Model(path)
    if not adfa_ld.trained_on(model, trace):
        raise BadInput(f"{path} was trained on something else: remove it, or name another folder")
    return model


@dataclasses.dataclass
class Scores:
    calibration: np.ndarray  # of held-out normal windows
    normal: List[np.ndarray]  # of each normal trace that comes later
    intrusions: List[List[np.ndarray]]  # of each, and each of its traces


def of_adfa(folder: str, archive: str) -> Scores:
    parts = adfa_ld.read(archive)
    with tempfile.TemporaryDirectory() as temporary:
        trace = os.path.join(temporary, "adfa-ld.jsonl")
        adfa_ld.write(trace, parts["training"])
        model = train(os.path.join(folder, "adfa-ld.bin"), trace, "--fields", "name")
        calibration = held_out(model, trace)

    def scores(trace):
        return np.concatenate([window_scores(model, tokens)[0] for tokens in adfa_ld.tokens(trace, model.vocab)])

    script.progress("scoring ADFA-LD")
    intrusions: Dict[str, List[np.ndarray]] = {}
    for trace in parts["attack"]:
        intrusions.setdefault(os.path.dirname(trace.name), []).append(scores(trace))
    return Scores(calibration, [scores(trace) for trace in parts["validation"]], list(intrusions.values()))


# ---- streams ----


@dataclasses.dataclass
class Stream:
    scores: np.ndarray
    intruder: np.ndarray  # the number of the attack's trace; -1: normal


def stream_of(traces, intrusions, rng: np.random.Generator) -> Stream:
    """Traces one after the other; after the first hour each hour has one intrusion, whole, at a place drawn at
    random between two traces."""
    ends, places, parts, number = np.cumsum([len(t) for t in traces]), {}, [], 0
    for hour, intrusion in enumerate(intrusions, 1):
        inside = np.flatnonzero((ends >= hour * HOUR) & (ends < (hour + 1) * HOUR))
        if len(inside):
            places[rng.choice(inside)] = intrusion
    for i, trace in enumerate(traces):
        parts.append((trace, -1))
        for attack in places.get(i, []):
            parts.append((attack, number))
            number += 1
    return Stream(np.concatenate([p for p, _ in parts]), np.concatenate([np.full(len(p), who) for p, who in parts]))


def synthetic(normal: np.ndarray, rng: np.random.Generator) -> Stream:
    """Stretches of real normal scores, drawn with replacement. After three hours the normal becomes less likely to the
    model, by half a standard deviation of all scores; after six by one and a half, and three are as at first; the
    latter come suddenly, the former over an hour."""
    n, size = HOURS * HOUR, float(np.std(normal))
    starts = rng.integers(0, len(normal) - STRETCH + 1, n // STRETCH)
    hours = np.arange(n) / HOUR
    shift = np.interp(hours, [3, 4], [0, 0.5]) + (hours >= 6) - 1.5 * (hours >= 9)
    return Stream((normal[starts[:, None] + np.arange(STRETCH)]).ravel() + shift * size, np.full(n, -1))


# ---- what thresholds make of them ----


@dataclasses.dataclass
class Outcome:
    rate: float  # promised
    false: float  # alarms: share of normal windows above after the first hour
    low: float  # the same of the hour that has the least,
    high: float  # and the most
    windows: float  # share of the intrusions' windows that are above; NaN without any
    traces: float  # share of their traces of which one is
    held: float  # share of windows that did not count, for an alert


def outcome(stream: Stream, thetas: np.ndarray, rate: float, held: float) -> Outcome:
    above, normal = stream.scores > thetas, stream.intruder < 0
    hours = [np.mean(part) for part in np.split(above[normal], range(HOUR, normal.sum(), HOUR))[1:] if len(part) == HOUR]
    attacked = above[~normal]
    caught = np.unique(stream.intruder[~normal & above])
    return Outcome(
        rate, float(np.mean(above[normal][HOUR:])), min(hours), max(hours),
        float(np.mean(attacked)) if len(attacked) else np.nan,
        len(caught) / (stream.intruder.max() + 1) if len(attacked) else np.nan,
        held,
    )  # fmt: skip


def thresholds(stream: Stream, calibration: np.ndarray, rate: float):
    """Of each kind the thetas at each window, and what comes of them. The one of hindsight keeps the promise on this
    very stream: nobody has it, but detection is compared at the same share of false alarms."""
    fixed = cosmos.Threshold.fitted(calibration, 1 - rate)
    adaptive = fixed.adaptive()
    hindsight = cosmos.fit_threshold(stream.scores[stream.intruder < 0][HOUR:], 1 - rate)
    thetas = {
        "fixed": np.full(len(stream.scores), fixed.theta),
        "adaptive": adaptive.follow(stream.scores),
        "fixed, in hindsight": np.full(len(stream.scores), hindsight),
    }
    held = {"adaptive": adaptive.info["held"] / len(stream.scores)}
    return thetas, {kind: outcome(stream, thetas[kind], rate, held.get(kind, 0.0)) for kind in thetas}


def mean(outcomes: List[Outcome]) -> Outcome:
    """Over several streams; of the hours those that are the worst of all."""
    fields = {name: float(np.mean([getattr(o, name) for o in outcomes])) for name in Outcome.__annotations__}
    return Outcome(**{**fields, "low": min(o.low for o in outcomes), "high": max(o.high for o in outcomes)})


def over(streams: List[Stream], calibration: np.ndarray, what: str):
    """{(rate, kind): Outcome}, the mean over the streams."""
    found = {}
    for rate in RATES:
        script.progress(f"{what}: {rate:.0%}")
        each = [thresholds(stream, calibration, rate)[1] for stream in streams]
        found.update({(rate, kind): mean([one[kind] for one in each]) for kind in each[0]})
    return found


# ---- the report ----


def table(found, attacked: bool) -> str:
    head = ["promised", "threshold", "false alarms", "times the promise", "least and most in an hour", "in alerts"]
    head += ["attack windows", "attack traces"] if attacked else []
    rows = []
    for (rate, kind), o in found.items():
        row = [f"{rate:.0%}", kind, f"{o.false:.2%}", f"{o.false / rate:.2f}", f"{o.low:.2%}, {o.high:.2%}", f"{o.held:.0%}" if kind == "adaptive" else ""]
        rows.append(row + ([f"{o.windows:.1%}", f"{o.traces:.1%}"] if attacked else []))
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n\n"


def missed(results):
    for what, found in results.items():
        for (rate, kind), o in found.items():
            if kind == "adaptive" and not rate / WITHIN <= o.false <= rate * WITHIN:
                yield f"{what}, {rate:.0%}: {o.false:.2%}"


def report(results, adfa: Scores, other: np.ndarray) -> str:
    windows = sum(map(len, adfa.normal))
    text = (
        f"ADFA-LD: {len(adfa.calibration):,} held-out windows to calibrate with; a stream of {windows:,} normal windows "
        f"of {len(adfa.normal):,} traces; {len(adfa.intrusions)} intrusions of "
        f"{sum(map(len, adfa.intrusions)):,} traces, {sum(len(t) for i in adfa.intrusions for t in i):,} windows. "
        f"The service: {len(other):,} held-out windows, the first half to calibrate with, the second one to draw from. "
        f"Figures are of what comes after the first hour, {HOUR:,} windows.\n\n"
    )
    for what, found in results.items():
        text += f"**{what}**\n\n" + table(found, not np.isnan(next(iter(found.values())).windows))
    failures = list(missed(results))
    kept = "So it is, in each table" if not failures else "It is not so: " + "; ".join(failures)
    return text + f"What may be: an adaptive threshold's false alarms are within a factor of {WITHIN} of the promise. {kept}.\n"


def draw(path: str, panels) -> None:
    try:
        import matplotlib
    except ImportError as e:
        raise BadInput(str(e)) from None

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "cosmos", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(panels), 1, figsize=(10, 3 * len(panels)), layout="constrained")
    for axis, (title, stream, thetas, rate) in zip(axes, panels):
        axis.axhspan(rate / WITHIN, rate * WITHIN, color="0.9", label=f"promised {rate:.0%}, within a factor of {WITHIN}")
        for kind in ("fixed", "adaptive"):
            theta = thetas[kind]
            above = np.cumsum(np.concatenate([[0], stream.scores > theta]))
            at = np.arange(HOUR // 2, len(above), 200)
            axis.plot(at / HOUR, (above[at] - above[at - HOUR // 2]) / (HOUR // 2), label=kind)
        axis.axvline(1, color="0.6", linewidth=0.8)
        axis.set(title=title, xlabel="hours", ylabel="windows above, of half an hour", ylim=(0, None))
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    with tempfile.TemporaryDirectory() as folder:
        temporary = os.path.join(folder, "plot.svg")
        figure.savefig(temporary, metadata={"Date": None})
        with open(temporary, encoding="utf-8") as f:
            text = re.sub(r"[ \t]+\n", "\n", f.read())
    export.write(path, text.encode())


def run(args) -> int:
    if args.markdown:
        script.put(args.markdown, MARKS, None)
    rng = np.random.default_rng(SEED)
    adfa = of_adfa(args.models, args.archive)
    other = held_out(train(os.path.join(args.models, "service.bin"), args.trace), args.trace)
    first, second = np.array_split(other, 2)

    in_order = [stream_of(adfa.normal, [], rng)]
    shuffled = [stream_of([adfa.normal[i] for i in rng.permutation(len(adfa.normal))], [], rng) for _ in range(ROUNDS)]
    drawn = [adfa.intrusions[i] for i in rng.permutation(len(adfa.intrusions))]
    attacked = [stream_of(adfa.normal, drawn[i::ROUNDS], rng) for i in range(ROUNDS)]
    shifted = [synthetic(second, rng) for _ in range(STREAMS)]
    results = {
        what: over(streams, scores, what)
        for what, streams, scores in (
            ("ADFA-LD, in order of name", in_order, adfa.calibration),
            ("ADFA-LD, traces in random order", shuffled, adfa.calibration),
            ("ADFA-LD, in order of name, an intrusion an hour", attacked, adfa.calibration),
            ("A service whose normal shifts", shifted, first),
        )
    }
    script.progress("")
    text = report(results, adfa, other)
    print(text, end="")
    if args.plot:
        panels = [
            ("ADFA-LD, in order of name", in_order[0], adfa.calibration),
            ("A service whose normal shifts", shifted[0], first),
        ]
        draw(args.plot, [(title, s, thresholds(s, scores, 0.05)[0], 0.05) for title, s, scores in panels])
    if args.markdown:
        script.put(args.markdown, MARKS, text)
    failures = list(missed(results))
    for failure in failures:
        print(f"adaptive.py: not within a factor of {WITHIN}: {failure}", file=sys.stderr)
    return 1 if failures else 0


def main() -> int:
    p = argparse.ArgumentParser(description="Fixed and adaptive thresholds where the normal shifts.")
    p.add_argument("archive", metavar="ADFA-LD.zip")
    p.add_argument("trace", metavar="TRACE", help="of a service's normal life: examples/traces/learn.jsonl.gz")
    p.add_argument("--models", metavar="FOLDER", default=".", help="where the two models are, or are put")
    p.add_argument("--markdown", metavar="FILE", help="write the tables into a document too, between its marks")
    p.add_argument("--plot", metavar="FILE", help="an SVG of the share above over time; needs matplotlib")
    args = p.parse_args()
    return script.status("adaptive.py", run, args)


if __name__ == "__main__":
    sys.exit(main())
