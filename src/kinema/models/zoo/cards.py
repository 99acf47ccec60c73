"""The model zoo: a name -> a model's config, with a card that says what the model takes and how it is trained.

An entry is a function `(num_classes) -> config` under `@model(...)`; its name is the model's.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from torch import nn

from kinema.errors import ConfigError
from kinema.models.base import BaseModule
from kinema.registry import MODELS, nearest

ModelConfig = dict[str, Any]
Builder = Callable[[int], ModelConfig]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class InputSpec:
    """What a model wants to see.

    Attributes:
        clip_len: frames of a clip, T.
        frame_interval: distance of neighbouring frames, in frames of the video.
        num_clips: clips of a video in evaluation.
        size: height and width of the crop, pixels.
        short_side: short side of the frames before cropping, pixels.
        mean: subtracted from each channel, of values from 0 to 255.
        std: what each channel is then divided by.
        format_shape: `"NCTHW"`: clips; `"NCHW"`: single frames, one from each of `num_clips` equal parts of a video, which the
            model joins.
    """

    clip_len: int
    frame_interval: int
    num_clips: int
    size: int
    short_side: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    format_shape: Literal["NCTHW", "NCHW"] = "NCTHW"

    @property
    def num_frames(self) -> int:
        """Frames that the model joins."""
        return self.num_clips if self.format_shape == "NCHW" else self.clip_len


@dataclass(frozen=True)
class Result:
    """What published weights of a model reach.

    Attributes:
        top1: percent of videos whose class has the highest score.
        top5: percent of videos whose class is among the five highest; None: not published.
        dataset: the data set, whose validation part was classified.
        protocol: clips times crops of each that are averaged, such as `"10 x 3"`.
        config: the OpenMMLab config that the weights belong to.
    """

    top1: float
    top5: float | None
    dataset: str
    protocol: str
    config: str


@dataclass(frozen=True)
class Card:
    """What the zoo knows of a model.

    Attributes:
        name: its name.
        params_millions: parameters with `num_classes` classes, millions.
        source: where the architecture is from.
        input: what it takes.
        training: the parts of a training config that are tuned for it: `optim_wrapper`, `param_scheduler`.
        num_classes: number of classes that the source has.
        gflops: billions of multiply-adds for one view of `gflops_size` pixels, as published; None: not published.
        gflops_size: height and width for which `gflops` is stated.
        result: what published weights reach; None: there are none.
    """

    name: str
    params_millions: float
    source: str
    input: InputSpec
    training: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 400
    gflops: float | None = None
    gflops_size: int | None = None
    result: Result | None = None

    def as_dict(self) -> dict[str, Any]:
        """The card in plain dicts, lists, texts and numbers, as JSON holds them."""
        return asdict(self)


_cards: dict[str, Card] = {}
_builders: dict[str, Builder] = {}


def model(
    *,
    params_millions: float,
    source: str,
    inputs: InputSpec,
    training: Mapping[str, Any] | None = None,
    num_classes: int = 400,
    gflops: float | None = None,
    gflops_size: int | None = None,
    result: Result | None = None,
) -> Callable[[Builder], Builder]:
    """Decorator: put a function that returns a model's config into the zoo, under its own name.

    Raises:
        ConfigError: the zoo has a model of that name.
    """

    def add(builder: Builder) -> Builder:
        name = builder.__name__
        if name in _builders and _builders[name].__module__ != builder.__module__:
            raise ConfigError(f"the zoo has a model {name!r} already, from {_builders[name].__module__}")
        _cards[name] = Card(
            name, params_millions, source, inputs, training or {}, num_classes, gflops, gflops_size, result
        )
        _builders[name] = builder
        return builder

    return add


def names(pattern: str = "*") -> list[str]:
    """Names of the models that match `pattern` (`*`, `?`, `[abc]`), sorted."""
    return sorted(name for name in _cards if fnmatchcase(name, pattern))


def card(name: str) -> Card:
    """The card of a model. Its `training` is yours to change.

    Raises:
        ConfigError: there is no such model; the nearest names are in the message.
    """
    if name not in _cards:
        near = nearest(name, _cards)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names())}"
        raise ConfigError(f"no model is called {name!r}: {hint}")
    return copy.deepcopy(_cards[name])


def model_config(name: str, num_classes: int) -> ModelConfig:
    """Config of a model that tells `num_classes` classes apart, for `MODELS.build`.

    Raises:
        ConfigError: there is no such model, or fewer than 1 class.
    """
    card(name)
    if num_classes < 1:
        raise ConfigError(f"a model needs at least 1 class, got num_classes={num_classes}")
    return _builders[name](num_classes)


def create_model(name: str, *, num_classes: int) -> nn.Module:
    """Build a model with fresh weights.

    Args:
        name: see `names`.
        num_classes: number of classes, N.

    Raises:
        ConfigError: there is no such model, or fewer than 1 class.
    """
    built: BaseModule = MODELS.build(model_config(name, num_classes))
    built.init_weights()
    return built


def recognizer_3d(backbone: ModelConfig, head: ModelConfig, inputs: InputSpec) -> ModelConfig:
    """Config of a `Recognizer3D` whose preprocessor normalises as `inputs` says."""
    return {
        "type": "Recognizer3D",
        "backbone": backbone,
        "cls_head": {"average_clips": "prob", **head},
        "data_preprocessor": {
            "type": "ActionDataPreprocessor",
            "mean": list(inputs.mean),
            "std": list(inputs.std),
            "format_shape": "NCTHW",
        },
    }
