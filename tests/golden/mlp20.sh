#!/bin/sh
# 20 full-batch steps of every optimizer from PyTorch's starting weights, through `descent train`: weights and losses as
# PyTorch's to 1e-5.   mlp20.sh DESCENT TOOL LAUNCHER...   (LAUNCHER: "mpiexec -n 2", or nothing)
set -eu
descent=$1 tool=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/start"
"$tool" start "$here/mlp20.txt" "$dir/start"

run() { # optimizer, its options, launcher...
    name=$1
    cat > "$dir/$name.yaml" <<YAML
name: mlp20
seed: 1
data:
  train: {format: csv, path: $here/mlp20.csv, target: class}
  normalize: none
model:
  input: [5]
  layers:
    - dense: {units: 8, activation: relu}
    - dense: {units: 6, activation: tanh}
    - dense: {units: 3}
loss: ${loss:-cross_entropy}
batch: {size: 24, shards: 8, accumulate: 1}
optimizer: {name: ${optimizer:-$name}, $2}
lr: {schedule: constant}
train: {epochs: 0, max_steps: 20, log_every: 1}
YAML
    shift 2
    "$@" "$descent" train "$dir/$name.yaml" --init="$dir/start" --out "$dir/$name" --quiet
    "$tool" compare "$here/mlp20.txt" "$dir/$name" "$name"
}

run sgd "lr: 0.2, weight_decay: 0.01" "$@"
run momentum "lr: 0.05, momentum: 0.9, weight_decay: 0.01" "$@"
run nesterov "lr: 0.05, momentum: 0.9, weight_decay: 0.01" "$@"
run adam "lr: 0.01, weight_decay: 0.01" "$@"
run adamw "lr: 0.01, weight_decay: 0.1" "$@"
optimizer=sgd loss="{name: cross_entropy, class_weights: [0.5, 3, 0.25]}"
run weighted "lr: 0.2" "$@"
