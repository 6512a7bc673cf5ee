"""What looks on while a run trains: norms by layer, dead units and sharpness against PyTorch (double) and closed forms by numpy, the
spike guard against its formula, warnings where they belong; the same numbers on any number of ranks and across a resume.
usage: watching.py DESCENT"""
import json
import random
import shutil
import sys

from runs import Folder, Program, Tap, checkpoints, events, final_hash, parameters, status, table

NET = """
name: watching
data: {train: {format: csv, path: train.csv, target: kind}}
model:
  input: [6]
  layers: [dense: {units: 12, activation: relu}, dense: {units: 7, activation: tanh}, dense: {units: 4}]
loss: cross_entropy
batch: {size: 96, shards: 8}
optimizer: {name: sgd, lr: 0.5}
train: {max_steps: 3, log_every: 1, log_layers: true, eval_every: 0}
checkpoint: {every_steps: 1, initial: true, keep: 0}
"""
LINE = """
data: {train: {format: csv, path: line.csv, target: y}}
model: {input: [3], layers: [dense: {units: 1}]}
loss: mse
batch: {size: 16, shards: 4}
optimizer: {name: momentum, lr: 0.01}
train: {max_steps: 90, log_every: 1, eval_every: 0}
"""
tap = Tap()


def write_line(path, n, wild, seed=4):
    """y = x . (1, -2, 3) + noise; `wild` rows have targets a hundred times too large."""
    draw = random.Random(seed)
    with open(path, "w") as file:
        file.write("a,b,c,y\n")
        for i in range(n):
            x = [draw.gauss(0, 1) for _ in range(3)]
            y = x[0] - 2 * x[1] + 3 * x[2] + draw.gauss(0, 0.3)
            file.write(",".join(f"{v:.6f}" for v in [*x, y * (100 if i in wild else 1)]) + "\n")
    return path


def read(path):
    import numpy
    lines = path.read_text().splitlines()[1:]
    x = numpy.array([[float(v) for v in line.split(",")[:-1]] for line in lines])
    return x, [line.split(",")[-1] for line in lines]


def far(found, expected):
    """The largest relative difference."""
    return max(abs(f - e) / max(abs(e), 1e-12) for f, e in zip(found, expected))


class Runs:
    def __init__(self, program, folder):
        self.program, self.folder, self.n = program, folder, 0

    def __call__(self, config, *sets, ranks=0, out=None, code=0, args=()):
        self.n += 1
        out = out or self.folder / f"run{self.n}"
        path = self.folder / "config.yaml"
        path.write_text(config)
        done = self.program.train(path, out, *args, *[w for s in sets for w in ("--set", s)], ranks=ranks)
        if done.code != code:
            tap.point(False, f"a run ends with {code}", done)
        self.last = done
        return out


def torch_layers(run, step, x, label):
    """[(grad_norm, weight_norm, update_ratio, dead)] of step -> step + 1, full batch, in double; the Hessian's largest eigenvalue."""
    import torch
    files = checkpoints(run)
    now, then = [[torch.tensor(v, dtype=torch.float64) for v in parameters(f).values()] for f in (files[step], files[step + 1])]

    def loss_of(flat, hidden=None):
        w, at = [], 0
        for tensor in now:
            w.append(flat[at:at + tensor.numel()].view(tensor.shape))
            at += tensor.numel()
        h = x
        for i in range(0, len(w), 2):
            h = h @ w[i].T + w[i + 1]
            h = torch.relu(h) if i == 0 and hidden is not None else torch.tanh(h) if i + 2 < len(w) else h
            if i == 0 and hidden is not None:
                hidden.append(h)
        return torch.nn.functional.cross_entropy(h, label)

    flat = torch.cat([t.flatten() for t in now]).requires_grad_()
    hidden = []
    grad = torch.autograd.grad(loss_of(flat, hidden), flat)[0].detach()
    rows, at = [], 0
    for i in range(0, len(now), 2):
        n = now[i].numel() + now[i + 1].numel()
        before, after = [torch.cat([p[i].flatten(), p[i + 1].flatten()]) for p in (now, then)]
        rows.append((grad[at:at + n].norm().item(), after.norm().item(), ((after - before).norm() / before.norm()).item()))
        at += n
    dead = (hidden[0].max(dim=0).values <= 0).double().mean().item()
    return rows, dead, lambda: torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss_of, flat.detach())).max().item()


def against_torch(runs, folder):
    try:
        import torch
    except ImportError:
        tap.skip("layers and sharpness are PyTorch's", "no torch")
        return
    x, kinds = read(folder / "train.csv")
    x = torch.tensor(x)
    label = torch.tensor([int(k[4:]) for k in kinds])
    run = runs(NET, "seed=3")
    for step in (0, 1, 2):
        rows, dead, _ = torch_layers(run, step, x, label)
        layers = events(run, "layers")[step]["layers"]
        worst = max(far((f["grad_norm"], f["weight_norm"], f["update_ratio"]), e) for f, e in zip(layers, rows))
        tap.point(worst < 1e-5 and layers[0]["dead"] == dead and "dead" not in layers[1], f"layers of step {step + 1} are PyTorch's",
                  f"off by {worst:.1e}; dead {layers[0]['dead']:.4f}, {dead:.4f}")
    tanh = NET.replace("relu", "tanh").replace("log_layers: true", "sharpness_every: 2 steps, sharpness_iterations: 200")
    run = runs(tanh)
    found = [e["sharpness"] for e in events(run, "sharpness")]
    expected = torch_layers(run, 2, x, label)[2]()
    tap.point(len(found) == 1 and far(found, [expected]) < 0.01, "sharpness of a small net is its Hessian's largest eigenvalue",
              f"{found} against {expected:.5f} by PyTorch")


def quadratic(runs, folder):
    """mse of a linear model: H = 2/n [x 1]'[x 1] + l2."""
    import numpy
    x, _ = read(folder / "line.csv")
    a = numpy.hstack([x, numpy.ones((len(x), 1))])
    for l2 in (0, 0.5):
        h = 2 * a.T @ a / len(a) + numpy.diag([l2, l2, l2, l2])
        run = runs(LINE.replace("size: 16", f"size: {len(x)}"), "train.max_steps=1", "train.sharpness_every=1", "train.sharpness_iterations=500",
                   f"optimizer.l2={l2}")
        event = events(run, "sharpness")[0]
        expected = numpy.linalg.eigvalsh(h).max()
        tap.point(far([event["sharpness"]], [expected]) < 1e-3 and abs(event["bound"] - 200) < 1e-9,
                  f"sharpness of a quadratic, l2 {l2}, is in closed form",
                  f"{event['sharpness']:.6f} against {expected:.6f}, {event['iterations']} products; 2/lr {event['bound']:g}")


def negative(runs):
    """Where an eigenvalue as large, or larger, is negative: the saddle's are 2 and -2, the double well's near its ridge 12 w^2 - 4 and 2."""
    for name, start in (("saddle", "[1, 1]"), ("double_well", "[0.01, 0.5]")):
        run = runs(f"problem: {{name: {name}, start: {start}}}\noptimizer: {{name: sgd, lr: 0.0001}}\n"
                   "train: {max_steps: 1, sharpness_every: 1, sharpness_iterations: 60}")
        found = [e["sharpness"] for e in events(run, "sharpness")]
        tap.point(found and far(found, [2]) < 1e-3, f"sharpness of {name} is 2, past its negative eigenvalue", found)


def ranks(runs):
    watched = ("train.log_layers=true", "train.sharpness_every=2", "train.sharpness_iterations=4")
    for name, config, more in (("exact", NET, ()), ("local-sgd", NET, ("sync={strategy: local-sgd, local_steps: 2, replicas: 4}",)),
                               ("int8", NET, ("sync={compress: int8, replicas: 4}", "train.spike={window: 2, z: 50}"))):
        plain = final_hash(runs(config, *more, "train.log_layers=false", "train.max_steps=7"))
        out = [runs(config, *more, *watched, "train.max_steps=7", ranks=n) for n in ((0, 2, 3, 4) if name == "exact" else (0, 3))]
        told = [json.dumps([events(o, kind) for kind in ("layers", "sharpness")]) for o in out]
        hashes = {final_hash(o) for o in out} | {plain}
        tap.point(len(set(told)) == 1 and len(hashes) == 1 and len(told[0]) > 2000, f"{name}: the same numbers on any ranks, none changed",
                  f"{len(out)} runs: {len(set(told))} kinds of events, params_hash {hashes}")


def scores(run, window, z):
    """What the guard should have done, step by step, from the events of a run that logs all steps."""
    import numpy
    seen, wrong, spikes = [], [], 0
    for e in [e for e in events(run) if e["event"] in ("step", "spike")]:
        now = (e["loss"], e["grad_norm"])
        past = numpy.array(seen[-window:])
        score = (0, 0) if len(seen) < window else (now - past.mean(axis=0)) / numpy.maximum(past.std(axis=0), 1e-6 * abs(past.mean(axis=0)))
        out = max(score) > z
        spikes += out
        if out != (e["event"] == "spike") or (out and far((e["z_loss"], e["z_norm"]), score) > 1e-6):
            wrong.append((e, score))
        seen.append(now)
    return spikes, wrong


def spikes(runs, folder):
    guard = "train.spike={window: 8, z: 3}"
    run = runs(LINE, guard)
    n, wrong = scores(run, 8, 3)
    tap.point(n > 0 and not wrong, "the guard skips what its formula says", f"{n} of 90 steps; {wrong[:1]}")
    before, free = final_hash(run), final_hash(runs(LINE))
    three = runs(LINE, guard, ranks=3)
    tap.point(final_hash(three) == before != free and events(three, "spike") == events(run, "spike"), "the guard decides alike on 3 ranks",
              f"{final_hash(three)}, {before}; without a guard {free}")
    cut = runs(LINE, guard, "train.max_steps=41", ranks=2)
    runs(LINE, guard, out=cut, args=["--resume"])
    tap.point(final_hash(cut) == before and events(cut, "spike") == events(run, "spike"), "the guard goes on where it was, after a resume",
              f"{final_hash(cut)}; skipped at {[e['step'] for e in events(cut, 'spike')]}")
    coded = [runs(LINE, guard, "sync={compress: int8, replicas: 3}", "train.max_steps=55", ranks=n) for n in (0, 2, 3)]
    cut = runs(LINE, guard, "sync={compress: int8, replicas: 3}", "train.max_steps=41", ranks=2)
    runs(LINE, guard, "sync={compress: int8, replicas: 3}", "train.max_steps=55", out=cut, ranks=3, args=["--resume"])
    found = [(final_hash(o), [e["step"] for e in events(o, "spike")]) for o in [*coded, cut]]
    tap.point(found[0][0] and found[0][1] and all(f == found[0] for f in found), "int8: the guard decides alike on 2 and 3 ranks, and after a resume", found[0])
    local = [final_hash(runs(LINE, guard, "sync={strategy: local-sgd, local_steps: 3, replicas: 2}", ranks=n)) for n in (0, 2)]
    tap.point(len(set(local)) == 1 and local[0], "local-sgd: the guard decides alike on 2 ranks", local)
    driven = runs(LINE, guard, "optimizer=lbfgs", "batch.size=200", code=2)
    tap.point("train.spike" in runs.last.err and not events(driven, "end"), "the guard refuses an optimizer that drives",
              " ".join(runs.last.errors()))


def plots(runs, folder):
    run = runs(NET, "train.max_steps=12", "train.sharpness_every=3")
    for what, parts in (("grad_norm", ("train", "dense1", "dense3")), ("update_ratio", ("dense1", "dense2")), ("dead", ("dense1",)), ("sharpness", ("sharpness", "2/lr"))):
        done = runs.program.run("plot", run, "--what", what, "--log")
        tap.point(done.code == 0 and all(f": {part}" in done.out for part in parts), f"plot --what {what}", done.out.splitlines()[-1:] or done)
    if shutil.which("gnuplot"):
        layers = ", ".join(["dense: {units: 3}"] * 8 + ["dense: {units: 1}"])
        runs.program.run("plot", runs(LINE, f"model.layers=[{layers}]", "train.max_steps=3", "train.log_layers=true"), "--what", "grad_norm", "--out", folder / "nine.svg")
        tap.point("stroke-dasharray" in (folder / "nine.svg").read_text(), "plot: the ninth layer has the first one's colour, but dashes")
    line = runs(LINE, "train.max_steps=3", "train.log_every=1")
    told = [next(e["loss"] for e in events(line, kind)[::-1]) for kind in ("step", "eval")]
    shown = runs.program.run("plot", line).out
    tap.point(all(f": {name}: {loss:.6g} at the end" in shown for name, loss in zip(("train", "train, evaluated"), told)),
              "plot: the steps' loss and the evaluations' are two curves", f"{told} {shown[-160:]}")
    done = runs.program.run("plot", runs(LINE, "train.max_steps=3"), "--what", "dead")
    tap.point(done.code == 2 and "train.log_layers" in done.err, "plot says where dead units come from", done.err.strip())


def gives_up(runs):
    wild = (LINE, "optimizer={name: sgd, lr: 1e25}", "train.on_nan=skip", "train.max_skips=5")
    run = runs(*wild, code=5)
    tap.point(len(events(run, "skip")) == 4 and "train.max_skips" in runs.last.err and status(run)["code"] == 5,
              "on_nan: skip gives up after train.max_skips steps in a row", f"{len(events(run, 'skip'))} skips; {runs.last.errors()}")


def warnings(runs):
    """Each cause where it must be; none where all is well."""
    deep = "[" + "dense: {units: 12, activation: sigmoid}, " * 9 + "dense: {units: 4}]"
    well = ("train.log_layers=true", "train.max_steps=40")
    cases = {
        "vanishing": (NET, "train.log_layers=false", "train.max_steps=40", "optimizer.lr=0.01", f"model.layers={deep}"),
        "dead": (NET, *well, "optimizer.lr=5", "model.layers=[dense: {units: 12, activation: relu}, dense: {units: 4}]"),
        "exploding": (LINE, "train.max_steps=60", "optimizer={name: sgd, lr: 2.1}"),
        "overfitting": (NET, "data.validation={fraction: 0.5}", "model.layers=[dense: {units: 64, activation: tanh}, dense: {units: 4}]",
                        "optimizer={name: adam, lr: 0.02}", "train.max_steps=120", "train.eval_every=10 steps", "train.log_layers=false"),
        None: (NET, *well, "optimizer.lr=0.1"),
    }
    for cause, case in cases.items():
        run = runs(*case, "checkpoint.every_steps=0")
        found = [e["cause"] for e in events(run, "warning")]
        said = [line for line in runs.last.err.splitlines() if "descent: warning: step" in line]
        good = found == [] if cause is None else cause in found and len(set(found)) == len(said)
        tap.point(good, f"warnings: {cause or 'none where all is well'}", f"{found} {said[:1]}")
        if cause is not None:
            again(runs, case, run)


def again(runs, case, whole):
    """The same warnings where the run ends just before its first one, or in the middle, and goes on: also on stderr, by the new process."""
    told = [(e["step"], e["cause"], e["text"]) for e in events(whole, "warning")]
    for cut in sorted({told[0][0] - 1, told[0][0] + 3}):
        out = runs(*case, "checkpoint.every_steps=0", f"train.max_steps={cut}", ranks=3)
        runs(*case, "checkpoint.every_steps=0", out=out, ranks=2, args=["--resume"])
        found = [(e["step"], e["cause"], e["text"]) for e in events(out, "warning")]
        said = sum("descent: warning: step" in line for line in runs.last.err.splitlines())
        after = {cause for step, cause, _ in told if step > cut}
        tap.point(found == told and said == len(after), f"{told[0][1]}: the same after a resume at step {cut}", f"{[f[:2] for f in found]}, {said} on stderr")


def main():
    with Folder("watching") as folder:
        table(folder.path / "train.csv", 96, 6, 4, 11)
        write_line(folder.path / "line.csv", 200, (30, 90, 150))
        runs = Runs(Program(sys.argv[1]), folder.path)
        against_torch(runs, folder.path)
        quadratic(runs, folder.path)
        negative(runs)
        ranks(runs)
        spikes(runs, folder.path)
        plots(runs, folder.path)
        gives_up(runs)
        warnings(runs)
    tap.done()


main()
