#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count.py NAME=FILE...: what all tests came to.

FILE is JUnit XML (meson, pytest, GoogleTest) or TAP. Failed and skipped tests are
listed with their reasons; the last line is `N passed, N failed, N skipped`; the
exit status is 0 if none failed. A file that is missing, damaged or empty is a
failure: a test that did not run has not passed."""
import re
import sys
import xml.etree.ElementTree as xml

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def first_line(text):
    """The first line that says something; GoogleTest's says only where."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if len(lines) > 1 and re.search(r":\d+$", lines[0]):
        return f"{lines[1]} ({lines[0]})"
    return lines[0] if lines else ""


def from_junit(path):
    for case in xml.parse(path).getroot().iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        bad = case.find("failure")
        if bad is None:
            bad = case.find("error")
        skip = case.find("skipped")
        if bad is not None:
            yield name, FAILED, first_line(bad.get("message") or bad.text)
        elif skip is not None:
            yield name, SKIPPED, first_line(skip.get("message") or skip.text)
        elif case.get("status") == "notrun":
            yield name, SKIPPED, "disabled"
        else:
            yield name, PASSED, ""


TAP = re.compile(r"^(not )?ok\b\s*\d*\s*-?\s*(.*?)(?:\s+#\s*skip\w*\s*(.*))?$", re.I)


def from_tap(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = TAP.match(line.rstrip("\n"))
            if not found:
                continue
            name, _, reason = found[2].partition(": ")
            if found[3] is not None:
                yield found[2], SKIPPED, found[3]
            elif found[1]:
                yield name, FAILED, reason
            else:
                yield found[2], PASSED, ""


def results(argument):
    name, _, path = argument.partition("=")
    try:
        found = list(from_junit(path) if path.endswith(".xml") else from_tap(path))
    except (OSError, xml.ParseError) as error:
        return [(name, FAILED, f"no results: {error}")]
    if not found:
        return [(name, FAILED, f"{path} holds no results")]
    return [(f"{name}: {test}", state, reason) for test, state, reason in found]


def main():
    total = [result for argument in sys.argv[1:] for result in results(argument)]
    for state in (SKIPPED, FAILED):
        by_reason = {}
        for test, one, reason in total:
            if one == state:
                by_reason.setdefault(reason or "no reason given", []).append(test)
        for reason, tests in by_reason.items():
            print(f"{state}: {reason}")
            for test in tests:
                print(f"    {test}")
    count = {state: sum(one == state for _, one, _ in total) for state in (PASSED, FAILED, SKIPPED)}
    print(f"{count[PASSED]} passed, {count[FAILED]} failed, {count[SKIPPED]} skipped")
    return 1 if count[FAILED] or not total else 0


if __name__ == "__main__":
    sys.exit(main())
