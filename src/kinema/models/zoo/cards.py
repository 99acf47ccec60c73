"""The model zoo: a name -> a model's config, with a card that says what the model takes and how it is trained.

An entry is a function `(num_classes) -> config` under `@model(...)`; its name is the model's.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from kinema.errors import ConfigError
from kinema.spelling import suggestion

ModelConfig = dict[str, Any]
Builder = Callable[[int], ModelConfig]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class InputSpec:
    """What a model wants to see.

    Attributes:
        clip_len: frames of a clip, T.
        frame_interval: distance of neighbouring frames, in frames of the video; of no effect with a
            `clip_len` of 1.
        num_clips: clips of a video in evaluation.
        size: height and width of the crop, pixels.
        short_side: short side of the frames before cropping, pixels.
        mean: subtracted from each channel, of values from 0 to 255.
        std: what each channel is then divided by.
        format_shape: `"NCTHW"`: clips; `"NCHW"`: single frames, `clip_len` from each of `num_clips`
            equal parts of a video, which the model joins.
        modality: `"RGB"`, or `"Flow"`: two values a pixel, how far it moves to the right and down.
            In `"NCHW"` the flow of all `clip_len` frames is one image of so many channels.
        spread: the frames of a clip come from equal parts of the whole video, so `frame_interval` has
            no effect.
        in_parts: for published weights, each clip lies in a part of the video of its own, see
            `SegmentSampleFrames`.
    """

    clip_len: int
    frame_interval: int
    num_clips: int
    size: int
    short_side: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    format_shape: Literal["NCTHW", "NCHW"] = "NCTHW"
    modality: Literal["RGB", "Flow"] = "RGB"
    spread: bool = False
    in_parts: bool = False

    @property
    def channels(self) -> int:
        """Channels of an image, C."""
        if self.modality == "RGB":
            return 3
        return 2 * self.clip_len if self.format_shape == "NCHW" else 2

    @property
    def takes_segments(self) -> bool:
        """Does it take frames from equal parts of a whole video, singly or as a clip?

        Then there is no distance of neighbouring frames.
        """
        return self.clip_len == 1 or self.spread

    @property
    def num_frames(self) -> int:
        """Images that the model joins."""
        if self.format_shape == "NCTHW":
            return self.clip_len
        return self.num_clips * (1 if self.modality == "Flow" else self.clip_len)

    def view_shape(self, *, frames: int | None = None, size: int | None = None) -> tuple[int, ...]:
        """Shape of a batch with one view of one video, as the model takes it.

        Args:
            frames: images of the view; None: `num_frames`.
            size: height and width in pixels; None: `size`.

        Returns:
            `"NCTHW"`: (1, 1, C, T, H, W); `"NCHW"`: (1, S, C, H, W).
        """
        frames, size = frames or self.num_frames, size or self.size
        if self.format_shape == "NCTHW":
            return 1, 1, self.channels, frames, size, size
        return 1, frames, self.channels, size, size


@dataclass(frozen=True)
class Weights:
    """A file of published weights.

    Attributes:
        url: where it is.
        licence: name of the licence that it is published under, as in the SPDX list.
        origin: who publishes it, and which data it was trained on.
        head_url: where a classifier for it is; None: there is none.
        own_order: its classes are in another order than the data set's list, so that they have no names
            here.
    """

    url: str
    licence: str
    origin: str
    head_url: str | None = None
    own_order: bool = False

    @property
    def non_commercial(self) -> bool:
        """Does the licence forbid commercial use?"""
        return "-NC" in self.licence.upper()


@dataclass(frozen=True)
class Result:
    """What published weights of a model reach.

    Attributes:
        top1: percent of videos whose class has the highest score.
        top5: percent of videos whose class is among the five highest; None: not published.
        dataset: the data set, whose validation part was classified.
        protocol: clips times crops of each that are averaged, such as `"10 x 3"`; frames times
            crops, where the model sees single frames.
        size: height and width of these crops, pixels.
        config: the OpenMMLab config that the weights belong to; empty: none.
        weights: the weights; None: the file is not published.
    """

    top1: float
    top5: float | None
    dataset: str
    protocol: str
    size: int
    config: str = ""
    weights: Weights | None = None


@dataclass(frozen=True)
class StatedCost:
    """The operations of one view that a model's publisher states.

    Attributes:
        gflops: billions of operations.
        frames: images of the view.
        size: their height and width, pixels.
        counts: what is counted beside multiply-adds: `"norms"`, two for each element that a norm
            gives, or `"elements"`, all `element_ops` of `kinema.models.complexity`.
    """

    gflops: float
    frames: int
    size: int
    counts: Literal["norms", "elements"] = "norms"


@dataclass(frozen=True)
class Card:
    """What the zoo knows of a model.

    Attributes:
        name: its name.
        description: what it is, one sentence.
        params_millions: parameters with `num_classes` classes, millions.
        gflops: billions of multiply-adds for one view of `input`, counted by
            `kinema.models.complexity`.
        source: where the architecture is from.
        input: what it takes.
        training: the parts of a training config that are tuned for it: `optim_wrapper`,
            `param_scheduler`, and `auto_scale_lr` where the rate follows the size of batches.
        num_classes: classes of the published weights.
        stated_cost: the published count of operations; None: there is none.
        result: what published weights reach; None: there are none.
        encoder: published weights to start a training from, of the backbone alone or of no published
            accuracy; None: there are none.
    """

    name: str
    description: str
    params_millions: float
    gflops: float
    source: str
    input: InputSpec
    training: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 400
    stated_cost: StatedCost | None = None
    result: Result | None = None
    encoder: Weights | None = None

    @property
    def weights(self) -> Weights | None:
        """The published weights that reach `result`; None: the zoo knows no file."""
        return self.result.weights if self.result else None

    def as_dict(self) -> dict[str, Any]:
        """The card in plain dicts, lists, texts and numbers, as JSON holds them."""
        return asdict(self)


_cards: dict[str, Card] = {}
_builders: dict[str, Builder] = {}


def model(
    *,
    params_millions: float,
    gflops: float,
    source: str,
    inputs: InputSpec,
    training: Mapping[str, Any] | None = None,
    num_classes: int = 400,
    stated_cost: StatedCost | None = None,
    results: Mapping[str, Result] | None = None,
    encoder: Weights | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Builder], Builder]:
    """Decorator: put a function that returns a model's config into the zoo.

    The arguments are those of `Card`; the name is by default the function's, the description the
    first line of its docstring, and the result that of the model's name in `results`, a table of a
    whole family.

    Raises:
        ConfigError: the zoo has a model of that name.
    """

    def add(builder: Builder) -> Builder:
        own = name or builder.__name__
        if own in _builders and _builders[own].__module__ != builder.__module__:
            raise ConfigError(f"the zoo has a model {own!r} already, from {_builders[own].__module__}")
        _cards[own] = Card(
            name=own,
            description=description or (builder.__doc__ or "").partition("\n")[0].strip(),
            params_millions=params_millions,
            gflops=gflops,
            source=source,
            input=inputs,
            training=training or {},
            num_classes=num_classes,
            stated_cost=stated_cost,
            result=(results or {}).get(own),
            encoder=encoder,
        )
        _builders[own] = builder
        return builder

    return add


def names(pattern: str = "*") -> list[str]:
    """Names of the models that match `pattern` (`*`, `?`, `[abc]`), sorted."""
    return sorted(name for name in _cards if fnmatchcase(name, pattern))


def names_instead(name: str) -> str:
    """What a message says behind a name that no model has: the nearest names and what lists all, or where it goes."""
    if name.startswith(("timm.", "torchvision.", "transformers.")):
        return f"networks of other libraries go into a config, as backbone=dict(type={name!r}) (docs/models.md)"
    return suggestion(name, sorted(_cards), "`kinema models` lists all", by_family=True)


def card(name: str) -> Card:
    """The card of a model. Its `training` is yours to change.

    Raises:
        ConfigError: there is no such model; the nearest names are in the message.
    """
    if name not in _cards:
        raise ConfigError(f"no model is called {name!r}: {names_instead(name)}")
    own = _cards[name]
    return replace(own, training=copy.deepcopy(own.training))  # all else is frozen


def model_config(name: str, num_classes: int | None = None) -> ModelConfig:
    """Config of a model for `num_classes` classes, for `MODELS.build`; None: as many as on its card.

    It is yours to change.

    Raises:
        ConfigError: there is no such model, or fewer than 1 class.
    """
    own = card(name).num_classes
    num_classes = own if num_classes is None else num_classes
    if num_classes < 1:
        raise ConfigError(f"a model needs at least 1 class, got num_classes={num_classes}")
    return copy.deepcopy(_builders[name](num_classes))
