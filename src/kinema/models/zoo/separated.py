"""The 3D networks of the zoo with channel-separated convolutions, CSN and X3D: one function a size.

Results and stated costs are those that OpenMMLab publishes. Networks start fresh, so none has frozen norms.
"""

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model, recognizer_3d
from kinema.models.zoo.published import SGD, clips, i3d_head, kinetics

# ---- CSN

_CSN_INPUT = clips(32, 2)
_IG65M = "IG-65M weights that were converted from a file of Facebook Research"
# Weights that were ported from their authors' Caffe2 files expect these; the config of ipCSN's says ImageNet's.
_PORTED = {"mean": (110.2008, 100.63983, 95.99475), "std": (58.14765, 56.46975, 55.332195)}


def _csn(num_classes: int, depth: int, mode: str, inputs: InputSpec) -> ModelConfig:
    backbone = {
        "type": "ResNet3dCSN",
        "depth": depth,
        "bottleneck_mode": mode,
        "with_pool2": False,
        "pretrained2d": False,
        "zero_init_residual": False,
    }
    return {**recognizer_3d(backbone, i3d_head(num_classes), inputs), "test_cfg": {"max_testing_views": 10}}


@model(
    params_millions=13.13,
    gflops=42.31,
    stated_cost=StatedCost(55.9, frames=32, size=256),
    source="CSN, Tran et al. 2019",
    inputs=_CSN_INPUT,
    training=SGD,
    result=kinetics(
        79.44,
        94.26,
        "ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb",
        "20220811-44395bae",
        start=_IG65M,
    ),
)
def ircsn_r50(num_classes: int) -> ModelConfig:
    """Interaction-reduced CSN: 3D convolutions that see one channel each."""
    return _csn(num_classes, 50, "ir", _CSN_INPUT)


@model(
    params_millions=29.70,
    gflops=74.05,
    stated_cost=StatedCost(97.63, frames=32, size=256),
    source="CSN, Tran et al. 2019",
    inputs=_CSN_INPUT,
    training=SGD,
    result=kinetics(
        82.87, 95.90, "ircsn_ig65m-pretrained-r152_8xb12-32x2x1-58e_kinetics400-rgb", "20220811-c7a3cc5b", start=_IG65M
    ),
)
def ircsn_r152(num_classes: int) -> ModelConfig:
    """Interaction-reduced CSN, three times as deep."""
    return _csn(num_classes, 152, "ir", _CSN_INPUT)


@model(
    params_millions=33.02,
    gflops=83.29,
    stated_cost=StatedCost(109.9, frames=32, size=256),
    source="CSN, Tran et al. 2019",
    inputs=clips(32, 2, **_PORTED),
    training=SGD,
    result=kinetics(
        82.68,
        95.69,
        "ipcsn_ig65m-pretrained-r152-bnfrozen_32x2x1-58e_kinetics400-rgb",
        "recognition/csn/vmz/vmz_ipcsn_ig65m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-c3be9793.pth",
        start="IG-65M weights",
        converted=True,
    ),
)
def ipcsn_r152(num_classes: int) -> ModelConfig:
    """Interaction-preserved CSN: a further convolution mixes the channels of each position."""
    return _csn(num_classes, 152, "ip", clips(32, 2, **_PORTED))


# ---- X3D

_X3D_COLOURS = {"mean": (114.75, 114.75, 114.75), "std": (57.38, 57.38, 57.38)}
_X3D_INPUTS = {
    "xs": clips(4, 12, size=160, short_side=182, **_X3D_COLOURS),
    "s": clips(13, 6, size=160, short_side=182, **_X3D_COLOURS),
    "m": clips(16, 5, size=224, short_side=256, **_X3D_COLOURS),
    "l": clips(16, 5, size=312, short_side=356, **_X3D_COLOURS),
}


def _x3d(num_classes: int, size: str, depth_factor: float = 2.2) -> ModelConfig:
    backbone = {"type": "X3D", "gamma_w": 1, "gamma_b": 2.25, "gamma_d": depth_factor}
    head = {**i3d_head(num_classes, 432), "type": "X3DHead", "fc1_bias": False}
    return recognizer_3d(backbone, head, _X3D_INPUTS[size])


@model(params_millions=3.79, gflops=0.605, source="X3D, Feichtenhofer 2020", inputs=_X3D_INPUTS["xs"], training=SGD)
def x3d_xs(num_classes: int) -> ModelConfig:
    """X3D, extra small: 4 small frames."""
    return _x3d(num_classes, "xs")


@model(
    params_millions=3.79,
    gflops=1.96,
    stated_cost=StatedCost(2.967543760, frames=13, size=192, counts="elements"),
    source="X3D, Feichtenhofer 2020",
    inputs=_X3D_INPUTS["s"],
    training=SGD,
    result=kinetics(
        73.3,
        None,
        "x3d_s_13x6x1_facebook-kinetics400-rgb",
        "v1.0/recognition/x3d/facebook/x3d_s_13x6x1_facebook-kinetics400-rgb_20201027-623825a0.pth",
        size=182,
        converted=True,
    ),
)
def x3d_s(num_classes: int) -> ModelConfig:
    """X3D, small: 13 small frames."""
    return _x3d(num_classes, "s")


@model(
    params_millions=3.79,
    gflops=4.73,
    stated_cost=StatedCost(6.490866832, frames=16, size=256, counts="elements"),
    source="X3D, Feichtenhofer 2020",
    inputs=_X3D_INPUTS["m"],
    training=SGD,
    result=kinetics(
        76.4,
        None,
        "x3d_m_16x5x1_facebook-kinetics400-rgb",
        "v1.0/recognition/x3d/facebook/x3d_m_16x5x1_facebook-kinetics400-rgb_20201027-3f42382a.pth",
        converted=True,
    ),
)
def x3d_m(num_classes: int) -> ModelConfig:
    """X3D, medium: 16 frames."""
    return _x3d(num_classes, "m")


@model(params_millions=6.15, gflops=18.37, source="X3D, Feichtenhofer 2020", inputs=_X3D_INPUTS["l"], training=SGD)
def x3d_l(num_classes: int) -> ModelConfig:
    """X3D, large: 16 large frames, a deeper network."""
    return _x3d(num_classes, "l", 5.0)
