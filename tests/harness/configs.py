"""Each ready config runs as it stands, at small size: exit 0, finite loss, less of it at the end than at the start, no false alarm.
usage: configs.py DESCENT SOURCE_ROOT"""
import math
import pathlib
import re
import sys

from runs import Folder, Program, Tap, events

SMALL = {"fashion-mlp": ["train.max_steps=30", "model.layers.0.dense.units=64", "model.layers.1.dense.units=64"],
         "fashion-cnn": ["train.max_steps=24", "model.layers.0.conv.channels=4", "model.layers.2.conv.channels=4", "eval.batch=500"],
         "fashion-resnet": ["train.max_steps=40", "model.depth=8", "model.width=4", "lr.warmup_steps=0", "eval.batch=500"],
         "char-lstm": ["train.max_steps=40", "model.layers.1.lstm.units=64"],
         "bible-gpt": ["data.train.path=/usr/share/common-licenses/GPL-3", "data.test.path=/usr/share/common-licenses/GPL-3", "model.layers=1",
                       "model.width=32", "model.heads=2", "model.context=32", "train.max_steps=60", "lr.warmup_steps=5", "optimizer.lr=0.005"],
         "fashion-kfac": ["train.max_steps=30", "model.layers.0.dense.units=64", "model.layers.1.dense.units=64", "data.normalize=unit"],
         "digits-mlp": ["train.epochs=1"], "spirals": ["train.epochs=8"], "flowers": ["train.epochs=20"], "sine": ["train.epochs=60"], "heating": ["train.epochs=10"]}
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
tap = Tap()


def losses(out):
    return [e["loss"] for e in events(out, "step")]


def learns(program, path, out):
    sets = [word for edit in [*SMALL.get(path.stem, []), "train.log_every=1", "train.log_layers=true"] for word in ("--set", edit)]
    done = program.train(path, out, *sets, ranks=2, timeout=200)
    found = losses(out) if done.code == 0 else []
    n = max(1, len(found) // 5)
    first, last = (sum(found[:n]) / n, sum(found[-n:]) / n) if found else (0, math.inf)
    alarms = [e["text"] for e in events(out, "warning")]
    good = done.code == 0 and not alarms and all(v is not None and math.isfinite(v) for v in found) and last < 0.9 * first
    tap.point(good, path.stem, f"{len(found)} steps, loss {first:.4g} to {last:.4g} {alarms or ''}" if found else done)
    return done


def closed_form(done):
    """The run's own word on least squares, and the answer from this file's formula."""
    line = next((text for text in (done.out + done.err).splitlines() if "least squares" in text.lower()), "")
    numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?", line)]
    tap.point(bool(numbers), "house-prices is compared with least squares", line or done)


def tells(path):
    """What comes out stands in the first comment, the config in the folder's table."""
    comment = re.match(r"(?:#.*\n)*", path.read_text())[0].replace("\n# ", " ")
    told = re.search(r"\d %|(?:loss|mse) (?:about )?\d|\d bits", comment)
    tap.point(told and f"| `{path.stem}` |" in (path.parent / "README.md").read_text(), f"{path.stem} says what to expect", told[0] if told else comment)


def dry(program, path, out):
    sets = [word for edit in SMALL.get(path.stem, []) if edit.startswith("data.") for word in ("--set", edit)]
    done = program.train(path, out, "--dry-run", *sets, ranks=3)
    tap.point(done.code == 0 and re.search(r"dense1|problem \w+", done.out + done.err) and not out.exists(), f"{path.stem} --dry-run", "" if done.code == 0 else done)


def main():
    program, root = Program(sys.argv[1]), pathlib.Path(sys.argv[2])
    found = sorted((root / "configs").glob("*.yaml"))
    with Folder("configs") as folder:
        for path in found:
            if path.stem.startswith("fashion") and not FASHION.exists():
                tap.skip(path.stem, "dataset-fashion-mnist is not installed")
                continue
            tells(path)
            done = learns(program, path, folder.path / path.stem)
            if path.stem == "house-prices":
                closed_form(done)
            dry(program, path, folder.path / f"{path.stem}-dry")
    tap.point(len(found) >= 4, "configs met", len(found))
    tap.done()


main()
