"""The 3D networks of the zoo with pathways for few and for many frames, SlowOnly and SlowFast: one function a size.

Results and stated costs are those that OpenMMLab publishes.
"""

from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model, recognizer_3d
from kinema.models.zoo.published import IMAGENET, SGD, clips, i3d_head, kinetics, non_local_blocks

_SLOWFAST = "SlowFast, Feichtenhofer et al. 2019"

# ---- SlowOnly


def _slowonly(num_classes: int, inputs: InputSpec, depth: int = 50, **backbone: Any) -> ModelConfig:
    settings = {"type": "ResNet3dSlowOnly", "depth": depth, **backbone}
    return recognizer_3d(settings, i3d_head(num_classes), inputs)


@model(
    params_millions=32.45,
    gflops=20.87,
    stated_cost=StatedCost(27.38, frames=4, size=256),
    source=_SLOWFAST,
    inputs=clips(4, 16),
    training=SGD,
    result=kinetics(
        72.68,
        90.68,
        "slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb",
        "v1.0/recognition/slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb/slowonly_r50_4x16x1_256e_8xb16_kinetics400-rgb_20220901-f6a40d08.pth",
    ),
)
def slowonly_r50(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, 4 frames."""
    return _slowonly(num_classes, clips(4, 16))


@model(
    params_millions=32.45,
    gflops=41.74,
    stated_cost=StatedCost(54.75, frames=8, size=256),
    source=_SLOWFAST,
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(74.82, 91.80, "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb", "20220901-2132fc87"),
)
def slowonly_r50_8x8(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, 8 frames."""
    return _slowonly(num_classes, clips(8, 8))


@model(
    params_millions=60.36,
    gflops=85.41,
    stated_cost=StatedCost(112.0, frames=8, size=256),
    source=_SLOWFAST,
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(76.28, 92.70, "slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb", "20220901-e6281431"),
)
def slowonly_r101(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, deeper, 8 frames."""
    return _slowonly(num_classes, clips(8, 8), 101)


_NON_LOCAL = "SlowFast, Feichtenhofer et al. 2019; Non-local Neural Networks, Wang et al. 2018"


@model(
    params_millions=39.81,
    gflops=32.08,
    stated_cost=StatedCost(43.23, frames=4, size=256),
    source=_NON_LOCAL,
    inputs=clips(4, 16),
    training=SGD,
    result=kinetics(
        74.84,
        91.41,
        "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
        "20220901-cf739c75",
        start=IMAGENET,
    ),
)
def slowonly_r50_nl(num_classes: int) -> ModelConfig:
    """SlowOnly with non-local blocks that attend, 4 frames."""
    return _slowonly(num_classes, clips(4, 16), **non_local_blocks("embedded_gaussian", use_scale=True))


@model(
    params_millions=39.81,
    gflops=70.14,
    stated_cost=StatedCost(96.66, frames=8, size=256),
    source=_NON_LOCAL,
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(
        76.35,
        92.18,
        "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-8x8x1-steplr-150e_kinetics400-rgb",
        "20220901-df42dc84",
        start=IMAGENET,
    ),
)
def slowonly_r50_8x8_nl(num_classes: int) -> ModelConfig:
    """SlowOnly with non-local blocks that attend, 8 frames."""
    return _slowonly(num_classes, clips(8, 8), **non_local_blocks("embedded_gaussian", use_scale=True))


_FLOW = clips(16, 4, modality="Flow", mean=(128.0, 128.0), std=(128.0, 128.0))


@model(params_millions=32.45, gflops=82.85, source=_SLOWFAST, inputs=_FLOW, training=SGD)
def slowonly_r50_flow(num_classes: int) -> ModelConfig:
    """SlowOnly over optical flow, 16 frames."""
    return _slowonly(num_classes, _FLOW, in_channels=_FLOW.channels)


# ---- SlowFast


def _slowfast(num_classes: int, depth: int, ratio: int, fast_depth: int | None = None) -> ModelConfig:
    """`ratio`: how many times as many frames the fast pathway sees; `fast_depth`: its depth, None: `depth`."""
    slow = {
        "type": "resnet3d",
        "depth": depth,
        "lateral": True,
        "fusion_kernel": 5 if ratio == 8 else 7,
        "conv1_kernel": (1, 7, 7),
        "inflate": (0, 0, 1, 1),
    }
    fast = {
        "type": "resnet3d",
        "depth": fast_depth or depth,
        "lateral": False,
        "base_channels": 8,
        "conv1_kernel": (5, 7, 7),
    }
    backbone = {
        "type": "ResNet3dSlowFast",
        "resample_rate": ratio,
        "speed_ratio": ratio,
        "channel_ratio": 8,
        "slow_pathway": slow,
        "fast_pathway": fast,
    }
    head = {**i3d_head(num_classes, 2304), "type": "SlowFastHead"}
    return recognizer_3d(backbone, head, clips(32, 2))


@model(
    params_millions=34.48,
    gflops=27.64,
    stated_cost=StatedCost(36.3, frames=32, size=256),
    source=_SLOWFAST,
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(75.55, 92.35, "slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb", "20220901-701b0f6f"),
)
def slowfast_r50(num_classes: int) -> ModelConfig:
    """SlowFast: 4 slow and 32 fast frames."""
    return _slowfast(num_classes, 50, 8)


@model(
    params_millions=34.57,
    gflops=50.31,
    stated_cost=StatedCost(66.1, frames=32, size=256),
    source=_SLOWFAST,
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(76.80, 92.99, "slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb", "20220818-1cb6dfc8"),
)
def slowfast_r50_8x8(num_classes: int) -> ModelConfig:
    """SlowFast: 8 slow and 32 fast frames."""
    return _slowfast(num_classes, 50, 4)


@model(
    params_millions=62.91,
    gflops=96.71,
    stated_cost=StatedCost(126.0, frames=32, size=256),
    source=_SLOWFAST,
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(78.65, 93.88, "slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb", "20220901-9c0e09bd"),
)
def slowfast_r101(num_classes: int) -> ModelConfig:
    """SlowFast, deeper: 8 slow and 32 fast frames."""
    return _slowfast(num_classes, 101, 4)


@model(
    params_millions=62.38,
    gflops=49.48,
    stated_cost=StatedCost(64.9, frames=32, size=256),
    source=_SLOWFAST,
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(77.03, 92.99, "slowfast_r101-r50_32xb8-4x16x1-256e_kinetics400-rgb", "20220901-a77ac3ee"),
)
def slowfast_r101_r50(num_classes: int) -> ModelConfig:
    """SlowFast, the slow pathway deeper: 4 slow and 32 fast frames."""
    return _slowfast(num_classes, 101, 8, fast_depth=50)
