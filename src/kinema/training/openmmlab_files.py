"""Files that OpenMMLab's tools read and write: a `.pth` of a run, and taking a training up from one."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinema import __version__
from kinema.checkpoints.reading import read_checkpoint
from kinema.distributed import is_main_process
from kinema.errors import CheckpointError
from kinema.files import write_text, written_whole
from kinema.openmmlab import run_files
from kinema.optim.schedules import Schedule, apply_schedules, schedules_by_optimizer
from kinema.optim.wrapper_dict import share_of
from kinema.printable import first_line
from kinema.training.checkpoints import snapshot
from kinema.training.progress import Progress
from kinema.training.run import Run

logger = logging.getLogger("kinema")

POINTER = "last_checkpoint"  # beside the files, with the path of the newest


def write_pth(
    run: Run,
    file: Path,
    description: Mapping[str, Any],
    *,
    by_epoch: bool = True,
    with_optimizer: bool = True,
    with_schedules: bool = True,
) -> Path:
    """Write weights and states as MMEngine does. All processes call it.

    The file holds `meta`, `state_dict` (the averaged weights where the run has some), `message_hub`
    (facts), `optimizer` and `param_schedulers` in the order in which MMEngine builds them, of several
    optimizers by name, so that it can resume from the file. Kinema itself resumes exactly from its
    own checkpoints only.

    Args:
        run: a training.
        file: its path; `{}` in its name stands for the epoch or iteration.
        description: further entries of `meta`.
        by_epoch: inside an epoch, the present epoch counts as done, otherwise the present batch.
        with_optimizer: whether it holds the optimizer's state.
        with_schedules: whether it holds the schedules' states.

    Returns:
        The path of the file.
    """
    weights, state = snapshot(run)
    place = place_of(run, by_epoch=by_epoch)
    facts = {"seed": run.seed, "time": time.strftime("%Y%m%d_%H%M%S"), "kinema_version": __version__}
    facts["mmengine_version"] = run_files.MMENGINE
    checkpoint: dict[str, Any] = {
        "meta": {**place, **facts, **description},
        "state_dict": weights,
        "message_hub": _facts_of(run, place),
    }
    if "raw" in state and is_main_process():  # which MMEngine's EMA hook swaps with the averages
        trained = {f"module.{name}": tensor for name, tensor in {**weights, **state["raw"]}.items()}
        checkpoint["ema_state_dict"] = {"steps": torch.tensor(state["ema_updates"]), **trained}
    if with_optimizer and is_main_process():
        checkpoint["optimizer"] = {
            name: _by_index(run, name, share_of(state["optimizer"], name), place) for name in run.optim_wrapper.wrappers
        }
    if with_schedules:
        checkpoint["param_schedulers"] = {
            name: [_schedule_state(run, schedule, place) for schedule in schedules]
            for name, schedules in schedules_by_optimizer(run.schedules).items()
        }
    for key in {"optimizer", "param_schedulers"} & checkpoint.keys():
        checkpoint[key] = checkpoint[key].get("", checkpoint[key])
    run.call_hook("before_save_checkpoint", checkpoint=checkpoint)
    target = file.with_name(file.name.format(place["epoch"] if by_epoch else place["iter"]))
    if is_main_process():
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target, "wb") as opened:
            torch.save(checkpoint, opened)
    return target


def place_of(run: Run, *, by_epoch: bool) -> dict[str, int]:
    """The numbers that a file written now has: `epoch` and `iter`, the present one counted as done."""
    is_counted = run.is_at_border
    return {
        "epoch": run.progress.epoch + (by_epoch and not is_counted),
        "iter": run.progress.iteration + (not by_epoch and not is_counted),
    }


def _facts_of(run: Run, place: Mapping[str, int]) -> dict[str, Any]:
    """The plain facts of the message hub; of the last epoch and batch that are done, as MMEngine counts them."""
    facts = {key: value for key, value in run.message_hub.runtime_info.items() if isinstance(value, str | int | float)}
    facts |= {"epoch": max(place["epoch"] - 1, 0), "iter": max(place["iter"] - 1, 0)}
    return {"log_scalars": {}, "runtime_info": facts, "resumed_keys": dict.fromkeys(facts, True)}


def _by_index(run: Run, optimizer: str, named: Mapping[str, Any], place: Mapping[str, int]) -> dict[str, Any]:
    """A state of an optimizer by parameter names in the numbers and groups that MMEngine gives parameters.

    There all parameters, also frozen ones, are one group, or each that is not frozen its own where
    `paramwise_cfg` has rules. The groups of other constructors, and of several optimizers, stay.
    Rates are those of the batch that comes next.
    """
    wrapped = run.optim_wrapper.wrappers[optimizer].optimizer
    groups = wrapped.param_groups
    assert run.train_step is not None
    known = run.train_step.strategy.parameters
    in_groups = run.train_step.strategy.names_in_groups(wrapped)
    settings = [
        {key: value for key, value in group.items() if key not in ("params", "param_names")} for group in groups
    ]
    schedules = schedules_by_optimizer(run.schedules).get(optimizer, ())
    apply_schedules(schedules, settings, replace(run.position, epoch=place["epoch"], step=place["iter"]))
    has_others = any(name not in known for names in in_groups for name in names)
    if not optimizer and len(groups) == 1 and "param_names" not in groups[0] and not has_others:
        layout = [(list(known), settings[0])]
    elif has_others or optimizer or _has_own_constructor(run):
        layout = list(zip(in_groups, settings, strict=True))
    else:
        own = {name: entry for names, entry in zip(in_groups, settings, strict=True) for name in names}
        layout = [([name], own[name]) for name in known if name in own]
    numbers = {name: number for number, name in enumerate(name for names, _ in layout for name in names)}
    return {
        "state": {numbers[name]: dict(entry) for name, entry in named["state"].items()},
        "param_groups": [{**entry, "params": [numbers[name] for name in names]} for names, entry in layout],
    }


def _has_own_constructor(run: Run) -> bool:
    plan = getattr(run, "plan", None)
    config = getattr(plan, "optim_wrapper", None)
    kind = config.get("constructor") if isinstance(config, Mapping) else None
    return kind not in (None, "DefaultOptimWrapperConstructor")


def _schedule_state(run: Run, schedule: Any, place: Mapping[str, int]) -> dict[str, Any]:
    """Where a schedule is, as MMEngine's schedulers count."""
    own = dict(schedule.state_dict()) if hasattr(schedule, "state_dict") else {}
    if not isinstance(schedule, Schedule):
        return own
    if not schedule.follows_metrics:
        own = {}  # of where it is now
    position = replace(run.position, epoch=place["epoch"], step=place["iter"])
    last, done = schedule.count(position)
    return {"last_step": last, "_global_step": done, **own}


def newest_pth(folder: Path) -> Path | None:
    """The `.pth` file that `last_checkpoint` in a folder names; None where there is none."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return None
    named = Path(pointer.read_text(encoding="utf-8").strip())
    for file in (named, folder / named.name):  # the folder may have moved
        if file.is_file():
            return file
    return None


def point_to(file: Path) -> None:
    """Make `last_checkpoint` beside a file name it."""
    write_text(file.parent / POINTER, str(file))


def resume_pth(run: Run, file: Path, *, with_optimizer: bool = True) -> None:
    """Take a training up from a `.pth` file, of Kinema's or of OpenMMLab's. All processes call it.

    Weights, optimizer and counters are those of the file; random numbers begin anew, and so do the
    states of hooks. A file that was written inside an epoch resumes behind its batch.

    Args:
        run: a training that is prepared.
        file: the file.
        with_optimizer: whether to take the optimizer's state.

    Raises:
        CheckpointError: it cannot be read, says not where it was written, or does not fit.
    """
    assert run.train_step is not None
    read = read_checkpoint(file)
    meta = read.content.get("meta")
    if not isinstance(meta, Mapping) or not all(isinstance(meta.get(key), int) for key in ("epoch", "iter")):
        raise CheckpointError(f"{file}: has no epoch and iter in its meta, so no training can be resumed from it")
    content = {**read.content, "state_dict": read.state}
    run.call_hook("after_load_checkpoint", checkpoint=content)  # which may change what is loaded
    read = replace(read, state=content.pop("state_dict"), content=content)
    step, is_main = run.train_step, is_main_process()
    try:
        step.strategy.load_model_state(read.training_state() if is_main else {})
        if with_optimizer and "optimizer" in read.content:
            for name, wrapper in step.optim_wrapper.wrappers.items():
                own, saved = step.strategy.optimizer_state(wrapper.optimizer), share_of(read.content["optimizer"], name)
                if is_main:
                    names = step.strategy.names_in_groups(wrapper.optimizer)
                    own["state"] = _by_name(step.strategy.parameters, names, saved, file)
                step.strategy.load_optimizer_state(wrapper.optimizer, own if is_main else {})
        _count(run, meta["epoch"], meta["iter"])
        if step.ema is not None:
            averages = {name: read.state[name].to(run.device) for name in step.ema.averages}
            step.ema.load_state_dict({"updates": run.progress.step, "averages": averages})
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{file}: does not fit this run ({type(error).__name__}: {first_line(error)})") from error
    logger.info("resumed from %s: %d epochs, %d batches done", file, run.progress.epoch, run.progress.iteration)


def _by_name(parameters: Mapping[str, nn.Parameter], own: list[list[str]], state: Any, file: Path) -> dict[str, Any]:
    """The entries of an optimizer's state by names of parameters, of which the file has numbers.

    Args:
        parameters: of the model.
        own: names of those in each group of this run's optimizer.
        state: of the optimizer in the file.
        file: for messages.

    Raises:
        CheckpointError: the file is of another optimizer.
    """
    trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
    sizes = [len(group["params"]) for group in state["param_groups"]]
    count = sum(sizes)
    if sizes == [len(names) for names in own]:
        order = [name for names in own for name in names]
    elif count == len(parameters):
        order = list(parameters)
    elif count == len(trained):
        order = trained
    else:
        raise CheckpointError(
            f"{file}: its optimizer has {count} parameters, this run's {sum(map(len, own))}: resume with the model and"
            " the optimizer that it was saved with, or without its state (resume_optimizer=False)"
        )
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    return {order[numbers.index(number)]: dict(entry) for number, entry in state["state"].items()}


def _count(run: Run, epochs: int, iterations: int) -> None:
    """Set the counters of a run to so many epochs and batches."""
    loop, progress = run.train_loop, run.progress
    length, size = loop.batches_per_epoch, loop.dataloader.batch_size or 0
    new = Progress(epoch=epochs, iteration=iterations, best=progress.best)
    if length:
        if loop.until.epochs is None:
            new.epoch = iterations // length
        new.batch = max(iterations - new.epoch * length, 0) % length
        updates = -(-length // loop.accumulate)
        new.step = new.epoch * updates + new.batch // loop.accumulate
    else:
        new.step = iterations // loop.accumulate
    new.samples, new.epoch_samples = iterations * size, new.batch * size
    progress.load_state_dict(new.state_dict())
