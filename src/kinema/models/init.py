"""Initialisers of weights: functions for one layer, and the parts that `init_cfg` names.

    init_cfg = [
        dict(type="Kaiming", layer="Conv3d"),
        dict(type="Constant", layer=["_BatchNorm", "GroupNorm"], val=1),
        dict(type="Normal", layer="Linear", std=0.01, override=dict(name="fc_cls", type="Normal",
        std=0.001)), dict(type="Pretrained", checkpoint="backbone.safetensors", prefix="backbone."),
    ]

`layer` is matched against the name of a layer's class and of all its base classes; an `override`
initialises the whole submodule of that name, whatever its layers.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.checkpoints import load_checkpoint, read_checkpoint
from kinema.errors import ConfigError
from kinema.models.init_report import active_report
from kinema.registry import WEIGHT_INITIALIZERS

logger = logging.getLogger("kinema")

InitCfg = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Distribution = Literal["normal", "uniform"]


# ---- one layer


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Fill the weight of `module` with `val` and its bias with `bias`."""
    weight = _weight(module)
    if weight is not None:
        nn.init.constant_(weight, val)
    _fill_bias(module, bias)


def xavier_init(module: nn.Module, gain: float = 1, bias: float = 0, distribution: Distribution = "normal") -> None:
    """Draw the weight with variance 2 gain^2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    _check_distribution(distribution)
    weight = _weight(module)
    if weight is not None:
        draw = nn.init.xavier_uniform_ if distribution == "uniform" else nn.init.xavier_normal_
        draw(weight, gain=gain)
    _fill_bias(module, bias)


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Draw the weight from a normal distribution."""
    weight = _weight(module)
    if weight is not None:
        nn.init.normal_(weight, mean, std)
    _fill_bias(module, bias)


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Draw the weight from a normal distribution cut to [a, b]; `a` and `b` are values, not multiples of `std`."""
    weight = _weight(module)
    if weight is not None:
        nn.init.trunc_normal_(weight, mean, std, a, b)
    _fill_bias(module, bias)


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Draw the weight from [a, b)."""
    weight = _weight(module)
    if weight is not None:
        nn.init.uniform_(weight, a, b)
    _fill_bias(module, bias)


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: Literal["fan_in", "fan_out"] = "fan_out",
    nonlinearity: str = "relu",
    bias: float = 0,
    distribution: Distribution = "normal",
) -> None:
    """Draw the weight with variance gain(nonlinearity, a)^2 / fan.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    _check_distribution(distribution)
    weight = _weight(module)
    if weight is not None:
        draw = nn.init.kaiming_uniform_ if distribution == "uniform" else nn.init.kaiming_normal_
        draw(weight, a=a, mode=mode, nonlinearity=nonlinearity)  # type: ignore[arg-type]
    _fill_bias(module, bias)


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Draw the weight uniformly with variance 1 / fan_in, which is what Caffe2 calls Xavier."""
    kaiming_init(module, a=1, mode="fan_in", nonlinearity="leaky_relu", bias=bias, distribution="uniform")


def bias_init_with_prob(prior_prob: float) -> float:
    """The bias at which a sigmoid gives `prior_prob`, in (0, 1)."""
    if not 0 < prior_prob < 1:
        raise ValueError(f"a prior probability lies between 0 and 1, got {prior_prob}")
    return -math.log((1 - prior_prob) / prior_prob)


def _weight(module: nn.Module) -> Tensor | None:
    weight = getattr(module, "weight", None)
    return weight if isinstance(weight, Tensor) else None


def _fill_bias(module: nn.Module, value: float) -> None:
    bias = getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        nn.init.constant_(bias, value)


def _check_distribution(distribution: str) -> None:
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"distribution must be 'normal' or 'uniform', got {distribution!r}")


# ---- whole modules


class BaseInit:
    """Applies one of the functions above to layers of a module.

    Args:
        bias: value of the biases.
        bias_prob: sets `bias` such that a sigmoid gives this probability.
        layer: names of layer classes (or of their base classes) to initialise; None: every layer.

    Raises:
        TypeError: an argument is no number, or no text.
    """

    def __init__(
        self, *, bias: float = 0, bias_prob: float | None = None, layer: str | Sequence[str] | None = None
    ) -> None:
        layers = [layer] if isinstance(layer, str) else layer
        for name, value in {"bias": bias, "bias_prob": 0.5 if bias_prob is None else bias_prob}.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} of {type(self).__name__} must be a number, got {value!r}")
        if layers is not None and not (
            isinstance(layers, Sequence) and all(isinstance(layer, str) for layer in layers)
        ):
            raise TypeError(f"layer must be a class name or a list of them, got {layer!r}")
        self.bias = bias if bias_prob is None else bias_init_with_prob(bias_prob)
        self.layer = list(layers or [])
        self.wholemodule = layers is None

    def __call__(self, module: nn.Module) -> None:
        """Initialise the layers of `module` that `layer` names."""
        for layer in module.modules():
            if self.wholemodule or any(kind.__name__ in self.layer for kind in type(layer).__mro__):
                self.init_layer(layer)

    def init_layer(self, layer: nn.Module) -> None:
        """Initialise one layer; layers without weight and bias are left alone."""
        raise NotImplementedError

    def settings(self) -> str:
        """The settings, as the report of `init_weights` shows them."""
        return f"bias={self.bias}"

    def _get_init_info(self) -> str:
        """What the report of `init_weights` shows; subclasses written for MMEngine override it."""
        return f"{type(self).__name__}: {self.settings()}"

    def __repr__(self) -> str:
        return self._get_init_info()


@WEIGHT_INITIALIZERS.register_module(name=["Constant", "ConstantInit"])
class ConstantInit(BaseInit):
    """`constant_init` for layers of a module."""

    @takes_arguments_of(BaseInit)
    def __init__(self, val: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.val = val

    def init_layer(self, layer: nn.Module) -> None:
        constant_init(layer, self.val, self.bias)

    def settings(self) -> str:
        return f"val={self.val}, bias={self.bias}"


@WEIGHT_INITIALIZERS.register_module(name=["Xavier", "XavierInit"])
class XavierInit(BaseInit):
    """`xavier_init` for layers of a module."""

    @takes_arguments_of(BaseInit)
    def __init__(self, gain: float = 1, distribution: Distribution = "normal", **settings: Any) -> None:
        super().__init__(**settings)
        self.gain = gain
        self.distribution: Distribution = distribution

    def init_layer(self, layer: nn.Module) -> None:
        if _has_fans(layer):
            xavier_init(layer, self.gain, self.bias, self.distribution)

    def settings(self) -> str:
        return f"gain={self.gain}, distribution={self.distribution}, bias={self.bias}"


@WEIGHT_INITIALIZERS.register_module(name=["Normal", "NormalInit"])
class NormalInit(BaseInit):
    """`normal_init` for layers of a module."""

    @takes_arguments_of(BaseInit)
    def __init__(self, mean: float = 0, std: float = 1, **settings: Any) -> None:
        super().__init__(**settings)
        self.mean = mean
        self.std = std

    def init_layer(self, layer: nn.Module) -> None:
        normal_init(layer, self.mean, self.std, self.bias)

    def settings(self) -> str:
        return f"mean={self.mean}, std={self.std}, bias={self.bias}"


@WEIGHT_INITIALIZERS.register_module(name=["TruncNormal", "TruncNormalInit"])
class TruncNormalInit(BaseInit):
    """`trunc_normal_init` for layers of a module."""

    @takes_arguments_of(BaseInit)
    def __init__(self, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, **settings: Any) -> None:
        super().__init__(**settings)
        self.mean, self.std, self.a, self.b = mean, std, a, b

    def init_layer(self, layer: nn.Module) -> None:
        trunc_normal_init(layer, self.mean, self.std, self.a, self.b, self.bias)

    def settings(self) -> str:
        return f"a={self.a}, b={self.b}, mean={self.mean}, std={self.std}, bias={self.bias}"


@WEIGHT_INITIALIZERS.register_module(name=["Uniform", "UniformInit"])
class UniformInit(BaseInit):
    """`uniform_init` for layers of a module."""

    @takes_arguments_of(BaseInit)
    def __init__(self, a: float = 0, b: float = 1, **settings: Any) -> None:
        super().__init__(**settings)
        self.a, self.b = a, b

    def init_layer(self, layer: nn.Module) -> None:
        uniform_init(layer, self.a, self.b, self.bias)

    def settings(self) -> str:
        return f"a={self.a}, b={self.b}, bias={self.bias}"


@WEIGHT_INITIALIZERS.register_module(name=["Kaiming", "KaimingInit"])
class KaimingInit(BaseInit):
    """`kaiming_init` for layers of a module."""

    @takes_arguments_of(BaseInit)
    def __init__(
        self,
        a: float = 0,
        mode: Literal["fan_in", "fan_out"] = "fan_out",
        nonlinearity: str = "relu",
        distribution: Distribution = "normal",
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.a = a
        self.mode: Literal["fan_in", "fan_out"] = mode
        self.nonlinearity = nonlinearity
        self.distribution: Distribution = distribution

    def init_layer(self, layer: nn.Module) -> None:
        if _has_fans(layer):
            kaiming_init(layer, self.a, self.mode, self.nonlinearity, self.bias, self.distribution)

    def settings(self) -> str:
        # The blank before "=" is in the guide's output.
        return (
            f"a={self.a}, mode={self.mode}, nonlinearity={self.nonlinearity}, distribution ={self.distribution},"
            f" bias={self.bias}"
        )


@WEIGHT_INITIALIZERS.register_module(name=["Caffe2Xavier", "Caffe2XavierInit"])
class Caffe2XavierInit(BaseInit):
    """`caffe2_xavier_init` for layers of a module."""

    def init_layer(self, layer: nn.Module) -> None:
        if _has_fans(layer):
            caffe2_xavier_init(layer, self.bias)

    def settings(self) -> str:
        return f"a=1, mode=fan_in, nonlinearity=leaky_relu, distribution =uniform, bias={self.bias}"


def _has_fans(layer: nn.Module) -> bool:
    """True unless the weight is a vector (norm layers), which has no fan-in or fan-out."""
    weight = _weight(layer)
    return weight is None or weight.dim() >= 2


@WEIGHT_INITIALIZERS.register_module(name=["Pretrained", "PretrainedInit"])
class PretrainedInit:
    """Loads weights from a checkpoint into a module.

    Args:
        checkpoint: file or folder, see `kinema.models.read_checkpoint`.
        prefix: take only the weights whose names start with it, and cut it off: `"backbone."`.
        map_location: device on which the file is read.

    Raises:
        CheckpointError: the file cannot be read, or holds nothing of that prefix or for that
            module.
    """

    def __init__(
        self, checkpoint: str | PathLike[str], prefix: str | None = None, map_location: str | torch.device = "cpu"
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into `module` and log the report."""
        read = read_checkpoint(self.checkpoint, map_location=self.map_location)
        if self.prefix is not None:
            read = read.below(self.prefix)
        report = load_checkpoint(module, read, image_network=False)
        logger.log(logging.INFO if report.is_complete else logging.WARNING, "%s: %s", self.checkpoint, report)

    def _get_init_info(self) -> str:
        return f"{type(self).__name__}: load from {self.checkpoint}"

    def __repr__(self) -> str:
        return self._get_init_info()


# ---- init_cfg


def is_pretrained(cfg: Mapping[str, Any]) -> bool:
    """True when `cfg` names `PretrainedInit`, by any of its names or as the class."""
    kind = cfg.get("type")
    return (WEIGHT_INITIALIZERS.get(kind) if isinstance(kind, str) else kind) is PretrainedInit


def initialize(module: nn.Module, init_cfg: InitCfg) -> None:
    """Initialise `module` as one or several `init_cfg` dicts say, in their order.

    Raises:
        ConfigError: a dict says neither `layer` nor `override`, or an override has no `name` or
            names no submodule.
    """
    for cfg in [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg:
        if not isinstance(cfg, Mapping):
            raise TypeError(f"init_cfg must be a dict or a list of dicts, got {cfg!r}")
        settings = dict(cfg)
        override = settings.pop("override", None)
        if "layer" in settings or is_pretrained(settings):
            _apply(module, settings)
        elif override is None:
            raise ConfigError(
                f"init_cfg {settings} of {type(module).__name__} initialises nothing: give 'layer' or 'override'"
            )
        settings.pop("layer", None)
        for entry in [override] if isinstance(override, Mapping) else override or []:
            _apply_override(module, entry, settings)


def _apply(module: nn.Module, cfg: Mapping[str, Any]) -> None:
    initializer = WEIGHT_INITIALIZERS.build(cfg)
    initializer(module)
    report = active_report.get()
    if report is not None:
        report.credit(module, repr(initializer))


def _apply_override(module: nn.Module, override: Mapping[str, Any], default: Mapping[str, Any]) -> None:
    settings = dict(override)
    name = settings.pop("name", None)
    if name is None:
        raise ConfigError(f"an init_cfg override needs the 'name' of a submodule, got {settings}")
    if settings and "type" not in settings:
        raise ConfigError(f"the init_cfg override of {name!r} needs 'type', got only {', '.join(settings)}")
    try:
        submodule = module.get_submodule(name)
    except AttributeError:
        known = ", ".join(child for child, _ in module.named_children()) or "none"
        raise ConfigError(
            f"init_cfg overrides {name!r}, but {type(module).__name__} has no such submodule; it has {known}"
        ) from None
    _apply(submodule, settings or default)
