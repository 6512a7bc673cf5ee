"""The promise: parameters are a function of config, data, seed and numerics alone. Whole runs under mpirun, compared by params_hash.
1003 samples in batches of 64: an epoch ends with 43 samples, 8 shards of 5 or 6; the model needs ten buckets of 16 KiB.
usage: same_bits.py DESCENT"""
import sys

from runs import Folder, Program, Tap, checkpoints, events, final_hash, hash_of, parameters, table

CONFIG = """
name: same-bits
seed: 7
data:
  train: {{format: csv, path: train.csv, target: kind}}
  test: {{format: csv, path: test.csv, target: kind}}
  normalize: standard
model:
  input: [16]
  layers:
    - dense: {{units: 256, activation: relu}}
    - dense: {{units: 130, activation: gelu}}
    - dense: {{units: 7}}
loss: cross_entropy
batch: {{size: 64, shards: 8}}
optimizer: {{name: adamw, lr: 0.002, weight_decay: 0.05, clip_norm: 0.5}}
lr: {{schedule: cosine, warmup_steps: 10}}
train: {{epochs: 3, log_every: 5}}
checkpoint: {{every_steps: 20, initial: true, keep: 0}}
{extra}"""
tap = Tap()


def run(program, folder, name, edits=(), ranks=1):
    """One training run; its params_hash, None (and a failed point) where it did not end well."""
    sets = [word for edit in edits for word in ("--set", edit)]
    done = program.train(folder.path / "config.yaml", folder.path / name, *sets, ranks=ranks)
    if done.code != 0:
        tap.point(False, f"run {name}", done)
        return None
    return final_hash(folder.path / name)


def by_ranks(program, folder):
    hashes = {n: run(program, folder, f"ranks{n}", ranks=n) for n in (1, 2, 3, 4, 5, 8)}
    tap.say(" ".join(f"{n}:{h}" for n, h in hashes.items()))
    one = hashes[1]
    tap.point(one and set(hashes.values()) == {one}, "one params_hash on 1, 2, 3, 4, 5, 8 ranks", f"{len(set(hashes.values()))} different")
    return one


def what_it_did(folder, one):
    out = folder.path / "ranks3"
    losses = [e["loss"] for e in events(out, "step")]
    evals = [e["loss"] for e in events(out, "eval")]
    last = min(sum(losses[-3:]) / 3, evals[-1]) if evals else losses[-1]
    tap.point(last <= 0.7 * losses[0], "loss fell by 30 % or more", f"{losses[0]:.4f} to {last:.4f}")
    files = checkpoints(out)
    tap.point(files[0].name == "step-00000000.h5" and hash_of(files[0]) != one, "step 0 has another hash", hash_of(files[0]))
    tap.point(hash_of(files[-1]) == one, "h5py and xxhash recompute params_hash", f"{hash_of(files[-1])}, {files[-1].name}")
    ends = [e for e in events(out, "end")]
    tap.point(ends[-1]["step"] == 3 * 16, "short last batches are steps of their own", f"{ends[-1]['step']} steps, expected 48")


def by_settings(program, folder, one):
    same = {"16 KiB buckets": (["sync.bucket=16 KiB"], 3), "25 MiB buckets": (["sync.bucket=25 MiB"], 2),
            "messages instead of shared memory": (["sync.transport=direct"], 3),
            "16 KiB buckets in messages": (["sync.bucket=16 KiB", "sync.transport=direct", "sync.overlap=false"], 5),
            "overlap": (["sync.bucket=16 KiB", "sync.transport=direct", "sync.overlap=true"], 4),
            "other log, eval, checkpoint settings": (["train.log_every=1", "train.eval_every=7", "checkpoint.every_steps=3",
                                                      "checkpoint.keep=2", "checkpoint.initial=false", "eval.batch=33"], 2)}
    for name, (edits, ranks) in same.items():
        found = run(program, folder, name.replace(" ", "-").replace(",", ""), edits, ranks)
        tap.point(found == one, f"{name}: the same", found)
    found = run(program, folder, "seed", ["seed=8"], 2)
    tap.point(found and found != one, "another seed: other parameters", found)


def accumulation(program, folder):
    whole = run(program, folder, "whole", ["batch.size=148", "batch.shards=6"], 2)
    parts = run(program, folder, "parts", ["batch.size=74", "batch.shards=3", "batch.accumulate=2"], 3)
    more = run(program, folder, "parts4", ["batch.size=74", "batch.shards=3", "batch.accumulate=2"], 4)
    sent = run(program, folder, "sent", ["batch.size=37", "batch.shards=2", "batch.accumulate=4", "sync.transport=direct", "sync.overlap=true"], 2)
    flat = run(program, folder, "flat", ["batch.size=148", "batch.shards=8"], 1)
    tap.point(whole and whole == parts == more, "{148, 6} equals {74, 3, accumulate 2}", f"{whole} {parts} {more}")
    tap.point(flat and flat == sent, "{148, 8} equals {37, 2, accumulate 4} with overlap", f"{flat} {sent}")


def gradient(program, folder):
    """One step of sgd at lr 8192 moves each parameter by its gradient, far above the parameter's own rounding."""
    import numpy
    edits = ["optimizer={name: sgd, lr: 8192}", "lr={schedule: constant}", "train.max_steps=1", "train.epochs=0"]
    gradients = {}
    for strategy in ("exact", "allreduce"):
        name = f"gradient-{strategy}"
        if run(program, folder, name, [*edits, f"sync.strategy={strategy}"], 3) is None:
            return
        first, last = (parameters(p) for p in (checkpoints(folder.path / name)[0], checkpoints(folder.path / name)[-1]))
        gradients[strategy] = {k: (first[k].astype("f8") - last[k]) / 8192 for k in first}
    worst = 0
    for key, b in gradients["allreduce"].items():
        ratio = numpy.linalg.norm(gradients["exact"][key] - b) / numpy.linalg.norm(b)
        tap.say(f"{key}: |g| {numpy.linalg.norm(b):.6g}, relative difference {ratio:.3g}")
        worst = max(worst, ratio if numpy.isfinite(ratio) else numpy.inf)
    tap.point(worst <= 1e-6, "one step's gradient matches allreduce", f"{worst:.3g} <= 1e-6 over {len(gradients['exact'])} tensors")


def main():
    program = Program(sys.argv[1])
    with Folder("same") as folder:
        table(folder.path / "train.csv", 1003, 16, 7, 1)
        table(folder.path / "test.csv", 200, 16, 7, 1)
        (folder.path / "config.yaml").write_text(CONFIG.format(extra=""))
        one = by_ranks(program, folder)
        if one:
            what_it_did(folder, one)
            by_settings(program, folder, one)
            accumulation(program, folder)
            gradient(program, folder)
    tap.done()


main()
