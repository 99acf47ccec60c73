"""What the models of the zoo are composed of: inputs, recognizers, heads, further blocks."""

from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig


def clips(clip_len: int, frame_interval: int, **others: Any) -> InputSpec:
    """Input of most: ten clips of 224 x 224 pixels."""
    return InputSpec(clip_len, frame_interval, **{"num_clips": 10, "size": 224, "short_side": 256, **others})


def frames(num_segments: int, **others: Any) -> InputSpec:
    """Input of all: single frames of 224 x 224 pixels, one from each of equal parts of the video."""
    spec = {"clip_len": 1, "frame_interval": 1, "size": 224, "short_side": 256, "format_shape": "NCHW", **others}
    return InputSpec(num_clips=num_segments, **spec)


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


def recognizer_2d(
    backbone: ModelConfig, head: ModelConfig, inputs: InputSpec, neck: ModelConfig | None = None
) -> ModelConfig:
    """Config of a `Recognizer2D` whose preprocessor normalises as `inputs` says."""
    return {
        "type": "Recognizer2D",
        "backbone": backbone,
        **({"neck": neck} if neck else {}),
        "cls_head": {"average_clips": "prob", **head},
        "data_preprocessor": {
            "type": "ActionDataPreprocessor",
            "mean": list(inputs.mean),
            "std": list(inputs.std),
            "format_shape": "NCHW",
        },
    }


def i3d_head(num_classes: int, in_channels: int = 2048) -> ModelConfig:
    """The head of most: average, drop half of the features, classify."""
    return {"type": "I3DHead", "num_classes": num_classes, "in_channels": in_channels, "dropout_ratio": 0.5}


def tsm_head(num_classes: int, num_segments: int, in_channels: int = 2048, dropout: float = 0.5) -> ModelConfig:
    """The head of those that join `num_segments` frames in the backbone: average, then classify."""
    return {
        "type": "TSMHead",
        "num_classes": num_classes,
        "in_channels": in_channels,
        "num_segments": num_segments,
        "dropout_ratio": dropout,
    }


def tsn(num_classes: int, depth: int, inputs: InputSpec, in_channels: int = 2048) -> ModelConfig:
    """Config of a residual network over single images, whose features are averaged."""
    backbone: ModelConfig = {"type": "ResNet", "depth": depth}
    if inputs.channels != 3:
        backbone["in_channels"] = inputs.channels
    head = {"type": "TSNHead", "num_classes": num_classes, "in_channels": in_channels, "dropout_ratio": 0.4}
    return recognizer_2d(backbone, head, inputs)


def non_local_blocks(mode: str, *, use_scale: bool, first: int = 0) -> dict[str, Any]:
    """Settings of a backbone of 50 layers with a non-local block behind every second block of its two middle stages.

    Args:
        mode: how they compare positions, see `NonLocal3d`, as `use_scale`.
        use_scale: see there.
        first: the first block of a stage that has one behind it, 0 or 1.
    """
    stages = tuple(tuple(int(block % 2 == first) for block in range(count)) for count in (4, 6))
    norm = {"type": "BN3d", "requires_grad": True}
    return {
        "non_local": ((0, 0, 0), *stages, (0, 0, 0)),
        "non_local_cfg": {"sub_sample": True, "use_scale": use_scale, "norm_cfg": norm, "mode": mode},
    }
