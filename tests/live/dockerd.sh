#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# dockerd.sh FOLDER: a Docker daemon of our own for as long as standard input
# stays open. Its client's command goes to standard output, one word a line,
# then an empty line. However the tests end, their end of the pipe closes.
set -euo pipefail
# shellcheck source=examples/common.sh
. "$(dirname "$0")/../../examples/common.sh"

mkdir -p "$1"
LOG=$1/start.log
: >"$LOG"
docker_start "$1" >&2 || { cat "$LOG" >&2; die "the Docker daemon does not start; see $1/log"; }
printf '%s\n' "${DOCKER[@]}" ''
cat >/dev/null
