#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kernels_for.sh neon|c11 TREE OUTPUT: the test of the kernels, built for what this machine's compiler does not build it
# for: AArch64, with a cross compiler, to be run by qemu; or the portable kernels with a compiler that knows C11 and
# nothing else (tcc: no vectors, no extension, no optimiser).
set -eu
target=$1
tree=$2
output=$3
objects=$output.d
static=
kernels=$tree/lib/predictor/kernels
rm -rf "$objects"
mkdir -p "$objects"

c() { # COMPILER SOURCE OPTION...
        compiler=$1
        source=$2
        shift 2
        "$compiler" -std=c11 -I"$tree/lib" -I"$tree/include" "$@" -c "$source" -o "$objects/$(basename "$source").o"
}

case $target in
neon)
        cc=aarch64-linux-gnu-gcc
        cxx=aarch64-linux-gnu-g++
        static=-static # qemu has no libraries of that machine
        c "$cc" "$kernels/portable.c" -O2 -ffp-contract=off
        c "$cc" "$kernels/neon.c" -O2 -ffp-contract=off
        c "$cc" "$kernels/isa_aarch64.c" -O2
        ;;
c11)
        cc=cc
        cxx=c++
        c tcc "$kernels/portable.c"
        c tcc "$kernels/isa_portable.c"
        ;;
esac
c "$cc" "$tree/lib/predictor/pack.c" -O2 -D_GNU_SOURCE
c "$cc" "$tree/lib/predictor/tensor.c" -O2 -D_GNU_SOURCE
# The test framework as source, as Debian has it: there is no other for a foreign machine.
# shellcheck disable=SC2086 # one option or none
$cxx -std=c++17 -O1 -w $static -pthread -I"$tree/lib" -I"$tree/include" -I/usr/src/googletest/googletest/include \
        -I/usr/src/googletest/googletest "$tree/tests/unit/predictor/test_kernels.cc" \
        /usr/src/googletest/googletest/src/gtest-all.cc /usr/src/googletest/googletest/src/gtest_main.cc \
        "$objects"/*.o -lm -o "$output"
