# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the quickstart and the tests share: lines for people, waits that show
# that they go on, missing packages, a virtual environment, and a Docker daemon
# of our own. Source it from bash with `set -euo pipefail`; it sets traps, so
# that what was started is stopped on every way out.
#
#   LOG          file that the output of commands goes to; set it before busy()
#   on_exit      push a command to run at exit (last pushed, first run)
#   step, say, warn, die    lines for people
#   busy         run a command; a spinner and the seconds where a terminal looks on
#   need         packages; installed where that may be done, else listed
#   venv         a virtual environment
#   docker_start, docker_stop, "${DOCKER[@]}"    our own daemon

export DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin

LOG=${LOG:-/dev/null}
EXIT_COMMANDS=()
BUSY=

on_exit() {
        EXIT_COMMANDS+=("$*")
}

run_exit_commands() {
        local status=$? i
        trap '' INT TERM HUP
        trap - EXIT
        set +e
        [[ -t 2 ]] && printf '\r\033[K' >&2
        [[ -n $BUSY ]] && end_group "$BUSY"
        for ((i = ${#EXIT_COMMANDS[@]} - 1; i >= 0; i--)); do
                eval "${EXIT_COMMANDS[i]}"
        done
        exit "$status"
}
trap run_exit_commands EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

say() {
        printf '      %s\n' "$*"
}

warn() {
        printf '      ! %s\n' "$*"
}

die() {
        printf 'error: %s\n' "$*" >&2
        exit 2
}

STEP=0
STEPS=0

# The next of $STEPS steps.
step() {
        STEP=$((STEP + 1))
        printf '[%d/%d] %s\n' "$STEP" "$STEPS" "$*"
}

# End a process group that we started: politely, then not.
end_group() {
        local group=$1 i
        kill -TERM -- "-$group" 2>/dev/null || return 0
        for ((i = 0; i < 50; i++)); do
                kill -0 -- "-$group" 2>/dev/null || return 0
                sleep 0.1
        done
        kill -KILL -- "-$group" 2>/dev/null || true
}

# busy TEXT COMMAND...: run it with its output in $LOG. It gets a process group
# of its own, so that it and all its children can be ended; returns its status.
busy() {
        local text=$1 start=$SECONDS status=0 i=0 spinner="|/-\\"
        shift
        printf '\n=== %s: %s\n' "$text" "$*" >>"$LOG"
        set -m
        "$@" >>"$LOG" 2>&1 </dev/null &
        BUSY=$!
        set +m
        if [[ -t 2 ]]; then
                while kill -0 "$BUSY" 2>/dev/null; do
                        printf '\r      %s %s %d s ' "${spinner:i++%4:1}" "$text" $((SECONDS - start)) >&2
                        sleep 0.2
                done
                printf '\r\033[K' >&2
        fi
        wait "$BUSY" || status=$?
        BUSY=
        if ((status == 0)); then
                say "$text: $((SECONDS - start)) s"
        else
                say "$text: failed with status $status after $((SECONDS - start)) s; the end of $LOG:"
                tail -n 15 "$LOG" | sed 's/^/        | /'
        fi
        return "$status"
}

# A folder below build/ that is ours to write: NAME, or NAME-USER where NAME is
# somebody else's, such as root's.
build_folder() {
        local folder=$PWD/build/$1
        if [[ ! -d build ]] && mkdir build 2>/dev/null; then
                chown --reference=. build
        fi
        [[ ! -e $folder || -O $folder ]] || folder+=-$(id -un)
        mkdir -p "$folder" || die "can't make $folder; may $(id -un) write here?"
        echo "$folder"
}

# --- packages ------------------------------------------------------------------

# Is what a package is wanted for here already, wherever it is from?
have() {
        case $1 in
        auditd) command -v auditctl auditd >/dev/null ;;
        bpftool) command -v bpftool >/dev/null ;;
        clang | clang-format | debootstrap | meson | pkg-config | shellcheck) command -v "$1" >/dev/null ;;
        docker.io) command -v dockerd >/dev/null && command -v docker >/dev/null && command -v runc >/dev/null ;;
        g++) command -v g++ >/dev/null ;;
        gcc) command -v gcc >/dev/null && echo 'int main(void){return 0;}' | gcc -x c -o /dev/null - 2>/dev/null ;;
        libaudit-dev) pkg-config --exists audit 2>/dev/null ;;
        libbpf-dev) pkg-config --exists 'libbpf >= 0.8' 2>/dev/null ;;
        libgtest-dev) [[ -e /usr/include/gtest/gtest.h ]] ;;
        libjansson-dev) pkg-config --exists 'jansson >= 2.13' 2>/dev/null ;;
        nettle-dev) pkg-config --exists nettle 2>/dev/null ;;
        ninja-build) command -v ninja >/dev/null ;;
        python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        zlib1g-dev) pkg-config --exists zlib 2>/dev/null ;;
        *) [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]] ;;
        esac
}

as_root() {
        if ((EUID == 0)); then
                "$@"
        else
                sudo -n --preserve-env=DEBIAN_FRONTEND "$@"
        fi
}

may_install() {
        command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

apt_update() {
        [[ -n ${APT_UPDATED:-} ]] && return
        busy 'reading the lists of packages' as_root apt-get -o DPkg::Lock::Timeout=300 update
        APT_UPDATED=1
}

# Without this, a package of a daemon starts it.
no_daemons() {
        [[ -e /usr/sbin/policy-rc.d ]] && return
        on_exit daemons_again
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
        OUR_POLICY=1
}

daemons_again() {
        [[ -n ${OUR_POLICY:-} ]] || return 0
        as_root rm -f /usr/sbin/policy-rc.d
        OUR_POLICY=
}

# need PACKAGE...: returns 1, with $MISSING set, if some are not here and may
# not be installed.
need() {
        local package status=0
        MISSING=()
        for package; do
                have "$package" || MISSING+=("$package")
        done
        ((${#MISSING[@]})) || return 0
        may_install || return 1
        apt_update
        no_daemons
        busy "installing ${MISSING[*]}" as_root apt-get -o DPkg::Lock::Timeout=300 install -y \
                --no-install-recommends "${MISSING[@]}" || status=1
        daemons_again
        return "$status"
}

# --- Python ----------------------------------------------------------------------

# venv FOLDER NAME REQUIREMENT...: a virtual environment with what is asked for,
# kept as long as NAME's requirements stay the same; its bin/ goes to the front
# of PATH.
venv() {
        local folder=$1 name=$2 stamp wanted
        shift 2
        stamp=$folder/.$name
        [[ -x $folder/bin/python3 ]] && "$folder/bin/python3" -c '' 2>/dev/null ||
                busy 'making a virtual environment' python3 -m venv --clear "$folder" || return 1
        PATH=$folder/bin:$PATH
        wanted=$(printf '%s\n' "$@"; for file; do [[ -f $file ]] && cat "$file"; done; true)
        if [[ -e $stamp && $(<"$stamp") == "$wanted" ]]; then
                say "reusing $folder"
                return
        fi
        busy "installing the Python packages of $name" pip install --disable-pip-version-check \
                "$@" || return 1
        printf '%s\n' "$wanted" >"$stamp"
}

# Meson 1.0 is the oldest that will do; where the distribution's is older, one in the virtual environment FOLDER.
need_meson() { # FOLDER
        local version
        version=$(meson --version 2>/dev/null || echo 0)
        ((${version%%.*} >= 1)) || { need python3-venv && venv "$1" Meson 'meson>=1.0'; }
}

# --- Docker ----------------------------------------------------------------------
#
# A daemon of our own, whatever else runs on this machine: another folder,
# socket, and containerd namespace; no network bridge, no firewall rule. Images
# stay in its folder, so that the next start finds them.

DOCKER=()
DOCKER_FOLDER=
DOCKER_PID=
DOCKER_RUN=

# What dockerd makes and never removes.
docker_leftovers() {
        local path
        for path in /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker /run/containerd/s /run/containerd/fifo \
                /run/containerd /run/docker/plugins /run/docker /etc/docker/key.json /etc/docker; do
                [[ ! -e $path ]] || echo "$path"
        done
}

# End process $1, with its group if it does not go by itself within 30 s.
docker_end() {
        local i
        kill -TERM "$1" 2>/dev/null || return 0
        for ((i = 0; i < 300; i++)); do
                [[ $(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) == [!Z] ]] || return 0
                sleep 0.1
        done
        kill -KILL -- "-$1" 2>/dev/null || true
}

# Unmount all below a folder.
docker_unmount() {
        local target
        awk -v d="$1/" 'index($5 "/", d) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r target; do
                umount "$target" 2>/dev/null || umount -l "$target" 2>/dev/null || true
        done
}

# What is to be done once the daemon is gone: $DOCKER_FOLDER/before says what
# was there without it.
docker_tidy() {
        local path
        docker_unmount "$DOCKER_FOLDER"
        docker_unmount "$DOCKER_RUN"
        rm -rf "$DOCKER_RUN"
        docker_leftovers | grep -vxFf "$DOCKER_FOLDER/before" | while read -r path; do
                if [[ -d $path ]]; then
                        rmdir "$path" 2>/dev/null || true
                else
                        rm -f "$path"
                fi
        done
        rm -f "$DOCKER_FOLDER"/{pid,run,before}
        DOCKER_RUN=
}

# A daemon that an earlier run could not stop, because it was killed.
docker_end_stale() {
        local pid=
        [[ -e $DOCKER_FOLDER/run && -e $DOCKER_FOLDER/before ]] || return 0
        DOCKER_RUN=$(<"$DOCKER_FOLDER/run")
        [[ -e $DOCKER_FOLDER/pid ]] && pid=$(<"$DOCKER_FOLDER/pid")
        if [[ -n $pid ]] && tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "$DOCKER_FOLDER/data"; then
                say "stopping the Docker daemon that an earlier run left (process $pid)"
                docker_end "$pid"
        fi
        docker_tidy
}

# docker_start FOLDER: sets DOCKER, the client's command. Returns 1, with the
# daemon's last words in $LOG, if it does not come up in 30 s.
docker_start() {
        local i client
        mkdir -p "$1"
        DOCKER_FOLDER=$(realpath "$1")
        docker_end_stale
        # Sockets must have short names: 107 bytes.
        DOCKER_RUN=$(mktemp -d /run/cosmos-docker.XXXXXX)
        printf '%s\n' "$DOCKER_RUN" >"$DOCKER_FOLDER/run"
        docker_leftovers >"$DOCKER_FOLDER/before"
        echo . >>"$DOCKER_FOLDER/before"
        on_exit docker_stop
        set -m
        dockerd --data-root "$DOCKER_FOLDER/data" --exec-root "$DOCKER_RUN/exec" -p "$DOCKER_FOLDER/pid" \
                -H "unix://$DOCKER_RUN/docker.sock" --bridge=none --iptables=false --ip6tables=false \
                --ip-forward=false --ip-masq=false --userland-proxy=false \
                --containerd-namespace cosmos --containerd-plugins-namespace cosmos-plugins \
                >"$DOCKER_FOLDER/log" 2>&1 </dev/null &
        DOCKER_PID=$!
        set +m
        for ((i = 0; i < 300; i++)); do
                # The first client in PATH may be too new for this daemon.
                for client in docker /usr/bin/docker; do
                        DOCKER=("$client" -H "unix://$DOCKER_RUN/docker.sock")
                        "${DOCKER[@]}" info >/dev/null 2>&1 && docker_remove_all && return 0
                done
                kill -0 "$DOCKER_PID" 2>/dev/null || break
                sleep 0.1
        done
        tail -n 15 "$DOCKER_FOLDER/log" >>"$LOG"
        docker_stop
        return 1
}

docker_remove_all() {
        "${DOCKER[@]}" ps -aq 2>/dev/null | xargs -r "${DOCKER[@]}" rm -f -v >/dev/null 2>&1 || true
}

docker_stop() {
        [[ -n $DOCKER_RUN ]] || return 0
        docker_remove_all
        docker_end "$DOCKER_PID"
        wait "$DOCKER_PID" 2>/dev/null || true
        docker_tidy
}

# Can the registry be reached?
registry_answers() {
        timeout 10 bash -c '</dev/tcp/registry-1.docker.io/443' 2>/dev/null
}

# debian_image NAME PACKAGE FOLDER: an image of this distribution with one package in it.
debian_image() {
        local name=$1 package=$2 folder=$3 suite=bookworm components=main mirror=http://deb.debian.org/debian id=debian
        if [[ -r /etc/os-release ]]; then
                id=$(sed -n 's/^ID=//p' /etc/os-release)
                suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
        fi
        case $id in
        debian) ;;
        ubuntu)
                components=main,universe
                mirror=http://archive.ubuntu.com/ubuntu
                [[ $(dpkg --print-architecture) == @(amd64|i386) ]] || mirror=http://ports.ubuntu.com/ubuntu-ports
                ;;
        *) suite=bookworm ;;
        esac
        rm -rf "$folder"
        on_exit "rm -rf '$folder'"
        busy "building an image of $suite with $package (debootstrap; about a minute)" \
                debootstrap --variant=minbase --include="$package" --components="$components" \
                "$suite" "$folder" "$mirror" || return 1
        busy 'importing it' import_image "$folder" "$name" || return 1
        rm -rf "$folder"
}

import_image() {
        local without
        without=(./var/cache/apt/'*' ./var/lib/apt/lists/'*' ./usr/share/doc/'*' ./usr/share/man/'*'
                ./usr/share/locale/'*' './dev/*' './var/lib/mysql/*')
        tar -C "$1" "${without[@]/#/--exclude=}" -c . | "${DOCKER[@]}" import - "$2"
}
