#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test.sh AGENT MODEL TRACE: alerts come of process 8, and of no other.
out=$("$1" "$2" "$3") || exit
echo "$out"
echo "$out" | grep -q '^ALERT web (pid 8): ' && ! echo "$out" | grep -qv '^ALERT web (pid 8): '
