"""OpenMMLab's hooks that keep a run's books: the message hub, times, and those whose work Kinema does elsewhere."""

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor

from kinema.distributed import is_distributed
from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.optim.wrapper import BaseOptimWrapper
from kinema.registry import HOOKS
from kinema.training.run import Run


@HOOKS.register_module()
class RuntimeInfoHook(Hook):
    """Keep the message hub up to date: facts of the run, and the figures of steps and validations.

    Facts: `cfg`, `seed`, `experiment_name`, `max_epochs`, `max_iters`, `epoch`, `iter`, `dataset_meta`,
    `loop_stage`. Figures: `train/lr` and `train/NAME` of what the training steps return, `val/NAME`,
    `test/NAME`.
    """

    priority = "VERY_HIGH"

    _resumed: Mapping[str, Any] = {}  # facts of the checkpoint, until the first border

    def before_run(self, runner: Run) -> None:
        hub = runner.message_hub
        hub.update_info("seed", runner.seed)
        hub.update_info("experiment_name", getattr(runner, "experiment_name", runner.work_dir.name), resumed=False)
        config = getattr(runner, "cfg", None)
        if config:
            with suppress(ConfigError):  # it holds objects
                hub.update_info("cfg", config.pretty_text, resumed=False)

    def before_train(self, runner: Run) -> None:
        hub, loop = runner.message_hub, runner.train_loop
        loader = loop.dataloader if isinstance(runner, Run) else runner.train_dataloader
        meta = dict(getattr(loader.dataset, "metainfo", None) or {})
        facts = {"loop_stage": "train", "max_epochs": runner.max_epochs, "max_iters": runner.max_iters}
        hub.update_info_dict(facts, resumed=False)
        place = {"epoch": runner.epoch, "iter": runner.iter}
        self._resumed = {name: hub.get_info(name, place[name]) for name in place}
        hub.update_info_dict(place)
        hub.update_info("dataset_meta", meta, resumed=False)

    def at_border(self, runner: Run) -> None:
        # What is saved before the first batch of a resumed run is what was saved there before.
        runner.message_hub.update_info_dict(self._resumed)
        self._resumed = {}

    def after_train(self, runner: Run) -> None:
        runner.message_hub.pop_info("loop_stage")

    def before_train_epoch(self, runner: Run) -> None:
        runner.message_hub.update_info("epoch", runner.epoch)

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        hub = runner.message_hub
        hub.update_info("iter", runner.iter)
        for name, values in runner.optim_wrapper.get_lr().items():
            hub.note(f"train/{name}", values[0])

    def after_train_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        for name, value in (outputs or {}).items():
            runner.message_hub.note(f"train/{name}", value)
        given = runner.optim_wrapper
        for name, wrapper in given.wrappers.items() if isinstance(given, BaseOptimWrapper) else ():
            if wrapper.grad_norm is not None:
                figure = f"{name}.grad_norm" if name else "grad_norm"
                runner.message_hub.update_scalar(f"train/{figure}", wrapper.grad_norm)
                wrapper.grad_norm = None

    def before_val(self, runner: Run) -> None:
        self._stage = runner.message_hub.get_info("loop_stage")
        runner.message_hub.update_info("loop_stage", "val", resumed=False)

    def after_val(self, runner: Run) -> None:
        hub = runner.message_hub
        hub.pop_info("loop_stage")
        if self._stage is not None:
            hub.update_info("loop_stage", self._stage, resumed=False)

    def before_test(self, runner: Run) -> None:
        runner.message_hub.update_info("loop_stage", "test", resumed=False)

    def after_test(self, runner: Run) -> None:
        runner.message_hub.pop_info("loop_stage")

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        _note(runner, "val", metrics)

    def after_test_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        _note(runner, "test", metrics)


def _note(runner: Run, split: str, metrics: Mapping[str, Any] | None) -> None:
    """Numbers become figures, anything else facts, as in OpenMMLab."""
    for name, value in (metrics or {}).items():
        is_single = isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1
        if is_single or isinstance(value, int | float | np.number):
            runner.message_hub.note(f"{split}/{name}", float(value.item() if isinstance(value, np.ndarray) else value))
        else:
            runner.message_hub.update_info(f"{split}/{name}", value, resumed=False)


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Put the seconds of batches into the message hub, and those that are left.

    Figures: `MODE/time`, of a whole batch, and `MODE/data_time`, of waiting for it. Fact: `eta`. They
    are not the same in each run, so that `metrics.jsonl` does not have them.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self.time_sec_tot: float = 0
        self.time_sec_test_val: float = 0
        self.start_iter = 0

    def before_train(self, runner: Run) -> None:
        self.start_iter = runner.iter

    def _before_epoch(self, runner: Run, mode: str = "train") -> None:
        self.t = time.time()

    def _after_epoch(self, runner: Run, mode: str = "train") -> None:
        self.time_sec_test_val = 0

    def _before_iter(self, runner: Run, batch_idx: int, data_batch: Any = None, mode: str = "train") -> None:
        runner.message_hub.update_scalar(f"{mode}/data_time", time.time() - self.t)

    def _after_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        hub, seconds = runner.message_hub, time.time() - self.t
        self.t = time.time()
        hub.update_scalar(f"{mode}/time", seconds)
        if mode == "train":
            done = runner.iter - self.start_iter + 1
            self.time_sec_tot += seconds
            hub.update_info("eta", self.time_sec_tot / done * (runner.max_iters - runner.iter - 1), resumed=False)
            return
        self.time_sec_test_val += seconds
        if isinstance(runner, Run):
            loader = (runner.val_loop if mode == "val" else runner.test_loop).dataloader
        else:
            loader = runner.val_dataloader if mode == "val" else runner.test_dataloader
        left = len(loader) - batch_idx - 1
        hub.update_info("eta", self.time_sec_test_val / (batch_idx + 1) * left, resumed=False)


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Report the number of the pass to the sampler of a loader that is not Kinema's, which does it itself."""

    priority = "NORMAL"

    def before_train_epoch(self, runner: Run) -> None:
        loader = runner.train_loop.dataloader
        samplers: list[Any] = [loader.sampler, getattr(getattr(loader, "batch_sampler", None), "sampler", None)]
        for sampler in samplers:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(runner.epoch)
                return


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Nothing is left to do: the strategy aligns buffers before evaluations and checkpoints. For users' subclasses."""

    def __init__(self) -> None:
        self.distributed = is_distributed()
