"""Ways to synchronise, side by side: Fashion-MNIST by configs/fashion-mlp.yaml, the same seed and epochs, on 2 and on 4 ranks. Prints
the table of docs/methods.md: test accuracy at the end and what all ranks send for a sample of training (the plan's figure, direct
messages). Each must come within --points of uncompressed exact training.
usage: methods.py DESCENT SOURCE_ROOT [--epochs 5] [--seed 1] [--ranks 2 4] [--points 0.7] [--only NAME]... [--set KEY=VALUE]..."""
import argparse
import pathlib
import re

from runs import Folder, Program, Tap, events, skip_all

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
METHODS = {
    "none": "{strategy: exact}",
    "fp16": "{compress: fp16}",
    "bf16": "{compress: bf16}",
    "int8": "{compress: int8}",
    "local-sgd, H = 8": "{strategy: local-sgd, local_steps: 8}",
    "post-local, 1 epoch, H = 8": "{strategy: post-local, local_after: 1 epoch, local_steps: 8}",
    "diloco, H = 50": "{strategy: diloco, local_steps: 50}",
}


class Methods:
    def __init__(self, program, config, folder, options, tap):
        self.program, self.config, self.folder, self.options, self.tap = program, config, folder, options, tap
        self.rows, self.base = {}, {}

    def sets(self, sync):
        o = self.options
        edits = [f"sync={sync}", f"seed={o.seed}", f"train.epochs={o.epochs}", *o.set]
        return [word for edit in edits for word in ("--set", edit)]

    def wire(self, sync, ranks):
        """Bytes a sample, as the plan has them; None where it says nothing."""
        plan = self.program.run("train", self.config, "--dry-run", *self.sets(sync), ranks=ranks, timeout=60)
        found = re.search(r"wire: (\d+) bytes a sample", plan.out + plan.err)
        return int(found[1]) if found else None

    def one(self, name, ranks):
        sync, out = METHODS[name], self.folder / f"{re.sub(r'[^a-z0-9]+', '-', name)}-{ranks}"
        done = self.program.train(self.config, out, "--quiet", *self.sets(sync), ranks=ranks, timeout=1800)
        if done.code != 0:
            self.tap.point(False, f"{name} on {ranks} ranks", done)
            return
        accuracy = 100 * [e["accuracy"] for e in events(out, "eval") if e["split"] == "test"][-1]
        self.rows[name, ranks] = accuracy, self.wire(sync, ranks)
        self.base.setdefault(ranks, accuracy)
        behind = self.base[ranks] - accuracy
        self.tap.point(behind <= self.options.points, f"{name} on {ranks} ranks",
                       f"{accuracy:.2f} %, {behind:+.2f} points behind none, at most {self.options.points}; {done.seconds:.0f} s")

    def report(self):
        ranks = self.options.ranks
        print("| method | " + " | ".join(f"{n} ranks: accuracy | sent a sample" for n in ranks) + " |")
        print("|---|" + "---|---|" * len(ranks))
        for name in dict.fromkeys(name for name, _ in self.rows):
            cells = []
            for n in ranks:
                accuracy, wire = self.rows.get((name, n), (None, None))
                cells.append("" if accuracy is None else f"{accuracy:.2f} %")
                cells.append("" if wire is None else f"{wire / 1000:.2f} kB")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("descent")
    parser.add_argument("source")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--points", type=float, default=0.7)
    parser.add_argument("--only", action="append", default=[], help="part of a method's name; none is always run")
    parser.add_argument("--set", action="append", default=[])
    options, tap = parser.parse_args(), Tap()
    if not DATA.exists():
        skip_all("the package dataset-fashion-mnist is not installed")
    with Folder("methods") as folder:
        methods = Methods(Program(options.descent), pathlib.Path(options.source) / "configs/fashion-mlp.yaml", folder.path, options, tap)
        for ranks in options.ranks:
            for name in METHODS:
                if name == "none" or not options.only or any(part in name for part in options.only):
                    methods.one(name, ranks)
        methods.report()
    tap.done()


main()
