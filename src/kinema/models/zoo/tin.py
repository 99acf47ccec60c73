"""TIN: an image network whose channels move between frames by learnt distances."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import frames, recognizer_2d, tsm_head
from kinema.models.zoo.published import SGD, kinetics

# What OpenMMLab publishes with the weights.
_RESULTS = {
    "tin_r50": kinetics(
        71.86,
        90.44,
        "tin_kinetics400-pretrained-tsm-r50_1x1x8-50e_kinetics400-rgb",
        "20220913-7f10d0c0",
        start="TSM weights for Kinetics-400",
        protocol="8 x 1",
        size=224,
    ),
}
_model = partial(model, source="TIN, Shao et al. 2020", training=SGD, results=_RESULTS)


@_model(
    params_millions=24.36,
    gflops=32.7,
    stated_cost=StatedCost(32.966, frames=8, size=224, counts="elements"),
    inputs=frames(8),
)
def tin_r50(num_classes: int) -> ModelConfig:
    """TIN: an image network whose channels move between frames by learnt distances."""
    backbone = {"type": "ResNetTIN", "depth": 50, "num_segments": 8, "shift_div": 4}
    return recognizer_2d(backbone, tsm_head(num_classes, 8), frames(8))
