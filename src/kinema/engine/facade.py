"""MMEngine's names on a run, which users' hooks and scripts read."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from kinema.checkpoints.contract import ModelContract
from kinema.config import Config
from kinema.datasets import build_dataloader
from kinema.distributed import get_rank, get_world_size, is_distributed, is_main_process
from kinema.engine.assembly import build_evaluation_loop, build_evaluator, build_train_loop, contract_of
from kinema.engine.openmmlab_files import write_pth
from kinema.engine.plan import Phase, RunPlan
from kinema.engine.visualizer import RunVisualizer
from kinema.errors import ConfigError
from kinema.evaluation import Evaluator
from kinema.hooks.hook import Hook
from kinema.optim.schedules import build_schedules
from kinema.optim.wrapper import OptimWrapper, build_optim_wrapper
from kinema.registry import MODELS
from kinema.runs.message_hub import MessageHub
from kinema.training.loops import TestLoop, ValLoop
from kinema.training.priorities import build_hooks
from kinema.training.run import Run


class RunnerNames(Run):
    """A `Run` with the names that MMEngine's runner has beside those of `Run`."""

    plan: RunPlan
    cfg: Config
    logger: logging.Logger
    train_dataloader: DataLoader | Mapping[str, Any] | None
    _contract: ModelContract | None = None

    def contract(self) -> ModelContract:
        """What the checkpoints of the run say of the model: its config, classes, sampling."""
        if self._contract is None:
            clip_seconds = self._metainfo.get("clip_seconds")
            self._contract = contract_of(self.plan, self.model, self.classes, clip_seconds=clip_seconds)
        return self._contract

    @property
    def max_epochs(self) -> int:
        """Epochs of the training; 0 where it is not counted in epochs."""
        return 0 if self.plan.until is None else self.plan.until.epochs or 0

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return self.progress.epoch

    @property
    def iter(self) -> int:
        """Batches that are done."""
        return self.progress.iteration

    @property
    def best(self) -> dict[str, Any]:
        """The best validation so far."""
        return self.progress.best

    @property
    def optim_wrapper(self) -> OptimWrapper:
        """What updates the weights."""
        assert self.train_step is not None  # training has begun
        return self.train_step.optim_wrapper

    @property
    def param_schedulers(self) -> list[Any]:
        """The schedules of learning rate and momentum."""
        return self.schedules

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
        loop = self.train_loop or self.val_loop or self.test_loop
        return getattr(loop.dataloader.dataset, "metainfo", None) or {}

    # ---- facts

    @cached_property
    def timestamp(self) -> str:
        """When somebody first asked for it, such as 20261129_081500."""
        return time.strftime("%Y%m%d_%H%M%S")

    @property
    def experiment_name(self) -> str:
        """The name in `summary.json`."""
        return self.plan.experiment_name

    @property
    def log_dir(self) -> Path:
        """The work folder."""
        return self.work_dir

    @property
    def model_name(self) -> str:
        """Name of the model's class."""
        return type(self.model).__name__

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
        return int(self.train_cfg.get("val_interval", 1 if self.max_epochs else 1000))

    @property
    def val_begin(self) -> int:
        """The first epoch, or batch, after which to validate."""
        return int(self.train_cfg.get("val_begin", 1))

    @property
    def val_evaluator(self) -> Evaluator:
        """The metrics of validations."""
        self.val_loop = self.val_loop or self.build_val_loop()
        evaluator: Evaluator = self.val_loop.evaluator
        return evaluator

    @property
    def test_evaluator(self) -> Evaluator:
        """The metrics of tests."""
        self.test_loop = self.test_loop or self.build_test_loop()
        evaluator: Evaluator = self.test_loop.evaluator
        return evaluator

    @cached_property
    def visualizer(self) -> RunVisualizer:
        """Takes figures and images for the log of the run."""
        return RunVisualizer(self)

    # ---- parts

    build_dataloader = staticmethod(build_dataloader)

    def build_model(self, model: nn.Module | Mapping[str, Any]) -> nn.Module:
        """A model of its config."""
        built: nn.Module = MODELS.build(model) if isinstance(model, Mapping) else model
        return built

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper:
        """An optimizer wrapper for the model of the run."""
        return build_optim_wrapper(self.model, optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> list[Any]:
        """Schedules of their config, or of several."""
        return build_schedules(scheduler)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """An evaluator of its config, or of that of a metric or of several."""
        return build_evaluator(evaluator)

    def build_train_loop(self, loop: Mapping[str, Any]) -> Any:
        """A training loop of its config; a training is being prepared, or under way.

        Raises:
            ConfigError: none is.
        """
        if self.plan.until is None or self.train_step is None:
            raise ConfigError("build_train_loop: no training is being prepared: runner.train() does it")
        return build_train_loop(self, Phase(self.train_dataloader, dict(loop)), self.plan.until)

    def build_val_loop(self, loop: Any = None, *, allow_broken: bool = False) -> Any:
        """The loop of validations, as the config of the run says."""
        return self._build_evaluation("val", ValLoop, allow_broken=allow_broken)

    def build_test_loop(self, loop: Any = None) -> Any:
        """The loop of tests, as the config of the run says."""
        return self._build_evaluation("test", TestLoop)

    def _build_evaluation(self, split: str, default: type, *, allow_broken: bool = False) -> Any:
        loop = build_evaluation_loop(self, self.plan, split, default, allow_broken=allow_broken)
        setattr(self, f"{split}_dataloader", loop.dataloader)
        return loop

    def build_logger(self, *arguments: Any, **keywords: Any) -> logging.Logger:
        """The logger of the run, which is there already."""
        return self.logger

    def build_message_hub(self, *arguments: Any, **keywords: Any) -> MessageHub:
        """The message hub of the run, which is there already."""
        return self.message_hub

    def build_visualizer(self, *arguments: Any, **keywords: Any) -> RunVisualizer:
        """`visualizer`, which is there already."""
        return self.visualizer

    # ---- hooks and files

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Sequence[Any] | None = None) -> None:
        """Add hooks, objects or configs; `default_hooks` are those of a dict by name."""
        self.hooks = build_hooks([*self.hooks, *(default_hooks or {}).values(), *(custom_hooks or ())])

    def register_custom_hooks(self, hooks: Sequence[Any]) -> None:
        """Add hooks."""
        self.register_hooks(custom_hooks=hooks)

    def get_hooks_info(self) -> str:
        """For each point of a run the hooks that do something there, in their order."""
        points = [name for name in vars(Hook) if name.startswith(("before_", "after_", "at_"))]
        lines = []
        for point in points:
            general = "_" + point.replace("_train", "").replace("_val", "").replace("_test", "")
            names = [f"({hook.priority}) {type(hook).__name__}" for hook in self.hooks if _does(hook, point, general)]
            if names:
                lines += [f"{point}:", *names, " -------------------- "]
        return "\n".join(lines)

    def dump_config(self) -> None:
        """Write the config of the run as `config.py` into the work folder."""
        if is_main_process():
            self.work_dir.mkdir(parents=True, exist_ok=True)
            Config(dict(self.cfg)).dump(self.work_dir / "config.py")

    def save_checkpoint(
        self,
        out_dir: str | os.PathLike,
        filename: str,
        file_client_args: Any = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: Mapping[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: Any = None,
    ) -> None:
        """Write a `.pth` file as MMEngine does, see `kinema.engine.openmmlab_files`. All processes call it.

        Args:
            out_dir: folder of the file.
            filename: its name; `{}` in it stands for the epoch or iteration.
            file_client_args: None: files are local.
            save_optimizer: whether the file holds the optimizer's state.
            save_param_scheduler: whether it holds the schedules' states.
            meta: further entries of its `meta`.
            by_epoch: `meta` counts the present epoch as done, otherwise the present batch.
            backend_args: None: files are local.

        Raises:
            ConfigError: there is no training, or the file is not to be local.
        """
        if self.train_step is None:
            raise ConfigError("save_checkpoint: no training has begun; save_pretrained of the model writes its weights")
        if file_client_args or backend_args:
            raise ConfigError("save_checkpoint: files are local: leave file_client_args and backend_args out")
        about: dict[str, Any] = {"cfg": Config(dict(self.cfg)).pretty_text, "experiment_name": self.experiment_name}
        about["dataset_meta"] = {"classes": self.classes}
        write_pth(
            self,
            Path(out_dir) / filename,
            {**about, **(meta or {})},
            by_epoch=by_epoch,
            with_optimizer=save_optimizer,
            with_schedules=save_param_scheduler,
        )


def _does(hook: Any, point: str, general: str) -> bool:
    """Does a hook override a point, or what it shares with the other modes?"""
    kind = type(hook)
    own = getattr(kind, point, None)
    return own is not None and (
        own is not getattr(Hook, point) or getattr(kind, general, None) is not getattr(Hook, general, None)
    )
