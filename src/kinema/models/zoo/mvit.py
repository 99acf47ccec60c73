"""MViT v2: attention whose queries, keys and values are pooled, over ever fewer and wider tokens."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.published import FACEBOOK, adamw, kinetics, something

_BELOW = "v1.0/recognition/mvit/converted/"
_FACEBOOK: dict[str, Any] = {"mean": (114.75,) * 3, "std": (57.375,) * 3}
_SPREAD: dict[str, Any] = {"frame_interval": 1, "num_clips": 1, "short_side": 224, "spread": True}
_16 = clips(16, 4, num_clips=5, short_side=224, **_FACEBOOK)
_16_10 = clips(16, 4, num_clips=10, short_side=224, **_FACEBOOK)
_32 = clips(32, 3, num_clips=5, short_side=224, **_FACEBOOK)
_40 = clips(40, 3, num_clips=5, size=312, short_side=312, **_FACEBOOK)
_U16 = clips(clip_len=16, **_SPREAD)
_U32 = clips(clip_len=32, **_SPREAD, **_FACEBOOK)
_U40 = clips(clip_len=40, **_SPREAD, **_FACEBOOK)

_K400 = "its own weights for Kinetics-400"
_RESULTS = {
    "mvit_s": kinetics(
        *(81.1, 94.7, "mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb"),
        f"{_BELOW}mvit-small-p244_16x4x1_kinetics400-rgb_20221021-9ebaaeed.pth",
        protocol="5 x 1",
        size=224,
        converted=FACEBOOK,
    ),
    "mvit_s_200e": kinetics(
        *(80.6, 94.7, "mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb", "20230201-23284ff3"),
        protocol="5 x 1",
        size=224,
    ),
    "mvit_s_maskfeat": kinetics(
        *(81.8, 95.2, "mvit-small-p244_k400-maskfeat-pre_8xb32-16x4x1-100e_kinetics400-rgb", "20230201-5bced1d0"),
        start="MaskFeat on the same videos",
        protocol="10 x 1",
        size=224,
    ),
    "mvit_b": kinetics(
        *(82.6, 95.8, "mvit-base-p244_32x3x1_kinetics400-rgb"),
        f"{_BELOW}mvit-base-p244_32x3x1_kinetics400-rgb_20221021-f392cd2d.pth",
        protocol="5 x 1",
        size=224,
        converted=FACEBOOK,
    ),
    "mvit_l": kinetics(
        *(85.4, 96.2, "mvit-large-p244_40x3x1_kinetics400-rgb"),
        f"{_BELOW}mvit-large-p244_40x3x1_kinetics400-rgb_20221021-11fe1f97.pth",
        protocol="5 x 3",
        size=312,
        converted=FACEBOOK,
    ),
    "mvit_s_sthv2": something(
        *(2, 68.2, 91.3, "mvit-small-p244_k400-pre_16xb16-u16-100e_sthv2-rgb", "20230201-4065c1b9"),
        start=_K400,
        protocol="1 x 3",
        size=224,
    ),
    "mvit_b_sthv2": something(
        *(2, 70.8, 92.7, "mvit-base-p244_u32_sthv2-rgb"),
        f"{_BELOW}mvit-base-p244_u32_sthv2-rgb_20221021-d5de5da6.pth",
        start=_K400,
        protocol="1 x 3",
        size=224,
        converted=FACEBOOK,
    ),
    "mvit_l_sthv2": something(
        *(2, 73.2, 94.0, "mvit-large-p244_u40_sthv2-rgb"),
        f"{_BELOW}mvit-large-p244_u40_sthv2-rgb_20221021-61696e07.pth",
        start=_K400,
        protocol="1 x 3",
        size=224,
        converted=FACEBOOK,
    ),
}
# The published rate is 0.0016 for 256 clips a step, and 0.0096 for 256 with rates by layer.
_model = partial(model, source="MViTv2, Li et al. 2022", results=_RESULTS, training=adamw(1e-4))


def _mvit(
    num_classes: int, inputs: InputSpec, arch: str, drop_path_rate: float, *, channels: int = 768, **arguments: Any
) -> ModelConfig:
    of_head = {key: arguments.pop(key) for key in ("dropout_ratio", "init_scale") if key in arguments}
    backbone = {"type": "MViT", "arch": arch, "drop_path_rate": drop_path_rate, **arguments}
    head = {"type": "MViTHead", "num_classes": num_classes, "in_channels": channels, "label_smooth_eps": 0.1}
    return recognizer_3d(backbone, head | of_head, inputs)


@_model(params_millions=34.54, gflops=68.50, stated_cost=StatedCost(64.0, frames=16, size=224), inputs=_16)
def mvit_s(num_classes: int) -> ModelConfig:
    """MViT v2, small, 16 frames."""
    return _mvit(num_classes, _16, "small", 0.2)


@_model(params_millions=34.54, gflops=68.50, stated_cost=StatedCost(64.0, frames=16, size=224), inputs=_16)
def mvit_s_200e(num_classes: int) -> ModelConfig:
    """MViT v2, small, 16 frames, with the weights of OpenMMLab's own training."""
    return _mvit(num_classes, _16, "small", 0.2)


@_model(
    params_millions=36.48,
    gflops=75.43,
    stated_cost=StatedCost(71.0, frames=16, size=224),
    inputs=_16_10,
    training=adamw(6e-4, max_norm=5, layer_decay=0.75),
)
def mvit_s_maskfeat(num_classes: int) -> ModelConfig:
    """MViT v2, small, 16 frames, trained without labels first."""
    arguments: dict[str, Any] = {"dim_mul_in_attention": False, "dropout_ratio": 0.0, "init_scale": 0.001}
    return _mvit(num_classes, _16_10, "small", 0.1, **arguments)


@_model(params_millions=51.23, gflops=253.14, inputs=_32)
def mvit_b(num_classes: int) -> ModelConfig:
    """MViT v2, base, 32 frames."""
    return _mvit(num_classes, _32, "base", 0.3, temporal_size=32)


@_model(params_millions=213.39, gflops=3581.74, inputs=_40)
def mvit_l(num_classes: int) -> ModelConfig:
    """MViT v2, large, 40 frames of 312 pixels."""
    size: dict[str, Any] = {"temporal_size": 40, "spatial_size": 312}
    return _mvit(num_classes, _40, "large", 0.75, channels=1152, **size)


@_model(
    params_millions=34.36, gflops=68.50, stated_cost=StatedCost(64.0, frames=16, size=224), inputs=_U16, num_classes=174
)
def mvit_s_sthv2(num_classes: int) -> ModelConfig:
    """MViT v2, small, 16 frames of the whole video."""
    return _mvit(num_classes, _U16, "small", 0.2)


@_model(params_millions=51.06, gflops=253.14, inputs=_U32, num_classes=174)
def mvit_b_sthv2(num_classes: int) -> ModelConfig:
    """MViT v2, base, 32 frames of the whole video."""
    return _mvit(num_classes, _U32, "base", 0.3, temporal_size=32)


@_model(params_millions=213.13, gflops=1241.53, inputs=_U40, num_classes=174)
def mvit_l_sthv2(num_classes: int) -> ModelConfig:
    """MViT v2, large, 40 frames of the whole video."""
    size: dict[str, Any] = {"temporal_size": 40, "spatial_size": 312}
    return _mvit(num_classes, _U40, "large", 0.75, channels=1152, **size)
