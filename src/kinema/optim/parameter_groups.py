"""Parameter groups: which parameters of a model learn at which rate and with which weight decay.

Pure functions give each trainable parameter its settings, `(name, parameter, settings)`; `grouped`
puts those of equal settings into one group of torch's optimizers. `kinema.optim.constructors` reads
OpenMMLab's configs and calls them.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from kinema.errors import ConfigError
from kinema.registry import OPTIM_WRAPPER_CONSTRUCTORS

logger = logging.getLogger("kinema")

Settings = dict[str, Any]  # entries of a parameter group that differ from the optimizer's own
Assigned = Iterable[tuple[str, nn.Parameter, Settings]]

NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
RULES = "optim_wrapper.paramwise_cfg"  # for messages


@dataclass(frozen=True)
class Base:
    """Rate and weight decay in the optimizer's config; None: they are not in it."""

    lr: float | None
    weight_decay: float | None

    def times(self, lr: float | None = None, decay: float | None = None) -> Settings:
        """Settings with multiples of them; None leaves one out.

        Raises:
            ConfigError: the factor is no number; or the config lacks what is multiplied, unless by 0
                or 1.
        """
        settings = {}
        for name, base, factor in (("lr", self.lr, lr), ("weight_decay", self.weight_decay, decay)):
            if not isinstance(factor, int | float | None):
                raise ConfigError(f"{RULES}: {name} can be multiplied by a number only, got {factor!r}")
            if factor is not None and base is None and factor not in (0, 1):
                raise ConfigError(f"optim_wrapper.optimizer: give {name}, which paramwise_cfg multiplies")
            if factor is not None and not (base is None and factor == 1):
                settings[name] = (base or 0.0) * factor
        return settings


@dataclass(frozen=True)
class Owned:
    """A parameter, its full and its own name, the module that has it, and that module's parent."""

    name: str
    own_name: str
    parameter: nn.Parameter
    module: nn.Module
    parent: nn.Module | None


def owned_parameters(
    model: nn.Module, prefix: str = "", *, repeated: bool = False, frozen: bool = False
) -> Iterator[Owned]:
    """Parameters in the order of `named_parameters`.

    Args:
        model: whose parameters.
        prefix: of their names.
        repeated: give a shared one for each of its modules.
        frozen: give those that are not trained, too, as they may be later.
    """
    modules = dict(model.named_modules())
    seen: set[int] = set()
    for place, module in modules.items():
        parent = modules[place.rpartition(".")[0]] if place else None
        for own_name, parameter in module.named_parameters(recurse=False):
            if (frozen or parameter.requires_grad) and (repeated or id(parameter) not in seen):
                yield Owned(".".join(filter(None, (prefix, place, own_name))), own_name, parameter, module, parent)
            seen.add(id(parameter))


def grouped(assigned: Assigned, *, merged: bool = True) -> list[dict[str, Any]]:
    """Groups in the order in which their settings come up, with their names as `param_names`.

    Args:
        assigned: parameters and settings.
        merged: put those of equal settings into one group, which updates faster; False: a group
            for each parameter, as OpenMMLab's optimizers have.
    """
    groups: list[tuple[Settings, dict[str, Any]]] = []
    for name, parameter, settings in assigned:
        group = next((group for known, group in groups if merged and known == settings), None)
        if group is None:
            group = {"params": [], "param_names": [], **settings}
            groups.append((settings, group))
        group["params"].append(parameter)
        group["param_names"].append(name)
    return [group for _, group in groups]


def scaled_rate(lr: float, base_batch_size: int, real_batch_size: int) -> float:
    """The rate for another batch size than the published one: in proportion.

    Args:
        lr: for `base_batch_size`.
        base_batch_size: samples of a batch of all processes, as published.
        real_batch_size: the same, as it is.

    Raises:
        ValueError: a batch size below 1.

    Source: Goyal et al. 2017, arXiv:1706.02677.
    """
    if base_batch_size < 1 or real_batch_size < 1:
        raise ValueError(f"need batch sizes of at least 1, got {base_batch_size=}, {real_batch_size=}")
    return lr * real_batch_size / base_batch_size


# ---- rules


def by_kind(owned: Owned, rules: Mapping[str, Any], base: Base, in_deformable: bool) -> Settings:
    """Settings by what a parameter is: of a norm, a bias, of a depthwise convolution, of one dimension."""
    module, is_bias = owned.module, owned.own_name == "bias"
    is_norm = isinstance(module, NORMS)
    rate = rules.get("bias_lr_mult") if is_bias and not is_norm and not in_deformable else None
    if in_deformable and isinstance(module, nn.Conv2d) and "conv_offset" in owned.name:
        rate = rules.get("dcn_offset_lr_mult", rate)
    decays = (
        ("norm_decay_mult", is_norm),
        ("bias_decay_mult", is_bias and not in_deformable),
        ("dwconv_decay_mult", isinstance(module, nn.Conv2d) and module.in_channels == module.groups),
        ("flat_decay_mult", owned.parameter.ndim == 1 and not in_deformable),
    )
    decay = next((rules[name] for name, applies in decays if applies and rules.get(name) is not None), None)
    return base.times(rate, decay)


def by_name(name: str, custom_keys: Mapping[str, Mapping[str, Any]], base: Base) -> tuple[str, Settings] | None:
    """The longest key that is in `name`, the first by alphabet among equally long ones, and its settings."""
    for key in sorted(custom_keys, key=lambda key: (-len(key), key)):
        if key in name:
            rule = dict(custom_keys[key])
            return key, {**base.times(rule.pop("lr_mult", None), rule.pop("decay_mult", None)), **rule}
    return None


def by_all_keys(name: str, keys: Mapping[str, Mapping[str, float]], base: Base) -> tuple[list[str], Settings]:
    """All keys that are in `name`, and the product of their settings."""
    matching = [key for key in keys if key in name]
    rate = decay = 1.0
    for key in matching:
        rate *= keys[key].get("lr_mult", 1.0)
        decay *= keys[key].get("decay_mult", 1.0)
    decays = any("decay_mult" in keys[key] for key in matching)
    return matching, base.times(rate, decay if decays else None) if matching else {}


def by_role(model: nn.Module, fc_lr5: bool, base: Base) -> list[dict[str, Any]]:
    """The seven groups of TSM, of which some may be empty.

    Weight and bias of the first convolution, other weights, other biases, norms, and with `fc_lr5`
    weight and bias of the last layer. A parameter beside the layers of a module is a weight.

    Raises:
        ConfigError: a parameter is of another kind of layer.

    Source: TSM, Lin et al. 2019, arXiv:1811.08383, and its published training.
    """
    layers = [module for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)]
    first = next((module for module in layers if isinstance(module, _ConvNd)), None)
    last = layers[-1] if fc_lr5 and layers else None
    factors = [(1, 1), (2, 0), (1, 1), (2, 0), (1, 0), (5, 1), (10, 0)]  # of rate and decay
    groups: list[dict[str, Any]] = [
        {"params": [], "param_names": [], **base.times(rate, decay)} for rate, decay in factors
    ]
    for owned in owned_parameters(model, frozen=True):
        is_bias = owned.own_name == "bias"
        if isinstance(owned.module, _BatchNorm | nn.GroupNorm):
            number = 4
        elif isinstance(owned.module, _ConvNd | nn.Linear):
            number = (0 if owned.module is first else 5 if owned.module is last else 2) + is_bias
        elif any(True for _ in owned.module.children()):
            logger.warning("TSMOptimWrapperConstructor: %s is trained as a weight; MMAction2 leaves it out", owned.name)
            number = 2
        else:
            raise ConfigError(
                f"{RULES}: TSMOptimWrapperConstructor has no rate for {owned.name} of "
                f"{type(owned.module).__name__}; it knows convolutions, linear layers, batch and group norms"
            )
        groups[number]["params"].append(owned.parameter)
        groups[number]["param_names"].append(owned.name)
    return groups


_BLOCK = re.compile(r"(?:^|\.)(?:blocks|layers?|resblocks)\.(\d+)\.")
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:cls_token|mask_token|pos_embed|patch_embed|embeddings)(?:\.|$)")


def layer_of(name: str, num_layers: int) -> int:
    """Number of a parameter's layer in a transformer: 0 embeddings, then the blocks, `num_layers` + 1 the rest.

    Args:
        name: of the parameter in the backbone, such as `blocks.3.attn.qkv.weight`; empty: of
            another part, which belongs to the rest.
        num_layers: number of blocks.

    Raises:
        ConfigError: there are more blocks.
    """
    block = _BLOCK.search(name)
    if block is None:
        return 0 if _EMBEDDINGS.search(name) else num_layers + 1
    if int(block[1]) >= num_layers:
        raise ConfigError(f"{RULES}.num_layers is {num_layers}, but there is {name}")
    return int(block[1]) + 1


def by_layer(model: nn.Module, num_layers: int | None, decay_rate: float, base: Base) -> Assigned:
    """Settings by a parameter's layer: the rate falls by `decay_rate` from layer to layer towards the input.

    Biases and parameters of one dimension have no weight decay. Settings have the factor of the rate
    as `lr_scale`, and layer and decay as `group_name` ("layer_3_decay", "layer_3_no_decay").

    Args:
        model: a transformer, or a recognizer with one as `backbone`.
        num_layers: number of its blocks; None counts them.
        decay_rate: quotient of the rates of two layers.
        base: settings of the last layers.

    Raises:
        ConfigError: batch norms, no blocks, or more of them than `num_layers`.
    """
    backbone = "backbone." if isinstance(getattr(model, "backbone", None), nn.Module) else ""
    names = [name for name, _ in model.named_parameters()]
    blocks = {int(block[1]) for name in names if name.startswith(backbone) and (block := _BLOCK.search(name))}
    norm = next((name for name, module in model.named_modules() if isinstance(module, _NormBase)), None)
    if norm is not None or not blocks:
        problem = "the model has no blocks.N" if norm is None else f"the model has batch norms: {norm}"
        raise ConfigError(f"optim_wrapper.constructor: LearningRateDecayOptimizerConstructor: {problem}")
    num_layers = max(blocks) + 1 if num_layers is None else num_layers
    for owned in owned_parameters(model):
        inner = owned.name.removeprefix(backbone) if owned.name.startswith(backbone) else ""
        flat = owned.parameter.ndim == 1 or owned.own_name == "bias"
        layer = layer_of(inner, num_layers)
        scale = decay_rate ** (num_layers + 1 - layer)
        labels = {"lr_scale": scale, "group_name": f"layer_{layer}_{'no_decay' if flat else 'decay'}"}
        yield owned.name, owned.parameter, {**base.times(scale, 0 if flat else 1), **labels}


def build_groups(
    model: nn.Module,
    optimizer_cfg: Mapping[str, Any],
    constructor: str | type | None = None,
    paramwise_cfg: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Parameter groups of `model` for an optimizer of torch, those of equal settings in one.

    Frozen parameters, which have no gradients, are among them unless rules are given.

    Args:
        model: whose parameters to group.
        optimizer_cfg: the optimizer's config, of which `lr` and `weight_decay` are multiplied.
        constructor: name or class; None: `DefaultOptimWrapperConstructor`.
        paramwise_cfg: rules, see the constructor.

    Raises:
        ConfigError: an unknown key, or rules that do not suit the model.
    """
    kind = constructor or "DefaultOptimWrapperConstructor"
    arguments = {"optim_wrapper_cfg": {"optimizer": optimizer_cfg}, "paramwise_cfg": paramwise_cfg}
    built = OPTIM_WRAPPER_CONSTRUCTORS.build({"type": kind}, **arguments)
    built.merges_groups = True
    groups: list[dict[str, Any]] = built.groups(model)
    return groups
