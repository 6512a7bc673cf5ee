"""Training over a slow network: seconds to a test accuracy, by method, on hosts whose links are shaped (namespaces, tests/cluster).
Prints a markdown table. Bytes are those of the hosts' network devices, seconds those of the clock from the run's start.
usage: wan.py DESCENT SOURCE_ROOT [--rate 100mbit] [--hosts 2] [--target 0.88] [--methods none,fp16,...] [--limit 1200] [--set K=V]..."""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

from runs import Folder, Tap, environment, events, skip_all

# name: (edits, an evaluation every so many steps: whole meetings)
METHODS = {
    "none": ([], 25),
    "fp16": (["sync.compress=fp16"], 25),
    "bf16": (["sync.compress=bf16"], 25),
    "int8": (["sync.compress=int8"], 25),
    "local-sgd H=8": (["sync.strategy=local-sgd", "sync.local_steps=8"], 24),
    "diloco H=50": (["sync.strategy=diloco", "sync.local_steps=50"], 50),
}
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
tap = Tap()


def sent_bytes(hosts):
    """What has left node 2, as its network device counts it."""
    text = subprocess.run(hosts.on(2, "cat", "/proc/net/dev"), capture_output=True, text=True).stdout
    return next(int(line.split()[9]) for line in text.splitlines() if line.strip().startswith("eth0:"))


class Race:
    """One run, watched until its accuracy is there, it ends, or its time is up."""

    def __init__(self, options, hosts, folder, name):
        edits, every = METHODS[name]
        self.out, self.log = folder.path / name.replace(" ", "-"), folder.path / "log"
        self.best, self.hit, self.seen, self.start = 0.0, None, 0, None
        sets = [word for edit in [*edits, f"train.eval_every={every}", "checkpoint.every_steps=0", *options.set] for word in ("--set", edit)]
        before = sent_bytes(hosts)
        with open(self.log, "w") as log:
            child = subprocess.Popen(hosts.mpirun("--hostfile", hosts.file, *options.interface, options.descent, "train",
                                                  options.root / "configs/fashion-mlp.yaml", "--out", self.out, *sets),
                                     env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.watch(child, options)
        steps = [e["step"] for e in events(self.out) if "step" in e]
        self.steps = max(steps, default=0)
        self.sent = sent_bytes(hosts) - before

    def look(self, target):
        for e in events(self.out)[self.seen:]:
            self.seen += 1
            if e["event"] == "start":
                self.start = e
            if e["event"] == "eval" and e.get("split") == "test":
                self.best = max(self.best, e["accuracy"])
                if e["accuracy"] >= target and self.hit is None:
                    self.hit = e["step"], time.time() - self.start["time"]

    def watch(self, child, options):
        end = time.monotonic() + options.limit
        while child.poll() is None and self.hit is None and time.monotonic() < end:
            time.sleep(0.05)
            self.look(options.target)
        running = child.poll() is None
        if running:
            child.send_signal(signal.SIGTERM)
        try:
            self.code = child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            self.code = child.wait()
        self.look(options.target)
        self.code = 0 if running else self.code


def row(name, race, none):
    samples = race.steps * race.start["batch"] if race.start else 0
    wire = f"{race.sent / samples / 1e3:.2f}" if samples else "-"
    if race.hit is None:
        return f"| {name} | {wire} | - | not reached (best {race.best:.1%}) | - |"
    step, seconds = race.hit
    ratio = f"{none.hit[1] / seconds:.1f}" if none is not None and none.hit else "-"
    return f"| {name} | {wire} | {step} | {seconds:.1f} | {ratio} |"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("descent")
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--rate", default="100mbit")
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--target", type=float, default=0.88)
    parser.add_argument("--limit", type=float, default=1200, help="seconds a run may take")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    options.names = options.methods.split(",")
    unknown = [name for name in options.names if name not in METHODS]
    if unknown or options.hosts < 2:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(METHODS)}" if unknown else "--hosts: at least 2")
    options.descent, options.root = str(pathlib.Path(options.descent).resolve()), options.root.resolve()
    return options


def main():
    options = parse()
    sys.path.insert(0, str(options.root / "tests/cluster"))
    import hosts as cluster
    options.interface = cluster.INTERFACE
    why = cluster.why_not(options.rate) or ("dataset-fashion-mnist is not installed" if not FASHION.exists() else None)
    if why:
        skip_all(why)
    rows, none = [], None
    with Folder("wan") as folder, cluster.Hosts(options.hosts, options.rate) as hosts:
        for name in options.names:
            race = Race(options, hosts, folder, name)
            none = race if name == "none" else none
            rows.append(row(name, race, none))
            tap.point(race.code == 0 and race.hit, f"{name}: {options.target:.0%} reached", rows[-1] + "\n" + race.log.read_text()[-2000:])
    tap.say(f"{options.hosts} hosts, {options.rate}, {os.cpu_count()} cores for all of them\n")
    print(f"\n| method | KB sent a sample | steps to {options.target:.0%} | seconds | none's seconds / its |\n|---|---|---|---|---|\n" + "\n".join(rows), flush=True)
    tap.done()


main()
