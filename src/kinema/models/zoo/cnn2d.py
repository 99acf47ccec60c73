"""The 2D convolutional networks of the zoo, which see single frames of a video: one function a size.

Results and stated costs are those that OpenMMLab publishes.
"""

from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model
from kinema.models.zoo.published import IMAGENET, SGD, kinetics, non_local_blocks, something

_TSN = "TSN, Wang et al. 2016"
_TSM = "TSM, Lin et al. 2019"
_FRAME_CROPS = {"start": IMAGENET, "size": 224}


def frames(num_segments: int, **others: Any) -> InputSpec:
    """Input of all: single frames of 224 x 224 pixels, one from each of equal parts of the video."""
    spec = {"clip_len": 1, "frame_interval": 1, "size": 224, "short_side": 256, "format_shape": "NCHW", **others}
    return InputSpec(num_clips=num_segments, **spec)


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


def tsm_head(num_classes: int, num_segments: int, in_channels: int = 2048, dropout: float = 0.5) -> ModelConfig:
    """The head of those that join `num_segments` frames in the backbone: average, then classify."""
    return {
        "type": "TSMHead",
        "num_classes": num_classes,
        "in_channels": in_channels,
        "num_segments": num_segments,
        "dropout_ratio": dropout,
    }


# ---- TSN


def tsn(num_classes: int, depth: int, inputs: InputSpec, in_channels: int = 2048) -> ModelConfig:
    """Config of a residual network over single images, whose features are averaged."""
    backbone: ModelConfig = {"type": "ResNet", "depth": depth}
    if inputs.channels != 3:
        backbone["in_channels"] = inputs.channels
    head = {"type": "TSNHead", "num_classes": num_classes, "in_channels": in_channels, "dropout_ratio": 0.4}
    return recognizer_2d(backbone, head, inputs)


@model(params_millions=11.38, gflops=14.51, source=_TSN, inputs=frames(8), training=SGD)
def tsn_r18(num_classes: int) -> ModelConfig:
    """TSN with an image network of 18 layers."""
    return tsn(num_classes, 18, frames(8), 512)


@model(
    params_millions=24.33,
    gflops=32.7,
    stated_cost=StatedCost(102.7, frames=25, size=224),
    source=_TSN,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        74.12,
        91.34,
        "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb",
        "20220906-2692d16c",
        protocol="25 x 10",
        **_FRAME_CROPS,
    ),
)
def tsn_r50(num_classes: int) -> ModelConfig:
    """TSN: the average of what an image network sees in each frame."""
    return tsn(num_classes, 50, frames(8))


@model(
    params_millions=43.32,
    gflops=62.4,
    stated_cost=StatedCost(195.8, frames=25, size=224),
    source=_TSN,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        75.89,
        92.07,
        "tsn_imagenet-pretrained-r101_8xb32-1x1x8-100e_kinetics400-rgb",
        "20220906-23cff032",
        protocol="25 x 10",
        **_FRAME_CROPS,
    ),
)
def tsn_r101(num_classes: int) -> ModelConfig:
    """TSN with an image network of 101 layers."""
    return tsn(num_classes, 101, frames(8))


_FLOW = frames(3, clip_len=5, modality="Flow", mean=(128.0,) * 10, std=(128.0,) * 10)


@model(params_millions=24.35, gflops=13.09, source=_TSN, inputs=_FLOW, training=SGD)
def tsn_r50_flow(num_classes: int) -> ModelConfig:
    """TSN over optical flow, five frames of it at a time."""
    return tsn(num_classes, 50, _FLOW)


# ---- TSM


def _tsm(num_classes: int, depth: int = 50, num_segments: int = 8, **backbone: Any) -> ModelConfig:
    settings = {"type": "ResNetTSM", "depth": depth, "num_segments": num_segments, "shift_div": 8, **backbone}
    return recognizer_2d(settings, tsm_head(num_classes, num_segments), frames(num_segments))


@model(
    params_millions=24.33,
    gflops=32.7,
    stated_cost=StatedCost(32.88, frames=8, size=224),
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        73.18,
        90.56,
        "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb",
        "20220831-64d69186",
        protocol="8 x 10",
        **_FRAME_CROPS,
    ),
)
def tsm_r50(num_classes: int) -> ModelConfig:
    """TSM: an image network whose channels are shifted between neighbouring frames: motion at no cost."""
    return _tsm(num_classes)


@model(
    params_millions=24.33,
    gflops=65.41,
    stated_cost=StatedCost(65.75, frames=16, size=224),
    source=_TSM,
    inputs=frames(16),
    training=SGD,
    result=kinetics(
        75.12,
        91.55,
        "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_kinetics400-rgb",
        "20220831-042b1748",
        protocol="16 x 10",
        **_FRAME_CROPS,
    ),
)
def tsm_r50_16f(num_classes: int) -> ModelConfig:
    """TSM over 16 frames."""
    return _tsm(num_classes, num_segments=16)


@model(
    params_millions=23.86,
    num_classes=174,
    gflops=32.7,
    stated_cost=StatedCost(32.88, frames=8, size=224),
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=something(2, 62.72, 87.70, "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb", "20230317-be0fc26e"),
)
def tsm_r50_sthv2(num_classes: int) -> ModelConfig:
    """TSM with weights for Something-Something V2."""
    return _tsm(num_classes)


@model(
    params_millions=23.86,
    num_classes=174,
    gflops=65.4,
    stated_cost=StatedCost(65.75, frames=16, size=224),
    source=_TSM,
    inputs=frames(16),
    training=SGD,
    result=something(
        2,
        64.16,
        88.61,
        "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_sthv2-rgb",
        "20230317-ec6696ad",
    ),
)
def tsm_r50_16f_sthv2(num_classes: int) -> ModelConfig:
    """TSM over 16 frames, with weights for Something-Something V2."""
    return _tsm(num_classes, num_segments=16)


@model(
    params_millions=42.86,
    num_classes=174,
    gflops=62.4,
    stated_cost=StatedCost(62.66, frames=8, size=224),
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=something(2, 63.70, 88.28, "tsm_imagenet-pretrained-r101_8xb16-1x1x8-50e_sthv2-rgb", "20230320-efcc0d1b"),
)
def tsm_r101(num_classes: int) -> ModelConfig:
    """TSM with an image network of 101 layers."""
    return _tsm(num_classes, 101)


def _tsm_non_local(num_classes: int, mode: str) -> ModelConfig:
    return _tsm(num_classes, **non_local_blocks(mode, use_scale=False))


@model(
    params_millions=31.68,
    gflops=52.06,
    stated_cost=StatedCost(61.30, frames=8, size=224),
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        74.49,
        91.15,
        "tsm_imagenet-pretrained-r50-nl-dot-product_8xb16-1x1x8-50e_kinetics400-rgb",
        "20220831-108bfde5",
        protocol="8 x 10",
        **_FRAME_CROPS,
    ),
)
def tsm_r50_nl_dot_product(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare positions by their product."""
    return _tsm_non_local(num_classes, "dot_product")


@model(
    params_millions=31.68,
    gflops=61.1,
    stated_cost=StatedCost(61.30, frames=8, size=224),
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        74.34,
        91.23,
        "tsm_imagenet-pretrained-r50-nl-embedded-gaussian_8xb16-1x1x8-50e_kinetics400-rgb",
        "20220831-35eddb57",
        protocol="8 x 10",
        **_FRAME_CROPS,
    ),
)
def tsm_r50_nl_embedded_gaussian(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare projections of positions by the exponential of their product."""
    return _tsm_non_local(num_classes, "embedded_gaussian")


@model(
    params_millions=28.01,
    gflops=58.86,
    stated_cost=StatedCost(59.06, frames=8, size=224),
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        73.66,
        90.99,
        "tsm_imagenet-pretrained-r50-nl-gaussian_8xb16-1x1x8-50e_kinetics400-rgb",
        "20220831-7e54dacf",
        protocol="8 x 10",
        **_FRAME_CROPS,
    ),
)
def tsm_r50_nl_gaussian(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare positions by the exponential of their product."""
    return _tsm_non_local(num_classes, "gaussian")


@model(
    params_millions=2.74,
    gflops=2.4,
    # OpenMMLab's list gives it under another config's name; the parameters are those of this network.
    stated_cost=StatedCost(3.269, frames=8, size=256),
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        68.71, None, "tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb", None, protocol="8 x 3"
    ),
)
def tsm_mobilenetv2(num_classes: int) -> ModelConfig:
    """TSM on a network for phones."""
    backbone = {"type": "MobileNetV2TSM", "num_segments": 8, "shift_div": 8}
    return recognizer_2d(backbone, tsm_head(num_classes, 8, 1280), frames(8))
