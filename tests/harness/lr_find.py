"""`descent lr-find`: the verdict against its definition computed here, the losses against a run of `train`, the same bits on any
rank count, a divergence that theory knows. usage: lr_find.py DESCENT"""
import json
import math
import sys
import xml.etree.ElementTree

from runs import Folder, Program, Tap, events, shutil

program, tap = Program(sys.argv[1]), Tap()

DIGITS = """
seed: 3
data: {train: {format: synthetic, kind: digits, samples: 640}, normalize: standard}
model: {input: [784], layers: [dense: {units: 32, activation: relu}, dense: {units: 10}]}
loss: cross_entropy
batch: {size: 64, shards: 8}
optimizer: {name: momentum, lr: 5}
lr: {schedule: cosine, warmup_steps: 7}
stop: {plateau: {patience: 1}}
train: {epochs: 2}
"""
# x is -1 or 1, y = 2 x and some noise (without it the loss becomes 0 at rate 1/2): mse's second derivative by the weight is 2 mean(x^2) = 2, so plain descent diverges above rate 2 / 2 = 1
LINE = """
data: {train: {format: csv, path: line.csv, target: y}}
model: {input: [1], layers: [dense: {units: 1, bias: false}]}
loss: mse
batch: {size: 8, shards: 4}
optimizer: sgd
train: {epochs: 1}
"""


def verdict(loss, smooth):
    """smoothed, steepest, minimum, diverged by their definitions; steps from 0, None where there is none."""
    mean, smoothed, diverged = 0.0, [], None
    for i, x in enumerate(loss):
        mean = smooth * mean + (1 - smooth) * (math.nan if x is None else x)
        smoothed.append(mean / (1 - smooth ** (i + 1)))
        if not math.isfinite(smoothed[i]) or (i > 0 and smoothed[i] > 4 * min(smoothed[:i])):
            diverged = i
            break
    n = len(smoothed) if diverged is None else diverged
    minimum = min(range(n // 10, n), key=smoothed.__getitem__)
    slopes = {i: smoothed[i + 1] - smoothed[i - 1] for i in range(1 + n // 10, min(n - 1, minimum))}
    steepest = min(slopes, key=slopes.get) if slopes and min(slopes.values()) < 0 and falls(loss, smooth, smoothed, minimum) else None
    return smoothed, steepest, minimum, diverged


def falls(loss, smooth, smoothed, m):
    """Is the way from the first half's mean to the minimum more than four deviations of what chance makes of it, or half of the loss?"""
    half = (m + 1) // 2
    weights = [(1 - smooth) * smooth ** (m - i) / (1 - smooth ** (m + 1)) for i in range(m + 1)]  # of the smoothed minimum
    variance = sum((b - a) ** 2 for a, b in zip(loss[:m], loss[1:m + 1])) / (2 * m)
    fall = sum(loss[:half]) / half - smoothed[m]
    if 0 < smoothed[m] < fall:  # it halves: no noise does that
        return True
    return fall > 4 * math.sqrt(variance * (sum(w * w for w in weights) + 1 / half)) and fall > 1e-6 * (abs(smoothed[m]) + abs(fall))


def near(a, b):
    return a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9))


def judge(name, text, smooth, low, ratio):
    found = json.loads(text)
    rates = [low * ratio ** i for i in range(found["steps"])]
    smoothed, *steps = verdict(found["loss"], smooth)
    want = [None if s is None else rates[s] for s in steps]
    got = [found[k] for k in ("steepest", "minimum", "diverged")]
    good = len(smoothed) == found["steps"] and all(map(near, rates, found["rate"])) and all(map(near, got, want)) and all(
        near(a, b) or not math.isfinite(b) for a, b in zip(found["smoothed"], smoothed))
    good = good and near(found["suggested"], None if want[0] is None else want[0] / 10)
    tap.point(good, name, f"steepest, lowest, diverged {got}, here {want}; suggested {found['suggested']}")
    return found


with Folder("lr-find") as folder:
    config = folder.path / "digits.yaml"
    config.write_text(DIGITS)
    more = ("--from", "1e-6", "--to", "100", "--steps", "60", "--smooth", "0.8")
    ratio = 1e8 ** (1 / 59)
    texts = {n: program.run("lr-find", config, "--json", *more, ranks=n) for n in (0, 1, 2, 3)}
    tap.point(len({t.out for t in texts.values()}) == 1 and texts[0].code == 0, "1, 2, 3 ranks: the same bits", texts[3])
    found = judge("verdict", texts[0].out, 0.8, 1e-6, ratio)
    tap.point(found["diverged"] is not None and found["suggested"] < found["steepest"] < found["minimum"] < found["diverged"] < 100, "order",
              [found[k] for k in ("suggested", "steepest", "minimum", "diverged")])
    # what the sweep says is what a run with these rates does
    steps = found["steps"] - 1
    run = program.train(config, folder.path / "run", *[w for e in ("optimizer.lr=1e-6", f"lr={{schedule: exponential, gamma: {ratio!r}}}", "stop={}",
                        f"train={{max_steps: {steps}, epochs: 0, log_every: 1}}") for w in ("--set", e)], ranks=2)
    losses = [e["loss"] for e in events(folder.path / "run", "step")]
    tap.point(run.code == 0 and losses == found["loss"][:steps], "losses: those of a run of train", f"{len(losses)} losses; {run.err[-300:]}")
    tap.point(sorted(p.name for p in folder.path.iterdir()) == ["digits.yaml", "run"], "no run is written")
    done = program.run("lr-find", config, *more, env={"LC_ALL": "C"})
    tap.point(done.code == 0 and "suggested: optimizer.lr=" in done.out and "diverged at rate" in done.out and " |" in done.out, "in the terminal", done.out[-300:])
    if shutil.which("gnuplot"):
        done = program.run("lr-find", config, *more, "--out", folder.path / "p.svg", ranks=2)
        texts = ["".join(e.itertext()).strip() for e in xml.etree.ElementTree.parse(folder.path / "p.svg").iter() if e.tag.endswith("}text")]
        tap.point(done.code == 0 and "learning rate" in texts and "smoothed" in texts and any(t.startswith("steepest at") for t in texts), "as a picture", texts)
    else:
        tap.skip("as a picture", "gnuplot is not installed")
    bare = program.run("lr-find", config, *more, "--out", folder.path / "q.svg", ranks=0, env={"PATH": "/nonexistent"})
    tap.point(bare.code == 2 and "gnuplot-nox" in bare.err and "parameters" not in bare.err and bare.seconds < 5, "no gnuplot: said before the sweep", bare.err)
    (folder.path / "line.csv").write_text("x,y\n" + "".join(f"{x},{2 * x + 0.3 * math.sin(i * i):.3f}\n" for i, x in enumerate((-1, 1) * 8)))
    line = folder.path / "line.yaml"
    line.write_text(LINE)
    done = program.run("lr-find", line, "--json", "--from", "1e-4", "--to", "1e4", "--steps", "161", "--smooth", "0")
    found = judge("verdict of a parabola", done.out, 0, 1e-4, 1e8 ** (1 / 160))
    tap.point(found["diverged"] is not None and 1 < found["diverged"] < 10, "a parabola diverges above its bound of 1", found["diverged"])
    done = program.run("lr-find", line, "--from", "1e-9", "--to", "1e-8", "--steps", "10", "--set", "data.train.target=x")
    tap.point(done.code in (0, 1, 2) and len(done.errors()) == (done.code > 1), "hardly any range", done)
    done = program.run("lr-find", line, "--from", "1e4", "--to", "1e9", "--steps", "20", ranks=2)
    tap.point(done.code == 1 and not done.errors() and done.err.count("does not fall") == 1, "no fall: 1", done.err)
    # flat: rates too small for any effect, on batches whose losses differ; and a hilltop, where floats' rounding is all that moves
    flat = [program.run("lr-find", config, "--json", "--from", "1e-12", "--to", "1e-9", "--set", f"seed={seed}") for seed in range(12)]
    advised = [json.loads(f.out)["suggested"] for f in flat]
    tap.point(all(f.code == 1 and not f.errors() and f.err.count("no rate from 1e-12 to 1e-09 lowers it") == 1 for f in flat) and not any(advised),
              "flat: no rate is advised, 1", f"{advised}; {flat[0].err.strip()[-200:]}")
    steep = [program.run("lr-find", config, "--json", "--set", "optimizer.lr=1", "--set", f"seed={seed}") for seed in range(6)]
    advised = [json.loads(f.out)["suggested"] for f in steep]
    tap.point(all(f.code == 0 for f in steep) and all(1e-5 < a < 0.1 for a in advised), "the same where it falls: a rate", advised)
    # of 20 steps a few see the fall, and it looks like their noise
    done = program.run("lr-find", sys.argv[2] + "/configs/heating.yaml", "--json", "--from", "1e-2", "--to", "10", "--steps", "20", "--smooth", "0.9")
    found = judge("verdict of a short sweep", done.out, 0.9, 1e-2, 1e3 ** (1 / 19))
    tap.point(done.code == 0 and found["fall"] < 4 * found["noise"], "a loss that halves has fallen, whatever its noise", (found["fall"], found["noise"], found["suggested"]))
    top = folder.path / "top.yaml"
    top.write_text("problem: {name: rastrigin, start: [0.99495865, 0]}\noptimizer: {name: sgd}\ntrain: {max_steps: 5}\n")
    done = program.run("lr-find", top)
    tap.point(done.code == 1 and "suggested" not in done.out and done.err.count("does not fall") == 1, "a hollow's bottom: rounding is no fall, 1", done.err.strip()[-200:])
    # below 0 four times the best means nothing: w^2 - b^2 goes on falling
    top.write_text("problem: {name: saddle, start: [0.5, 1]}\noptimizer: {name: sgd}\ntrain: {max_steps: 5}\n")
    done = program.run("lr-find", top, "--json", "--from", "1e-3", "--to", "0.1", "--steps", "40")
    found = json.loads(done.out)
    tap.point(done.code == 0 and found["diverged"] is None and found["steps"] == 40, "negative losses do not diverge by falling", (found["diverged"], found["suggested"]))
    for name in ("lbfgs", "newton"):
        done = program.run("lr-find", line, "--set", f"optimizer={name}", "--set", "batch.size=16", ranks=2 if name == "lbfgs" else 0)
        tap.point(done.code == 2 and len(done.errors()) == 1 and f"optimizer {name} has no learning rate" in done.err and "suggested" not in done.out, f"{name} has no rate: 2", done.err.strip()[:120])
    for what, code, args in (("steps", 2, [line, "--steps", "3"]), ("half a step", 2, [line, "--steps", "10.5"]), ("range", 2, [line, "--from", "1", "--to", "0.1"]), ("number", 2, [line, "--from", "x"]),
                             ("zero", 2, [line, "--from", "0"]), ("smooth", 2, [line, "--smooth", "1"]), ("leaps", 2, [line, "--from", "1e-20", "--to", "1e20", "--steps", "10"]),
                             ("extension", 2, [line, "--out", "p.pdf"]), ("no config", 2, []), ("missing", 2, [folder.path / "no.yaml"]),
                             ("option", 2, [line, "--step", "9"]), ("key", 2, [line, "--set", "optimizer.lrr=1"])):
        done = program.run("lr-find", *args)
        tap.point(done.code == code and len(done.errors()) == 1, f"bad {what}", done.err.strip())
tap.done()
