"""The 2D convolutional networks of the zoo, which see single frames of a video: one function a size.

Figures are those that OpenMMLab states for its weights. GFLOPs count all frames of a view.
"""

from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, Result, model
from kinema.models.zoo.published import SGD, kinetics

_TSN = "TSN, Wang et al. 2016"
_TSM = "TSM, Lin et al. 2019"


def frames(num_segments: int) -> InputSpec:
    """Input of all: single frames of 224 x 224 pixels, one from each of equal parts of the video."""
    return InputSpec(1, 1, num_clips=num_segments, size=224, short_side=256, format_shape="NCHW")


def recognizer_2d(
    backbone: ModelConfig, head: ModelConfig, inputs: InputSpec, neck: ModelConfig | None = None
) -> ModelConfig:
    """Config of a `Recognizer2D` whose preprocessor normalises as `inputs` says."""
    return {
        "type": "Recognizer2D",
        "backbone": backbone,
        **({"neck": neck} if neck else {}),
        "cls_head": {"average_clips": "prob", **head},
        "data_preprocessor": {
            "type": "ActionDataPreprocessor",
            "mean": list(inputs.mean),
            "std": list(inputs.std),
            "format_shape": "NCHW",
        },
    }


def _tsm_head(num_classes: int, num_segments: int, in_channels: int = 2048, dropout: float = 0.5) -> ModelConfig:
    return {
        "type": "TSMHead",
        "num_classes": num_classes,
        "in_channels": in_channels,
        "num_segments": num_segments,
        "dropout_ratio": dropout,
    }


def something(top1: float, top5: float, version: int, config: str, protocol: str) -> Result:
    """What the weights of an OpenMMLab config reach on Something-Something."""
    return Result(top1, top5, f"Something-Something V{version}", protocol, config)


# ---- TSN


def _tsn(num_classes: int, depth: int, in_channels: int = 2048) -> ModelConfig:
    head = {"type": "TSNHead", "num_classes": num_classes, "in_channels": in_channels, "dropout_ratio": 0.4}
    return recognizer_2d({"type": "ResNet", "depth": depth}, head, frames(8))


@model(params_millions=11.38, source=_TSN, inputs=frames(8), training=SGD)
def tsn_r18(num_classes: int) -> ModelConfig:
    """The average of what an image network of 18 layers sees in each frame."""
    return _tsn(num_classes, 18, 512)


@model(
    params_millions=24.33,
    # Published for the 25 frames of its test.
    gflops=102.7 / 25 * 8,
    gflops_size=224,
    source=_TSN,
    inputs=frames(8),
    training=SGD,
    result=kinetics(74.12, 91.34, "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb", "25 x 10"),
)
def tsn_r50(num_classes: int) -> ModelConfig:
    """The average of what an image network sees in each frame."""
    return _tsn(num_classes, 50)


@model(
    params_millions=43.32,
    gflops=195.8 / 25 * 8,
    gflops_size=224,
    source=_TSN,
    inputs=frames(8),
    training=SGD,
    result=kinetics(75.89, 92.07, "tsn_imagenet-pretrained-r101_8xb32-1x1x8-100e_kinetics400-rgb", "25 x 10"),
)
def tsn_r101(num_classes: int) -> ModelConfig:
    """TSN with an image network of 101 layers."""
    return _tsn(num_classes, 101)


# ---- TSM


def _tsm(num_classes: int, depth: int = 50, num_segments: int = 8, **backbone: Any) -> ModelConfig:
    settings = {"type": "ResNetTSM", "depth": depth, "num_segments": num_segments, "shift_div": 8, **backbone}
    return recognizer_2d(settings, _tsm_head(num_classes, num_segments), frames(num_segments))


@model(
    params_millions=24.33,
    gflops=32.88,
    gflops_size=224,
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(73.18, 90.56, "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb", "8 x 10"),
)
def tsm_r50(num_classes: int) -> ModelConfig:
    """An image network whose channels are shifted between neighbouring frames: motion at no cost."""
    return _tsm(num_classes)


@model(
    params_millions=24.33,
    gflops=65.75,
    gflops_size=224,
    source=_TSM,
    inputs=frames(16),
    training=SGD,
    result=kinetics(75.12, 91.55, "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_kinetics400-rgb", "16 x 10"),
)
def tsm_r50_16f(num_classes: int) -> ModelConfig:
    """TSM over 16 frames."""
    return _tsm(num_classes, num_segments=16)


@model(
    params_millions=42.86,
    num_classes=174,
    gflops=62.66,
    gflops_size=224,
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=something(63.70, 88.28, 2, "tsm_imagenet-pretrained-r101_8xb16-1x1x8-50e_sthv2-rgb", "16 x 3"),
)
def tsm_r101(num_classes: int) -> ModelConfig:
    """TSM with an image network of 101 layers."""
    return _tsm(num_classes, 101)


def _tsm_non_local(num_classes: int, mode: str) -> ModelConfig:
    norm = {"type": "BN3d", "requires_grad": True}
    return _tsm(
        num_classes,
        non_local=((0, 0, 0), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 0, 0)),
        non_local_cfg={"sub_sample": True, "use_scale": False, "norm_cfg": norm, "mode": mode},
    )


@model(
    params_millions=31.68,
    gflops=61.30,
    gflops_size=256,
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        74.49, 91.15, "tsm_imagenet-pretrained-r50-nl-dot-product_8xb16-1x1x8-50e_kinetics400-rgb", "8 x 10"
    ),
)
def tsm_r50_nl_dot_product(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare positions by their product."""
    return _tsm_non_local(num_classes, "dot_product")


@model(
    params_millions=31.68,
    gflops=61.30,
    gflops_size=256,
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(
        74.34, 91.23, "tsm_imagenet-pretrained-r50-nl-embedded-gaussian_8xb16-1x1x8-50e_kinetics400-rgb", "8 x 10"
    ),
)
def tsm_r50_nl_embedded_gaussian(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare projections of positions by the exponential of their product."""
    return _tsm_non_local(num_classes, "embedded_gaussian")


@model(
    params_millions=28.00,
    gflops=59.06,
    gflops_size=256,
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(73.66, 90.99, "tsm_imagenet-pretrained-r50-nl-gaussian_8xb16-1x1x8-50e_kinetics400-rgb", "8 x 10"),
)
def tsm_r50_nl_gaussian(num_classes: int) -> ModelConfig:
    """TSM with non-local blocks that compare positions by the exponential of their product."""
    return _tsm_non_local(num_classes, "gaussian")


@model(
    params_millions=2.74,
    source=_TSM,
    inputs=frames(8),
    training=SGD,
    result=kinetics(68.71, None, "tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb", "8 x 3"),
)
def tsm_mobilenetv2(num_classes: int) -> ModelConfig:
    """TSM on a network for phones."""
    backbone = {"type": "MobileNetV2TSM", "num_segments": 8, "shift_div": 8}
    return recognizer_2d(backbone, _tsm_head(num_classes, 8, 1280), frames(8))


# ---- TIN, TANet, TRN


@model(
    params_millions=24.36,
    gflops=32.97,
    gflops_size=224,
    source="TIN, Shao et al. 2020",
    inputs=frames(8),
    training=SGD,
    result=kinetics(71.86, 90.44, "tin_kinetics400-pretrained-tsm-r50_1x1x8-50e_kinetics400-rgb", "8 x 1"),
)
def tin_r50(num_classes: int) -> ModelConfig:
    """An image network whose channels move between frames by learnt distances."""
    backbone = {"type": "ResNetTIN", "depth": 50, "num_segments": 8, "shift_div": 4}
    return recognizer_2d(backbone, _tsm_head(num_classes, 8), frames(8))


@model(
    params_millions=25.59,
    gflops=43.0,
    gflops_size=256,
    source="TAM, Liu et al. 2021",
    inputs=frames(8),
    training=SGD,
    result=kinetics(76.25, 92.41, "tanet_imagenet-pretrained-r50_8xb8-dense-1x1x8-100e_kinetics400-rgb", "8 x 3"),
)
def tanet_r50(num_classes: int) -> ModelConfig:
    """An image network with convolutions in time whose kernels each clip makes itself."""
    backbone = {"type": "TANet", "depth": 50, "num_segments": 8}
    return recognizer_2d(backbone, _tsm_head(num_classes, 8), frames(8))


@model(
    params_millions=26.64,
    num_classes=174,
    gflops=42.94,
    gflops_size=256,
    source="TRN, Zhou et al. 2018",
    inputs=frames(8),
    training=SGD,
    result=something(51.20, 78.42, 2, "trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb", "16 x 3"),
)
def trn_r50(num_classes: int) -> ModelConfig:
    """An image network, and layers that see which frames come in which order."""
    head = {"type": "TRNHead", "num_classes": num_classes, "in_channels": 2048, "num_segments": 8, "dropout_ratio": 0.8}
    return recognizer_2d({"type": "ResNet", "depth": 50, "partial_bn": True}, head, frames(8))
