"""What the reference's optimizers make of given gradients over 30 steps, and its schedules over 100.

Pinned: torch 2.15.0, transformers 5.23.0, schedulefree 1.4.1; Lion and AdEMAMix follow the reference classes of bitsandbytes
0.50.2, which are written out below, since the package itself needs a GPU. Run from anywhere:

    python Tests/Golden/optimizers.py

Gradients and start values come from the generator of Tests/TestSupport/TinyRandom.swift, so only results are kept.
Writes Tests/Golden/optimizers/optimizers.json: for each case the arguments of a run and the parameters after some steps;
schedules.json and followers.json: the learning rates of 100 steps; names.json: what can be named at all.
"""

import json
import math
import os
import sys
from pathlib import Path

# This folder's tokenizers.py must not stand for the package.
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
import torch
from schedulefree import AdamWScheduleFree
from transformers.optimization import Adafactor, get_scheduler

FOLDER = Path(__file__).parent / "optimizers"
SHAPES = {"encoder.layer.1.weight": (24, 10), "encoder.layer.0.weight": (7, 12), "encoder.layer.0.bias": (9,)}
STEPS = 30
KEPT = (1, 2, 3, 10, 30)


class TinyRandom:
    """SplitMix64, as in Tests/TestSupport/TinyRandom.swift."""

    def __init__(self, seed: int):
        self.state = seed

    def next(self) -> int:
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def normal(self) -> float:
        total = -6.0
        for _ in range(12):
            total = total + (self.next() >> 11) * 2.0**-53
        return total

    def tensor(self, shape: tuple, scale: float) -> torch.Tensor:
        count = math.prod(shape)
        values = torch.tensor([self.normal() for _ in range(count)], dtype=torch.float64)
        return (values.float() * torch.tensor(scale).float()).reshape(shape)


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas, weight_decay=0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                state = self.state.setdefault(p, {})
                m = state.setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.sign(m * beta1 + p.grad * (1 - beta1)), alpha=-group["lr"])
                m.mul_(beta2).add_(p.grad, alpha=1 - beta2)


class AdEMAMix(torch.optim.Optimizer):
    def __init__(self, params, lr, betas, alpha=5.0, eps=1e-8, weight_decay=0, t_alpha=None, t_beta3=None):
        super().__init__(params, dict(lr=lr, betas=betas, alpha=alpha, eps=eps, weight_decay=weight_decay,
                                      t_alpha=t_alpha, t_beta3=t_beta3))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            t = group["step"] = group.get("step", 0) + 1
            beta1, beta2, beta3 = group["betas"]
            alpha = group["alpha"]
            if group["t_alpha"]:
                alpha = min(t * alpha / group["t_alpha"], alpha)
            if group["t_beta3"]:
                first, last, done = math.log(beta1), math.log(beta3), t / group["t_beta3"]
                beta3 = min(math.exp(first * last / ((1 - done) * last + done * first)), beta3)
            for p in group["params"]:
                state = self.state.setdefault(p, {})
                m1, m2, nu = (state.setdefault(name, torch.zeros_like(p)) for name in ("m1", "m2", "nu"))
                m1.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                m2.mul_(beta3).add_(p.grad, alpha=1 - beta3)
                nu.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                denom = (nu.sqrt() / ((1 - beta2**t) ** 0.5)).add(group["eps"])
                update = (m1.div(1 - beta1**t) + alpha * m2) / denom
                update.add_(p, alpha=group["weight_decay"])
                p.add_(-group["lr"] * update)


def run(name: str, make, arguments: dict, scale: float = 0.1) -> dict:
    random = TinyRandom(7)
    parameters = {key: torch.nn.Parameter(random.tensor(shape, 1.0)) for key, shape in SHAPES.items()}
    decay = arguments.get("weight_decay", 0.0)
    groups = [{"params": [p for key, p in parameters.items() if "bias" not in key], "weight_decay": decay},
              {"params": [p for key, p in parameters.items() if "bias" in key], "weight_decay": 0.0}]
    optimizers = make(groups, arguments["learning_rate"])
    kept = {}
    for step in range(1, STEPS + 1):
        for p in parameters.values():
            # Gradients of very different sizes, and one step of zeros.
            p.grad = random.tensor(tuple(p.shape), 0.0 if step == 5 else scale * (1 + step % 3))
        for optimizer in optimizers:
            optimizer.step()
        if step in KEPT:
            for optimizer in optimizers:
                if hasattr(optimizer, "eval"):
                    optimizer.eval()
            # A matrix by its first and last rows, to keep the file small.
            kept[str(step)] = {key: [float(f"{v:.9g}") for v in (p.detach() if p.dim() == 1 else p.detach()[[0, -1]]).flatten().tolist()]
                               for key, p in parameters.items()}
            for optimizer in optimizers:
                if hasattr(optimizer, "train"):
                    optimizer.train()
    return {"name": name, "arguments": arguments, "parameters": kept}


def one(cls, **options):
    return lambda groups, lr: [cls(groups, lr=lr, **options)]


def schedule_free(**options):
    def make(groups, lr):
        optimizer = AdamWScheduleFree(groups, lr=lr, **options)
        optimizer.train()
        return [optimizer]
    return make


def muon(**options):
    def make(groups, lr):
        weights = [p for p in groups[0]["params"]]
        return [torch.optim.Muon([{"params": weights, "weight_decay": groups[0]["weight_decay"]}], lr=lr, **options),
                torch.optim.AdamW([groups[1]], lr=lr)]
    return make


OPTIMIZERS = [
    ("adamw", one(torch.optim.AdamW), dict(optim="adamw_torch", learning_rate=1e-2, weight_decay=0.01)),
    ("sgd", one(torch.optim.SGD, momentum=0.9, nesterov=True),
     dict(optim="sgd", optim_args="momentum=0.9,nesterov=True", learning_rate=1e-2, weight_decay=0.01)),
    ("adagrad", one(torch.optim.Adagrad, lr_decay=0.01),
     dict(optim="adagrad", optim_args="lr_decay=0.01", learning_rate=1e-2, weight_decay=0.1)),
    ("rmsprop", one(torch.optim.RMSprop), dict(optim="rmsprop", learning_rate=1e-3, weight_decay=0.1)),
    ("rmsprop-centered", one(torch.optim.RMSprop, alpha=0.9, momentum=0.5, centered=True, eps=1e-6),
     dict(optim="rmsprop", optim_args="alpha=0.9,momentum=0.5,centered=True,eps=1e-6", learning_rate=1e-3)),
    ("adadelta", one(torch.optim.Adadelta), dict(optim="adadelta", learning_rate=1.0, weight_decay=0.1)),
    ("adamax", one(torch.optim.Adamax), dict(optim="adamax", learning_rate=1e-2, weight_decay=0.1)),
    ("nadam", one(torch.optim.NAdam), dict(optim="nadam", learning_rate=1e-2, weight_decay=0.1)),
    ("nadam-decoupled", one(torch.optim.NAdam, decoupled_weight_decay=True, momentum_decay=0.1),
     dict(optim="nadam", optim_args="decoupled_weight_decay=True,momentum_decay=0.1", learning_rate=1e-2,
          weight_decay=0.1)),
    ("radam", one(torch.optim.RAdam), dict(optim="radam", learning_rate=1e-2, weight_decay=0.1)),
    ("radam-decoupled", one(torch.optim.RAdam, decoupled_weight_decay=True, betas=(0.8, 0.99)),
     dict(optim="radam", optim_args="decoupled_weight_decay=True,beta1=0.8,beta2=0.99", learning_rate=1e-2,
          weight_decay=0.1)),
    ("lion", one(Lion, betas=(0.9, 0.999)), dict(optim="lion_32bit", learning_rate=1e-3, weight_decay=0.1)),
    ("ademamix", one(AdEMAMix, betas=(0.9, 0.999, 0.9999)),
     dict(optim="ademamix", learning_rate=1e-3, weight_decay=0.1)),
    ("ademamix-warmup", one(AdEMAMix, betas=(0.9, 0.999, 0.99), alpha=3.0, t_alpha=20, t_beta3=25),
     dict(optim="ademamix", optim_args="beta3=0.99,alpha=3,t_alpha=20,t_beta3=25", learning_rate=1e-3)),
    ("adafactor", one(Adafactor, scale_parameter=False, relative_step=False),
     dict(optim="adafactor", learning_rate=1e-3, weight_decay=0.1)),
    ("adafactor-moment", one(Adafactor, scale_parameter=True, relative_step=False, beta1=0.9, clip_threshold=0.5),
     dict(optim="adafactor", optim_args="scale_parameter=True,beta1=0.9,clip_threshold=0.5", learning_rate=1e-3)),
    ("schedule-free", schedule_free(), dict(optim="schedule_free_adamw", learning_rate=1e-2, weight_decay=0.1)),
    ("schedule-free-warmup", schedule_free(warmup_steps=12, r=1.0, weight_lr_power=1.0, betas=(0.95, 0.99)),
     dict(optim="schedule_free_adamw", optim_args="r=1,weight_lr_power=1,beta1=0.95,beta2=0.99", learning_rate=1e-2,
          warmup_steps=12)),
    ("muon", muon(), dict(optim="muon", learning_rate=1e-3, weight_decay=0.1)),
    ("muon-adamw", muon(adjust_lr_fn="match_rms_adamw", momentum=0.9, nesterov=False),
     dict(optim="muon", optim_args="adjust_lr_fn=match_rms_adamw,momentum=0.9,nesterov=False", learning_rate=1e-3)),
]

SCHEDULES = [
    ("linear", {}), ("cosine", {}), ("cosine", {"num_cycles": 1.25}), ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {}), ("polynomial", {"lr_end": 1e-4, "power": 2.5}), ("constant", {}), ("constant_with_warmup", {}),
    ("inverse_sqrt", {}), ("inverse_sqrt", {"timescale": 50}), ("cosine_with_min_lr", {"min_lr_rate": 0.2}),
    ("cosine_with_min_lr", {"min_lr": 1e-4, "num_cycles": 1}), ("cosine_warmup_with_min_lr", {"min_lr": 1e-4}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1, "warmup_lr_rate": 0.3}),
    ("warmup_stable_decay", {"num_decay_steps": 30}),
    ("warmup_stable_decay", {"num_decay_steps": 25, "num_stable_steps": 40, "warmup_type": "cosine",
                             "decay_type": "linear", "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", {"num_decay_steps": 40, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"}),
    ("warmup_stable_decay", {"num_decay_steps": 40, "num_cycles": 1.5}),
]
FOLLOWERS = [
    ("reduce_lr_on_plateau", {"patience": 3}),
    ("reduce_lr_on_plateau", {"mode": "max", "factor": 0.7, "patience": 1, "threshold": 0.05, "threshold_mode": "abs",
                              "cooldown": 2, "min_lr": 2e-4}),
    ("greedy", {"min_lr": 1e-4, "patience": 1}),
    ("greedy", {"mode": "max", "min_lr": 8e-4, "max_lr": 1.2e-3, "patience": 0, "cooldown": 1, "warmup": 2,
                "factor": 0.9, "reset_start": 4}),
    ("greedy", {"min_lr": 1e-5, "patience": 1, "smooth": True, "window_size": 4, "threshold_mode": "rel",
                "threshold": 0.01}),
]


def dummy() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)


def schedules() -> list:
    found = []
    for name, options in SCHEDULES:
        for warmup in (0, 7):
            optimizer = dummy()
            schedule = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=100,
                                     scheduler_specific_kwargs=dict(options))
            rates = []
            for _ in range(101):
                rates.append(float(f"{optimizer.param_groups[0]['lr']:.12g}"))
                optimizer.step()
                schedule.step()
            # All near the warm-up and the end, some in between.
            kept = [*range(0, 12), *range(12, 96, 4), *range(96, 101)]
            found.append({"name": name, "options": options, "warmup": warmup,
                          "rates": {str(step): rates[step] for step in kept}})
    return found


def followers() -> list:
    found = []
    for name, options in FOLLOWERS:
        optimizer = dummy()
        schedule = get_scheduler(name, optimizer, scheduler_specific_kwargs=dict(options))
        random = TinyRandom(11)
        rates = []
        for step in range(100):
            schedule.step(metric(random, step))
            rates.append(float(f"{optimizer.param_groups[0]['lr']:.12g}"))
        found.append({"name": name, "options": options, "rates": rates})
    return found


def metric(random: TinyRandom, step: int) -> float:
    """Falls, stays, rises and falls again, with noise."""
    way = [1 - step / 40, 0.4, 0.4 + (step - 50) / 60, 1.2 - (step - 75) / 20][min(3, step // 25)]
    return way + 0.02 * random.normal()


def names() -> dict:
    """Every training argument of the reference, and the names of its optimizers and schedules."""
    from dataclasses import fields
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers.trainer_utils import SchedulerType
    from transformers.training_args import OptimizerNames
    return {"arguments": [field.name for field in fields(SentenceTransformerTrainingArguments)],
            "optim": [name.value for name in OptimizerNames], "lr_scheduler_type": [name.value for name in SchedulerType]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    cases = [run(*case) for case in OPTIMIZERS]
    (FOLDER / "optimizers.json").write_text(
        "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
    lines = [json.dumps(case, separators=(",", ":")) for case in schedules()]
    (FOLDER / "schedules.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    (FOLDER / "names.json").write_text(json.dumps(names(), indent=1) + "\n")
    lines = [json.dumps(case, separators=(",", ":")) for case in followers()]
    (FOLDER / "followers.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
