#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""quickstart_table.py NORMAL=SCORES INTRUSION=SCORES: what came out, for people.

SCORES are lines of cosmos-score --why. Exit status 0 if the first is normal and
the second anomalous, else 1."""
import json
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return [line for line in map(json.loads, file) if line.get("type") == "score"]


def sequence(line):
    return line.get("container_id"), line["pid"], line.get("proc_start")


def verdict(lines):
    verdicts = {line["verdict"] for line in lines}
    return next((one for one in ("anomalous", "normal") if one in verdicts), "indeterminate")


def worst(lines):
    """The highest score; one that was lost in part has none."""
    return max((line for line in lines if line.get("score") is not None), key=lambda line: line["score"], default=None)


def number(value):
    return "-" if value is None else f"{value:.3f}"


def table(runs):
    rows = [("", "sequences", "above θ", "windows", "above θ", "worst score", "θ", "verdict")]
    for name, lines in runs:
        high, above = worst(lines) or {}, [line for line in lines if line["verdict"] == "anomalous"]
        rows.append(
            (
                name,
                len({sequence(line) for line in lines}),
                len({sequence(line) for line in above}),
                len(lines),
                len(above),
                number(high.get("score")),
                number(high.get("threshold")),
                verdict(lines),
            )
        )
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [str(cell).rjust(width) for cell, width in zip(row[1:-1], widths[1:-1])]
        print("  ", str(row[0]).ljust(widths[0]), *cells, " " + str(row[-1]), sep="  ")


def why(line):
    print(f"\n  Why: the worst window is of process {line['pid']} ({line['comm']}), {line['window']} calls.")
    print("  Its most surprising calls, in nats, and what the model had expected there:\n")
    rows = []
    for one in line.get("why", []):
        what = " ".join(filter(None, (one["syscall"], one.get("path") or one.get("detail"))))
        what = what if len(what) <= 60 else what[:59] + "…"
        expected = ", ".join(f"{e['syscall']} {e['p']:.0%}" for e in one["expected"])
        rows.append((f"{one['nll']:.2f}", what, expected))
    width = max((len(row[1]) for row in rows), default=0)
    for nll, what, expected in rows:
        print(f"  {nll:>7}  {what.ljust(width)}  {expected}")


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    runs = [(name, read(path)) for name, _, path in (argument.partition("=") for argument in sys.argv[1:])]
    print()
    table(runs)
    (_, normal), (_, intrusion) = runs
    if verdict(intrusion) == "anomalous":
        why(worst(intrusion))
    print()
    as_it_should = verdict(normal) == "normal" and verdict(intrusion) == "anomalous"
    print("  as it should be" if as_it_should else "  NOT as it should be: normal, then anomalous, was to come out")
    return 0 if as_it_should else 1


if __name__ == "__main__":
    sys.exit(main())
