"""Networks of timm and torchvision as backbones of `Recognizer2D`: `dict(type="timm.resnet18")`.

The module itself becomes the backbone, so the names of its weights are those of published
checkpoints; how to get features from it is a function beside it. Frames are averaged over height
and width.
"""

import importlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, Literal

from torch import Tensor, nn

from kinema.errors import CheckpointError, ConfigError, MissingDependencyError
from kinema.registry import check_arguments
from kinema.spelling import nearest

Features = Callable[[nn.Module, Tensor], Tensor]
FeatureShape = Literal["NCHW", "NHWC", "NLC"]

_LIBRARIES = ("timm", "torchvision")
_NOT_SERVED = ("mmcls", "mmpretrain")


def is_third_party(cfg: Mapping[str, Any]) -> bool:
    """True when the `type` of a backbone's config names a network of another library."""
    kind = cfg.get("type")
    return isinstance(kind, str) and kind.partition(".")[0] in (*_LIBRARIES, *_NOT_SERVED) and "." in kind


# What a config that comes with weights may say of a network: numbers and names that shape it.
_SHAPING = frozenset(
    {
        "type",
        "feature_shape",
        "num_classes",
        "in_chans",
        "drop_rate",
        "drop_path_rate",
        "global_pool",
        "img_size",
        "patch_size",
    }
    | {
        "window_size",
        "output_stride",
        "dropout",
        "stochastic_depth_prob",
        "attention_dropout",
        "width_mult",
        "image_size",
    }
)
_LARGEST = {"img_size": 1024, "image_size": 1024}
_SMALLEST = {"patch_size": 4, "window_size": 2}
_LARGEST_NUMBER = 65_536
_PLAIN_NAME = re.compile(r"(timm|torchvision)\.[a-z0-9_]{1,80}(\.[a-z0-9_]{1,80})?", re.IGNORECASE)


def check_plain(cfg: Mapping[str, Any], where: str) -> None:
    """Look at the config of a network of another library that somebody else wrote.

    Raises:
        CheckpointError: it does more than to name a network and shape it: it names files, addresses
            or weights, say.
    """
    kind = cfg["type"]
    if not _PLAIN_NAME.fullmatch(kind):
        raise CheckpointError(f"{where}: {kind[:80]!r} is no network that a config that comes with weights may name")
    for key, value in cfg.items():
        parts = value if isinstance(value, list | tuple) else [value]
        is_text = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.]{0,80}", value) is not None
        if key not in _SHAPING or not (is_text or all(isinstance(part, int | float | None) for part in parts)):
            raise CheckpointError(
                f"{where}: it sets {key[:80]!r} of {kind!r}, which a config that comes with weights may not: it may set"
                f" {', '.join(sorted(_SHAPING - {'type'}))}. If you trust the file, give its config yourself, as in"
                " kinema.load(path, config=...)"
            )

        numbers = [part for part in parts if isinstance(part, int | float)]
        least, most = _SMALLEST.get(key, 0), _LARGEST.get(key, _LARGEST_NUMBER)
        if not all(least <= number <= most for number in numbers):
            raise CheckpointError(f"{where}: {key}={value!r:.80} of {kind!r} must be from {least} to {most}")


def build_third_party(cfg: Mapping[str, Any]) -> tuple[nn.Module, Features]:
    """Build a network of another library.

    Args:
        cfg: `type`: `timm.NAME` or `torchvision.NAME`; `feature_shape`: how the network's features
            are laid out, `"NCHW"`, `"NHWC"` or `"NLC"` (default: three dimensions are NLC, four
            NCHW); all else goes to the library.

    Returns:
        The network, without its classifier, and the function (network, (B, C, H, W)) -> (B, C', 1,
        1).

    Raises:
        MissingDependencyError: the library is not installed.
        ConfigError: it has no such network, the network has no such argument, or its features are
            laid out otherwise.
    """
    settings = dict(cfg)
    library, _, name = settings.pop("type").partition(".")
    if library in _NOT_SERVED:
        raise ConfigError(
            f"backbone {library}.{name}: networks of {library} cannot be used; timm and torchvision have most of them: "
            "timm.NAME, torchvision.NAME"
        )
    shape: FeatureShape | None = settings.pop("feature_shape", None)
    if shape not in (None, "NCHW", "NHWC", "NLC"):
        raise ConfigError(f"feature_shape of backbone {library}.{name} must be 'NCHW', 'NHWC' or 'NLC', got {shape!r}")
    network = _timm(name, settings) if library == "timm" else _torchvision(name, settings)
    # No function in a function: recognizers are pickled.
    return network, partial(_features, library=library, shape=shape, what=f"{library}.{name}")


def _features(network: nn.Module, frames: Tensor, *, library: str, shape: FeatureShape | None, what: str) -> Tensor:
    extract = _timm_features if library == "timm" else _torchvision_features
    return _pooled(extract(network, frames), shape, what)


def _timm(name: str, settings: dict[str, Any]) -> nn.Module:
    timm = _library("timm", name)
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise _unknown("timm", name, known)
    network: nn.Module = timm.create_model(name, **{"num_classes": 0, **settings})
    return network


def _torchvision(name: str, settings: dict[str, Any]) -> nn.Module:
    models = _library("torchvision.models", name)
    # Those for detection, segmentation and video are in other modules, and no backbones of frames.
    known = [model for model in models.list_models() if model in vars(models)]
    if name not in known:
        raise _unknown("torchvision", name, known)
    builder = vars(models)[name]
    check_arguments(builder, settings, f"torchvision.{name}")
    network: nn.Module = builder(**settings)
    for classifier in ("classifier", "fc", "heads", "head"):
        if isinstance(getattr(network, classifier, None), nn.Module):
            setattr(network, classifier, nn.Identity())
    return network


def _timm_features(network: nn.Module, frames: Tensor) -> Tensor:
    result: Tensor = network.forward_features(frames)  # type: ignore[operator]
    return result


def _torchvision_features(network: nn.Module, frames: Tensor) -> Tensor:
    features = getattr(network, "features", None)
    result: Tensor = features(frames) if isinstance(features, nn.Module) else network(frames)
    return result


def _pooled(x: Tensor, shape: FeatureShape | None, what: str) -> Tensor:
    """Features in any layout -> (B, C, 1, 1)."""
    if x.dim() not in (2, 3, 4):
        raise ConfigError(f"backbone {what} gives features {tuple(x.shape)}; 2, 3 or 4 dimensions can be pooled")
    if x.dim() > 2:
        layout = shape or ("NLC" if x.dim() == 3 else "NCHW")
        if len(layout) != x.dim():
            raise ConfigError(
                f"backbone {what} gives features {tuple(x.shape)}, which are not {layout}: correct feature_shape"
            )
        x = x.flatten(2).mean(2) if layout == "NCHW" else x.flatten(1, -2).mean(1)
    return x[:, :, None, None]


def _library(module: str, name: str) -> ModuleType:
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"backbone {library}.{name} needs {library}, which cannot be imported ({error}): pip install {library}"
        ) from error


def _unknown(library: str, name: str, known: list[str]) -> ConfigError:
    near = nearest(name, known)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return ConfigError(f"{library} has no network {name!r}{hint}")
