"""Start `descent` as users do, read what a run leaves. Standard library only; h5py and numpy only inside the calls that need them."""
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tap import Tap, skip_all  # noqa: E402,F401

OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
            # Open MPI asks every fabric it knows, hwloc every display: half of the time an mpirun takes to start.
            "OMPI_MCA_pml": "ob1", "HWLOC_COMPONENTS": "-gl"}


def environment(extra=None):
    env = {**os.environ, **OPEN_MPI, **(extra or {})}
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "DESCENT_DATA"):
        if name not in (extra or {}):
            env.pop(name, None)
    return env


class Result:
    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.out, self.err, self.seconds = args, code, out, err, seconds

    def errors(self):
        return [line for line in self.err.splitlines() if "descent: error:" in line]

    def __str__(self):
        return f"{' '.join(self.args)}\nexit code {self.code} after {self.seconds:.1f} s\n{self.err[-3000:]}\n{self.out[-1500:]}"


class Program:
    """The program under test. ranks 0: without mpirun."""

    def __init__(self, binary):
        self.binary = str(pathlib.Path(binary).resolve())

    def command(self, args, ranks):
        head = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks else []
        return [*head, self.binary, *map(str, args)]

    def run(self, *args, ranks=0, env=None, timeout=120, cwd=None, text=None):
        command, start = self.command(args, ranks), time.monotonic()
        child = subprocess.Popen(command, env=environment(env), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL, text=True, errors="replace")
        try:
            out, err = child.communicate(text, timeout=timeout)
            code = child.returncode
        except subprocess.TimeoutExpired:
            child.terminate()
            try:
                out, err = child.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                out, err = child.communicate()
            code = "timeout"
        return Result(command, code, out, err, time.monotonic() - start)

    def train(self, config, out, *args, ranks=1, **more):
        return self.run("train", config, "--out", out, *args, ranks=ranks, **more)


def events(out, kind=None):
    """The lines of metrics.jsonl; a line that does not parse is an error of the run."""
    path = pathlib.Path(out) / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [e for e in lines if kind is None or e["event"] == kind]


def final_hash(out):
    ends = events(out, "end")
    return ends[-1].get("params_hash") if ends else None


def status(out):
    path = pathlib.Path(out) / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


def checkpoints(out):
    """Committed checkpoints, oldest first."""
    return sorted((pathlib.Path(out) / "checkpoints").glob("step-????????.h5"))


def model_order(name):
    """dense2/weight -> a key that sorts as the model keeps them: layer numbers, weight before bias."""
    layer, tensor = name.rsplit("/", 1)
    number = re.search(r"(\d+)$", layer)
    return int(number[1]) if number else 0, layer, tensor != "weight", tensor


def parameters(checkpoint):
    """{name: array} in model order, read by h5py."""
    import h5py
    found = {}
    with h5py.File(checkpoint, "r") as file:
        file["/parameters"].visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: found[name] for name in sorted(found, key=model_order)}


def hash_of(checkpoint):
    """params_hash by h5py and the xxhash package: XXH3-64, seed 0, little-endian float32, model order."""
    import numpy
    import xxhash
    h = xxhash.xxh3_64(seed=0)
    for array in parameters(checkpoint).values():
        h.update(numpy.ascontiguousarray(array, dtype="<f4").tobytes())
    return h.hexdigest()


def table(path, n, columns, classes, seed):
    """A csv file of `n` labelled samples: noisy centres, names as labels. Made here, so that a test knows its data."""
    draw = random.Random(seed)
    centres = [[draw.gauss(0, 1) for _ in range(columns)] for _ in range(classes)]
    with open(path, "w") as file:
        file.write(",".join([f"x{i}" for i in range(columns)] + ["kind"]) + "\n")
        for _ in range(n):
            k = draw.randrange(classes)
            file.write(",".join([f"{c + draw.gauss(0, 0.9):.5f}" for c in centres[k]] + [f"kind{k}"]) + "\n")
    return path


class Folder:
    """A private folder for a test, also for Open MPI's files in shared memory, which killed ranks leave behind."""

    def __init__(self, name):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"descent-{name}-"))
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.shm = pathlib.Path(tempfile.mkdtemp(prefix=f"descent-{name}-", dir=shm))
        os.environ.update({"OMPI_MCA_orte_tmpdir_base": str(self.shm), "OMPI_MCA_btl_vader_backing_directory": str(self.shm),
                           "OMPI_MCA_osc_sm_backing_directory": str(self.shm), "OMPI_MCA_shmem_mmap_backing_file_base_dir": str(self.shm)})

    def sweep(self):
        """Remove what dead ranks left in shared memory; nothing may be running."""
        for path in self.shm.iterdir():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not os.environ.get("DESCENT_KEEP"):
            shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self.shm, ignore_errors=True)
