#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""symbols.py LIBRARY: the symbol map, the public headers and the shared library
say the same, both ways (TAP on stdout)."""
import re
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent


def declared():
    names = set()
    for path in sorted((TREE / "include" / "cosmos").glob("*.h")):
        text = re.sub(r"/\*.*?\*/", " ", path.read_text(encoding="utf-8"), flags=re.S)
        text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
        names |= set(re.findall(r"\b(cosmos_\w+)\s*\(", text))
    return names


def mapped():
    text = re.sub(r"/\*.*?\*/", " ", (TREE / "lib" / "libcosmos.map").read_text(encoding="utf-8"), flags=re.S)
    versions = re.findall(r"\b(COSMOS_\w+)\s*\{(.*?)\}", text, flags=re.S)
    return {name: version for version, body in versions for name in re.findall(r"\b(cosmos_\w+)\s*;", body)}


def exported(library):
    """name -> version of all that the library gives to others."""
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in lines.splitlines():
        kind, symbol = line.split()[-2:]
        name, _, version = symbol.partition("@")
        if kind != "A":  # the name of a version itself
            found[name] = version.lstrip("@")
    return found


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    headers, in_map, in_library = declared(), mapped(), exported(sys.argv[1])
    checks = {
        "declared in a header, but not in the map": headers - set(in_map),
        "in the map, but in no header": set(in_map) - headers,
        "in the map, but not in the library": set(in_map) - set(in_library),
        "in the library, but not in the map": set(in_library) - set(in_map),
        "of another version than the map says": {
            name for name in set(in_map) & set(in_library) if in_map[name] != in_library[name]
        },
        "nothing at all was found": set() if headers and in_map and in_library else {"headers, map or library"},
    }
    print(f"1..{len(checks)}")
    for number, (what, names) in enumerate(checks.items(), 1):
        print(f"{'not ok' if names else 'ok'} {number} - symbols: none {what}" + "".join(f" {n}" for n in sorted(names)))
    return 1 if any(checks.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
