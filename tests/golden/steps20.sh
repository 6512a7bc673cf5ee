# What mlp20.sh and gpt20.sh share; sourced with `numbers` set to the file's name. Leaves the launcher in "$@".
set -eu
descent=$1 tool=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/start"
"$tool" start "$here/$numbers" "$dir/start"

steps() { # NAME LAUNCHER..., the config on stdin: train, compare with what the numbers say under NAME
    name=$1
    shift
    cat > "$dir/$name.yaml"
    "$@" "$descent" train "$dir/$name.yaml" --init="$dir/start" --out "$dir/$name" --quiet
    "$tool" compare "$here/$numbers" "$dir/$name" "$name"
}
