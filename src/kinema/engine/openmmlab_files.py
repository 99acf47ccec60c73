"""Files that OpenMMLab's tools read: a `.pth` of a run."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kinema import __version__
from kinema.distributed import is_main_process
from kinema.files import written_whole
from kinema.runs.message_hub import CheckpointedHub
from kinema.training.checkpoints import snapshot
from kinema.training.run import Run


def write_pth(
    run: Run,
    file: Path,
    about: Mapping[str, Any],
    *,
    by_epoch: bool = True,
    with_optimizer: bool = True,
    with_schedules: bool = True,
) -> None:
    """Write weights and states as MMEngine does. All processes call it.

    The file holds `meta`, `state_dict` (the averaged weights where the run has some), `message_hub`,
    `optimizer` (by parameter names where it is sharded) and `param_schedulers`. It is no checkpoint
    to resume from: those are folders, which `CheckpointHook` writes at borders.

    Args:
        run: a training.
        file: its path; `{}` in its name stands for the epoch or iteration.
        about: further entries of `meta`.
        by_epoch: the present epoch counts as done, otherwise the present batch.
        with_optimizer: whether it holds the optimizer's state.
        with_schedules: whether it holds the schedules' states.
    """
    assert run.train_step is not None
    weights, state = snapshot(run)
    place = {"epoch": run.progress.epoch + by_epoch, "iter": run.progress.iteration + (not by_epoch)}
    facts = {"seed": run.seed, "time": time.strftime("%Y%m%d_%H%M%S"), "kinema_version": __version__}
    checkpoint: dict[str, Any] = {
        "meta": {**place, **facts, **about},
        "state_dict": weights,
        "message_hub": CheckpointedHub(run.message_hub).state_dict(),
    }
    if with_optimizer:
        is_sharded = run.train_step.strategy.name == "fsdp2"
        optimizer = run.train_step.optim_wrapper.optimizer
        checkpoint["optimizer"] = state["optimizer"] if is_sharded else optimizer.state_dict()
    if with_schedules:
        checkpoint["param_schedulers"] = [
            schedule.state_dict() if hasattr(schedule, "state_dict") else {} for schedule in run.schedules
        ]
    run.call_hook("before_save_checkpoint", checkpoint=checkpoint)
    if is_main_process():
        target = file.with_name(file.name.format(place["epoch"] if by_epoch else place["iter"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target, "wb") as opened:
            torch.save(checkpoint, opened)
