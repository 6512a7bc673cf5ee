"""HDF5 files as h5py writes them, `descent data`, `descent predict`, gzip tables: through the program, against numpy.
   datafiles.py DESCENT TESTS"""
import gzip
import io
import json
import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(sys.argv[2]) / "harness"))
from runs import Program, Tap, skip_all  # noqa: E402

try:
    import h5py
    import numpy
except ImportError:
    skip_all("numpy and h5py are not installed")

tap, descent = Tap(), Program(sys.argv[1])
room = tempfile.TemporaryDirectory(prefix="descent-datafiles-")
folder = pathlib.Path(room.name)
os.environ["OMPI_MCA_orte_tmpdir_base"] = room.name  # not shared with what runs beside it: see mpiexec.sh
CONFIG = """name: t
data:
  train: {format: hdf5, path: %s, inputs: %s, targets: %s}
  normalize: standard
model:
  input: [6]
  layers:
    - dense: {units: %d}
loss: %s
batch: {size: 32, shards: 8}
optimizer: {name: sgd, lr: 0.1}
train: {epochs: 2, eval_every: 2 epoch}
"""


def write(name, options=None, **sets):
    with h5py.File(folder / name, "w", **(options or {})) as file:
        for key, value in sets.items():
            file.create_dataset(key, data=value, **({"compression": "gzip"} if options else {}))


def train(path, inputs="x", targets="y", units=2, loss="cross_entropy", ranks=0):
    (folder / "t.yaml").write_text(CONFIG % (path, inputs, targets, units, loss))
    result = descent.run("train", "t.yaml", "--out", "run", "--overwrite", cwd=folder, ranks=ranks, timeout=30)
    hashes = [w.split()[0] for w in result.out.split("params_hash ")[1:]]
    return result, hashes[-1] if hashes else None


def refused(name, code, *grep, **how):
    result, _ = train(**how)
    errors = " ".join(result.errors())
    tap.point(result.code == code and len(result.errors()) == 1 and all(g in errors for g in grep), name,
              errors or result)


numbers = numpy.random.default_rng(1)
x = numbers.normal(size=(200, 6)).astype("f4")
y = (x[:, 0] > x[:, 1]).astype("i8")
u8 = numbers.integers(0, 256, (200, 1, 2, 3), dtype="u1")
nan, late = x.copy(), x.copy()
nan[7, 2] = numpy.nan
write("a.h5", x=x, y=y, doubles=x.astype("f8"), big=x.astype(">f4"), y2=y[:, None].astype(">i2"), u8=u8, nan=nan,
      real=x[:, :2], short=y[:31], y8=y.astype("u1"), far=y + 5_000_000_000, wide=x[:, :5], flag=y > 0)
write("b.h5", {"userblock_size": 1024, "libver": "latest"}, x=x, y=y)

# 1. What may be read, and to the same numbers.
_, expected = train("a.h5")
for name, how in {"doubles": {"inputs": "doubles"}, "big-endian": {"inputs": "big"}, "(n, 1) of int16": {"targets": "y2"},
                  "uint8 classes": {"targets": "y8"}, "3 ranks": {"ranks": 3}}.items():
    result, found = train("a.h5", **how)
    tap.point(result.code == 0 and found == expected, f"the same parameters from {name}", f"{found}, expected {expected}")
result, found = train("b.h5")
tap.point(found == expected, "the same from a compressed file behind a user block", found or result)
for name, how in {"bytes": {"inputs": "u8"}, "two real targets": {"targets": "real", "loss": "mse"},
                  "integers as real": {"loss": "mse", "units": 1}}.items():
    result, found = train("a.h5", **how)
    tap.point(result.code == 0, f"reads {name}", result)

# 2. What may not.
refused("no such inputs", 2, "t.yaml:3:", "'xx'", "'x'", path="a.h5", inputs="xx")
refused("no such targets", 2, "t.yaml:3:", "'rael'", "'real'", path="a.h5", targets="rael")
refused("a nan", 3, "a.h5", "'nan'", "sample 7", path="a.h5", inputs="nan")
refused("fewer targets", 3, "a.h5", "31", "200", path="a.h5", targets="short")
refused("real classes", 3, "'real'", "integers", path="a.h5", targets="real")
refused("a class far out", 3, "'far'", "500000000", path="a.h5", targets="far")
refused("another width", 2, "'wide'", "5", "6", path="a.h5", inputs="wide")
refused("no numbers", 3, "'flag'", "integers", path="a.h5", targets="flag")
whole = (folder / "a.h5").read_bytes()
for n in (0, 7, 20, 60, 2000, len(whole) // 2, len(whole) - 1):
    (folder / "cut.h5").write_bytes(whole[:n])
    refused(f"cut to {n} bytes", 3, "cut.h5", path="cut.h5")
(folder / "no.h5").write_bytes(b"PK\3\4" * 500)
refused("a foreign file", 3, "no.h5", "signature", path="no.h5", ranks=2)

# 3. descent data: numpy's numbers.
result, _ = train("a.h5")
stats = descent.run("data", "stats", "t.yaml", cwd=folder)
rows = [line.split() for line in stats.out.splitlines() if line.startswith("  ")][1:7]
wrong = max(abs(float(r[3 + k]) - v[i]) for i, r in enumerate(rows)
            for k, v in enumerate((x.mean(0, "f8"), x.std(0, dtype="f8"))))
tap.point(wrong < 1e-5, "data stats: mean and deviation as numpy's", f"off by {wrong:.1e}, at most 1e-5")
info = descent.run("data", "info", "t.yaml", cwd=folder)
counts = numpy.bincount(y)
tap.point(f"0                {counts[0]}" in info.out and "samples   200" in info.out, "data info: counts", info.out)
for args in (["data"], ["data", "inform", "t.yaml"], ["data", "info", "none.yaml"]):
    result = descent.run(*args, cwd=folder)
    tap.point(result.code == 2 and len(result.errors()) == 1, " ".join(args), result.err)

wide = numbers.normal(size=(60, 40)).astype("f4")
(folder / "wide.csv").write_text("\n".join([",".join(f"c{j}" for j in range(40)) + ",kind", *(",".join(f"{v:.9g}" for v in row) + f",k{i % 25}" for i, row in enumerate(wide))]))
write("targets.h5", x=x, y=numbers.normal(size=(200, 35)))
source = "{format: hdf5, path: targets.h5, inputs: x, targets: y}"
kinds = "{format: csv, path: wide.csv, target: kind}"
for args, kind, n, rest in ((["stats", "wide.csv"], r"  c\d+ ", 32, 8), (["stats", "wide.csv", "--all"], r"  c\d+ ", 40, 0),
                            (["info", source], "  target ", 32, 3), (["info", source, "--all"], "  target ", 35, 0),
                            (["info", kinds], r"    k\d+ ", 20, 5), (["info", kinds, "--all"], r"    k\d+ ", 25, 0)):
    result = descent.run("data", *args, cwd=folder)
    shown, told = len(re.findall(f"^{kind}", result.out, re.M)), re.findall(r"^ +and (\d+) more \(--all shows them\)$", result.out, re.M)
    tap.point(result.code == 0 and shown == n and told == [str(rest)] * (rest > 0), f"data {' '.join(args)}: {n} lines", f"{shown}, {told} more" if result.code == 0 else result)
result = descent.run("data", "convert", "wide.csv", "wide.h5", "--all", cwd=folder)
tap.point(result.code == 2 and "--all is of info and stats" in result.err, "data convert --all", result.err)
one = (CONFIG % ("", "", "", 3, "cross_entropy")).splitlines()
one[2] = "  train: {format: csv, path: one.csv, target: kind}"
(folder / "one.csv").write_text("\n".join(["a,b,c,d,e,f,kind", *(["1,2,3,4,5,6,k0"] * 3)]))
(folder / "one.yaml").write_text("\n".join(one))
result = descent.run("train", "one.yaml", "--out", "one", cwd=folder)
tap.point(result.code == 2 and "gives 3 outputs, the data have 1 class: set its units to 1" in result.err, "a class alone is one class", result.err)

# 4. predict: a table by name, in another order, gzip, on stdin, without header, as csv, npy and jsonl.
table = "\n".join([",".join("abcdef") + ",kind"] + [",".join(f"{v:.9g}" for v in row) + f",k{c}" for row, c in zip(x, y)])
(folder / "t.csv").write_text(table)
config = (CONFIG % ("", "", "", 2, "cross_entropy")).splitlines()
config[2] = "  train: {format: csv, path: t.csv, target: kind}"
(folder / "csv.yaml").write_text("\n".join(config))
result = descent.run("train", "csv.yaml", "--out", "csv", cwd=folder)
tap.point(result.code == 0 and expected in result.out, "a table trains to the same parameters as HDF5", expected)
data = "\n".join(",".join(line.split(",")[:6]) for line in table.splitlines())
turned = "\n".join(",".join(line.split(",")[::-1]) for line in table.splitlines())
bare = "\n".join(data.splitlines()[1:])
(folder / "turned.csv").write_text(turned)
(folder / "data.csv.gz").write_bytes(gzip.compress(data.encode()))
first = descent.run("predict", "csv", "t.csv", cwd=folder)
lines = first.out.splitlines()
tap.point(first.code == 0 and lines[0] == "class,k0,k1" and len(lines) == 201, "predict a csv", first)
for name, how in {"other order": {"args": ["turned.csv"]}, "gzip, no target": {"args": ["data.csv.gz"]},
                  "stdin": {"args": ["-"], "text": data}, "stdin without header": {"args": ["-"], "text": bare},
                  "stdin on 2 ranks": {"args": ["-"], "text": data, "ranks": 2}}.items():
    result = descent.run("predict", "csv", *how.pop("args"), cwd=folder, **how)
    tap.point(result.out == first.out, f"predict: {name}", result.err or "the same output")
probability = numpy.array([[float(v) for v in line.split(",")[1:]] for line in lines[1:]], "f4")
descent.run("predict", "csv", "t.csv", "--out", "p.npy", cwd=folder)
found = numpy.load(io.BytesIO((folder / "p.npy").read_bytes()))
tap.point(found.shape == (200, 2) and (found == probability).all(), "predict: npy holds csv's numbers", found.shape)
rows = [json.loads(line) for line in descent.run("predict", "csv", "t.csv", "--format", "jsonl", cwd=folder).out.splitlines()]
tap.point([r["class"] for r in rows] == [line.split(",")[0] for line in lines[1:]], "predict: jsonl has csv's classes", rows[0])
with h5py.File(next((folder / "csv" / "checkpoints").glob("*.h5"))) as file:
    mean, std = file["/input/mean"][:], file["/input/std"][:]
    z = (x - mean) / std @ file["/parameters/dense1/weight"][:].T + file["/parameters/dense1/bias"][:]
    z = numpy.exp(z - z.max(1, keepdims=True))
    wrong = abs(z / z.sum(1, keepdims=True) - probability).max()
tap.point(wrong < 1e-5, "predict: probabilities as numpy's from the checkpoint", f"off by {wrong:.1e}, at most 1e-5")
wrong = max(abs(mean - x.mean(0, "f8")).max(), abs(std - x.std(0, dtype="f8")).max())
tap.point(wrong < 1e-6, "normalisation in the checkpoint as numpy's", f"off by {wrong:.1e}, at most 1e-6")
for name, text, grep in (("a column less", data.replace("\n", "\n").replace("a,b", "aa,b", 1), ("'a'", "'aa'")),
                         ("a bad field", data.replace(bare.split(",")[0], "?", 1), (":2:", "'a'", "'?'")),
                         ("nothing", "", ("empty",))):
    result = descent.run("predict", "csv", "-", cwd=folder, text=text)
    tap.point(result.code == 3 and all(g in result.err for g in grep), f"predict refuses: {name}", result.err)
for out, code, grep in (("p.zip", 2, "ends in '.zip'; expected .csv, .npy or .jsonl"), ("d.x/p.CSV", 2, "'.CSV'"), ("d.x/p", 0, ""), (".p", 0, ""), ("p.", 0, ""),
                        ("-", 0, "")):
    (folder / "d.x").mkdir(exist_ok=True)
    result = descent.run("predict", "csv", "t.csv", "--out", out, cwd=folder)
    written = (folder / out).read_text() if (folder / out).exists() else None
    tap.point(result.code == code and grep in result.err and written == (first.out if code == 0 else None), f"predict --out {out}", result.err.strip() or "csv")
result = descent.run("predict", "csv", "t.csv", "--out", "p.zip", "--format", "csv", cwd=folder)
tap.point(result.code == 0 and (folder / "p.zip").read_text() == first.out, "predict --out p.zip --format csv", result.err)
# 5. predict of images and of HDF5 inputs that have no labels with them, by a run that was trained with labels.
images = numbers.integers(0, 256, (60, 2, 3), dtype="u1")
for name, n in ("train", 60), ("new", 7):
    (folder / f"{name}.images").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 2, 0, 0, 0, 3]) + images[:n].tobytes())
(folder / "train.labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 60]) + bytes(i % 2 for i in range(60)))
config[2] = "  train: {format: idx, images: train.images, labels: train.labels}"
(folder / "idx.yaml").write_text("\n".join(config))
descent.run("train", "idx.yaml", "--out", "idx", cwd=folder)
every = descent.run("predict", "idx", "train.images", cwd=folder)
for ranks in 0, 3:
    result = descent.run("predict", "idx", "new.images", cwd=folder, ranks=ranks)
    tap.point(result.code == 0 and len(every.out.splitlines()) == 61 and result.out.splitlines() == every.out.splitlines()[:8],
              f"predict: images alone, {max(ranks, 1)} ranks", result.err or f"{len(result.out.splitlines())} lines")
write("alone.h5", x=x)
write("labelled.h5", x=x, y=y)
train("labelled.h5")
result = descent.run("predict", "run", "alone.h5", cwd=folder)
tap.point(result.code == 0 and len(result.out.splitlines()) == 201, "predict: HDF5 inputs alone", result.err)
tap.done()
