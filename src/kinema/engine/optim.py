"""Optimizers: torch's by name, and the wrapper that accumulates and clips gradients."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kinema.config.values import check_types
from kinema.errors import ConfigError, KinemaError
from kinema.registry import OPTIM_WRAPPERS, OPTIMIZERS

for _name, _optimizer in vars(torch.optim).items():
    if inspect.isclass(_optimizer) and issubclass(_optimizer, torch.optim.Optimizer) and _name != "Optimizer":
        OPTIMIZERS.register_module(name=_name, module=_optimizer)


@OPTIM_WRAPPERS.register_module()
class OptimWrapper:
    """An optimizer with gradient accumulation and clipping.

    Args:
        optimizer: the optimizer.
        accumulative_counts: batches whose gradients make one update.
        clip_grad: `dict(max_norm=..., norm_type=2)` to clip by norm, or
            `dict(type="value", clip_value=...)`.

    Raises:
        ValueError: `accumulative_counts` below 1.
        TypeError: `optimizer` is none, or `clip_grad` is no dict.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        accumulative_counts: int = 1,
        clip_grad: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(
                f"OptimWrapper: optimizer must be a torch optimizer, got {type(optimizer).__name__}: {optimizer!r}"
            )
        if accumulative_counts < 1:
            raise ValueError(f"OptimWrapper: accumulative_counts must be at least 1, got {accumulative_counts}")
        if clip_grad is not None and not isinstance(clip_grad, Mapping):
            raise TypeError(f"OptimWrapper: clip_grad must be a dict such as dict(max_norm=40), got {clip_grad!r}")
        self.optimizer = optimizer
        self.accumulative_counts = accumulative_counts
        self.clip_grad = dict(clip_grad) if clip_grad else None
        self._batches = 0
        self.base_rates = [group["lr"] for group in optimizer.param_groups]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups."""
        return self.optimizer.param_groups

    def get_lr(self) -> dict[str, list[float]]:
        """Learning rates by parameter group: `dict(lr=[...])`."""
        return {"lr": [float(group["lr"]) for group in self.param_groups]}

    def scale_lr(self, factors: list[float]) -> None:
        """Set each group's rate to its base rate times its factor."""
        for group, base, factor in zip(self.param_groups, self.base_rates, factors, strict=True):
            group["lr"] = base * factor

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Around forward and loss: spares processes the exchange of gradients that are only accumulated."""
        accumulating = (self._batches + 1) % self.accumulative_counts != 0
        if accumulating and isinstance(model, DistributedDataParallel):
            with model.no_sync():
                yield
        else:
            yield

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
        return loss / self.accumulative_counts

    def backward(self, loss: Tensor, **options: Any) -> None:
        """Add the gradients of `loss`, the last part of a batch; `options` go to `Tensor.backward`."""
        loss.backward(**options)
        self._batches += 1

    def should_update(self) -> bool:
        """True when enough batches are in for an update."""
        return self._batches % self.accumulative_counts == 0

    def flush(self) -> None:
        """Update with what is accumulated, at the end of an epoch."""
        if self._batches % self.accumulative_counts:
            self.step()
        self._batches = 0

    def step(self) -> None:
        """Clip, update, clear the gradients."""
        self._clip()
        self.optimizer.step()
        self.zero_grad()

    def _clip(self) -> None:
        if self.clip_grad is None:
            return
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        options = dict(self.clip_grad)
        if options.pop("type", "norm") == "value":
            nn.utils.clip_grad_value_(parameters, **options)
        else:
            nn.utils.clip_grad_norm_(parameters, **options)

    def zero_grad(self) -> None:
        """Clear the gradients."""
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict()` back."""
        self.optimizer.load_state_dict(state)


def build_optim_wrapper(model: nn.Module, cfg: Any) -> OptimWrapper:
    """An `OptimWrapper` for the trainable parameters of `model`.

    Args:
        model: whose parameters to update.
        cfg: `dict(optimizer=dict(type="SGD", lr=0.01, ...), clip_grad=...,
            accumulative_counts=...)`, an optimizer, or a wrapper that is built already.

    Raises:
        ConfigError: no such optimizer or keyword, or a value that it does not take.
    """
    if isinstance(cfg, OptimWrapper):
        return cfg
    if isinstance(cfg, torch.optim.Optimizer):
        return OptimWrapper(cfg)
    keywords = dict(cfg)
    optimizer = keywords.pop("optimizer", None)
    if isinstance(optimizer, Mapping):
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = _build_optimizer(optimizer, parameters)
    keywords.setdefault("type", "OptimWrapper")
    return OPTIM_WRAPPERS.build(keywords, default_args={"optimizer": optimizer})


def _build_optimizer(cfg: Mapping[str, Any], parameters: Sequence[nn.Parameter]) -> Any:
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
