"""Four hosts (network namespaces, tests/cluster) train together by the command lines of docs/hosts.md: the bits of one rank, whatever
the placement. Skipped where there can be no namespaces. usage: several_hosts.py DESCENT SOURCE_ROOT TEST_WORLD"""
import pathlib
import shlex
import subprocess
import sys
import time

from runs import Folder, Program, Result, Tap, environment, events, final_hash, skip_all, table

root = pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(root / "tests/cluster"))
import hosts as cluster  # noqa: E402

CONFIG = """
name: several-hosts
seed: 7
data:
  train: {format: csv, path: train.csv, target: kind}
  normalize: standard
model: {input: [16], layers: [dense: {units: 1024, activation: relu}, dense: {units: 300, activation: gelu}, dense: {units: 7}]}
loss: cross_entropy
batch: {size: 64, shards: 8}
optimizer: {name: adamw, lr: 0.002, clip_norm: 0.5}
sync: {bucket: 1 MiB}
train: {epochs: 2, log_every: 5}
checkpoint: {every_steps: 20}
"""
tap = Tap()


def documented():
    """The page's command with host file and interface: mpirun's options; and the placements of its table."""
    lines = (root / "docs/hosts.md").read_text().splitlines()
    command = next((shlex.split(line) for line in lines if line.startswith("    mpirun ") and "oob_tcp_if_include" in line), [])
    options = command[1:command.index("build/descent")] if "build/descent" in command else []
    rows = [line.split("`")[1] for line in lines if line.startswith("|") and "`--map-by " in line and "PE=" not in line]
    good = {"--hostfile", "btl_tcp_if_include", "10.77.0.0/24"} <= set(options) and len(rows) == 3
    tap.point(good, "docs/hosts.md has the command and the placements", f"{len(options)} words, {rows}")
    return options, [row.replace("ppr:K:", "ppr:2:") for row in rows]


def run(folder, hosts, name, options, *more):
    """A documented command on the hosts: (result, run directory)."""
    out, start = folder.path / name, time.monotonic()
    words = [str(folder.path / "hosts.txt") if word == "hosts.txt" else word for word in options]
    command = hosts.mpirun(*words, sys.argv[1], "train", folder.path / "config.yaml", "--out", out, *more)
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        return Result(command, done.returncode, done.stdout, done.stderr, time.monotonic() - start), out
    except subprocess.TimeoutExpired as late:
        return Result(command, "timeout", str(late.stdout), str(late.stderr), 60), out


def placements(folder, hosts, one, options, rows):
    """Slots 2 a host. 6 ranks by slot leave a host empty, by node fill four; 2 a node make 8."""
    for row, ranks, used in zip(rows, (6, 6, 8), (3, 4, 4)):
        count = [] if "ppr" in row else ["-n", str(ranks)]
        done, out = run(folder, hosts, row.split()[-1].replace(":", "-"), [*options, *row.split(), *count])
        start = (events(out, "start") or [{}])[0]
        tap.say(f"{row}: {done.seconds:.1f} s, start {start}")
        good = done.code == 0 and final_hash(out) == one
        tap.point(good, f"{row}: the bits of one rank", final_hash(out) if good else done)
        tap.point((start.get("ranks"), start.get("hosts")) == (ranks, used), f"{row}: {ranks} ranks on {used} hosts",
                  f"{start.get('ranks')} on {start.get('hosts')}")


def messages(hosts):
    """The test of messages and small collectives, between hosts: there they travel in pieces."""
    done = subprocess.run(hosts.mpirun("--hostfile", hosts.file, *cluster.INTERFACE, sys.argv[3]), env=environment(), capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=60)
    good = done.returncode == 0 and "world of 4 on 4 hosts" in done.stdout
    tap.point(good, "messages between hosts arrive whole", " ".join(done.stdout.splitlines()[:1]) if good else done.stdout + done.stderr)


def goes_on(folder, hosts, one, options):
    """Begun on four hosts, gone on with on two, then on none but this."""
    run(folder, hosts, "moves", [*options, "--map-by", "node", "-n", "4"], "--set", "train.max_steps=12", "--set", "train.epochs=0")
    edits = ["--set", "train.max_steps=0", "--set", "train.epochs=2", "--resume"]
    done, out = run(folder, hosts, "moves", [*options, "--map-by", "slot", "-n", "3"], *edits)
    ranks = [e["ranks"] for e in events(out, "resume")]
    good = done.code == 0 and final_hash(out) == one and ranks == [3]
    tap.point(good, "4 ranks on four hosts, then 3 on two: the bits of one rank", f"{final_hash(out)}, resumed on {ranks}" if good else done)


def main():
    why = cluster.why_not()
    if why:
        skip_all(why)
    program = Program(sys.argv[1])
    options, rows = documented()
    with Folder("several") as folder, cluster.Hosts(4) as hosts:
        table(folder.path / "train.csv", 1003, 16, 7, 1)
        (folder.path / "config.yaml").write_text(CONFIG)
        (folder.path / "hosts.txt").write_text("".join(f"node{i} slots=2\n" for i in (1, 2, 3, 4)))
        done = program.train(folder.path / "config.yaml", folder.path / "one")
        one = final_hash(folder.path / "one")
        if tap.point(done.code == 0 and one, "one rank", one or done):
            placements(folder, hosts, one, options, rows)
            goes_on(folder, hosts, one, options)
        messages(hosts)
    tap.done()


main()
