"""Bad input and trouble: one clear message, the right exit code on all ranks, within seconds, never a hang.
A case says how it breaks a good run, the exit code, and what the one error line must hold: what, where, found, the nearest valid value.
Each runs on 1 rank and on 3. usage: bad_input.py DESCENT SHIM [CASE...]"""
import concurrent.futures
import gzip
import os
import pathlib
import re
import shutil
import struct
import sys

from runs import Folder, Program, Tap, checkpoints, status, table

GOOD = """name: bad-input
seed: 1
data:
  train: {format: csv, path: train.csv, target: kind}
  test: {format: csv, path: test.csv, target: kind}
  normalize: standard
model:
  input: [6]
  layers:
    - dense: {units: 12, activation: relu}
    - dense: {units: 4}
loss: cross_entropy
batch: {size: 32, shards: 8}
optimizer: {name: adamw, lr: 0.01}
train: {epochs: 1, log_every: 5}
checkpoint: {every_steps: 5}
"""
IDX = "data.train={format: idx, images: I, labels: L}"
TABLE = "data.train={format: csv, path: bad.csv, target: kind}"
SECONDS = 10  # a generous "within seconds" where ranks outnumber cores; trouble on one rank has its own limit
ALONE_SECONDS = 5


class Case:
    def __init__(self, name, code, *grep, config=(), sets=(), args=(), command="train", make=None, env=None, ranks=(1, 3), seconds=SECONDS):
        self.name, self.code, self.grep, self.config, self.sets = name, code, grep, config, sets
        self.args, self.command, self.make, self.env, self.ranks, self.seconds = args, command, make, env, ranks, seconds

    def codes(self):
        return self.code if isinstance(self.code, tuple) else (self.code,)


def idx(path, kind, shape, data, magic=None):
    raw = struct.pack(">I", magic or (0x800 | len(shape))) + b"".join(struct.pack(">I", n) for n in shape) + bytes(data)
    pathlib.Path(path).write_bytes(gzip.compress(raw) if str(path).endswith(".gz") else raw)


def images(folder, n=40, claim=None, cut=0, more=b"", labels=None, label_claim=None, magic=None, zipped=False, torn=0):
    """An idx pair of 2 x 3 images with one thing wrong."""
    end = ".gz" if zipped else ""
    data = bytes(i * 7 % 256 for i in range(n * 6))
    idx(folder / f"i.idx{end}", "images", (claim or n, 2, 3), data[:len(data) - cut] + more, magic)
    if torn:
        whole = (folder / f"i.idx{end}").read_bytes()
        (folder / f"i.idx{end}").write_bytes(whole[:len(whole) - torn])
    idx(folder / "l.idx", "labels", (label_claim or n,), labels or bytes(i % 4 for i in range(n)))


def idx_case(name, code, *grep, end="", **how):
    source = f"data.train={{format: idx, images: i.idx{end}, labels: l.idx}}"
    return Case(name, code, *grep, sets=[source], make=lambda f: images(f, zipped=bool(end), **how))


def csv_case(name, code, *grep, edit):
    def make(folder):
        lines = (folder / "train.csv").read_text().splitlines()
        (folder / "bad.csv").write_text("\n".join(edit(lines)) + "\n")
    return Case(name, code, *grep, sets=[TABLE], make=make)


def cell(line, column, value):
    def edit(lines):
        cells = lines[line - 1].split(",")
        cells[column] = value
        lines[line - 1] = ",".join(cells)
        return lines
    return edit


def trained(folder, name="run"):
    """A finished run to damage."""
    program.train(folder / "config.yaml", folder / name)
    return checkpoints(folder / name)[-1]


def damage(how):
    def make(folder):
        path = trained(folder)
        data = bytearray(path.read_bytes())
        path.write_bytes(how(data))
        (folder / "foreign.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(9000))
    return make


def flip(data):
    data[len(data) // 2] ^= 1
    return data


def hdf5(bad=None, rows=40, other=None):
    def make(folder):
        import h5py
        import numpy
        with h5py.File(folder / "d.h5", "w") as file:
            x = numpy.arange(rows * 6, dtype="f4").reshape(rows, 6) / 100
            if bad is not None:
                x[7, 2] = bad
            file["x"] = x
            file["y"] = (numpy.arange(other or rows) % 4).astype("i8")
    return make


def pipe(folder):
    os.mkfifo(folder / "pipe")


def replace(old, new):
    return [(old, new)]


def cases():
    h5 = "data.train={format: hdf5, path: d.h5, inputs: x, targets: y}"
    shim = {"LD_PRELOAD": os.path.abspath(sys.argv[2])}
    yield Case("missing config", 2, r"nowhere\.yaml", args=["nowhere.yaml"])
    yield Case("config is a folder", 2, r"directory|folder", args=["."])
    yield Case("no config given", 2, r"CONFIG|config", args=[])
    yield Case("torn YAML", 2, r"config\.yaml:\d+:\d+", config=replace("model:", "model: ["))
    yield Case("unknown key", 2, r"config\.yaml:14:1", "optimzer", "optimizer", config=replace("optimizer:", "optimzer:"))
    yield Case("unknown nested key", 2, r"config\.yaml:13:\d+", "shardz", "shards", config=replace("shards", "shardz"))
    yield Case("unknown optimizer", 2, r"config\.yaml:14:\d+", "adamv", r"adamw?\b", config=replace("name: adamw", "name: adamv"))
    yield Case("unknown loss", 2, r"config\.yaml:12:\d+", "cross_entropi", r"cross_entropy\b", config=replace("cross_entropy", "cross_entropi"))
    yield Case("unknown layer", 2, r"config\.yaml:10:\d+", "dence", r"dense\b", config=replace("- dense: {units: 12", "- dence: {units: 12"))
    yield Case("unknown activation", 2, r"config\.yaml:10:\d+", "rely", r"relu\b", config=replace("relu", "rely"))
    yield Case("unknown format", 2, r"config\.yaml:4:\d+", "cvs", r"csv\b", config=replace("format: csv, path: train", "format: cvs, path: train"))
    yield Case("text for a number", 2, r"config\.yaml:14:\d+", "fast", "lr", config=replace("lr: 0.01", "lr: fast"))
    yield Case("negative lr", 2, r"config\.yaml:14:\d+", r"-0\.01", "lr", config=replace("lr: 0.01", "lr: -0.01"))
    yield Case("lr nan", 2, "nan", "lr", config=replace("lr: 0.01", "lr: .nan"))
    yield Case("batch of 0", 2, r"config\.yaml:13:\d+", r"\b0\b", "size", config=replace("size: 32", "size: 0"))
    yield Case("a fraction of a shard", 2, r"config\.yaml:13:\d+", r"2\.5", "shards", config=replace("shards: 8", "shards: 2.5"))
    yield Case("more shards than samples", 2, "64", "32", "shards", config=replace("shards: 8", "shards: 64"))
    yield Case("no end", 2, "epochs", "max_steps", config=replace("epochs: 1", "epochs: 0"))
    yield Case("early stopping without validation", 2, "validation", sets=["stop.early.patience=2"])
    yield Case("--set without a value", 2, "batch.size", sets=["batch.size"])
    yield Case("--set an unknown key", 2, "batch.siez", r"batch\.size|\bsize\b", sets=["batch.siez=4"])
    yield Case("unknown option", 2, "--rezume", "--resume", args=["config.yaml", "--rezume"])
    yield Case("--resume= of nothing", 2, "--resume= is followed by nothing", args=["config.yaml", "--resume="])
    yield Case("--init of nothing", 2, "--init needs a checkpoint", args=["config.yaml", "--init="])
    yield Case("unknown command", 2, "trian", "train", command="trian")
    yield Case("more ranks than shards", 2, r"\b3\b", r"\b2\b", r"shards", config=replace("shards: 8", "shards: 2"), ranks=(3,))
    yield Case("more ranks than samples", 2, r"batch: \{size: 3, shards: 3\}", sets=["batch={size: 2, shards: 2}"], ranks=(3,))
    yield Case("as many ranks as samples", 2, r"batch: \{shards: 3\}", sets=["batch={size: 3, shards: 2}"], ranks=(3,))
    yield Case("no local steps", 2, "local_steps", r"\b0\b", ">= 1", sets=["sync={strategy: local-sgd, local_steps: 0}"])
    yield Case("local steps of the exact strategy", 2, "local_steps", "local-sgd", "exact", sets=["sync.local_steps=4"])
    yield Case("outer rate of local-sgd", 2, "outer_lr", "diloco", "local-sgd", sets=["sync={strategy: local-sgd, outer_lr: 0.5}"])
    yield Case("post-local without an end of its first part", 2, "local_after", sets=["sync.strategy=post-local"])
    yield Case("local_after of no unit", 2, "local_after", "5 miles", "steps", sets=["sync={strategy: post-local, local_after: 5 miles}"])
    yield Case("optimizer state that is none", 2, "optimizer_state", "forget", "reset", sets=["sync={strategy: diloco, optimizer_state: forget}"])
    yield Case("a strategy of nearly that name", 2, "localsgd", "local-sgd", sets=["sync={strategy: localsgd, local_steps: 4}"])
    yield Case("outer momentum of 1", 2, "outer_momentum", r"\b1\b", sets=["sync={strategy: diloco, outer_momentum: 1}"])
    yield Case("input of another size", 2, r"\b6\b", r"\b7\b", config=replace("input: [6]", "input: [7]"))
    yield Case("fewer outputs than classes", (2, 3), r"\b4\b", r"\b3\b", config=replace("units: 4", "units: 3"))
    yield Case("no layers", 2, "layers", config=replace("  layers:\n    - dense: {units: 12, activation: relu}\n    - dense: {units: 4}\n", "  layers: []\n"))
    yield Case("a model beyond memory", (2, 70), r"memory|[MGTPE]i?B|bytes|large|units", sets=["model.layers.0.dense.units=2000000000"])
    yield Case("missing data file", 3, r"nothere\.csv", sets=["data.train.path=nothere.csv"])
    yield Case("unknown target column", (2, 3), "kink", "kind", sets=["data.train.target=kink"])
    for kind in ("csv", "libsvm", "text"):  # nobody writes to it
        yield Case(f"a pipe as {kind}", 3, r"pipe", "regular file", sets=[f"data.train={{format: {kind}, path: pipe}}"], make=pipe)
        yield Case(f"stats of a pipe as {kind}", 3, r"pipe", "regular file", command="data",
                   args=["stats", f"{{format: {kind}, path: pipe}}"], make=pipe)
    yield Case("a pipe as config", 2, r"pipe", args=["pipe"], make=pipe)
    yield Case("a pipe as plug-in", 2, r"pipe", "regular file", make=lambda f: (pipe(f), (f / "config.yaml").write_text(
        "problem: {plugin: ./pipe}\noptimizer: {name: sgd}\ntrain: {max_steps: 1}\n")))
    yield Case("stats of a wide libsvm", 3, r"wide\.svm:2", r"\b4000000000\b", r"\b16777216\b", command="data", args=["stats", "wide.svm"],
               make=lambda f: (f / "wide.svm").write_text("1 1:1\n0 4000000000:1\n"))
    yield csv_case("empty csv", 3, r"bad\.csv", edit=lambda lines: [])
    yield csv_case("csv of a header only", 3, r"bad\.csv", edit=lambda lines: lines[:1])
    yield csv_case("empty field", 3, r"bad\.csv", r"\b9\b", r"x2\b", edit=cell(9, 2, ""))
    yield csv_case("text field", 3, r"bad\.csv", r"\b9\b", r"x2\b", "many", edit=cell(9, 2, "many"))
    yield csv_case("nan field", 3, r"bad\.csv", r"\b9\b", r"x2\b", "nan", edit=cell(9, 2, "nan"))
    yield csv_case("infinite field", 3, r"bad\.csv", r"\b9\b", r"x2\b", r"1e999", edit=cell(9, 2, "1e999"))
    yield csv_case("short line", 3, r"bad\.csv", r"\b9\b", r"\b7\b", r"\b[56]\b", edit=lambda l: l[:8] + [l[8].split(",", 1)[1]] + l[9:])
    yield csv_case("open quote", 3, r"bad\.csv", edit=lambda l: l + ['1,2,"3,4,5,6,kind1'])
    yield idx_case("truncated idx", 3, r"i\.idx", r"\b24\d\b|\b25\d\b|\b23\d\b", cut=5)
    yield idx_case("oversized idx", 3, r"i\.idx", more=b"12345")
    yield idx_case("truncated idx.gz", 3, r"i\.idx\.gz", end=".gz", torn=20)
    yield idx_case("idx with a foreign magic", 3, r"i\.idx", magic=0x89504E47)
    yield idx_case("idx that claims 4 billion", 3, r"i\.idx", claim=0xFFFFFFF0)
    yield idx_case("other count of labels", 3, r"\b40\b", r"\b39\b", labels=bytes(39), label_claim=39)
    yield idx_case("label out of range", 3, r"l\.idx", "label", r"\b9\b", r"0 to 3", labels=bytes([0, 1, 9] + [2] * 37))
    yield Case("no such dataset", (2, 3), r"d\.h5", r"\bz\b", sets=[h5.replace("inputs: x", "inputs: z")], make=hdf5())
    yield Case("hdf5 with a nan", 3, r"d\.h5", r"\b[78]\b", sets=[h5], make=hdf5(bad=float("nan")))
    yield Case("hdf5 with other rows", 3, r"d\.h5|\bx\b", r"\b40\b", r"\b31\b", sets=[h5], make=hdf5(other=31))
    yield Case("hdf5 that is none", 3, r"d\.h5", sets=[h5], make=lambda f: (f / "d.h5").write_bytes(b"no" * 999))
    yield Case("a run is there", 2, r"run\b", "--resume", "--overwrite", make=trained)
    yield Case("resume under another config", 4, r"batch\.size|size", args=["config.yaml", "--resume"], make=other_config)
    yield Case("resume from a truncated checkpoint", 4, r"step-\d+\.h5|cut\.h5", args=["config.yaml", "--resume=cut.h5"],
               make=lambda f: (f / "cut.h5").write_bytes(trained(f, "before").read_bytes()[:-100]))
    yield Case("eval of a flipped byte", 4, r"\.h5", command="eval", args=["run"], make=damage(flip))
    yield Case("eval of a foreign file", 4, r"foreign\.h5", command="eval", args=["foreign.h5"], make=damage(flip))
    yield Case("eval of nothing", 4, r"nothing", command="eval", args=["nothing"])
    yield Case("predict of other columns", 3, r"few\.csv", r"\b6\b", r"\b2\b", command="predict", args=["run", "few.csv"],
               make=lambda f: (trained(f), (f / "few.csv").write_text("1,2\n3,4\n")))
    yield Case("weights that are not there", 4, r"none\.h5", args=["config.yaml", "--init=none.h5"])
    yield Case("a file where the folder goes", 74, r"out\b", args=["config.yaml", "--out", "out/run"], make=lambda f: (f / "out").write_text(""))
    yield Case("disk full", 74, r"step-\d+", "space", env={**shim, "SHIM_RANK": "all", "SHIM_FULL": ".h5.tmp"})
    yield Case("divergence", 5, r"step \d+", r"dense\d", r"shard", sets=["optimizer={name: sgd, lr: 1e30}", "train.epochs=20"])
    yield Case("divergence of a replica", 5, r"step \d+", r"dense\d", r"shard", r"replica \d", sets=["optimizer={name: sgd, lr: 1e30}", "train.epochs=20",
               "sync={strategy: local-sgd, local_steps: 50, replicas: 3}"])
    yield Case("data unreadable on one rank", 3, r"train\.csv", r"rank 1", r"[Pp]ermission", ranks=(3,), seconds=ALONE_SECONDS,
               env={**shim, "SHIM_RANK": "1", "SHIM_DENY": "train.csv"})
    yield Case("allocation fails on one rank", 70, r"rank 2", r"memory|bytes", ranks=(3,), seconds=ALONE_SECONDS,
               sets=["model.layers.0.dense.units=40000"], env={**shim, "SHIM_RANK": "2", "SHIM_ALLOC": "1200000"})
    yield Case("disk full on one rank", 74, r"step-\d+", "space", ranks=(3,), seconds=ALONE_SECONDS, sets=["model.layers.0.dense.units=20000"],
               env={**shim, "SHIM_RANK": "1", "SHIM_FULL": ".h5.tmp"})


def other_config(folder):
    trained(folder)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("size: 32", "size: 16").replace("epochs: 1", "epochs: 3"))


def prepare(folder, case):
    folder.mkdir()
    table(folder / "train.csv", 160, 6, 4, 1)
    table(folder / "test.csv", 40, 6, 4, 1)
    (folder / "config.yaml").write_text(GOOD)
    if case.make:
        case.make(folder)
    text = (folder / "config.yaml").read_text()
    for old, new in case.config:
        assert old in text, f"{case.name}: '{old}' is not in the config"
        text = text.replace(old, new, 1)
    (folder / "config.yaml").write_text(text)


def attempt(folder, case, ranks):
    """Run the case; (what is wrong with it, the result)."""
    args = list(case.args) if case.args or case.name == "no config given" else ["config.yaml"]
    sets = [word for edit in case.sets for word in ("--set", edit)]
    out = ["--out", "run"] if case.command == "train" and "--out" not in args and args else []
    prefix = ["/usr/bin/env", *[f"{k}={v}" for k, v in case.env.items()]] if case.env else []
    runner = Program(program.binary)
    runner.command = lambda words, n: [*(["mpirun", "--oversubscribe", "-n", str(n)] if n > 1 else []), *prefix, runner.binary, *map(str, words)]
    done = runner.run(case.command, *args, *out, *sets, ranks=ranks, cwd=folder, timeout=60)
    lines, wrong = done.errors(), []
    if done.code not in case.codes():
        wrong.append(f"exit code {done.code}, expected {' or '.join(map(str, case.codes()))}")
    if len(lines) != 1 or not lines[0].startswith("descent: error:"):
        wrong.append(f"{len(lines)} error lines, expected 1")
    wrong += [f"the message lacks /{part}/" for part in case.grep if not any(re.search(part, line) for line in lines)]
    if done.seconds > case.seconds:
        wrong.append(f"took {done.seconds:.1f} s, at most {case.seconds}")
    state = status(folder / "run")
    if case.command == "train" and state.get("state") == "running":
        wrong.append("status.json still says running")
    return wrong, done


def judge(work):
    case, ranks, folder = work
    try:
        prepare(folder, case)
    except (IndexError, OSError, AssertionError) as why:
        return case, ranks, [f"cannot be prepared: {why!r}"], "", ""
    wrong, done = attempt(folder, case, ranks)
    if len(wrong) == 1 and wrong[0].startswith("took") and case.env:  # a busy machine is not a hang; twice in a row would be
        shutil.rmtree(folder / "run", ignore_errors=True)
        wrong, done = attempt(folder, case, ranks)
    shown = (done.errors() or ["no error line"])[0].replace(str(folder) + "/", "")
    return case, ranks, wrong, shown, done


def main():
    tap, only = Tap(), sys.argv[3:]
    with Folder("bad") as folder:
        work = [(case, ranks, folder.path / f"{i}-{ranks}") for i, case in enumerate(cases()) for ranks in case.ranks
                if not only or any(part in case.name for part in only)]
        with concurrent.futures.ThreadPoolExecutor(max(2, min(4, (os.cpu_count() or 2) // 2))) as pool:
            for case, ranks, wrong, shown, done in pool.map(judge, work):
                tap.point(not wrong, f"{case.name}, ranks: {ranks}", "\n".join([shown.replace("#", "no.")[:300], *wrong, *str(done).splitlines()] if wrong else [shown.replace("#", "no.")[:300]]))
    tap.say(f"{len(work)} cases")
    tap.done()


program = Program(sys.argv[1])
main()
