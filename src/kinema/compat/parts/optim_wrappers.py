"""Optimizer wrappers with MMEngine's further names, for code that reads them or counts batches by itself."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kinema.compat.parts.loggers import print_log
from kinema.optim import wrapper
from kinema.runs.message_hub import MessageHub

WARNING = 30


class _Names(wrapper.OptimWrapper):
    _own_hub: MessageHub | None = None

    @property
    def _accumulative_counts(self) -> int:
        return self.accumulative_counts

    @property
    def _remainder_counts(self) -> int:
        """Batches of the last update, where they are fewer; -1: the length of the training is unknown."""
        return self._max_counts % self.accumulative_counts if self._max_counts >= 0 else -1

    @property
    def message_hub(self) -> MessageHub:
        """Takes the norm of gradients where no run of Kinema's does: the current one, unless it is set."""
        return self._own_hub or MessageHub.get_current_instance()

    @message_hub.setter
    def message_hub(self, hub: MessageHub) -> None:
        self._own_hub = hub

    @property
    def clip_func(self) -> Callable[..., Any]:
        """What clips."""
        return nn.utils.clip_grad_value_ if self._clips_values else nn.utils.clip_grad_norm_

    @property
    def grad_name(self) -> str:
        """Name of the figure that clipping gives."""
        return "grad_value" if self._clips_values else "grad_norm"

    @property
    def base_param_settings(self) -> dict[str, Any] | None:
        """The rate of the config where groups have rates of their own; None: they have not."""
        return None if self.base_lr is None else {"lr": self.base_lr}

    @base_param_settings.setter
    def base_param_settings(self, settings: Mapping[str, Any] | None) -> None:
        self.base_lr = None if settings is None else settings["lr"]

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        super().initialize_count_status(model, init_counts, max_counts)
        count = self.accumulative_counts
        if init_counts % count:
            print_log(f"Resumed iteration number {init_counts} is no multiple of {count} batches", "current", WARNING)
        if count > 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
            print_log("Gradient accumulative steps: BatchNorm sees a batch, not an update", "current", WARNING)

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer, and `base_param_settings` where groups have rates of their own."""
        settings = self.base_param_settings
        return super().state_dict() | ({} if settings is None else {"base_param_settings": settings})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "base_param_settings" in state_dict:
            self.base_param_settings = state_dict["base_param_settings"]
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "base_param_settings"})

    def _clip_grad(self) -> None:
        super()._clip_grad()
        if self.window is None and self.grad_norm is not None:
            self.message_hub.update_scalar(f"train/{self.grad_name}", self.grad_norm)
            self.grad_norm = None


class OptimWrapper(_Names):
    """Kinema's `OptimWrapper`, of which each is an instance."""

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        return wrapper.OptimWrapper in other.__mro__ if cls is OptimWrapper else NotImplemented


class AmpOptimWrapper(_Names, wrapper.AmpOptimWrapper):
    """Kinema's `AmpOptimWrapper`, of which each is an instance."""

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        return wrapper.AmpOptimWrapper in other.__mro__ if cls is AmpOptimWrapper else NotImplemented
