"""TRN: an image network, and layers that see which frames come in which order."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import frames, recognizer_2d
from kinema.models.zoo.published import SGD, something

# What OpenMMLab publishes with the weights.
_RESULTS = {
    "trn_r50": something(2, 51.20, 78.42, "trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb", "20220815-e01617db"),
}
_model = partial(model, source="TRN, Zhou et al. 2018", training=SGD, results=_RESULTS)


@_model(
    params_millions=26.64,
    num_classes=174,
    gflops=32.72,
    stated_cost=StatedCost(42.94, frames=8, size=256),
    inputs=frames(8),
)
def trn_r50(num_classes: int) -> ModelConfig:
    """TRN: an image network, and layers that see which frames come in which order."""
    head = {"type": "TRNHead", "num_classes": num_classes, "in_channels": 2048, "num_segments": 8, "dropout_ratio": 0.8}
    return recognizer_2d({"type": "ResNet", "depth": 50, "partial_bn": True}, head, frames(8))
