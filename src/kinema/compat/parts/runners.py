"""`Runner` with what code for MMEngine reads of one beside its methods."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema import engine
from kinema.compat.parts.loggers import MMLogger
from kinema.compat.parts.run_schedules import know_run
from kinema.config import Config
from kinema.distributed import is_main_process
from kinema.errors import ConfigError
from kinema.hooks.hook import points_of
from kinema.optim.schedules import Position, schedules_by_optimizer
from kinema.optim.wrapper import BaseOptimWrapper


class Runner(engine.Runner):
    """Kinema's `Runner`, with a logger of its own, and building by hand what MMEngine's builds."""

    scheduled_position: Position | None = None  # whose rates and momenta were set last
    _counts_accumulation = False  # `auto_scale_lr` does not look at accumulative_counts there

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(engine.Runner).bind(*args, **kwargs).arguments
        _check_training(given)
        file = getattr(given.get("cfg"), "filename", None)
        self._given_name: str = given.get("experiment_name") or (Path(file).stem if file else "")
        if given.get("visualizer") is None:
            given["visualizer"] = {"vis_backends": [{"type": "LocalVisBackend"}]}
        super().__init__(**given)
        self._copy_config()

    # ---- what the run is made of

    @property
    def experiment_name(self) -> str:
        """The name that was given, or that of the config's file, and when the run began."""
        return f"{self._given_name}_{self.timestamp}" if self._given_name else self.timestamp

    @property
    def model(self) -> Any:
        """The model; on several processes, once a training is prepared, in what wraps it, as its `module`."""
        wrapper = None if self.train_step is None else self.train_step.strategy.module
        return wrapper if getattr(wrapper, "module", None) is self.network else self.network

    @model.setter
    def model(self, model: Any) -> None:
        self.network = model

    @property
    def max_iters(self) -> int:
        """Batches of the whole training, whose loop is built to count them; 0 where they are not known."""
        return 0 if self.plan.train is None or self.train_loop is None else super().max_iters

    @property
    def _resume(self) -> bool:
        return self.plan.resume

    @_resume.setter
    def _resume(self, resume: bool) -> None:
        self.plan = replace(self.plan, resume=resume)

    @property
    def _val_evaluator(self) -> Any:
        return self._evaluator_or_settings("val")

    @property
    def _test_evaluator(self) -> Any:
        return self._evaluator_or_settings("test")

    def _evaluator_or_settings(self, split: str) -> Any:
        phase = getattr(self.plan, split)
        return self.loops[split].evaluator if split in self.loops else phase and phase.evaluator

    def _copy_config(self) -> None:
        """Write the config beside what this run will write, under the name of its file or of the time."""
        copy = self.work_dir / (self.cfg_name or f"{self.timestamp}.py")
        is_source = self._config_file is not None and copy.resolve() == self._config_file.resolve()
        if not is_main_process() or is_source or copy.suffix != ".py":
            return
        with suppress(ConfigError):  # it holds objects
            self.work_dir.mkdir(parents=True, exist_ok=True)
            Config(dict(self.cfg)).dump(copy)

    # ---- building

    def build_logger(self, log_level: int | str = "INFO", log_file: Any = None, **settings: Any) -> logging.Logger:
        """An `MMLogger` with the name of the run; its records are in the log of the run, too."""
        arguments = {"name": self.experiment_name or "mmengine", "log_level": log_level, "log_file": log_file}
        return MMLogger.get_instance(**{**arguments, **settings})

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: Mapping[str, Any] | None = None) -> None:
        """Scale the rates of an optimizer to the samples of an update, see `auto_scale_lr` of the run.

        Raises:
            ConfigError: schedules are built already, which keep the rates of now; or see the runner's.
        """
        chosen = self.plan.auto_scale_lr if auto_scale_lr is None else auto_scale_lr
        lists = [parts for parts in schedules_by_optimizer(self.param_schedulers).values() if isinstance(parts, list)]
        is_built = any(hasattr(part, "base_values") for parts in lists for part in parts)
        if is_built and (chosen or {}).get("enable"):
            raise ConfigError("scale_lr: the schedules are built already, with the rates of now: call it before")
        super().scale_lr(optim_wrapper, auto_scale_lr)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Schedules of their config, or of several; of an `OptimWrapperDict` a dict of them by name.

        Raises:
            ConfigError: the optimizer is not built yet.
        """
        if scheduler and not isinstance(self.optim_wrapper, BaseOptimWrapper):
            raise ConfigError("build_param_scheduler: the optimizer is not built yet, see build_optim_wrapper")
        built = super().build_param_scheduler(scheduler)
        for name, schedules in schedules_by_optimizer(built).items():
            for schedule in schedules:
                know_run(schedule, self, self.optim_wrapper.wrappers[name])
        return built

    # ---- hooks

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Sequence[Any] | None = None) -> None:
        """Add the hooks that a run of OpenMMLab has by default, changed by `default_hooks`, and further ones."""
        self.register_default_hooks(default_hooks)
        self.register_custom_hooks(custom_hooks or ())

    def get_hooks_info(self) -> str:
        """For each point of a run the hooks that do something there, but for Kinema's own, in their order."""
        return points_of(self._hooks)


def _check_training(given: Mapping[str, Any]) -> None:
    """Refuse a part of a training, as MMEngine's runner does before anything is built.

    Raises:
        ValueError: a part is missing.
    """
    names = ("train_dataloader", "train_cfg", "optim_wrapper")
    missing = [name for name in names if given.get(name) is None]
    if 0 < len(missing) < len(names):
        raise ValueError(f"{' and '.join(missing)} missing: {', '.join(names)} are given together or not at all")
    if missing and given.get("param_scheduler") is not None:
        raise ValueError("param_scheduler is given, but no optim_wrapper whose rates it could change")
