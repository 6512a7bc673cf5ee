#!/bin/sh
# Normalisation has the same bits on 1, 2, 3 and 4 ranks.   split_ranks.sh TEST MPIEXEC
set -eu
first=
for n in 1 2 3 4; do
    out=$("$2" -n "$n" "$1") || { echo "$out"; echo "wrong on $n ranks"; exit 1; }
    bits=$(echo "$out" | grep '^bits')
    echo "$n ranks: $bits"
    [ "$n" = 1 ] && echo "$out" && first=$bits
    [ "$bits" = "$first" ] || { echo "differs from 1 rank"; exit 1; }
done
