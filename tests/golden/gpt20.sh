#!/bin/sh
# 20 full-batch steps of a whole small gpt, tied weights and all, from PyTorch's starting weights, through `descent train`: weights and
# losses as those of PyTorch's own encoder layers to 1e-5.   gpt20.sh DESCENT TOOL LAUNCHER...   (LAUNCHER: "mpiexec -n 2", or nothing)
numbers=gpt20.txt
. "$(dirname "$0")/steps20.sh"

run() { # optimizer, its options, launcher...
    name=$1 options=$2
    shift 2
    steps "$name" "$@" <<YAML
name: gpt20
seed: 1
data: {train: {format: tokens, path: $here/gpt20.tokens, vocab: 19}}
model: {preset: gpt, layers: 2, width: 12, heads: 3, context: 7, dropout: 0}
loss: cross_entropy
batch: {size: 15, shards: 4}
optimizer: {name: $name, $options}
lr: {schedule: constant}
train: {epochs: 0, max_steps: 20, log_every: 1}
YAML
}

run momentum "lr: 0.1, momentum: 0.9" "$@"
run adamw "lr: 0.01, weight_decay: 0.1, eps: 1e-3, clip_norm: 0.5" "$@"
