#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# install.sh BUILD: what a build installs is enough to make an agent of one's
# own, with pkg-config, against the shared and the static library. TAP.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

meson install -C "$build" --no-rebuild --destdir "$root" >&2
pc=$(find "$root" -name libcosmos.pc)
lib=$(dirname "$(dirname "$pc")")

flags() {
        PKG_CONFIG_PATH=${pc%/*} pkg-config --define-variable=prefix="$root/usr/local" "$@" libcosmos
}

# agent NAME LINK-ARGUMENT...: builds, runs, and says what is wrong with its model.
agent() {
        local name=$1
        shift
        # shellcheck disable=SC2046 # flags are words
        if cc -std=c11 -D_GNU_SOURCE -Wall -Werror $(flags --cflags) examples/agent.c -o "$root/agent" "$@" >&2 &&
                { LD_LIBRARY_PATH=$lib "$root/agent" /nonexistent 2>&1 || true; } | grep -q '^agent: .*/nonexistent'; then
                echo "ok - an agent with the $name library"
        else
                echo "not ok - an agent with the $name library"
        fi
}

# shellcheck disable=SC2046
agent shared $(flags --libs)
# Its own dependencies may be shared: not every distribution has them as archives.
# shellcheck disable=SC2046
agent static $(flags --libs --static | sed 's/-lcosmos/-l:libcosmos.a/; s/-lcap-ng//')
if ldd "$lib/libcosmos.so" | grep -q libcurl; then
        echo 'not ok - the core library does not link libcurl'
else
        echo 'ok - the core library does not link libcurl'
fi
