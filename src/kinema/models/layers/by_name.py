"""Layers by name: the convolutions, norms and activations that `conv_cfg`, `norm_cfg` and `act_cfg` of configs name.

    build_conv_layer({"type": "Conv3d"}, 3, 64, kernel_size=(1, 7, 7))
    build_norm_layer({"type": "BN3d", "eps": 1e-3, "requires_grad": False}, 64)  # -> ("bn",
    BatchNorm3d) build_activation_layer({"type": "ReLU"})

The names are those of MMCV; a layer of your own that is registered in `MODELS` is named in the same
way.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers.activations import QuickGELU
from kinema.models.layers.cpu_convolution import Conv2d, Conv3d
from kinema.registry import MODELS
from kinema.spelling import suggestion

LayerCfg = Mapping[str, Any]


@MODELS.register_module(name=["Clamp", "Clip"])
class Clamp(nn.Module):
    """Limit values to [min, max]."""

    def __init__(self, min: float = -1.0, max: float = 1.0) -> None:
        super().__init__()
        self.min = min
        self.max = max

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(self.min, self.max)


@MODELS.register_module()
class HSigmoid(nn.Module):
    """min(max((x + bias) / divisor, min_value), max_value); torch's `Hardsigmoid` is the case 3, 6."""

    def __init__(self, bias: float = 3.0, divisor: float = 6.0, min_value: float = 0.0, max_value: float = 1.0) -> None:
        super().__init__()
        if divisor == 0:
            raise ValueError("divisor of HSigmoid must not be 0")
        self.bias = bias
        self.divisor = divisor
        self.min_value = min_value
        self.max_value = max_value

    def forward(self, x: Tensor) -> Tensor:
        return ((x + self.bias) / self.divisor).clamp(self.min_value, self.max_value)


@MODELS.register_module()
class Swish(nn.Module):
    """x * sigmoid(x), which never changes its input."""

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


CONVS: dict[str, type[nn.Module]] = {
    "Conv": Conv2d,
    "Conv1d": nn.Conv1d,
    "Conv2d": Conv2d,
    "Conv3d": Conv3d,
    "deconv": nn.ConvTranspose2d,
    "deconv3d": nn.ConvTranspose3d,
    "ConvTranspose2d": nn.ConvTranspose2d,
    "ConvTranspose3d": nn.ConvTranspose3d,
}
NORMS: dict[str, type[nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "BN1d": nn.BatchNorm1d,
    "BN2d": nn.BatchNorm2d,
    "BN3d": nn.BatchNorm3d,
    "SyncBN": nn.SyncBatchNorm,
    "GN": nn.GroupNorm,
    "LN": nn.LayerNorm,
    "IN": nn.InstanceNorm2d,
    "IN1d": nn.InstanceNorm1d,
    "IN2d": nn.InstanceNorm2d,
    "IN3d": nn.InstanceNorm3d,
}
_TORCH_ACTIVATIONS = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.ReLU6,
    nn.ELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.GELU,
    nn.SiLU,
)
ACTIVATIONS: dict[str, type[nn.Module]] = {
    **{activation.__name__: activation for activation in _TORCH_ACTIVATIONS},
    "HSwish": nn.Hardswish,
    "QuickGELU": QuickGELU,
}
for _name, _class in {**CONVS, **NORMS, **ACTIVATIONS}.items():
    MODELS.register_module(name=_name, module=_class)

# The attribute under which a block keeps its norm, and so its name in state dicts:
# `conv1.bn.weight`.
_NORM_ATTRIBUTES: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.modules.instancenorm._InstanceNorm, "in"),
    (nn.modules.batchnorm._BatchNorm, "bn"),
    (nn.GroupNorm, "gn"),
    (nn.LayerNorm, "ln"),
)


def build_conv_layer(cfg: LayerCfg | None, *args: Any, **kwargs: Any) -> nn.Module:
    """Build a convolution.

    Args:
        cfg: `type` and arguments that are not among the others; None: `Conv2d`.
        *args: arguments of the convolution.
        **kwargs: arguments of the convolution.

    Raises:
        ConfigError: `type` is missing or names no layer.
    """
    layer, settings = layer_of("conv_cfg", cfg if cfg is not None else {"type": "Conv2d"}, CONVS)
    return layer(*args, **kwargs, **settings)


def build_norm_layer(cfg: LayerCfg, num_features: int, postfix: int | str = "") -> tuple[str, nn.Module]:
    """Build a norm.

    Args:
        cfg: `type`, the norm's arguments, and `requires_grad` (default True) of its parameters.
        num_features: channels.
        postfix: is appended to the name: `bn1`.

    Returns:
        The attribute name under which blocks keep it (`bn`, `gn`, `ln`, `in`), and the norm.

    Raises:
        ConfigError: `type` is missing or names no layer.
        TypeError: `postfix` is neither a number nor a text.
    """
    layer, settings = layer_of("norm_cfg", cfg, NORMS)
    if not isinstance(postfix, int | str):
        raise TypeError(f"postfix of a norm's name must be a number or a text, got {postfix!r}")
    requires_grad = settings.pop("requires_grad", True)
    settings.setdefault("eps", 1e-5)
    if issubclass(layer, nn.GroupNorm):  # its first argument is the number of groups
        norm: nn.Module = layer(num_channels=num_features, **settings)
    else:
        norm = layer(num_features, **settings)
    for parameter in norm.parameters():
        parameter.requires_grad = requires_grad
    return f"{norm_attribute(layer)}{postfix}", norm


def norm_attribute(layer: type[nn.Module]) -> str:
    """The attribute under which a block keeps a norm of this class: its `_abbr_`, or that of torch's norm like it."""
    own = getattr(layer, "_abbr_", None)
    if isinstance(own, str):
        return own
    for kind, attribute in _NORM_ATTRIBUTES:
        if issubclass(layer, kind):
            return attribute
    name = layer.__name__.lower()
    for word, attribute in (("batch", "bn"), ("group", "gn"), ("layer", "ln"), ("instance", "in")):
        if word in name:
            return attribute
    return "norm_layer"


def build_activation_layer(cfg: LayerCfg, *, inplace: bool | None = None) -> nn.Module:
    """Build an activation.

    Args:
        cfg: `type` and the activation's arguments.
        inplace: is passed on where the activation has such an argument and `cfg` does not set it.

    Raises:
        ConfigError: `type` is missing or names no layer.
    """
    layer, settings = layer_of("act_cfg", cfg, ACTIVATIONS)
    if inplace is not None and "inplace" in inspect.signature(layer).parameters:
        settings.setdefault("inplace", inplace)
    return layer(**settings)


def layer_of(what: str, cfg: LayerCfg, known: Mapping[str, type[nn.Module]]) -> tuple[type[nn.Module], dict[str, Any]]:
    """The class that `cfg` names, and the other entries of `cfg`.

    Args:
        what: the layer's kind, for messages.
        cfg: `type`, a name or a class, and other entries.
        known: the usual layers by name, for messages.

    Raises:
        ConfigError: `type` is missing or names no layer, or the layer has no such keyword.
    """
    if not isinstance(cfg, Mapping) or "type" not in cfg:
        raise ConfigError(f"{what} must be a dict with 'type', such as {{'type': {next(iter(known))!r}}}, got {cfg!r}")
    settings = dict(cfg)
    kind = settings.pop("type")
    layer: Any = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (inspect.isclass(layer) and issubclass(layer, nn.Module)):
        raise ConfigError(f"{what} names {kind!r}, which is no layer: {suggestion(str(kind), known)}")
    _check_keywords(what, layer, [name for name in settings if name != "requires_grad"])
    return layer, settings


def _check_keywords(what: str, layer: type[nn.Module], names: Sequence[str]) -> None:
    parameters = inspect.signature(layer).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in names:
        if name not in parameters:
            raise ConfigError(
                f"{what}: {layer.__name__} has no keyword {name!r}; its keywords: {', '.join(parameters)}"
            )
