"""What MMEngine's runner builds of configs, one method a kind of part."""

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from kinema.datasets import build_dataloader
from kinema.datasets.samplers import draw_shared_seed
from kinema.distributed import init_from_environment
from kinema.engine.assembly import build_evaluation_loop, build_evaluator, build_train_loop, scale_rates
from kinema.engine.log_processor import LogProcessor
from kinema.engine.plan import RunPlan
from kinema.errors import ConfigError
from kinema.evaluation import BaseMetric, Evaluator
from kinema.openmmlab.configs import base_batch_size_of, cudnn_benchmark_of, log_needless_environment
from kinema.openmmlab.distribution import connection_of
from kinema.optim.building import build_optim_wrapper
from kinema.optim.precision import Precision
from kinema.optim.schedules import build_schedules
from kinema.optim.wrapper import BaseOptimWrapper, OptimWrapper
from kinema.randomness import seed_everything
from kinema.registry import LOG_PROCESSORS, MODEL_WRAPPERS, MODELS, VISUALIZERS
from kinema.runs.message_hub import MessageHub
from kinema.training.base_loop import BaseLoop
from kinema.training.loops import TestLoop, ValLoop
from kinema.training.run import Run

logger = logging.getLogger("kinema")


class RunnerParts(Run):
    """A `Run` that builds parts of their configs."""

    plan: RunPlan
    logger: logging.Logger
    experiment_name: Any
    train_dataloader: Any
    visualizer: Any
    _tolerates_broken = False  # clips of validations
    _counts_accumulation = True  # in scaled rates

    def setup_env(self, env_cfg: Mapping[str, Any]) -> None:
        """Join the other processes, where there are some, and set cuDNN's benchmark, at the beginning of a run.

        Raises:
            ConfigError: see `init_from_environment`, or `env_cfg` has an unknown key.
        """
        init_from_environment(launcher=self.plan.launcher, device=self.plan.device, **connection_of(env_cfg))
        if cudnn_benchmark_of(env_cfg) and not self.plan.deterministic:
            torch.backends.cudnn.benchmark = True
        log_needless_environment(env_cfg)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Seed all generators; the seed is `self.seed`.

        Args:
            seed: None draws one.
            diff_rank_seed: without effect: a sample's random numbers never depend on the rank.
            deterministic: use deterministic algorithms only.
        """
        self.seed = draw_shared_seed() if seed is None else seed
        seed_everything(self.seed, deterministic=deterministic)

    build_dataloader = staticmethod(build_dataloader)

    def build_model(self, model: nn.Module | Mapping[str, Any]) -> nn.Module:
        """A model of its config.

        Raises:
            TypeError: it is neither a model nor a config.
        """
        _expect("model", model, nn.Module, Mapping)
        built: nn.Module = MODELS.build(model) if isinstance(model, Mapping) else model
        return built

    def wrap_model(self, model_wrapper_cfg: Mapping[str, Any] | None, model: nn.Module) -> nn.Module:
        """The model on the device of the run, in a wrapper where a config of one is given.

        What several processes need, the strategy of the run does when a training begins.
        """
        model = model.to(self.device)
        if model_wrapper_cfg is None:
            return model
        wrapped: nn.Module = MODEL_WRAPPERS.build(model_wrapper_cfg, default_args={"module": model})
        return wrapped

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None = None) -> None:
        """Scale the rates of an optimizer to the samples of an update, see `auto_scale_lr` of the run.

        Raises:
            ConfigError: there is no `base_batch_size`.
        """
        size = base_batch_size_of(self.plan.auto_scale_lr if auto_scale_lr is None else auto_scale_lr)
        if size is not None:
            loader, counts = self.train_dataloader, self._counts_accumulation
            scale_rates(optim_wrapper, loader, size, counts_accumulation=counts)

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper:
        """An optimizer wrapper for the model of the run.

        Raises:
            TypeError: it is neither a wrapper, nor an optimizer, nor a config.
        """
        _expect("optim_wrapper", optim_wrapper, BaseOptimWrapper, Optimizer, Mapping)
        return build_optim_wrapper(self.network, optim_wrapper, Precision(self.plan.precision, self.device))  # type: ignore

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Schedules of their config, or of several; those of the user's own hold the optimizer of the run.

        Of several optimizers they are a dict of lists by name, built of a dict by name or, all
        alike, of one config or list.

        Raises:
            ConfigError: an optimizer has no entry.
        """
        wrapper = self.optim_wrapper
        if not isinstance(wrapper, BaseOptimWrapper) or "" in wrapper.wrappers:
            return self._schedules_of(wrapper, scheduler)
        if not isinstance(scheduler, Mapping) or "type" in scheduler:
            scheduler = dict.fromkeys(wrapper.wrappers, scheduler)
        names = ", ".join(wrapper.wrappers)
        if missing := [name for name in wrapper.wrappers if name not in scheduler]:
            raise ConfigError(
                f"param_scheduler has nothing for {missing[0]}: the optimizers are {names}; give each a list, which"
                " may be empty"
            )
        if unread := [name for name in scheduler if name not in wrapper.wrappers]:
            logger.warning("param_scheduler is also for %s, but the optimizers are %s", ", ".join(unread), names)
        return {name: self._schedules_of(part, scheduler[name]) for name, part in wrapper.wrappers.items()}

    def _schedules_of(self, optim_wrapper: Any, scheduler: Any) -> list[Any]:
        entries = scheduler if isinstance(scheduler, list | tuple) else [] if scheduler is None else [scheduler]
        schedules = []
        for entry in entries:
            settings = entry if isinstance(entry, Mapping) else {}
            end = self.num_epochs if settings.get("by_epoch", True) else self.max_iters
            stepping = {"optimizer": optim_wrapper, **({"end": end} if end else {})}
            if settings.get("convert_to_iter_based") and self.train_loop.epoch_length is not None:
                stepping["epoch_length"] = self.train_loop.epoch_length
            schedules += build_schedules(entry, **stepping)
        return schedules

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """An evaluator of its config, or of that of a metric or of several.

        Raises:
            TypeError: it is none of these.
        """
        _expect("evaluator", evaluator, Evaluator, BaseMetric, Mapping, list, tuple)
        return build_evaluator(evaluator)

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """A training loop of its config, over the training loader.

        Raises:
            TypeError: it is neither a loop nor a config.
            ConfigError: the config has both `type` and `by_epoch`, or there is no training loader.
        """
        _expect("train_loop", loop, BaseLoop, Mapping)
        if isinstance(loop, BaseLoop):
            return loop
        if "type" in loop and "by_epoch" in loop:
            raise ConfigError("train_cfg: only one of type and by_epoch says which loop trains")
        return build_train_loop(self, loop, self.train_dataloader, self.plan.until)

    def build_val_loop(self, loop: Any = None) -> Any:
        """The loop of validations, as the config of the run or that of a loop says."""
        return self._build_evaluation("val", ValLoop, loop, allow_broken=self._tolerates_broken)

    def build_test_loop(self, loop: Any = None) -> Any:
        """The loop of tests, as the config of the run or that of a loop says."""
        return self._build_evaluation("test", TestLoop, loop)

    def _build_evaluation(self, split: str, default: type, given: Any, *, allow_broken: bool = False) -> Any:
        _expect(f"{split}_loop", given, BaseLoop, Mapping, type(None))
        if isinstance(given, BaseLoop):
            return given
        loop = build_evaluation_loop(
            self,
            self.plan,
            split,
            default,
            settings=given,
            allow_broken=allow_broken,
            build=self.build_dataloader,
        )
        setattr(self, f"_{split}_dataloader", loop.dataloader)
        return loop

    def build_log_processor(self, log_processor: Any) -> LogProcessor:
        """What makes lines of the log, of its config.

        Raises:
            TypeError: it is neither a `LogProcessor` nor a config.
        """
        _expect("log_processor", log_processor, LogProcessor, Mapping)
        if isinstance(log_processor, LogProcessor):
            return log_processor
        built: LogProcessor = LOG_PROCESSORS.build({"type": "LogProcessor", **log_processor})
        return built

    @cached_property
    def log_processor(self) -> LogProcessor:
        """What makes lines of the log in OpenMMLab's form; they are written where the config asks for it."""
        return self.line_processor or LogProcessor()

    def build_logger(self, *arguments: Any, **keywords: Any) -> logging.Logger:
        """The logger of the run, which is Kinema's."""
        return logging.getLogger("kinema")

    def build_message_hub(self, message_hub: Any = None) -> MessageHub:
        """A message hub of its config, `dict(name=...)`; None: the one of the run.

        Raises:
            TypeError: it is neither a hub nor a config.
        """
        _expect("message_hub", message_hub, MessageHub, Mapping, type(None))
        if isinstance(message_hub, Mapping):
            return MessageHub.get_instance(**{"name": self.experiment_name, **message_hub})
        return message_hub or self.message_hub

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """A visualizer of its config; None: `visualizer`.

        Raises:
            TypeError: it is a text or a number.
        """
        if isinstance(visualizer, str | int | float):
            raise TypeError(f"visualizer must be a visualizer, a config or None, got {visualizer!r}")
        if isinstance(visualizer, Mapping):
            return VISUALIZERS.build({"type": "Visualizer", "name": self.experiment_name, **visualizer})
        return self.visualizer if visualizer is None else visualizer


def _expect(name: str, value: Any, *kinds: type) -> None:
    if not isinstance(value, kinds):
        names = ", ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise TypeError(f"{name} should be one of {names}, got {type(value).__name__}: {value!r}")
