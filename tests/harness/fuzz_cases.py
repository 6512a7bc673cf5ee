"""Random configs for fuzz_bits.py, each drawn from its number. `OddCase`: dense layers and every kind of uneven number. `WideCase`: every optimizer,
networks with convolutions, statistics, attention or recurrence, functions, all strategies and codecs, guards and skipped steps."""
import json
import random
import re

from runs import table

RANKS = (1, 2, 3, 5)
ACTIVATIONS = ("none", "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "softmax")
SGD, DECAY = {"weight_decay": 0.1}, {"weight_decay": 0.01}
OPTIMIZERS = (("sgd", SGD), ("momentum", {"dampening": 0.1}), ("nesterov", DECAY), ("adam", DECAY), ("adamw", {"beta2": 0.9}),
              ("rmsprop", {"centered": True, "momentum": 0.5}), ("adagrad", {"lr_decay": 0.1}), ("lion", {"decay_bias": False, **DECAY}),
              ("lars", {"ema": 0.9, **DECAY}), ("lamb", {"l1": 0.001}), ("muon", {"ema": 0.5, "groups": [{"match": "*/weight", "lr_scale": 0.1}]}))


class Case:
    """One config as a tree; what of it may not change a bit is drawn apart."""
    may_refuse = False  # does it draw what does not fit together?

    def __init__(self, seed, number):
        self.draw = random.Random(seed * 100003 + number)

    def pick(self, *some):
        return self.draw.choice(some)

    def chance(self, of):
        return self.draw.random() < of

    def settings(self):
        """What may not change a bit."""
        return {"sync": {"bucket": self.pick(1, 4096, 16384, 1 << 20, 25 << 20), "transport": self.pick("auto", "shared", "direct"),
                         "overlap": self.pick("auto", "true", "false")},
                "train": {"log_every": self.pick(1, 4, 100)}, "checkpoint": {"every_steps": self.pick(1, 2, 3), "keep": 0, "initial": True}}

    def write(self, path, settings):
        tree = json.loads(json.dumps(self.tree))
        for section, more in settings.items():
            tree.setdefault(section, {}).update(more)
        path.write_text(json.dumps(tree))
        return path


class OddCase(Case):
    def __init__(self, seed, number, folder):
        super().__init__(seed, number)
        self.classes = self.draw.random() < 0.6
        self.tree = {"name": "fuzz", "seed": self.draw.randrange(1000), "loss": "cross_entropy" if self.classes else "mse"}
        self.data(folder, number)
        self.batch()
        self.model()
        self.rules()

    def data(self, folder, number):
        self.columns, self.outputs = self.pick(1, 2, 5, 17), self.pick(2, 3)
        self.n = self.pick(1, 2, 7, 33, 64, 97, 129)
        if self.classes:
            self.outputs = min(self.outputs, max(2, self.n))
        path = folder / f"data{number}.csv"
        table(path, self.n, self.columns, self.outputs, number)
        lines = path.read_text().splitlines()
        lines = [lines[0]] + [re.sub(r"kind\d$", f"kind{i % self.outputs}", line) for i, line in enumerate(lines[1:])]
        if not self.classes:
            lines = [line.replace("kind", "", 1) if i else line for i, line in enumerate(lines)]
        path.write_text("\n".join(lines) + "\n")
        if self.classes:
            self.outputs = min(self.outputs, self.n)
        else:
            self.outputs = 1
        self.tree["data"] = {"train": {"format": "csv", "path": str(path), "target": "kind"}, "normalize": self.pick("none", "standard")}
        self.validates = self.n >= 7 and self.draw.random() < 0.5
        if self.validates:
            self.tree["data"]["validation"] = {"fraction": self.pick(0.1, 0.3)}

    def batch(self):
        size, accumulate = self.pick(1, 2, 5, 8, 16, 31, 64), self.pick(1, 1, 2, 3, 5)
        shards = self.pick(*[n for n in (1, 2, 3, 5, 7, 8, 11, 16) if n <= size and n * accumulate >= min(5, size * accumulate)])
        self.tree["batch"] = {"size": size, "shards": shards, "accumulate": accumulate}
        self.ranks = [n for n in RANKS if n <= shards * accumulate]

    def layer(self):
        more = {}
        if self.draw.random() < 0.2:
            more["bias"] = False
        if self.draw.random() < 0.2:
            more["trainable"] = False
        return {"dense": {"units": self.pick(1, 3, 16, 40, 129, 300), "activation": self.pick(*ACTIVATIONS), **more}}

    def model(self):
        layers = [self.layer() for _ in range(self.draw.randrange(3))]
        if self.draw.random() < 0.2:
            layers.insert(0, {"flatten": {}})
        layers.append({"dense": {"units": self.outputs, "bias": self.draw.random() < 0.8}})
        self.tree["model"] = {"input": [self.columns], "layers": layers}

    def rules(self):
        name, options = self.pick(*OPTIMIZERS)
        self.tree["optimizer"] = {"name": name, "lr": self.pick(0.001, 0.01, 0.1), "clip_norm": self.pick(0, 0, 0.1, 1), **options}
        self.tree["lr"] = {"warmup_steps": self.pick(0, 3), **self.pick({"schedule": "constant"}, {"schedule": "cosine", "min": 0.0001},
                                                                      {"schedule": "step", "step_size": 3}, {"schedule": "one_cycle", "div": 5},
                                                                      {"schedule": "warm_restarts", "period": 4, "factor": 2}, {"schedule": "wsd", "decay": 0.4},
                                                                      {"schedule": "plateau", "watch": "train", "patience": 0, "threshold": 0.5})}
        self.tree["compute"] = {"kernels": self.pick("auto", "auto", "ref", "openblas", "onednn")}
        self.tree["train"] = {"epochs": 3, "max_steps": 14, "on_nan": self.pick("stop", "skip"), "eval_every": self.pick(0, 1, 3)}
        self.tree["eval"] = {"batch": self.pick(1, 7, 1000)}
        stop = {"grad_norm": 1e-3} if self.draw.random() < 0.2 else {}
        if self.draw.random() < 0.2:
            stop["plateau"] = {"patience": 2, "min_delta": 0.001}
        if self.validates and self.tree["train"]["eval_every"] and self.draw.random() < 0.6:
            stop["early"] = {"patience": 2}
        self.tree["stop"] = stop


FUNCTIONS = ("bowl", "rosenbrock", "saddle", "double_well", "rastrigin")
OPTIONS = {"kfac": ({"period": 1}, {"period": 2}, {"period": 3, "damping": 0.1}), "adamw": ({"weight_decay": 0.1},), "rmsprop": ({"centered": True},)}
DRIVERS = ("lbfgs", "newton")  # they take all samples, alone
STEPS = 6


class WideCase(Case):
    """`optimizers`: the registry's names."""
    may_refuse = True

    def __init__(self, seed, number, folder, optimizers):
        super().__init__(seed, number)
        self.folder, self.number = folder, number
        self.tree = {"name": "fuzz", "seed": self.draw.randrange(99)}
        self.bad = False  # rows that overflow
        name = self.pick(*optimizers)
        self.kind = "function" if name == "newton" else self.pick("table", "table", "images", "images", "text", "function")
        size = self.pick(5, 7, 16, 31) if name not in DRIVERS else 200
        self.tree["batch"] = {"size": size, "shards": self.pick(*(n for n in (4, 5, 7, 8) if n <= size)), "accumulate": self.pick(1, 1, 2, 3)}
        getattr(self, self.kind)()
        self.optimizer(name)
        self.rules(name)
        self.ranks = sorted(self.draw.sample((1, 2, 3, 4), 2))

    def frozen(self):
        return self.pick({}, {}, {"trainable": False})

    def samples(self, columns, classes):
        """Rows of a csv; some with a value that overflows."""
        n, path = self.pick(33, 97, 131), self.folder / f"data{self.number}.csv"
        self.bad = self.chance(0.25)
        lines = [",".join([*(f"x{i}" for i in range(columns)), "kind"])]
        for i in range(n):
            y = i % classes if self.chance(0.8) else 0
            row = [self.draw.gauss(y, 1) for _ in range(columns)]
            if self.bad and i in (5, n // 2):
                row[i % columns] = 3e38
            lines.append(",".join([*(f"{x:.5g}" for x in row), f"k{y}"]))
        path.write_text("\n".join(lines) + "\n")
        self.tree["data"] = {"train": {"format": "csv", "path": str(path), "target": "kind"}, "normalize": "none" if self.bad else self.pick("none", "standard"),
                             **self.pick({}, {"validation": {"fraction": 0.2}})}
        weights = self.pick({}, {"class_weights": "balanced"}, {"class_weights": [0.5, 2, 0][:classes]})
        self.tree["loss"] = {"name": "cross_entropy", **weights}

    def statistics(self):
        """batchnorm wants two samples a shard, also in an epoch's last batch."""
        batch = self.tree["batch"]
        return batch["shards"] * 2 <= batch["size"] and batch["accumulate"] == 1

    def table(self):
        columns, classes, layers = self.pick(3, 17), self.pick(2, 3), []
        for _ in range(self.pick(1, 2, 3)):
            layers.append({"dense": {"units": self.pick(4, 33, 70), "activation": self.pick("relu", "tanh", "gelu"), **self.frozen(), **self.pick({}, {"bias": False})}})
            layers += self.pick([], [{"layernorm": self.frozen()}], [{"dropout": {"p": 0.3}}], [{"batchnorm": {"momentum": self.pick(0.1, 1), **self.frozen()}}] * self.statistics())
        self.samples(columns, classes)
        self.tree["model"] = {"input": [columns], "layers": [*layers, {"dense": {"units": classes}}]}

    def images(self):
        norm = [{"batchnorm": {**self.frozen(), **self.pick({}, {"affine": False})}}] * self.statistics()
        inside = [{"conv": {"channels": 4, "kernel": 3, "padding": 1, "groups": self.pick(1, 2)}}, *([{"batchnorm": {}}] * self.statistics())]
        pool = self.pick({"max_pool": {"kernel": 2}}, {"avg_pool": {"kernel": 3}}, {"global_pool": {}})
        self.samples(36, 3)
        self.tree["data"].update(self.pick({}, {"augment": {"flip": True, "shift": 1}}))
        self.tree["model"] = {"input": [1, 6, 6], "layers": [{"conv": {"channels": 4, "kernel": 3, "padding": "same", **self.frozen()}}, *norm, {"relu": {}},
                                                            {"residual": {"layers": inside}}, pool, {"flatten": {}}, {"dense": {"units": 3}}]}

    def text(self):
        path, context = self.folder / f"text{self.number}.txt", self.pick(8, 13)
        path.write_text("".join(self.pick(*"abc de\n") for _ in range(self.pick(150, 333, 1001))))
        self.tree.update(loss="cross_entropy", data={"train": {"format": "text", "path": str(path)}})
        if self.chance(0.4):
            self.tree["model"] = {"preset": "gpt", "layers": 1, "width": 8, "heads": 2, "context": context, "dropout": self.pick(0, 0.2)}
            return
        middle = self.pick({"lstm": {"units": 8}}, {"gru": {"units": 8}}, {"layernorm": {}}, {"dense": {"units": 8, "positionwise": True, **self.frozen()}})
        self.tree["model"] = {"input": [context], "layers": [{"embedding": {"vocab": 128, "width": 8, "name": "e", **self.frozen()}}, middle, {"dropout": {"p": 0.2}},
                                                            {"dense": {"units": 128, "positionwise": True, **self.pick({}, {"tied": "e"})}}]}

    def function(self):
        self.tree["problem"] = {"name": self.pick(*FUNCTIONS), "noise": self.pick(0, 0.5)}

    def optimizer(self, name):
        rule = {"name": name, **self.pick(*OPTIONS.get(name, ({},)))}
        strategy = "exact" if name in (*DRIVERS, "kfac") else self.pick("exact", "exact", "exact", "local-sgd", "post-local", "diloco")
        sync = {"strategy": strategy}
        if name not in DRIVERS:
            rule.update(lr=self.pick(0.001, 0.01), **self.pick({}, {}, {"clip_norm": 0.5}))
            sync["compress"] = self.pick("none", "none", "fp16", "bf16", "int8")
            if self.kind != "function" and self.chance(0.3):
                rule["groups"] = [{"match": self.pick("*/bias", "*weight*"), "lr_scale": 0.3}]
        if strategy == "exact":
            rule.update(self.pick({}, {"l2": 0.01}, *([{"ema": 0.9}, {"l1": 0.001}] if name not in DRIVERS else [])))
        else:
            sync.update(local_steps=self.pick(2, 3, 5), optimizer_state=self.pick("keep", "reset", "average"))
            sync.update({"local_after": self.pick(2, 5)} if strategy == "post-local" else {})
        if sync != {"strategy": "exact", "compress": "none"} and name not in DRIVERS:
            sync["replicas"] = 4  # else they are the ranks
        self.tree.update(optimizer=rule, sync=sync)

    def rules(self, name):
        train = {"epochs": 50, "max_steps": STEPS, "on_nan": "skip" if self.bad else self.pick("stop", "skip"), "eval_every": self.pick(0, 3)}
        if name not in DRIVERS and self.chance(0.35):
            train["spike"] = {"window": self.pick(2, 4), "z": self.pick(0.5, 1)}
        self.tree["train"] = train
        self.tree["lr"] = {"warmup_steps": self.pick(0, 2), "schedule": self.pick("constant", "cosine", "wsd")}
        self.tree["compute"] = {"kernels": self.pick("auto", "auto", "ref", "openblas", "onednn")}
        if self.tree["compute"]["kernels"] == "auto" and self.chance(0.3):
            self.tree["compute"]["precision"] = "bf16"

    def settings(self):
        settings = super().settings()
        settings["train"].update(log_layers=self.pick(True, False))
        settings["checkpoint"]["every_steps"] = 1
        return settings
