#!/usr/bin/python3
"""Numbers from PyTorch that the tests compare with; the only source of what stands in *.txt here.

  make_golden.py           write optim.txt, losses.txt, mlp20.txt and mlp20.csv beside this file
  make_golden.py --check   compute afresh and compare with what is there (exit 77 without torch)

A line of a .txt file is `name count value...`; tests/golden/golden.h reads it.
"""
import math
import pathlib
import sys

import numpy as np

try:
    import torch
except ImportError:
    print("skipped: no PyTorch here (Debian: apt install python3-torch)")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
STEPS, WIDTH = 20, 37


def wave(n, a, b, digits=4):
    """n numbers in (-1, 1) that anyone can compute again: sin(a + b i^2), rounded."""
    return [round(math.sin(a + b * i * i), digits) for i in range(n)]


# name: torch's class and arguments. The tests set the same options; keep the two together.
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd_decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.05)),
    "momentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9)),
    "momentum_decay": (torch.optim.SGD, dict(lr=0.05, momentum=0.8, weight_decay=0.02)),
    "momentum_dampened": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, dampening=0.3)),
    "momentum_0_dampened": (torch.optim.SGD, dict(lr=0.05, momentum=0, dampening=0.3, weight_decay=0.02)),
    "nesterov": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=True)),
    "nesterov_decay": (torch.optim.SGD, dict(lr=0.05, momentum=0.8, weight_decay=0.02, nesterov=True)),
    "adam": (torch.optim.Adam, dict(lr=0.01)),
    "adam_decay": (torch.optim.Adam, dict(lr=0.01, weight_decay=0.1)),
    "adam_betas": (torch.optim.Adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-4)),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.01)),
    "adamw_decay": (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.3)),
    "rmsprop": (torch.optim.RMSprop, dict(lr=0.01)),
    "rmsprop_decay": (torch.optim.RMSprop, dict(lr=0.01, alpha=0.9, eps=1e-5, weight_decay=0.1)),
    "rmsprop_momentum": (torch.optim.RMSprop, dict(lr=0.01, momentum=0.8)),
    "rmsprop_centered": (torch.optim.RMSprop, dict(lr=0.01, centered=True)),
    "rmsprop_all": (torch.optim.RMSprop, dict(lr=0.01, alpha=0.95, momentum=0.9, centered=True, weight_decay=0.05)),
    "adagrad": (torch.optim.Adagrad, dict(lr=0.05)),
    "adagrad_all": (torch.optim.Adagrad, dict(lr=0.05, lr_decay=0.1, initial_accumulator_value=0.2, weight_decay=0.1)),
}


# What PyTorch 1.13 has not: each paper's formula in double, on a vector of WIDTH (a bias) or a matrix (out, in).
def lion(w, g, s, t, lr=1e-3, beta1=0.9, beta2=0.99, decay=0.0):
    m = s.get("m", 0 * w)
    s["m"] = beta2 * m + (1 - beta2) * g
    return w - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * w)


def lars(w, g, s, t, lr=0.1, momentum=0.9, trust=0.001, decay=0.0, adapt_bias=False):
    rate = 1.0
    if w.ndim < 2 and not adapt_bias:
        decay = 0.0
    else:
        rate = trust * np.linalg.norm(w) / (np.linalg.norm(g) + decay * np.linalg.norm(w))
    s["v"] = momentum * s.get("v", 0 * w) + lr * rate * (g + decay * w)
    return w - s["v"]


def lamb(w, g, s, t, lr=0.01, beta1=0.9, beta2=0.999, eps=1e-6, decay=0.01):
    s["m"] = beta1 * s.get("m", 0 * w) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0 * w) + (1 - beta2) * g * g
    u = s["m"] / (1 - beta1**t) / (np.sqrt(s["v"] / (1 - beta2**t)) + eps) + decay * w
    return w - lr * np.linalg.norm(w) / np.linalg.norm(u) * u


def muon(w, g, s, t, lr=0.02, momentum=0.95, nesterov=True, decay=0.0):
    if w.ndim < 2:  # Adam at lr * 0.015
        lr, s["m"] = lr * 0.015, 0.9 * s.get("m", 0 * w) + 0.1 * g
        s["v"] = 0.95 * s.get("v", 0 * w) + 0.05 * g * g
        return (1 - lr * decay) * w - lr * s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.95**t)) + 1e-10)
    s["b"] = momentum * s.get("b", 0 * w) + (1 - momentum) * g
    x = (1 - momentum) * g + momentum * s["b"] if nesterov else s["b"]
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (1 - lr * decay) * w - lr * max(1, w.shape[0] / w.shape[1])**0.5 * x


MATRIX = 84  # (12, 7), (7, 12)
FORMULAS = {
    "lion": (lion, dict(), ("vector",)),
    "lion_decay": (lion, dict(lr=3e-3, beta1=0.8, beta2=0.9, decay=0.5), ("vector",)),
    "lars": (lars, dict(), ("vector", "tall", "wide")),
    "lars_all": (lars, dict(lr=2.0, momentum=0.5, trust=0.01, decay=0.1, adapt_bias=True), ("vector", "tall")),
    "lamb": (lamb, dict(), ("vector", "tall", "wide")),
    "lamb_all": (lamb, dict(lr=0.03, beta1=0.8, beta2=0.95, eps=1e-4, decay=0.0), ("tall",)),
    "muon": (muon, dict(), ("vector", "tall", "wide")),
    "muon_all": (muon, dict(lr=0.05, momentum=0.8, nesterov=False, decay=0.2), ("vector", "tall", "wide")),
}


def formula_numbers():
    out = {"matrix/start": wave(MATRIX, 0.7, 0.31)}
    for t in range(STEPS):
        out[f"matrix/gradient/{t + 1}"] = wave(MATRIX, 2.0 + t, 0.17 + 0.011 * t)
    vector = {"start": wave(WIDTH, 0.3, 0.7)}
    vector.update({f"gradient/{t + 1}": wave(WIDTH, 1.0 + t, 0.11 + 0.013 * t) for t in range(STEPS)})
    shapes = {"vector": (WIDTH,), "tall": (12, 7), "wide": (7, 12)}
    for name, (step, arguments, kinds) in FORMULAS.items():
        for kind in kinds:
            numbers = {k: vector[k] if kind == "vector" else out["matrix/" + k] for k in vector}
            array = {k: np.array(v, dtype="f4").astype("f8").reshape(shapes[kind]) for k, v in numbers.items()}
            w, state = array["start"], {}
            for t in range(1, STEPS + 1):
                w = step(w, array[f"gradient/{t}"], state, t, **arguments)
                if t in (1, 2, STEPS):
                    out[f"{name}/{kind}/{t}"] = w.flatten().tolist()
    return out


def optim_numbers():
    out = {"start": wave(WIDTH, 0.3, 0.7)}
    for t in range(STEPS):
        out[f"gradient/{t + 1}"] = wave(WIDTH, 1.0 + t, 0.11 + 0.013 * t)
    for name, (kind, arguments) in OPTIMIZERS.items():
        w = torch.nn.Parameter(torch.tensor(out["start"], dtype=torch.float32))
        optimizer = kind([w], **arguments)
        for t in range(1, STEPS + 1):
            w.grad = torch.tensor(out[f"gradient/{t}"], dtype=torch.float32)
            optimizer.step()
            if t in (1, 2, STEPS):
                out[f"{name}/{t}"] = w.detach().tolist()
    out.update(schedule_numbers())
    out.update(formula_numbers())
    return out


def schedule_numbers():
    def rates(n, base, make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
        schedule, got = make(optimizer), []
        for _ in range(n):
            got.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        return got

    lr = torch.optim.lr_scheduler
    warm = rates(5, 0.1, lambda o: lr.LinearLR(o, start_factor=0.2, total_iters=4))
    cosine = rates(35, 0.1, lambda o: lr.CosineAnnealingLR(o, T_max=35, eta_min=0.001))
    return {
        "lr/constant": [0.1] * 40,
        "lr/step": rates(40, 0.1, lambda o: lr.StepLR(o, step_size=7, gamma=0.5)),
        "lr/cosine": rates(40, 0.1, lambda o: lr.CosineAnnealingLR(o, T_max=40)),
        "lr/cosine_warm": warm + cosine,
        "lr/exponential": rates(40, 0.1, lambda o: lr.ExponentialLR(o, gamma=0.93)),
        "lr/polynomial": rates(40, 0.1, lambda o: lr.PolynomialLR(o, total_iters=40, power=1.0)),
        "lr/polynomial_power": rates(40, 0.1, lambda o: lr.PolynomialLR(o, total_iters=40, power=2.5)),
        "lr/warm_restarts": rates(40, 0.1, lambda o: lr.CosineAnnealingWarmRestarts(o, T_0=9)),
        "lr/warm_restarts_factor": rates(40, 0.1, lambda o: lr.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.002)),
        "lr/one_cycle": rates(40, 0.1, lambda o: lr.OneCycleLR(o, max_lr=0.1, total_steps=40, cycle_momentum=False)),
        "lr/one_cycle_linear": rates(40, 0.1, lambda o: lr.OneCycleLR(o, max_lr=0.1, total_steps=40, pct_start=0.45, div_factor=10,
                                                                      final_div_factor=100, anneal_strategy="linear", cycle_momentum=False)),
        **plateau_numbers(),
    }


def plateau_numbers():
    """Losses that fall, rise and stand still; the rate after each."""
    losses = [round(1 / (1 + 0.2 * i) + 0.05 * w + (0.3 if 18 < i < 26 else 0), 4) for i, w in enumerate(wave(40, 0.4, 0.9))]
    out = {"lr/plateau_losses": losses}
    for name, arguments in (("lr/plateau", dict(patience=3)), ("lr/plateau_cooldown", dict(patience=1, cooldown=4, factor=0.5, min_lr=0.01)),
                            ("lr/plateau_abs", dict(patience=0, threshold=0.02, threshold_mode="abs", factor=0.7))):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        schedule, out[name] = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments), []
        for loss in losses:
            optimizer.step()
            schedule.step(loss)
            out[name].append(optimizer.param_groups[0]["lr"])
    return out


def loss_numbers():
    """Values and gradients in double, of the float32 inputs."""
    rows, cols = 6, 11
    z = [round(x * s, 3) for x, s in zip(wave(rows * cols, 0.2, 0.37), [1, 5, 30] * (2 * cols))]
    label = [(3 * i + 1) % cols for i in range(rows)]
    y = wave(rows * cols, 2.2, 0.53)
    weight = [round(1 + x, 3) for x in wave(cols, 1.1, 0.7)]
    out = {"rows": [rows], "cols": [cols], "z": z, "label": label, "value": y, "weight": weight}
    weighted = dict(weight=torch.tensor(weight, dtype=torch.float32).double(), reduction="sum")
    as_double = lambda v: torch.tensor(v, dtype=torch.float32).double().reshape(rows, cols)
    losses = {
        "cross_entropy": lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(label), reduction="sum"),
        "cross_entropy_smooth": lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(label), reduction="sum",
                                                                            label_smoothing=0.1),
        "cross_entropy_weighted": lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(label), **weighted),
        "cross_entropy_weighted_smooth": lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(label), label_smoothing=0.2,
                                                                                     **weighted),
        "mse": lambda x: torch.nn.functional.mse_loss(x, as_double(y)) * rows,
        "mae": lambda x: torch.nn.functional.l1_loss(x, as_double(y)) * rows,
        "huber": lambda x: torch.nn.functional.huber_loss(x, as_double(y)) * rows,
        "huber_delta": lambda x: torch.nn.functional.huber_loss(x, as_double(y), delta=0.3) * rows,
        "binary_cross_entropy": lambda x: torch.nn.functional.binary_cross_entropy_with_logits(x, as_double(y)) * rows,
    }
    for name, loss in losses.items():
        x = as_double(z).requires_grad_()
        value = loss(x)
        value.backward()
        out[f"{name}/sum"] = [value.item()]
        out[f"{name}/gradient"] = x.grad.flatten().tolist()
    return out


# A network from a saved start, 20 steps of the whole data set: 5 -> 8 relu -> 6 tanh -> 3, cross entropy.
SIZES, ROWS = [5, 8, 6, 3], 24
NETWORKS = {
    "sgd": (torch.optim.SGD, dict(lr=0.2, weight_decay=0.01)),
    "momentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
    "nesterov": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True)),
    "adam": (torch.optim.Adam, dict(lr=0.01, weight_decay=0.01)),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.1)),
    "weighted": (torch.optim.SGD, dict(lr=0.2)),
}
CLASS_WEIGHTS = {"weighted": [0.5, 3.0, 0.25]}


def network_data():
    x = wave(ROWS * SIZES[0], 0.5, 0.21, 3)
    rows = [x[i * SIZES[0]:(i + 1) * SIZES[0]] for i in range(ROWS)]
    label = [(0 if r[0] + r[1] > 0.3 else 1 if r[2] - r[3] > 0 else 2) for r in rows]
    return rows, label


def network_csv():
    rows, label = network_data()
    head = ",".join(f"x{i}" for i in range(SIZES[0])) + ",class\n"
    return head + "".join(",".join(map(str, r)) + f",{k}\n" for r, k in zip(rows, label))


def network_numbers():
    rows, label = network_data()
    out = {"x": sum(rows, []), "label": label}
    for i, (n, m) in enumerate(zip(SIZES, SIZES[1:]), 1):
        out[f"shape/dense{i}/weight"], out[f"shape/dense{i}/bias"] = [m, n], [m]
        out[f"start/dense{i}/weight"] = wave(m * n, 0.1 * i, 0.3 + 0.1 * i)
        out[f"start/dense{i}/bias"] = [round(0.1 * v, 4) for v in wave(m, i, 0.4)]
    for name, (kind, arguments) in NETWORKS.items():
        out.update(network_run(name, kind, arguments, out, torch.tensor(rows), torch.tensor(label)))
    return out


def network_run(name, kind, arguments, start, x, label):
    layers = []
    for i, (n, m) in enumerate(zip(SIZES, SIZES[1:]), 1):
        layer = torch.nn.Linear(n, m)
        layer.weight.data = torch.tensor(start[f"start/dense{i}/weight"]).reshape(m, n)
        layer.bias.data = torch.tensor(start[f"start/dense{i}/bias"])
        layers.append(layer)
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.Tanh(), layers[2])
    optimizer, losses = kind(net.parameters(), **arguments), []
    weight = torch.tensor(CLASS_WEIGHTS[name]) if name in CLASS_WEIGHTS else None
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), label, weight=weight)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    out = {f"{name}/loss": losses}
    for i, layer in enumerate(layers, 1):
        out[f"{name}/dense{i}/weight"] = layer.weight.detach().flatten().tolist()
        out[f"{name}/dense{i}/bias"] = layer.bias.detach().tolist()
    return out


def text_of(numbers):
    return "".join(f"{k} {len(v)} " + " ".join(format(x, ".12g") for x in v) + "\n" for k, v in numbers.items())


def read(path):
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: [float(x) for x in words[2:]] for words in lines}


def differences(path, fresh):
    """Largest max|a - b| / max|b| over the lines of a file."""
    have, worst = read(path), 0.0
    if list(have) != list(fresh):
        return math.inf
    for name, b in fresh.items():
        a = have[name]
        if len(a) != len(b):
            return math.inf
        worst = max(worst, max(abs(p - q) for p, q in zip(a, b)) / (max(map(abs, b)) or 1))
    return worst


def main():
    torch.set_num_threads(1)
    made = {"optim.txt": optim_numbers(), "losses.txt": loss_numbers(), "mlp20.txt": network_numbers()}
    if sys.argv[1:] == ["--check"]:
        worst = {name: differences(HERE / name, numbers) for name, numbers in made.items()}
        same = (HERE / "mlp20.csv").read_text() == network_csv()
        print(f"torch {torch.__version__}; largest difference (at most 1e-6):", worst, "csv equal:", same)
        sys.exit(not (same and max(worst.values()) <= 1e-6))
    for name, numbers in made.items():
        (HERE / name).write_text(text_of(numbers))
    (HERE / "mlp20.csv").write_text(network_csv())


if __name__ == "__main__":
    main()
