#!/usr/bin/python3
"""20 steps of lstm, gru and a dense layer on one batch against PyTorch in double from the same start, and one params_hash
on 1 to 4 ranks. usage: recurrent20.py DESCENT"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))
from runs import Folder, Program, Tap, checkpoints, final_hash, parameters, skip_all  # noqa: E402

try:
    import numpy
    import torch
except ImportError:
    skip_all("torch is not installed")
CONFIG = """
data: {{train: {{format: csv, path: train.csv, target: [a, b]}}}}
model: {{input: [6, 3], layers: [{{lstm: {{units: 9}}}}, {{gru: {{units: 7, last: true}}}}, {{dense: {{units: 2}}}}]}}
loss: mse
batch: {{size: 23, shards: 4}}
optimizer: {{name: momentum, lr: 0.2}}
train: {{max_steps: 20}}
checkpoint: {{initial: true, every_steps: 0}}
"""
SAMPLES, STEPS, RATE = 23, 20, 0.2
tap = Tap()


class Net(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.lstm1 = torch.nn.LSTM(3, 9, batch_first=True)
        self.gru1 = torch.nn.GRU(9, 7, batch_first=True)
        self.dense1 = torch.nn.Linear(7, 2)
        self.double()
        for name, p in self.named_parameters():
            p.data = torch.tensor(start[name.replace(".", "/").removesuffix("_l0")]).double()

    def forward(self, x):
        return self.dense1(self.gru1(self.lstm1(x)[0])[0][:, -1])


def data(path):
    draw = numpy.random.default_rng(3)
    x = draw.normal(size=(SAMPLES, 18)).round(4)
    y = numpy.stack([x[:, ::3].sum(1) / 3, numpy.cos(x[:, 1::3]).sum(1) / 3], 1).round(4)
    head = ",".join([*(f"x{i}" for i in range(18)), "a", "b"])
    numpy.savetxt(path, numpy.hstack([x, y]), delimiter=",", header=head, comments="", fmt="%.4f")
    return torch.tensor(x.astype("f4")).double().reshape(SAMPLES, 6, 3), torch.tensor(y.astype("f4")).double()


def main():
    program, hashes = Program(sys.argv[1]), {}
    with Folder("recurrent") as folder:
        x, y = data(folder.path / "train.csv")
        (folder.path / "config.yaml").write_text(CONFIG.format())
        for ranks in (1, 2, 3, 4):
            done = program.train(folder.path / "config.yaml", folder.path / f"run{ranks}", "--quiet", ranks=ranks)
            hashes[ranks] = final_hash(folder.path / f"run{ranks}") if done.code == 0 else str(done)
        tap.point(len(set(hashes.values())) == 1, "one params_hash on 1, 2, 3, 4 ranks", hashes)
        first, *_, last = map(parameters, checkpoints(folder.path / "run1"))
    net = Net(first)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()
    bound = 7 ** -0.5
    for name, p in net.named_parameters():
        ours = name.replace(".", "/").removesuffix("_l0")
        expected = p.detach().numpy()
        off = numpy.linalg.norm(last[ours] - expected) / numpy.linalg.norm(expected)
        moved = numpy.linalg.norm(last[ours] - first[ours]) / numpy.linalg.norm(expected)
        tap.point(off < 1e-5 and moved > 1e-3, ours, f"off by {off:.1e} after {STEPS} steps, moved by {moved:.2f}")
        if name.startswith("gru"):
            most = numpy.abs(first[ours]).max()
            tap.point(0.5 * bound < most <= bound, f"{ours} begins within 1 / sqrt(units)", f"{most:.4f} of {bound:.4f}")
    tap.done()


main()
