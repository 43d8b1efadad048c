#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All tests: installs what is missing (Debian, Ubuntu), builds with gcc, with
# clang and with AddressSanitizer and UBSan, warnings as errors, and runs the C,
# Python and live tests, and the checks of the tree. The last line is
# `N passed, N failed, N skipped`; the status is 0 if none failed. Live tests
# need root and skip, with the reason, without it.
set -euo pipefail
cd "$(dirname "$0")/.."
TREE=$PWD
# shellcheck source=examples/common.sh
. examples/common.sh

BUILD=$(build_folder tests)
RESULTS=$BUILD/results
LOG=$BUILD/log
STEPS=9
mkdir -p "$BUILD"
rm -rf "$RESULTS"
mkdir "$RESULTS"
: >"$LOG"
FILES=()

# A result of our own, beside those that the tests write.
result() { # NAME STATUS WHY
        if (($2 == 0)); then
                echo "ok - $1" >>"$RESULTS/phases.tap"
        else
                echo "not ok - $1: $3; see $LOG" >>"$RESULTS/phases.tap"
        fi
}

# phase NAME COMMAND...: a step that must succeed.
phase() {
        local status=0
        busy "$@" || status=$?
        result "$1" "$status" "status $status"
        return "$status"
}

# build NAME OPTION...: with $CC and $CXX, warnings as errors.
build() {
        local name=$1 folder=$BUILD/$1
        shift
        if [[ ! -e $folder/build.ninja ]]; then
                phase "$name: configure" meson setup "$folder" -Dwerror=true "$@" || return 1
        fi
        phase "$name: build without a warning" ninja -C "$folder"
}

# c_tests NAME OPTION...: GoogleTest's cases, fuzzing corpora, examples.
c_tests() {
        local name=$1
        shift
        rm -f "$BUILD/$name/meson-logs/testlog.junit.xml"
        # Its own results say which test failed; the status, if something else did.
        phase "$name: C tests" meson test -C "$BUILD/$name" --no-rebuild --print-errorlogs "$@" || true
        FILES+=("$name=$BUILD/$name/meson-logs/testlog.junit.xml")
}

# py_tests NAME PROGRAMS LIBRARY FOLDER...: pytest, with the programs of one build
# and the library of one.
py_tests() {
        local name=$1 programs=$2 library=$3 status=0
        shift 3
        busy "$name" env COSMOS_BUILD="$BUILD/$programs" COSMOS_LIBRARY="$BUILD/$library/lib/libcosmos.so" \
                PYTHONPATH="$TREE/bindings/python" PYTHONDONTWRITEBYTECODE=1 \
                python3 -m pytest -q -ra -p no:cacheprovider --junitxml="$RESULTS/$name.xml" "$@" || status=$?
        # 5: nothing was collected; 1: failures, which the file names.
        ((status == 0 || status == 1)) || result "$name" "$status" "pytest ended with $status"
        FILES+=("$name=$RESULTS/$name.xml")
}

python_tests() {
        find bindings models tests -name 'test_*.py' -not -path 'tests/live/*' -printf '%h\n' | sort -u
}

check() { # NAME COMMAND...: a script that writes TAP
        local name=$1
        shift
        "$@" >"$RESULTS/$name.tap" 2>>"$LOG" || true
        FILES+=("$name=$RESULTS/$name.tap")
}

step 'What the tests need'
PACKAGES=(gcc g++ clang ninja-build meson pkg-config libjansson-dev zlib1g-dev nettle-dev libgtest-dev python3-venv)
LIVE=(libaudit-dev auditd docker.io clang-format shellcheck locales)
need "${PACKAGES[@]}" || die "missing, and not root: ${MISSING[*]} (apt-get install ${MISSING[*]})"
need "${LIVE[@]}" || say "without ${MISSING[*]}: what needs them is skipped"
need tcc qemu-user g++-aarch64-linux-gnu || say "without ${MISSING[*]}: the kernels are not tested for AArch64 or plain C11"
need libbpf-dev bpftool || say "without ${MISSING[*]}: no bpf backend, and what tests it is skipped"
export PYTHONDONTWRITEBYTECODE=1
venv "$BUILD/venv" tests pytest numpy safetensors -r models/requirements.txt
need_meson "$BUILD/venv"
# A locale that writes a decimal comma, for the tests that numbers do not follow it.
if mkdir -p "$BUILD/locale" && localedef -i de_DE -f UTF-8 "$BUILD/locale/de_DE.UTF-8" 2>>"$LOG"; then
        export LOCPATH=$BUILD/locale
fi

step 'gcc'
export CC=gcc CXX=g++
build gcc && c_tests gcc

step 'clang'
export CC=clang CXX=clang++
build clang && c_tests clang

step 'gcc with AddressSanitizer and UBSan'
export CC=gcc CXX=g++
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
build asan -Db_sanitize=address,undefined -Doptimization=1 && c_tests asan -t 5

step 'Python'
mapfile -t PYTHON < <(python_tests)
py_tests python gcc gcc "${PYTHON[@]}"

step 'Python, the library with the sanitizers'
# Python itself leaks; the C tests look for leaks.
ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        py_tests python-asan asan asan "${PYTHON[@]}"

step 'Live: the kernel, containers'
py_tests live gcc gcc tests/live

step 'Live, with the sanitizers'
COSMOS_SANITIZED=1 py_tests live-asan asan gcc tests/live

step 'The tree'
check layering python3 tests/layering.py
check symbols python3 tests/symbols.py "$BUILD/gcc/lib/libcosmos.so"
check install tests/install.sh "$BUILD/gcc"
check format tests/format.sh
FILES+=("build=$RESULTS/phases.tap")

printf '\nin %d min %d s; logs and results: %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$BUILD"
python3 tests/count.py "${FILES[@]}"
