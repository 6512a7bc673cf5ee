# Shared by the scripts: where the tree is, which packages it needs, how build folders come to be. Source it.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cores=$(nproc)

# Open MPI refuses root and more ranks than cores unless told; waiting ranks should leave the core to the working ones.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# packages_of TIER...: the names that scripts/packages.txt lists for these tiers.
packages_of() {
    local tier
    for tier; do
        sed -n "s/^$tier  *\([^ ]*\).*/\1/p" "$root/scripts/packages.txt"
    done
}

# packages_missing NAME...: those that are not installed, a line each.
packages_missing() {
    local have name
    have=" $(dpkg-query -W -f='${db:Status-Status} ${Package} ' "$@" 2>/dev/null || true)"
    for name; do
        case $have in *" installed $name "*) ;; *) printf '%s\n' "$name" ;; esac
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# packages_install NAME...: install what is missing; touches nothing and needs no network when nothing is.
packages_install() {
    local -a want
    command -v dpkg-query >/dev/null || { say "not a Debian system: taking the packages for installed"; return 0; }
    mapfile -t want < <(packages_missing "$@")
    [ ${#want[@]} -gt 0 ] || return 0
    say "Installing ${want[*]}"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "needs root or sudo; ask your administrator for: apt-get install ${want[*]}"
        return 1
    fi
    local log
    log=$(mktemp)
    if [ -z "${packages_updated:-}" ]; then
        as_root apt-get update -qq </dev/null >"$log" 2>&1 || say "apt-get update failed; trying with the lists at hand"
        packages_updated=1
    fi
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" </dev/null >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# build_make DIR [meson options]: set DIR up where it is missing, then build what is not current.
build_make() {
    local dir=$1
    shift
    if [ ! -f "$root/$dir/build.ninja" ]; then
        meson setup "$root/$dir" "$root" "$@" >&2
    fi
    ninja -C "$root/$dir" >&2
}

# build_tests DIR NAME meson-test-options...: run tests; what happened is left in DIR/meson-logs/NAME.json.
build_tests() {
    local dir=$1 name=$2
    shift 2
    rm -f "$root/$dir/meson-logs/$name.json"
    CK_DEFAULT_TIMEOUT=60 meson test -C "$root/$dir" --no-rebuild --print-errorlogs --num-processes $((cores + 1)) --logbase "$name" "$@" >&2 </dev/null || true
}
