"""R(2+1)D: convolutions of space and of time in turns."""

from functools import partial

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, i3d_head, recognizer_3d
from kinema.models.zoo.published import SGD, kinetics

# What OpenMMLab publishes with the weights.
_RESULTS = {
    "r2plus1d_r34": kinetics(69.76, 88.41, "r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb", "20220812-47cfe041"),
    "r2plus1d_r34_32x2": kinetics(75.46, 92.28, "r2plus1d_r34_8xb8-32x2x1-180e_kinetics400-rgb", "20220812-4270588c"),
}
_model = partial(model, source="R(2+1)D, Tran et al. 2018", training=SGD, results=_RESULTS)


def _r2plus1d(num_classes: int, inputs: InputSpec) -> ModelConfig:
    backbone = {
        "type": "ResNet2Plus1d",
        "depth": 34,
        "norm_cfg": {"type": "SyncBN", "requires_grad": True, "eps": 1e-3},
        "temporal_strides": (1, 2, 2, 2),
        "zero_init_residual": False,
    }
    return recognizer_3d(backbone, i3d_head(num_classes, 512), inputs)


@_model(params_millions=63.76, gflops=40.56, stated_cost=StatedCost(53.1, frames=8, size=256), inputs=clips(8, 8))
def r2plus1d_r34(num_classes: int) -> ModelConfig:
    """R(2+1)D: convolutions of space and of time in turns, over 8 frames."""
    return _r2plus1d(num_classes, clips(8, 8))


@_model(params_millions=63.76, gflops=162.24, stated_cost=StatedCost(213.0, frames=32, size=256), inputs=clips(32, 2))
def r2plus1d_r34_32x2(num_classes: int) -> ModelConfig:
    """R(2+1)D over 32 frames."""
    return _r2plus1d(num_classes, clips(32, 2))
