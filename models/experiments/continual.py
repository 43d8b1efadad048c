#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a model that goes on learning forget, and can it be taught an intrusion?

    models/experiments/record.sh build/cli/cosmos-collect redis.jsonl 6
    models/experiments/record.sh build/cli/cosmos-collect redis-later.jsonl 1
    python models/experiments/continual.py build/cli/cosmos-train --first learn.jsonl normal.jsonl \\
        --second redis.jsonl redis-later.jsonl --archive ADFA-LD.zip --models build --markdown docs/continual.md

Of each service one trace to learn from and one of another day to measure with; examples/quickstart.sh leaves the
first service's in build/quickstart. It trains what is not in --models yet, and repeats what docs/continual.md reports; that
says how. Status 0: all bars are met; 1: one is not; 2: an error.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Dict, Iterator, List, Tuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

try:
    import numpy as np

    import cosmos

    import adfa_ld
    import calibrate
    import script
    from data import BadInput
except ImportError as e:
    print(f"continual.py: {e}", file=sys.stderr)
    sys.exit(2)

SEEDS = (1, 2, 3)
FORGOTTEN = 0.02  # at most: what the first service's NLL may rise by
BEHIND = 0.02  # likewise the second one's, beside that of a model that learnt both at once
POISONED = 0.01  # at most: what the AUC may fall by
POISON = 0.05  # share of the calls that are an intruder's
MARKS = ("<!-- continual.py: begin -->\n", "<!-- continual.py: end -->\n")


def train(args, name: str, traces: List[str], *more: str) -> cosmos.Model:
    """The model of this name, trained now if it is not there."""
    path = os.path.join(args.models, name)
    if not os.path.exists(path):
        script.progress(f"training {name}")
        run = subprocess.run(
            [args.train, "-o", path, *more, *traces], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if run.returncode:
            raise BadInput("; ".join([f"training {name} failed", *run.stderr.strip().splitlines()[-1:]]))
    return cosmos.Model(path)


# ---- two services ----


def lines(path: str) -> Iterator[str]:
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
        yield from f


def instant(line: dict) -> float:
    return datetime.datetime.fromisoformat(line["timestamp"][:26].rstrip("Z") + "+00:00").timestamp()


def beside(first: str, second: str, to: str) -> None:
    """The second trace at the time of the first: else what both are cut at would have one learnt, the other not."""
    spans = []
    for path in (first, second):
        times = [instant(json.loads(line)) for line in lines(path)]
        spans.append((min(times), max(times) - min(times)))
    (start, length), (from_, of) = spans
    with open(to, "w", encoding="utf-8") as f:
        for text in lines(second):
            line = json.loads(text)
            at = datetime.datetime.fromtimestamp(start + (instant(line) - from_) / of * length, datetime.timezone.utc)
            line["timestamp"] = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
            f.write(json.dumps(line) + "\n")


def nll(model: cosmos.Model, trace: str) -> float:
    """Mean over all its calls."""
    corpus = cosmos.read_corpus(trace, model.info["unit"], model.vocab, tokens=model.info["tokens"])
    return float(np.concatenate([model.nll(tokens) for tokens in corpus.sequences()]).mean())


def services(args) -> Dict[str, np.ndarray]:
    """Of each way to learn, [seed, service]: the NLLs on the other days' traces."""
    (first, first_later), (second, second_later) = args.first, args.second
    found: Dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        shifted = os.path.join(folder, "second.jsonl")
        beside(first, second, shifted)
        for seed in SEEDS:
            def of(name, traces, *more):
                return train(args, f"{name}-{seed}.bin", traces, "--seed", str(seed), *more)

            def after(name):
                return of(f"{name}-then", [second], "--init", os.path.join(args.models, f"{name}-{seed}.bin"), "--learn-anomalous")

            alone = of("first", [first])
            of("forgetful", [first], "--keep", "0")
            models = {
                "the first alone": alone,
                "then the second": after("first"),
                "likewise, but nothing was kept": after("forgetful"),
                "both at once": of("both", [first, shifted]),
            }
            for kind, model in models.items():
                script.progress(f"seed {seed}: {kind}")
                found.setdefault(kind, []).append([nll(model, first_later), nll(model, second_later)])
    return {kind: np.array(values) for kind, values in found.items()}


# ---- an intruder in the stream ----


def auc(normal: np.ndarray, attack: np.ndarray) -> float:
    """The share of pairs in which the attack's score is the higher one; a tie is half of one."""
    order = np.sort(normal)
    below, up_to = np.searchsorted(order, attack, "left"), np.searchsorted(order, attack, "right")
    return float((below + up_to).sum() / 2 / (len(normal) * len(attack)))


def scores(model: cosmos.Model, traces: List[adfa_ld.Trace]) -> np.ndarray:
    """Of each trace its mean NLL, and its highest window: [2, traces]."""
    rule = {key: model.info[key] for key in ("window", "hop", "prior_count", "prior_mean")}
    found = []
    for trace in traces:
        nlls = [model.nll(tokens) for tokens in adfa_ld.tokens(trace, model.vocab)]
        highest = max(calibrate.window_scores(x, **rule)[0].max() for x in nlls)
        found.append((np.concatenate(nlls).mean(), highest))
    return np.array(found).T


def poisoned(clean: List[adfa_ld.Trace], attacks: List[adfa_ld.Trace], rng: np.random.Generator) -> List[adfa_ld.Trace]:
    """Attacks at random places among the clean ones, up to POISON of all calls."""
    room = POISON / (1 - POISON) * sum(len(trace.numbers) for trace in clean)
    mixed = list(clean)
    for i in rng.permutation(len(attacks)):
        room -= len(attacks[i].numbers)
        if room < 0:
            break
        mixed.insert(rng.integers(len(mixed) + 1), attacks[i])
    return mixed


def number(trace: adfa_ld.Trace) -> int:
    """Of the intrusion that it is of: there are ten of each kind."""
    return int(os.path.basename(os.path.dirname(trace.name)).rsplit("_", 1)[1])


def measures(model: cosmos.Model, validation: List[adfa_ld.Trace], attacks: List[adfa_ld.Trace]) -> List[float]:
    """The mean NLL of a normal call, and the AUCs by each score."""
    normal, attack = scores(model, validation), scores(model, attacks)
    calls = np.array([len(trace.numbers) for trace in validation])
    return [float(normal[0] @ calls / calls.sum()), *(auc(normal[i], attack[i]) for i in range(2))]


def poison(args) -> Dict[str, np.ndarray]:
    """Of each stream [seed, measure]."""
    parts = adfa_ld.read(args.archive)
    once, seen = parts["training"][0::2], parts["training"][1::2]
    used = [trace for trace in parts["attack"] if number(trace) % 2]
    unused = [trace for trace in parts["attack"] if not number(trace) % 2]
    found: Dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        def write(name, traces):
            path = os.path.join(folder, name)
            adfa_ld.write(path, traces)
            return path

        base = write("once.jsonl", once)
        clean = write("clean.jsonl", seen)
        for seed in SEEDS:
            mixed = write("mixed.jsonl", poisoned(seen, used, np.random.default_rng(seed)))
            def of(name, trace, *more):
                more += ("--init", os.path.join(args.models, f"adfa-{seed}.bin")) if name else ("--fields", "name")
                return train(args, f"adfa{name}-{seed}.bin", [trace], "--seed", str(seed), *more)

            models = {
                "nothing": of("", base),
                "clean": of("-clean", clean),
                "clean, and told to learn all": of("-clean-all", clean, "--learn-anomalous"),
                "5% intruders": of("-poisoned", mixed),
                "5% intruders, and told to learn all": of("-poisoned-all", mixed, "--learn-anomalous"),
            }
            for kind, model in models.items():
                script.progress(f"seed {seed}: {kind}")
                found.setdefault(kind, []).append(measures(model, parts["validation"], unused))
    return {kind: np.array(values) for kind, values in found.items()}


# ---- the report ----


def row(cells) -> str:
    return "| " + " | ".join(cells) + " |\n"


def spread(values: np.ndarray, form: str) -> str:
    return f"{np.mean(values):{form}} ({np.min(values):{form}} to {np.max(values):{form}})"


def tell_services(found) -> Tuple[str, List[bool]]:
    alone, then, both = found["the first alone"], found["then the second"], found["both at once"]
    forgotten, behind = then[:, 0] / alone[:, 0] - 1, then[:, 1] / both[:, 1] - 1
    text = row(["learnt", "first service", "second service"]) + row(["---"] * 3)
    for kind, values in found.items():
        text += row([kind, spread(values[:, 0], ".4f"), spread(values[:, 1], ".4f")])
    text += (
        f"\nAfter the second service the first one's NLL is higher by {spread(forgotten, '+.1%')}, at most {FORGOTTEN:.0%} was to be; "
        f"the second one's, beside the model of both, by {spread(behind, '+.1%')}, at most {BEHIND:.0%} was to be.\n\n"
    )
    return text, [np.mean(forgotten) <= FORGOTTEN, np.mean(behind) <= BEHIND]


def tell_poison(found) -> Tuple[str, List[bool]]:
    text = row(["went on with", "NLL, normal", "AUC, mean of a trace", "AUC, highest window"]) + row(["---"] * 4)
    for kind, values in found.items():
        text += row([kind, spread(values[:, 0], ".4f"), spread(values[:, 1], ".3f"), spread(values[:, 2], ".3f")])
    lost, beside = (found[kind][:, 1:] - found["5% intruders"][:, 1:] for kind in ("nothing", "clean"))
    text += (
        f"\nThe stream with intruders takes {spread(lost[:, 0], '+.3f')} off the AUC of means that the model had before, and "
        f"{spread(lost[:, 1], '+.3f')} off that of highest windows; at most {POISONED} was to be. Beside the clean stream they cost "
        f"{spread(beside[:, 0], '+.3f')} and {spread(beside[:, 1], '+.3f')}.\n"
    )
    return text, [np.mean(lost[:, i]) <= POISONED for i in range(2)]


def run(args) -> int:
    if args.markdown:
        script.put(args.markdown, MARKS, None)
    os.makedirs(args.models, exist_ok=True)
    text, met = tell_services(services(args))
    more, also = tell_poison(poison(args))
    script.progress("")
    print(text + more, end="")
    if args.markdown:
        script.put(args.markdown, MARKS, text + more)
    return 0 if all(met + also) else 1


def main() -> int:
    p = argparse.ArgumentParser(description="Models that go on learning: what they forget, and what they can be taught.")
    p.add_argument("train", metavar="COSMOS-TRAIN")
    p.add_argument("--first", nargs=2, required=True, metavar="TRACE", help="of a service: to learn from, and of another day")
    p.add_argument("--second", nargs=2, required=True, metavar="TRACE", help="of another service, likewise")
    p.add_argument("--archive", required=True, metavar="ADFA-LD.zip")
    p.add_argument("--models", metavar="FOLDER", default=".", help="where the models are, or are put")
    p.add_argument("--markdown", metavar="FILE", help="write the tables into a document too, between its marks")
    args = p.parse_args()
    return script.status("continual.py", run, args)


if __name__ == "__main__":
    sys.exit(main())
