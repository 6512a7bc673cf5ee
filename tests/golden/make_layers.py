#!/usr/bin/python3
"""Layers by PyTorch, in double: outputs and gradients that tests/golden/test_layers.c compares with.

  make_layers.py           write layers.txt beside this file
  make_layers.py --check   compute afresh and compare with what is there (exit 77 without torch)

A case: SAMPLES samples x, a fixed dy for each output; NAME/y, NAME/dx, NAME/<tensor> (the parameter) and
NAME/d<tensor> (its gradient, summed over the samples).
"""
import sys

from make_golden import HERE, differences, text_of, torch, wave

SAMPLES = 3
nn = torch.nn

class Attention(nn.Module):
    """softmax(q k^T / sqrt(d)) v of heads that lie side by side, by torch's own softmax."""

    def __init__(self, heads, causal=True):
        super().__init__()
        self.heads, self.causal = heads, causal

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (z.reshape(n, t, self.heads, -1).transpose(1, 2) for z in x.split(width // 3, dim=2))
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if self.causal:
            scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -torch.inf)
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, -1)


class Recurrent(nn.Module):
    """The outputs of nn.LSTM or nn.GRU without their state, or those of the last position."""

    def __init__(self, module, last=False):
        super().__init__()
        self.module, self.last = module, last

    def forward(self, x):
        y = self.module(x)[0]
        return y[:, -1] if self.last else y


# name: (shape of a sample, module). test_layers.c has the same layers as config; keep the two together.
CASES = {
    "conv": ((2, 5, 6), nn.Conv2d(2, 3, 3)),
    "conv_stride": ((3, 7, 6), nn.Conv2d(3, 4, (3, 2), stride=2, padding=1)),
    "conv_uneven": ((2, 6, 5), nn.Conv2d(2, 2, (2, 3), stride=(1, 2), padding=(2, 0), bias=False)),
    "conv_groups": ((4, 5, 5), nn.Conv2d(4, 6, 3, padding=1, groups=2)),
    "conv_depthwise": ((4, 6, 6), nn.Conv2d(4, 4, 5, padding=2, groups=4)),
    "conv_point": ((5, 3, 4), nn.Conv2d(5, 3, 1)),
    "conv_zeros": ((9, 7, 6), nn.Conv2d(9, 5, 5, padding=2)),
    "conv_zeros_three": ((19, 4, 7), nn.Conv2d(19, 18, 3, padding=(0, 1))),
    "max_pool": ((2, 6, 7), nn.MaxPool2d(2)),
    "max_pool_over": ((2, 7, 6), nn.MaxPool2d(3, stride=2, padding=1)),
    "max_pool_pairs": ((3, 7, 6), nn.MaxPool2d(2)),
    "max_pool_pairs_wide": ((2, 4, 22), nn.MaxPool2d(2)),
    "avg_pool": ((2, 6, 7), nn.AvgPool2d(2)),
    "avg_pool_over": ((3, 5, 6), nn.AvgPool2d((3, 2), stride=(2, 1), padding=(1, 0))),
    "global_pool": ((4, 3, 5), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    "layernorm": ((11,), nn.LayerNorm(11)),
    "layernorm_rows": ((4, 7), nn.LayerNorm(7, eps=1e-3)),
    "positionwise": ((5, 6), nn.Linear(6, 4)),
    "positionwise_joined": ((4, 8), nn.Linear(8, 12, bias=False)),
    "attention": ((5, 6), Attention(1)),
    "attention_heads": ((70, 12), Attention(2)),
    "attention_open": ((9, 18), Attention(3, causal=False)),
    "embedding": ((7,), nn.Embedding(9, 3)),
    "lstm": ((6, 5), Recurrent(nn.LSTM(5, 7, batch_first=True))),
    "lstm_last": ((4, 3), Recurrent(nn.LSTM(3, 17, batch_first=True, bias=False), last=True)),
    "lstm_once": ((1, 4), Recurrent(nn.LSTM(4, 3, batch_first=True))),
    "gru": ((6, 5), Recurrent(nn.GRU(5, 7, batch_first=True))),
    "gru_last": ((4, 3), Recurrent(nn.GRU(3, 17, batch_first=True, bias=False), last=True)),
    "gru_once": ((1, 4), Recurrent(nn.GRU(4, 3, batch_first=True))),
    "batchnorm": ((6,), nn.BatchNorm1d(6, momentum=1)),
    "batchnorm_planes": ((3, 5, 4), nn.BatchNorm2d(3, momentum=1, eps=1e-3)),
    "batchnorm_plain": ((19,), nn.BatchNorm1d(19, momentum=1, affine=False)),
}


def as_double(values, shape):
    return torch.tensor(values, dtype=torch.float32).double().reshape(shape)


def case_numbers(number, name, shape, module):
    elements, out = torch.Size(shape).numel(), {}
    x = as_double(wave(SAMPLES * elements, 0.3 + number, 0.17), (SAMPLES, *shape)).requires_grad_()
    ids = isinstance(module, nn.Embedding)
    if ids:
        x = torch.tensor([(5 * i * i + i) % 9 for i in range(SAMPLES * elements)]).reshape(SAMPLES, *shape)
    module = module.double()
    out[f"{name}/x"] = x.detach().flatten().tolist()
    tensors = {name.removeprefix("module.").removesuffix("_l0"): p for name, p in module.named_parameters()}
    for i, (suffix, p) in enumerate(tensors.items()):
        p.data = as_double(wave(p.numel(), 0.9 + i, 0.23), p.shape)
        out[f"{name}/{suffix}"] = p.detach().flatten().tolist()
    y = module(x)
    dy = as_double(wave(y.numel(), 1.7 + number, 0.31), y.shape)
    if "zeros" in name:  # as behind max pooling
        dy = torch.where(torch.arange(dy.numel()).reshape(dy.shape) % 7 < 2, dy, torch.zeros_like(dy))
    y.backward(dy)
    out[f"{name}/dy"] = dy.flatten().tolist()
    out[f"{name}/y"] = y.detach().flatten().tolist()
    if not ids:
        out[f"{name}/dx"] = x.grad.flatten().tolist()
    for suffix, p in tensors.items():
        out[f"{name}/d{suffix}"] = p.grad.flatten().tolist()
    for suffix, b in module.named_buffers():  # with momentum 1 running values are the batch's; a shard's count by its samples
        if b.dim() > 0:
            out[f"{name}/{suffix}"] = torch.zeros_like(b).tolist()
            out[f"{name}/d{suffix}"] = (SAMPLES * b).flatten().tolist()
    return out


def numbers():
    out = {}
    for number, (name, (shape, module)) in enumerate(CASES.items()):
        out.update(case_numbers(number, name, shape, module))
    return out


def main():
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--check"]:
        worst = differences(HERE / "layers.txt", numbers())
        print(f"torch {torch.__version__}; {len(CASES)} layers; largest difference (at most 1e-9): {worst:.1e}")
        sys.exit(worst > 1e-9)
    (HERE / "layers.txt").write_text(text_of(numbers()))


if __name__ == "__main__":
    main()
