"""Optimizers, parameter groups, averaged weights and penalties in whole runs: the same bits on any number of ranks and after a resume;
what a group, a mean or a penalty does, recomputed by numpy from the checkpoints' tensors.
usage: updates.py DESCENT"""
import re
import sys

from runs import Folder, Program, Tap, checkpoints, events, final_hash, parameters, table

CONFIG = """
name: updates
seed: 3
data:
  train: {format: csv, path: train.csv, target: kind}
  normalize: standard
model:
  input: [9]
  layers:
    - dense: {units: 40, activation: relu}
    - dense: {units: 33, activation: tanh}
    - dense: {units: 4}
loss: cross_entropy
batch: {size: 64, shards: 8}
optimizer: sgd
train: {max_steps: 7, log_every: 1}
checkpoint: {every_steps: 3, keep: 0}
sync: {bucket: 2 KiB}
"""
CASES = {
    "rmsprop": "{name: rmsprop, lr: 0.01, momentum: 0.5, centered: true}",
    "lion": "{name: lion, lr: 0.001, weight_decay: 0.1, groups: [{match: '*/bias', lr_scale: 0.5, weight_decay: 0}]}",
    "lars": "{name: lars, lr: 1, weight_decay: 0.01, clip_norm: 0.5}",
    "lamb": "{name: lamb, lr: 0.01, ema: 0.9}",
    "muon": "{name: muon, lr: 0.02, weight_decay: 0.1, ema: 0.5, groups: [{match: dense3/*, as_vector: true}]}",
    "adamw": "{name: adamw, lr: 0.01, decay_bias: false, ema: 0.99, l1: 0.001, l2: 0.01, clip_norm: 1}",
}
tap = Tap()


class Runs:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def train(self, name, *edits, ranks=0, resume=False):
        """The run's folder, None (and a failed point) where it did not end well."""
        sets = [word for edit in edits for word in ("--set", edit)]
        out = self.folder / name
        done = self.program.train(self.folder / "config.yaml", out, *sets, *(["--resume"] if resume else []), ranks=ranks)
        if done.code == 0:
            return out
        tap.point(False, f"run {name}", done)
        return None


def same_bits(runs):
    for number, (name, optimizer) in enumerate(CASES.items()):
        optimizer = f"optimizer={optimizer}"
        hashes = {}
        for ranks in (0, 2, 3, 4) if number > 1 else (0, 3):
            out = runs.train(f"{number}-{ranks}", optimizer, *(["sync.transport=direct"] if ranks == 3 else []), ranks=ranks)
            hashes[ranks] = out and (final_hash(out), [e["loss"] for e in events(out, "eval")], [e["loss"] for e in events(out, "step")])
        runs.train(f"{number}-again", optimizer, "train.max_steps=3", ranks=2)
        out = runs.train(f"{number}-again", optimizer, "train.max_steps=7", ranks=3, resume=True)
        again = out and final_hash(out)
        one = hashes[0] and hashes[0][0]
        tap.say(f"{name}: {one}; resumed {again}; losses {hashes[0] and hashes[0][2]}")
        tap.point(one and all(h == hashes[0] for h in hashes.values()), f"{name}: one hash, one loss on 1 to 4 ranks", hashes)
        tap.point(one and again == one, f"{name}: resumed to the same", again)
        whole, cut = (checkpoints(runs.folder / f"{number}-{n}")[-1] for n in ("0", "again"))
        diff = runs.program.run("diff", whole, cut)
        tap.point(diff.code == 0, f"{name}: slots and means too", diff)


def moved(runs, name, *edits):
    """The parameters before and after one step."""
    out = runs.train(name, "train.max_steps=1", "checkpoint.initial=true", *edits)
    first, last = (parameters(p) for p in (checkpoints(out)[0], checkpoints(out)[-1]))
    return {k: first[k].astype("f8") for k in first}, {k: last[k].astype("f8") - first[k] for k in first}


def worst(a, b):
    """Largest distance over the tensors, by the largest element."""
    return max(abs(a[k] - b[k]).max() for k in a) / max(abs(b[k]).max() for k in b)


def groups(runs):
    w, plain = moved(runs, "plain", "optimizer={name: sgd, lr: 0.5}")
    _, scaled = moved(runs, "scaled", "optimizer={name: sgd, lr: 0.5, groups: [{match: dense2/*, lr_scale: 0.25}, {match: '*', lr_scale: 1}]}")
    want = {k: v * (0.25 if k.startswith("dense2/") else 1) for k, v in plain.items()}
    off = worst(scaled, want)
    tap.point(off <= 1e-6, "lr_scale 0.25 on one layer", f"off by {off:.2g}, at most 1e-6")
    _, decayed = moved(runs, "decayed", "optimizer={name: sgd, lr: 0.5, weight_decay: 0.3, decay_bias: false}")
    want = {k: v - (0.5 * 0.3 * w[k] if w[k].ndim > 1 else 0) for k, v in plain.items()}
    off = worst(decayed, want)
    tap.point(off <= 1e-6, "decay_bias: false spares the biases", f"off by {off:.2g}, at most 1e-6")
    _, own = moved(runs, "own", "optimizer={name: sgd, lr: 0.5, weight_decay: 0.3, groups: [{match: dense1/weight, weight_decay: 0.7}]}")
    want = {k: v - 0.5 * (0.7 if k == "dense1/weight" else 0.3) * w[k] for k, v in plain.items()}
    off = worst(own, want)
    tap.point(off <= 1e-6, "a group's own weight_decay", f"off by {off:.2g}, at most 1e-6")


def penalties(runs):
    """Two steps, so that the biases are no longer 0: the second one is judged."""
    import numpy
    more = ["train.max_steps=2", "checkpoint.every_steps=1", "optimizer={name: sgd, lr: 0.5}"]
    files, losses = {}, {}
    some = ["optimizer.l1=0.02", "optimizer.l2=0.3"]
    for name, keys in {"plain": [], "penalty": some, "allreduce": [*some, "sync.strategy=allreduce"]}.items():
        out = runs.train(f"two-{name}", *more, "checkpoint.initial=true", *keys, ranks=2)
        files[name] = [{k: v.astype("f8") for k, v in parameters(p).items()} for p in checkpoints(out)]
        losses[name] = [e["loss"] for e in events(out, "step")]
    first = files["plain"][0]
    want = {k: files["plain"][1][k] - 0.5 * (0.02 * numpy.sign(v) + 0.3 * v) for k, v in first.items()}
    for name in ("penalty", "allreduce"):
        off = worst(files[name][1], want)
        tap.point(off <= 1e-6, f"l1 and l2 in the gradient ({name})", f"off by {off:.2g}, at most 1e-6")
    value = sum(0.02 * abs(v).sum() + 0.15 * (v * v).sum() for v in first.values())
    off = abs(losses["penalty"][0] - losses["plain"][0] - value) / value
    tap.point(off <= 1e-6, "l1 and l2 in the loss", f"{value:.6f}, off by {off:.2g}, at most 1e-6")


def means(runs):
    import h5py
    out = runs.train("means", "optimizer={name: adamw, lr: 0.05, ema: 0.75}", "checkpoint.every_steps=1", "checkpoint.initial=true", ranks=3)
    files = checkpoints(out)
    mean = {k: v.astype("f8") for k, v in parameters(files[0]).items()}
    for path in files[1:]:
        for k, v in parameters(path).items():
            mean[k] = 0.75 * mean[k] + 0.25 * v.astype("f8")
    with h5py.File(files[-1], "r") as file:
        found = {k: file["/ema/" + k][()].astype("f8") for k in mean}
    off = worst(found, mean)
    tap.point(off <= 1e-6, "ema is the running mean of the weights", f"off by {off:.2g}, at most 1e-6")
    judged = events(out, "eval")[-1]["loss"]
    said = runs.program.run("eval", out)
    found = re.search(r"^train: .* loss ([0-9.]+)", said.out, re.M)
    tap.point(found and abs(float(found[1]) - judged) <= 1e-6, "eval of the checkpoint takes the means too", f"{judged}, {found and found[1]}")
    raw = runs.train("raw", "optimizer={name: adamw, lr: 0.05}", ranks=3)
    other = events(raw, "eval")[-1]["loss"]
    tap.point(final_hash(raw) == final_hash(out) and abs(other - judged) > 1e-3 * judged, "the weights go their way, the score is the means'",
              f"{judged} by the means, {other} by the weights")


def wrong(runs):
    cases = {
        "a group that meets nothing": (["optimizer={name: sgd, groups: [{match: conv1/*}]}"], 2, "no tensor of the model"),
        "a group without match": (["optimizer={name: sgd, groups: [{lr_scale: 1}]}"], 2, "'match' is missing"),
        "ema of 1": (["optimizer={name: sgd, ema: 1}"], 2, "ema is '1'"),
        "labels for mse": (["loss=binary_cross_entropy"], 3, "kind"),
        "numbers above 1": (["loss=binary_cross_entropy", "data.train.target=x0", "model.layers.2.dense.units=1", "model.input=[8]"], 3, "out of range"),
    }
    (runs.folder / "numbers.csv").write_text("".join(["x0,a,b\n"] + [f"{i / 7},{i},{-i}\n" for i in range(64)]))
    for name, (edits, code, text) in cases.items():
        edits = [e.replace("data.train.target=x0", "data.train={format: csv, path: numbers.csv, target: x0}").replace("[8]", "[2]") for e in edits]
        sets = [word for edit in edits for word in ("--set", edit)]
        done = runs.program.train(runs.folder / "config.yaml", runs.folder / "wrong", *sets, "--overwrite", ranks=2)
        errors = done.errors()
        tap.point(done.code == code and len(errors) == 1 and text in errors[0], f"{name}: exit {code}", done)


def main():
    program = Program(sys.argv[1])
    with Folder("updates") as folder:
        table(folder.path / "train.csv", 300, 9, 4, 1)
        (folder.path / "config.yaml").write_text(CONFIG)
        runs = Runs(program, folder.path)
        for part in (same_bits, groups, penalties, means, wrong):
            part(runs)
    tap.done()


main()
