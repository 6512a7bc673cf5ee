#!/bin/sh
# 20 full-batch steps from PyTorch's starting weights, through `descent train`: weights and losses as PyTorch's to 1e-5.
# steps20.sh NET DESCENT TOOL LAUNCHER...   NET.yaml: mlp20, or gpt20, a whole small gpt with tied weights against PyTorch's own encoder
# layers; NET.txt: the numbers; LAUNCHER: "mpiexec -n 2", or nothing
set -eu
net=$1 descent=$2 tool=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/start"
"$tool" start "$here/$net.txt" "$dir/start"

run() { # what the numbers call it, optimizer, loss, launcher...
    name=$1 optimizer=$2 loss=$3
    shift 3
    "$@" "$descent" train "$here/$net.yaml" --init="$dir/start" --out "$dir/$name" --quiet --set "optimizer=$optimizer" --set "loss=$loss"
    "$tool" compare "$here/$net.txt" "$dir/$name" "$name"
}

case $net in
mlp20)
    run sgd "{name: sgd, lr: 0.2, weight_decay: 0.01}" cross_entropy "$@"
    run momentum "{name: momentum, lr: 0.05, momentum: 0.9, weight_decay: 0.01}" cross_entropy "$@"
    run nesterov "{name: nesterov, lr: 0.05, momentum: 0.9, weight_decay: 0.01}" cross_entropy "$@"
    run adam "{name: adam, lr: 0.01, weight_decay: 0.01}" cross_entropy "$@"
    run adamw "{name: adamw, lr: 0.01, weight_decay: 0.1}" cross_entropy "$@"
    run weighted "{name: sgd, lr: 0.2}" "{name: cross_entropy, class_weights: [0.5, 3, 0.25]}" "$@"
    ;;
gpt20)
    run momentum "{name: momentum, lr: 0.1, momentum: 0.9}" cross_entropy "$@"
    run adamw "{name: adamw, lr: 0.01, weight_decay: 0.1, eps: 1e-3, clip_norm: 0.5}" cross_entropy "$@"
    ;;
esac
