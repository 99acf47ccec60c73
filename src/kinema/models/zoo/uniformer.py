"""UniFormer: convolutions where tokens are many, attention over space and time where they are few."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.published import IMAGENET, OPENGVLAB, adamw, kinetics

_BELOW = "v1.0/recognition/uniformerv1/"
_MEAN, _STD = (114.75,) * 3, (57.375,) * 3
_16 = clips(16, 4, num_clips=4, short_side=224, mean=_MEAN, std=_STD)
_32 = clips(32, 4, num_clips=4, short_side=224, mean=_MEAN, std=_STD)
_kinetics = partial(kinetics, start=IMAGENET, protocol="4 x 1", size=224, converted=OPENGVLAB)
_RESULTS = {
    "uniformer_s": _kinetics(
        *(80.9, 94.6, "uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb"),
        f"{_BELOW}uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-c630a037.pth",
    ),
    "uniformer_b": _kinetics(
        *(82.0, 95.0, "uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb"),
        f"{_BELOW}uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-157c2e66.pth",
    ),
    "uniformer_b_32f": _kinetics(
        *(83.1, 95.3, "uniformer-base_imagenet1k-pre_32x4x1_kinetics400-rgb"),
        f"{_BELOW}uniformer-base_imagenet1k-pre_32x4x1_kinetics400-rgb_20221219-b776322c.pth",
    ),
}
_model = partial(model, source="UniFormer, Li et al. 2022", results=_RESULTS, training=adamw(1e-4))


def _uniformer(num_classes: int, depth: list[int], drop_path_rate: float) -> ModelConfig:
    backbone = {
        "type": "UniFormer",
        "depth": depth,
        "embed_dim": [64, 128, 320, 512],
        "head_dim": 64,
        "drop_path_rate": drop_path_rate,
    }
    head = {"type": "I3DHead", "num_classes": num_classes, "in_channels": 512, "dropout_ratio": 0.0}
    return recognizer_3d(backbone, head, _16)


@_model(params_millions=21.40, gflops=41.66, inputs=_16)
def uniformer_s(num_classes: int) -> ModelConfig:
    """UniFormer, small, 16 frames."""
    return _uniformer(num_classes, [3, 4, 8, 3], 0.1)


@_model(params_millions=49.81, gflops=96.55, inputs=_16)
def uniformer_b(num_classes: int) -> ModelConfig:
    """UniFormer, base, 16 frames."""
    return _uniformer(num_classes, [5, 8, 20, 7], 0.3)


@_model(params_millions=49.81, gflops=258.25, inputs=_32)
def uniformer_b_32f(num_classes: int) -> ModelConfig:
    """UniFormer, base, 32 frames."""
    return _uniformer(num_classes, [5, 8, 20, 7], 0.3)
