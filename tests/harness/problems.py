"""Problems that are not networks. Functions: values and slopes by the formulas below, gradcheck of each on 1 and 3 ranks, l-bfgs and newton,
the same bits on 1 to 4 ranks and across a resume, the trajectory; races. Plug-ins: the example's published fit, a linear regression equal to a dense
layer's, and every way to go wrong.
usage: problems.py DESCENT SOURCE_ROOT SHIM"""
import csv
import json
import math
import pathlib
import re
import sys
import xml.etree.ElementTree

from runs import Folder, Program, Tap, events, final_hash, parameters, shutil, status, subprocess

program, root, tap = Program(sys.argv[1]), pathlib.Path(sys.argv[2]), Tap()

# name: (start, f, gradient), written down from their definitions
FORMULAS = {
    "bowl": ([3, -2], lambda w, b: w * w + 4 * b * b, lambda w, b: (2 * w, 8 * b)),
    "rosenbrock": ([-1.2, 1], lambda w, b: 100 * (b - w * w) ** 2 + (1 - w) ** 2,
                   lambda w, b: (-400 * w * (b - w * w) - 2 * (1 - w), 200 * (b - w * w))),
    "saddle": ([1, 0.5], lambda w, b: w * w - b * b, lambda w, b: (2 * w, -2 * b)),
    "double_well": ([0.3, 1], lambda w, b: (w * w - 1) ** 2 + b * b, lambda w, b: (4 * w * (w * w - 1), 2 * b)),
    "plateau": ([3, 2], lambda w, b: (w * w + b * b) / (1 + w * w + b * b),
                lambda w, b: (2 * w / (1 + w * w + b * b) ** 2, 2 * b / (1 + w * w + b * b) ** 2)),
    "rastrigin": ([2.3, -1.7], lambda *v: 10 * len(v) + sum(x * x - 10 * math.cos(2 * math.pi * x) for x in v),
                  lambda *v: [2 * x + 20 * math.pi * math.sin(2 * math.pi * x) for x in v]),
}
FUNCTION = "problem: {{name: {}, start: {}}}\noptimizer: {{name: sgd, lr: 0.001}}\ntrain: {{max_steps: 1}}\n"


def sets(*edits):
    return [word for edit in edits for word in ("--set", edit)]


def trajectory(out):
    with open(pathlib.Path(out) / "trajectory.csv") as file:
        return [[float(x) for x in row] for row in list(csv.reader(file))[1:]]


def functions(folder):
    listed = program.run("list", "problems").out
    names = [n for n in re.findall(r"^  (\w+)  ", listed, re.M) if n not in ("every", "plugin")]
    tap.point(sorted(names) == sorted(FORMULAS), "every function of the registry is judged here", names)
    for name, (start, f, g) in FORMULAS.items():
        config, out = folder / f"{name}.yaml", folder / name
        config.write_text(FUNCTION.format(name, start))
        done = program.train(config, out, ranks=0)
        rows = trajectory(out) if done.code == 0 else [[math.nan] * 4] * 2
        want = [0, *start, f(*start)], [1, *(x - 0.001 * s for x, s in zip(start, g(*start)))]
        worst = max(abs(a - b) / max(1, abs(b)) for row, line in zip(rows, want) for a, b in zip(row, line))
        tap.point(done.code == 0 and worst < 1e-5, f"{name}: value and slope", f"largest difference {worst:.1e}" if done.code == 0 else done)
        for ranks in (0, 3):
            done = program.run("gradcheck", config, "--tolerance", "1e-5", *sets("problem.noise=0.5"), ranks=ranks)
            tap.point(done.code == 0, f"{name}: gradcheck, {ranks or 1} ranks", done.out.strip().splitlines()[-1:] if done.code == 0 else done)
    for name, start in ("bowl", [0, 0]), ("saddle", [0, 0]), ("rosenbrock", [1, 1]):
        done = program.run("gradcheck", folder / f"{name}.yaml", *sets(f"problem.start={start}"))
        tap.point(done.code == 0, f"{name}: gradcheck where the slope is 0", done.out.strip().splitlines()[-1:] if done.code == 0 else done)
    done = program.train(folder / "rosenbrock.yaml", folder / "many", *sets("problem.start=[-1.2, 1, 0.5, -2, 0.1]"), ranks=0)
    v = [-1.2, 1, 0.5, -2, 0.1]
    want = sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(v, v[1:]))
    tap.point(done.code == 0 and math.isclose(trajectory(folder / "many")[0][-1], want, rel_tol=1e-6), "rosenbrock of 5 numbers", want)


def second_order(folder):
    done = program.train(folder / "rosenbrock.yaml", folder / "lbfgs", *sets("optimizer=lbfgs", "train.max_steps=59"), ranks=0)
    rows = trajectory(folder / "lbfgs")
    first = next((r[0] for r in rows if r[-1] <= 1e-8), None)
    tap.point(done.code == 0 and first is not None, "l-bfgs: rosenbrock to 1e-8 in less than 60 steps", f"{rows[-1][-1]:.1e} at step {rows[-1][0]:.0f}, 1e-8 at step {first}")
    done = program.train(folder / "bowl.yaml", folder / "newton", *sets("optimizer=newton", "train.max_steps=5"), ranks=0)
    rows = trajectory(folder / "newton")
    tap.point(done.code == 0 and rows[1][-1] < 1e-12, "newton: a quadratic in one step", f"{rows[0][-1]} to {rows[1][-1]:.1e}")


def unbounded(folder):
    """Without a lower bound a run diverges, whoever drives; with one the same saddle converges."""
    for name in ("lbfgs", "newton"):
        for ranks in (0, 3):
            out = folder / f"falls-{name}{ranks}"
            done = program.train(folder / "saddle.yaml", out, *sets(f"optimizer={name}", "train.max_steps=400"), ranks=ranks)
            state = status(out)
            good = done.code == 5 and len(done.errors()) == 1 and "no lower bound" in done.errors()[0] and (state["state"], state["code"]) == ("failed", 5)
            tap.point(good, f"{name}: a saddle without end, {ranks or 1} ranks: exit 5", done.errors()[:1] if good else done)
        out = folder / f"rests-{name}"
        done = program.train(folder / "saddle.yaml", out, *sets(f"optimizer={name}", "problem.quartic=0.5", "train.max_steps=400"), ranks=0)
        rows, end = trajectory(out), events(out, "end")[-1]
        tap.point(done.code == 0 and end["reason"] == "converged" and abs(rows[-1][-1] + 0.5) < 1e-6, f"{name}: with quartic it converges", (end["reason"], rows[-1]))


def same_bits(folder):
    config = folder / "rosenbrock.yaml"
    edits = sets("optimizer={name: adam, lr: 0.02}", "problem.noise=3", "batch.size=20", "train.max_steps=40", "checkpoint.every_steps=15")
    found = {}
    for ranks in (1, 2, 3, 4):
        out = folder / f"on{ranks}"
        done = program.train(config, out, *edits, ranks=ranks if ranks > 1 else 0)
        found[ranks] = (final_hash(out), (out / "trajectory.csv").read_text() if done.code == 0 else done)
    tap.point(len(set(found.values())) == 1 and found[1][0], "1, 2, 3, 4 ranks: the same bits and trajectory", {n: f[0] for n, f in found.items()})
    out = folder / "resumed"
    program.train(config, out, *edits, "--set", "train.max_steps=17", ranks=0)
    with open(out / "trajectory.csv", "a") as file:
        file.write("18,1,2,3\n19,0.5")  # a step after the checkpoint, a torn line
    done = program.train(config, out, *edits, "--resume", ranks=3)
    same = (final_hash(out), (out / "trajectory.csv").read_text()) == found[1]
    tap.point(done.code == 0 and same, "resumed on 3 ranks: the same bits, no step twice, no torn line", final_hash(out))


def bad_configs(folder):
    config = folder / "bad.yaml"
    cases = [("start of one", "problem: {name: rosenbrock, start: [1]}", "bad.yaml:1:29: problem rosenbrock: start has 1 number,"),
             ("start of three", "problem: {name: saddle, start: [1, 2, 3]}", "bad.yaml:1:25: problem saddle: start has 3 numbers, expected 2"),
             ("start and dims", "problem: {name: bowl, dims: 4, start: [1, 2, 3]}", "bad.yaml:1:32: problem bowl: start has 3 numbers, expected 4"),
             ("start of words", "problem: {name: bowl, start: [1, a]}", "bad.yaml:1:34: problem: start is 'a'"),
             ("unknown problem", "problem: {name: rosenbrok}", "bad.yaml:1:17: unknown problem 'rosenbrok' (closest: 'rosenbrock'"),
             ("unknown option", "problem: {name: bowl, nois: 1}", "bad.yaml:1:23: problem bowl: unknown option 'nois' (closest: 'noise')"),
             ("no name", "problem: {start: [1, 2]}", "bad.yaml:1:1: problem: 'name' is nothing"),
             ("a list", "problem: [bowl]", "bad.yaml:1:1: problem is a list"),
             ("model too", "problem: bowl\nmodel: {input: [1], layers: [dense: {units: 1}]}", "bad.yaml:2:1: config: 'model' does not apply"),
             ("loss too", "problem: bowl\nloss: mse", "bad.yaml:2:1: config: 'loss' does not apply"),
             ("data too", "problem: bowl\ndata: {train: {format: synthetic, kind: lines, samples: 9}}", "bad.yaml:2:1: data does not apply to problem 'bowl'"),
             ("neither", "seed: 1", "config: 'model' is missing"),
             ("a plug-in's name", "problem: {name: plugin}", "bad.yaml:1:1: problem plugin: 'plugin' is missing"),
             ("no such file", "problem: {plugin: ./libnone.so}", "bad.yaml:1:19: plug-in ", "cannot open: No such file"),
             ("no shared object", "problem: {plugin: ./bad.yaml}", "bad.yaml:1:19: plug-in ", "cannot load:"),
             ("a folder", "problem: {plugin: .}", "bad.yaml:1:19: plug-in ", "cannot read:")]
    for name, text, *words in cases:
        config.write_text(text + "\ntrain: {max_steps: 3}\n")
        done = program.run("train", config, "--out", folder / "bad", ranks=2 if name == "no such file" else 0)
        good = done.code == 2 and len(done.errors()) == 1 and all(w in done.err for w in words)
        tap.point(good, f"bad: {name}", done.errors()[0][:150] if good else done)


def race(*args, ranks=0, **more):
    done = program.run("race", *args, "--json", ranks=ranks, **more)
    return done, json.loads(done.out) if done.code == 0 else {"runs": [], "best": None}


def races(folder):
    config = folder / "bowl.yaml"
    axes = ("--optimizers", "sgd,adam,newton", "--lr", "0.24,0.26", "--steps", "200")
    (one, found), (three, _) = race(config, *axes), race(config, *axes, ranks=3)
    runs = {r["name"]: r for r in found["runs"]}
    tap.point(one.code == 0 and one.out == three.out, "race: 1 and 3 ranks print the same", three if one.out != three.out else "")
    # 1 - 8 lr is the factor of the bowl's steep direction: it diverges above 1/4
    names = ["sgd lr 0.24", "sgd lr 0.26", "adam lr 0.24", "adam lr 0.26", "newton"]
    tap.point(list(runs) == names and [runs[n]["diverged"] for n in names] == [False, True, False, False, False], "race: divergence where theory says",
              {n: r["final_loss"] for n, r in runs.items()})
    want = 9 * (1 - 2 * 0.24) ** 20 + 16 * (1 - 8 * 0.24) ** 20
    row = runs["sgd lr 0.24"]
    tap.point(math.isclose(row["loss"][10], want, rel_tol=1e-5) and row["step"][10] == 10 and row["path"][0] == [3, -2], "race: sgd's loss after ten steps",
              f"{row['loss'][10]:.8g}, by formula {want:.8g}")
    tap.point(found["best"] == "newton" and runs["newton"]["target_step"] == 1, "race: the best, and its target", (found["best"], found["target"]))
    for names in ("sgd", "newton", "newton,lbfgs"):
        for option, text in (("--lr", "abc"), ("--lr", "0.1,-1"), ("--lr", ""), ("--lr", "0.1,,1"), ("--batch", "1.5"), ("--steps", "x"), ("--target", "low")):
            done = program.run("race", config, "--optimizers", names, option, text)
            tap.point(done.code == 2 and len(done.errors()) == 1 and option in done.err, f"race {names} {option} '{text}': exit 2", done.err.strip()[:120])
    done, found = race(config, "--optimizers", "sgd,lbfgs,newton", "--steps", "9", *sets("lr=cosine", "optimizer.clip_norm=3"))
    tap.point(done.code == 0 and [r["name"] for r in found["runs"]] == ["sgd lr 0.001", "lbfgs", "newton"], "race: schedule and clipping are for those with a rate", done if done.code else "")
    done, found = race(config, "--optimizers", "lbfgs,sgd", "--lr", "0.1", *sets("optimizer={name: lbfgs, lr: 1}"))
    tap.point(done.code == 0 and not done.err and [r["name"] for r in found["runs"]] == ["lbfgs", "sgd lr 0.1"], "race: no word about the config's idle rate", done if done.code else done.err)
    out = folder / "race"
    picture = shutil.which("gnuplot") is not None
    done = program.run("race", config, *axes, "--target", "0.5", "--out", out)
    files = sorted(p.name for p in out.iterdir()) if out.exists() else []
    tap.point(done.code == 0 and "diverged at step" in done.out and "* e newton" in done.out and "w1 upwards" in done.out
              and files == ["race.csv", "race.json"] + ["race.svg"] * picture, "race: table, map and files", files)
    if picture:
        texts = ["".join(e.itertext()).strip() for e in xml.etree.ElementTree.parse(out / "race.svg").iter() if e.tag.endswith("}text")]
        tap.point("sgd lr 0.26 (diverged)" in texts and "w0" in texts, "race: the picture's words", texts[:40])
    done = program.run("race", config, *axes, "--out", config)
    tap.point(done.code == 74 and len(done.errors()) == 1 and not done.out, "race: a file where its folder goes is said before the runs", done.err.strip())
    done = program.run("race", config, *axes, "--out", out, env={"PATH": "/nowhere"})
    tap.point(done.code == 0 and "no race.svg" in done.err, "race: without gnuplot the rest is there", done.err.strip())
    # a network, and the batch as an axis: single samples wander, all samples at once end at the closed form
    line = root / "configs/batch-race.yaml"
    done, found = race(line, "--batch", "1,8,256", "--lr", "0.2", "--steps", "120", ranks=2)
    runs = {r["batch"]: r for r in found["runs"]}
    final = {b: r["final_loss"] for b, r in runs.items()}
    wander = {b: max(r["loss"][20:]) - min(r["loss"][20:]) for b, r in runs.items()}
    samples = [r["samples"] for r in found["runs"]]
    tap.point(done.code == 0 and samples == [120, 960, 30720] and wander[1] > 4 * wander[8] > 4 * wander[256] and abs(final[256] - 0.24156) < 1e-4,
              "race: single samples, mini-batches and batches on 2 ranks", {b: f"{final[b]:.5f} +- {wander[b]:.1e}" for b in final} or done)
    for name, args in (("optimizer", ["--optimizers", "adm"]), ("rate", ["--lr", "0.1,x"]), ("batch", ["--batch", "0"]), ("steps", ["--steps", "0"]), ("twice", ["--lr", "0.1,0.10"]),
                       ("empty", ["--lr", "0.1,,1"]), ("key", ["--set", "optimizer.lrr=1"])):
        done = program.run("race", config, *args)
        tap.point(done.code == 2 and len(done.errors()) == 1, f"race: bad {name}", done.err.strip())


class Builder:
    def __init__(self, folder):
        self.folder, self.cc = folder, shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

    def build(self, source, name, *flags):
        """One line, and the one public header."""
        out = self.folder / f"lib{name}.so"
        subprocess.run([self.cc, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *flags, "-I", root / "include", "-o", out, source], check=True)
        return out


def example(folder, builder):
    for name in ("michaelis.yaml", "puromycin.csv"):
        shutil.copy(root / "examples/plugin" / name, folder)
    builder.build(root / "examples/plugin/michaelis.c", "michaelis")
    config, hashes = folder / "michaelis.yaml", {}
    for ranks in (0, 3):
        out = folder / f"michaelis{ranks}"
        done = program.train(config, out, ranks=ranks)
        hashes[ranks] = final_hash(out)
    # Bates and Watts (1988): vmax 212.7, km 0.0641, residual sum of squares 1195.4 of 12 samples
    found = parameters(folder / "michaelis0/latest") if done.code == 0 else {}
    loss = events(folder / "michaelis0", "eval")[-1]["loss"]
    vmax, km = (100 * float(found["michaelis/vmax"][()]), 0.1 * float(found["michaelis/km"][()])) if found else (0, 0)
    tap.point(abs(vmax - 212.7) < 0.05 and abs(km - 0.0641) < 5e-5 and abs(loss - 1195.4 / 12) < 0.01, "the example: the published fit",
              f"vmax {vmax:.3f}, km {km:.5f}, loss {loss:.4f}")
    tap.point(hashes[0] and len(set(hashes.values())) == 1, "the example: 1 and 3 ranks, the same bits", hashes)
    check = [program.run("gradcheck", config, "--tolerance", "1e-5", ranks=n) for n in (0, 3)]
    tap.point(all(c.code == 0 for c in check), "the example: gradcheck on 1 and 3 ranks", check[0].out.strip().splitlines()[-1:])
    (folder / "c.csv").write_text("concentration\n0.5\n")
    done = program.run("predict", folder / "michaelis0", folder / "c.csv")
    said = re.findall(r"[\d.]+", done.out)
    tap.point(done.code == 0 and math.isclose(float(said[-1]), vmax * 0.5 / (km + 0.5), rel_tol=1e-5), "the example: predict", done.out.split())


def line_data(folder):
    """30 samples of 3 inputs and 2 targets, from a sequence that repeats nothing."""
    rows = [[math.sin(k * (i + 1) * 0.7) for k in range(1, 4)] for i in range(30)]
    with open(folder / "lines.csv", "w") as file:
        file.write("a,b,c,y,z\n")
        for i, (a, b, c) in enumerate(rows):
            file.write(f"{a:.6f},{b:.6f},{c:.6f},{a - 2 * b + 0.5 + 0.1 * math.cos(9 * i):.6f},{3 * c - 1:.6f}\n")


PLUGIN = """data: {{train: {{format: csv, path: lines.csv, target: [y, z]}}}}
problem: {{plugin: ./lib{}.so, input: [3], targets: 2, options: {{}}}}
batch: {{size: 30, shards: 4}}
optimizer: {{name: momentum, lr: 0.1}}
train: {{max_steps: 12, log_every: 1}}
"""


def regression(folder, config):
    layer = folder / "dense.yaml"
    layer.write_text(re.sub(r"problem: .*", "model: {input: [3], layers: [dense: {units: 2, init: zeros}]}\nloss: mse", config.read_text()))
    runs = {"plug-in": program.train(config, folder / "plug", ranks=0), "dense": program.train(layer, folder / "dense", ranks=0)}
    on2 = program.train(config, folder / "plug2", ranks=2)
    if any(r.code for r in [*runs.values(), on2]):
        tap.point(False, "a linear regression", [str(r) for r in runs.values()])
        return
    a, b = parameters(folder / "plug/latest"), parameters(folder / "dense/latest")
    off = max(float(abs(a[f"faulty/{t}"] - b[f"dense1/{t}"]).max()) for t in ("weight", "bias"))
    tap.point(off < 1e-6 and abs(b["dense1/weight"]).max() > 0.1, "a linear regression: the weights of a dense layer", f"largest difference {off:.1e}")
    scores = [events(folder / n, "eval")[-1] for n in ("plug", "dense")]
    tap.point(all(math.isclose(scores[0][k], scores[1][k], rel_tol=1e-5) for k in ("loss", "mae", "r2")), "and its scores", scores[0])
    tap.point(final_hash(folder / "plug") == final_hash(folder / "plug2"), "and its bits on 2 ranks", final_hash(folder / "plug2"))


def classes(folder, builder):
    """The same plug-in, learning classes by their names."""
    builder.build(root / "tests/harness/faulty.c", "classes", "-DFAULTY_DATA=DS_PLUGIN_CLASSES")
    with open(folder / "kinds.csv", "w") as file:
        file.write("a,b,c,kind\n" + "".join(f"{i % 7},{i % 5},{i % 3},{'many' if i % 7 > 3 else 'few'}\n" for i in range(40)))
    config = folder / "kinds.yaml"
    config.write_text("data: {train: {format: csv, path: kinds.csv, target: kind}, normalize: standard}\nproblem: {plugin: ./libclasses.so, input: [3], targets: 2}\n"
                      "optimizer: {name: adam, lr: 0.05}\nbatch: {size: 8}\ntrain: {epochs: 20}\n")
    runs = [program.train(config, folder / f"kinds{n}", ranks=n) for n in (0, 2)]
    scores = events(folder / "kinds0", "eval")[-1:] or [{}]
    tap.point(all(r.code == 0 for r in runs) and scores[0].get("accuracy") == 1 and final_hash(folder / "kinds0") == final_hash(folder / "kinds2"),
              "plug-in: classes by name, 1 and 2 ranks", scores[0] if runs[0].code == 0 else runs[0])
    done = [program.run("data", "info", config), program.train(config, folder / "kinds5", *sets("problem.targets=5"), ranks=0)]
    tap.point(done[0].code == 0 and "many" in done[0].out and done[1].code == 2 and "have 2 classes: set targets to 2" in done[1].err, "and data info knows them",
              done[1].err.strip())


def faults(folder, config, builder):
    for name, flags in (("abi", "-DFAULTY_ABI=99"), ("bytes", "-DFAULTY_BYTES=8"), ("symbol", "-DFAULTY_SYMBOL=other_plugin"), ("undefined", "-Dcalloc=no_such"),
                        ("whole", '-DFAULTY_AT="half"'), ("real", '-DFAULTY_SCALE="1e999"')):
        builder.build(root / "tests/harness/faulty.c", name, flags, *(["-Wno-implicit-function-declaration", "-Wno-int-conversion", "-w"] if name == "undefined" else []))
    whole = (folder / "libfaulty.so").read_bytes()
    for name, part in (("cut", whole[:3000]), ("torn", whole[:-40])):  # dlopen would die of the first by SIGBUS
        (folder / f"lib{name}.so").write_bytes(part)
    cases = [("cut off", {"cut": ()}, 2, "end before its header says", 2), ("short of its last bytes", {"torn": ()}, 2, "end before its header says", 0),
             ("another version", {"abi": ()}, 2, "made for version 99 of descent/plugin.h, this program has version 1", 3),
             ("another size", {"bytes": ()}, 2, "has 8 bytes, expected", 0), ("no symbol", {"symbol": ()}, 2, "no symbol descent_plugin", 2),
             ("a symbol that is nowhere", {"undefined": ()}, 2, "cannot load:", 0),
             ("open says no", {"faulty": ("fault=open",)}, 2, "plug-in faulty: open failed (2): asked not to open", 3),
             ("initial says no", {"faulty": ("fault=initial",)}, 2, "initial failed (77): it does not say why", 0),
             ("no tensors", {"faulty": ("fault=tensors",)}, 2, "open gave 0 tensors", 0),
             ("no table of tensors", {"faulty": ("fault=table",)}, 2, "plug-in faulty: open gave 2 tensors, but their table (.tensor) is NULL", 3),
             ("a default that is no whole number", {"whole": ()}, 2, "plug-in faulty: its option 'at' has the default 'half', expected a whole number", 3),
             ("one that is not finite, though not used", {"real": ("scale=2",)}, 2, "its option 'scale' has the default '1e999', expected a finite", 0),
             ("a name twice", {"faulty": ("fault=twice",)}, 2, "two tensors are named 'weight'", 0),
             ("an empty tensor", {"faulty": ("fault=shape",)}, 2, "'bias' of shape [0]", 0),
             ("an option it has not", {"faulty": ("falt=1",)}, 2, "unknown option 'falt' (closest: 'fault')", 0),
             ("an option out of range", {"faulty": ("at=-1",)}, 2, "at is '-1', expected int", 0),
             ("nan with a sign", {"faulty": ("fault=evaluation",)}, 5, "loss after step 1 is nan:", 3),
             ("nan", {"faulty": ("fault=nan", "at=3")}, 5, "step 4, shard 2 of 4 on rank", 3),
             ("nan, lbfgs", {"faulty": ("fault=nan",)}, 5, "lbfgs: not finite where a step begins: step 1, shard 2 of 4 on rank 1", 3),
             ("a plane, lbfgs", {"faulty": ("fault=plane",)}, 5, "lbfgs: the loss has no lower bound", 3),
             ("a plane, newton", {"faulty": ("fault=plane",)}, 5, "newton: the loss has no lower bound", 3),
             ("nan in a gradient", {"faulty": ("fault=nan_gradient", "at=3")}, 5, "gradient of faulty/bias is nan; samples 6", 0),
             ("an error at a step", {"faulty": ("fault=loss", "at=3")}, 2, "plug-in faulty: loss failed (1): asked to fail", 3),
             ("bad data", {"faulty": ("fault=data",)}, 3, "loss failed (3)", 0), ("diverged", {"faulty": ("fault=diverged",)}, 5, "loss failed (5)", 0),
             ("exit(0)", {"faulty": ("fault=exit", "at=3")}, 70, "exit() was called", 0), ("exit(0)", {"faulty": ("fault=exit", "at=3")}, 70, "exit() was called", 3)]
    for name, library, code, words, ranks in cases:
        (which, options), = library.items()
        edits = sets(f"problem.plugin={folder}/lib{which}.so", *(f"problem.options.{o}" for o in options), *[f"optimizer={o}" for o in ("lbfgs", "newton") if name.endswith(o)])
        done = program.run("train", config, "--out", folder / "fault", "--overwrite", *edits, ranks=ranks, timeout=60)
        good = done.code == code and len(done.errors()) == 1 and words in done.err
        tap.point(good, f"plug-in: {name}, {ranks or 1} ranks", done.errors()[0][:230] if good else done)
    done = program.run("train", config, "--out", folder / "fault", "--overwrite", *sets("problem.options.fault=nan", "problem.options.at=3", "train.on_nan=skip"), ranks=2)
    tap.point(done.code in (0, 5) and len(events(folder / "fault", "skip")) >= 5, "plug-in: nan, skipped", f"{len(events(folder / 'fault', 'skip'))} skipped")
    for rank in (0, 1):  # the file is on two hosts of three
        env = {"LD_PRELOAD": str(pathlib.Path(sys.argv[3]).resolve()), "SHIM_RANK": str(rank), "SHIM_DENY": "libfaulty.so"}
        alone = Program(program.binary)
        alone.command = lambda words, n: ["mpirun", "--oversubscribe", "-n", str(n), "/usr/bin/env", *(f"{k}={v}" for k, v in env.items()), program.binary, *map(str, words)]
        done = alone.run("train", config, "--out", folder / "fault", "--overwrite", ranks=3, timeout=60)
        good = done.code == 2 and len(done.errors()) == 1 and re.search(rf"rank {rank} of 3 on .*libfaulty\.so: cannot open", done.err) and done.seconds < 10
        tap.point(good, f"plug-in: absent on rank {rank} of 3 only", done.errors()[0] if good else done)
    for name, edit, words in (("no data", "data={}", "learns from samples: expected a source in data.train"), ("no input", "problem={plugin: ./libfaulty.so, targets: 2}", "'input' is missing, expected the shape of a sample"),
                              ("targets", "problem.targets=3", "has targets: 3, the training data have 2 target columns"), ("input", "problem.input=[4]", "4")):
        done = program.run("train", config, "--out", folder / "fit", "--overwrite", *sets(edit), cwd=folder)
        tap.point(done.code in (2, 3) and len(done.errors()) == 1 and words in done.err, f"plug-in: {name} unfit", done.errors() or done)


def lost(folder, builder):
    """Outputs that are not finite: written, told, and exit 5."""
    builder.build(root / "tests/harness/faulty.c", "lost", "-DFAULTY_DATA=DS_PLUGIN_CLASSES")
    config = folder / "lost.yaml"
    config.write_text((folder / "kinds.yaml").read_text().replace("libclasses", "liblost").replace("normalize: standard", "normalize: none"))
    for name, text, kind in (("numbers", folder / "plugin.yaml", "plug"), ("classes", config, "lost")):
        if kind == "lost":
            program.train(text, folder / "lost", ranks=0)
        (folder / "rows.csv").write_text("a,b,c\n1,2,3\n-1,2,3\n4,5,6\n-4,5,6\n7,8,9\n")
        whole = program.run("predict", folder / kind, folder / "rows.csv")
        for ranks in (0, 3):
            done = program.run("predict", folder / kind, folder / "rows.csv", "--out", folder / "rows.out.csv", *sets("problem.options.fault=predict"), ranks=ranks)
            rows, good = (folder / "rows.out.csv").read_text().splitlines(), whole.out.splitlines()
            fine = whole.code == 0 and done.code == 5 and len(done.errors()) == 1 and "2 of 5 rows are not finite, the first is row 1 (from 0)" in done.err
            same = [rows[i] for i in (0, 1, 3, 5)] == [good[i] for i in (0, 1, 3, 5)] and rows[2] == rows[4] == ("nan,nan" if name == "numbers" else ",nan,nan")
            tap.point(fine and same, f"predict, {name}: rows that are not finite, {ranks or 1} ranks", done.errors()[0] if fine and same else f"{done}\n{rows}\n{good}")
    done = program.run("predict", folder / "lost", folder / "rows.csv", "--format", "jsonl", *sets("problem.options.fault=predict"))
    tap.point(done.code == 5 and '"class":null,"probability":null' in done.out.splitlines()[1], "predict as jsonl: null", done.out.splitlines()[1:2])


def changed(folder, config, builder):
    out = folder / "changed"
    program.train(config, out, *sets("train.max_steps=5"), ranks=0)
    builder.build(root / "tests/harness/faulty.c", "faulty", "-DCHANGED")
    with open(folder / "libfaulty.so", "ab") as file:
        file.write(b"another file")
    strict = program.train(config, out, "--resume", *sets("train.max_steps=9", "compute.strict=true"), ranks=0)
    done = program.train(config, out, "--resume", *sets("train.max_steps=9"), ranks=2)
    tap.point(strict.code == 4 and "the plug-in has changed" in strict.err, "resumed with another plug-in, strict: 4", strict.err.strip()[:150])
    tap.point(done.code == 0 and done.err.count("the plug-in has changed") == 1 and status(out).get("step") == 9, "else it is said, and goes on", done.err.strip()[:150])


def main():
    with Folder("problems") as folder:
        functions(folder.path)
        second_order(folder.path)
        unbounded(folder.path)
        same_bits(folder.path)
        races(folder.path)
        bad_configs(folder.path)
        builder = Builder(folder.path)
        if builder.cc is None:
            tap.skip("plug-ins", "no C compiler")
        else:
            example(folder.path, builder)
            line_data(folder.path)
            builder.build(root / "tests/harness/faulty.c", "faulty")
            config = folder.path / "plugin.yaml"
            config.write_text(PLUGIN.format("faulty"))
            regression(folder.path, config)
            classes(folder.path, builder)
            faults(folder.path, config, builder)
            lost(folder.path, builder)
            changed(folder.path, config, builder)
    tap.done()


main()
