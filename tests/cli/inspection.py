"""`descent export`, `inspect --histogram` and `plot` on sample checkpoints and metrics.
Expected values: h5py's and sample.h's formulas; the formats' public descriptions. usage: inspection.py DESCENT CKPT_TOOL TESTS_FOLDER"""
import json
import math
import os
import pathlib
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
import zipfile

descent, tool, tests = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:4])
sys.path.insert(0, tests)
from tap import Tap, skip_all  # noqa: E402

try:
    import h5py
    import numpy as np
except ImportError as missing:
    skip_all(str(missing))

tap = Tap()
NUMPY = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "u1"}


def run(*command, env=None, limit=None):
    def before():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.run([descent, *map(str, command)], capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})},
                          preexec_fn=before)


def one_line(done, code):
    lines = done.stderr.splitlines()
    return done.returncode == code and len(lines) == 1 and lines[0].startswith("descent: error: ")


def sample(i, j, salt):  # sample.h: sample_float
    return ((j * 31 + i * 7 + salt) % 1009) / 8.0 - 50.0


def by_h5py(path, everything):
    """What must be in an export: name -> array."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    named = {name.removeprefix("parameters/").replace("/", "."): np.asarray(a) for name, a in found.items()
             if everything or name.startswith(("parameters/", "input/"))}
    return named


def by_description(path):
    """A safetensors file as its format is described; asserts what a strict reader refuses."""
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header, body, end, found = json.loads(data[8:8 + n]), data[8 + n:], 0, {}
    assert data[8:9] == b"{" and n % 8 == 0
    meta = header.pop("__metadata__")
    assert all(isinstance(v, str) for v in meta.values())
    for name, entry in sorted(header.items(), key=lambda e: e[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        dtype = np.dtype(NUMPY[entry["dtype"]])
        assert begin == end and begin % dtype.itemsize == 0
        found[name], end = np.frombuffer(body[begin:stop], dtype).reshape(entry["shape"]), stop
    assert end == len(body)
    return meta, found


def same(found, want):
    return found.keys() == want.keys() and all(
        found[k].dtype == want[k].dtype and found[k].shape == want[k].shape and found[k].tobytes() == want[k].tobytes() for k in want)


def test_export(top, good):
    file = good / "checkpoints/step-00000100.h5"
    for everything in (False, True):
        want, more = by_h5py(file, everything), ["--all"] if everything else []
        done = run("export", good if everything else file, top / "a.npz", *more)
        with np.load(top / "a.npz") as z:
            found = {k: z[k] for k in z.files}
        whole = zipfile.ZipFile(top / "a.npz").testzip() is None
        tap.point(done.returncode == 0 and whole and same(found, want), f"export npz {more}", f"{len(found)} tensors: {sorted(found)}")
        done = run("export", file if everything else good, top / "a.safetensors", *more)
        meta, found = by_description(top / "a.safetensors")
        tap.point(done.returncode == 0 and same(found, want) and meta["step"] == "100" and meta["params_hash"] == "00ff"
                  and len(meta["config"]) == 100000, f"export safetensors {more}", f"{len(found)} tensors: {sorted(found)}")
    weight = np.array([sample(0, j, 1) for j in range(20000)], "f4").reshape(20, 1000)
    tap.point(np.array_equal(found["dense1.weight"], weight) and len(found) == 8, "export: the sample's numbers", weight[0, :3])
    for writer in ("npz", "safetensors"):
        run("export", good, top / f"b.{writer}", "--all")
        first, again = (top / f"a.{writer}").read_bytes(), (top / f"b.{writer}").read_bytes()
        tap.point(first == again, f"export {writer}: the same bytes again", f"{len(first)} and {len(again)} bytes")
    try:
        from safetensors.numpy import load_file
    except ImportError:
        tap.skip("export: the safetensors package", "not installed")
    else:
        tap.point(same(load_file(top / "a.safetensors"), found), "export: the safetensors package")


def test_export_trouble(top, good):
    here = top / "trouble"
    here.mkdir()
    damaged = top / "damaged.h5"
    shutil.copy(good / "latest", damaged)
    with damaged.open("r+b") as f:
        f.seek(230000)
        f.write(b"\x7fx")
    for what, code, args in (("extension", 2, [good, here / "a.npy"]), ("no extension", 2, [good, here / "npz"]), ("nothing", 2, []),
                             ("one argument", 2, [good]), ("option", 2, [good, here / "a.npz", "--al"]),
                             ("no such folder", 74, [good, here / "no/a.npz"]), ("missing", 4, [here / "no", here / "a.npz"]),
                             ("damaged", 4, [damaged, here / "a.safetensors"])):
        done = run("export", *args)
        tap.point(one_line(done, code), f"export: {what}", done.stderr)
    os.mkfifo(here / "p.npz")
    reader = os.open(here / "p.npz", os.O_RDONLY | os.O_NONBLOCK)
    done = run("export", good, here / "p.npz")
    tap.point(one_line(done, 2) and "pipe" in done.stderr, "export: an npz into a pipe", done.stderr)
    os.close(reader)
    (here / "p.npz").unlink()
    (here / "c.npz").write_text("kept")
    for name in ("c.npz", "c.safetensors"):
        done = run("export", good, here / name, limit=50000)
        tap.point(one_line(done, 74), f"export: no room, {name}", done.stderr)
    left = sorted(p.name for p in here.iterdir())
    tap.point(left == ["c.npz"] and (here / "c.npz").read_text() == "kept", "export: failures leave no trace", left)


def test_histogram(top, good):
    done = run("inspect", good, "--histogram", "--json")
    tensors = {t["name"]: t for t in json.loads(done.stdout)["tensors"]}
    for name, i, n in (("dense1/weight", 0, 20000), ("dense1/bias", 1, 10)):
        want = np.histogram([sample(i, j, 1) for j in range(n)], bins=40)[0].tolist()
        found = tensors[f"/parameters/{name}"]["histogram"]
        tap.point(found == want and sum(found) == n, f"histogram {name}: numpy's", f"{found[:4]} of {len(found)}")
    tap.point(all(t["histogram"] == [0] * 40 for t in tensors.values() if t["elements"] == 0), "histogram: nothing of nothing")
    for locale, bar in (("C.UTF-8", "█"), ("C", "@")):
        done = run("inspect", good, "--histogram", env={"LC_ALL": locale})
        lines = [line for line in done.stdout.splitlines() if re.fullmatch(r" *\S+ \|.{40}\| \S+", line)]
        wide = all(bar in line for line in lines)
        tap.point(done.returncode == 0 and wide and len(lines) == 7, f"inspect --histogram: {locale}", f"{len(lines)} lines; {lines[0]}")
    done = run("inspect", good, env={"LC_ALL": "C.UTF-8"})
    row = next(line for line in done.stdout.splitlines() if "[20, 1000]" in line)
    small = np.histogram([sample(0, j, 1) for j in range(20000)], bins=16)[0]
    bars = "".join(" ▁▂▃▄▅▆▇█"[int(np.ceil(c / small.max() * 8))] for c in small)
    tap.point("├─ weight" in row and row.endswith(bars), "inspect: a small histogram", row)
    subprocess.run([tool, top / "big", "1", "12500", "1"], check=True, capture_output=True)  # 12.5 million parameters, twice: 100 MB
    start = time.monotonic()
    done = run("inspect", top / "big", "--histogram")
    seconds = time.monotonic() - start
    tap.point(done.returncode == 0 and seconds < 3, "inspect --histogram: 100 MB", f"{seconds:.2f} s; the bound, 3 s, is for busy machines")


def damages(file):
    """One damage of each kind: what it is, the bytes."""
    data = file.read_bytes()
    def flipped(at):
        return data[:at] + bytes([data[at] ^ 16]) + data[at + 1:]
    yield "header: step", flipped(57)
    yield "header: magic", flipped(2)
    yield "header: a size", flipped(33)
    yield "header: hash", flipped(4090)
    yield "table", flipped(110)
    yield "table: a name", flipped(96 + 32 + 16 + 3)
    yield "two bytes of the header", data[:58] + b"\xff\xff" + data[60:]
    yield "two bytes of the table", data[:400] + b"\xff\xff" + data[402:]
    yield "data", flipped(230000)
    yield "cut in the data", data[:200000]
    yield "cut by a byte", data[:-1]
    yield "grown", data + b"x"


def test_damaged(top, good):
    """Every damage: 4, one line, within seconds; what is whole is shown, verified, compared and exported."""
    file, bad = good / "checkpoints/step-00000100.h5", top / "bad.h5"
    want = by_h5py(file, True)
    for what, data in damages(file):
        bad.write_bytes(data)
        shown, verified = run("inspect", bad, "--json"), run("verify", bad)
        compared, refused = run("diff", good, bad, "--json"), run("export", bad, top / "bad.npz")
        whole = [t["name"] for t in json.loads(shown.stdout)["tensors"] if t["good"]]
        listed = re.findall(r"^  good +(\S+)", verified.stdout, re.M)
        found = json.loads(compared.stdout)
        codes = all(one_line(d, 4) for d in (shown, verified, compared, refused))
        tap.point(codes and len(whole) >= 1 and whole == listed and found["same"] >= len(whole) - 1, f"damaged, {what}",
                  f"{len(whole)} of 8 tensors whole, {found['same']} compared equal; {shown.stderr}")
        done = run("export", bad, top / "bad.npz", "--all", "--salvage")
        with np.load(top / "bad.npz") as z:
            same_bits = all(z[k].tobytes() == want[k].tobytes() for k in z.files if k in want)
            tap.point(done.returncode == 0 and same_bits and len(z.files) == len(whole), f"export --salvage, {what}", f"{len(z.files)} tensors")
    done = run("inspect", bad)
    tap.point(one_line(done, 4) and "DAMAGED" in done.stdout and "weight" in done.stdout, "inspect: a damaged one as a tree", done.stderr)
    bad.write_bytes(file.read_bytes()[:4095])
    for command in ("inspect", "verify"):
        tap.point(one_line(run(command, bad), 4), f"{command}: less than a header")


CONFIG = """
seed: 1
data: {train: {format: synthetic, kind: blobs, samples: 64}}
model: {input: [2], layers: [dense: {units: 3}]}
loss: cross_entropy
batch: {size: 32, shards: 8}
train: {max_steps: 4, log_every: 1}
"""


def test_sections(top):
    """diff of real runs: config by key, losses by step."""
    config = top / "c.yaml"
    config.write_text(CONFIG)
    for name, *edits in (("r1", "name=a"), ("r2", "name=b", "train.log_every=2"), ("r3", "batch={size: 8, shards: 2, accumulate: 4}"),
                         ("r4", "optimizer.lr=0.5"), ("r5", "train.max_steps=6")):
        done = run("train", config, "--out", top / name, "--quiet", *[w for e in edits for w in ("--set", e)])
        if done.returncode:
            return tap.point(False, f"diff: train {name}", done.stderr)
    for other, code, key, shapes in (("r2", 0, "name", False), ("r3", 0, "batch.accumulate", False), ("r4", 1, "optimizer.lr", True),
                                     ("r5", 1, "train.max_steps", False)):
        done = run("diff", top / "r1", top / other, "--json")
        found = json.loads(done.stdout)
        keys = {k["name"]: k for k in found["config"]}
        tap.point(done.returncode == code and key in keys and keys[key]["shapes_numbers"] is shapes, f"diff: {other}, {key}", list(keys.values()))
    text = run("diff", top / "r1", top / "r5").stdout
    tap.point("\nhistory\n  losses: 4 losses to step 4 and 6 to step 6; the same up to step 4\n" in text, "diff: histories", text)
    text = run("diff", top / "r1", top / "r4").stdout
    tap.point("\n  optimizer.lr: '0.001' and '0.5'\n" in text and "same up to step 1, first apart at step 2" in text, "diff: where losses part", text)


def metrics(folder, steps, accuracy=True):
    folder.mkdir(parents=True)
    lines = [{"event": "start", "name": "x"}]
    for step in range(10, steps + 1, 10):
        lines.append({"event": "step", "step": step, "loss": 2.0 - step / steps if step != 50 else None, "lr": 0.25})
        if step % 50 == 0:
            lines.append({"event": "eval", "step": step, "split": "test", "loss": 2.5 - step / steps, **({"accuracy": 0.5} if accuracy else {})})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event":"step","st')
    return folder


def test_plot(top):
    a, b, plain = metrics(top / "a", 100), metrics(top / "o'dd <&> $(x)/a", 200), metrics(top / "plain", 100, accuracy=False)
    done = run("plot", a, env={"LC_ALL": "C"})
    lines = done.stdout.splitlines()
    corner = lines[1].split("|")[0].strip() == "2"
    tap.point(done.returncode == 0 and corner and max(map(len, lines)) <= 80 and "1 at the end, least 1, largest 1.9" in done.stdout
              and "a: test: 1.5 at the end" in done.stdout, "plot: loss in 80 columns", done.stdout)
    drawn = [line[11:] for line in lines if "|" in line]
    first = min(k for k, line in enumerate(drawn) if line.startswith("*"))
    last = max(k for k, line in enumerate(drawn) if "*" in line)
    tap.point(drawn[last].rstrip().endswith("*") and first < last == len(drawn) - 1, "plot: falls to the lower right", drawn[last])
    steep = top / "steep"  # a straight line on a logarithmic scale: 10^-k at step k
    steep.mkdir()
    (steep / "metrics.jsonl").write_text("".join(json.dumps({"event": "step", "step": k, "loss": 10.0 ** -k if k != 3 else 0}) + "\n" for k in range(9)))
    done = run("plot", steep, "--log", env={"LC_ALL": "C"})
    rows = [line for line in done.stdout.splitlines() if line[10:11] == "|"]
    ends = [len(row) for row in rows if row.strip().endswith("*")]
    tap.point(done.returncode == 0 and ends == sorted(ends) and float(rows[0].split("|")[0]) == 1 and math.isclose(float(rows[-1].split("|")[0]), 1e-8),
              "plot --log: a power falls in a straight line", done.stdout)
    done = run("plot", a, b, "--what", "all", env={"LC_ALL": "C"})
    tap.point(done.returncode == 0 and [w for w in ("loss", "accuracy", "lr") if f"{w} over steps" in done.stdout] == ["loss", "accuracy", "lr"], "plot --what all")
    done = run("plot", a, "--what", "lr", env={"LC_ALL": "C.UTF-8"})
    level = [line for line in done.stdout.splitlines() if any("\u2800" < ch <= "\u28ff" for ch in line.split("|")[-1]) and "|" in line]
    tap.point(done.returncode == 0 and len(level) == 1 and "\033" not in done.stdout, "plot: a level line, in Braille", level)
    done = run("plot", a / "metrics.jsonl", b, "--what", "accuracy")
    tap.point(done.returncode == 0 and "a: test" in done.stdout and "a (2): test" in done.stdout, "plot: two runs of one name", done.stdout)
    empty = top / "empty"
    empty.mkdir()
    for what, args in (("no run", []), ("missing", [top / "no"]), ("no metrics", [empty]), ("no accuracy", [plain, "--what", "accuracy"]),
                       ("what", [a, "--what", "los"]), ("extension", [a, "--out", top / "p.pdf"]), ("device", ["/dev/null"])):
        done = run("plot", *args)
        tap.point(one_line(done, 2), f"plot: {what}", done.stderr)
    test_pictures(top, a, b, plain)


def test_pictures(top, a, b, plain):
    done = run("plot", a, "--out", top / "p.svg", env={"PATH": str(top)})
    tap.point(one_line(done, 2) and "gnuplot" in done.stderr and not list(top.glob("p.svg*")), "plot: gnuplot missing", done.stderr)
    if not shutil.which("gnuplot"):
        return tap.skip("plot: pictures", "gnuplot is not installed")
    out = top / "it's a $(picture).svg"
    done = run("plot", a, b, "--out", out)
    texts = ["".join(e.itertext()).strip() for e in xml.etree.ElementTree.parse(out).iter() if e.tag.endswith("}text")]
    names = [t for t in texts if ": " in t]
    tap.point(done.returncode == 0 and names == ["a: train", "a: test", "a (2): train", "a (2): test"]
              and [t for t in texts if t in ("loss", "accuracy", "lr", "step")] == ["loss", "accuracy", "lr", "step"], "plot: svg", names)
    done = run("plot", a, plain, "--out", top / "q.svg", "--what", "rate", "--log")
    texts = ["".join(e.itertext()).strip() for e in xml.etree.ElementTree.parse(top / "q.svg").iter() if e.tag.endswith("}text")]
    tap.point(done.returncode == 0 and "a: train" in texts and "plain: train" in texts and "0.1" in texts and "1" in texts and "accuracy" not in texts,
              "plot: svg of the rate, logarithmic", texts)
    done = run("plot", a, "--out", top / "p.png")
    head = (top / "p.png").read_bytes()[:24]
    tap.point(done.returncode == 0 and head[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", head[16:]) == (960, 960), "plot: png",
              struct.unpack(">II", head[16:]))
    done = run("plot", a, "--out", top / "no/p.svg")
    tap.point(one_line(done, 74) and not list(top.glob("*.tmp")), "plot: no such folder", done.stderr)
    test_full_disk(top, a)


def test_status(top):
    for text in ("[]", '{"state":3}', "{", ""):
        (top / "status.json").write_text(text)
        done = run("status", top)
        tap.point(one_line(done, 2) and not done.stdout, f"status.json is {text!r}", done.stderr)


def test_full_disk(top, a):
    """gnuplot's png terminal ends with 0 when its output does not fit: a cut picture must not pass for one."""
    disk = top / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "descent", disk], capture_output=True).returncode:
        return tap.skip("plot: full disk", "no tmpfs can be mounted here")
    try:
        (disk / "x").write_bytes(bytes(56 << 10))
        done = run("plot", a, "--out", disk / "p.png")
        tap.point(one_line(done, 74) and [p.name for p in disk.iterdir()] == ["x"], "plot: full disk", done.stderr)
    finally:
        subprocess.run(["umount", disk], check=True)


with tempfile.TemporaryDirectory(prefix="descent-") as name:
    place = pathlib.Path(name)
    subprocess.run([tool, place / "good", "100", "20", "1"], check=True, capture_output=True)
    test_export(place, place / "good")
    test_export_trouble(place, place / "good")
    test_histogram(place, place / "good")
    test_damaged(place, place / "good")
    test_sections(place)
    test_plot(place / "plots")
    test_status(place / "plots")
tap.done()
