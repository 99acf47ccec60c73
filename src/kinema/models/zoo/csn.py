"""CSN: channel-separated convolutions. Networks start fresh, so none has frozen norms."""

from functools import partial

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, i3d_head, recognizer_3d
from kinema.models.zoo.published import FACEBOOK, SGD, kinetics

_IG65M = "IG-65M weights that were converted from a file of Facebook Research"
_INPUT = clips(32, 2)
# Weights that were ported from their authors' Caffe2 files expect these; the config of ipCSN's says
# ImageNet's.
_PORTED = clips(32, 2, mean=(110.2008, 100.63983, 95.99475), std=(58.14765, 56.46975, 55.332195))
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "ircsn_r50": kinetics(
        79.44,
        94.26,
        "ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb",
        "20220811-44395bae",
        start=_IG65M,
    ),
    "ircsn_r152": kinetics(
        82.87, 95.90, "ircsn_ig65m-pretrained-r152_8xb12-32x2x1-58e_kinetics400-rgb", "20220811-c7a3cc5b", start=_IG65M
    ),
    "ipcsn_r152": kinetics(
        82.68,
        95.69,
        "ipcsn_ig65m-pretrained-r152-bnfrozen_32x2x1-58e_kinetics400-rgb",
        "recognition/csn/vmz/vmz_ipcsn_ig65m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-c3be9793.pth",
        start="IG-65M weights",
        converted=FACEBOOK,
    ),
}
_model = partial(model, source="CSN, Tran et al. 2019", training=SGD, results=_RESULTS)


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


@_model(params_millions=13.13, gflops=42.31, stated_cost=StatedCost(55.9, frames=32, size=256), inputs=_INPUT)
def ircsn_r50(num_classes: int) -> ModelConfig:
    """Interaction-reduced CSN: 3D convolutions that see one channel each."""
    return _csn(num_classes, 50, "ir", _INPUT)


@_model(params_millions=29.70, gflops=74.05, stated_cost=StatedCost(97.63, frames=32, size=256), inputs=_INPUT)
def ircsn_r152(num_classes: int) -> ModelConfig:
    """Interaction-reduced CSN, three times as deep."""
    return _csn(num_classes, 152, "ir", _INPUT)


@_model(params_millions=33.02, gflops=83.29, stated_cost=StatedCost(109.9, frames=32, size=256), inputs=_PORTED)
def ipcsn_r152(num_classes: int) -> ModelConfig:
    """Interaction-preserved CSN: a further convolution mixes the channels of each position."""
    return _csn(num_classes, 152, "ip", _PORTED)
