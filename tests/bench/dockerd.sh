#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A Docker daemon of our own, with the quickstart's image of MariaDB in it, for
# as long as standard input stays open. The folder is the quickstart's too
# (build/quickstart/docker), so that the image is made once. The client's command
# goes to standard output, one word a line, then an empty line. However the
# benchmark ends, its end of the pipe closes.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=examples/common.sh
. examples/common.sh

IMAGE=cosmos-quickstart-mariadb
BUILD=$(build_folder quickstart)
LOG=$BUILD/bench.log
: >"$LOG"
docker_start "$BUILD/docker" || { cat "$LOG" >&2; die "the Docker daemon does not start; see $BUILD/docker/log"; }
"${DOCKER[@]}" image inspect "$IMAGE" >/dev/null 2>&1 ||
        debian_image "$IMAGE" mariadb-server "$BUILD/rootfs" >&2 || die "no image; see $LOG"
printf '%s\n' "${DOCKER[@]}" ''
cat >/dev/null
