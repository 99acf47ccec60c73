"""C3D: eight 3D convolutions."""

from functools import partial

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model
from kinema.models.zoo.parts import i3d_head, recognizer_3d
from kinema.models.zoo.published import SGD, published

_INPUT = InputSpec(16, 1, num_clips=10, size=112, short_side=128, mean=(104, 117, 128), std=(1, 1, 1))
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "c3d": published(
        "UCF101",
        83.08,
        95.93,
        "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb",
        "20220811-31723200",
        start="Sports-1M weights",
        protocol="10 x 1",
        size=112,
    ),
}
_model = partial(model, source="C3D, Tran et al. 2015", training=SGD, results=_RESULTS)


@_model(
    params_millions=78.41,
    num_classes=101,
    gflops=38.55,
    stated_cost=StatedCost(38.5, frames=16, size=112),
    inputs=_INPUT,
)
def c3d(num_classes: int) -> ModelConfig:
    """Eight 3D convolutions over clips of 16 small frames."""
    head = {**i3d_head(num_classes, 4096), "spatial_type": None}
    return recognizer_3d({"type": "C3D"}, head, _INPUT)
