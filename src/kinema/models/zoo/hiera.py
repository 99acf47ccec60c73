"""Hiera: a hierarchical transformer without anything but pooling, pretrained by masked autoencoding."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import ModelConfig, Result, StatedCost, Weights, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.published import adamw

_INPUT = clips(
    16, 4, num_clips=5, short_side=224, mean=(114.75, 114.75, 114.75), std=(57.375, 57.375, 57.375)
)  # .45 and .225 of values from 0 to 1
_FILES = "https://dl.fbaipublicfiles.com/hiera"
_model = partial(
    model, source="Hiera, Ryali et al. 2023, arXiv:2306.00989", inputs=_INPUT, training=adamw(1e-4, max_norm=5)
)


def _weights(file: str, how: str) -> Weights:
    return Weights(
        f"{_FILES}/{file}_16x224.pth",
        "CC-BY-NC-4.0",
        f"Published by Meta. Trained on Kinetics-400{how}; the data's own terms apply.",
    )


def _published(size: str, top1: float) -> dict[str, Any]:
    """What the weights of a size reach, and those of masked autoencoding alone."""
    tuned = _weights(f"hiera_{size}", ", after masked autoencoding on the same clips")
    result = Result(top1, None, "Kinetics-400", "5 x 3", 224, weights=tuned)
    return {"results": {f"hiera_{size}": result}, "encoder": _weights(f"mae_hiera_{size}", ", without labels")}


def _hiera(num_classes: int, embed_dims: int, num_heads: int, stages: tuple[int, ...], drop_path: float) -> ModelConfig:
    backbone = {
        "type": "Hiera",
        "embed_dims": embed_dims,
        "num_heads": num_heads,
        "stages": stages,
        "drop_path_rate": drop_path,
    }
    head = {"type": "TimeSformerHead", "num_classes": num_classes, "in_channels": 8 * embed_dims}
    return recognizer_3d(backbone, head, _INPUT)


@_model(params_millions=51.09, gflops=101.73, stated_cost=StatedCost(102.0, 16, 224), **_published("base", 84.0))
def hiera_base(num_classes: int) -> ModelConfig:
    """Hiera-B: 24 blocks in four stages, from 96 channels on."""
    return _hiera(num_classes, 96, 1, (2, 3, 16, 3), 0.1)


@_model(params_millions=69.39, gflops=132.30, stated_cost=StatedCost(133.0, 16, 224), **_published("base_plus", 85.0))
def hiera_base_plus(num_classes: int) -> ModelConfig:
    """Hiera-B+: 24 blocks in four stages, from 112 channels on."""
    return _hiera(num_classes, 112, 2, (2, 3, 16, 3), 0.1)


@_model(params_millions=213.09, gflops=412.13, stated_cost=StatedCost(413.0, 16, 224), **_published("large", 87.3))
def hiera_large(num_classes: int) -> ModelConfig:
    """Hiera-L: 48 blocks in four stages, from 144 channels on."""
    return _hiera(num_classes, 144, 2, (2, 6, 36, 4), 0.2)


@_model(params_millions=671.63, gflops=1157.80, stated_cost=StatedCost(1159.0, 16, 224), **_published("huge", 87.8))
def hiera_huge(num_classes: int) -> ModelConfig:
    """Hiera-H: 48 blocks in four stages, from 256 channels on."""
    return _hiera(num_classes, 256, 4, (2, 6, 36, 4), 0.3)
