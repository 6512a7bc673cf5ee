#!/usr/bin/python3
"""20 steps through statistics that travel with the gradient, against formulas in double from the same start, and one params_hash on 1
to 4 ranks and across a resume on other ranks: batchnorm of planes and of vectors, each shard normalised by itself, against PyTorch; k-fac
against Martens and Grosse's formula in numpy. usage: statistics20.py DESCENT"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))
from runs import Folder, Program, Tap, checkpoints, final_hash, parameters, skip_all  # noqa: E402

try:
    import h5py
    import numpy
    import torch
    import xxhash
except ImportError:
    skip_all("torch, h5py or xxhash is not installed")
COMMON = """
seed: 5
data: {train: {format: csv, path: train.csv, target: [a, b]}}
loss: mse
train: {max_steps: 20}
checkpoint: {initial: true, every_steps: 7, keep: 0}
"""
BATCHNORM = COMMON + """
model:
  input: [2, 3, 4]
  layers: [{conv: {channels: 5, kernel: 3, padding: 1, bias: false}}, {batchnorm: {momentum: 0.2}}, relu,
           {residual: {layers: [{conv: {channels: 5, kernel: 3, padding: 1, bias: false}}, batchnorm], activation: relu}},
           {dense: {units: 9}}, batchnorm, tanh, {dense: {units: 2}}]
batch: {size: 26, shards: 4}
optimizer: {name: momentum, lr: 0.1}
"""
KFAC = COMMON + """
model: {input: [24], layers: [{dense: {units: 18, activation: tanh}}, {dense: {units: 7, activation: tanh, bias: false}}, {dense: {units: 2}}]}
batch: {size: 26, shards: 4}
optimizer: {name: kfac, lr: 0.1, damping: 0.02, decay: 0.6, period: 3, momentum: 0.8, kl_clip: 0.01, weight_decay: 0.001}
"""
SAMPLES, SHARDS, STEPS = 26, 4, 20
tap = Tap()


def data(path):
    draw = numpy.random.default_rng(3)
    x = draw.normal(size=(SAMPLES, 24)).round(4)
    y = numpy.stack([x[:, ::3].sum(1) / 3, numpy.cos(x[:, 1::3]).sum(1) / 3], 1).round(4)
    head = ",".join([*(f"x{i}" for i in range(24)), "a", "b"])
    numpy.savetxt(path, numpy.hstack([x, y]), delimiter=",", header=head, comments="", fmt="%.4f")
    return x.astype("f4").astype("f8"), y.astype("f4").astype("f8")


def philox(key, hi, lo):
    m, c = 2**32 - 1, [lo & 2**32 - 1, lo >> 32, hi & 2**32 - 1, hi >> 32]
    for i in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ (key + 0x9E3779B9 * i & m), p1 & m, (p0 >> 32) ^ c[3] ^ ((key >> 32) + 0xBB67AE85 * i & m), p0 & m]
    return c


def order(epoch, n):
    """The samples of an epoch of n <= 256: which of them share a shard (order.c: 12 rounds of a Feistel network, Philox's keys)."""
    def hashed(data):
        return xxhash.xxh3_64(data).intdigest()

    def mixed(x):
        m = 2**32 - 1
        x = (x ^ x >> 16) * 0x7FEB352D & m
        x = (x ^ x >> 15) * 0x846CA68B & m
        return (x ^ x >> 16) >> 28

    key = hashed((5).to_bytes(8, "little") + hashed(b"order").to_bytes(8, "little"))
    keys, out = [k for i in range(3) for k in philox((key & 2**32 - 1) | key >> 32 << 32, epoch, i)], []
    for x in range(n):
        while True:
            right, left = x & 15, x >> 4
            for i in range(0, 12, 2):
                left ^= mixed(right + keys[i] & 2**32 - 1)
                right ^= mixed(left + keys[i + 1] & 2**32 - 1)
            x = left << 4 | right
            if x < n:
                break
        out.append(x)
    return out


def train(program, folder, name, text):
    """Checkpoints of the run on one rank."""
    hashes, config = {}, folder.path / f"{name}.yaml"
    config.write_text(text)
    for ranks in (1, 2, 3, 4):
        done = program.train(config, folder.path / f"{name}{ranks}", "--quiet", ranks=ranks)
        hashes[ranks] = final_hash(folder.path / f"{name}{ranks}") if done.code == 0 else str(done)
    found = checkpoints(folder.path / f"{name}2")
    found[-1].unlink()
    done = program.train(config, folder.path / f"{name}2", "--quiet", "--resume", ranks=3)
    hashes["resumed"] = final_hash(folder.path / f"{name}2") if done.code == 0 else str(done)
    tap.point(len(set(hashes.values())) == 1, f"{name}: one params_hash on 1, 2, 3, 4 ranks and resumed from 14 on 3", hashes)
    return checkpoints(folder.path / f"{name}1")


def compare(name, first, last, expected):
    worst, least = 0, numpy.inf
    for key, x in expected.items():
        off = numpy.linalg.norm(last[key] - x) / numpy.linalg.norm(x)
        worst, least = max(worst, off), min(least, numpy.linalg.norm(last[key] - first[key]) / numpy.linalg.norm(x))
        tap.say(f"{key}: off by {off:.1e}")
    tap.point(worst < 1e-5 and least > 1e-3 and len(expected) > 4, name, f"{len(expected)} tensors off by at most {worst:.1e}, moved by {least:.2g} or more")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.conv1, self.conv2 = nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.Conv2d(5, 5, 3, padding=1, bias=False)
        self.batchnorm1, self.batchnorm2, self.batchnorm3 = nn.BatchNorm2d(5, momentum=0.2), nn.BatchNorm2d(5), nn.BatchNorm1d(9)
        self.dense1, self.dense2 = nn.Linear(60, 9), nn.Linear(9, 2)
        self.double()

    def forward(self, x):
        x = self.batchnorm1(self.conv1(x)).relu()
        x = (self.batchnorm2(self.conv2(x)) + x).relu()
        return self.dense2(self.batchnorm3(self.dense1(x.flatten(1))).tanh())


def batchnorm(files, x, y):
    """PyTorch normalises each shard; running values move by the mean of what they would have moved to, weighted by samples."""
    first, last = parameters(files[0]), parameters(files[-1])
    net, border = Net(), [k * SAMPLES // SHARDS for k in range(SHARDS + 1)]
    state = {k: torch.tensor(first[k.replace(".", "/")]).double() for k in net.state_dict() if not k.endswith("tracked")}
    net.load_state_dict(state, strict=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.tensor(x).reshape(-1, 2, 3, 4), torch.tensor(y)
    for epoch in range(STEPS):
        drawn = order(epoch, SAMPLES)
        optimizer.zero_grad()
        start = {k: v.clone() for k, v in net.named_buffers() if v.dim() > 0}
        moved = {k: 0 * v for k, v in start.items()}
        for lo, hi in zip(border, border[1:]):
            net.load_state_dict(start, strict=False)
            rows = drawn[lo:hi]
            (torch.nn.functional.mse_loss(net(x[rows]), y[rows]) * len(rows) / SAMPLES).backward()
            for k, v in net.named_buffers():
                if v.dim() > 0:
                    moved[k] += v * len(rows) / SAMPLES
        net.load_state_dict(moved, strict=False)
        optimizer.step()
    expected = {k.replace(".", "/"): v.detach().numpy() for k, v in net.state_dict().items() if not k.endswith("tracked")}
    expected.pop("dense1/bias")  # batchnorm takes it off again: its gradient is rounding
    compare("batchnorm: PyTorch's parameters and running values", first, last, expected)
    net.eval()
    return net(x).detach().numpy()


def kfac(files, x, y):
    first, last = parameters(files[0]), parameters(files[-1])
    w = {k: v.astype("f8") for k, v in first.items()}
    layers, v, A, G, damp = ("dense1", "dense2", "dense3"), {k: 0 * t for k, t in w.items()}, {}, {}, 0.02 ** 0.5

    def inverse(name, bias):
        a = numpy.ones((1, 1)) if bias else A[name]
        g = G[name]
        pi = ((numpy.trace(a) / len(a)) / (numpy.trace(g) / len(g))) ** 0.5
        return numpy.linalg.inv(a + pi * damp * numpy.eye(len(a))), numpy.linalg.inv(g + damp / pi * numpy.eye(len(g)))

    used = {}
    for t in range(STEPS):
        a, z = [x], None
        for name in layers:
            z = a[-1] @ w[f"{name}/weight"].T + w.get(f"{name}/bias", 0)
            a.append(z if name == "dense3" else numpy.tanh(z))
        g = 2 * (a[-1] - y) / y.shape[1]  # of each sample's own loss
        if (t - 1) % 3 == 0:
            used = {(n, bias): inverse(n, bias) for n in layers for bias in (False, True)}
        grads, keep, k = {}, 0, t // 3 + 1
        keep = min(1 - 1 / k, 0.6)
        for i in (2, 1, 0):
            n = layers[i]
            grads[f"{n}/weight"], grads[f"{n}/bias"] = g.T @ a[i] / SAMPLES, g.sum(0) / SAMPLES
            if t % 3 == 0:
                A[n] = keep * A.get(n, 0) + (1 - keep) * a[i].T @ a[i] / SAMPLES
                G[n] = keep * G.get(n, 0) + (1 - keep) * g.T @ g / SAMPLES
            g = (g @ w[f"{n}/weight"]) * (1 - a[i] ** 2)
        for key in w if t > 0 else ():
            name, bias = key.split("/")[0], key.endswith("bias")
            ai, gi = used[name, bias]
            u = gi @ grads[key] * ai[0, 0] if bias else gi @ grads[key] @ ai
            nu = min(1, (0.01 / (0.1 ** 2 * (u * grads[key]).sum())) ** 0.5)
            v[key] = 0.8 * v[key] + nu * u + 0.001 * w[key]
            w[key] = w[key] - 0.1 * v[key]
    with h5py.File(files[-1]) as file:
        for n in layers:
            last[f"{n}/A"], last[f"{n}/G"] = (file[f"/optimizer/factors/{n}/{s}_factor"][()] for s in ("input", "output"))
            first[f"{n}/A"], first[f"{n}/G"] = 0 * last[f"{n}/A"], 0 * last[f"{n}/G"]
            w[f"{n}/A"], w[f"{n}/G"] = A[n], G[n]
    compare("k-fac: the formula's parameters and factors", first, last, w)


def main():
    program = Program(sys.argv[1])
    with Folder("statistics") as folder:
        x, y = data(folder.path / "train.csv")
        files = train(program, folder, "batchnorm", BATCHNORM)
        expected = batchnorm(files, x, y)
        done = program.run("predict", files[-1], folder.path / "train.csv", "--out", folder.path / "out.npy", "--format", "npy", ranks=2)
        off = numpy.abs(numpy.load(folder.path / "out.npy") - expected).max() if done.code == 0 else numpy.inf
        tap.point(off < 1e-4, "predict uses the running values", f"off by {off:.1e}" if done.code == 0 else done)
        kfac(train(program, folder, "kfac", KFAC), x, y)
    tap.done()


main()
