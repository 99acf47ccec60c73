"""TANet: an image network with convolutions in time whose kernels each clip computes itself."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import frames, recognizer_2d, tsm_head
from kinema.models.zoo.published import IMAGENET, SGD, kinetics, something

# What OpenMMLab publishes with the weights.
_RESULTS = {
    "tanet_r50": kinetics(
        76.25,
        92.41,
        "tanet_imagenet-pretrained-r50_8xb8-dense-1x1x8-100e_kinetics400-rgb",
        "20220919-a34346bc",
        start=IMAGENET,
        protocol="8 x 3",
    ),
    "tanet_r50_16f": something(
        1,
        48.24,
        78.16,
        "tanet_imagenet-pretrained-r50_8xb6-1x1x16-50e_sthv1-rgb",
        "20220919-cc37e9b8",
        protocol="16 x 1",
        size=224,
    ),
}
_model = partial(model, source="TAM, Liu et al. 2021", training=SGD, results=_RESULTS)


def _tanet(num_classes: int, num_segments: int, dropout: float) -> ModelConfig:
    backbone = {"type": "TANet", "depth": 50, "num_segments": num_segments}
    return recognizer_2d(backbone, tsm_head(num_classes, num_segments, dropout=dropout), frames(num_segments))


@_model(params_millions=25.59, gflops=32.71, stated_cost=StatedCost(43.0, frames=8, size=256), inputs=frames(8))
def tanet_r50(num_classes: int) -> ModelConfig:
    """TANet: an image network with convolutions in time whose kernels each clip makes itself."""
    return _tanet(num_classes, 8, 0.5)


@_model(
    params_millions=25.13,
    num_classes=174,
    gflops=65.42,
    stated_cost=StatedCost(86.1, frames=16, size=256),
    inputs=frames(16),
)
def tanet_r50_16f(num_classes: int) -> ModelConfig:
    """TANet over 16 frames."""
    return _tanet(num_classes, 16, 0.6)
