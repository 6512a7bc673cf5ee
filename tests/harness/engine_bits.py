"""The promise for the whole compute engine: a convolution net, a resnet with batchnorm, a gpt with dropout, an lstm, in fp32 and in
bf16, and the optimizers that see whole tensors or the whole model: one params_hash on any number of ranks, after a resume too.
usage: engine_bits.py DESCENT [--all]     quick: 1 and 3 ranks; --all: 1, 2, 3, 4"""
import random
import sys

from runs import Folder, Program, Tap, checkpoints, final_hash

IMAGES = "data: {train: {format: synthetic, kind: digits, samples: 150}, normalize: standard}\n"
TEXT = "data: {train: {format: text, path: text.txt}}\n"
CNN = """model: {input: [1, 28, 28], layers: [conv: {channels: 6, kernel: 5, padding: 2, activation: relu}, max_pool: {kernel: 2},
  conv: {channels: 10, kernel: 3, activation: relu}, max_pool: {kernel: 2}, dense: {units: 40, activation: relu}, dropout: {p: 0.4},
  dense: {units: 10}]}
"""
MLP = "model: {input: [784], layers: [dense: {units: 70, activation: tanh}, dense: {units: 10}]}\n"
LSTM = """model: {input: [24], layers: [embedding: {vocab: 128, width: 12}, lstm: {units: 20}, dropout: {p: 0.2}, gru: {units: 12},
  dense: {units: 128, positionwise: true}]}
"""
MODELS = {
    "cnn": IMAGES + CNN,
    "resnet with batchnorm": IMAGES + "model: {preset: resnet, depth: 8, input: [1, 28, 28]}\n",
    "gpt with dropout": TEXT + "model: {preset: gpt, layers: 2, width: 48, heads: 3, context: 24, vocab: 128, dropout: 0.1}\n",
    "lstm and gru": TEXT + LSTM,
}
OPTIMIZERS = {"lars": "lr: 0.5", "lamb": "lr: 0.01", "muon": "lr: 0.02", "lbfgs": "memory: 10", "kfac": "lr: 0.01, period: 2"}
# Of runs on an AMD EPYC (Zen 4, by vdpbf16ps) and on an Intel Xeon (Emerald Rapids, bf16 by fp32 tiles); other CPUs are held against them.
SEEN = {"kfac of a cnn, fp32": "9c68ff73ba86b7a0", "kfac of a cnn, bf16": "fcb0286ebc67ec2b"}
COMMON = """loss: cross_entropy
batch: {{size: {size}, shards: 7}}
optimizer: {optimizer}
train: {{max_steps: 6, eval_every: 0}}
checkpoint: {{every_steps: 3, keep: 0}}
compute: {{precision: {precision}}}
"""


class Engine:
    def __init__(self, program, folder, tap, ranks):
        self.program, self.folder, self.tap, self.ranks, self.n = program, folder, tap, ranks, 0

    def run(self, config, ranks, *args):
        self.n += 1
        out = self.folder.path / f"run{self.n}"
        done = self.program.train(config, out, *args, ranks=ranks, cwd=self.folder.path)
        return out, final_hash(out) if done.code == 0 else str(done)

    def case(self, name, head, optimizer, precision="fp32", size=30):
        config = self.folder.path / "config.yaml"
        config.write_text(f"name: bits\n{head}" + COMMON.format(optimizer=optimizer, precision=precision, size=size))
        out, one = self.run(config, 0)
        found = {n: self.run(config, n)[1] for n in self.ranks}
        same = len(one) == 16 and set(found.values()) == {one}
        self.tap.point(same, f"{name}, {precision}: the same on 1, {', '.join(map(str, self.ranks))} ranks", f"{one} {found}")
        if f"{name}, {precision}" in SEEN:
            self.tap.point(one == SEEN[f"{name}, {precision}"], f"{name}, {precision}: as on CPUs of two makers", one)
        files = checkpoints(out)
        if not same or len(files) < 2:
            return self.tap.point(same, f"{name}, {precision}: a checkpoint in the middle", files)
        _, resumed = self.run(config, self.ranks[-1], f"--resume={files[0]}")
        self.tap.point(resumed == one, f"{name}, {precision}: resumed from {files[0].name} on {self.ranks[-1]} ranks", resumed)


def main():
    tap, draw, everything = Tap(), random.Random(3), "--all" in sys.argv
    program = Program(sys.argv[1])
    known = program.run("list", "optimizers").out
    with Folder("engine") as folder:
        words = ["light", "and", "the", "waters", "day", "night", "earth", "made"]
        (folder.path / "text.txt").write_text(" ".join(draw.choice(words) for _ in range(600)))
        engine = Engine(program, folder, tap, (2, 3, 4) if everything else (3,))
        for name, head in MODELS.items():
            for precision in ("fp32", "bf16"):
                engine.case(name, head, "{name: adamw, lr: 0.002, clip_norm: 1}", precision)
        met = [name for name in OPTIMIZERS if f"\n  {name} " in known]
        tap.point(len(met) == len(OPTIMIZERS), f"optimizers met: {met}", known[:300])
        for name in met:
            size = 150 if name == "lbfgs" else 30
            engine.case(name, IMAGES + MLP, f"{{name: {name}, {OPTIMIZERS[name]}}}", size=size)
        for precision in ("fp32", "bf16"):
            engine.case("kfac of a cnn", IMAGES + CNN, f"{{name: kfac, {OPTIMIZERS['kfac']}}}", precision)
    tap.done()


main()
