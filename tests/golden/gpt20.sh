#!/bin/sh
# 20 full-batch steps of a whole small gpt, tied weights and all, from PyTorch's starting weights, through `descent train`: weights and
# losses as those of PyTorch's own encoder layers to 1e-5.   gpt20.sh DESCENT TOOL LAUNCHER...   (LAUNCHER: "mpiexec -n 2", or nothing)
set -eu
descent=$1 tool=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/start"
"$tool" start "$here/gpt20.txt" "$dir/start"

run() { # optimizer, its options, launcher...
    name=$1
    cat > "$dir/$name.yaml" <<YAML
name: gpt20
seed: 1
data: {train: {format: tokens, path: $here/gpt20.tokens, vocab: 19}}
model: {preset: gpt, layers: 2, width: 12, heads: 3, context: 7, dropout: 0}
loss: cross_entropy
batch: {size: 15, shards: 4}
optimizer: {name: $name, $2}
lr: {schedule: constant}
train: {epochs: 0, max_steps: 20, log_every: 1}
YAML
    shift 2
    "$@" "$descent" train "$dir/$name.yaml" --init="$dir/start" --out "$dir/$name" --quiet
    "$tool" compare "$here/gpt20.txt" "$dir/$name" "$name"
}

run momentum "lr: 0.1, momentum: 0.9" "$@"
run adamw "lr: 0.01, weight_decay: 0.1, eps: 1e-3, clip_norm: 0.5" "$@"
