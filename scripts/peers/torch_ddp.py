#!/usr/bin/python3
"""The peer: a model on Fashion-MNIST, or on bytes of text, with PyTorch, one thread a rank, DistributedDataParallel over gloo.
usage: torch_ddp.py MODEL RANKS BATCH STEPS     (BATCH over all ranks); prints samples/s by the median step of rank 0.
MODEL: mlp (784-1024-1024-10), cnn (5 x 5 x 32, pool, 5 x 5 x 64, pool, 512, 10), gpt (6 blocks, width 256, 8 heads, 128 bytes), gpt-bf16 (autocast)."""
import contextlib
import gzip
import os
import resource
import statistics
import sys
import time

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
if __name__ == "__main__":  # the ranks inherit it
    import openblas
    CORE = openblas.settle()

import numpy  # noqa: E402
import torch  # noqa: E402
import torch.distributed  # noqa: E402
import torch.multiprocessing  # noqa: E402
from torch.nn import functional  # noqa: E402

DATA = "/usr/share/datasets/fashion-mnist/train-{}-ubyte.gz"


def data():
    pixels = numpy.frombuffer(gzip.open(DATA.format("images-idx3")).read(), "u1", offset=16).reshape(-1, 784)
    labels = numpy.frombuffer(gzip.open(DATA.format("labels-idx1")).read(), "u1", offset=8)
    return torch.from_numpy(pixels.astype("f4") / 255), torch.from_numpy(labels.astype("i8"))


class GPT(torch.nn.Module):
    def __init__(self, vocab=256, context=128, width=256, layers=6, heads=8):
        super().__init__()
        nn = torch.nn
        self.tokens, self.positions = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab, bias=False)
        self.head.weight = self.tokens.weight
        self.register_buffer("mask", torch.triu(torch.full((context, context), float("-inf")), 1))

    def forward(self, x):
        h = self.tokens(x) + self.positions(torch.arange(x.shape[1]))
        for block in self.blocks:
            h = block(h, src_mask=self.mask)
        return self.head(self.norm(h)).flatten(0, 1)


def text():
    """Windows of 128 bytes, and the same one byte further."""
    read = torch.from_numpy(numpy.fromfile("/usr/share/common-licenses/GPL-3", "u1").astype("i8"))
    windows = read.unfold(0, 129, 1)
    return windows[:, :128], windows[:, 1:]


def model_of(name):
    if name.startswith("gpt"):
        return GPT()
    nn = torch.nn
    if name == "cnn":
        return nn.Sequential(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                             nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                             nn.Linear(64 * 49, 512), nn.ReLU(), nn.Linear(512, 10))
    return nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))


def work(rank, ranks, name, batch, steps):
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank % len(os.sched_getaffinity(0))]})
    torch.manual_seed(0)
    model = model_of(name)
    if ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=os.environ.get("MASTER_PORT", "29517"))
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
        model = torch.nn.parallel.DistributedDataParallel(model)
    language = name.startswith("gpt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4) if language else torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images, labels = text() if language else data()
    draw, seconds = torch.Generator().manual_seed(1), []
    mine = slice(rank * batch // ranks, (rank + 1) * batch // ranks)
    for _ in range(steps):
        start = time.perf_counter()
        chosen = torch.randint(0, len(images), (batch,), generator=draw)[mine]
        with torch.autocast("cpu", dtype=torch.bfloat16) if name.endswith("bf16") else contextlib.nullcontext():
            loss = functional.cross_entropy(model(images[chosen]).float(), labels[chosen].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        step = statistics.median(seconds[steps // 5:])
        print(f"torch {torch.__version__} {name} ranks {ranks} batch {batch}: {batch / step:.0f} samples/s, loss {loss.item():.4f}, "
              f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    print(CORE)
    name_, (ranks_, batch_, steps_) = sys.argv[1], map(int, sys.argv[2:5])
    if ranks_ == 1:
        work(0, 1, name_, batch_, steps_)
    else:
        torch.multiprocessing.spawn(work, (ranks_, name_, batch_, steps_), nprocs=ranks_)
