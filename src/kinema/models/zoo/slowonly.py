"""SlowOnly: SlowFast's slow pathway alone."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, i3d_head, non_local_blocks, recognizer_3d
from kinema.models.zoo.published import IMAGENET, SGD, kinetics

_SLOWFAST = "SlowFast, Feichtenhofer et al. 2019"
_NON_LOCAL = f"{_SLOWFAST}; Non-local Neural Networks, Wang et al. 2018"
_FLOW = clips(16, 4, modality="Flow", mean=(128.0, 128.0), std=(128.0, 128.0))
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "slowonly_r50": kinetics(
        72.68,
        90.68,
        "slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb",
        "v1.0/recognition/slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb/slowonly_r50_4x16x1_256e_8xb16_kinetics400-rgb_20220901-f6a40d08.pth",
    ),
    "slowonly_r50_8x8": kinetics(74.82, 91.80, "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb", "20220901-2132fc87"),
    "slowonly_r101": kinetics(76.28, 92.70, "slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb", "20220901-e6281431"),
    "slowonly_r50_nl": kinetics(
        74.84,
        91.41,
        "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
        "20220901-cf739c75",
        start=IMAGENET,
    ),
    "slowonly_r50_8x8_nl": kinetics(
        76.35,
        92.18,
        "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-8x8x1-steplr-150e_kinetics400-rgb",
        "20220901-df42dc84",
        start=IMAGENET,
    ),
}
_model = partial(model, training=SGD, results=_RESULTS)


def _slowonly(num_classes: int, inputs: InputSpec, depth: int = 50, **backbone: Any) -> ModelConfig:
    settings = {"type": "ResNet3dSlowOnly", "depth": depth, **backbone}
    return recognizer_3d(settings, i3d_head(num_classes), inputs)


@_model(
    params_millions=32.45,
    gflops=20.87,
    stated_cost=StatedCost(27.38, frames=4, size=256),
    inputs=clips(4, 16),
    source=_SLOWFAST,
)
def slowonly_r50(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, 4 frames."""
    return _slowonly(num_classes, clips(4, 16))


@_model(
    params_millions=32.45,
    gflops=41.74,
    stated_cost=StatedCost(54.75, frames=8, size=256),
    inputs=clips(8, 8),
    source=_SLOWFAST,
)
def slowonly_r50_8x8(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, 8 frames."""
    return _slowonly(num_classes, clips(8, 8))


@_model(
    params_millions=60.36,
    gflops=85.41,
    stated_cost=StatedCost(112.0, frames=8, size=256),
    inputs=clips(8, 8),
    source=_SLOWFAST,
)
def slowonly_r101(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, deeper, 8 frames."""
    return _slowonly(num_classes, clips(8, 8), 101)


@_model(
    params_millions=39.81,
    gflops=32.08,
    stated_cost=StatedCost(43.23, frames=4, size=256),
    inputs=clips(4, 16),
    source=_NON_LOCAL,
)
def slowonly_r50_nl(num_classes: int) -> ModelConfig:
    """SlowOnly with non-local blocks that attend, 4 frames."""
    return _slowonly(num_classes, clips(4, 16), **non_local_blocks("embedded_gaussian", use_scale=True))


@_model(
    params_millions=39.81,
    gflops=70.14,
    stated_cost=StatedCost(96.66, frames=8, size=256),
    inputs=clips(8, 8),
    source=_NON_LOCAL,
)
def slowonly_r50_8x8_nl(num_classes: int) -> ModelConfig:
    """SlowOnly with non-local blocks that attend, 8 frames."""
    return _slowonly(num_classes, clips(8, 8), **non_local_blocks("embedded_gaussian", use_scale=True))


@_model(params_millions=32.45, gflops=82.85, inputs=_FLOW, source=_SLOWFAST)
def slowonly_r50_flow(num_classes: int) -> ModelConfig:
    """SlowOnly over optical flow, 16 frames."""
    return _slowonly(num_classes, _FLOW, in_channels=_FLOW.channels)
