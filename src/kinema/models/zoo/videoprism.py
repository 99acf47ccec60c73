"""VideoPrism: encoders of videos that are used frozen, or fine-tuned, under a new classifier."""

from dataclasses import dataclass

from kinema.models.zoo.cards import InputSpec, ModelConfig, Weights, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.videomae import FINE_TUNING

_SOURCE = "VideoPrism, Zhao et al. 2024, arXiv:2402.13217"


@dataclass(frozen=True)
class _Size:
    """The numbers that make a network, and what it was published to reach under a pooling head, its weights frozen."""

    embed_dims: int
    num_spatial_layers: int
    num_heads: int
    frames: int
    frozen_top1: float


_SIZES = {"base": _Size(768, 12, 12, 16, 82.9), "large": _Size(1024, 24, 16, 8, 85.0)}


def _input(size: _Size) -> InputSpec:
    """Values from 0 to 1."""
    return clips(size.frames, 1, num_clips=1, size=288, short_side=288, mean=(0.0,) * 3, std=(255.0,) * 3, spread=True)


def _videoprism(num_classes: int, size: _Size, *, with_texts: bool) -> ModelConfig:
    backbone = {
        "type": "VideoPrism",
        "num_frames": size.frames,
        "embed_dims": size.embed_dims,
        "num_spatial_layers": size.num_spatial_layers,
        "num_heads": size.num_heads,
        "num_auxiliary_layers": 2 if with_texts else 0,
    }
    head = {
        "type": "VideoPrismHead",
        "num_classes": num_classes,
        "in_channels": size.embed_dims,
        "num_heads": size.num_heads,
        "inner_channels": (4 if with_texts else 1) * size.embed_dims,
    }
    return recognizer_3d(backbone, head, _input(size))


def _add(name: str, costs: tuple[float, float], *, with_texts: bool = False) -> None:
    """Put an encoder into the zoo, as `videoprism_[lvt_]SIZE`.

    Args:
        name: see `_SIZES`.
        costs: millions of parameters with 400 classes, and GFLOPs.
        with_texts: that of the video-text model, with its pooling.
    """
    size, kind = _SIZES[name], "lvt_" if with_texts else ""
    page = f"videoprism-{kind.replace('_', '-')}{name}-f{size.frames}r288"
    frozen = f"Frozen, under a pooling head, it reaches {size.frozen_top1} % on Kinetics-400 (VideoGLUE). "
    encoder = Weights(
        f"https://huggingface.co/google/{page}/resolve/main/flax_{kind}{name}_f{size.frames}r288_repeated.npz",
        "CC-BY-4.0",
        f"Published by Google, the authors. {'' if with_texts else frozen}Trained on videos with captions, which are "
        "not published; the data's own terms apply.",
    )

    def build(num_classes: int) -> ModelConfig:
        return _videoprism(num_classes, size, with_texts=with_texts)

    build.__name__ = f"videoprism_{kind}{name}"
    of_texts = ", of the model of videos and texts" if with_texts else ""
    build.__doc__ = f"VideoPrism, {name}{of_texts}, {size.frames} frames from all of the video."
    model(
        params_millions=costs[0],
        gflops=costs[1],
        source=_SOURCE,
        inputs=_input(size),
        training=FINE_TUNING,
        encoder=encoder,
    )(build)


_add("base", (117.038, 491.48))
_add("large", (358.577, 753.8))
_add("base", (138.298, 615.52), with_texts=True)
_add("large", (396.361, 835.42), with_texts=True)
