"""Layers by name as MMCV builds them, where Kinema's own networks do not need it."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from kinema.errors import RegistryError
from kinema.models.layers import norm_attribute
from kinema.registry import MODELS


def infer_norm_abbr(class_type: type) -> str:
    """The attribute under which a block keeps a norm of this class: "bn", "gn", "ln", "in", ...

    Raises:
        TypeError: it is no class.
    """
    return norm_attribute(_class(class_type))


def infer_plugin_abbr(class_type: type) -> str:
    """The attribute under which a block keeps a plug-in: its `_abbr_`, or `FancyBlock` as "fancy_block".

    Raises:
        TypeError: it is no class.
    """
    own = getattr(_class(class_type), "_abbr_", None)
    if isinstance(own, str):
        return own
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", class_type.__name__)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", words).replace("-", "_").lower()


def _class(value: Any) -> type:
    if not inspect.isclass(value):
        raise TypeError(f"a class is expected, got {value!r}")
    return value


def build_plugin_layer(cfg: Mapping[str, Any], postfix: int | str = "", **kwargs: Any) -> tuple[str, nn.Module]:
    """Build a block that a network takes in, by its config.

    Args:
        cfg: `type` and arguments.
        postfix: is appended to the name.
        **kwargs: further arguments.

    Returns:
        The attribute name under which it is kept, and the block.

    Raises:
        TypeError: `cfg` is no dict, or `postfix` neither a number nor a text.
        RegistryError: `type` is missing or names no part.
    """
    if not isinstance(cfg, Mapping):
        raise TypeError(f"the config of a plug-in must be a dict with 'type', got {cfg!r}")
    if not isinstance(postfix, int | str):
        raise TypeError(f"postfix of a plug-in's name must be a number or a text, got {postfix!r}")
    settings = dict(cfg)
    if "type" not in settings:
        raise RegistryError(f"the config of a plug-in needs 'type', got only {sorted(settings)}")
    kind: Any = settings.pop("type")
    part: Any = MODELS.get(kind) if isinstance(kind, str) else kind
    if part is None:
        raise MODELS.unknown(kind)
    return f"{infer_plugin_abbr(part)}{postfix}", part(**kwargs, **settings)


def is_norm(layer: nn.Module, exclude: type | tuple[type, ...] | None = None) -> bool:
    """Whether a layer is one of torch's norms.

    Args:
        layer: any layer.
        exclude: classes that do not count.

    Raises:
        TypeError: `exclude` is no class and no tuple of classes.
    """
    excluded = () if exclude is None else exclude if isinstance(exclude, tuple) else (exclude,)
    if not all(inspect.isclass(kind) for kind in excluded):
        raise TypeError(f"exclude is a class or a tuple of classes, got {exclude!r}")
    norms = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
    return isinstance(layer, norms) and not isinstance(layer, excluded)


class HSwish(nn.Module):
    """x * relu6(x + 3) / 6; the name HSwish of a config is torch's `Hardswish`, which computes the same."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.act = nn.ReLU6(inplace)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.act(x + 3) / 6


def make_divisible(value: float, divisor: int, min_value: int | None = None, min_ratio: float = 0.9) -> int:
    """The multiple of `divisor` nearest to a number of channels.

    Args:
        value: the number.
        divisor: see above.
        min_value: the least that is returned, before `min_ratio`; None: `divisor`.
        min_ratio: the least share of `value` that is returned.
    """
    lowest = divisor if min_value is None else min_value
    near = max(lowest, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < min_ratio * value else near
