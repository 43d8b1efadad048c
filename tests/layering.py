#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The direction of dependencies, checked in the #include lines (TAP on stdout).

A stage of lib/ may include base/, syscall/, its own headers and the public ones;
never another stage's private header, but for the trainer. cli/, examples/ and tests/api/ see only
<cosmos/...>, and so does a public header."""
import re
import sys
import tempfile
from pathlib import Path

QUOTED = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
ANGLED = re.compile(r"^\s*#\s*include\s*<([^>]+)>", re.M)
STAGES = {"collector", "container", "sequence", "predictor", "threshold", "sink", "detector", "trainer"}
# The trainer's kernels stand on the predictor's vectors, and what it writes is what the predictor reads.
ALLOWED = {
    "base": {"base"},
    "syscall": {"base", "syscall"},
    "trainer": {"base", "syscall", "predictor", "trainer"},
}
# Which public headers what lies below the stages may know.
BELOW = {"cosmos/error.h", "cosmos/log.h", "cosmos/version.h", "cosmos/event.h"}


def sources(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in (".c", ".h", ".cc", ".cpp", ".hpp"))


def faults_of_stage(tree, stage):
    allowed = ALLOWED.get(stage, {"base", "syscall", stage})
    for path in sources(tree / "lib" / stage):
        text = path.read_text(encoding="utf-8")
        for name in QUOTED.findall(text):
            if name.partition("/")[0] not in allowed or "/" not in name or not (tree / "lib" / name).is_file():
                yield f'{path.relative_to(tree)} includes "{name}"'
        for name in ANGLED.findall(text):
            if name.startswith("cosmos/") and stage not in STAGES and name not in BELOW:
                yield f"{path.relative_to(tree)} includes <{name}>"


def faults_of_user(tree, folder):
    """Of code outside the library: its own headers, and <cosmos/...>."""
    for path in sources(tree / folder):
        for name in QUOTED.findall(path.read_text(encoding="utf-8")):
            if ".." in name or not (path.parent / name).is_file():
                yield f'{path.relative_to(tree)} includes "{name}"'


def faults_of_public(tree):
    for path in sources(tree / "include"):
        text = path.read_text(encoding="utf-8")
        for name in QUOTED.findall(text):
            yield f'{path.relative_to(tree)} includes "{name}"'
        for name in ANGLED.findall(text):
            if name.startswith("cosmos/") and not (tree / "include" / name).is_file():
                yield f"{path.relative_to(tree)} includes <{name}>, which is not there"
            if name.startswith(("jansson", "libaudit", "curl/", "zlib", "sha2")):
                yield f"{path.relative_to(tree)} includes <{name}>, a dependency of the implementation"


def all_faults(tree):
    found = {}
    for folder in sorted(path for path in (tree / "lib").iterdir() if path.is_dir()):
        found[f"lib/{folder.name}"] = list(faults_of_stage(tree, folder.name))
    for folder in ("cli", "examples", "tests/api"):
        found[folder] = list(faults_of_user(tree, folder))
    found["include"] = list(faults_of_public(tree))
    found["the stages are those that we know"] = [
        f"lib/{name} is not a stage: say in tests/layering.py what it may include"
        for name in sorted(path.name for path in (tree / "lib").iterdir() if path.is_dir())
        if name not in STAGES | set(ALLOWED)
    ]
    return found


def self_test():
    """A tree with one fault of each kind must be found guilty of each."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name, text in {
            "lib/base/base.h": "#include <cosmos/model.h>\n",
            "lib/sink/sink.c": '#include "predictor/network.h"\n#include "base/base.h"\n',
            "lib/predictor/network.h": "",
            "lib/novel/novel.c": "",
            "cli/main.c": '#include "base/base.h"\n',
            "examples/one.c": '#include "../lib/base/base.h"\n',
            "tests/api/api.c": "#include <cosmos/cosmos.h>\n",
            "include/cosmos/cosmos.h": "#include <cosmos/gone.h>\n",
        }.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        guilty = {name for name, faults in all_faults(tree).items() if faults}
    wanted = {"lib/base", "lib/sink", "cli", "examples", "include", "the stages are those that we know"}
    return [] if guilty == wanted else [f"found {sorted(guilty)} instead of {sorted(wanted)}"]


def main():
    found = {"this check finds each kind of fault": self_test(), **all_faults(Path(__file__).resolve().parent.parent)}
    print(f"1..{len(found)}")
    for number, (name, faults) in enumerate(found.items(), 1):
        for fault in faults:
            print(f"# {fault}")
        print(f"{'not ok' if faults else 'ok'} {number} - layering: {name}" + (f": {faults[0]}" if faults else ""))
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
