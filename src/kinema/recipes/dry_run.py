"""What a training would be: everything built, one step taken, nothing written."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from kinema.checkpoints.connections import shown_address
from kinema.engine import Runner
from kinema.engine.assembly import build_evaluation_loop, build_loader, build_step, build_train_loop
from kinema.errors import ConfigError
from kinema.hooks.averaging import EMAHook
from kinema.logs import only_to_files
from kinema.optim.accumulation import Window
from kinema.optim.schedules import check_schedule_config
from kinema.parallel.shards import units_of
from kinema.recipes.start_weights import leave_out_downloads, must_be_downloaded
from kinema.training.loops import ValLoop
from kinema.training.step import TrainStep

PROBE_SAMPLES = 2  # one is too few for a batch norm over a vector
MOST_SECONDS = 8.0  # of the step with the whole batch; a longer one is computed from that of the probe


@dataclass(frozen=True)
class Memory:
    """Bytes that a process needs on its device.

    Attributes:
        parameters: weights and buffers.
        gradients: of trainable weights, and DDP's copies of them for the exchange.
        optimizer: its state, and averages of the weights.
        units: whole weights and gradients of the two largest blocks, which FSDP2 holds at a time.
        activations: what the forward pass keeps for the backward pass, measured.
    """

    parameters: int
    gradients: int
    optimizer: int
    units: int
    activations: int

    @property
    def total(self) -> int:
        """All of it; kernels and the caching of memory come on top."""
        return self.parameters + self.gradients + self.optimizer + self.units + self.activations


@dataclass(frozen=True)
class DryRun:
    """What a training would be.

    Attributes:
        model: class of the backbone, or of the model.
        device: where the step was taken.
        strategy: "single", "ddp" or "fsdp2".
        world_size: number of processes.
        samples: clips of an epoch.
        batch_size: clips of a process.
        samples_per_step: clips of an update, of all processes.
        batches_per_epoch: of a process.
        steps_per_epoch: updates of the weights.
        steps: updates of the whole training; None: it has no known end.
        parameters: numbers to learn, and `trainable` of them.
        trainable: numbers that are not frozen.
        memory: of a process.
        measured_samples: clips of the step that was taken; fewer than `batch_size`: the figures of
            the batch are computed from it.
        loss: of that step.
        step_seconds: of a batch.
        load_seconds: of a batch, read by one process.
        to_download: addresses of the weights to start from that are not on this machine: the step
            was taken without them.
        epoch_seconds: at the speed of this machine, when each process has a device and workers like
            it and exchanges cost nothing; without validation.
    """

    model: str
    device: str
    strategy: str
    world_size: int
    samples: int
    batch_size: int
    samples_per_step: int
    batches_per_epoch: int
    steps_per_epoch: int
    steps: int | None
    parameters: int
    trainable: int
    memory: Memory
    measured_samples: int
    loss: float
    step_seconds: float
    load_seconds: float
    epoch_seconds: float
    to_download: tuple[str, ...] = ()


def dry_run(
    config: Mapping[str, Any], *, world_size: int = 1, most_seconds: float | None = None, downloads: bool = False
) -> DryRun:
    """Build all parts of a training, read a batch, take one step; the work folder stays as it is.

    Args:
        config: of a run.
        world_size: processes that would train; this one stands for each of them.
        most_seconds: take no step with the whole batch that lasts longer; default: `MOST_SECONDS`.
        downloads: download the weights to start from, too; else those that are not in the cache are
            left out.

    Raises:
        ConfigError: a value of the config is wrong, or there is no training in it.
        KinemaError: the data or the weights to start from cannot be read.
    """
    runner = Runner.from_cfg({**config, "resume": False, "launcher": "none"})
    plan = runner.plan
    if plan.train is None or plan.optim_wrapper is None or plan.until is None:
        raise ConfigError("a dry run needs train_dataloader, train_cfg and optim_wrapper")
    strategy = plan.strategy.get("name", "auto")
    if strategy == "single" and world_size > 1:
        raise ConfigError(f"strategy='single' trains in one process, but there are {world_size}: use 'ddp' or 'fsdp2'")
    strategy = "single" if world_size == 1 else {"auto": "ddp"}.get(strategy, strategy)
    loader: Any = build_loader(plan.train, "train", runner.network, runner.seed)
    if not loader.batch_size:
        raise ConfigError("a dry run needs train_dataloader.batch_size, which this loader does not have")
    if plan.val is not None:
        validation = build_evaluation_loop(runner, plan, "val", ValLoop).dataloader
        next(iter(_probe_loader(plan.val.loader, validation, 1)))
    missing = _load_start(runner, plan.load_from, downloads=downloads)
    step = runner.train_step = build_step(replace(plan, strategy={}), runner.network, runner.device)
    runner.train_dataloader = loader
    runner.train_loop = build_train_loop(runner, plan.train.loop, loader, plan.until)
    check_schedule_config(plan.param_scheduler)
    runner.build_param_scheduler(plan.param_scheduler)

    most_seconds = MOST_SECONDS if most_seconds is None else most_seconds
    largest = min(loader.batch_size, len(loader.dataset))
    few = min(PROBE_SAMPLES, largest)
    probe = _probe(step, _probe_loader(plan.train.loader, loader, few))
    # The first step of a process is slow, so that there is a second one, unless it would take long.
    if probe.seconds_of(few) <= most_seconds:
        probe = _probe(step, _probe_loader(plan.train.loader, loader, few))
    if few < largest and probe.seconds_of(largest) <= most_seconds:
        probe = _probe(step, _probe_loader(plan.train.loader, loader, largest))
    factor = largest / probe.samples
    step_seconds, load_seconds = probe.step_seconds * factor, probe.load_seconds * factor
    samples = len(loader.sampler) if loader.sampler is not None else len(loader.dataset)
    batches, steps = epoch_length(samples, loader.batch_size, world_size, step.accumulate, drop_last=loader.drop_last)
    workers = loader.num_workers
    seconds = max(step_seconds, load_seconds / workers) if workers else step_seconds + load_seconds
    limits = (plan.until.epochs and plan.until.epochs * steps, plan.until.steps)
    of_iterations = plan.until.iterations and math.ceil(plan.until.iterations / step.accumulate)
    averages = any(isinstance(hook, EMAHook) for hook in runner.hooks)
    return DryRun(
        model=type(getattr(runner.network, "backbone", runner.network)).__name__,
        device=str(runner.device),
        strategy=strategy,
        world_size=world_size,
        samples=samples,
        batch_size=loader.batch_size,
        samples_per_step=loader.batch_size * world_size * step.accumulate,
        batches_per_epoch=batches,
        steps_per_epoch=steps,
        steps=next((limit for limit in (*limits, of_iterations) if limit), None),
        parameters=sum(parameter.numel() for parameter in runner.network.parameters()),
        trainable=sum(parameter.numel() for parameter in runner.network.parameters() if parameter.requires_grad),
        memory=memory_of(
            runner.network,
            [wrapper.optimizer for wrapper in step.optim_wrapper.wrappers.values()],
            strategy,
            world_size,
            activations=round(probe.activation_bytes * factor),
            averages=averages,
        ),
        measured_samples=probe.samples,
        loss=probe.loss,
        step_seconds=step_seconds,
        load_seconds=load_seconds,
        epoch_seconds=batches * seconds,
        to_download=tuple(map(shown_address, missing)),
    )


def _load_start(runner: Runner, load_from: Any, *, downloads: bool) -> list[str]:
    """Load the weights to start from, and return the addresses of those that are left out."""
    if load_from is not None:
        if not downloads and must_be_downloaded(load_from):
            return [load_from]
        runner.load_checkpoint(load_from)
        return []
    if not hasattr(runner.network, "init_weights") or getattr(runner.network, "is_init", False):
        return []
    missing = [] if downloads else leave_out_downloads(runner.network)
    with only_to_files():  # a line a parameter
        runner.network.init_weights()
    return missing


def epoch_length(
    samples: int, batch_size: int, world_size: int, accumulate: int = 1, *, drop_last: bool = False
) -> tuple[int, int]:
    """Batches of a process, and updates of the weights, in an epoch of so many samples.

    Each process gets the same number of samples, and the rest of an epoch is a smaller batch and a
    shorter window of accumulation.
    """
    own = -(-samples // world_size)
    batches = own // batch_size if drop_last else -(-own // batch_size)
    return batches, -(-batches // accumulate)


def memory_of(
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    strategy: str,
    world_size: int,
    *,
    activations: int = 0,
    averages: bool = False,
) -> Memory:
    """Memory of each process that trains a model.

    Args:
        model: the model.
        optimizers: after a step, when their state is there.
        strategy: "single", "ddp" or "fsdp2".
        world_size: number of processes.
        activations: bytes, of a batch.
        averages: keep averages of the weights.
    """
    parameters = list(model.parameters())
    weights = sum(map(_bytes, parameters))
    trainable = sum(_bytes(parameter) for parameter in parameters if parameter.requires_grad)
    entries = [entry for optimizer in optimizers for entry in optimizer.state.values()]
    state = sum(_bytes(value) for entry in entries for value in entry.values() if _is_large(value))
    state += weights if averages else 0
    buffers = sum(map(_bytes, model.buffers()))
    if strategy != "fsdp2":
        copies = 2 if strategy == "ddp" else 1
        return Memory(weights + buffers, copies * trainable, state, 0, activations)
    sizes = sorted(_unit_bytes(model), reverse=True)

    def share(size: int) -> int:
        return -(-size // world_size)

    return Memory(share(weights) + buffers, share(trainable), share(state), 2 * sum(sizes[:2]), activations)


def _unit_bytes(model: nn.Module) -> list[int]:
    """Bytes of the weights of each unit that FSDP2 shards on its own, and of the rest."""
    taken: set[Tensor] = set()
    sizes = []
    for unit in [*units_of(model), model]:
        own = [parameter for parameter in unit.parameters() if parameter not in taken]
        taken.update(own)
        sizes.append(sum(map(_bytes, own)))
    return sizes


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _is_large(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


@dataclass(frozen=True)
class _Probe:
    samples: int
    load_seconds: float
    step_seconds: float
    activation_bytes: int
    loss: float

    def seconds_of(self, batch_size: int) -> float:
        return (self.load_seconds + self.step_seconds) * batch_size / self.samples


def _probe_loader(config: Any, built: Any, batch_size: int) -> Any:
    """A loader of smaller batches in this process; that of the run where it is no config."""
    if not isinstance(config, Mapping):
        return built
    changes = {"batch_size": batch_size, "num_workers": 0, "persistent_workers": False, "drop_last": False}
    plain = {key: value for key, value in config.items() if key not in ("prefetch_factor", "batch_sampler")}
    return Runner.build_dataloader({**plain, **changes}, seed=0)


def _probe(step: TrainStep, loader: Any) -> _Probe:
    """Read a batch and take a step, with the seconds and the bytes of it."""
    asked = time.perf_counter()
    batch = next(iter(loader))
    began = time.perf_counter()
    step.model.train()
    with _counted_activations(step.model) as sizes:
        logs = step(batch, Window(0, 1))
    loss = float(logs["loss"])  # waits for the device
    ended = time.perf_counter()
    samples = min(loader.batch_size, len(loader.dataset))
    return _Probe(samples, began - asked, ended - began, sum(sizes.values()), loss)


@contextmanager
def _counted_activations(model: nn.Module) -> Iterator[dict[int, int]]:
    """Bytes, by address, of what a forward pass saves for the backward pass, without the model's own tensors."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
