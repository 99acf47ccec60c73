"""MMEngine's names on a run, which users' hooks and scripts read."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from kinema.checkpoints.contract import ModelContract
from kinema.config import Config
from kinema.distributed import get_rank, get_world_size, is_distributed
from kinema.engine.assembly import build_loader, contract_of
from kinema.engine.building import RunnerParts
from kinema.engine.plan import DEFAULT_HOOKS, Phase, RunPlan
from kinema.engine.visualizer import give_trackers, run_visualizer
from kinema.evaluation import Evaluator
from kinema.hooks import BrokenVideosHook, HangHook, NonFiniteHook, PatienceHook, StopSignalHook, ValidationHook
from kinema.hooks.hook import points_of
from kinema.hooks.tracking import TrackingHook
from kinema.training.priorities import build_hooks
from kinema.visualization import Visualizer


class RunnerNames(RunnerParts):
    """A `Run` with the names that MMEngine's runner has beside those of `Run`."""

    plan: RunPlan
    cfg: Config
    _visualizer_settings: Any
    cfg_name: str
    logger: logging.Logger
    _train_dataloader: Any
    _val_dataloader: Any
    _test_dataloader: Any
    _optim_wrapper: Any
    _param_schedulers: Any
    _contract: ModelContract | None = None

    def contract(self) -> ModelContract:
        """What the checkpoints of the run say of the model: its config, classes, sampling."""
        if self._contract is None:
            clip_seconds = self._metainfo.get("clip_seconds")
            self._contract = contract_of(self.plan, self.network, self.classes, clip_seconds=clip_seconds)
        return self._contract

    @property
    def num_epochs(self) -> int:
        """Epochs of the training; 0 where it is not counted in epochs."""
        until = getattr(self.loops.get("train"), "until", self.plan.until)
        return int(getattr(self.loops.get("train"), "max_epochs", 0)) if until is None else until.epochs or 0

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return int(getattr(self.loops.get("train"), "epoch", self.progress.epoch))

    @property
    def iter(self) -> int:
        """Batches that are done."""
        return int(getattr(self.loops.get("train"), "iter", self.progress.iteration))

    @property
    def best(self) -> dict[str, Any]:
        """The best validation so far."""
        return self.progress.best

    @property
    def optim_wrapper(self) -> Any:
        """What updates the weights; what was given for it until a training is prepared."""
        return self._optim_wrapper if self.train_step is None else self.train_step.optim_wrapper

    @optim_wrapper.setter
    def optim_wrapper(self, wrapper: Any) -> None:
        self._optim_wrapper = wrapper
        if self.train_step is not None:  # another one from here on
            self.train_step.update_by(self.build_optim_wrapper(wrapper))
            if hasattr(self.train_loop, "attach"):
                self.train_loop.attach(self.train_step)

    @property
    def param_schedulers(self) -> Any:
        """The schedules of learning rate and momentum; what was given for them until a training is prepared."""
        return self._param_schedulers if self.train_step is None else self.schedules

    @param_schedulers.setter
    def param_schedulers(self, schedulers: Any) -> None:
        self._param_schedulers = schedulers
        if self.train_step is not None:
            self.schedules = self.build_param_scheduler(schedulers)

    @property
    def train_loop(self) -> Any:
        """The training loop, which is built at the first use."""
        if "train" not in self.loops:
            self.loops["train"] = self.build_train_loop(self._train_loop)
        return self.loops["train"]

    @train_loop.setter
    def train_loop(self, loop: Any) -> None:
        self.loops["train"] = loop

    @property
    def val_loop(self) -> Any:
        """The loop of validations, which is built at the first use."""
        if "val" not in self.loops:
            self.loops["val"] = self.build_val_loop(self._val_loop)
        return self.loops["val"]

    @val_loop.setter
    def val_loop(self, loop: Any) -> None:
        self.loops["val"] = loop

    @property
    def test_loop(self) -> Any:
        """The loop of tests, which is built at the first use."""
        if "test" not in self.loops:
            self.loops["test"] = self.build_test_loop(self._test_loop)
        return self.loops["test"]

    @test_loop.setter
    def test_loop(self, loop: Any) -> None:
        self.loops["test"] = loop

    def _loop_or_settings(self, split: str) -> Any:
        phase = getattr(self.plan, split)
        return self.loops.get(split, None if phase is None else dict(phase.loop))

    @property
    def _train_loop(self) -> Any:
        """The training loop, or its settings until it is built; None: there is none."""
        return self._loop_or_settings("train")

    @property
    def _val_loop(self) -> Any:
        """The loop of validations, or its settings until it is built; None: there is none."""
        return self._loop_or_settings("val")

    @property
    def _test_loop(self) -> Any:
        """The loop of tests, or its settings until it is built; None: there is none."""
        return self._loop_or_settings("test")

    @property
    def train_dataloader(self) -> Any:
        """The loader of the training, which is built at the first use; None: there is no training."""
        if self.plan.train is not None and not isinstance(self._train_dataloader, DataLoader):
            given = Phase(self._train_dataloader, self.plan.train.loop)
            self._train_dataloader = build_loader(given, "train", self.network, self.seed, self.build_dataloader)
        return self._train_dataloader

    @train_dataloader.setter
    def train_dataloader(self, loader: Any) -> None:
        self._train_dataloader = loader

    @property
    def val_dataloader(self) -> Any:
        """The loader of validations, which is built at the first use; None: there are none."""
        return self._evaluation_loader("val")

    @property
    def test_dataloader(self) -> Any:
        """The loader of tests, which is built at the first use; None: there are none."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: str) -> Any:
        if getattr(self.plan, split) is None:
            return None
        built = getattr(self, f"_{split}_dataloader")
        return built if isinstance(built, DataLoader) else getattr(self, f"{split}_loop").dataloader

    @property
    def _hooks(self) -> list[Any]:
        """The hooks but for those with which Kinema validates, stops and looks after a run."""
        return [hook for hook in self.hooks if not isinstance(hook, _OWN_HOOKS)]

    @_hooks.setter
    def _hooks(self, hooks: Sequence[Any]) -> None:
        own = [hook for hook in self.hooks if isinstance(hook, _OWN_HOOKS)]
        self.hooks = build_hooks([*own, *hooks])

    @property
    def rank(self) -> int:
        """Number of this process."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return get_world_size()

    @property
    def classes(self) -> list[str]:
        """Class names of the training data, or of what is evaluated; empty when unknown."""
        return list(self._metainfo.get("classes") or [])

    @property
    def _metainfo(self) -> Mapping[str, Any]:
        """What is known of the training data as a whole, or of what is evaluated."""
        loop = next((self.loops[split] for split in ("train", "val", "test") if split in self.loops), None)
        return getattr(loop and loop.dataloader.dataset, "metainfo", None) or {}

    @cached_property
    def timestamp(self) -> str:
        """When it was first read, such as 20261129_081500."""
        return time.strftime("%Y%m%d_%H%M%S")

    @property
    def experiment_name(self) -> str:
        """The name in `summary.json`."""
        return self.plan.experiment_name

    @property
    def log_dir(self) -> Path:
        """The work folder."""
        return self.work_dir

    _log_dir = log_dir

    @property
    def model_name(self) -> str:
        """Name of the model's class."""
        return type(self.network).__name__

    @property
    def launcher(self) -> str:
        """What started the processes."""
        return self.plan.launcher

    @property
    def deterministic(self) -> bool:
        """Whether torch uses deterministic algorithms only."""
        return self.plan.deterministic

    @property
    def distributed(self) -> bool:
        """Is this process part of a distributed run?"""
        return is_distributed()

    @property
    def train_cfg(self) -> Mapping[str, Any]:
        """The settings of the training loop."""
        return {} if self.plan.train is None else self.plan.train.loop

    @property
    def val_interval(self) -> int:
        """Epochs, or batches, between two validations."""
        return int(self.train_cfg.get("val_interval", 1 if self.num_epochs else 1000))

    @property
    def val_begin(self) -> int:
        """The first epoch, or batch, after which to validate."""
        return int(self.train_cfg.get("val_begin", 1))

    @property
    def val_evaluator(self) -> Evaluator:
        """The metrics of validations."""
        evaluator: Evaluator = self.val_loop.evaluator
        return evaluator

    @property
    def test_evaluator(self) -> Evaluator:
        """The metrics of tests."""
        evaluator: Evaluator = self.test_loop.evaluator
        return evaluator

    @cached_property
    def visualizer(self) -> Visualizer:
        """Takes figures and images for the log of the run; that of the config, or `Visualizer`."""
        return run_visualizer(self, self._visualizer_settings, self.experiment_name)

    # ---- hooks

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Sequence[Any] | None = None) -> None:
        """Add hooks, objects or configs; `default_hooks` are those of a dict by name."""
        self._add_hooks([*(default_hooks or {}).values(), *(custom_hooks or ())])

    def register_default_hooks(self, hooks: Mapping[str, Any] | None = None) -> None:
        """Add the hooks that a run of OpenMMLab has by default, changed by `hooks`: None leaves one out."""
        entries = {**{name: {"type": kind} for name, kind in _DEFAULT_HOOKS.items()}, **(hooks or {})}
        self._add_hooks([hook for hook in entries.values() if hook is not None])

    def register_custom_hooks(self, hooks: Sequence[Any]) -> None:
        """Add hooks."""
        self._add_hooks(hooks)

    def _add_hooks(self, hooks: Sequence[Any]) -> None:
        self.hooks = build_hooks([*self.hooks, *hooks])
        give_trackers(self.visualizer, self)

    def get_hooks_info(self) -> str:
        """For each point of a run the hooks that do something there, in their order."""
        return points_of(self.hooks)


_DEFAULT_HOOKS = {"runtime_info": "RuntimeInfoHook", "timer": "IterTimerHook", "sampler_seed": "DistSamplerSeedHook"}
_DEFAULT_HOOKS |= {name: DEFAULT_HOOKS[name] for name in ("logger", "param_scheduler", "checkpoint")}  # OpenMMLab's
_OWN_HOOKS = (BrokenVideosHook, HangHook, NonFiniteHook, PatienceHook, StopSignalHook, TrackingHook, ValidationHook)
