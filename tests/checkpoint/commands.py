"""`descent verify`, `inspect` and `diff` on sample checkpoints; a writer killed at any instant.
usage: commands.py DESCENT CKPT_TOOL TESTS_FOLDER"""
import json
import math
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

descent, tool, tests = sys.argv[1:4]
sys.path.insert(0, tests)
from tap import Tap  # noqa: E402

tap = Tap()


def run(*command, timeout=20):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout)


def one_line(done, code):
    """The right code, and one line of error that says whose it is."""
    lines = done.stderr.splitlines()
    return done.returncode == code and len(lines) == 1 and lines[0].startswith("descent: error: ")


def sample(i, j, salt):  # sample.h: sample_float
    return ((j * 31 + i * 7 + salt) % 1009) / 8.0 - 50.0


def write(folder, step=100, rows=20, salt=1):
    done = run(tool, folder, step, rows, salt)
    if done.returncode:
        raise SystemExit(done.stderr)
    return folder


def test_verify(top, good):
    damaged = top / "damaged.h5"
    shutil.copy(good / "latest", damaged)
    with damaged.open("r+b") as f:
        f.seek(230000)
        f.write(b"\x7fx")
    done = run(descent, "verify", good, good / "latest")
    tap.point(done.returncode == 0 and done.stdout.count(": good") == 2, "verify: good", done.stdout)
    done = run(descent, "verify", "-v", good, damaged)
    tap.point(one_line(done, 4) and "damaged /optimizer/m/dense1/weight" in done.stdout and done.stdout.count("  good") == 15,
              "verify: damaged, named", done.stderr)
    for what, path in (("missing", top / "no"), ("device", "/dev/zero"), ("no checkpoint", tool)):
        done = run(descent, "verify", path)
        tap.point(one_line(done, 4), f"verify: {what}", done.stderr)
    done = run(descent, "verify")
    tap.point(one_line(done, 2), "verify: nothing", done.stderr)
    done = run(descent, "inspect", damaged)
    tap.point(one_line(done, 4) and "DAMAGED" in done.stdout and "─ parameters" in done.stdout.replace("|-", "├─").replace("`-", "└─"), "inspect: damaged", done.stderr)
    done = run(descent, "diff", good, damaged)
    tap.point(one_line(done, 4), "diff: damaged", done.stderr)


def test_inspect(good):
    done = run(descent, "inspect", good, "--json")
    found = json.loads(done.stdout)
    weight = next(t for t in found["tensors"] if t["name"] == "/parameters/dense1/weight")
    want = [sample(0, j, 1) for j in range(20000)]
    close = [math.isclose(weight[k], v, rel_tol=1e-12) for k, v in
             (("norm", math.sqrt(math.fsum(x * x for x in want))), ("min", min(want)), ("max", max(want)),
              ("mean", math.fsum(want) / len(want)))]
    tap.point(all(close) and weight["shape"] == [20, 1000] and found["parameters"] == 20010, "inspect --json: numbers",
              [weight[k] for k in ("norm", "min", "max", "mean")])
    tap.point(found["step"] == 100 and len(found["run"]["config"]) == 100000 and found["run"]["best_loss"] == 0.1, "inspect --json: run")
    done = run(descent, "inspect", good, "--tensor", "dense1.weight", "--json")
    tap.point(json.loads(done.stdout)["values"] == want, "inspect --tensor --json: values")
    done = run(descent, "inspect", good, "--tensor", "dense1/bias")
    values = [float(x) for x in re.findall(r"-?[\d.]+", done.stdout.split("\n", 1)[1])]
    tap.point(values == [sample(1, j, 1) for j in range(10)], "inspect --tensor: values", values)
    done = run(descent, "inspect", good, "--tensor", "nosuch")
    tap.point(one_line(done, 2), "inspect: unknown tensor", done.stderr)
    done = run(descent, "inspect", good, "--tensor", "dense1/wieght")
    tap.point(one_line(done, 2) and "closest: 'dense1/weight'" in done.stderr, "inspect: misspelled tensor", done.stderr)


def test_diff(top, good):
    same, other, later = write(top / "same"), write(top / "other", salt=2), write(top / "later", step=101)
    done = run(descent, "diff", good, same)
    tap.point(done.returncode == 0 and done.stderr == "", "diff: equal", done.stdout)
    done = run(descent, "diff", good, other, "--json")
    found = json.loads(done.stdout)
    bias = next(t for t in found["tensors"] if t["name"] == "/parameters/dense1/bias")
    # 10 elements, each 1/8 higher; -14.125 against -14: 1/8 is 2^17 steps of 2^-20
    tap.point(done.returncode == 1 and not found["equal"] and found["first"] == "/parameters/dense1/weight", "diff --json: first",
              found["first"])
    tap.point(bias["max_abs"] == 0.125 and bias["max_ulp"] == 2 ** 17 and bias["differ"] == 10, "diff --json: distance", bias)
    done = run(descent, "diff", good, later)
    tap.point(done.returncode == 1 and "first is step" in done.stdout, "diff: step", done.stdout)


def test_kill(top):
    """What is committed stays whole, whenever the writer dies."""
    folder, chance, killed = write(top / "kill", 1, 700), random.Random(7), 0
    for step in range(2, 22):
        writer = subprocess.Popen([tool, folder, str(step), "700", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begun = folder / f"checkpoints/step-{step:08d}.h5.tmp"
        while not begun.exists() and writer.poll() is None:
            pass
        time.sleep(chance.uniform(0, 0.015))
        writer.kill()
        killed += writer.wait() != 0
        done = run(descent, "verify", folder, *sorted((folder / "checkpoints").glob("*.h5")))
        if done.returncode:
            return tap.point(False, "a killed writer harms nothing", done.stdout)
    write(folder, 99)  # takes away what the killed left in memory
    tmp = len(list((folder / "checkpoints").glob("*.tmp")))
    return tap.point(killed > 0, "a killed writer harms nothing", f"{killed} of 20 killed, {tmp} of them while writing")


with tempfile.TemporaryDirectory(prefix="descent-") as name:
    place = pathlib.Path(name)
    checkpoint = write(place / "good")
    test_verify(place, checkpoint)
    test_inspect(checkpoint)
    test_diff(place, checkpoint)
    test_kill(place)
tap.done()
