"""Fashion-MNIST, 5 epochs on 2 ranks: 88.5 % of the test images or more, counted by numpy from the checkpoint's /parameters and
/input alone; and `descent predict` gives what numpy gives. usage: accuracy.py DESCENT SOURCE_ROOT"""
import csv
import gzip
import pathlib
import sys

import h5py
import numpy

from runs import Folder, Program, Tap, checkpoints, events, final_hash, hash_of, parameters, skip_all

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")


def idx(name):
    raw = gzip.open(DATA / name).read()
    shape = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(raw[3])]
    return numpy.frombuffer(raw, "u1", offset=4 + 4 * raw[3]).reshape(shape)


def forward(checkpoint, pixels):
    """Probabilities of 784-1024-1024-10 with relu, in double; inputs normalised as the checkpoint says."""
    with h5py.File(checkpoint, "r") as file:
        mean, std = file["/input/mean"][()].astype("f8"), file["/input/std"][()].astype("f8")
    x = (pixels.reshape(len(pixels), -1) - mean.reshape(-1)) / std.reshape(-1)
    tensors = {k: v.astype("f8") for k, v in parameters(checkpoint).items()}
    layers = sorted({k.rsplit("/", 1)[0] for k in tensors})
    for i, name in enumerate(layers):
        x = x @ tensors[f"{name}/weight"].T + tensors[f"{name}/bias"]
        x = numpy.maximum(x, 0) if i + 1 < len(layers) else x
    e = numpy.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def predicted(program, checkpoint, path, out):
    """(probabilities, classes) by `descent predict` of a csv file."""
    done = program.run("predict", checkpoint, path, "--out", out, "--format", "csv")
    if done.code != 0:
        return None, done
    rows = list(csv.reader(open(out)))
    rows = rows[1:] if rows[0][0] == "class" else rows
    return numpy.array([[float(v) for v in row[-10:]] for row in rows]), done


def main():
    if not (DATA / "t10k-images-idx3-ubyte.gz").exists():
        skip_all("the package dataset-fashion-mnist is not installed")
    program, tap = Program(sys.argv[1]), Tap()
    with Folder("accuracy") as folder:
        out = folder.path / "run"
        done = program.train(pathlib.Path(sys.argv[2]) / "configs/fashion-mlp.yaml", out, "--set", "train.epochs=5", ranks=2, timeout=300)
        if not tap.point(done.code == 0, "five epochs on 2 ranks", f"{done.seconds:.0f} s" if done.code == 0 else done):
            tap.done()
        last = checkpoints(out)[-1]
        images, labels = idx("t10k-images-idx3-ubyte.gz"), idx("t10k-labels-idx1-ubyte.gz")
        p = forward(last, images)
        mine = float((p.argmax(1) == labels).mean())
        tap.point(mine >= 0.885, "accuracy by numpy", f"{mine:.4f} >= 0.885")
        said = [e["accuracy"] for e in events(out, "eval") if e["split"] == "test"][-1]
        tap.point(abs(said - mine) <= 3e-4, "the run says the same", f"{said:.4f}")
        tap.point(hash_of(last) == final_hash(out), "params_hash by h5py", hash_of(last))
        numpy.savetxt(folder.path / "some.csv", images[:300].reshape(300, -1), fmt="%d", delimiter=",")
        theirs, result = predicted(program, last, folder.path / "some.csv", folder.path / "p.csv")
        worst = numpy.abs(theirs - p[:300]).max() if theirs is not None and theirs.shape == (300, 10) else numpy.inf
        tap.point(worst <= 1e-5, "numpy's forward pass equals descent predict", f"{worst:.2g} <= 1e-5" if theirs is not None else result)
    tap.done()


main()
