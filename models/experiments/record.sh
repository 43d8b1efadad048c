#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
#   models/experiments/record.sh COLLECT TRACE LIVES
#
# Record a second service, to see what becomes of a model that goes on learning (continual.py): LIVES of
# a Redis server in a container under its own benchmark's load, collected by COLLECT (cosmos-collect) to TRACE. It needs root, eBPF and Docker, and leaves nothing but
# the trace; build/record keeps the image.
set -euo pipefail
COLLECT=$(realpath "$1") TRACE=$(realpath "$2") LIVES=$3
cd "$(dirname "$0")/../.."
# shellcheck source=examples/common.sh
. examples/common.sh

BUILD=$(build_folder record)
LOG=$BUILD/log
IMAGE=cosmos-redis
SOCKET=/run/redis/socket

server() { "${DOCKER[@]}" exec clients "$@"; }

# From its first call to its last, with clients of each kind.
life() {
        local clients
        "${DOCKER[@]}" run -d --name redis --network none --cpuset-cpus 0 -v "$BUILD/socket:/run/redis" \
                --entrypoint redis-server "$IMAGE" --port 0 --unixsocket "$SOCKET" --unixsocketperm 777 --dir /run/redis \
                --save 1 1 --appendonly yes
        until server redis-cli -s "$SOCKET" ping 2>/dev/null; do sleep 0.2; done
        for clients in 1 4 16; do
                server redis-benchmark -s "$SOCKET" -c "$clients" -n 250 -q
        done
        sleep 2 # it saves by itself
        "${DOCKER[@]}" stop -t 30 redis
        "${DOCKER[@]}" rm redis
        rm -rf "${BUILD:?}/socket"/*
}

lives() {
        local i
        for ((i = 0; i < LIVES; i++)); do life; done
}

need docker.io debootstrap || die "missing: ${MISSING[*]}"
docker_start "$BUILD/docker" || die "no Docker; see $LOG"
"${DOCKER[@]}" image inspect "$IMAGE" >/dev/null 2>&1 || debian_image "$IMAGE" redis-server "$BUILD/rootfs"
mkdir -p "$BUILD/socket"
chmod 777 "$BUILD/socket"
"${DOCKER[@]}" run -d --name clients --network none -v "$BUILD/socket:/run/redis" --entrypoint sleep "$IMAGE" infinity \
        >>"$LOG"
"$COLLECT" --container redis --output "$TRACE" &
COLLECTOR=$!
on_exit "kill -TERM $COLLECTOR 2>/dev/null; wait $COLLECTOR"
sleep 3
busy "$LIVES lives of a Redis server" lives || die "see $LOG"
