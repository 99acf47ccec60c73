"""X3D: a small 2D network, widened and deepened step by step."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, i3d_head, recognizer_3d
from kinema.models.zoo.published import FACEBOOK, SGD, kinetics

_COLOURS = {"mean": (114.75, 114.75, 114.75), "std": (57.38, 57.38, 57.38)}
_INPUTS = {
    "xs": clips(4, 12, size=160, short_side=182, **_COLOURS),
    "s": clips(13, 6, size=160, short_side=182, **_COLOURS),
    "m": clips(16, 5, size=224, short_side=256, **_COLOURS),
    "l": clips(16, 5, size=312, short_side=356, **_COLOURS),
}
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "x3d_s": kinetics(
        73.3,
        None,
        "x3d_s_13x6x1_facebook-kinetics400-rgb",
        "v1.0/recognition/x3d/facebook/x3d_s_13x6x1_facebook-kinetics400-rgb_20201027-623825a0.pth",
        size=182,
        converted=FACEBOOK,
    ),
    "x3d_m": kinetics(
        76.4,
        None,
        "x3d_m_16x5x1_facebook-kinetics400-rgb",
        "v1.0/recognition/x3d/facebook/x3d_m_16x5x1_facebook-kinetics400-rgb_20201027-3f42382a.pth",
        converted=FACEBOOK,
    ),
}
_model = partial(model, source="X3D, Feichtenhofer 2020", training=SGD, results=_RESULTS)


def _x3d(num_classes: int, size: str, depth_factor: float = 2.2) -> ModelConfig:
    backbone = {"type": "X3D", "gamma_w": 1, "gamma_b": 2.25, "gamma_d": depth_factor}
    head = {**i3d_head(num_classes, 432), "type": "X3DHead", "fc1_bias": False}
    return recognizer_3d(backbone, head, _INPUTS[size])


@_model(params_millions=3.79, gflops=0.605, inputs=_INPUTS["xs"])
def x3d_xs(num_classes: int) -> ModelConfig:
    """X3D, extra small: 4 small frames."""
    return _x3d(num_classes, "xs")


@_model(
    params_millions=3.79,
    gflops=1.96,
    stated_cost=StatedCost(2.967543760, frames=13, size=192, counts="elements"),
    inputs=_INPUTS["s"],
)
def x3d_s(num_classes: int) -> ModelConfig:
    """X3D, small: 13 small frames."""
    return _x3d(num_classes, "s")


@_model(
    params_millions=3.79,
    gflops=4.73,
    stated_cost=StatedCost(6.490866832, frames=16, size=256, counts="elements"),
    inputs=_INPUTS["m"],
)
def x3d_m(num_classes: int) -> ModelConfig:
    """X3D, medium: 16 frames."""
    return _x3d(num_classes, "m")


@_model(params_millions=6.15, gflops=18.37, inputs=_INPUTS["l"])
def x3d_l(num_classes: int) -> ModelConfig:
    """X3D, large: 16 large frames, a deeper network."""
    return _x3d(num_classes, "l", 5.0)
