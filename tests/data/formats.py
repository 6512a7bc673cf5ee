"""Formats, `descent data convert`, augmentation, class weights and folds through the program, against numpy.
   formats.py DESCENT TESTS"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(sys.argv[2]) / "harness"))
from runs import Program, Tap, final_hash, skip_all  # noqa: E402

try:
    import h5py
    import numpy
except ImportError:
    skip_all("numpy and h5py are not installed")

tap, descent = Tap(), Program(sys.argv[1])
room = tempfile.TemporaryDirectory(prefix="descent-formats-")
folder = pathlib.Path(room.name)
os.environ["OMPI_MCA_orte_tmpdir_base"] = room.name  # not shared with what runs beside it: see mpiexec.sh
numbers = numpy.random.default_rng(3)


def run(*args, **how):
    return descent.run(*args, cwd=folder, timeout=60, **how)


def word(result, key):
    found = re.search(rf"{key}\s+(\S+)", result.out)
    return found[1] if found else None


# 1. The same table in every format is the same data.
x = numbers.normal(size=(60, 4)).round(3).astype("f4")
x[::3, 1] = 0
x[0, 3] = 1
y = numbers.integers(0, 3, 60)
y[:3] = 0, 1, 2
rows = [",".join(f"{v:.9g}" for v in row) + f",k{c}" for row, c in zip(x, y)]
(folder / "t.csv").write_text("\n".join(["a,b,c,d,kind", *rows]))
(folder / "t.svm").write_text("".join(f"k{c} qid:1 " + " ".join(f"{i + 1}:{v:.9g}" for i, v in enumerate(row) if v != 0) + " # c\n"
                                      for row, c in zip(x, y)))
(folder / "t0.svm").write_text("".join(f"{c} " + " ".join(f"{i}:{v:.9g}" for i, v in enumerate(row) if v != 0) + "\n" for row, c in zip(x, y)))
numpy.save(folder / "x.npy", x)
numpy.save(folder / "xf.npy", numpy.asfortranarray(x.astype("f8").astype("f4")))
numpy.save(folder / "y.npy", y.astype("i4"))
with open(folder / "x3.npy", "wb") as file:
    numpy.lib.format.write_array(file, x.astype("f8"), version=(2, 0))
npy = "{format: npy, inputs: %s, targets: y.npy}"
SOURCES = {"csv": "t.csv", "libsvm": "t.svm", "libsvm from 0": "{format: libsvm, path: t0.svm, base: 0}", "npy": npy % "x.npy",
           "npy, Fortran order": npy % "xf.npy", "npy, float64, version 2": npy % "x3.npy"}
first = word(run("data", "info", "t.csv"), "identity")
for name, source in SOURCES.items():
    result = run("data", "info", source)
    tap.point(first is not None and word(result, "identity") == first, f"{name}: the same data", word(result, "identity") or result)

# 2. convert: read back bit for bit, names kept, whole or not there.
pixels = numbers.integers(0, 256, (20, 3072), dtype="u1")
labels = numbers.integers(0, 10, 20, dtype="u1")
numpy.concatenate([labels[:, None], pixels], 1).tofile(folder / "c.bin")
numpy.save(folder / "u8.npy", pixels.reshape(20, 3, 32, 32))
numpy.save(folder / "l.npy", labels)
(folder / "lm.yaml").write_text("data: {train: {format: text, path: t.csv}}\nmodel: {input: [16], layers: [embedding: {vocab: 256, width: 4}, dense: {units: 256}]}\n"
                                "loss: cross_entropy\ntrain: {max_steps: 1}\n")
for name, source in {"csv": "t.csv", "libsvm": "t.svm", "npy": npy % "xf.npy", "cifar10": "c.bin", "a text by its config": "lm.yaml",
                     "no targets": "x.npy"}.items():
    made = run("data", "convert", source, "o.h5", "--overwrite")
    a, b = word(run("data", "info", source), "identity"), word(run("data", "info", "o.h5"), "identity")
    if name == "a text by its config":
        (folder / "lm5.yaml").write_text((folder / "lm.yaml").read_text().replace("format: text, path: t.csv", "format: hdf5, path: o.h5"))
        b = word(run("data", "info", "lm5.yaml"), "identity")
    tap.point(made.code == 0 and a is not None and a == b, f"convert {name}: the same data", f"{a} and {b}" if made.code == 0 else made)
run("data", "convert", "t.csv", "o.h5", "--overwrite")
with h5py.File(folder / "o.h5") as file:
    names = [v.decode() for v in file["targets"].attrs["class_names"]]
    columns = [v.decode() for v in file["inputs"].attrs["columns"]]
    same = (file["inputs"][:] == x).all() and (file["targets"][:] == y).all() and file["inputs"].chunks is not None
tap.point(bool(same) and names == ["k0", "k1", "k2"] and columns == list("abcd"), "h5py reads numbers, classes and columns", (names, columns))
# What a source's targets are, told by no loss: names and labels are classes however many, two columns are numbers.
(folder / "many.csv").write_text("a,b,kind\n" + "".join(f"{i / 2},{-i},name{i % 40}\n" for i in range(60)))
numpy.concatenate([labels[:5, None], 17 * numpy.arange(5, dtype="u1")[:, None], pixels[:5]], 1).tofile(folder / "c100.bin")
(folder / "two.csv").write_text("".join(f"{i / 2},{-i},{i * i},{i / 4}\n" for i in range(6)))
(folder / "codes.csv").write_text("a,code\n" + "".join(f"{i / 2},{5 * (i % 40)}\n" for i in range(60)))
(folder / "codes.yaml").write_text("data: {train: {format: csv, path: codes.csv}}\nmodel: {input: [1], layers: [{dense: {units: 40}}]}\nloss: cross_entropy\noptimizer: sgd\ntrain: {epochs: 1}\n")
for name, source, out, expected in (("40 names", "many.csv", "many.h5", [b"name%d" % (i % 40) for i in range(60)]),
                                    ("40 names in HDF5", "many.h5", "p.h5", [b"name%d" % (i % 40) for i in range(60)]),
                                    ("40 numbers that the loss makes classes", "codes.yaml", "codes.h5", [b"%d" % (5 * (i % 40)) for i in range(60)]),
                                    ("40 numbers that HDF5 names as classes", "codes.h5", "p.h5", [b"%d" % (5 * (i % 40)) for i in range(60)]),
                                    ("5 of 100 labels", "{format: cifar100, path: c100.bin}", "p.h5", [17 * i for i in range(5)]),
                                    ("5 of 100 labels, told by content", "c100.bin", "p.h5", [17 * i for i in range(5)]),
                                    ("5 of 100 labels in HDF5", "p.h5", "q.h5", [17 * i for i in range(5)]),
                                    ("two columns", "{format: csv, path: two.csv, target: [1, 3]}", "p.h5", [[-i, i / 4] for i in range(6)])):
    made = run("data", "convert", source, out, "--overwrite")
    with h5py.File(folder / out) as file:
        found = file["targets"] if "targets" in file else numpy.zeros(0)
        names = found.attrs["class_names"].tolist() if "class_names" in getattr(found, "attrs", {}) else []
        if name.startswith("40"):  # numbered in their order
            expected = [names.index(e) if names else -1 for e in expected]
        same = found.shape == numpy.shape(expected) and (found.dtype.kind == "f") == (name == "two columns") and (found[:] == expected).all()
        tap.point(made.code == 0 and bool(same), f"convert {name}", f"{found.dtype}, {len(names)} names" if made.code == 0 else made)
with open(folder / "large.npy", "wb") as file:  # a hole of zeros: this process must stay small, its size counts for the child's
    numpy.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (60000, 500)})
    file.truncate(file.tell() + 120_000_000)
child = subprocess.Popen([descent.binary, "data", "convert", "large.npy", "large.h5"], cwd=folder, stdout=subprocess.DEVNULL)
_, code, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(code)
tap.point(child.returncode == 0 and usage.ru_maxrss < 110_000, "convert 120 MB of npy in at most 110 MB", f"{usage.ru_maxrss // 1000} MB, code {child.returncode}")
before = (folder / "o.h5").read_bytes()
again = run("data", "convert", "t.svm", "o.h5")
tap.point(again.code == 2 and (folder / "o.h5").read_bytes() == before, "a file that exists is refused", again.err)
full = subprocess.run(["bash", "-c", f"ulimit -f 1; exec {descent.binary} data convert t.csv full.h5"], cwd=folder, capture_output=True, text=True)
left = sorted(p.name for p in folder.iterdir() if "full" in p.name)
tap.point(full.returncode == 74 and not left and full.stderr.count("error:") == 1, "no room: 74, nothing left behind", f"{full.stderr.strip()} {left}")
for name, code, args in (("a split that is none", 2, ["lm.yaml", "n.h5", "--split", "tset"]), ("a split it has not", 2, ["lm.yaml", "n.h5", "--split", "test"]),
                         ("no target file", 2, ["lm.yaml"]), ("a missing source", 3, ["none.csv", "n.h5"]),
                         ("another format's name", 2, ["t.csv", "n.csv"])):
    result = run("data", "convert", *args)
    tap.point(result.code == code and len(result.errors()) == 1 and not list(folder.glob("n.*")), f"convert: {name}", result.err)

# 3. Images with augmentation, class weights and a fold: the same bits on any number of ranks and across a resume.
CIFAR = """name: t
seed: 5
data:
  train: {format: cifar10, path: [c.bin, c.bin]}
  test: {format: npy, inputs: u8.npy, targets: l.npy}
  validation: {fold: 2, of: 4}
  augment: {flip: true, shift: 3, noise: 0.1}
  normalize: standard
model: {input: [3, 32, 32], layers: [conv: {channels: 4, kernel: 5, stride: 4}, relu: {}, flatten: {}, dense: {units: 10}]}
loss: {name: cross_entropy, class_weights: balanced}
batch: {size: 8, shards: 4}
optimizer: {name: adam, lr: 0.01}
train: {epochs: 3, eval_every: 1 epoch}
checkpoint: {every_steps: 3}
"""
(folder / "cifar.yaml").write_text(CIFAR)
hashes = {}
for ranks in (1, 2, 3, 4):
    result = run("train", "cifar.yaml", "--out", f"run{ranks}", ranks=ranks)
    hashes[ranks] = final_hash(folder / f"run{ranks}")
tap.point(len(set(hashes.values())) == 1 and hashes[1] is not None, "augmented, weighted, folded: the same on 1, 2, 3, 4 ranks", hashes)
run("train", "cifar.yaml", "--out", "torn", "--set", "train.max_steps=5", ranks=3)
run("train", "cifar.yaml", "--out", "torn", "--resume", "--set", "train.max_steps=0", ranks=2)
tap.point(final_hash(folder / "torn") == hashes[1], "and across a resume on other ranks", final_hash(folder / "torn"))
for edit in ("data.augment.flip=false", "data.augment.shift=2", "data.augment.noise=0", "loss.class_weights=none"):
    run("train", "cifar.yaml", "--out", "other", "--overwrite", "--set", edit)
    tap.point(final_hash(folder / "other") not in (None, hashes[1]), f"{edit} trains another model", final_hash(folder / "other"))
with h5py.File(sorted((folder / "run1" / "checkpoints").glob("*.h5"))[-1]) as file:
    weight = file["/loss/class_weights"][:]
counts = 30 / (10 * weight)  # scikit-learn's rule backwards: 30 samples are trained on, all classes occur
tap.point(abs(counts - counts.round()).max() < 1e-5 and counts.sum().round(4) == 30, "balanced weights are in the checkpoint", weight.round(2).tolist())

# 4. eval and predict by the new formats.
scores = run("eval", "run1")
tap.point(scores.code == 0 and "test: 20 samples" in scores.out, "eval", scores.out.splitlines()[0] if scores.out else scores)
one, other = run("predict", "run1", "c.bin"), run("predict", "run1", "u8.npy")
tap.point(one.code == 0 and one.out == other.out and len(one.out.splitlines()) == 21, "predict: cifar10 and npy", one.err + other.err)
(folder / "svm.yaml").write_text("data: {train: {format: libsvm, path: t.svm}, normalize: standard}\nmodel: {input: [4], layers: [dense: {units: 3}]}\n"
                                 "loss: cross_entropy\ntrain: {epochs: 2}\n")
made = run("train", "svm.yaml", "--out", "svm")
outs = [run("predict", "svm", p) for p in ("t.svm", "x.npy", "o.h5")] + [run("predict", "svm", "-", text=(folder / "t.svm").read_text())]
tap.point(made.code == 0 and all(o.code == 0 and o.out == outs[0].out for o in outs) and outs[0].out.startswith("class,k0,k1,k2"),
          "predict: libsvm, npy, hdf5, stdin", [o.err for o in outs])

# 5. What is refused, and how.
(folder / "odd.tok").write_bytes(b"\1\0\2")
(folder / "far.tok").write_bytes(bytes([9, 0] * 40))
(folder / "short.txt").write_text("0123456789abcdef")
TOKENS = "data.train={format: tokens, path: %s, vocab: 8}"
for name, code, config, edit, says in (
        ("text as short as the context", 3, "lm.yaml", "data.train={format: text, path: short.txt}", "16 tokens"),
        ("an odd byte count", 3, "lm.yaml", TOKENS % "odd.tok", "3 bytes"),
        ("tokens out of range", 3, "lm.yaml", TOKENS % "far.tok", "token 0 is 9"),
        ("no vocab", 2, "lm.yaml", "data.train={format: tokens, path: far.tok}", "vocab"),
        ("noise on tokens", 2, "lm.yaml", "data.augment.noise=0.1", "augment"),
        ("a flipped table", 2, "svm.yaml", "data.augment.flip=true", "[4]"),
        ("no targets", 2, "cifar.yaml", "data.test={format: npy, inputs: u8.npy}", "'targets'"),
        ("two weights for three", 2, "svm.yaml", "loss.class_weights=[1, 2]", "2 numbers"),
        ("a foreign file", 3, "cifar.yaml", "data.train.path=x.npy", "x.npy"),
        ("an unknown class", 3, "svm.yaml", "data.test={format: libsvm, path: t0.svm, base: 0}", "class '0'")):
    for ranks in (0, 3) if code == 3 else (0,):
        result = run("train", config, "--out", "bad", "--overwrite", "--set", edit, ranks=ranks)
        tap.point(result.code == code and len(result.errors()) == 1 and says in result.err and result.seconds < 10, f"{name}: {code}, {ranks or 1} ranks",
                  result.errors()[0] if result.code == code else result)
tap.done()
