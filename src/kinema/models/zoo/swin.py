"""Video Swin: attention within windows of frames and pixels, shifted from block to block."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, i3d_head, recognizer_3d
from kinema.models.zoo.published import BY_16_CLIPS, IMAGENET, kinetics, published

_INPUT = clips(32, 2, num_clips=4, short_side=224)
_TEST: dict[str, Any] = {"protocol": "4 x 3", "size": 224}
_RESULTS = {
    "swin_t": kinetics(
        *(78.90, 93.77, "swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb", "20220930-241016b2"),
        start=IMAGENET,
        **_TEST,
    ),
    "swin_s": kinetics(
        *(80.54, 94.46, "swin-small-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb", "20220930-e91ab986"),
        start=IMAGENET,
        **_TEST,
    ),
    "swin_b": kinetics(
        *(80.57, 94.49, "swin-base-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb", "20220930-182ec6cc"),
        start=IMAGENET,
        **_TEST,
    ),
    "swin_l": kinetics(
        *(83.46, 95.91, "swin-large-p244-w877_in22k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb", "20220930-78ad8b11"),
        start="ImageNet-22K weights",
        **_TEST,
    ),
    "swin_l_k700": published(
        *("Kinetics-700", 75.92, 92.72),
        *("swin-large-p244-w877_in22k-pre_16xb8-amp-32x2x1-30e_kinetics700-rgb", "20220930-f8d74db7"),
        start="ImageNet-22K weights",
        **_TEST,
    ),
    "swin_s_k710": published(
        *("Kinetics-710", 76.90, 92.96),
        *("swin-small-p244-w877_in1k-pre_32xb4-amp-32x2x1-30e_kinetics710-rgb", "20230612-8e082ff1"),
        start=IMAGENET,
        **_TEST,
    ),
}


def _training(weight_decay: float) -> dict[str, Any]:
    """The published recipe, with a learning rate for batches of 16; the backbone starts from images."""
    free = {name: {"decay_mult": 0.0} for name in ("relative_position_bias_table", "norm")}
    return {
        "optim_wrapper": {
            "optimizer": {"type": "AdamW", "lr": 2.5e-4, "betas": (0.9, 0.999), "weight_decay": weight_decay},
            "constructor": "SwinOptimWrapperConstructor",
            "paramwise_cfg": {**free, "backbone": {"lr_mult": 0.1}},
        },
        "auto_scale_lr": BY_16_CLIPS,
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 1, "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "begin": 1, "convert_to_iter_based": True},
        ],
    }


_model = partial(model, inputs=_INPUT, source="Video Swin, Liu et al. 2022", results=_RESULTS, training=_training(0.02))


def _swin(num_classes: int, arch: str, channels: int, drop_path_rate: float) -> ModelConfig:
    backbone = {
        "type": "SwinTransformer3D",
        "arch": arch,
        "patch_size": (2, 4, 4),
        "window_size": (8, 7, 7),
        "drop_path_rate": drop_path_rate,
        "patch_norm": True,
    }
    return recognizer_3d(backbone, i3d_head(num_classes, channels), _INPUT)


@_model(params_millions=28.16, gflops=87.76, stated_cost=StatedCost(88.0, frames=32, size=224))
def swin_t(num_classes: int) -> ModelConfig:
    """Video Swin, tiny."""
    return _swin(num_classes, "tiny", 768, 0.1)


@_model(params_millions=49.82, gflops=165.68, stated_cost=StatedCost(166.0, frames=32, size=224))
def swin_s(num_classes: int) -> ModelConfig:
    """Video Swin, small."""
    return _swin(num_classes, "small", 768, 0.2)


@_model(
    params_millions=88.05, gflops=281.33, stated_cost=StatedCost(282.0, frames=32, size=224), training=_training(0.05)
)
def swin_b(num_classes: int) -> ModelConfig:
    """Video Swin, base."""
    return _swin(num_classes, "base", 1024, 0.3)


@_model(
    params_millions=196.95, gflops=603.27, stated_cost=StatedCost(604.0, frames=32, size=224), training=_training(0.05)
)
def swin_l(num_classes: int) -> ModelConfig:
    """Video Swin, large."""
    return _swin(num_classes, "large", 1536, 0.4)


@_model(
    params_millions=197.42,
    gflops=603.27,
    stated_cost=StatedCost(604.0, frames=32, size=224),
    training=_training(0.05),
    num_classes=700,
)
def swin_l_k700(num_classes: int) -> ModelConfig:
    """Video Swin, large, with weights for 700 classes."""
    return _swin(num_classes, "large", 1536, 0.4)


# The published figure, 604, is that of the large network.
@_model(params_millions=50.06, gflops=165.68, num_classes=710)
def swin_s_k710(num_classes: int) -> ModelConfig:
    """Video Swin, small, with weights for 710 classes."""
    return _swin(num_classes, "small", 768, 0.2)
