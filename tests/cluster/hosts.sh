#!/usr/bin/env bash
# Hosts on one machine, as root: network namespaces node1..nodeN, each with a host name and the address 10.77.0.I, on a switch in a
# namespace of its own, so nothing outside changes and several such clusters live side by side. DIR (private to one cluster)
# keeps its state; the process that called `up` owns it: the next `up` sweeps away what dead owners left.
# usage: hosts.sh can [RATE]                 exit 0, or 77 and the reason why not
#        hosts.sh up DIR N [RATE]            RATE: 1gbit, 100mbit, ...: each host's link, both ways; or none
#        hosts.sh on DIR I CMD...            a command on node I
#        hosts.sh mpirun DIR ARGS...         mpirun on node1; DIR/hosts.txt is a host file, one rank a host
#        hosts.sh link DIR I up|down         plug node I's cable in, pull it out
#        hosts.sh down DIR                   ends what still runs on the hosts, removes them
set -euo pipefail
prefix=descent-hosts
me=$(readlink -f "${BASH_SOURCE[0]}")

die() {
    printf 'hosts: %s\n' "$*" >&2
    exit 1
}

cannot() {
    printf '%s\n' "$*"
    exit 77
}

load() {
    dir=$(readlink -f "$1")
    [ -s "$dir/net" ] || die "$1 holds no hosts (hosts up $1 N)"
    read -r net n <"$dir/net"
}

# A burst takes a whole 64 KiB segment with its headers: a smaller one would have it cut in packets here, at the CPU's cost.
shape() { # NAMESPACE DEVICE RATE: what leaves by this device
    [ "$3" = none ] || ip netns exec "$1" tc qdisc replace dev "$2" root tbf rate "$3" burst 128kb limit 4mb
}

remove() { # NET: hosts and switch, and whatever runs there
    local name pid
    for name in $(ip netns list | awk '{print $1}' | grep -E "^$1-(switch|node[0-9]+)\$" || true); do
        for pid in $(ip netns pids "$name" 2>/dev/null || true); do
            kill -KILL "$pid" 2>/dev/null || true
        done
        ip netns del "$name"
    done
}

sweep() {
    local name owner
    for name in $(ip netns list | awk '{print $1}' | sed -nE "s/^($prefix-[0-9]+-[0-9]+)-switch\$/\1/p"); do
        owner=$(cut -d- -f3 <<<"$name")
        [ -d "/proc/$owner" ] || remove "$name"
    done
}

can() {
    local tool probe="$prefix-$$-probe" rate=${1:-none}
    [ "$(id -u)" = 0 ] || cannot "network namespaces need root"
    for tool in ip tc nsenter unshare; do
        command -v "$tool" >/dev/null || cannot "no $tool here (iproute2, util-linux)"
    done
    ip netns add "$probe" 2>/dev/null || cannot "no network namespaces here"
    trap 'ip netns del "$probe"' RETURN EXIT
    ip -n "$probe" link add left type veth peer name right 2>/dev/null || cannot "no virtual network links here"
    ip -n "$probe" link add switch type bridge 2>/dev/null || cannot "no network bridges here"
    shape "$probe" left "$rate" 2>/dev/null || cannot "no traffic shaping here (tc tbf)"
    nsenter --net="/run/netns/$probe" unshare --uts --mount true 2>/dev/null || cannot "no namespaces of host names and mounts here"
    trap - RETURN EXIT
    ip netns del "$probe"
}

up() {
    local i rate=${3:-none}
    dir=$1 n=$2
    [[ $n =~ ^[1-9][0-9]?$ ]] || die "N is '$n', expected 1 to 99"
    mkdir -p "$dir"
    dir=$(readlink -f "$dir")
    [ ! -e "$dir/net" ] || die "$dir holds hosts already (hosts down $dir)"
    sweep
    net=$prefix-$PPID-$$
    printf '%s %s\n' "$net" "$n" >"$dir/net"
    trap 'remove "$net"; rm -f "$dir/net"' ERR
    printf '127.0.0.1 localhost\n' >"$dir/etc-hosts"
    : >"$dir/resolv.conf"
    : >"$dir/hosts.txt"
    ip netns add "$net-switch"
    ip -n "$net-switch" link add switch type bridge
    ip -n "$net-switch" addr add 10.77.0.254/24 dev switch
    ip -n "$net-switch" link set lo up
    ip -n "$net-switch" link set switch up
    for ((i = 1; i <= n; i++)); do
        ip netns add "$net-node$i"
        ip -n "$net-switch" link add "port$i" type veth peer name eth0 netns "$net-node$i"
        ip -n "$net-switch" link set "port$i" master switch up
        ip -n "$net-node$i" addr add "10.77.0.$i/24" dev eth0
        ip -n "$net-node$i" link set lo up
        ip -n "$net-node$i" link set eth0 up
        shape "$net-node$i" eth0 "$rate"
        shape "$net-switch" "port$i" "$rate"
        printf '10.77.0.%d node%d\n' "$i" "$i" >>"$dir/etc-hosts"
        printf 'node%d slots=1\n' "$i" >>"$dir/hosts.txt"
    done
    printf '#!/bin/sh\nexec %q agent %q "$@"\n' "$me" "$dir" >"$dir/agent"
    chmod +x "$dir/agent"
    trap - ERR
}

# Names resolve through files of our own: no look-up leaves the machine, none times out.
on() { # I CMD...
    local i=$1
    shift
    # shellcheck disable=SC2016
    exec nsenter --net="/run/netns/$net-node$i" unshare --uts --mount sh -c \
        'mount --bind "$1/etc-hosts" /etc/hosts; mount --bind "$1/resolv.conf" /etc/resolv.conf
         hostname "$2"; shift 2; exec "$@"' sh "$dir" "node$i" "$@"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
can) can "$@" ;;
up) up "$@" ;;
on)
    load "$1"
    shift
    on "$@"
    ;;
mpirun)
    load "$1"
    shift
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm=rsh OMPI_MCA_plm_rsh_agent="$dir/agent"
    on 1 mpirun "$@"
    ;;
agent) # as mpirun calls ssh: DIR [-options] HOST words of a command line
    load "$1"
    shift
    while [ "${1#-}" != "$1" ]; do shift; done
    host=${1#node}
    shift
    on "$host" sh -c "$*"
    ;;
link)
    load "$1"
    ip -n "$net-switch" link set "port$2" "$3"
    ;;
down)
    [ -s "$1/net" ] || exit 0
    load "$1"
    remove "$net"
    rm -f "$dir/net" "$dir/agent"
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$me"
    [ "$command" = help ]
    ;;
esac
