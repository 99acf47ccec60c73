"""`EMAHook` for runners that are not Kinema's."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinema import hooks
from kinema.compat.parts.averaged_models import BaseAveragedModel
from kinema.models.wrappers import unwrapped
from kinema.openmmlab.keywords import log_needless
from kinema.registry import MODELS
from kinema.training.run import Run


class EMAHook(hooks.EMAHook):
    """Kinema's `EMAHook`; under another runner `ema_model` holds the averages.

    Args:
        ema_type: see `kinema.hooks.EMAHook`.
        strict_load: another runner's averages must be those of the model, all of them.
        begin_iter, begin_epoch, kwargs: see `kinema.hooks.EMAHook`.

    Attributes:
        src_model: the model that is trained.
        ema_model: the averages, a module; under a run of Kinema a copy of those of now.

    Raises:
        ValueError: a beginning is negative, or behind the end of another runner's training.
    """

    def __init__(
        self,
        ema_type: str = "ExponentialMovingAverage",
        strict_load: bool = False,
        begin_iter: int = 0,
        begin_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        if begin_iter < 0 or begin_epoch < 0:
            raise ValueError(f"EMAHook: begin_iter and begin_epoch must be at least 0, got {begin_iter}, {begin_epoch}")
        super().__init__(ema_type, begin_iter=begin_iter, begin_epoch=begin_epoch, **kwargs)
        self.strict_load, self.ema_cfg = strict_load, {"type": ema_type, **kwargs}
        self.enabled_by_epoch = begin_epoch > 0
        self._run: Run | None = None
        self._averages: BaseAveragedModel | None = None

    @property
    def ema_model(self) -> Any:
        if self._run is None:
            return self._averages
        averages = self._build()
        ema = getattr(self._run.train_step, "ema", None)
        if ema is not None:
            averages.module.load_state_dict(ema.averages, strict=False)
            averages.steps.fill_(max(0, ema.updates - ema.begin))
        return averages

    @ema_model.setter
    def ema_model(self, averages: Any) -> None:
        self._averages = averages

    def _build(self) -> BaseAveragedModel:
        averages: BaseAveragedModel = MODELS.build(self.ema_cfg, default_args={"model": self.src_model})
        return averages

    def before_run(self, runner: Any) -> None:
        super().before_run(runner)
        model = runner.model
        self.src_model: nn.Module = unwrapped(model)
        if isinstance(runner, Run):
            self._run = runner
            log_needless("EMAHook", ["strict_load"] if self.strict_load else [])
        else:
            self._averages = self._build()

    # ---- under another runner

    def before_train(self, runner: Any) -> None:
        super().before_train(runner)
        if isinstance(runner, Run):
            return
        if self.begin_epoch > runner.max_epochs or self.begin_iter > runner.max_iters:
            raise ValueError(
                f"EMAHook: averages would begin behind the end of the training: {self.begin_epoch=},"
                f" {self.begin_iter=}, {runner.max_epochs=}, {runner.max_iters=}"
            )

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if isinstance(runner, Run):
            return
        if self._has_begun(runner):
            self.ema_model.update_parameters(self.src_model)
        else:
            self._copy(self.src_model.state_dict(), self.ema_model.module.state_dict())

    def _has_begun(self, runner: Any) -> bool:
        return bool(runner.epoch >= self.begin_epoch if self.enabled_by_epoch else runner.iter >= self.begin_iter)

    @torch.no_grad()
    def _copy(self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
        for name, value in target.items():
            value.copy_(source[name])

    def _use_averages(self, runner: Any) -> None:
        super()._use_averages(runner)
        if not isinstance(runner, Run):
            self._swap_ema_parameters()

    def _use_weights(self, runner: Any) -> None:
        super()._use_weights(runner)
        if not isinstance(runner, Run):
            self._swap_ema_parameters()

    def _swap_ema_parameters(self) -> None:
        """The model gets the averages, they its weights."""
        own, averages = self.src_model.state_dict(), self.ema_model.module.state_dict()
        kept = {name: value.clone() for name, value in own.items()}
        self._copy(averages, own)
        self._copy(kept, averages)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        super().before_save_checkpoint(runner, checkpoint)
        if isinstance(runner, Run):
            return
        state = self.ema_model.state_dict()
        prefix = "module."
        trained = checkpoint["state_dict"]
        checkpoint["ema_state_dict"] = {
            name: trained.get(name.removeprefix(prefix), value) if name.startswith(prefix) else value
            for name, value in state.items()
        }
        averages = self.ema_model.module.state_dict()
        checkpoint["state_dict"] = {name: averages.get(name, value).clone() for name, value in trained.items()}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        super().after_load_checkpoint(runner, checkpoint)
        if isinstance(runner, Run):
            return
        if "ema_state_dict" in checkpoint and runner._resume:  # where averages and weights change places
            prefix = "module."
            state = dict(checkpoint["ema_state_dict"])
            trained = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            averages = checkpoint["state_dict"]
            checkpoint["state_dict"] = copy.copy(trained)
            state.update({f"{prefix}{key}": value for key, value in averages.items()})
            self.ema_model.load_state_dict(state, strict=self.strict_load)
        else:
            self.ema_model.module.load_state_dict(checkpoint["state_dict"], strict=self.strict_load)
