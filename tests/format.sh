#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Are the sources formatted, and the scripts clean? TAP on standard output.
set -euo pipefail
cd "$(dirname "$0")/.."

# Later versions format some lines otherwise.
formatter=
for name in clang-format-14 clang-format; do
        if command -v "$name" >/dev/null && "$name" --version | grep -q 'version 14\.'; then
                formatter=$name
                break
        fi
done

# files PATTERN...: of the tree, not of a build or an environment in it.
files() {
        local arguments=() pattern
        for pattern; do arguments+=(-o -name "$pattern"); done
        find . \( -path ./.git -o -path './build*' -o -name '.?*' -o -name node_modules \) -prune -o \
                -type f \( "${arguments[@]:1}" \) -print0
}

if [[ -z $formatter ]]; then
        echo 'ok - clang-format # SKIP needs clang-format 14'
elif complaints=$(files '*.c' '*.h' '*.cc' '*.cpp' | xargs -0 "$formatter" --dry-run -Werror 2>&1); then
        echo 'ok - clang-format'
else
        echo "$complaints" >&2
        echo "not ok - clang-format: $(grep -o '^[^:]*\.[ch][cp]*' <<<"$complaints" | sort -u | tr '\n' ' ')"
fi

if ! command -v shellcheck >/dev/null; then
        echo 'ok - shellcheck # SKIP needs shellcheck'
elif complaints=$(files '*.sh' | xargs -0 shellcheck -x -P . 2>&1 && shellcheck -x -P . .ci/run); then
        echo 'ok - shellcheck'
else
        echo "$complaints" >&2
        echo "not ok - shellcheck: $(sed -n 's/^In \(.*\) line \(.*\):/\1:\2/p' <<<"$complaints" | tr '\n' ' ')"
fi

complaints=$(files '*.c' '*.h' '*.cc' '*.cpp' '*.py' '*.sh' | xargs -0 grep -L 'SPDX-License-Identifier: Apache-2.0' || true)
if [[ -n $complaints ]]; then
        echo "not ok - each source names its license: $(tr '\n' ' ' <<<"$complaints")"
else
        echo 'ok - each source names its license'
fi
