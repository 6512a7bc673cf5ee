"""Random odd configs against the promise: the bits of a run depend on config, data and seed alone. Each config is trained on 1, 2, 3
and 5 ranks under random settings that may not matter (buckets, transport, log, evaluation and checkpoint steps); params_hash, the losses that were logged,
the scores and the reason of the end must agree, and where the settings are equal the checkpoints byte by byte. Then one of the runs is cut
back to a random checkpoint, as a kill leaves it, and resumed on another number of ranks: same hash, and `descent diff` finds nothing.
With --wide the configs are of every optimizer, kind of network, strategy and codec (fuzz_cases.py), each on two counts of ranks up to 4.
usage: fuzz_bits.py DESCENT [--configs 6] [--seed 1] [--only I] [--wide]"""
import argparse
import json
import random
import re
import shutil

from fuzz_cases import OddCase, WideCase
from runs import Folder, Program, Tap, checkpoints, events, final_hash


def seen(out):
    """What a run found, but for what its own settings decide."""
    end = events(out, "end")[-1]
    return {"hash": final_hash(out), "step": end["step"], "reason": end["reason"],
            "eval": [(e["step"], e["split"], e["loss"]) for e in events(out, "eval")],
            "left out": [(e["event"], e["step"]) for e in events(out) if e["event"] in ("skip", "spike")]}


def logged(out):
    return {e["step"]: (e["loss"], e["lr"], e["grad_norm"]) for e in events(out, "step")}


class Fuzz:
    def __init__(self, program, folder, tap, draw_case):
        self.program, self.folder, self.tap, self.draw_case = program, folder.path, tap, draw_case
        self.runs, self.resumes, self.wrong, self.diverged, self.refused = 0, 0, [], 0, 0

    def fault(self, number, text):
        self.wrong.append(number)
        self.tap.point(False, f"config {number}", f"{text}\n{self.case.tree}")

    def train(self, number, ranks, settings):
        out = self.folder / f"run{number}-{ranks}"
        config = self.case.write(self.folder / f"config{number}-{ranks}.yaml", settings)
        done = self.program.train(config, out, ranks=ranks if ranks > 1 else 0, timeout=60)
        self.runs += 1
        return out, config, done

    def one(self, number):
        self.case = case = self.draw_case(number)
        first, settings = None, case.settings()
        for ranks in case.ranks:
            settings = settings if case.draw.random() < 0.3 else case.settings()
            out, config, done = self.train(number, ranks, settings)
            if first is None:
                first = (out, done.code, settings)
                if done.code == 2 and case.may_refuse:
                    self.refused += 1
                    return self.tap.say(f"config {number}: {done.errors()}")
                if done.code not in (0, 5):
                    return self.fault(number, done)
            if done.code != first[1]:
                return self.fault(number, f"{ranks} ranks: exit {done.code}, on {case.ranks[0]}: {first[1]}\n{done}")
            if done.code == 5:
                continue
            if not self.same(number, ranks, first, out, settings):
                return None
        if first[1] == 5:
            self.diverged += 1
            return None
        return self.resume(number, ranks, out, config, first[0])

    def same(self, number, ranks, first, out, settings):
        one, two = seen(first[0]), seen(out)
        if one != two:
            self.fault(number, f"1 rank {one}\n{ranks} ranks {two}, {settings} against {first[2]}")
            return False
        a, b = logged(first[0]), logged(out)
        for step in a.keys() & b.keys():
            if a[step] != b[step]:
                self.fault(number, f"step {step}: {a[step]} on 1 rank, {b[step]} on {ranks}")
                return False
        for x, y in zip(checkpoints(first[0]), checkpoints(out)) if settings == first[2] else ():
            if x.read_bytes() != y.read_bytes():
                self.fault(number, f"{x.name}: other bytes on {ranks} ranks")
                return False
        return True

    def resume(self, number, ranks, out, config, first):
        """Cut the run back to one of its checkpoints, as a kill leaves it, and go on elsewhere."""
        files, whole = checkpoints(out), self.folder / f"whole{number}"
        if len(files) < 2:
            return
        cut = self.case.draw.randrange(len(files) - 1)
        shutil.copytree(out, whole, symlinks=True)
        for path in files[cut + 1:]:
            path.unlink()
        for name in ("latest", "best"):
            if (out / name).is_symlink():
                (out / name).unlink()
        state = json.loads((out / "status.json").read_text())
        (out / "status.json").write_text(json.dumps({**state, "state": "running"}))
        other = self.case.pick(*self.case.ranks)
        done = self.program.train(config, out, "--resume", ranks=other, timeout=60)
        self.resumes += 1
        if done.code != 0 or seen(out) != seen(whole) or logged(out) != logged(whole):
            return self.fault(number, f"{ranks} ranks, resumed at {files[cut].name} on {other}: {done}\n{seen(whole)}\n{done.code == 0 and seen(out)}")
        diff = self.program.run("diff", checkpoints(first)[-1], checkpoints(out)[-1])
        if diff.code != 0:
            self.fault(number, f"resumed at {files[cut].name} on {other}: {diff}")


NUMERICS = """
name: numerics
data: {train: {format: synthetic, kind: spirals, samples: 600, classes: 7}, normalize: standard}
model: {input: [2], layers: [{dense: {units: 300, activation: gelu}}, {dense: {units: 256, activation: tanh}}, {dense: {units: 7}}]}
loss: cross_entropy
batch: {size: 256, shards: 7}
train: {max_steps: 4}
checkpoint: {initial: true}
"""


def threads(program, folder, tap):
    """Two threads a rank: nothing in the environment may change how many there are without a word."""
    config = folder.path / "numerics.yaml"
    config.write_text(NUMERICS)
    for kernels in ("auto", "openblas"):
        edits = ("--set", "compute.threads=2", "--set", f"compute.kernels={kernels}")
        found = []
        for ranks, env in ((0, {}), (0, {"OMP_DYNAMIC": "true"}), (2, {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1"})):
            done = program.train(config, folder.path / f"threads-{kernels}-{len(found)}", *edits, ranks=ranks, env=env, timeout=30)
            found.append(final_hash(folder.path / f"threads-{kernels}-{len(found)}") if done.code == 0 else str(done))
        tap.point(len(set(found)) == 1, f"{kernels}, 2 threads: the same under OMP_DYNAMIC, OMP_NUM_THREADS", found)
        done = program.train(config, folder.path / "limit", *edits, ranks=0, env={"OMP_THREAD_LIMIT": "1"}, timeout=30)
        tap.point(done.code == 2 and len(done.errors()) == 1 and "OMP_THREAD_LIMIT" in done.err, f"{kernels}: OMP_THREAD_LIMIT=1 is named, exit 2", done)


BAD = """
name: bad
data: {train: {format: csv, path: bad.csv, target: y}}
model: {input: [3], layers: [{dense: {units: 1}}]}
loss: mse
batch: {size: 16, shards: 7}
optimizer: {name: sgd, lr: 0.01}
train: {epochs: 2, log_every: 1, on_nan: skip}
"""


def skipped_steps(program, folder, tap):
    """Rows 13, 57 and 80 overflow in the gradient, not in the loss: on any rank count the same steps are skipped and, where one
    shard is to blame by itself, it is named: in an epoch two steps or three, by whether they meet."""
    draw = random.Random(4)
    lines = ["a,b,c,y"]
    for i in range(97):
        row = [draw.gauss(0, 1) for _ in range(4)]
        row[1] = 3e38 if i in (13, 57, 80) else row[1]
        row[3] = 100 if i in (13, 57, 80) else row[3]
        lines.append(",".join(f"{x:.6g}" for x in row))
    (folder.path / "bad.csv").write_text("\n".join(lines) + "\n")
    config, found = folder.path / "bad.yaml", {}
    config.write_text(BAD)
    for ranks in (0, 2, 3):
        done, out = program.train(config, folder.path / f"bad{ranks}", ranks=ranks), folder.path / f"bad{ranks}"
        skips = [re.sub(r" on rank \d+ \(.*?\)", "", e["reason"]) for e in events(out, "skip")]
        found[ranks] = (final_hash(out), skips) if done.code == 0 else str(done)
    tap.point(found[0] == found[2] == found[3] and 2 <= len(found[0][1]) <= 6, "the same steps are skipped, the same shards blamed", found)
    tap.point(all("backward" in text or "forward" in text for text in found[0][1]), "each names a layer", found[0][1])


def other_core(program, folder, tap):
    """Resumed with another OpenBLAS core: a warning; under compute.strict exit 4."""
    config, out = folder.path / "numerics.yaml", folder.path / "core"
    kernels = ("--set", "compute.kernels=openblas")
    before = program.train(config, out, *kernels, ranks=0, env={"OPENBLAS_CORETYPE": "Prescott"})
    checkpoints(out)[-1].unlink()
    strict = program.train(config, out, "--resume", *kernels, "--set", "compute.strict=true", ranks=2, env={"OPENBLAS_CORETYPE": "Nehalem"})
    tap.point(before.code == 0 and strict.code == 4 and len(strict.errors()) == 1, "another OpenBLAS core under compute.strict: exit 4", strict)
    done = program.train(config, out, "--resume", *kernels, ranks=2, env={"OPENBLAS_CORETYPE": "Nehalem"})
    tap.point(done.code == 0 and "bits will differ" in done.err, "another OpenBLAS core: a warning", done)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("descent")
    parser.add_argument("--configs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--wide", action="store_true")
    options, tap = parser.parse_args(), Tap()
    numbers = range(options.configs) if options.only is None else [options.only]
    with Folder("fuzz") as folder:
        program = Program(options.descent)
        optimizers = re.findall(r"^  (\w+)  ", program.run("list", "optimizers").out, re.M) if options.wide else []
        fuzz = Fuzz(program, folder, tap, (lambda i: WideCase(options.seed, i, folder.path, optimizers)) if options.wide else
                    lambda i: OddCase(options.seed, i, folder.path))
        for number in numbers:
            fuzz.one(number)
        tap.say(f"seed {options.seed}: {len(numbers)} configs, {fuzz.runs} runs, {fuzz.resumes} resumed, {fuzz.diverged} diverged alike, {fuzz.refused} refused")
        if options.only is None and not options.wide:
            threads(fuzz.program, folder, tap)
            skipped_steps(fuzz.program, folder, tap)
            other_core(fuzz.program, folder, tap)
        tap.point(fuzz.runs >= len(numbers) and fuzz.refused * 5 <= len(numbers) and not fuzz.wrong, "same bits whatever the ranks and settings", f"configs at fault: {fuzz.wrong}")
    tap.done()


main()
