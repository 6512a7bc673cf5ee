"""Runs whose replicas train on their own: stopped between meetings, ended by a rule, gone on with on other ranks, with other replicas,
by another strategy; what checkpoints hold. usage: local_life.py DESCENT"""
import re
import signal
import subprocess
import sys
import time

import h5py

from runs import Folder, Program, Tap, checkpoints, environment, events, final_hash, hash_of, status

CONFIG = """
name: local-life
seed: 5
data:
  train: {format: synthetic, kind: spirals, samples: 700, classes: 5}
  validation: {fraction: 0.1}
  normalize: standard
model:
  input: [2]
  layers:
    - dense: {units: 48, activation: relu}
    - dense: {units: 32, activation: tanh, trainable: false}
    - dense: {units: 5}
loss: cross_entropy
batch: {size: 64, shards: 8}
optimizer: {name: adam, lr: 0.003}
sync: {strategy: local-sgd, local_steps: 7, replicas: 4}
train: {epochs: 4, log_every: 1, eval_every: 9 steps}
checkpoint: {every_steps: 5, initial: true, keep: 0}
"""
HUGE = """
name: huge
data: {{train: {{format: csv, path: "{table}", target: y}}, normalize: none}}
model: {{input: [2], layers: [{{dense: {{units: 8, activation: tanh}}}}, {{dense: {{units: 1}}}}]}}
loss: mse
batch: {{size: 8, shards: 4}}
optimizer: {{name: sgd, lr: 0.01}}
sync: {{strategy: local-sgd, local_steps: 3, replicas: 2}}
train: {{on_nan: skip, eval_every: 0}}
checkpoint: {{every_steps: 1, initial: true, keep: 0}}
"""
WAYS = {
    "local-sgd": "sync={strategy: local-sgd, local_steps: 7, replicas: 4}",
    "averaged": "sync={strategy: local-sgd, local_steps: 7, optimizer_state: average, replicas: 4, transport: direct}",
    "post-local": "sync={strategy: post-local, local_after: 1 epoch, local_steps: 6, optimizer_state: reset, replicas: 4}",
    "diloco": "sync={strategy: diloco, local_steps: 8, replicas: 4, transport: direct}",
    "diloco in int8": "sync={strategy: diloco, local_steps: 4, compress: int8, block: 64, replicas: 4}",
    "post-local in fp16": "sync={strategy: post-local, local_after: 13, local_steps: 6, compress: fp16, replicas: 4}",
}


def blocks(path):
    """The groups of /sync whose last part is not a tensor's, and the attribute of replicas apart."""
    found = set()
    with h5py.File(path, "r") as file:
        if "sync" in file:
            file["sync"].visititems(lambda name, item: found.add(name.rsplit("/", 2)[0]) if isinstance(item, h5py.Dataset) else None)
        return found, file["run"].attrs.get("sync_apart")


class Life:
    def __init__(self, program, folder, tap):
        self.program, self.folder, self.tap = program, folder, tap
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)

    def train(self, out, *args, sets=(), ranks=2):
        edits = [word for edit in sets for word in ("--set", edit)]
        return self.program.train(self.config, self.folder / out, *args, *edits, ranks=ranks)

    def undisturbed(self, name):
        """The same bits on 1 to 4 ranks; then gone on with from each checkpoint on another number of ranks."""
        sets, hashes = [WAYS[name]], []
        for ranks in (1, 2, 3, 4):
            done = self.train(f"{name}-{ranks}", sets=sets, ranks=ranks)
            hashes.append(final_hash(self.folder / f"{name}-{ranks}") if done.code == 0 else str(done))
        self.tap.point(len(set(hashes)) == 1, f"{name}: 1, 2, 3, 4 ranks", " ".join(hashes))
        whole = self.folder / f"{name}-2"
        for number, path in enumerate(checkpoints(whole)[:-1:3]):
            out = f"{name}-from-{path.stem}"
            done = self.train(out, f"--resume={path}", sets=sets, ranks=number % 4 + 1)
            found = final_hash(self.folder / out) if done.code == 0 else done
            self.tap.point(found == hashes[0], f"{name}: from {path.stem} on {number % 4 + 1} ranks", found)
        return whole, hashes[0]

    def contents(self, whole):
        """Between meetings replicas are in the file, after the last one they are not; evaluation is of the last meeting's parameters."""
        mid, end = (blocks(path) for path in (checkpoints(whole)[1], checkpoints(whole)[-1]))
        self.tap.point("replica-3/parameters" in mid[0] and mid[1] == 1, "a checkpoint between meetings has the replicas", sorted(mid[0]))
        self.tap.point("replica-3/parameters" not in end[0] and end[1] == 0, "the last step meets", sorted(end[0]))
        met = [hash_of(p) for p in checkpoints(whole) if p.stem in ("step-00000000", "step-00000005")]
        self.tap.point(met[0] == met[1], "/parameters are those of the last meeting", met)

    def stopped(self, name, whole_hash):
        """USR1 at any moment: 75, a checkpoint between meetings, and the same bits afterwards."""
        out = self.folder / f"{name}-stopped"
        words = [word for edit in (WAYS[name], "model.layers.0.dense.units=48") for word in ("--set", edit)]
        child = subprocess.Popen(self.program.command(["train", self.config, "--out", out, *words], 3), env=environment(),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while time.monotonic() < end and child.poll() is None and len(self.lines(out)) < 10:
            time.sleep(0.002)
        child.send_signal(signal.SIGUSR1)
        code = child.wait(timeout=60)
        step = checkpoints(out)[-1].stem
        if code == 0:
            self.tap.skip(f"{name}: USR1", "the run was over before")
            return
        self.tap.point(code == 75 and status(out)["state"] == "resumable", f"{name}: USR1 on 3 ranks", f"exit code {code} at {step}")
        done = self.train(f"{name}-stopped", "--resume", sets=[WAYS[name]], ranks=2)
        found = final_hash(out) if done.code == 0 else done
        self.tap.point(found == whole_hash, f"{name}: and on from there", found)

    @staticmethod
    def lines(out):
        try:
            return events(out, "step")
        except ValueError:
            return []

    def rules(self):
        """A run that a rule ends between meetings has met, as one whose last step it was."""
        ruled, short = self.train("ruled", sets=["stop.plateau={patience: 5, min_delta: 100}"]), self.train("short", sets=["train.max_steps=6"])
        end = events(self.folder / "ruled", "end")
        self.tap.point(ruled.code == 0 and end and end[-1]["reason"] == "plateau" and end[-1]["step"] == 6, "ended by a plateau at step 6", end or ruled)
        a, b = final_hash(self.folder / "ruled"), final_hash(self.folder / "short")
        self.tap.point(short.code == 0 and a == b, "its replicas have met", f"{a} {b}")
        self.tap.point(hash_of(checkpoints(self.folder / "ruled")[-1]) == a, "and so they are saved", a)

    def skipped(self):
        """A step that is left out, its numbers not being finite, meets where it was to meet: in a round's last step, in the run's last."""
        table, config = self.folder / "huge.csv", self.folder / "huge.yaml"
        table.write_text("a,b,y\n" + "".join(f"{i % 7 - 3},{i % 5 - 2},{i % 3}\n" for i in range(64)) + "0,0,3e38\n")
        config.write_text(HUGE.format(table=table))
        met = 0
        for seed, last in ((4, 7), (2, 8), (9, 9), (4, 9)):
            out = self.folder / f"huge-{seed}-{last}"
            done = self.program.train(config, out, "--set", f"seed={seed}", "--set", f"train.max_steps={last}", ranks=2)
            apart = {int(path.stem[5:]): blocks(path)[1] for path in checkpoints(out)} if done.code == 0 else done
            met += done.code == 0 and any(f"skipped step {step}" in done.err for step in (3, 6, last))
            good = done.code == 0 and all(apart[step] == 0 for step in (3, 6, last))
            self.tap.point(good, f"seed {seed}, {last} steps: replicas meet", apart)
        done = self.program.train(config, self.folder / "huge-code", "--set", "train.epochs=1", "--set", "sync={compress: int8, replicas: 4}", ranks=2)
        self.tap.point(done.code == 0 and "row 64 of the training data" in done.err, "in a pass of several replicas' shards the sample is named", done.err[:200])
        self.tap.point(met > 0, "some of the steps left out were a round's last", met)

    def others(self, whole):
        """Other replicas, other strategies."""
        mid = checkpoints(whole)[1]
        more = self.train("more-ranks", f"--resume={mid}", ranks=5)
        self.tap.point(more.code == 4 and "replicas" in more.err, "more ranks than replicas: exit 4", (more.errors() or [more])[0])
        for name, sets, said in (("two", ["sync.replicas=2"], "other bits"), ("eight", ["sync.replicas=8"], "other bits"),
                                 ("exact", ["sync={strategy: exact}"], "other bits"), ("diloco", ["sync={strategy: diloco, replicas: 4}"], "other bits")):
            done = self.train(f"as-{name}", f"--resume={mid}", sets=sets, ranks=2)
            good = done.code == 0 and said in done.err and final_hash(self.folder / f"as-{name}")
            self.tap.point(good, f"local-sgd goes on with {sets[0]}", final_hash(self.folder / f"as-{name}") if good else done)
        exact = self.train("was-exact", sets=["sync={strategy: exact}"])
        first = checkpoints(self.folder / "was-exact")[1]
        done = self.train("then-local", f"--resume={first}", sets=["sync={strategy: local-sgd, replicas: 4}"], ranks=2)
        self.tap.point(exact.code == 0 and done.code == 0, "exact goes on as local-sgd", final_hash(self.folder / "then-local") or done)
        for name, now, then in (("exact", "exact", "local-sgd"), ("local", "local-sgd", "exact")):
            sets = [f"sync={{strategy: {then}, replicas: 2, compress: int8}}"]
            done = self.train(f"was-{then}", "--overwrite", sets=sets)
            first = checkpoints(self.folder / f"was-{then}")[1]
            done = self.train(f"code-{name}", f"--resume={first}", sets=[f"sync={{strategy: {now}, replicas: 2, compress: int8}}"])
            good = done.code == 0 and re.search("find(s)? no use here", done.err) and "; 0 block" not in done.err
            self.tap.point(good, f"what {then} keeps for its codec is not {now}'s", done.err.splitlines()[:1])


def main():
    tap = Tap()
    with Folder("local") as folder:
        life = Life(Program(sys.argv[1]), folder.path, tap)
        for name in WAYS:
            whole, found = life.undisturbed(name)
            life.stopped(name, found)
            if name == "local-sgd":
                life.contents(whole)
                life.rules()
                life.skipped()
                life.others(whole)
    tap.done()


main()
