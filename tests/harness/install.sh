#!/usr/bin/env bash
# Install to a private prefix, then build and run the example for C programs against it by pkg-config, as a user would.
# usage: install.sh SOURCE_ROOT BUILD_ROOT
set -euo pipefail
source=$1 build=$2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_MCA_orte_tmpdir_base=$work # not shared with what runs beside it: see mpiexec.sh
meson install -C "$build" --no-rebuild --quiet --destdir "$work/stage" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
prefix=$work/stage$(meson introspect "$build" --buildoptions |
    python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
pc=$(find "$prefix" -name descent.pc)
[ -n "$pc" ] || { echo "no descent.pc under the prefix"; exit 1; }
sed -i "s|^prefix=.*|prefix=$prefix|" "$pc" # staged: what an installation to that prefix says
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs descent)
libs=$(dirname "$(find "$prefix" -name 'libdescent.so*' -o -name libdescent.a | head -n 1)")
echo "pkg-config says: $flags"
"$prefix/bin/descent" --version
example=$(find "$source/tests/embed" -name '*.c' | head -n 1)
[ -n "$example" ] || { echo "no example in tests/embed"; exit 1; }
# shellcheck disable=SC2086  # flags are words
mpicc -std=c11 -Wall -Wextra -o "$work/example" "$example" $flags -lm
cd "$work"
printf '#include <descent.h>\nint main(void) { return ds_exit_code(DS_OK); }\n' >short.c
# shellcheck disable=SC2086
mpicc -std=c11 -o short short.c $flags
export LD_LIBRARY_PATH=$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
./short
# a plug-in needs the one header, and no flags
cc -shared -fPIC -I "$prefix/include" -o libmichaelis.so "$source/examples/plugin/michaelis.c"
cp "$source/examples/plugin/michaelis.yaml" "$source/examples/plugin/puromycin.csv" .
"$prefix/bin/descent" train michaelis.yaml --quiet
for ranks in 1 3; do
    mpirun --oversubscribe -n "$ranks" ./example
    echo "the example ran on $ranks"
done
