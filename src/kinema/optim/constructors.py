"""Constructors of optimizers with parameter groups, by the rules of OpenMMLab's configs."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from kinema.errors import ConfigError
from kinema.models.wrappers import unwrapped
from kinema.optim.building import build_optimizer
from kinema.optim.parameter_groups import (
    RULES,
    Base,
    Settings,
    by_all_keys,
    by_kind,
    by_layer,
    by_name,
    by_role,
    grouped,
    owned_parameters,
)
from kinema.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS, check_arguments
from kinema.spelling import nearest

logger = logging.getLogger("kinema")

_DEFORMABLE = {"DeformConv2d", "ModulatedDeformConv2d"}  # mmcv's, by name


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DefaultOptimWrapperConstructor:
    """Builds an optimizer and its wrapper: `constructor(optim_wrapper_cfg, paramwise_cfg)(model)`.

    The keys of `paramwise_cfg` are multiples of the optimizer's rate and weight decay:

    - `custom_keys`: parts of parameter names, the longest that fits counts; each with `lr_mult`,
      `decay_mult` and further options of the optimizer. No other rule applies to these parameters.
    - `bias_lr_mult`: biases, not those of norms.
    - `norm_decay_mult`, `bias_decay_mult`, `dwconv_decay_mult`, `flat_decay_mult`: norms, biases,
      depthwise `Conv2d`, parameters of one dimension; the first that applies counts.
    - `dcn_offset_lr_mult`: the offsets of mmcv's deformable convolutions.
    - `bypass_duplicate`: leave out what came before under another name, else an error.

    Without rules there is one group, which has the frozen parameters, too: they may be trained later.

    A subclass may override `add_params`, which appends groups to a list; it may have further keys.

    Attributes:
        merges_groups: put parameters of equal settings into one group, as `build_optim_wrapper`
            asks; False: a group for each parameter, which code for OpenMMLab counts on.

    Raises:
        ConfigError: an unknown key, or a value of a wrong type.
    """

    merges_groups = False
    keys: tuple[str, ...] = (
        *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult"),
        *("flat_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate"),
    )

    def __init__(self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        self.optim_wrapper_cfg = {"type": "OptimWrapper", **optim_wrapper_cfg}
        optimizer = self.optim_wrapper_cfg.pop("optimizer", None)
        if not isinstance(optimizer, Mapping):
            raise ConfigError(f"{type(self).__name__}: optim_wrapper_cfg needs the config of an optimizer")
        self.optimizer_cfg = dict(optimizer)
        if not isinstance(paramwise_cfg, Mapping | None):
            raise ConfigError(f"{RULES} must be a dict, got {paramwise_cfg!r}")
        self.paramwise_cfg = dict(paramwise_cfg or {})
        self.base = Base(self.optimizer_cfg.get("lr"), self.optimizer_cfg.get("weight_decay"))
        self.base_lr, self.base_wd = self.base.lr, self.base.weight_decay
        self._validate_cfg()

    def _validate_cfg(self) -> None:
        """Refuse unknown keys."""
        if "keys" in vars(type(self)):  # a subclass that names none may read any
            _only_known(self.paramwise_cfg, self.keys, RULES)
        custom = self.paramwise_cfg.get("custom_keys", {})
        kind = self.optimizer_cfg.get("type")
        optimizer = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
        for key, rule in _rules(custom, f"{RULES}.custom_keys").items():
            options = {name: value for name, value in rule.items() if name not in ("lr_mult", "decay_mult")}
            if optimizer is not None:
                arguments = {**self.optimizer_cfg, **options, "params": ()}
                arguments.pop("type", None)
                check_arguments(optimizer, arguments, f"{RULES}.custom_keys[{key!r}]: {kind}")

    def __call__(self, model: nn.Module) -> Any:
        optimizer = build_optimizer(self.optimizer_cfg, self.groups(model))
        wrapper = OPTIM_WRAPPERS.build(self.optim_wrapper_cfg, default_args={"optimizer": optimizer})
        if self.paramwise_cfg:
            wrapper.base_lr = self.optimizer_cfg.get("lr")
        return wrapper

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups of `model`, each with the names of its parameters as `param_names`."""
        model = unwrapped(model)
        groups: list[dict[str, Any]] = []
        self.add_params(groups, model)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        for group in groups:
            tensors = group["params"] if isinstance(group["params"], Sequence) else [group["params"]]
            group.setdefault("param_names", [names[id(tensor)] for tensor in tensors])
        return groups

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, prefix: str = "", is_dcn_module: bool | None = None
    ) -> None:
        """Append the groups of `module`, whose place in the model is `prefix`, to `params`."""
        rules = self.paramwise_cfg
        custom, used, seen = rules.get("custom_keys", {}), set(), {id(p) for group in params for p in group["params"]}
        assigned: list[tuple[str, nn.Parameter, Settings]] = []
        for owned in owned_parameters(module, prefix, repeated=True, frozen=not rules):
            if id(owned.parameter) in seen:
                if rules and not rules.get("bypass_duplicate"):
                    raise ConfigError(f"{RULES}: {owned.name} has another name too; give bypass_duplicate=True")
                if rules:
                    warnings.warn(f"{owned.name} is duplicate: the rules of its other name hold", stacklevel=2)
                continue
            seen.add(id(owned.parameter))
            deformable = bool(is_dcn_module) if owned.parent is None else _is_deformable(owned.parent)
            match = by_name(owned.name if "." in owned.name else f".{owned.name}", custom, self.base)
            used.add(match and match[0])
            settings = match[1] if match else by_kind(owned, rules, self.base, deformable)
            assigned.append((owned.name, owned.parameter, settings))
        _log_unused([key for key in custom if key not in used], module, prefix)
        params.extend(grouped(assigned, merged=self.merges_groups or not rules))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TSMOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """The groups of TSM, see `by_role`. `fc_lr5`: five times the rate for the last layer, ten times for its bias."""

    keys = ("fc_lr5",)

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, *place: Any, **options: Any) -> None:
        params.extend(by_role(module, bool(self.paramwise_cfg.get("fc_lr5")), self.base))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SwinOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """`paramwise_cfg` maps parts of parameter names to `lr_mult` and `decay_mult`; all that fit multiply.

    The names that they are looked for in start with `base.`, as in OpenMMLab.
    """

    def _validate_cfg(self) -> None:
        for key, rule in _rules(self.paramwise_cfg, RULES).items():
            _only_known(rule, ("lr_mult", "decay_mult"), f"{RULES}[{key!r}]")

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, *place: Any, **options: Any) -> None:
        used: set[str] = set()
        assigned = []
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                keys, settings = by_all_keys(f"base.{name}", self.paramwise_cfg, self.base)
                used.update(keys)
                assigned.append((name, parameter, settings))
        _log_unused([key for key in self.paramwise_cfg if key not in used], module, "base")
        params.extend(grouped(assigned, merged=self.merges_groups or not self.paramwise_cfg))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimizerConstructor(DefaultOptimWrapperConstructor):
    """Rates that fall from layer to layer of a transformer, see `by_layer`.

    `paramwise_cfg` has `decay_rate`, `num_layers` (default: as many as there are) and `decay_type`,
    which is "layer_wise".
    """

    keys = ("num_layers", "decay_rate", "decay_type")

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        if not isinstance(self.paramwise_cfg.get("decay_rate"), int | float):
            raise ConfigError(f"{RULES}: LearningRateDecayOptimizerConstructor needs the number decay_rate")
        if self.paramwise_cfg.get("decay_type", "layer_wise") != "layer_wise":
            raise ConfigError(f"{RULES}.decay_type must be 'layer_wise', got {self.paramwise_cfg['decay_type']!r}")

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, *place: Any, **options: Any) -> None:
        rules = self.paramwise_cfg
        params.extend(grouped(by_layer(module, rules.get("num_layers"), rules["decay_rate"], self.base)))


def _only_known(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known:
            near = nearest(str(key), known, count=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(f"{where} has no key {key!r}{hint}; its keys: {', '.join(known)}")


def _rules(given: Any, where: str) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(given, Mapping) or not all(isinstance(rule, Mapping) for rule in given.values()):
        raise ConfigError(f"{where} must be a dict such as {{'backbone': dict(lr_mult=0.1)}}, got {given!r}")
    return given


def _is_deformable(module: nn.Module) -> bool:
    return any(base.__name__ in _DEFORMABLE for base in type(module).__mro__)


def _log_unused(keys: Sequence[str], module: nn.Module, prefix: str) -> None:
    """Say of keys that are for no parameter of an optimizer why; of a frozen part that is no mistake."""
    trained = {f"{prefix}.{name}": parameter.requires_grad for name, parameter in module.named_parameters()}
    for key in keys:
        named = [is_trained for name, is_trained in trained.items() if key in name]
        if not named:
            logger.warning("%s: %r is in the name of no parameter", RULES, key)
        elif any(named):
            logger.warning("%s: %r is for no parameter: longer keys are in all names that have it", RULES, key)
        else:
            logger.info("%s: %r names frozen parameters only", RULES, key)
