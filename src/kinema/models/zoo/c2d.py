"""C2D: an image network over all frames of a clip."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, frames, i3d_head, recognizer_3d, tsn
from kinema.models.zoo.published import IMAGENET, SGD, kinetics

_kinetics = partial(kinetics, start=IMAGENET, size=224)
_IMAGES = frames(1, clip_len=8, frame_interval=8)
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "c2d_r50": _kinetics(73.89, 91.21, "c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb", "20221027-3ca304fa"),
    "c2d_r50_16x4": _kinetics(74.97, 91.91, "c2d_r50-in1k-pre_8xb32-16x4x1-100e_kinetics400-rgb", "20221027-5f382a43"),
    "c2d_r50_nopool": _kinetics(
        73.44, 91.00, "c2d_r50-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb", "20221027-e0227b22"
    ),
    "c2d_r101_nopool": _kinetics(
        74.97, 91.77, "c2d_r101-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb", "20221027-557bd8bc"
    ),
}
_model = partial(model, source="Non-local Neural Networks, Wang et al. 2018", training=SGD, results=_RESULTS)


@_model(params_millions=24.33, gflops=19.29, stated_cost=StatedCost(19.0, frames=8, size=224), inputs=clips(8, 8))
def c2d_r50(num_classes: int) -> ModelConfig:
    """C2D: an image network over 8 frames, which are halved once."""
    return recognizer_3d({"type": "C2D", "depth": 50}, i3d_head(num_classes), clips(8, 8))


@_model(params_millions=24.33, gflops=38.58, stated_cost=StatedCost(39.0, frames=16, size=224), inputs=clips(16, 4))
def c2d_r50_16x4(num_classes: int) -> ModelConfig:
    """C2D over 16 frames."""
    return recognizer_3d({"type": "C2D", "depth": 50}, i3d_head(num_classes), clips(16, 4))


@_model(params_millions=24.33, gflops=32.7, stated_cost=StatedCost(33.0, frames=8, size=224), inputs=_IMAGES)
def c2d_r50_nopool(num_classes: int) -> ModelConfig:
    """C2D that keeps all 8 frames to the end."""
    return tsn(num_classes, 50, _IMAGES)


@_model(params_millions=43.32, gflops=62.4, stated_cost=StatedCost(63.0, frames=8, size=224), inputs=_IMAGES)
def c2d_r101_nopool(num_classes: int) -> ModelConfig:
    """C2D that keeps all 8 frames to the end, deeper."""
    return tsn(num_classes, 101, _IMAGES)
