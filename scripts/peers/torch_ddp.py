#!/usr/bin/python3
"""The peer: a model on Fashion-MNIST with PyTorch, one thread a rank, DistributedDataParallel over gloo.
usage: torch_ddp.py MODEL RANKS BATCH STEPS     (BATCH over all ranks); prints samples/s by the median step of rank 0.
MODEL: mlp (784-1024-1024-10), cnn (5 x 5 x 32, pool, 5 x 5 x 64, pool, 512, 10)."""
import gzip
import os
import statistics
import sys
import time

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # the library chooses its best core
    os.environ.pop(name, None)

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


def model_of(name):
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
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images, labels = data()
    draw, seconds = torch.Generator().manual_seed(1), []
    mine = slice(rank * batch // ranks, (rank + 1) * batch // ranks)
    for _ in range(steps):
        start = time.perf_counter()
        chosen = torch.randint(0, len(images), (batch,), generator=draw)[mine]
        loss = functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        step = statistics.median(seconds[steps // 5:])
        print(f"torch {torch.__version__} {name} ranks {ranks} batch {batch}: {batch / step:.0f} samples/s, loss {loss.item():.4f}")


if __name__ == "__main__":
    name_, (ranks_, batch_, steps_) = sys.argv[1], map(int, sys.argv[2:5])
    if ranks_ == 1:
        work(0, 1, name_, batch_, steps_)
    else:
        torch.multiprocessing.spawn(work, (ranks_, name_, batch_, steps_), nprocs=ranks_)
