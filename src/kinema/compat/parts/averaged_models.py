"""Running averages of a model's weights as modules of their own; in a run, Kinema's `EMAHook` keeps them."""

import copy
import warnings
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from kinema.registry import MODELS


class BaseAveragedModel(nn.Module):
    """A copy of a model, `module`, whose weights are averages.

    Args:
        model: the model.
        interval: average at every so many calls of `update_parameters`.
        device: of the copy; None: that of the model.
        update_buffers: average buffers, too; else they are copied.

    Raises:
        ValueError: `interval` is no number from 1.
    """

    steps: Tensor

    def __init__(
        self,
        model: nn.Module,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(interval, int) or interval < 1:
            raise ValueError(f"interval must be a whole number from 1, got {interval!r}")
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.interval = interval
        if device is not None:
            self.module.to(device)
        self.register_buffer("steps", torch.tensor(0, dtype=torch.long, device=device))
        self.update_buffers = update_buffers

    @abstractmethod
    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Update an average in place.

        Args:
            averaged_param: the average.
            source_param: the weights of the model now.
            steps: calls of `update_parameters` before this one.
        """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take in the weights of `model`: copy them at the first call, average them later."""
        steps = int(self.steps)
        own, source = self._averaged(self.module), self._averaged(model)
        for name, average in own.items():
            value = source[name].to(average.device)
            if steps == 0:
                average.copy_(value)
            elif steps % self.interval == 0 and average.is_floating_point():
                self.avg_func(average, value, steps)
        if not self.update_buffers:
            for copied, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                copied.copy_(buffer)
        self.steps += 1

    def _averaged(self, model: nn.Module) -> dict[str, Tensor]:
        if self.update_buffers:
            return model.state_dict()
        return {name: parameter.data for name, parameter in model.named_parameters()}


@MODELS.register_module()
class StochasticWeightAverage(BaseAveragedModel):
    """The mean of all weights taken in. Source: Izmailov et al. 2018, arXiv:1803.05407."""

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        averaged_param.add_(source_param - averaged_param, alpha=1 / (steps // self.interval + 1))


@MODELS.register_module()
class ExponentialMovingAverage(BaseAveragedModel):
    """average <- (1 - momentum) average + momentum weights.

    Args:
        model: see `BaseAveragedModel`, as `interval` to `update_buffers`.
        momentum: share of the new weights, in (0, 1).
        interval: see there.
        device: see there.
        update_buffers: see there.

    Raises:
        ValueError: `momentum` is not in (0, 1).
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, interval, device, update_buffers)
        if not 0 < momentum < 1:
            raise ValueError(f"momentum must lie between 0 and 1, got {momentum}")
        if momentum > 0.5:
            warnings.warn(
                "The value of momentum in EMA is usually a small number, the share of the new weights:"
                f" {momentum} keeps little of the average",
                stacklevel=2,
            )
        self.momentum = momentum

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        averaged_param.lerp_(source_param, self.momentum)


@MODELS.register_module()
class MomentumAnnealingEMA(ExponentialMovingAverage):
    """An average whose momentum falls from 1: max(momentum, gamma / (gamma + steps)).

    Args:
        model: see `ExponentialMovingAverage`, as all but `gamma`.
        momentum: the last one.
        gamma: the larger, the slower it falls.
        interval: see there.
        device: see there.
        update_buffers: see there.

    Raises:
        ValueError: `gamma` is not above 0.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 100,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if gamma <= 0:
            raise ValueError(f"gamma must be above 0, got {gamma}")
        self.gamma = gamma

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        averaged_param.lerp_(source_param, max(self.momentum, self.gamma / (self.gamma + steps)))
