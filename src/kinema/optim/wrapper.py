"""Optimizers: torch's by name, and the wrapper that accumulates, clips and updates in some precision."""

import inspect
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kinema.config.values import check_types
from kinema.errors import ConfigError, KinemaError
from kinema.optim.accumulation import Window
from kinema.optim.libraries import register_optimizers
from kinema.optim.precision import Format, Precision
from kinema.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

register_optimizers()
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
        if self.window is None and not self.should_sync() and hasattr(model, "no_sync"):
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
    def inner_count(self) -> int:
        """Batches whose gradients were added."""
        return self._inner_count

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
        plain = precision or Precision(device="cuda" if torch.cuda.is_available() else "cpu")
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


def build_optim_wrapper(model: nn.Module, cfg: Any, precision: Precision | None = None) -> OptimWrapper:
    """An `OptimWrapper` for the parameters of `model`.

    Args:
        model: whose parameters to update.
        cfg: `dict(optimizer=dict(type="SGD", lr=0.01, ...), clip_grad=...,
            accumulative_counts=..., paramwise_cfg=..., constructor=...)`, an optimizer, or a
            wrapper that is built already. For the last two keys see `kinema.optim.constructors`.
            Wrappers by name are an `OptimWrapperDict`; configs of several by name are for a
            `constructor` of the user's own.
        precision: of the forward pass, unless `cfg` says another.

    Raises:
        ConfigError: no such optimizer or keyword, or a value that it does not take.
    """
    if isinstance(cfg, OptimWrapper):
        return cfg
    if isinstance(cfg, torch.optim.Optimizer):
        return OptimWrapper(cfg, precision=precision)
    if isinstance(cfg, Mapping) and cfg and all(isinstance(value, OptimWrapper) for value in cfg.values()):
        from kinema.optim.wrapper_dict import OptimWrapperDict  # which is made of this file's

        return OptimWrapperDict(**cfg)
    keywords = {"type": "OptimWrapper", **cfg}
    constructor, rules = keywords.pop("constructor", None), keywords.pop("paramwise_cfg", None)
    if constructor is not None and any(isinstance(value, Mapping) and "optimizer" in value for value in cfg.values()):
        several = {key: value for key, value in cfg.items() if key not in ("constructor", "paramwise_cfg")}
        arguments = {"optim_wrapper_cfg": several, "paramwise_cfg": rules}
        built: OptimWrapper = OPTIM_WRAPPER_CONSTRUCTORS.build({"type": constructor}, default_args=arguments)(model)
        return built
    optimizer = keywords.get("optimizer")
    kind: Any = keywords["type"]
    kind = OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind
    takes_precision = kind is not None and "precision" in inspect.signature(kind).parameters
    if takes_precision and precision is not None:
        keywords.setdefault("precision", precision)
    if constructor is not None or rules is not None:
        if not isinstance(optimizer, Mapping):
            raise ConfigError("optim_wrapper: paramwise_cfg and constructor need the config of an optimizer")
        settings = {"optim_wrapper_cfg": keywords, "paramwise_cfg": rules}
        build = OPTIM_WRAPPER_CONSTRUCTORS.build(
            {"type": constructor or "DefaultOptimWrapperConstructor"}, default_args=settings
        )
        build.merges_groups = True
        wrapper = build(model)
    else:
        if isinstance(optimizer, Mapping):
            # Frozen ones, too: without gradients they stay as they are, and a hook may train them later.
            keywords["optimizer"] = build_optimizer(optimizer, list(model.parameters()))
        wrapper = OPTIM_WRAPPERS.build(keywords)
    if precision is not None and not takes_precision:  # a class of the user's own
        wrapper.precision = precision
    return wrapper


def build_optimizer(cfg: Mapping[str, Any], parameters: Sequence[Any]) -> torch.optim.Optimizer:
    """The optimizer of a config.

    Args:
        cfg: `dict(type="SGD", lr=0.01, ...)`.
        parameters: what to update, or groups of it.

    Raises:
        ConfigError: a value that it does not take.
    """
    try:
        return OPTIMIZERS.build(cfg, default_args={"params": parameters})
    except (TypeError, ValueError) as error:
        if isinstance(error, KinemaError) or not parameters:
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in cfg.items() if key != "type")
        raise ConfigError(
            f"optim_wrapper.optimizer: {cfg.get('type')} takes no such values: {error}; got {given}"
        ) from error


def check_optim_config(cfg: Any, where: str = "optim_wrapper") -> None:
    """Refuse values of a wrong type in a config for `build_optim_wrapper`.

    Raises:
        ConfigError: names the key.
    """
    if not isinstance(cfg, Mapping):
        return
    check_types(OptimWrapper, cfg, where)
    check_types(nn.utils.clip_grad_norm_, cfg.get("clip_grad"), f"{where}.clip_grad")
    check_types(nn.utils.clip_grad_value_, cfg.get("clip_grad"), f"{where}.clip_grad")
    optimizer = cfg.get("optimizer")
    if isinstance(optimizer, Mapping):
        kind = optimizer.get("type")
        check_types(OPTIMIZERS.get(kind) if isinstance(kind, str) else kind, optimizer, f"{where}.optimizer")
