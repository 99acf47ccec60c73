"""The 2D convolutional networks of the zoo that learn how to join frames, TIN, TANet and TRN: one function a size.

Results and stated costs are those that OpenMMLab publishes.
"""

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.cnn2d import frames, recognizer_2d, tsm_head
from kinema.models.zoo.published import IMAGENET, SGD, kinetics, something


@model(
    params_millions=24.36,
    gflops=32.7,
    stated_cost=StatedCost(32.966, frames=8, size=224, counts="elements"),
    source="TIN, Shao et al. 2020",
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        71.86,
        90.44,
        "tin_kinetics400-pretrained-tsm-r50_1x1x8-50e_kinetics400-rgb",
        "20220913-7f10d0c0",
        start="TSM weights for Kinetics-400",
        protocol="8 x 1",
        size=224,
    ),
)
def tin_r50(num_classes: int) -> ModelConfig:
    """TIN: an image network whose channels move between frames by learnt distances."""
    backbone = {"type": "ResNetTIN", "depth": 50, "num_segments": 8, "shift_div": 4}
    return recognizer_2d(backbone, tsm_head(num_classes, 8), frames(8))


def _tanet(num_classes: int, num_segments: int, dropout: float) -> ModelConfig:
    backbone = {"type": "TANet", "depth": 50, "num_segments": num_segments}
    return recognizer_2d(backbone, tsm_head(num_classes, num_segments, dropout=dropout), frames(num_segments))


@model(
    params_millions=25.59,
    gflops=32.71,
    stated_cost=StatedCost(43.0, frames=8, size=256),
    source="TAM, Liu et al. 2021",
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        76.25,
        92.41,
        "tanet_imagenet-pretrained-r50_8xb8-dense-1x1x8-100e_kinetics400-rgb",
        "20220919-a34346bc",
        start=IMAGENET,
        protocol="8 x 3",
    ),
)
def tanet_r50(num_classes: int) -> ModelConfig:
    """TANet: an image network with convolutions in time whose kernels each clip makes itself."""
    return _tanet(num_classes, 8, 0.5)


@model(
    params_millions=25.13,
    num_classes=174,
    gflops=65.42,
    stated_cost=StatedCost(86.1, frames=16, size=256),
    source="TAM, Liu et al. 2021",
    inputs=frames(16),
    training=SGD,
    result=something(
        1,
        48.24,
        78.16,
        "tanet_imagenet-pretrained-r50_8xb6-1x1x16-50e_sthv1-rgb",
        "20220919-cc37e9b8",
        protocol="16 x 1",
        size=224,
    ),
)
def tanet_r50_16f(num_classes: int) -> ModelConfig:
    """TANet over 16 frames."""
    return _tanet(num_classes, 16, 0.6)


@model(
    params_millions=26.64,
    num_classes=174,
    gflops=32.72,
    stated_cost=StatedCost(42.94, frames=8, size=256),
    source="TRN, Zhou et al. 2018",
    inputs=frames(8),
    training=SGD,
    result=something(2, 51.20, 78.42, "trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb", "20220815-e01617db"),
)
def trn_r50(num_classes: int) -> ModelConfig:
    """TRN: an image network, and layers that see which frames come in which order."""
    head = {"type": "TRNHead", "num_classes": num_classes, "in_channels": 2048, "num_segments": 8, "dropout_ratio": 0.8}
    return recognizer_2d({"type": "ResNet", "depth": 50, "partial_bn": True}, head, frames(8))
