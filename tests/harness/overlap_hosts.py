"""What overlap hides: step times of fashion-mlp with and without it, on hosts whose links are shaped (namespaces, tests/cluster), and the same
bits. Prints a markdown table. usage: overlap_hosts.py DESCENT SOURCE_ROOT [--rate 1gbit] [--hosts 2] [--batch 1024] [--steps 20] [--rounds 3]
[--set K=V]..."""
import argparse
import pathlib
import statistics
import subprocess
import sys

from runs import Folder, Tap, environment, events, skip_all

FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
tap = Tap()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("descent", type=pathlib.Path)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--rate", default="1gbit")
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args()


def run(options, hosts, interface, overlap):
    """The run's last event, None where it failed."""
    edits = [f"batch={{size: {options.batch}, shards: 8}}", f"sync.overlap={overlap}", f"train={{max_steps: {options.steps}, eval_every: 0}}",
             "checkpoint.every_steps=0", "data.test=null", "data.validation={fraction: 0.001}", *options.set]
    with Folder("overlap") as folder:
        out = folder.path / "run"
        sets = [word for edit in edits for word in ("--set", edit)]
        command = hosts.mpirun("--hostfile", hosts.file, *interface, options.descent.resolve(), "train",
                               options.root.resolve() / "configs/fashion-mlp.yaml", "--out", out, *sets)
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        if not tap.point(done.returncode == 0, f"overlap {overlap}", f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"):
            return None
        return events(out)[-1]


def main():
    options = parse()
    sys.path.insert(0, str(options.root.resolve() / "tests/cluster"))
    import hosts as cluster
    why = cluster.why_not(options.rate) or (None if FASHION.exists() else "no Fashion-MNIST here")
    if why:
        skip_all(why)
    ends = {"false": [], "true": []}
    with cluster.Hosts(options.hosts, options.rate) as hosts:
        for _ in range(options.rounds):
            for overlap in ends:
                ends[overlap].append(run(options, hosts, cluster.INTERFACE, overlap))
    good = [e for es in ends.values() for e in es if e]
    tap.point(len({e["params_hash"] for e in good}) == 1, "the same bits", f"{sorted({e['params_hash'] for e in good})}")
    print(f"\nfashion-mlp, batch {options.batch}, {options.hosts} hosts at {options.rate}; ms a step, medians of {options.rounds} runs of "
          f"{options.steps} steps, means over the ranks\n\n| overlap | step | computing | waiting | hidden |\n|---|---|---|---|---|")
    for overlap, es in ends.items():
        ms = {k: statistics.median(1e3 * f(e) / options.steps for e in es if e) for k, f in {
            "step": lambda e: e["compute_s"] + e["wait_s"], "computing": lambda e: e["compute_s"], "waiting": lambda e: e["wait_s"],
            "hidden": lambda e: e["hidden_s"]}.items()}
        print(f"| {overlap} | " + " | ".join(f"{ms[k]:.1f}" for k in ("step", "computing", "waiting", "hidden")) + " |")
    hidden = [e["hidden_s"] for e in ends["true"] if e]
    tap.point(hidden and min(hidden) > 0 and all(e["hidden_s"] == 0 for e in ends["false"] if e), "seconds hidden with overlap, none without",
              f"{hidden}")
    tap.done()


main()
