"""A checkpoint written by 1, 2, 3, 4 ranks: the same bytes; h5py and h5dump read it; a full disk is told on all ranks.
usage: ranks.py TOOL MPIEXEC TESTS_FOLDER"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

tool, mpiexec, tests = sys.argv[1:4]
sys.path.insert(0, tests)
from tap import Tap  # noqa: E402

tap = Tap()
ROWS, SALT = 700, 1


def write(folder, ranks, rows=ROWS):
    return subprocess.run([mpiexec, "-n", str(ranks), tool, folder, "100", str(rows), str(SALT)], capture_output=True, text=True,
                          timeout=60)


def same_bytes(top):
    sums = {}
    for ranks in (1, 2, 3, 4):
        run = write(top / str(ranks), ranks)
        path = top / str(ranks) / "latest"
        sums[ranks] = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if run.returncode == 0 else run.stderr
    tap.point(len(set(sums.values())) == 1, "1, 2, 3, 4 ranks write the same bytes", sums)
    return top / "3" / "latest"


def h5py_reads(path):
    try:
        import h5py
        import numpy
    except ImportError as missing:
        return tap.skip("h5py reads it", missing)
    with h5py.File(path, "r") as f:
        for i, name in ((0, "parameters/dense1/weight"), (2, "optimizer/m/dense1/weight")):
            got = f[name][:]
            j = numpy.arange(got.size, dtype=numpy.int64)
            want = ((j * 31 + i * 7 + SALT) % 1009) / 8.0 - 50.0  # sample.h: sample_float
            tap.point(got.shape == (ROWS, 1000) and (got.ravel() == want).all(), f"h5py reads {name}", got.shape)
        config = f["run"].attrs["config"]
        tap.point(isinstance(config, str) and len(config) == 100000, "h5py reads a config of 100000 characters", len(config))
        tap.point(f["run"].attrs["step"] == 100 and f["run"].attrs["best_loss"] == 0.1, "h5py reads numbers")


def h5dump_reads(path):
    if shutil.which("h5dump") is None:
        return tap.skip("h5dump reads it", "no h5dump")
    run = subprocess.run(["h5dump", "-d", "/history/loss", path], capture_output=True, text=True, timeout=60)
    tap.point("1, 0.5, 0.333333, 0.25, 0.2" in run.stdout, "h5dump reads it", run.stdout.splitlines()[0])


def full_disk(top):
    disk = top / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "descent", disk], capture_output=True).returncode:
        return tap.skip("a full disk is told on all ranks", "cannot mount")
    try:
        first, second = write(disk / "run", 3, 20), write(disk / "run", 3, 700)
        left = sorted(p.name for p in (disk / "run/checkpoints").iterdir())
        told = second.stderr.count("the file system has")
        tap.point(first.returncode == 0 and second.returncode == 74 and told == 3 and left == ["step-00000100.h5"],
                  "a full disk is told on all ranks", f"{second.returncode} {told} {left}\n{second.stderr}")
    finally:
        subprocess.run(["umount", "-l", disk])


with tempfile.TemporaryDirectory(prefix="descent-") as folder:
    written = same_bytes(pathlib.Path(folder))
    h5py_reads(written)
    h5dump_reads(written)
    full_disk(pathlib.Path(folder))
tap.done()
