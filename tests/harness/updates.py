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

    def train(self, name, *edits, ranks=0, resume=False, init=None):
        """The run's folder, None (and a failed point) where it did not end well."""
        sets = [word for edit in edits for word in ("--set", edit)]
        out = self.folder / name
        done = self.program.train(self.folder / "config.yaml", out, *sets, *(["--resume"] if resume else []),
                                  *([f"--init={init}"] if init else []), ranks=ranks)
        if done.code == 0:
            return out
        tap.point(False, f"run {name}", done)
        return None

    def begun(self):
        """A run to start from whose biases are not 0."""
        out = self.folder / "begun"
        return out if out.exists() else self.train("begun", "optimizer={name: adam, lr: 0.02}", "train.max_steps=3")


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
    out = runs.train(name, "train.max_steps=1", "checkpoint.initial=true", *edits, init=runs.begun())
    first, last = (parameters(p) for p in (checkpoints(out)[0], checkpoints(out)[-1]))
    return {k: first[k].astype("f8") for k in first}, {k: last[k].astype("f8") - first[k] for k in first}


def worst(a, b):
    """Largest distance over the tensors, by the largest element."""
    return max(abs(a[k] - b[k]).max() for k in a) / max(abs(b[k]).max() for k in b)


# scale, weight_decay, l1, l2 of each tensor
SPARED = {"dense1/weight": (0.25, 0.3, 0.01, 0.2), "dense2/weight": (1, 0.7, 0, 0.2), "dense3/weight": (1, 0.3, 0.01, 0.2),
          "dense1/bias": (0.25, 0, 0, 0), "dense2/bias": (1, 0.7, 0, 0), "dense3/bias": (1, 0, 0, 0)}


def ruled(w, step, scale, decay, l1, l2):
    """A step of sgd at rate 0.5 as the rules change it."""
    return scale * (step - 0.5 * ((decay + l2) * w + l1 * ((w > 0) * 1.0 - (w < 0))))


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
    _, spared = moved(runs, "spared", "optimizer={name: sgd, lr: 0.5, weight_decay: 0.3, l1: 0.01, l2: 0.2, decay_bias: false, groups: "
                      "[{match: dense1/*, lr_scale: 0.25}, {match: dense2/*, weight_decay: 0.7, l1: 0}]}")
    off = worst(spared, {k: ruled(w[k], v, *SPARED[k]) for k, v in plain.items()})
    tap.point(off <= 1e-6, "a group changes what it names: biases stay spared", f"off by {off:.2g}, at most 1e-6")
    _, own = moved(runs, "own", "optimizer={name: sgd, lr: 0.5, weight_decay: 0.3, groups: [{match: dense1/weight, weight_decay: 0.7}]}")
    want = {k: v - 0.5 * (0.7 if k == "dense1/weight" else 0.3) * w[k] for k, v in plain.items()}
    off = worst(own, want)
    tap.point(off <= 1e-6, "a group's own weight_decay", f"off by {off:.2g}, at most 1e-6")


def penalties(runs):
    import numpy
    more = ["train.max_steps=1", "optimizer={name: sgd, lr: 0.5}"]
    files, losses = {}, {}
    some = ["optimizer.l1=0.02", "optimizer.l2=0.3"]
    for name, keys in {"plain": [], "penalty": some, "allreduce": [*some, "sync.strategy=allreduce"]}.items():
        out = runs.train(f"one-{name}", *more, "checkpoint.initial=true", *keys, ranks=2, init=runs.begun())
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


def rows(path):
    """Standardised inputs and the last column, in double."""
    import csv
    import numpy
    lines = list(csv.reader(open(path)))[1:]
    x = numpy.array([[float(v) for v in line[:-1]] for line in lines]).astype("f4").astype("f8")
    return (x - x.mean(0)) / x.std(0), [line[-1] for line in lines]


def lbfgs(runs):
    """A softmax regression with l2 is strictly convex: at its one minimum the gradient is 0."""
    import numpy
    edits = ["optimizer={name: lbfgs, l2: 0.01}", "model.layers=[{dense: {units: 4}}]", "batch.size=300", "train.log_every=1", "train.max_steps=60"]
    hashes = {n: final_hash(runs.train(f"lbfgs-{n}", *edits, *(["sync.transport=direct"] if n == 3 else []), ranks=n)) for n in (0, 2, 3, 4)}
    runs.train("lbfgs-again", *edits[:-1], "train.max_steps=7", ranks=3)
    hashes["again"] = final_hash(runs.train("lbfgs-again", *edits, ranks=2, resume=True))
    tap.point(len(set(hashes.values())) == 1 and hashes[0], "lbfgs: one hash on 1 to 4 ranks and after a resume", hashes)
    out = runs.folder / "lbfgs-0"
    diff = runs.program.run("diff", checkpoints(out)[-1], checkpoints(runs.folder / "lbfgs-again")[-1])
    tap.point(diff.code == 0, "lbfgs: its state too", diff)
    x, names = rows(runs.folder / "train.csv")
    label = numpy.array([sorted(set(names)).index(n) for n in names])
    w, b = (parameters(checkpoints(out)[-1])["dense1/" + k].astype("f8") for k in ("weight", "bias"))
    z = x @ w.T + b
    p = numpy.exp(z - z.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True) - numpy.eye(4)[label]
    norm = numpy.sqrt(((p.T @ x / len(x) + 0.01 * w)**2).sum() + ((p.mean(0) + 0.01 * b)**2).sum())
    end, steps = events(out, "end")[-1], [e["loss"] for e in events(out, "step")]
    tap.point(norm <= 5e-5, "lbfgs: the gradient at the end, by numpy", f"{norm:.2g} of at most 5e-5; {end['step']} steps, {end['reason']}")
    tap.point(all(a >= b for a, b in zip(steps, steps[1:])), "lbfgs: no step goes up", f"{steps[0]:.4f} to {steps[-1]:.6f}")
    hidden = [final_hash(runs.train(f"hidden-{n}", "optimizer={name: lbfgs, memory: 4}", "batch.size=50", "batch.accumulate=6", ranks=n)) for n in (0, 3)]
    tap.point(hidden[0] and hidden[0] == hidden[1], "lbfgs: a network, six micro-batches", hidden)
    sets = [word for edit in [edits[0].replace("lbfgs,", "lbfgs, lr: 0.1,"), *edits[1:]] for word in ("--set", edit)]
    done = runs.program.train(runs.folder / "config.yaml", runs.folder / "rate", *sets, ranks=2)
    said = [line for line in done.err.splitlines() if "optimizer.lr has no meaning" in line]
    tap.point(done.code == 0 and len(said) == 1 and final_hash(runs.folder / "rate") == hashes[0], "lbfgs: a rate is idle, said once", said or done)


def frozen(runs):
    """Optimizers that drive ask where they stand, also where nothing can be learnt."""
    layers = "model.layers=[{dense: {units: 4, trainable: false}}]"
    for name in ("lbfgs", "newton"):
        hashes = {n: final_hash(runs.train(f"frozen-{name}-{n}", f"optimizer={name}", layers, "batch.size=300", ranks=n)) for n in (0, 3)}
        tap.point(hashes[0] and hashes[0] == hashes[3], f"{name}: every layer frozen", hashes)


def newton(runs):
    import numpy
    draw = numpy.random.default_rng(5)
    x = draw.normal(size=(90, 4)) * [1, 20, 0.3, 5] + 3
    y = x @ [2, -0.5, 7, 0.1] + 4 + 0.1 * draw.normal(size=90)
    lines = [",".join(map(str, [*a, b])) for a, b in zip(x.tolist(), y.tolist())]
    (runs.folder / "line.csv").write_text("a,b,c,d,y\n" + "\n".join(lines) + "\n")
    edits = ["data.train={format: csv, path: line.csv, target: y}", "model={input: [4], layers: [{dense: {units: 1}}]}", "loss=mse", "batch.size=90",
             "optimizer={name: newton, difference: 16}", "train.max_steps=1"]
    outs = [runs.train(f"newton-{n}", *edits, ranks=n) for n in (0, 3)]
    tap.point(final_hash(outs[0]) == final_hash(outs[1]), "newton: one hash on 1 and 3 ranks", final_hash(outs[0]))
    x, y = rows(runs.folder / "line.csv")
    best = numpy.linalg.lstsq(numpy.c_[x, numpy.ones(90)], numpy.array(y, dtype="f8"), rcond=None)[0]
    found = parameters(checkpoints(outs[0])[-1])
    found = numpy.append(found["dense1/weight"].ravel(), found["dense1/bias"])
    off = abs(found - best).max() / abs(best).max()
    tap.point(off <= 1e-5, "newton: a linear regression in one step", f"off by {off:.2g} from numpy's least squares, at most 1e-5")


def wrong(runs):
    cases = {
        "lbfgs on batches": (["optimizer=lbfgs"], 2, "takes all samples"),
        "lbfgs and clipping": (["optimizer={name: lbfgs, clip_norm: 1}", "batch.size=300"], 2, "go with lbfgs"),
        "lbfgs and local SGD": (["optimizer=lbfgs", "batch.size=300", "sync.strategy=local-sgd"], 2, "exact or allreduce only"),
        "newton on a network": (["optimizer=newton", "batch.size=300"], 2, "at most 1000 parameters"),
        "batchnorm of single samples": (["model.layers.0={batchnorm: {}}", "data.validation.fraction=0.99"], 2, "found 3 in"),
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
        for part in (same_bits, groups, penalties, means, lbfgs, frozen, newton, wrong):
            part(runs)
    tap.done()


main()
