#!/usr/bin/python3
"""20 steps through statistics that travel with the gradient, against formulas in double from the same start, and one params_hash on 1
to 4 ranks and across a resume on other ranks: batchnorm of planes and of vectors, each shard normalised by itself, against PyTorch; k-fac
of dense layers, and of convolutions and positions, against Martens' and Grosse's formulas. usage: statistics20.py DESCENT"""
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
KFC = KFAC.replace("[24]", "[2, 4, 3]").replace("kl_clip: 0.01", "kl_clip: 0.002, groups: [{match: conv1/*, as_vector: true}]").replace(
    "layers: [{dense: {units: 18, activation: tanh}}, {dense: {units: 7, activation: tanh, bias: false}}",
    "layers: [{conv: {channels: 6, kernel: [3, 2], stride: [2, 1], padding: 1, activation: relu}}, {conv: {channels: 4, kernel: 3, padding: 1, "
    "groups: 2, activation: relu}}, {conv: {channels: 5, kernel: 1, activation: relu, bias: false}}, {reshape: {shape: [10, 4]}}, "
    "{dense: {units: 3, positionwise: true, activation: relu}}")
SAMPLES, SHARDS, STEPS = 26, 4, 20
tap = Tap()


def data(path, zeros=0):
    draw = numpy.random.default_rng(3)
    x = draw.normal(size=(SAMPLES, 24)).round(4)
    x[:, 24 - zeros:] = 0
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


def blocks(module, a, g):
    """A and G of each group: of inputs a and outputs' gradients g, as (sample, feature, position)."""
    if isinstance(module, torch.nn.Conv2d):
        a = torch.nn.functional.unfold(a, module.kernel_size, 1, module.padding, module.stride)
        g = g.flatten(2)
    else:
        a, g = (t.reshape(len(t), -1, t.shape[-1]).transpose(1, 2) for t in (a, g))
    groups = getattr(module, "groups", 1)
    for a, g in zip(a.chunk(groups, 1), g.chunk(groups, 1)):
        yield torch.einsum("nit,njt->ij", a, a) / SAMPLES, torch.einsum("nit,njt->ij", g, g) / SAMPLES / g.shape[2]


def direction(grad, pairs, ones):
    """(G + damping / pi)^-1 dW (A + pi damping)^-1, group by group; ones: the positions that a bias is added at, None for a weight."""
    out = []
    for (a, g), dw in zip(pairs, grad.chunk(len(pairs))):
        a = a if ones is None else torch.full((1, 1), float(ones), dtype=torch.float64)
        pi, root = ((a.trace() / len(a)) / (g.trace() / len(g))).sqrt(), 0.02**0.5
        damped = [m + by * torch.eye(len(m), dtype=torch.float64) for m, by in ((g, root / pi), (a, pi * root))]
        out.append(torch.linalg.solve(damped[0], dw.reshape(len(g), -1)) @ damped[1].inverse())
    return torch.cat(out).reshape(grad.shape)


def factors(file, layers):
    with h5py.File(file) as found:
        return {f"{n}/{s}": found[f"/optimizer/factors/{n}/{s}"][()] for n in layers for s in ("input_factor", "output_factor")}


def kfac(name, net, clip, runs, x, y):
    """`net`: its layers with parameters by name, and what lies between them. `runs`: checkpoints of runs that compute it."""
    first = parameters(runs[0][0])
    layers = {n: m for n, m in net.named_children() if list(m.parameters())}
    w = {f"{n}/{k}": p for n, m in layers.items() for k, p in m.named_parameters()}
    v, pairs, used, seen = {k: torch.zeros_like(p) for k, p in w.items()}, {}, {}, {}
    for k, p in w.items():
        p.data = torch.tensor(first[k]).double()
    for n, m in layers.items():
        m.register_forward_hook(lambda m, a, z, n=n: seen.update({n: (a[0].detach(), z)}) or z.retain_grad())
    x, y = torch.tensor(x), torch.tensor(y)
    for t in range(STEPS):
        net.zero_grad()
        ((net(x) - y)**2).mean(1).sum().backward()  # each sample's own loss
        if (t - 1) % 3 == 0:
            used = dict(pairs)
        if t % 3 == 0:
            keep = min(1 - 1 / (t // 3 + 1), 0.6)
            for n, m in layers.items():
                found = list(blocks(m, seen[n][0], seen[n][1].grad))
                pairs[n] = [tuple(keep * o + (1 - keep) * i for o, i in zip(*p)) for p in zip(pairs.get(n, [(0, 0)] * len(found)), found)]
        for key, p in w.items() if t > 0 else ():
            n, bias, z = key.split("/")[0], key.endswith("bias"), seen[key.split("/")[0]][1]
            grad = p.grad / SAMPLES
            u = direction(grad, used[n], z[0].numel() // len(p) if bias else None)
            nu = min(1, (clip / (0.1**2 * (u * grad).sum()))**0.5)
            v[key] = 0.8 * v[key] + nu * u + 0.001 * p.detach()
            p.data = p.data - 0.1 * v[key]
    expected = {k: p.detach().numpy() for k, p in w.items()}
    for n in layers:
        expected[f"{n}/input_factor"], expected[f"{n}/output_factor"] = (torch.cat(side).numpy() for side in zip(*pairs[n]))
    for files in runs:
        first, last = ({**parameters(f), **factors(f, layers)} for f in (files[0], files[-1]))
        compare(f"{name}, {files[0].parents[1].name}: the formula's parameters and factors", first, last, expected)


def otherwise(program, folder, name, edit):
    """Checkpoints of the run with an edit that leaves the formula as it is."""
    out = folder.path / f"{name}-{edit.split('=')[-1]}"
    done = program.train(folder.path / f"{name}.yaml", out, "--quiet", "--set", edit)
    return checkpoints(out) if done.code == 0 else tap.point(False, f"{name} with {edit}", done) or []


def dead_group(program, folder):
    """A group that sees zeros only has no factor to invert: it stays, the other one learns."""
    data(folder.path / "train.csv", 12)
    config, out = folder.path / "dead.yaml", folder.path / "dead"
    config.write_text(KFC.replace("padding: 1, activation", "padding: 1, groups: 2, activation").replace("weight_decay: 0.001", "weight_decay: 0"))
    done = program.train(config, out, "--quiet", ranks=2)
    first, *_, last = map(parameters, checkpoints(out)) if done.code == 0 else ({"conv1/weight": numpy.zeros(6)}, ) * 2
    moved = numpy.abs(last["conv1/weight"] - first["conv1/weight"]).reshape(6, -1).max(1)
    tap.point(done.code == 0 and min(moved[:3]) > 1e-3 and max(moved[3:]) == 0, "k-fac: a dead group stays, the other learns", moved if done.code == 0 else done)


def nets():
    nn = torch.nn
    dense = dict(dense1=nn.Linear(24, 18), tanh1=nn.Tanh(), dense2=nn.Linear(18, 7, bias=False), tanh2=nn.Tanh(), dense3=nn.Linear(7, 2))
    conv = dict(image=nn.Unflatten(1, (2, 4, 3)), conv1=nn.Conv2d(2, 6, (3, 2), (2, 1), 1), relu1=nn.ReLU(),
                conv2=nn.Conv2d(6, 4, 3, padding=1, groups=2), relu2=nn.ReLU(), conv3=nn.Conv2d(4, 5, 1, bias=False), relu3=nn.ReLU(),
                flat=nn.Flatten(), positions=nn.Unflatten(1, (10, 4)), dense1=nn.Linear(4, 3), relu4=nn.ReLU(), all=nn.Flatten(),
                dense2=nn.Linear(30, 2))
    for layers in (dense, conv):
        net = nn.Sequential()
        for name, module in layers.items():
            net.add_module(name, module)
        yield net.double()


def main():
    program = Program(sys.argv[1])
    with Folder("statistics") as folder:
        x, y = data(folder.path / "train.csv")
        files = train(program, folder, "batchnorm", BATCHNORM)
        expected = batchnorm(files, x, y)
        done = program.run("predict", files[-1], folder.path / "train.csv", "--out", folder.path / "out.npy", "--format", "npy", ranks=2)
        off = numpy.abs(numpy.load(folder.path / "out.npy") - expected).max() if done.code == 0 else numpy.inf
        tap.point(off < 1e-4, "predict uses the running values", f"off by {off:.1e}" if done.code == 0 else done)
        dense, conv = nets()
        kfac("k-fac, dense", dense, 0.01, [train(program, folder, "kfac", KFAC)], x, y)
        runs = [train(program, folder, "kfc", KFC)]
        runs += [otherwise(program, folder, "kfc", edit) for edit in ("batch.shards=1", "compute.kernels=openblas", "compute.kernels=ref")]
        kfac("k-fac, convolutions and positions", conv, 0.002, [files for files in runs if files], x, y)
        same = final_hash(folder.path / "kfc1"), final_hash(folder.path / "kfc-ref")
        tap.point(len(set(same)) == 1, "kfc: plain loops give the same bits", same)
        dead_group(program, folder)
    tap.done()


main()
