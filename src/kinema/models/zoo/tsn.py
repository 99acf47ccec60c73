"""TSN: an image network that sees single frames of a video."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import frames, tsn
from kinema.models.zoo.published import IMAGENET, SGD, kinetics

_kinetics = partial(kinetics, start=IMAGENET, size=224)
_FLOW = frames(3, clip_len=5, modality="Flow", mean=(128.0,) * 10, std=(128.0,) * 10)
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "tsn_r50": _kinetics(
        74.12,
        91.34,
        "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb",
        "20220906-2692d16c",
        protocol="25 x 10",
    ),
    "tsn_r101": _kinetics(
        75.89,
        92.07,
        "tsn_imagenet-pretrained-r101_8xb32-1x1x8-100e_kinetics400-rgb",
        "20220906-23cff032",
        protocol="25 x 10",
    ),
}
_model = partial(model, source="TSN, Wang et al. 2016", training=SGD, results=_RESULTS)


@_model(params_millions=11.38, gflops=14.51, inputs=frames(8))
def tsn_r18(num_classes: int) -> ModelConfig:
    """TSN with an image network of 18 layers."""
    return tsn(num_classes, 18, frames(8), 512)


@_model(params_millions=24.33, gflops=32.7, stated_cost=StatedCost(102.7, frames=25, size=224), inputs=frames(8))
def tsn_r50(num_classes: int) -> ModelConfig:
    """TSN: the average of what an image network sees in each frame."""
    return tsn(num_classes, 50, frames(8))


@_model(params_millions=43.32, gflops=62.4, stated_cost=StatedCost(195.8, frames=25, size=224), inputs=frames(8))
def tsn_r101(num_classes: int) -> ModelConfig:
    """TSN with an image network of 101 layers."""
    return tsn(num_classes, 101, frames(8))


@_model(params_millions=24.35, gflops=13.09, inputs=_FLOW)
def tsn_r50_flow(num_classes: int) -> ModelConfig:
    """TSN over optical flow, five frames of it at a time."""
    return tsn(num_classes, 50, _FLOW)
