#!/usr/bin/env bash
# Hosts of two kinds: a rank under valgrind sees a CPU that has AVX2 at most, the other one what the machine has. Each computes as
# it can, and the bits are those of a run of equal ranks. Sanitizers and valgrind exclude each other.
# usage: mixed_cpus.sh DESCENT
set -euo pipefail
descent=$(realpath "$1")
command -v valgrind >/dev/null || { echo "valgrind is not installed"; exit 77; }
grep -qw avx512f /proc/cpuinfo || { echo "no CPU above AVX2 here"; exit 77; }
if nm -D "$descent" | grep -q __asan_init; then echo "a build with sanitizers"; exit 77; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_MCA_orte_tmpdir_base=$work # not shared with what runs beside it: see mpiexec.sh
cd "$work"
cat >c.yaml <<'END'
data: {train: {format: synthetic, kind: blobs, samples: 200}}
model: {input: [2], layers: [dense: {units: 8, activation: tanh}, dense: {units: 3}]}
loss: cross_entropy
optimizer: {name: sgd, lr: 0.1}
batch: {size: 64, shards: 8}
train: {max_steps: 3}
END
one=(-n 1)
train=("$descent" train c.yaml --out mixed)
mpirun --oversubscribe "${one[@]}" valgrind -q --log-file=valgrind.log "${train[@]}" : "${one[@]}" "${train[@]}" >mixed.log 2>&1 || {
    cat mixed.log
    exit 1
}
"$descent" train c.yaml --out plain >plain.log 2>&1
grep "the same bits on any CPU" mixed.log
hash_of() { grep -o '"params_hash":"[0-9a-f]*"' "$1/metrics.jsonl"; }
mixed=$(hash_of mixed) # no hash ends the test here
plain=$(hash_of plain)
echo "mixed $mixed, plain $plain"
[ "$mixed" = "$plain" ]
