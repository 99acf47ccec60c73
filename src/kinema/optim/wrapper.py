"""The wrapper of an optimizer that accumulates, clips and updates in some precision."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kinema.distributed import auto_device
from kinema.errors import ConfigError
from kinema.optim.accumulation import Window
from kinema.optim.precision import Format, Precision
from kinema.registry import OPTIM_WRAPPERS

logger = logging.getLogger("kinema")


class Guard(Protocol):
    """What looks at losses and gradients before they change weights."""

    def check_loss(self, loss: Tensor) -> Tensor:
        """The loss to compute gradients of; may raise."""

    def check_gradients(self, parameters: Sequence[nn.Parameter]) -> bool:
        """Before the update, gradients unscaled; may raise, or leave the update out by returning False."""


class BaseOptimWrapper(ABC):
    """What updates parameters: an interface for training loops.

    Args:
        optimizer: the optimizer.

    Attributes:
        grad_norm: of all gradients before the last update clipped it; None: no update clipped by norm.
        base_lr: the rate that a config gives where rules give groups rates of their own; None: none do.
    """

    grad_norm: Tensor | None = None
    base_lr: float | None = None

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    @abstractmethod
    def update_params(self, *args: Any, **kwargs: Any) -> None:
        """Add the gradients of a loss, and update when it is time."""

    @abstractmethod
    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add the gradients of a loss."""

    @abstractmethod
    def zero_grad(self, **kwargs: Any) -> None:
        """Clear the gradients."""

    @abstractmethod
    def step(self, **kwargs: Any) -> None:
        """Update the parameters."""

    @property
    def wrappers(self) -> Mapping[str, Any]:
        """The wrappers of one optimizer each, by name; of one alone it is "", see `by_optimizer`."""
        return {"": self}

    @property
    def param_groups(self) -> Any:
        """The optimizer's parameter groups."""
        return self.optimizer.param_groups

    @property
    def defaults(self) -> dict[str, Any]:
        """The optimizer's own settings."""
        defaults: dict[str, Any] = self.optimizer.defaults
        return defaults

    def get_lr(self) -> dict[str, list[float]]:
        """Learning rates by parameter group: `dict(lr=[...])`; with rules of groups also `base_lr`, scheduled alike."""
        rates = {"lr": [float(group["lr"]) for group in self.param_groups]}
        if self.base_lr is not None:
            initial = float(self.param_groups[0].get("initial_lr", rates["lr"][0]))
            rates["base_lr"] = [self.base_lr * (rates["lr"][0] / initial if initial else 1.0)]
        return rates

    def get_momentum(self) -> dict[str, list[float]]:
        """Momenta by parameter group; of Adam and its kin the first of `betas`."""
        groups = self.param_groups
        return {"momentum": [float(group.get("momentum", group.get("betas", (0.0,))[0])) for group in groups]}

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer."""
        state: dict[str, Any] = self.optimizer.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of `state_dict()` back."""
        self.optimizer.load_state_dict(state_dict)


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(BaseOptimWrapper):
    """An optimizer with gradient accumulation and clipping.

    Args:
        optimizer: the optimizer.
        accumulative_counts: batches whose gradients make one update.
        clip_grad: `dict(max_norm=..., norm_type=2)` to clip by norm, or
            `dict(type="value", clip_value=...)`.
        precision: of the forward pass.

    Attributes:
        window: the place of the present batch in its window, which the training step sets; None:
            batches are counted, see `initialize_count_status`.
        clip_grad_kwargs: settings of the clipping; None: there is none.
        clip_norm: computes and clips the norm of gradients, which several processes may share.
        frozen: parameters that updates leave alone for now, whatever their gradients.
        guard: looks at losses and gradients; None: nothing does.

    Raises:
        ValueError: `accumulative_counts` below 1, or another `type` in `clip_grad`.
        TypeError: `optimizer` is none, or `clip_grad` is no dict.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        accumulative_counts: int = 1,
        clip_grad: Mapping[str, Any] | None = None,
        *,
        precision: Precision | None = None,
    ) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(
                f"{name}: optimizer must be a torch optimizer, got {type(optimizer).__name__}: {optimizer!r}"
            )
        if accumulative_counts < 1:
            raise ValueError(f"{name}: accumulative_counts must be at least 1, got {accumulative_counts}")
        if clip_grad is not None and not isinstance(clip_grad, Mapping):
            raise TypeError(f"{name}: clip_grad must be a dict such as dict(max_norm=40), got {clip_grad!r}")
        super().__init__(optimizer)
        self.accumulative_counts = accumulative_counts
        settings = dict(clip_grad) if clip_grad else None
        self._clips_values = _kind_of_clipping(settings, name) == "value"
        self.clip_grad_kwargs = settings
        self.precision = precision or Precision()
        self.window: Window | None = None
        self.clip_norm: Callable[..., Any] = nn.utils.clip_grad_norm_
        self.guard: Guard | None = None
        self.frozen: Sequence[nn.Parameter] = ()
        self._inner_count = 0
        self._max_counts = -1

    def optim_context(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Around forward and loss: their precision; several processes exchange no gradients that wait for others."""
        if not self.should_sync() and hasattr(model, "no_sync"):
            stack = ExitStack()
            parallel: Any = model
            stack.enter_context(parallel.no_sync())
            stack.enter_context(self.precision.autocast())
            return stack
        return self.precision.autocast()

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: Mapping[str, Any] | None = None,
        zero_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Add the gradients of `loss`, and update the parameters when enough batches are in.

        Args:
            loss: scalar, the mean over the batch.
            step_kwargs: for `step`.
            zero_kwargs: for `zero_grad`.
        """
        self.backward(self.scale_loss(loss))
        if self.should_update():
            self.step(**(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))

    # ---- accumulation

    @property
    def _accumulative_counts(self) -> int:
        """The name in OpenMMLab."""
        return self.accumulative_counts

    @property
    def inner_count(self) -> int:
        """Batches whose gradients were added."""
        return self._inner_count

    @property
    def max_counts(self) -> int:
        """Batches of the whole training; -1: unknown."""
        return self._max_counts

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Say how far the training is, for a loop that sets no `window`.

        Args:
            model: not looked at.
            init_counts: batches that are done.
            max_counts: of the whole training, the last update of which may be of fewer; -1: unknown.
        """
        self._inner_count, self._max_counts = init_counts, max_counts

    def scale_loss(self, loss: Tensor) -> Tensor:
        """The share of `loss` in an update that accumulates several batches."""
        window = self.window
        if window is None and self.accumulative_counts > 1:
            total = math.inf if self._max_counts < 0 else max(self._max_counts, self._inner_count + 1)
            window = Window.of(self._inner_count, self.accumulative_counts, total)
        return loss if window is None or window.length == 1 else loss / window.length

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add the gradients of `loss`, the last part of a batch; options go to `Tensor.backward`."""
        if self.guard is not None:
            loss = self.guard.check_loss(loss)
        self.precision.backward(loss, **kwargs)
        self._inner_count += 1

    def should_update(self) -> bool:
        """True when enough batches are in for an update."""
        if self.window is not None:
            return self.window.is_last
        return self._inner_count % self.accumulative_counts == 0 or self._inner_count == self._max_counts

    def should_sync(self) -> bool:
        """True when the next batch completes an update."""
        if self.window is not None:
            return self.window.is_last
        following = self._inner_count + 1
        return following % self.accumulative_counts == 0 or following == self._max_counts

    # ---- the update

    def step(self, **kwargs: Any) -> None:
        """Clip and update; options go to the optimizer."""
        for parameter in self.frozen:
            parameter.grad = None
        if self.clip_grad_kwargs is not None or (self.guard is not None and self.precision.scaler is not None):
            self.precision.unscale(self.optimizer)
        if self.guard is None or self.guard.check_gradients(self._with_gradients()):
            if self.clip_grad_kwargs is not None:
                self._clip_grad()
            self.precision.step(self.optimizer, **kwargs)

    def _with_gradients(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]

    def _clip_grad(self) -> None:
        """Clip the gradients that there are."""
        parameters = self._with_gradients()
        if parameters and self._clips_values:
            nn.utils.clip_grad_value_(parameters, **(self.clip_grad_kwargs or {}))
        elif parameters:
            self.grad_norm = self.clip_norm(parameters, **(self.clip_grad_kwargs or {}))

    def zero_grad(self, **kwargs: Any) -> None:
        """Clear the gradients."""
        self.optimizer.zero_grad(**kwargs)

    def __repr__(self) -> str:
        name, count = type(self).__name__, self.accumulative_counts
        return f"Type: {name}\n_accumulative_counts: {count}\noptimizer: \n{self.optimizer!r}"


def _kind_of_clipping(settings: dict[str, Any] | None, where: str) -> str:
    """Take the `type` off the settings."""
    kind = (settings or {}).pop("type", "norm")
    if kind not in ("norm", "value"):
        raise ValueError(f"{where}: clip_grad.type must be 'norm' or 'value', got {kind!r}")
    return str(kind)


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """An `OptimWrapper` in mixed precision, as OpenMMLab's configs ask for it.

    Args:
        optimizer: the optimizer.
        loss_scale: of fp16: "dynamic", a fixed number, or settings of `torch.amp.GradScaler`.
        dtype: "float16" or "bfloat16", or that of torch; default: float16, and on a CPU, which computes
            in them many times slower than in float32, what `precision` says.
        accumulative_counts: see `OptimWrapper`.
        clip_grad: see `OptimWrapper`.
        precision: names the device, default: a GPU where there is one; its format gives way to `dtype`.

    Raises:
        ConfigError: no such `dtype` or `loss_scale`.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        loss_scale: str | float | Mapping[str, Any] = "dynamic",
        dtype: str | torch.dtype | None = None,
        accumulative_counts: int = 1,
        clip_grad: Mapping[str, Any] | None = None,
        *,
        precision: Precision | None = None,
    ) -> None:
        names: dict[str, Format] = {"float16": "fp16", "bfloat16": "bf16"}
        wanted = str(dtype or "float16").removeprefix("torch.")
        if wanted not in names:
            raise ConfigError(f"optim_wrapper.dtype must be float16 or bfloat16, got {dtype!r}")
        if isinstance(loss_scale, Mapping):
            scaler = dict(loss_scale)
        elif isinstance(loss_scale, int | float):
            scaler = {"init_scale": float(loss_scale), "growth_interval": 2**31 - 1}
        elif loss_scale == "dynamic":
            scaler = {}
        else:
            raise ConfigError(f"optim_wrapper.loss_scale must be 'dynamic', a number or a dict, got {loss_scale!r}")
        plain = precision or Precision(device=auto_device())
        name = names[wanted]
        if dtype is None and plain.device_type == "cpu":
            name = plain.name
            logger.info("AmpOptimWrapper: %s on a CPU; dtype='bfloat16' asks for mixed precision all the same", name)
        built = Precision(name, plain.device_type, scaler=scaler)
        super().__init__(optimizer, accumulative_counts, clip_grad, precision=built)

    @property
    def loss_scaler(self) -> Any:
        """What scales the loss; None in bfloat16."""
        return self.precision.scaler

    @loss_scaler.setter
    def loss_scaler(self, scaler: Any) -> None:
        self.precision.scaler = scaler

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer, and that of the scaler as `loss_scaler`."""
        return {**super().state_dict(), "loss_scaler": self.precision.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.precision.load_state_dict(state_dict.get("loss_scaler", {}))
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "loss_scaler"})
