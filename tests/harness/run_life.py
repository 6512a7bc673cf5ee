"""The life of a run: its directory, resuming, stopping rules, signals, full disks, terminals. Whole runs of the program, each a
fraction of a second. What a resumed run leaves is compared with an undisturbed run: hash, and the lines of metrics.jsonl.
usage: run_life.py DESCENT SHIM [PART OF A NAME]..."""
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time

from runs import Folder, Program, Tap, checkpoints, environment, events, final_hash, parameters, status, table

CONFIG = """
name: life
seed: 1
data:
  train: {format: synthetic, kind: digits, samples: 640}
  test:  {format: synthetic, kind: digits, samples: 200, seed: 2}
  validation: {fraction: 0.2}
  normalize: standard
model:
  input: [784]
  layers:
    - dense: {units: 32, activation: relu}
    - dense: {units: 10}
loss: cross_entropy
batch: {size: 64, shards: 8}
optimizer: {name: adamw, lr: 0.002, weight_decay: 0.01}
train: {epochs: 6, log_every: 1}
checkpoint: {every_steps: 5, keep: 3}
"""
DRIVEN = """
data: {train: {format: synthetic, kind: blobs, samples: 200}}
model: {input: [2], layers: [dense: {units: 8, activation: tanh}, dense: {units: 3}]}
loss: cross_entropy
optimizer: {name: lbfgs, memory: 6}
batch: {size: 200, shards: 4}
train: {max_steps: 12, log_every: 1}
"""
TIMED = ("samples_per_s", "wall_s", "compute_s", "wait_s", "hidden_s", "time", "ranks", "path")
CASES = []


def case(function):
    CASES.append(function)
    return function


class Case:
    """What a case works with: a folder of its own with config.yaml, and checks that collect what is wrong."""

    def __init__(self, program, folder, shim):
        self.program, self.folder, self.shim, self.wrong = program, folder, shim, []
        folder.mkdir()
        (folder / "config.yaml").write_text(CONFIG)

    def check(self, good, text):
        if not good:
            self.wrong.append(str(text))
        return good

    def sets(self, edits):
        return [word for edit in edits for word in ("--set", edit)]

    def run(self, *args, ranks=1, code=0, env=None, **more):
        """Run a command; its exit code and, where it fails, one error line are judged."""
        prefix = ["/usr/bin/env", *[f"{k}={v}" for k, v in env.items()]] if env else []
        runner = Program(self.program.binary)
        runner.command = lambda words, n: [*(["mpirun", "--oversubscribe", "-n", str(n)] if n > 1 else []), *prefix, runner.binary, *map(str, words)]
        done = runner.run(*args, ranks=ranks, cwd=self.folder, timeout=90, **more)
        self.check(done.code == code, f"expected exit code {code}\n{done}")
        if code not in (0, None):
            self.check(len(done.errors()) == 1, f"{len(done.errors())} error lines\n{done}")
        return done

    def train(self, out, *args, edits=(), **more):
        return self.run("train", "config.yaml", "--out", out, *args, *self.sets(edits), **more)

    def start(self, out, *args, edits=(), ranks=2):
        head = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks else []
        return subprocess.Popen([*head, self.program.binary, "train", "config.yaml", "--out", out, *args, *self.sets(edits)], cwd=self.folder,
                                env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_step(self, child, out, step, seconds=20):
        """Until metrics.jsonl shows the step."""
        path, end = self.folder / out / "metrics.jsonl", time.monotonic() + seconds
        while time.monotonic() < end and child.poll() is None:
            if path.exists() and f'"event":"step","step":{step},' in path.read_text():
                return True
            time.sleep(0.01)
        return False

    def lines(self, out, without=("start", "resume", "checkpoint")):
        return [json.dumps({k: v for k, v in e.items() if k not in TIMED}, sort_keys=True) for e in events(self.folder / out) if e["event"] not in without]

    def same_run(self, out, other, what, without=("start", "resume", "checkpoint")):
        a, b = final_hash(self.folder / out), final_hash(self.folder / other)
        self.check(a and a == b, f"{what}: params_hash {a}, undisturbed {b}")
        a, b = self.lines(out, without), self.lines(other, without)
        self.check(a == b, f"{what}: metrics differ: only here {[x for x in a if x not in b][:3]}, missing {[x for x in b if x not in a][:3]}, {len(a)} and {len(b)} lines")
        steps = [e["step"] for e in events(self.folder / out, "step")]
        self.check(steps == sorted(set(steps)), f"{what}: a step twice or out of order")

    def names(self, out):
        return [path.name for path in checkpoints(self.folder / out)]

    def state(self, out, state, code):
        found = status(self.folder / out)
        self.check(found.get("state") == state and found.get("code") == code, f"status.json of {out}: {found}, expected {state} {code}")
        return found


def snapshot(folder):
    """What may not change: names, times and sizes below a folder."""
    return {str(p.relative_to(folder)): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in folder.rglob("*") if p.name != ".lock"}


@case
def directory(c):
    """A run is not trampled on; --overwrite keeps the old one until the new one stands."""
    c.train("run")
    before = snapshot(c.folder / "run")
    done = c.train("run", code=2, ranks=3)
    c.check("--resume" in done.err and "--overwrite" in done.err, done)
    c.train("run", "--resume")
    c.train("run", "--resume", ranks=3)
    c.check(snapshot(c.folder / "run") == before, "resuming a finished run changed its files")
    c.train("run", "--overwrite", edits=["data.train={format: csv, path: none.csv, target: x}"], code=3)
    c.train("run", "--overwrite", "--init=none.h5", code=4)
    c.check(snapshot(c.folder / "run") == before, "an --overwrite that fails destroyed the old run")
    c.train("run", "--overwrite", edits=["train.epochs=1", "checkpoint.every_steps=0"])
    c.check(c.names("run") == ["step-00000008.h5"], c.names("run"))
    c.run("train", "config.yaml", "--quiet")
    c.check((c.folder / "runs/life/metrics.jsonl").exists(), "no runs/life")
    c.run("train", "run/config.yaml", "--out", "again", "--quiet", ranks=2)
    c.same_run("again", "run", "the run's own config.yaml")
    (c.folder / "file").write_text("")
    c.train("file", code=74)
    c.train("", code=2)
    c.check(sorted(p.name for p in c.folder.iterdir()) == ["again", "config.yaml", "file", "run", "runs"], "files where none belong")


@case
def lock(c):
    """Two runs in one directory."""
    child = c.start("run", edits=["train.epochs=20000"])
    c.check(c.wait_step(child, "run", 1), "no first step")
    for args in (["--resume"], ["--overwrite"], []):
        c.check("run" in c.train("run", *args, code=2, ranks=2).err, args)
    child.send_signal(signal.SIGUSR1)
    child.communicate(timeout=20)
    c.check(child.returncode == 75, f"exit code {child.returncode} after USR1")


@case
def resume_older(c):
    """--resume=CHECKPOINT cuts back to it: later checkpoints must not win the next --resume."""
    c.train("whole", edits=["checkpoint.keep=0"])
    shutil.copytree(c.folder / "whole", c.folder / "run", symlinks=True)
    child = c.start("run", "--resume=run/checkpoints/step-00000010.h5", ranks=3, edits=["train.log_every=1"])
    c.check(c.wait_step(child, "run", 11), "no step 11")
    os.kill(child.pid, signal.SIGKILL) if child.poll() is None else None
    child.communicate(timeout=20)
    c.train("run", "--resume", ranks=2)
    c.same_run("run", "whole", "resumed from step 10")
    c.train("other", "--resume=whole/checkpoints/step-00000020.h5")
    c.check(final_hash(c.folder / "other") == final_hash(c.folder / "whole"), "resumed into a new directory")
    c.check(min(e["step"] for e in events(c.folder / "other", "step")) == 21, "steps before 21")
    for path in checkpoints(c.folder / "whole")[-1:]:
        path.write_bytes(path.read_bytes()[:-1])
    c.train("more", "--resume=whole/checkpoints/" + c.names("whole")[-1], code=4)


@case
def killed(c):
    """After kill -9 at any instant metrics.jsonl has the undisturbed run's lines, none twice, none torn."""
    edits, draw = ["train.epochs=60"], random.Random(5)
    c.train("whole", edits=edits)
    met = set()
    for ranks in (1, 3, 2, 1, 4):
        child = c.start("run", "--resume", edits=edits, ranks=ranks)
        c.wait_step(child, "run", len(met) * 80 + 30)
        time.sleep(draw.uniform(0, 0.05))
        met.add(len(met))
        subprocess.run(["pkill", "-KILL", "-P", str(child.pid)])
        child.kill()
        child.communicate(timeout=20)
        c.check(all(json.loads(line) for line in (c.folder / "run/metrics.jsonl").read_text().splitlines()[:-1]), "a torn line")
    c.train("run", "--resume", edits=edits, ranks=3)
    c.same_run("run", "whole", "after five kills", ("start", "resume"))


@case
def resume_at_the_end(c):
    """Killed between the last checkpoint and the end, and between a checkpoint and its line."""
    c.train("whole")
    for cut in (1, 2):
        out = c.folder / f"run{cut}"
        shutil.copytree(c.folder / "whole", out, symlinks=True)
        text = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
        (out / "metrics.jsonl").write_text("".join(text[:-cut]) + '{"event":"en')
        (out / "status.json").write_text('{"state":"running","code":0,"step":48}')
        c.train(out.name, "--resume", ranks=2)
        c.same_run(out.name, "whole", f"{cut} lines short", ("start", "resume"))
        c.state(out.name, "done", 0)


@case
def changed(c):
    """Another config or other data: 4, naming what; --set goes on and is recorded."""
    c.train("run", edits=["train.max_steps=20"])
    (c.folder / "run/status.json").unlink()
    c.run("train", "run/config.yaml", "--out", "run", "--resume")
    config = c.folder / "config.yaml"
    config.write_text(CONFIG.replace("lr: 0.002", "lr: 0.004").replace("seed: 1\n", "seed: 9\n").replace("epochs: 6", "epochs: 9"))
    for ranks in (1, 3):
        done = c.train("run", "--resume", code=4, ranks=ranks)
        c.check("optimizer.lr" in done.err and "seed" in done.err, done)
    config.write_text(CONFIG)
    c.train("run", "--resume", edits=["optimizer.lr=0.004", "train.max_steps=40"])
    done = c.run("inspect", "run", "--json")
    c.check("optimizer.lr=0.004" in done.out, f"the --set is not recorded\n{done.out[:1500]}")
    c.train("data", edits=["train.max_steps=20"])
    config.write_text(CONFIG.replace("samples: 640}", "samples: 640, seed: 77}"))
    c.train("data", "--resume", code=4)


@case
def other_numerics(c):
    """Other threads and another instruction set, in the config: a warning and the same bits; strict: 4."""
    config, halves = c.folder / "config.yaml", ("isa: auto, threads: 1", "isa: base, threads: 2")
    for kernels in ("native", "openblas"):
        text = CONFIG + f"compute: {{kernels: {kernels}, %s%s}}\n"
        config.write_text(text % (halves[0], ""))
        c.train(f"{kernels}-whole")
        c.train(kernels)
        for path in c.names(kernels)[1:]:  # what stands is a step in the middle
            (c.folder / kernels / "checkpoints" / path).unlink()
        (c.folder / kernels / "status.json").unlink()
        if kernels == "openblas":  # its bits depend on threads: said by the numerics
            config.write_text(text % ("isa: auto, threads: 2", ""))
            done = c.train(kernels, "--resume")
            c.check(done.err.count("the bits will differ") == 1 and "bits stay" not in done.err, done)
            continue
        config.write_text(text % (halves[1], ", strict: true"))
        done = c.train(kernels, "--resume", code=4, ranks=2)
        c.check("in compute.isa, compute.threads, and compute.strict is true" in done.err, done)
        config.write_text(text % (halves[1], ""))
        done = c.train(kernels, "--resume", ranks=2)
        c.check(done.err.count("in compute.isa, compute.threads; the bits stay") == 1, done)
        c.same_run(kernels, f"{kernels}-whole", "resumed with other threads and isa")


@case
def extended(c):
    """A run whose rates know no end goes on when its config asks for more: no --set, the undisturbed bits."""
    config = c.folder / "config.yaml"
    c.train("whole")
    config.write_text(CONFIG.replace("epochs: 6", "epochs: 3"))
    c.train("run", ranks=2)
    config.write_text(CONFIG)
    c.train("run", "--resume", ranks=3)
    c.same_run("run", "whole", "after more epochs", ("start", "resume", "checkpoint", "end"))
    config.write_text(CONFIG.replace("\ntrain: {", "\nlr: {schedule: cosine}\ntrain: {").replace("epochs: 6", "epochs: 3"))
    c.train("cosine")
    config.write_text(config.read_text().replace("epochs: 3", "epochs: 6"))
    done = c.train("cosine", "--resume", code=4)
    c.check("train.epochs" in done.err, done)


@case
def another_objective(c):
    """An optimizer that drives goes on exactly; under another objective or other options of its own it begins afresh, where what it
    remembers would end the run (no trial falls below the old loss) or lie beyond its memory."""
    (c.folder / "config.yaml").write_text(DRIVEN)
    c.train("whole")
    c.train("half", edits=["train.max_steps=8"])
    for name, edit in {"same": [], "l2": ["optimizer.l2=0.5"], "less": ["optimizer.memory=3"], "more": ["optimizer.memory=10"]}.items():
        shutil.copytree(c.folder / "half", c.folder / name)
        c.train(name, "--resume", edits=[*edit, "train.max_steps=12"], ranks=2)
        last = events(c.folder / name, "step")[-1]["step"]
        c.check(last == 12, f"{name}: the last step is {last}, expected 12")
    c.same_run("same", "whole", "the same config")


@case
def plateau(c):
    """A rate that watches the loss: its state goes through a checkpoint, alike on all rank counts; scaled rates say so."""
    for watch in ("train", "validation"):
        # a loss must fall a hundredfold to count as better: none does; patience 1 and a step that is not an epoch's last, so that counters are cut in two
        edits = [f"lr={{schedule: plateau, watch: {watch}, factor: 0.5, patience: 1, threshold: 0.99, cooldown: 1}}", "train.eval_every=3"]
        c.train(f"whole-{watch}", edits=edits)
        rates = [e["lr"] for e in events(c.folder / f"whole-{watch}", "step")]
        c.check(len(set(rates)) >= 2 and rates == sorted(rates, reverse=True) and all(b in (a, a / 2) for a, b in zip(rates, rates[1:])), f"{watch}: {rates}")
        (c.folder / "config.yaml").write_text(CONFIG.replace("epochs: 6", "epochs: 6, max_steps: 20"))
        c.train(f"cut-{watch}", edits=edits, ranks=3)
        (c.folder / "config.yaml").write_text(CONFIG)
        shutil.rmtree(c.folder / f"cut-{watch}" / "best", ignore_errors=True)
        c.train(f"cut-{watch}", "--resume", edits=edits, ranks=2)
        c.check(final_hash(c.folder / f"cut-{watch}") == final_hash(c.folder / f"whole-{watch}"), f"{watch}: other bits after resuming")
    c.train("none", edits=["data.validation.fraction=0", "lr={schedule: plateau, watch: validation}"], code=2)
    done = c.train("scaled", edits=["lr={scale: linear, scale_batch: 32}", "train.max_steps=2"])
    c.check("0.004" in done.out and [e["lr"] for e in events(c.folder / "scaled", "step")] == [0.004] * 2, done)
    done = c.train("dry", "--dry-run", edits=["lr={scale: sqrt, scale_batch: 16}", "batch.accumulate=4"])
    c.check("optimizer.lr 0.002 for a batch of 16 samples becomes 0.008 for 256" in done.out, done)


@case
def damaged(c):
    """A damaged newest checkpoint is said, set aside, and the one before taken; all damaged: 4."""
    c.train("whole")
    shutil.copytree(c.folder / "whole", c.folder / "run", symlinks=True)
    newest = checkpoints(c.folder / "run")[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    newest.write_bytes(content)
    done = c.train("run", "--resume", ranks=3)
    c.check(newest.name in done.err, done)
    c.same_run("run", "whole", "after damage")
    c.check(list((c.folder / "run/checkpoints").glob("*damaged*")), "nothing was set aside")
    for path in checkpoints(c.folder / "run"):
        path.write_bytes(path.read_bytes()[:5000])
    for ranks in (1, 3):
        c.train("run", "--resume", code=4, ranks=ranks)


@case
def stopping(c):
    """Plateau, gradient norm and early stopping end a resumed run at the same step for the same reason."""
    rules = {"plateau": ["stop.plateau={patience: 3, min_delta: 0.02}", "train.epochs=60", "optimizer.lr=0.01"],
             "grad_norm": ["stop.grad_norm=0.9", "train.epochs=60"],
             "early": ["stop.early={patience: 3, min_delta: 0.01}", "train.epochs=60", "optimizer.lr=0.02"]}
    for reason, edits in rules.items():
        edits += ["checkpoint={every_steps: 1, keep: 0}"]
        c.train(f"{reason}-whole", edits=edits, ranks=3)
        end = events(c.folder / f"{reason}-whole", "end")
        if not c.check(end and end[0]["reason"] == reason and end[0]["step"] < 480, f"{reason}: {end}"):
            continue
        last = end[0]["step"]
        for stop in (last // 2, last - 1):
            out = f"{reason}-{stop}"
            shutil.copytree(c.folder / f"{reason}-whole", c.folder / out, symlinks=True)
            c.train(out, f"--resume={out}/checkpoints/step-{stop:08d}.h5", edits=edits, ranks=2)
            found = events(c.folder / out, "end")
            c.check(found and (found[-1]["step"], found[-1]["reason"], found[-1]["params_hash"]) == (last, reason, end[0]["params_hash"]),
                    f"{reason} resumed at {stop}: {found}, undisturbed {end}")
        c.train(f"{reason}-whole", "--resume", edits=edits)


@case
def best(c):
    """`best` is the lowest validation loss, is exempt from pruning, and survives."""
    c.train("run", edits=["optimizer.lr=0.05", "train.epochs=12", "checkpoint.keep=1", "checkpoint.every_steps=3"], ranks=2)
    losses = {e["step"]: e["loss"] for e in events(c.folder / "run", "eval") if e["split"] == "validation"}
    lowest = min(losses, key=losses.get)
    link = (c.folder / "run/best").resolve().name
    c.check(link == f"step-{lowest:08d}.h5", f"best is {link}, lowest at {lowest} of {losses}")
    c.check(set(c.names("run")) == {link, "step-00000096.h5"}, c.names("run"))
    c.train("none", edits=["checkpoint.every_steps=0", "checkpoint.initial=true", "data.validation.fraction=0"])
    c.check(c.names("none") == ["step-00000000.h5", "step-00000060.h5"], c.names("none"))
    c.train("all", edits=["checkpoint.keep=0", "data.validation.fraction=0"])
    c.check(len(c.names("all")) >= 12 and not (c.folder / "all/best").is_symlink(), c.names("all"))


@case
def diverged(c):
    """Not finite: 5 with step, layer, shard, samples; on_nan: skip goes on, alike on all rank counts."""
    for ranks in (1, 3):
        done = c.train(f"nan{ranks}", edits=["optimizer={name: sgd, lr: 1e30}"], code=5, ranks=ranks)
        for part in ("step ", "shard ", "dense", "row"):
            c.check(any(part in line for line in done.errors()), f"no '{part}' in {done.errors()}")
        c.state(f"nan{ranks}", "failed", 5)
    done = c.train("last", edits=["optimizer={name: sgd, lr: 1e38}", "train.max_steps=1"], code=5, ranks=2)
    c.check(any("step 1" in line and "loss" in line for line in done.errors()), done)
    rows = [f"{i % 7 / 7},{(i * i) % 11 / 11},{i % 3}" for i in range(96)]
    rows[40] = f"3e38,3e38,{40 % 3}"
    (c.folder / "huge.csv").write_text("a,b,k\n" + "\n".join(rows) + "\n")
    huge = ["data={train: {format: csv, path: huge.csv, target: k}, normalize: none}", "model.input=[2]", "model.layers.1.dense.units=3",
            "batch={size: 32, shards: 8}", "optimizer={name: momentum, lr: 0.1}"]
    found = set()
    for ranks in (1, 3):
        done = c.train(f"huge{ranks}", edits=huge, code=5, ranks=ranks)
        c.check(any("sample" in line and ": row 40 of the training data" in line for line in done.errors()), done.errors())
        c.train(f"skip{ranks}", edits=[*huge, "train.on_nan=skip"], ranks=ranks)
        found.add(final_hash(c.folder / f"skip{ranks}"))
        c.check(len(events(c.folder / f"skip{ranks}", "skip")) == 6, events(c.folder / f"skip{ranks}", "skip"))
    c.check(len(found) == 1 and None not in found, f"on_nan: skip gives {found}")


@case
def signals(c):
    """INT, TERM and USR1 stop at the next step with a checkpoint; the run goes on from there."""
    edits = ["train.epochs=3000", "checkpoint.every_steps=0", "optimizer.lr=0.0001"]
    for number, ranks in ((signal.SIGUSR1, 2), (signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGUSR1, 0)):
        out = f"run{int(number)}-{ranks}"
        child = c.start(out, edits=edits, ranks=ranks)
        c.check(c.wait_step(child, out, 3), "no step 3")
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
        c.check(child.returncode == 75, f"{number!r} on {ranks}: exit code {child.returncode}\n{err}")
        found = c.state(out, "resumable", 75)
        c.check(c.names(out)[-1:] == [f"step-{found.get('step', 0):08d}.h5"], c.names(out))
        c.check(err.count("descent: error:") == 1, err)
    stop = status(c.folder / "run10-2")["step"] + 40
    c.train("run10-2", "--resume", edits=[*edits, f"train.max_steps={stop}"], ranks=3)
    c.train("whole", edits=[*edits, f"train.max_steps={stop}"])
    c.same_run("run10-2", "whole", "after USR1")
    child = c.start("one", edits=edits, ranks=3)
    c.check(c.wait_step(child, "one", 3), "no step 3")
    subprocess.run(["bash", "-c", f"kill -USR1 $(pgrep -P {child.pid} | tail -1)"])
    child.communicate(timeout=20)
    c.check(child.returncode == 75, f"exit code {child.returncode} after USR1 to the last rank alone")
    c.state("one", "resumable", 75)
    child = c.start("term", edits=edits, ranks=2)
    c.check(c.wait_step(child, "term", 3), "no step 3")
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=20)
    # mpirun reads nothing for a second, then sends TERM, and KILL a second later.
    found = c.state("term", "resumable", 75)
    c.check(c.names("term")[-1:] == [f"step-{found.get('step', 0):08d}.h5"], c.names("term"))
    print(f"# TERM to mpirun: {found}, {err.splitlines()[:1]}")
    c.train("term", "--resume", edits=[*edits, f"train.max_steps={found.get('step', 0) + 40}"], ranks=3)
    c.check(status(c.folder / "term").get("state") == "done", "the run goes on after TERM to mpirun")
    child = c.start("int2", edits=["eval.batch=1", "train.eval_every=1", "data.test.samples=20000", *edits], ranks=0)
    c.check(c.wait_step(child, "int2", 1), "no step 1")
    child.send_signal(signal.SIGINT)
    time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    c.check(child.returncode in (-signal.SIGINT, 75), f"exit code {child.returncode} after two INT")


@case
def early_signal(c):
    """A signal before the first step: while the data are made."""
    child = c.start("run", edits=["data.train.samples=60000", "train.epochs=100"], ranks=0)
    end = time.monotonic() + 10
    while not (c.folder / "run/.lock").exists() and time.monotonic() < end:
        time.sleep(0.002)
    child.send_signal(signal.SIGUSR1)
    _, err = child.communicate(timeout=20)
    c.check(child.returncode == 75, f"exit code {child.returncode}\n{err}")
    c.state("run", "resumable", 75)


class Disk:
    """A small tmpfs; None where it cannot be mounted."""

    def __init__(self, path, size):
        self.path = path
        path.mkdir()
        self.good = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "descent-test", str(path)], capture_output=True).returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.good:
            subprocess.run(["umount", str(self.path)])


@case
def disk_full(c):
    """A full disk: 74, older checkpoints intact, status.json failed; goes on when there is room again."""
    c.train("whole")
    for ranks in (1, 3):
        with Disk(c.folder / f"disk{ranks}", "1100k") as disk:
            if not disk.good:
                return
            out = f"disk{ranks}/run"
            done = c.train(out, edits=["checkpoint.keep=0"], code=74, ranks=ranks)
            c.check(any("space" in line for line in done.errors()), done)
            c.state(out, "failed", 74)
            c.check(len(c.names(out)) >= 2, c.names(out))
            for name in c.names(out):
                c.run("verify", f"{out}/checkpoints/{name}")
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk.path)], check=True)
            c.train(out, "--resume", ranks=2, edits=["checkpoint.keep=0"])
            c.same_run(out, "whole", "after a full disk")
    done = c.train("full", code=74, ranks=3, env={"LD_PRELOAD": c.shim, "SHIM_RANK": "all", "SHIM_FULL": "config.yaml"})
    c.check(any("config.yaml" in line for line in done.errors()), done)
    c.state("full", "failed", 74)
    c.train("full", "--resume", ranks=2)
    c.same_run("full", "whole", "config.yaml")
    for ranks in (1, 3):
        with Disk(c.folder / f"small{ranks}", "20k") as disk:
            out = f"small{ranks}/run"
            done = c.train(out, code=74, ranks=ranks, edits=["checkpoint.every_steps=0", "data.validation.fraction=0"])
            c.check(any("metrics.jsonl" in line for line in done.errors()), done)
            c.state(out, "failed", 74)


@case
def weights(c):
    """--init: what matches is taken, the rest named; frozen layers stay; a kill before the first checkpoint loses nothing."""
    c.train("run", edits=["model.layers.0.dense.name=body"])
    other = ["model.layers.0.dense.name=body", "model.layers.1.dense={units: 11, name: head}", "train.epochs=1", "model.layers.0.dense.trainable=false"]
    done = c.train("next", "--init=run", edits=other, ranks=3)
    c.check("head/weight" in done.err and "dense2/weight" in done.err, done.err)
    for tensor in ("body/weight", "body/bias"):
        a, b = (parameters(checkpoints(c.folder / out)[-1])[tensor] for out in ("run", "next"))
        c.check(a.tobytes() == b.tobytes(), f"{tensor} of a frozen layer changed")
    c.check("step-00000000.h5" in c.names("next"), c.names("next"))
    c.check("no tensor" in c.train("no", "--init=run", edits=["model.layers.0.dense={units: 3, name: a}", "model.layers.1.dense.name=b"], code=4).err, "no match")
    c.train("both", "--init=run", "--resume", edits=other)
    c.check(final_hash(c.folder / "both") == final_hash(c.folder / "next"), "--init with --resume on nothing")


@case
def dry_run(c):
    """The plan: layers, shards, idle share, buckets, memory, wire; nothing is written."""
    done = c.run("train", "config.yaml", "--dry-run", ranks=3)
    for part in (r"dense1 .*\b25120\b", r"\[784\] +\[32\]", r"\[0, 3\)", r"33 %", r"bucket", r"memory", r"sent"):
        c.check(re.search(part, done.out), f"no /{part}/ in\n{done.out}")
    c.check([p.name for p in c.folder.iterdir()] == ["config.yaml"], "files were written")


def on_terminal(c, columns, args, seconds=20):
    """The output of a command whose terminal has so many columns."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(c.folder)
        os.execvpe(args[0], list(map(str, args)), environment())
    import fcntl
    import termios
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    text, end = b"", time.monotonic() + seconds
    while time.monotonic() < end and select.select([fd], [], [], 5)[0]:
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        if not more:
            break
        text += more
    os.close(fd)
    return text.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@case
def terminal(c):
    """--quiet, a closed or full stdout, no terminal, a narrow terminal."""
    done = c.train("quiet", "--quiet", ranks=2)
    c.check(done.out == "" and done.err == "", done)
    c.check("\r" not in c.train("plain", ranks=2).out, "a progress line without a terminal")
    for i, redirect in enumerate((">&-", ">/dev/full", "<&- >&- 2>&-", "| head -c 1")):
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {c.program.binary} train config.yaml --out s{i} {redirect}"], cwd=c.folder, env=environment(), capture_output=True, timeout=30)
        c.check(done.returncode == 0, f"{redirect}: {done}")
        c.same_run(f"s{i}", "plain", redirect)
    for redirect in (">&-", ">/dev/full"):
        done = subprocess.run(["bash", "-c", f"{c.program.binary} eval plain {redirect}"], cwd=c.folder, env=environment(), capture_output=True, timeout=30, text=True)
        c.check(done.returncode == 74 and done.stderr.count("descent: error:") == 1, f"eval {redirect}: {done}")
    for head in ([], ["mpirun", "-n", "2"]):
        text, code = on_terminal(c, 40, [*head, c.program.binary, "train", "config.yaml", "--out", f"t{len(head)}", "--set", "train.epochs=100"])
        drawn = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", part) for part in re.findall(r"\r([^\r\n]+)", text)]
        drawn = [part for part in drawn if part.startswith("step ") and " validation" not in part and " test" not in part]
        c.check(code == 0 and drawn and max(map(len, drawn)) < 40, f"{code}, {len(drawn)} progress lines, the longest {max(map(len, drawn), default=0)} columns of 40\n{text[-600:]!r}")


@case
def unread(c):
    """Nobody reads what is printed: the run goes on, stops when asked, and says what it left out."""
    edits = ["train.epochs=3000", "checkpoint.every_steps=0", "data.validation.fraction=0", "data.train.samples=64", "data.test.samples=8"]
    for ranks in (0, 2):
        out = f"run{ranks}"
        child = c.start(out, edits=["train.epochs=100000", *edits[1:]], ranks=ranks)
        c.check(c.wait_step(child, out, 2000), f"on {ranks} ranks the run waits for its reader")
        child.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 10
        while status(c.folder / out).get("state") == "running" and time.monotonic() < end:
            time.sleep(0.02)
        c.state(out, "resumable", 75)
        child.communicate(timeout=20)
        c.check(child.returncode == 75, f"exit code {child.returncode}")
    child = c.start("all", edits=edits, ranks=0)
    end = time.monotonic() + 20
    while status(c.folder / "all").get("state") != "done" and time.monotonic() < end:
        time.sleep(0.02)
    text, _ = child.communicate(timeout=20)
    c.check(child.returncode == 0 and "lines left out" in text and text.startswith("life: ") and "end at step 3000 " in text, f"{child.returncode}, {len(text)} characters, the last: {text[-200:]!r}")


@case
def moved(c):
    """eval of a run whose data moved: --set names the test data; columns in another order are met by name."""
    table(c.folder / "train.csv", 160, 6, 4, 1)
    table(c.folder / "test.csv", 40, 6, 4, 2)
    edits = ["data={train: {format: csv, path: train.csv, target: kind}, test: {format: csv, path: test.csv, target: kind}, normalize: standard}",
             "model.input=[6]", "model.layers.1.dense.units=4", "batch.size=32"]
    c.train("run", edits=edits)
    before = c.run("eval", "run").out
    rows = [line.split(",") for line in (c.folder / "test.csv").read_text().splitlines()]
    (c.folder / "other.csv").write_text("\n".join(",".join(row[::-1]) for row in rows) + "\n")
    for name in ("train.csv", "test.csv"):
        (c.folder / name).unlink()
    for ranks in (1, 3):
        done = c.run("eval", "run", "--set", "data.test.path=other.csv", ranks=ranks)
        c.check(done.out and done.out == before[before.index("test: 40"):] and "train.csv" in done.err, f"before:\n{before}\n{done}")
        c.run("eval", "run", code=3, ranks=ranks)
    c.run("train", "config.yaml", "--resume", "--out", "run", *c.sets([*edits, "train.epochs=8"]), code=3)


@case
def commands(c):
    """eval, predict and gradcheck print the same on 1, 2 and 3 ranks, other commands on rank 0 alone."""
    c.train("run")
    rows = "\n".join(",".join(str((i * j) % 255) for j in range(784)) for i in range(1, 8))
    (c.folder / "in.csv").write_text(rows + "\n")
    for args in (["eval", "run"], ["eval", "run", "--json"], ["predict", "run", "in.csv"], ["predict", "run", "in.csv", "--format", "jsonl"], ["gradcheck", "config.yaml", "--set", "model.layers.0.dense.units=4"]):
        texts = {c.run(*args, "--set", "eval.batch=3", ranks=n).out for n in (1, 2, 3)}
        c.check(len(texts) == 1 and len(texts.pop()) > 40, f"{args}: {len(texts)} outputs")
    for args in (["help"], ["--version"], ["train", "--help"], ["list"], ["inspect", "run"], ["verify", "run"]):
        texts = {c.run(*args, ranks=n).out for n in (1, 3)}
        c.check(len(texts) == 1 and len(texts.pop()) > 10, f"{args}: {len(texts)} outputs, expected rank 0's alone")
    c.run("predict", "run", "in.csv", "--out", "nodir/x.npy", code=74, ranks=3)
    (c.folder / "kept.csv").write_text("kept")
    done = subprocess.run(["bash", "-c", f"ulimit -f 0; exec {c.program.binary} predict run in.csv --out kept.csv"], cwd=c.folder, env=environment(), capture_output=True, text=True, timeout=30)
    left = sorted(p.name for p in c.folder.glob("kept*"))
    c.check(done.returncode == 74 and left == ["kept.csv"] and (c.folder / "kept.csv").read_text() == "kept", f"{left} {done}")
    (c.folder / "link.csv").symlink_to("kept.csv")
    c.run("predict", "run", "in.csv", "--out", "link.csv")
    c.check((c.folder / "link.csv").is_symlink() and (c.folder / "kept.csv").read_text().startswith("class,"), "a link is not followed")
    done = c.run("predict", "run", "in.csv", "--out", "/dev/stdout")
    c.check(done.out == (c.folder / "kept.csv").read_text(), done)
    for ranks in (1, 3):
        done = c.train("big", edits=["model.layers.0.dense.units=100000000"], code=2, ranks=ranks)
        c.check("memory" in done.err and "GiB" in done.err, done)


def main():
    tap, only = Tap(), sys.argv[3:]
    with Folder("life") as folder:
        for function in CASES:
            if only and not any(part in function.__name__ for part in only):
                continue
            start = time.monotonic()
            c = Case(Program(sys.argv[1]), folder.path / function.__name__, str(pathlib.Path(sys.argv[2]).resolve()))
            try:
                function(c)
            except Exception as why:
                c.wrong.append(f"the test itself failed: {why!r}")
            first = (function.__doc__ or "").splitlines()[0]
            tap.point(not c.wrong, f"{function.__name__} ({first}) in {time.monotonic() - start:.1f} s", "\n".join(["", *c.wrong]) if c.wrong else "")
    tap.done()


main()
