"""Networks of Hugging Face's transformers by the names of their classes: video models and image encoders.

    dict(type="transformers.VivitModel", num_frames=16, image_size=224)          # random weights
    dict(type="transformers.VideoMAEForVideoClassification", pretrained=FOLDER)  # a folder of save_pretrained

Clips come as (B, C, T, H, W), as all backbones take them, and continue as (B, T, C, H, W). Some of these
networks take clips of any size and compute nonsense of them: sizes are compared with the config.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, Literal, get_args

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.libraries.hugging_face_files import load_folder
from kinema.models.backbones.libraries.network import LibraryNetwork, import_library, unknown_network
from kinema.models.backbones.libraries.plain import SHAPING_OF_TRANSFORMERS
from kinema.spelling import nearest

Pooling = Literal["token", "mean", "pooler", "scores"]


@dataclass(frozen=True)
class _VideoFamily:
    """What the config of a video model calls its sizes, and where its features are.

    Attributes:
        pooling: of the bare model.
        size: pixels of a side.
        frames: frames of a clip; None: any number of tubelets.
        unused: parts of the bare model that its tokens do not come from.
    """

    pooling: Pooling
    size: str = "image_size"
    frames: str | None = "num_frames"
    unused: tuple[str, ...] = ()


# `model_type` of a config -> the video models. All others see single images.
_VIDEO = {
    "timesformer": _VideoFamily("token"),
    "videomae": _VideoFamily("mean"),
    "videoprism": _VideoFamily("mean"),
    "videoprism_vision_model": _VideoFamily("mean"),
    "vivit": _VideoFamily("token", unused=("pooler",)),
    "vjepa2": _VideoFamily("mean", size="crop_size", frames=None, unused=("predictor",)),
}
_ENDINGS = ("Model", "ModelWithProjection", "VideoClassification", "ImageClassification")
# Image encoders whose own pooling is trained.
_POOLED = ("clip_vision_model", "siglip_vision_model")


def build_transformer(name: str, settings: Mapping[str, Any]) -> LibraryNetwork:
    """Build a network of transformers.

    Args:
        name: of its class, such as `"VivitModel"` or `"VideoMAEForVideoClassification"`.
        settings: `pretrained`: folder with `config.json` and `model.safetensors`, or the name of a model
            of the Hub where `download=True` allows to ask there; `pooling`: the features are the first
            token (`"token"`), the mean of all (`"mean"`), what the network pools (`"pooler"`) or the
            scores of its classifier (`"scores"`), by default what its family is used with; all else is
            for the network's config.

    Returns:
        The network. Its features are (B, C) of clips, (B, C, 1, 1) of frames.

    Raises:
        MissingDependencyError: transformers is not installed.
        ConfigError: it has no such network, the config no such key, or the pooling does not fit.
        CheckpointError: the folder does not hold the weights of such a network.
    """
    rest = dict(settings)
    pretrained, download, pooling = rest.pop("pretrained", None), rest.pop("download", False), rest.pop("pooling", None)
    library = import_library("transformers", name)
    network_class = _class(library, name)
    config_class = network_class.config_class
    if config_class is None or not network_class.main_input_name.startswith("pixel_values"):
        raise ConfigError(f"transformers.{name} takes no images or clips: name a video model or an image encoder")
    _check_keys(name, config_class, rest)
    if pretrained is None:
        network = network_class(config_class(**rest))
    else:
        network = load_folder(network_class, os.fspath(pretrained), rest, download=bool(download))
    family = _VIDEO.get(network.config.model_type)
    chosen = _pooling(name, network.config.model_type, family, pooling)
    for part in family.unused if family and chosen in ("token", "mean") else ():
        getattr(network, part).requires_grad_(False)  # else a part of training that gets no gradients
    network.out_channels = _channels(network, chosen)
    features = partial(_features, what=f"transformers.{name}", pooling=chosen)
    return LibraryNetwork(network, features, family is not None, _resolved(name, network, chosen))


def _class(library: ModuleType, name: str) -> Any:
    value = getattr(library, name, None)
    if isinstance(value, type) and issubclass(value, library.PreTrainedModel):
        return value
    raise unknown_network("transformers", name, [other for other in dir(library) if other.endswith(_ENDINGS)])


def _check_keys(name: str, config_class: Any, settings: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for keys that the config of a network does not have: it would swallow them."""
    known = {*config_class().to_dict(), "num_labels"}
    for key in settings:
        if key not in known:
            near = nearest(key, known)
            hint = f": did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(f"transformers.{name}: its config has no key {key!r}{hint}")


def _pooling(name: str, kind: str, family: _VideoFamily | None, asked: str | None) -> Pooling:
    if asked is not None and asked not in get_args(Pooling):
        raise ConfigError(f"transformers.{name}: pooling must be one of {', '.join(get_args(Pooling))}, got {asked!r}")
    classifies = name.endswith("Classification")
    if asked is not None and (asked == "scores") != classifies:
        raise ConfigError(
            f"transformers.{name}: pooling={asked!r} does not fit: "
            + ("a classifier gives 'scores', the model inside it tokens" if classifies else "it has no classifier")
        )
    default: Pooling = family.pooling if family else "pooler" if kind in _POOLED else "token"
    return asked or ("scores" if classifies else default)  # type: ignore[return-value]


def _channels(network: nn.Module, pooling: Pooling) -> int:
    config: Any = network.config
    if pooling == "scores":
        return int(config.num_labels)
    if pooling == "pooler" and type(network).__name__.endswith("WithProjection"):
        return int(config.projection_dim)
    if pooling == "pooler":
        return int(getattr(config, "pooler_output_size", None) or config.hidden_size)
    return int(config.hidden_size)


def _resolved(name: str, network: nn.Module, pooling: Pooling) -> dict[str, Any]:
    """The config that builds a network of this shape without a file."""
    values: dict[str, Any] = network.config.to_dict()  # type: ignore[union-attr, operator]
    shaping = {key: value for key, value in values.items() if key in SHAPING_OF_TRANSFORMERS and value is not None}
    if pooling == "scores":
        shaping["num_labels"] = network.config.num_labels  # type: ignore[union-attr]
    return {"type": f"transformers.{name}", "pooling": pooling, **shaping}


# ---- features


def _features(network: nn.Module, x: Tensor, *, what: str, pooling: Pooling) -> Tensor:
    """(B, C, T, H, W) or (B, C, H, W) -> (B, C') or (B, C', 1, 1)."""
    config: Any = network.config
    family = _VIDEO.get(config.model_type)
    _check_size(x, config, family, what)
    # V-JEPA 2 predicts hidden places, too, unless it is asked not to.
    options = {"skip_predictor": True} if type(network).__name__ == "VJEPA2Model" else {}
    rows = x if family is None else x.transpose(1, 2)
    out: Any = network(**{str(network.main_input_name): rows}, **options)
    pooled = _pooled(out, pooling, what)
    return pooled[:, :, None, None] if family is None else pooled


def _pooled(out: Any, pooling: Pooling, what: str) -> Tensor:
    value: Any
    if pooling == "scores":
        value = out.logits
        return value.flatten(1)  # (B, 1, N) of VideoPrism
    if pooling == "pooler":
        value = out.get("image_embeds", out.get("pooler_output"))
        if value is None:
            raise ConfigError(f"{what} pools nothing by itself: set pooling='token' or 'mean'")
        return value.flatten(1)
    value = out.get("last_hidden_state")
    if value is None:
        raise ConfigError(f"{what} gives no tokens: set pooling='pooler'")
    if value.dim() == 4:  # of convolutional networks
        value = value.flatten(2).transpose(1, 2)
        return value.mean(1)
    return value[:, 0] if pooling == "token" else value.mean(1)


def _check_size(x: Tensor, config: Any, family: _VideoFamily | None, what: str) -> None:
    """Raise `ConfigError` unless frames and pixels are those that the network was built for."""
    takes = "clips of shape (batch, channels, frames, height, width)" if family else "frames"
    if x.dim() != (4 if family is None else 5):
        raise ConfigError(f"{what} takes {takes}, got {tuple(x.shape)}: in a model it needs {_recognizer(family)}")
    key = family.size if family else "image_size"
    size = getattr(config, key, None)
    if size is not None and x[0, 0].dim():
        height, width = (size, size) if isinstance(size, int) else size
        if tuple(x.shape[-2:]) != (height, width):
            raise ConfigError(
                f"{what} was built for {height} x {width} pixels ({key}), but the {'clips' if family else 'frames'}"
                f" have {x.shape[-2]} x {x.shape[-1]}: set crops, or {key}"
            )
    if family is None:
        return
    frames = x.shape[2]
    if family.frames is not None and frames != getattr(config, family.frames):
        raise ConfigError(
            f"{what} was built for {getattr(config, family.frames)} frames ({family.frames}), but the clips have"
            f" {frames}: set clip_len, or {family.frames}"
        )
    if family.frames is None and frames % config.tubelet_size:
        raise ConfigError(
            f"{what} joins {config.tubelet_size} frames in a tubelet (tubelet_size), which do not divide the {frames}"
            " frames of the clips: set clip_len"
        )


def _recognizer(family: _VideoFamily | None) -> str:
    return "Recognizer2D" if family is None else "Recognizer3D"
