#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# One command from a fresh Debian or Ubuntu to a verdict: a real MariaDB server
# in a container is watched under load, its system calls are learnt, a second
# normal run is scored, and then an intrusion.
#
# It needs root for eBPF (or else the kernel's audit system) and for Docker. Without them, or
# on a machine that lacks them, it says so and does the same with the traces in
# examples/traces, which this script has recorded: gzip -9n of those that it
# leaves in build/quickstart. That folder, which makes the next run quick, is all
# that it leaves behind.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=examples/common.sh
. examples/common.sh

BUILD=$(build_folder quickstart)
LOG=$BUILD/log
RUN=$BUILD/run
IMAGE=cosmos-quickstart-mariadb
OFFICIAL=mariadb:10.11
STEPS=8
LIVES=10 # of the server, to learn from: the last are what the threshold is fitted to
AS_IT_SHOULD=yes
RECORDED= # why recorded traces are used; empty: live
: >"$LOG"

# --- a service in a container --------------------------------------------------

# The server is in one container, its clients in another: what is watched is the
# server alone. They meet in a socket; neither has a network.
SOCKET=/run/mysqld/mysqld.sock

server_start() {
        "${DOCKER[@]}" run -d --name db --network none --cpuset-cpus 0 -v "$RUN/data:/var/lib/mysql" -v "$RUN/socket:/run/mysqld" \
                --entrypoint mariadbd "$IMAGE" --user=mysql --skip-networking --socket="$SOCKET" \
                --thread-handling=pool-of-threads --thread-pool-size=1 --thread-pool-stall-limit=60000
        local i
        for ((i = 0; i < 150; i++)); do
                client mariadb-admin ping 2>/dev/null && return
                sleep 0.2
        done
        "${DOCKER[@]}" logs db
        return 1
}

server_stop() {
        "${DOCKER[@]}" stop -t 30 db
        "${DOCKER[@]}" rm db
}

client() {
        local command=$1
        shift
        "${DOCKER[@]}" exec clients "$command" --socket="$SOCKET" --user=root "$@"
}

# Clients come, make and fill a table, ask, drop it and go, again and again.
load() {
        local clients
        for clients in 1 4 8; do
                client mariadb-slap --concurrency="$clients" --iterations=5 --number-of-queries=100 \
                        --auto-generate-sql --auto-generate-sql-load-type=mixed
        done
}

# One whole life of the server, from its first call to its last.
normal_life() {
        server_start
        load
        server_stop
}

normal_lives() {
        local i
        for ((i = 0; i < LIVES; i++)); do normal_life; done
}

# Somebody has got a shell in the container: looks around, reads, packs, hides.
intrusion() {
        server_start
        load &
        "${DOCKER[@]}" exec db sh -c 'id; uname -a; cat /etc/passwd /etc/shadow; find / -xdev -name "*.ibd" -o -name "*.cnf"'
        "${DOCKER[@]}" exec db sh -c 'cd /var/lib/mysql && tar czf /tmp/.cache.tgz mysql && ls -l /tmp/.cache.tgz && rm /tmp/.cache.tgz'
        wait $!
        server_stop
}

# record TRACE COMMAND...: collect while a command runs. The collector is there
# before the container is, so that the container's whole life is seen.
record() {
        local trace=$1 pid i status=0
        shift
        "$BUILD/cosmos/cli/cosmos-collect" --container db --output "$trace" 2>"$trace.log" &
        pid=$!
        for ((i = 0; i < 150; i++)); do
                grep -q 'collecting' "$trace.log" && break
                kill -0 "$pid" 2>/dev/null || break
                sleep 0.1
        done
        "$@" || status=$?
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" || status=$?
        cat "$trace.log"
        return "$status"
}

# --- what this machine can do ----------------------------------------------------

why_not_live() {
        local said
        said=$("$BUILD/cosmos/cli/cosmos-collect" --duration 0.1 --output /dev/null 2>&1) || printf '%s' "${said##*$'\n'}"
}

image_here() {
        "${DOCKER[@]}" image inspect "$IMAGE" >/dev/null 2>&1
}

get_image() {
        if image_here; then
                say "reusing the image of MariaDB in $BUILD/docker"
        elif registry_answers && busy "pulling $OFFICIAL" timeout 300 "${DOCKER[@]}" pull -q "$OFFICIAL"; then
                "${DOCKER[@]}" tag "$OFFICIAL" "$IMAGE"
        else
                say 'no image registry can be reached: building an image here'
                debian_image "$IMAGE" mariadb-server "$BUILD/rootfs"
        fi
}

# An empty database, and a place to call its clients from.
prepare_service() {
        rm -rf "$RUN"
        mkdir -p "$RUN/data" "$RUN/socket"
        chmod 777 "$RUN/socket"
        "${DOCKER[@]}" run --rm --network none -v "$RUN/data:/var/lib/mysql" --entrypoint mariadb-install-db "$IMAGE" \
                --user=mysql --skip-test-db --auth-root-authentication-method=normal
        "${DOCKER[@]}" run -d --name clients --network none -v "$RUN/socket:/run/mysqld" --entrypoint sleep "$IMAGE" \
                infinity
}

service() {
        docker_start "$BUILD/docker" || return 1
        say "a Docker daemon of our own runs (process $DOCKER_PID)"
        on_exit "rm -rf '$RUN'"
        get_image && busy 'preparing the database' prepare_service
}

# trace NAME TEXT COMMAND...: a trace of a command, or the recorded one; its path in TRACE.
trace() {
        local name=$1 text=$2
        shift 2
        if [[ -z $RECORDED ]]; then
                TRACE=$BUILD/$name.jsonl
                busy "$text" record "$TRACE" "$@"
        else
                TRACE=examples/traces/$name.jsonl.gz
        fi
        say "$(gzip -dcf "$TRACE" | wc -l) lines of ${RECORDED:+recorded }trace: $TRACE"
}

# score NAME VERDICT: of $TRACE. VERDICT: 0 normal, 1 anomalous is what it should be; anything else is an error.
score() {
        local status=0
        "$BUILD/cosmos/cli/cosmos-score" --why "$BUILD/model.bin" "$TRACE" >"$BUILD/$1.scores.jsonl" || status=$?
        ((status < 2)) || die "no score; see above"
        ((status == $2)) || AS_IT_SHOULD=
}

# --- the steps ------------------------------------------------------------------------

step 'What this needs'
PACKAGES=(gcc ninja-build meson pkg-config libjansson-dev zlib1g-dev nettle-dev)
need "${PACKAGES[@]}" || die "missing: ${MISSING[*]}; install them as root: apt-get install ${MISSING[*]}"
if ((EUID != 0)); then
        RECORDED="only root may look into the kernel and start containers (sudo $0)"
elif ! need docker.io debootstrap; then
        RECORDED="${MISSING[*]} could not be installed"
else
        need clang libbpf-dev bpftool || warn "without ${MISSING[*]} there is no eBPF: audit will have to do"
        need libaudit-dev || warn "without ${MISSING[*]} there is no audit: eBPF will have to do"
fi
say "what is needed is here${RECORDED:+, but not for a live run}"

step 'Building Cosmos'
need_meson "$BUILD/venv" || die "no Meson; see $LOG"
[[ -e $BUILD/cosmos/build.ninja ]] || busy 'configuring' meson setup "$BUILD/cosmos" -Dtests=disabled || die "see $LOG"
busy 'building' ninja -C "$BUILD/cosmos" || die "see $LOG"

step 'MariaDB in a container'
if [[ -z $RECORDED ]]; then
        RECORDED=$(why_not_live)
        [[ -n $RECORDED ]] || service || RECORDED="Docker does not work here; see $LOG"
fi
if [[ -n $RECORDED ]]; then
        warn "not live: $RECORDED"
        say 'the traces in examples/traces are used instead; this script recorded them'
fi

step 'Watching it live normally, to learn from'
trace learn "$LIVES lives of the server under load" normal_lives

step 'Learning'
WINDOW=(--window 200 --hop 100)
# Audit does not say which thread made a call, and how a server's threads take turns
# is chance: long windows even that out. A shell's commands are shorter than one.
gzip -dcf "$TRACE" | sed -n 1p | grep -q '"source":"audit"' && WINDOW=(--window 1000 --hop 500)
# So short a recording leaves too few windows for the default quantile: the worst of them, which a busy machine may
# bring about, would be the threshold.
"$BUILD/cosmos/cli/cosmos-train" --epochs 10 --quantile 0.99 "${WINDOW[@]}" --output "$BUILD/model.bin" "$TRACE"

step 'A second normal run'
trace normal 'one more life of the server under load' normal_life
score normal 0

step 'An intrusion: a shell in the container looks around, reads, packs'
trace intrusion 'the server under load, and the shell' intrusion
score intrusion 1

step 'Verdict'
if [[ -z $AS_IT_SHOULD ]]; then
        say 'NOT as it should be: normal, then anomalous, was to come out'
        exit 1
fi
say 'as it should be: normal, then anomalous'
say "each window's score, and its most surprising calls: $BUILD/normal.scores.jsonl, $BUILD/intrusion.scores.jsonl"
