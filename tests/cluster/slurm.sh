#!/usr/bin/env bash
# A Slurm of N nodes on one machine, as root and without systemd: munged, slurmctld and a slurmd for each of node1..nodeN, all in a PID
# namespace of their own, each node in a further one with its host name and /dev/shm. It lives as long as this script, and nothing
# outlives it, however it ends. DIR (private to one cluster) keeps state and logs; clients need SLURM_CONF=DIR/slurm.conf.
# usage: slurm.sh can                   exit 0, or 77 and the reason why not
#        slurm.sh serve DIR N [PORT]    prints "ready" once all nodes are idle; ports PORT to PORT+10+N (17100). Then a line each on stdin:
#            lost I     node I is gone, with all that ran on it and what its slurmd knew
#            crash I    its slurmd is gone, what ran there goes on
#            back I     node I boots again
#            end of the input ends the cluster
# SLURMD_TIMEOUT (10): seconds until a silent node counts as lost. KILL_WAIT (5): seconds from TERM to KILL.
set -euo pipefail
me=$(readlink -f "${BASH_SOURCE[0]}")
export PATH=$PATH:/usr/sbin:/sbin

die() {
    printf 'slurm: %s\n' "$*" >&2
    exit 1
}

cannot() {
    printf '%s\n' "$*"
    exit 77
}

can() {
    local name
    for name in slurmctld slurmd munged sbatch scontrol squeue unshare; do
        command -v "$name" >/dev/null || cannot "no $name here (scripts/packages slurm)"
    done
    [ "$(id -u)" = 0 ] || cannot "a Slurm for tests needs root"
    unshare --pid --uts --mount --fork --mount-proc sh -c 'hostname node1 && mount -t tmpfs none /dev/shm' 2>/dev/null ||
        cannot "no namespaces here (unshare is refused)"
}

config() { # DIR N PORT. CgroupPlugin: without a word Slurm 22.05 looks for cgroups, and gives up on some kinds.
    cat <<C
ClusterName=descent
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$3
SlurmdPort=$(($3 + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$1/munge/sock
StateSaveLocation=$1/state
SlurmdSpoolDir=$1/spool/%n
TmpFS=$1/tmp/%n
SlurmctldPidFile=$1/run/slurmctld.pid
SlurmdPidFile=$1/run/%n.pid
SlurmctldLogFile=$1/log/slurmctld
SlurmdLogFile=$1/log/%n
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
KillWait=${KILL_WAIT:-5}
OverTimeLimit=0
InactiveLimit=0
MinJobAge=3600
WaitTime=0
JobRequeue=1
PropagateResourceLimits=NONE
SlurmctldTimeout=30
SlurmdTimeout=${SLURMD_TIMEOUT:-10}
C
    local i
    for ((i = 1; i <= $2; i++)); do
        echo "NodeName=node$i NodeHostname=node$i NodeAddr=127.0.0.1 Port=$(($3 + 10 + i)) CPUs=4 RealMemory=4000 State=UNKNOWN"
    done
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO"
}

boot() { # I: the shell is the node's process 1, and takes its orphans
    mkdir -p "$dir/spool/node$1" "$dir/tmp/node$1"
    # shellcheck disable=SC2016
    unshare --pid --uts --mount --fork --kill-child --mount-proc bash -c '
        hostname "$0" && mount -t tmpfs -o mode=1777 none /dev/shm && slurmd -D -f "$SLURM_CONF" -N "$0" &
        while :; do sleep 1; done' "node$1" </dev/null >>"$dir/log/node$1.out" 2>&1 &
    node[$1]=$!
}

lose() { # I
    [ -n "${node[$1]:-}" ] || return 0
    kill -KILL "${node[$1]}" 2>/dev/null || true # --kill-child takes the namespace with it
    wait "${node[$1]}" 2>/dev/null || true
    node[$1]=
    rm -rf "$dir/spool/node$1" "$dir/tmp/node$1"
}

crash() { # I: the slurmd alone; its pid file counts in the node's own namespace
    local pid
    for pid in $(pgrep -f "^slurmd -D -f $SLURM_CONF -N node$1\$"); do kill -KILL "$pid"; done
}

serve_inside() { # DIR N
    dir=$1
    export SLURM_CONF=$dir/slurm.conf
    declare -a node=()
    munged --force --key-file="$dir/munge/key" --socket="$dir/munge/sock" --pid-file="$dir/munge/pid" \
        --log-file="$dir/log/munged" --seed-file="$dir/munge/seed" --num-threads=2 >&2
    slurmctld -f "$SLURM_CONF" >&2
    local i verb n=0 tries
    for ((i = 1; i <= $2; i++)); do boot "$i"; done
    for ((tries = 0; tries < 150 && n < $2; tries++)); do
        n=$(sinfo -h -N -o %T 2>/dev/null | grep -cx idle) || sleep 0.2
    done
    [ "$n" -ge "$2" ] || die "$n of $2 nodes came up; see $dir/log"
    echo ready
    while read -r verb i; do
        case $verb in
        lost) lose "$i" ;;
        crash) crash "$i" ;;
        back) lose "$i"; boot "$i" ;;
        *) die "no command '$verb'" ;;
        esac
        echo "done"
    done
}

serve() { # DIR N [PORT]
    can >&2
    local dir
    mkdir -p "$1"
    dir=$(readlink -f "$1")
    mkdir -p "$dir"/{munge,state,spool,log,run,tmp}
    chmod 755 "$dir"
    chmod 700 "$dir/munge"
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
    config "$dir" "$2" "${3:-17100}" >"$dir/slurm.conf"
    echo "CgroupPlugin=cgroup/v1" >"$dir/cgroup.conf"
    exec unshare --pid --mount --fork --kill-child --mount-proc "$me" serve_inside "$dir" "$2"
}

verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in
can | serve | serve_inside) "$verb" "$@" ;;
*) sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$me"; exit 2 ;;
esac
