"""Optimizers: torch's by name, and the wrapper that accumulates, clips and updates in some precision."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kinema.config.values import check_types
from kinema.errors import ConfigError, KinemaError
from kinema.optim.accumulation import Window
from kinema.optim.precision import Format, Precision
from kinema.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

for _name, _optimizer in vars(torch.optim).items():
    if inspect.isclass(_optimizer) and issubclass(_optimizer, torch.optim.Optimizer) and _name != "Optimizer":
        OPTIMIZERS.register_module(name=_name, module=_optimizer)


class Guard(Protocol):
    """What looks at losses and gradients before they change weights."""

    def check_loss(self, loss: Tensor) -> Tensor:
        """The loss to compute gradients of; may raise."""

    def check_gradients(self, parameters: Sequence[nn.Parameter]) -> bool:
        """Before the update, gradients unscaled; may raise, or leave the update out by returning False."""


@OPTIM_WRAPPERS.register_module()
class OptimWrapper:
    """An optimizer with gradient accumulation and clipping.

    Args:
        optimizer: the optimizer.
        accumulative_counts: batches whose gradients make one update.
        clip_grad: `dict(max_norm=..., norm_type=2)` to clip by norm, or
            `dict(type="value", clip_value=...)`.
        precision: of the forward pass.

    Attributes:
        window: the place of the present batch in its window, which the training step sets; None:
            batches are counted, `accumulative_counts` to an update.
        clip_norm: computes and clips the norm of gradients, which several processes may share.
        frozen: parameters that updates leave alone for now, whatever their gradients.
        guard: looks at losses and gradients; None: nothing does.

    Raises:
        ValueError: `accumulative_counts` below 1.
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
        self.optimizer = optimizer
        self.accumulative_counts = accumulative_counts
        self.clip_grad = dict(clip_grad) if clip_grad else None
        self.precision = precision or Precision()
        self.window: Window | None = None
        self.clip_norm: Callable[..., Any] = nn.utils.clip_grad_norm_
        self.guard: Guard | None = None
        self.frozen: Sequence[nn.Parameter] = ()
        self._batches = 0

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups."""
        return self.optimizer.param_groups

    @property
    def defaults(self) -> dict[str, Any]:
        """The optimizer's own settings."""
        return self.optimizer.defaults

    def get_lr(self) -> dict[str, list[float]]:
        """Learning rates by parameter group: `dict(lr=[...])`."""
        return {"lr": [float(group["lr"]) for group in self.param_groups]}

    def get_momentum(self) -> dict[str, list[float]]:
        """Momenta by parameter group; of Adam and its kin the first of `betas`."""
        groups = self.param_groups
        return {"momentum": [float(group.get("momentum", group.get("betas", (0.0,))[0])) for group in groups]}

    def optim_context(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Around forward and loss: their precision."""
        return self.precision.autocast()

    def update_params(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, and update the parameters when enough batches are in.

        Args:
            loss: scalar, the mean over the batch.
        """
        self.backward(self.scale_loss(loss))
        if self.should_update():
            self.step()

    def scale_loss(self, loss: Tensor) -> Tensor:
        """The share of `loss` in an update that accumulates several batches."""
        length = self.accumulative_counts if self.window is None else self.window.length
        return loss if length == 1 else loss / length

    def backward(self, loss: Tensor, **options: Any) -> None:
        """Add the gradients of `loss`, the last part of a batch; `options` go to `Tensor.backward`."""
        if self.guard is not None:
            loss = self.guard.check_loss(loss)
        self.precision.backward(loss, **options)
        self._batches += 1

    def should_update(self) -> bool:
        """True when enough batches are in for an update."""
        return self._batches % self.accumulative_counts == 0 if self.window is None else self.window.is_last

    def step(self) -> None:
        """Clip, update, clear the gradients."""
        for parameter in self.frozen:
            parameter.grad = None
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if self.clip_grad is not None or (self.guard is not None and self.precision.scaler is not None):
            self.precision.unscale(self.optimizer)
        if self.guard is None or self.guard.check_gradients(parameters):
            self._clip(parameters)
            self.precision.step(self.optimizer)
        self.zero_grad()

    def _clip(self, parameters: list[nn.Parameter]) -> None:
        if self.clip_grad is None or not parameters:
            return
        options = dict(self.clip_grad)
        if options.pop("type", "norm") == "value":
            nn.utils.clip_grad_value_(parameters, **options)
        else:
            self.clip_norm(parameters, **options)

    def zero_grad(self, **options: Any) -> None:
        """Clear the gradients."""
        self.optimizer.zero_grad(**options)

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict()` back."""
        self.optimizer.load_state_dict(state)


@OPTIM_WRAPPERS.register_module()
def AmpOptimWrapper(  # noqa: N802 - the name in OpenMMLab's configs
    optimizer: torch.optim.Optimizer,
    loss_scale: str | float | Mapping[str, Any] = "dynamic",
    dtype: str | None = None,
    accumulative_counts: int = 1,
    clip_grad: Mapping[str, Any] | None = None,
    *,
    precision: Precision | None = None,
) -> OptimWrapper:
    """An `OptimWrapper` in mixed precision, as OpenMMLab's configs ask for it.

    Args:
        optimizer: the optimizer.
        loss_scale: of fp16: "dynamic", a fixed number, or settings of `torch.amp.GradScaler`.
        dtype: "float16" or "bfloat16"; default: float16.
        accumulative_counts: see `OptimWrapper`.
        clip_grad: see `OptimWrapper`.
        precision: tells the device; its format gives way to `dtype`.

    Raises:
        ConfigError: no such `dtype` or `loss_scale`.
    """
    names: dict[str, Format] = {"float16": "fp16", "bfloat16": "bf16"}
    if dtype is not None and dtype not in names:
        raise ConfigError(f"optim_wrapper.dtype must be float16 or bfloat16, got {dtype!r}")
    if isinstance(loss_scale, Mapping):
        scaler = dict(loss_scale)
    elif isinstance(loss_scale, int | float):
        scaler = {"init_scale": float(loss_scale), "growth_interval": 2**31 - 1}
    elif loss_scale == "dynamic":
        scaler = {}
    else:
        raise ConfigError(f"optim_wrapper.loss_scale must be 'dynamic', a number or a dict, got {loss_scale!r}")
    device = "cpu" if precision is None else precision.device_type
    built = Precision(names[dtype or "float16"], device, scaler=scaler)
    return OptimWrapper(optimizer, accumulative_counts, clip_grad, precision=built)


def build_optim_wrapper(model: nn.Module, cfg: Any, precision: Precision | None = None) -> OptimWrapper:
    """An `OptimWrapper` for the trainable parameters of `model`.

    Args:
        model: whose parameters to update.
        cfg: `dict(optimizer=dict(type="SGD", lr=0.01, ...), clip_grad=...,
            accumulative_counts=..., paramwise_cfg=..., constructor=...)`, an optimizer, or a
            wrapper that is built already. For the last two keys see `kinema.optim.constructors`.
        precision: of the forward pass, unless `cfg` says another.

    Raises:
        ConfigError: no such optimizer or keyword, or a value that it does not take.
    """
    if isinstance(cfg, OptimWrapper):
        return cfg
    if isinstance(cfg, torch.optim.Optimizer):
        return OptimWrapper(cfg, precision=precision)
    keywords = {"type": "OptimWrapper", **cfg}
    constructor, rules = keywords.pop("constructor", None), keywords.pop("paramwise_cfg", None)
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
        wrapper = build(model)
    else:
        if isinstance(optimizer, Mapping):
            parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
            keywords["optimizer"] = build_optimizer(optimizer, parameters)
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
