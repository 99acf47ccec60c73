"""SlowFast: a pathway for few frames and one for many."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, i3d_head, recognizer_3d
from kinema.models.zoo.published import SGD, kinetics

# What OpenMMLab publishes with the weights.
_RESULTS = {
    "slowfast_r50": kinetics(75.55, 92.35, "slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb", "20220901-701b0f6f"),
    "slowfast_r50_8x8": kinetics(76.80, 92.99, "slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb", "20220818-1cb6dfc8"),
    "slowfast_r101": kinetics(78.65, 93.88, "slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb", "20220901-9c0e09bd"),
    "slowfast_r101_r50": kinetics(
        77.03, 92.99, "slowfast_r101-r50_32xb8-4x16x1-256e_kinetics400-rgb", "20220901-a77ac3ee"
    ),
}
_model = partial(model, source="SlowFast, Feichtenhofer et al. 2019", training=SGD, results=_RESULTS)


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


@_model(params_millions=34.48, gflops=27.64, stated_cost=StatedCost(36.3, frames=32, size=256), inputs=clips(32, 2))
def slowfast_r50(num_classes: int) -> ModelConfig:
    """SlowFast: 4 slow and 32 fast frames."""
    return _slowfast(num_classes, 50, 8)


@_model(params_millions=34.57, gflops=50.31, stated_cost=StatedCost(66.1, frames=32, size=256), inputs=clips(32, 2))
def slowfast_r50_8x8(num_classes: int) -> ModelConfig:
    """SlowFast: 8 slow and 32 fast frames."""
    return _slowfast(num_classes, 50, 4)


@_model(params_millions=62.91, gflops=96.71, stated_cost=StatedCost(126.0, frames=32, size=256), inputs=clips(32, 2))
def slowfast_r101(num_classes: int) -> ModelConfig:
    """SlowFast, deeper: 8 slow and 32 fast frames."""
    return _slowfast(num_classes, 101, 4)


@_model(params_millions=62.38, gflops=49.48, stated_cost=StatedCost(64.9, frames=32, size=256), inputs=clips(32, 2))
def slowfast_r101_r50(num_classes: int) -> ModelConfig:
    """SlowFast, the slow pathway deeper: 4 slow and 32 fast frames."""
    return _slowfast(num_classes, 101, 8, fast_depth=50)
