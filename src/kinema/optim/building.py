"""From a config to an optimizer and its wrapper; torch's optimizers by name."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from kinema.config.values import check_types
from kinema.errors import ConfigError, KinemaError
from kinema.optim.libraries import register_optimizers
from kinema.optim.precision import Precision
from kinema.optim.wrapper import OptimWrapper
from kinema.optim.wrapper_dict import OptimWrapperDict
from kinema.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

register_optimizers()


def build_optim_wrapper(model: nn.Module, cfg: Any, precision: Precision | None = None) -> OptimWrapper:
    """An `OptimWrapper` for the parameters of `model`.

    Args:
        model: whose parameters to update.
        cfg: `dict(optimizer=dict(type="SGD", lr=0.01, ...), clip_grad=...,
            accumulative_counts=..., paramwise_cfg=..., constructor=...)`, an optimizer, or a
            wrapper that is built already. For the last two keys see `kinema.optim.constructors`.
            Wrappers by name are an `OptimWrapperDict`; configs of several by name are for a
            `constructor` of the user's own, which builds one.
        precision: of the forward pass, unless `cfg` says another.

    Raises:
        ConfigError: no such optimizer or keyword, a value that it does not take, or configs of
            several without a constructor.
    """
    if isinstance(cfg, OptimWrapper):
        return cfg
    if isinstance(cfg, torch.optim.Optimizer):
        return OptimWrapper(cfg, precision=precision)
    if isinstance(cfg, Mapping) and cfg and all(isinstance(value, OptimWrapper) for value in cfg.values()):
        return OptimWrapperDict(**cfg)
    if names_several(cfg):
        return _several(model, cfg, precision)
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


def names_several(cfg: Any) -> bool:
    """Does a config name several optimizers?"""
    kinds = (OptimWrapper, torch.optim.Optimizer)
    return (
        isinstance(cfg, Mapping)
        and "optimizer" not in cfg
        and any(
            isinstance(value, kinds) or (isinstance(value, Mapping) and "optimizer" in value) for value in cfg.values()
        )
    )


def _several(model: nn.Module, cfg: Mapping[str, Any], precision: Precision | None) -> OptimWrapper:
    """What the user's constructor builds of configs by name.

    Raises:
        ConfigError: there is none.
    """
    settings = dict(cfg)
    constructor, rules = settings.pop("constructor", None), settings.pop("paramwise_cfg", None)
    if constructor is None:
        name, value = next(item for item in cfg.items() if not isinstance(item[1], OptimWrapper))
        raise ConfigError(
            f"optim_wrapper: several optimizers by name are OptimWrappers, or configs for a constructor=... of your"
            f" own that builds an OptimWrapperDict; got {name}={type(value).__name__}"
        )
    arguments = {"optim_wrapper_cfg": settings, "paramwise_cfg": rules}
    built: OptimWrapper = OPTIM_WRAPPER_CONSTRUCTORS.build({"type": constructor}, default_args=arguments)(model)
    for wrapper in built.wrappers.values():
        if precision is not None and wrapper.precision.name == "fp32":  # each has a scaler of its own
            wrapper.precision = Precision(precision.name, precision.device_type)
    return built


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
    if names_several(cfg):
        for name, part in cfg.items():
            check_optim_config(part, f"{where}.{name}")
        return
    check_types(OptimWrapper, cfg, where)
    check_types(nn.utils.clip_grad_norm_, cfg.get("clip_grad"), f"{where}.clip_grad")
    check_types(nn.utils.clip_grad_value_, cfg.get("clip_grad"), f"{where}.clip_grad")
    optimizer = cfg.get("optimizer")
    if isinstance(optimizer, Mapping):
        kind = optimizer.get("type")
        check_types(OPTIMIZERS.get(kind) if isinstance(kind, str) else kind, optimizer, f"{where}.optimizer")
