"""Runs whose replicas are the ranks they began with (`sync.replicas: ranks`, the default), gone on with on other ranks: on fewer the same
bits; on more, one line that says what to set; with that set, on with a warning. And what inspect, verify, diff and export make of the
state that codecs and replicas keep in a checkpoint. usage: other_ranks.py DESCENT"""
import json
import struct
import sys

from runs import Folder, Program, Tap, checkpoints, events, final_hash, skip_all

try:
    import h5py
    import numpy
except ImportError as lost:
    skip_all(str(lost))

CONFIG = """
name: other-ranks
seed: 9
data: {train: {format: synthetic, kind: spirals, samples: 500, classes: 3}, normalize: standard}
model:
  input: [2]
  layers:
    - dense: {units: 40, activation: tanh}
    - dense: {units: 3}
loss: cross_entropy
batch: {size: 50, shards: 10}
optimizer: {name: adam, lr: 0.01, clip_norm: 1}
train: {epochs: 3, log_every: 1}
checkpoint: {every_steps: 4, keep: 0}
"""
WAYS = {"int8": "sync={compress: int8, block: 32}", "fp16": "sync={compress: fp16, transport: direct}",
        "local-sgd": "sync={strategy: local-sgd, local_steps: 6}", "diloco": "sync={strategy: diloco, local_steps: 7}"}
BEGUN = 4


class Other:
    def __init__(self, program, folder, tap):
        self.program, self.folder, self.tap = program, folder, tap
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)

    def train(self, out, *args, sets, ranks):
        edits = [word for edit in sets for word in ("--set", edit)]
        return self.program.train(self.config, self.folder / out, *args, *edits, ranks=ranks)

    def begin(self, way):
        """The undisturbed run on four ranks; its checkpoint of step 8, between meetings and with residuals."""
        done = self.train(way, sets=[WAYS[way]], ranks=BEGUN)
        self.tap.point(done.code == 0, f"{way}: begun on {BEGUN} ranks", final_hash(self.folder / way) or done)
        return checkpoints(self.folder / way)[1]

    def fewer(self, way, middle):
        """On three ranks; from a checkpoint of those on two: still the replicas of the first start."""
        first = self.train(f"{way}-3", f"--resume={middle}", sets=[WAYS[way]], ranks=3)
        later = checkpoints(self.folder / f"{way}-3")[2] if first.code == 0 else middle
        second = self.train(f"{way}-2", f"--resume={later}", sets=[WAYS[way]], ranks=2)
        for ranks, done in ((3, first), (2, second)):
            out = self.folder / f"{way}-{ranks}"
            same = self.program.run("diff", self.folder / way, out)
            good = done.code == 0 and same.code == 0 and final_hash(out) == final_hash(self.folder / way)
            self.tap.point(good, f"{way}: on {ranks} ranks the same, all its state too", final_hash(out) if good else f"{done}\n{same}")

    def refused(self, way, middle, begun):
        """More ranks than replicas: the checkpoint's, with 4; the config's, with 2. One line, with the mend."""
        cases = (("gone on with on 6", 4, "--set sync.replicas=6", [f"--resume={middle}"], WAYS[way]),
                 ("begun on 6 of 4", 2, "replicas: 6", [], WAYS[way].replace("}", f", replicas: {BEGUN}}}")))
        for number, (name, code, mend, args, sets) in enumerate(cases):
            done = self.train(f"{way}-refused{number}", *args, sets=[sets], ranks=6)
            lines = done.errors()
            good = done.code == code and len(lines) == 1 and mend in lines[0] and not checkpoints(self.folder / f"{way}-refused{number}")
            self.tap.point(good, f"{way}: {name}: exit {code}", lines[0] if good else done)
        self.tap.point(final_hash(self.folder / way) == begun, f"{way}: the run is as it was", begun)

    def mended(self, way, middle, replicas, ranks):
        out = self.folder / f"{way}-of-{replicas}"
        done = self.train(out.name, f"--resume={middle}", sets=[WAYS[way], f"sync.replicas={replicas}"], ranks=ranks)
        warned = [line for line in done.err.splitlines() if "descent: warning:" in line and "other bits" in line]
        good = done.code == 0 and len(warned) == 1 and f"{replicas} replicas now, {BEGUN} then" in warned[0]
        if good:
            with h5py.File(checkpoints(out)[-1]) as file:
                kept, line = int(file["run"].attrs["replicas"]), json.loads(file["run"].attrs["lineage"])[-1]
            good = kept == replicas and f"sync.replicas={replicas}" in line["set"] and events(out, "end")[-1]["step"] == 30
        self.tap.point(good, f"{way}: --set sync.replicas={replicas} on {ranks} ranks goes on and warns once", warned[0] if good else done)

    def tools(self, way, path, block):
        """What the way keeps is seen, verified, compared and, where asked for, exported; by default an export is of the parameters."""
        with h5py.File(path) as file:
            kept = {}
            file["sync"].visititems(lambda name, item: kept.update({f"sync/{name}": item[()]}) if isinstance(item, h5py.Dataset) else None)
        name = f"sync/{block}/dense2/weight"
        self.tap.point(name in kept, f"{way}: a checkpoint has /{block}", f"{len(kept)} tensors of the way's own")
        seen, good = self.program.run("inspect", path), self.program.run("verify", path)
        tree = json.loads(self.program.run("inspect", path, "--json").out)
        self.tap.point(seen.code == 0 and block.split("/")[0] in seen.out and f"/{name}" in json.dumps(tree), f"{way}: inspect", seen.out.splitlines()[0])
        lines = [line for line in good.out.splitlines() if line.split()[:1] == ["good"] and line.split()[1].startswith("/sync/")]
        self.tap.point(good.code == 0 and len(lines) == len(kept), f"{way}: verify", f"{len(lines)} good of {len(kept)}")
        other = self.program.run("diff", path, checkpoints(self.folder / way)[2])
        self.tap.point(other.code == 1 and f"/{name}: " in other.out, f"{way}: diff", next((x for x in other.out.splitlines() if name in x), other))
        self.exported(way, path, kept)
        self.damaged(way, path, name)

    def exported(self, way, path, kept):
        few, all_, safe = self.folder / f"{way}.npz", self.folder / f"{way}-all.npz", self.folder / f"{way}-all.safetensors"
        codes = [self.program.run("export", path, few).code, *(self.program.run("export", "--all", path, out).code for out in (all_, safe))]
        names = {name.split(".")[0] for name in numpy.load(few).files}
        self.tap.point(codes == [0, 0, 0] and names == {"dense1", "dense2", "input"}, f"{way}: export is of the parameters", sorted(names))
        found, raw = numpy.load(all_), safe.read_bytes()
        size = struct.unpack_from("<Q", raw)[0]
        header, wrong = json.loads(raw[8:8 + size]), []
        for name, array in kept.items():
            dotted = name.replace("/", ".")
            begin, end = header[dotted]["data_offsets"]
            if found[dotted].tobytes() != array.tobytes() or raw[8 + size + begin:8 + size + end] != array.tobytes():
                wrong.append(name)
        self.tap.point(not wrong, f"{way}: export --all is of all, the bits h5py reads", wrong or f"{len(kept)} tensors")

    def damaged(self, way, path, name):
        """A byte of the way's own state hit: verify names it, a resume does not take it, the parameters can still be had."""
        hurt = self.folder / f"{way}-hurt.h5"
        with h5py.File(path) as file:
            at = file[name].id.get_offset()
        data = bytearray(path.read_bytes())
        data[at + 5] ^= 0x10
        hurt.write_bytes(data)
        seen = self.program.run("verify", hurt)
        self.tap.point(seen.code == 4 and name in seen.err + seen.out, f"{way}: a damaged {name}: verify", (seen.errors() or [seen])[0])
        done = self.train(f"{way}-hurt", f"--resume={hurt}", sets=[WAYS[way]], ranks=2)
        self.tap.point(done.code == 4 and len(done.errors()) == 1, f"{way}: a damaged {name}: resume", (done.errors() or [done])[0])
        saved = self.program.run("export", "--salvage", hurt, self.folder / f"{way}-hurt.npz")
        self.tap.point(saved.code == 0, f"{way}: a damaged {name}: export --salvage", saved.out.strip() or saved)


def main():
    tap = Tap()
    with Folder("other") as folder:
        other = Other(Program(sys.argv[1]), folder.path, tap)
        middle = {way: other.begin(way) for way in WAYS}
        for way, path in middle.items():
            other.fewer(way, path)
        for way in ("int8", "diloco"):
            other.refused(way, middle[way], final_hash(folder.path / way))
            other.mended(way, middle[way], 6, 6)
        other.mended("fp16", middle["fp16"], 2, 1)
        other.mended("local-sgd", middle["local-sgd"], 2, 2)
        other.tools("int8", middle["int8"], "residual-8-10")
        other.tools("diloco", middle["diloco"], "replica-1/parameters")
    tap.done()


main()
