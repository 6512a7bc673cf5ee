#!/usr/bin/python3
"""A whole small gpt by PyTorch's own encoder layers, in double, trained on all its text at once for 20 steps.

  make_gpt.py           write gpt20.txt and gpt20.tokens beside this file
  make_gpt.py --check   compute afresh and compare with what is there (exit 77 without torch)

shape/TENSOR, start/TENSOR, and of each run RUN/TENSOR and RUN/loss, the tensors by descent's names. gpt20.yaml has the same model, steps20.sh the
options; keep the two together. Keys' biases have no gradient (softmax takes off what all scores share): adamw's eps keeps rounding
from counting there.
"""
import sys

import numpy

from make_golden import HERE, STEPS, differences, text_of, torch, wave

LAYERS, WIDTH, HEADS, CONTEXT, VOCAB, SAMPLES = 2, 12, 3, 7, 19, 15
RUNS = {
    "momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9), 0),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.1, eps=1e-3), 0.5),  # 0.5: clip_norm
}
nn = torch.nn


def tokens():
    return [(i * i // 3 + 5 * (i % 4) + i // 30) % VOCAB for i in range(SAMPLES * CONTEXT + 1)]


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        block = dict(dim_feedforward=4 * WIDTH, dropout=0, activation="gelu", batch_first=True, norm_first=True)
        self.tokens, self.positions = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(WIDTH, HEADS, **block) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.double()

    def forward(self, ids):
        future = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1)
        x = self.tokens(ids) + self.positions.weight
        for block in self.blocks:
            x = block(x, src_mask=future)
        return self.norm(x) @ self.tokens.weight.T

    def named(self):
        """Its tensors by descent's names, in model order."""
        out = {"embedding1/weight": self.tokens.weight, "positions1/weight": self.positions.weight}
        for i, b in enumerate(self.blocks):
            parts = {f"layernorm{2 * i + 1}": b.norm1, f"dense{4 * i + 2}": b.self_attn.out_proj, f"layernorm{2 * i + 2}": b.norm2,
                     f"dense{4 * i + 3}": b.linear1, f"dense{4 * i + 4}": b.linear2}
            out |= {f"dense{4 * i + 1}/weight": b.self_attn.in_proj_weight, f"dense{4 * i + 1}/bias": b.self_attn.in_proj_bias}
            out |= {f"{name}/{kind}": getattr(part, kind) for name, part in parts.items() for kind in ("weight", "bias")}
        return out | {f"layernorm{2 * LAYERS + 1}/{kind}": getattr(self.norm, kind) for kind in ("weight", "bias")}


def start(number, name, shape):
    """Gains about 1, everything else within 0.5."""
    n = torch.Size(shape).numel()
    gain = name.startswith("layernorm") and name.endswith("weight")
    return [round((1 if gain else 0) + 0.5 * v, 4) for v in wave(n, 0.3 + number, 0.19 + 0.01 * number)]


def run(name, kind, arguments, clip, begin):
    net, losses = Gpt(), []
    for key, p in net.named().items():
        p.data = torch.tensor(begin[key], dtype=torch.float32).double().reshape(p.shape)
    assert len(net.named()) == len(list(net.parameters()))
    optimizer, ids = kind(net.parameters(), **arguments), torch.tensor(tokens())
    x, y = ids[:-1].reshape(SAMPLES, CONTEXT), ids[1:]
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x).flatten(0, 1), y)
        loss.backward()
        if clip > 0:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return {f"{name}/loss": losses} | {f"{name}/{key}": p.detach().flatten().tolist() for key, p in net.named().items()}


def numbers():
    shapes = {key: list(p.shape) for key, p in Gpt().named().items()}
    begin = {key: start(i, key, shape) for i, (key, shape) in enumerate(shapes.items())}
    out = {f"shape/{key}": shape for key, shape in shapes.items()} | {f"start/{key}": value for key, value in begin.items()}
    for name, (kind, arguments, clip) in RUNS.items():
        out |= run(name, kind, arguments, clip, begin)
    return out


def main():
    torch.set_num_threads(1)
    made, data = numbers(), numpy.array(tokens(), "<u2").tobytes()
    if sys.argv[1:] == ["--check"]:
        worst, same = differences(HERE / "gpt20.txt", made), (HERE / "gpt20.tokens").read_bytes() == data
        print(f"torch {torch.__version__}; {len(made)} lines; largest difference (at most 1e-9): {worst:.1e}; tokens equal: {same}")
        sys.exit(not (same and worst <= 1e-9))
    (HERE / "gpt20.txt").write_text(text_of(made))
    (HERE / "gpt20.tokens").write_bytes(data)


if __name__ == "__main__":
    main()
