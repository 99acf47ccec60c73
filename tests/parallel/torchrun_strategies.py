"""Run by torchrun: what strategies do on two processes; each process writes what it saw.

Usage: torchrun_strategies.py FOLDER
"""

import copy
import json
import sys
from pathlib import Path

import torch
from torch import nn

from kinema.checkpoints.unpickling import load_restricted
from kinema.distributed import barrier, gather_objects, get_rank, init_from_environment, is_main_process
from kinema.models import BaseModel
from kinema.parallel.choosing import choose_strategy
from kinema.parallel.shards import can_shard, gather, is_sharded
from kinema.parallel.strategies import SingleDevice, Strategy

SAMPLES = 40
NAMES = ["ddp", "fsdp2"] if can_shard(torch.device("cpu")) else ["ddp"]


class Block(nn.Module):
    """A residual block that is large enough to be a shard of its own."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, 4 * width)
        self.outer = nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.outer(self.inner(x).relu())


class Blocks(BaseModel):
    """Points to a number; `spare` layers take part in a step only where a batch's first number is positive."""

    def __init__(self, width=256, *, norm=None, spare=False):
        super().__init__()
        self.stem = nn.Linear(4, width)
        self.norm = norm(width) if norm else nn.Identity()
        self.blocks = nn.ModuleList([Block(width) for _ in range(2)])
        self.head = nn.Linear(width, 1)
        self.spare = nn.Linear(width, width) if spare else None

    def forward(self, inputs, data_samples=None, mode="tensor"):
        x = self.norm(self.stem(inputs))
        for block in self.blocks:
            x = block(x)
        if self.spare is not None and inputs[0, 0] > 0:
            x = x + self.spare(x)
        return {"loss": (self.head(x)[:, 0] - data_samples).square().mean()} if mode == "loss" else self.head(x)


def batch_of(indices):
    """Samples by number, the same in each process."""
    points = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(1))
    chosen = points[list(indices)]
    return {"inputs": chosen, "data_samples": chosen.sum(1)}


def new_model(**options):
    torch.manual_seed(0)
    return Blocks(**options)


def new_optimizer(model):
    """Adam with two groups, biases after weights: another order than that of the model."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for name, parameter in named if "bias" not in name], "weight_decay": 0.1},
        {"params": [parameter for name, parameter in named if "bias" in name], "lr": 0.002},
    ]
    return torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.99))


def train(strategy: Strategy, optimizer, batches, counts):
    """One epoch; the rest of the batches is a shorter window. Returns the norms before clipping."""
    norms = []
    for first in range(0, len(batches), counts):
        window = batches[first : first + counts]
        for number, batch in enumerate(window):
            with strategy.synchronising(number == len(window) - 1):
                (strategy.losses(batch)["loss"] / len(window)).backward()
        norms.append(strategy.clip_norm(strategy.model.parameters(), 0.5).item())
        optimizer.step()
        optimizer.zero_grad()
    return norms


def indices_of(batch, rank, size=2, world=2):
    """The samples of a batch: rank r has every second one."""
    start = batch * size * world
    return range(start + rank, start + size * world, world)


def begin(name, *, sgd=False, lr=0.05, settings=None, frozen=False, **options):
    strategy = SingleDevice() if name == "single" else choose_strategy(name, 2, **(settings or {}))
    model = new_model(**options)
    if frozen:
        model.requires_grad_(False)
        model.head.requires_grad_(True)
    strategy.wrap(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9) if sgd else new_optimizer(model)
    return strategy, optimizer


def worst_difference(a, b):
    return max((a[name].float() - b[name].float()).abs().max().item() for name in b)


def check_windows(report):
    """Accumulation that divides the epoch or not, beside one process with the large batch."""
    for name in NAMES:
        for counts in (1, 3, 4):
            for length in (8, 10):
                strategy, optimizer = begin(name, sgd=True)
                norms = train(strategy, optimizer, [batch_of(indices_of(i, get_rank())) for i in range(length)], counts)
                sums, whole = gather_objects(sums_of(strategy)), strategy.model_state()
                alone, own_optimizer = begin("single", sgd=True)
                large = [batch_of(range(4 * i, 4 * i + 4)) for i in range(length)]
                own_norms = train(alone, own_optimizer, large, counts)
                report[f"{name} {counts} {length}"] = {
                    "equal on both": sums[0] == sums[1],
                    "difference": worst_difference(whole, alone.model_state()) if is_main_process() else 0,
                    "norms": max(abs(a / b - 1) for a, b in zip(norms, own_norms, strict=True)),
                }


def check_states(folder, report):
    """Each strategy loads what each other saved, and continues alike."""
    batches = [batch_of(indices_of(i, get_rank())) for i in range(10)]
    for saver in NAMES:
        strategy, optimizer = begin(saver)
        train(strategy, optimizer, batches[:5], 1)
        state = {"model": strategy.model_state(), "optimizer": strategy.optimizer_state(optimizer)}
        state = copy.deepcopy(state)
        train(strategy, optimizer, batches[5:], 1)
        expected = strategy.model_state()
        if is_main_process():
            torch.save(state, folder / f"{saver}.pth")
            state = load_restricted(folder / f"{saver}.pth").content
        for loader in (*NAMES, "single"):
            other, own = begin(loader)
            other.load_model_state(state["model"] if is_main_process() else {})
            other.load_optimizer_state(own, state["optimizer"] if is_main_process() else {})
            again = copy.deepcopy({"model": other.model_state(), "optimizer": other.optimizer_state(own)})
            large = [batch_of(range(4 * i, 4 * i + 4)) for i in range(5, 10)]
            train(other, own, large if loader == "single" else batches[5:], 1)
            final = other.model_state()
            if is_main_process():
                report[f"{saver} to {loader}"] = {
                    "same state": same(state, again),
                    "difference": worst_difference(final, expected),
                }


def check_kinds(report):
    """Options of DDP, frozen parameters, and how long a step may be: ranks stay equal."""
    unused = {"find_unused_parameters": True}
    kinds = {
        "unused": ("ddp", {"settings": unused, "spare": True}),
        "static": ("ddp", {"settings": {"static_graph": True}}),
        "frozen ddp": ("ddp", {"frozen": True}),
        "frozen fsdp2": ("fsdp2", {"frozen": True}),
    }
    kinds = {kind: chosen for kind, chosen in kinds.items() if chosen[0] in NAMES}
    for kind, (name, options) in kinds.items():
        strategy, optimizer = begin(name, sgd=True, **options)
        before = {key: value.clone() for key, value in gather(strategy.model.state_dict()).items()}
        train(strategy, optimizer, [batch_of(indices_of(i, get_rank())) for i in range(10)], 3)
        sums = gather_objects(sums_of(strategy))
        moved = [
            key for key, value in gather(strategy.model.state_dict()).items() if not torch.equal(value, before[key])
        ]
        report[kind] = {"equal on both": sums[0] == sums[1], "moved": moved}


def sums_of(strategy):
    whole = {k: v.full_tensor() if is_sharded(v) else v for k, v in strategy.model.state_dict().items()}
    return {key: value.double().sum().item() for key, value in whole.items()}


def check_norms(report):
    """Batch norms over all processes, beside one process with the large batch; and without, their buffers."""
    batches = [batch_of(indices_of(i, get_rank(), size=4)) for i in range(5)]
    for name in NAMES:
        strategy, optimizer = begin(name, sgd=True, lr=0.001, settings={"sync_bn": "torch"}, norm=nn.BatchNorm1d)
        train(strategy, optimizer, batches, 1)
        alone, own_optimizer = begin("single", sgd=True, lr=0.001, norm=nn.BatchNorm1d)
        train(alone, own_optimizer, [batch_of(range(8 * i, 8 * i + 8)) for i in range(5)], 1)
        whole = strategy.model_state()
        if is_main_process():
            report[f"sync {name}"] = worst_difference(whole, alone.model_state())
        for broadcast in (True, False):
            settings = {"broadcast_buffers": broadcast}
            strategy, optimizer = begin(name, sgd=True, lr=0.001, settings=settings, norm=nn.BatchNorm1d)
            train(strategy, optimizer, batches, 1)
            mean = strategy.model.norm.running_mean
            own = gather_objects(mean.tolist())
            strategy.align_buffers()
            expected = torch.tensor(own[0] if broadcast else own).reshape(-1, len(mean)).mean(0)
            report[f"buffers {name} {broadcast}"] = (mean - expected).abs().max().item()


def check_evaluation(report):
    """A forward pass without a backward one leaves a model as it was."""
    for name in NAMES:
        strategy, optimizer = begin(name)
        batches = [batch_of(indices_of(i, get_rank())) for i in range(4)]
        train(strategy, optimizer, batches[:2], 1)
        parameters = dict(strategy.model.named_parameters())
        strategy.model.eval()
        with torch.no_grad():
            scores = strategy.model(**batch_of(range(3)))
        strategy.model.train()
        same_objects = all(parameters[key] is value for key, value in strategy.model.named_parameters())
        train(strategy, optimizer, batches[2:], 1)
        strategy.optimizer_state(optimizer)
        report[f"evaluation {name}"] = {"same parameters": same_objects, "scores": scores[:, 0].tolist()}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def main():
    torch.set_num_threads(1)
    init_from_environment("gloo")
    folder, report = Path(sys.argv[1]), {}
    check_windows(report)
    check_states(folder, report)
    check_kinds(report)
    check_norms(report)
    check_evaluation(report)
    (folder / f"{get_rank()}.json").write_text(json.dumps(report))
    barrier()


if __name__ == "__main__":
    main()
