"""TSM: an image network whose channels are shifted between frames."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import frames, non_local_blocks, recognizer_2d, tsm_head
from kinema.models.zoo.published import IMAGENET, SGD, kinetics, something

_kinetics = partial(kinetics, start=IMAGENET, size=224, protocol="8 x 10")
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "tsm_r50": _kinetics(
        73.18, 90.56, "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb", "20220831-64d69186"
    ),
    "tsm_r50_16f": _kinetics(
        75.12,
        91.55,
        "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_kinetics400-rgb",
        "20220831-042b1748",
        protocol="16 x 10",
    ),
    "tsm_r50_sthv2": something(
        2, 62.72, 87.70, "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb", "20230317-be0fc26e"
    ),
    "tsm_r50_16f_sthv2": something(
        2, 64.16, 88.61, "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_sthv2-rgb", "20230317-ec6696ad"
    ),
    "tsm_r101": something(
        2, 63.70, 88.28, "tsm_imagenet-pretrained-r101_8xb16-1x1x8-50e_sthv2-rgb", "20230320-efcc0d1b"
    ),
    "tsm_r50_nl_dot_product": _kinetics(
        74.49, 91.15, "tsm_imagenet-pretrained-r50-nl-dot-product_8xb16-1x1x8-50e_kinetics400-rgb", "20220831-108bfde5"
    ),
    "tsm_r50_nl_embedded_gaussian": _kinetics(
        74.34,
        91.23,
        "tsm_imagenet-pretrained-r50-nl-embedded-gaussian_8xb16-1x1x8-50e_kinetics400-rgb",
        "20220831-35eddb57",
    ),
    "tsm_r50_nl_gaussian": _kinetics(
        73.66, 90.99, "tsm_imagenet-pretrained-r50-nl-gaussian_8xb16-1x1x8-50e_kinetics400-rgb", "20220831-7e54dacf"
    ),
    "tsm_mobileone_s4": _kinetics(
        74.38,
        91.71,
        "tsm_imagenet-pretrained-mobileone-s4_8xb16-1x1x16-50e_kinetics400-rgb",
        "20230825-a7f8876b",
        protocol="16 x 3",
    ),
    # OpenMMLab's list gives its cost under another config's name; the parameters are those of this
    # network.
    "tsm_mobilenetv2": kinetics(
        68.71, None, "tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb", None, protocol="8 x 3"
    ),
}
_model = partial(model, source="TSM, Lin et al. 2019", training=SGD, results=_RESULTS)


def _tsm(num_classes: int, depth: int = 50, num_segments: int = 8, **backbone: Any) -> ModelConfig:
    settings = {"type": "ResNetTSM", "depth": depth, "num_segments": num_segments, "shift_div": 8, **backbone}
    return recognizer_2d(settings, tsm_head(num_classes, num_segments), frames(num_segments))


@_model(params_millions=24.33, gflops=32.7, stated_cost=StatedCost(32.88, frames=8, size=224), inputs=frames(8))
def tsm_r50(num_classes: int) -> ModelConfig:
    """TSM: an image network whose channels are shifted between neighbouring frames: motion at no cost."""
    return _tsm(num_classes)


@_model(params_millions=24.33, gflops=65.41, stated_cost=StatedCost(65.75, frames=16, size=224), inputs=frames(16))
def tsm_r50_16f(num_classes: int) -> ModelConfig:
    """TSM over 16 frames."""
    return _tsm(num_classes, num_segments=16)


@_model(
    params_millions=23.86,
    num_classes=174,
    gflops=32.7,
    stated_cost=StatedCost(32.88, frames=8, size=224),
    inputs=frames(8),
)
def tsm_r50_sthv2(num_classes: int) -> ModelConfig:
    """TSM with weights for Something-Something V2."""
    return _tsm(num_classes)


@_model(
    params_millions=23.86,
    num_classes=174,
    gflops=65.4,
    stated_cost=StatedCost(65.75, frames=16, size=224),
    inputs=frames(16),
)
def tsm_r50_16f_sthv2(num_classes: int) -> ModelConfig:
    """TSM over 16 frames, with weights for Something-Something V2."""
    return _tsm(num_classes, num_segments=16)


@_model(
    params_millions=42.86,
    num_classes=174,
    gflops=62.4,
    stated_cost=StatedCost(62.66, frames=8, size=224),
    inputs=frames(8),
)
def tsm_r101(num_classes: int) -> ModelConfig:
    """TSM with an image network of 101 layers."""
    return _tsm(num_classes, 101)


@_model(params_millions=31.68, gflops=52.06, stated_cost=StatedCost(61.30, frames=8, size=224), inputs=frames(8))
def tsm_r50_nl_dot_product(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare positions by their product."""
    return _tsm(num_classes, **non_local_blocks("dot_product", use_scale=False))


@_model(params_millions=31.68, gflops=61.1, stated_cost=StatedCost(61.30, frames=8, size=224), inputs=frames(8))
def tsm_r50_nl_embedded_gaussian(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare projections of positions by the exponential of their product."""
    return _tsm(num_classes, **non_local_blocks("embedded_gaussian", use_scale=False))


@_model(params_millions=28.01, gflops=58.86, stated_cost=StatedCost(59.06, frames=8, size=224), inputs=frames(8))
def tsm_r50_nl_gaussian(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare positions by the exponential of their product."""
    return _tsm(num_classes, **non_local_blocks("gaussian", use_scale=False))


@_model(params_millions=2.74, gflops=2.4, stated_cost=StatedCost(3.269, frames=8, size=256), inputs=frames(8))
def tsm_mobilenetv2(num_classes: int) -> ModelConfig:
    """TSM on a network for phones."""
    backbone = {"type": "MobileNetV2TSM", "num_segments": 8, "shift_div": 8}
    return recognizer_2d(backbone, tsm_head(num_classes, 8, 1280), frames(8))


@_model(params_millions=13.72, gflops=47.77, stated_cost=StatedCost(48.65, frames=16, size=224), inputs=frames(16))
def tsm_mobileone_s4(num_classes: int) -> ModelConfig:
    """TSM on a network whose branches become one convolution each for deployment, 16 frames in two halves."""
    backbone = {"type": "MobileOneTSM", "arch": "s4", "num_segments": 8, "shift_div": 8}
    return recognizer_2d(backbone, tsm_head(num_classes, 16), frames(16))
