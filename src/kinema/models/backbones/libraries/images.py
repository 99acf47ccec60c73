"""Networks of timm and torchvision as backbones of `Recognizer2D`.

The module itself becomes the backbone, so the names of its weights are those of published
checkpoints; how to get features from it is a function beside it. Frames are averaged over height
and width.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.libraries.network import LibraryNetwork, import_library, unknown_network
from kinema.registry import check_arguments

FeatureShape = Literal["NCHW", "NHWC", "NLC"]


def build_image_network(library: str, name: str, settings: Mapping[str, Any]) -> LibraryNetwork:
    """Build a network of timm or torchvision, without its classifier.

    Args:
        library: `"timm"` or `"torchvision"`.
        name: of the network there.
        settings: `feature_shape`: how the network's features are laid out, `"NCHW"`, `"NHWC"` or `"NLC"`
            (default: three dimensions are NLC; four are NCHW, but NHWC where timm's `num_features` says
            so); all else goes to the library.

    Returns:
        The network; its features are (B, C', 1, 1) of (B, C, H, W).

    Raises:
        MissingDependencyError: the library is not installed.
        ConfigError: it has no such network, the network has no such argument, or its features are
            laid out otherwise.
    """
    config = {"type": f"{library}.{name}", **settings}
    settings = dict(settings)
    shape: FeatureShape | None = settings.pop("feature_shape", None)
    if shape not in (None, "NCHW", "NHWC", "NLC"):
        raise ConfigError(f"feature_shape of backbone {library}.{name} must be 'NCHW', 'NHWC' or 'NLC', got {shape!r}")
    network = _timm(name, settings) if library == "timm" else _torchvision(name, settings)
    # No function in a function: recognizers are pickled.
    features = partial(_features, library=library, shape=shape, what=f"{library}.{name}")
    return LibraryNetwork(network, features, takes_clips=False, config=config)


def _features(network: nn.Module, frames: Tensor, *, library: str, shape: FeatureShape | None, what: str) -> Tensor:
    extract = _timm_features if library == "timm" else _torchvision_features
    x = extract(network, frames)
    channels = getattr(network, "num_features", None)  # as timm's networks say it
    if shape is None and x.dim() == 4 and channels == x.shape[-1] != x.shape[1]:
        shape = "NHWC"
    return _pooled(x, shape, what)


def _timm(name: str, settings: dict[str, Any]) -> nn.Module:
    timm = import_library("timm", name)
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise unknown_network("timm", name, known)
    network: nn.Module = timm.create_model(name, **{"num_classes": 0, **settings})
    return network


def _torchvision(name: str, settings: dict[str, Any]) -> nn.Module:
    models = import_library("torchvision.models", name)
    # Those for detection, segmentation and video are in other modules, and no backbones of frames.
    known = [model for model in models.list_models() if model in vars(models)]
    if name not in known:
        raise unknown_network("torchvision", name, known)
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
