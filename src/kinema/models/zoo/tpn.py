"""Temporal pyramids: networks whose last two stages are joined at several speeds."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, frames, recognizer_2d, recognizer_3d
from kinema.models.zoo.published import IMAGENET, SGD, kinetics, something

# What OpenMMLab publishes with the weights.
_RESULTS = {
    "tpn_tsm_r50": something(
        1, 51.87, 79.67, "tpn-tsm_imagenet-pretrained-r50_8xb8-1x1x8-150e_sthv1-rgb", "20230221-940a3615"
    ),
    "tpn_slowonly_r50": kinetics(
        76.74,
        92.57,
        "tpn-slowonly_imagenet-pretrained-r50_8xb8-8x8x1-150e_kinetics400-rgb",
        "20220913-fed3f4c1",
        start=IMAGENET,
    ),
}
_model = partial(model, source="TPN, Yang et al. 2020", training=SGD, results=_RESULTS)


def _neck(num_classes: int, num_frames: int) -> ModelConfig:
    """The pyramid over the last two stages of a network of 50 layers, which gives `num_frames` frames."""
    return {
        "type": "TPN",
        "in_channels": (1024, 2048),
        "out_channels": 1024,
        "spatial_modulation_cfg": {"in_channels": (1024, 2048), "out_channels": 2048},
        "temporal_modulation_cfg": {"downsample_scales": (num_frames, num_frames)},
        "upsample_cfg": {"scale_factor": (1, 1, 1)},
        "downsample_cfg": {"downsample_scale": (1, 1, 1)},
        "level_fusion_cfg": {
            "in_channels": (1024, 1024),
            "mid_channels": (1024, 1024),
            "out_channels": 2048,
            "downsample_scales": ((1, 1, 1), (1, 1, 1)),
        },
        "aux_head_cfg": {"out_channels": num_classes, "loss_weight": 0.5},
    }


@_model(
    params_millions=82.45,
    num_classes=174,
    gflops=41.23,
    stated_cost=StatedCost(54.203, frames=8, size=256, counts="elements"),
    inputs=frames(8),
)
def tpn_tsm_r50(num_classes: int) -> ModelConfig:
    """TSM whose last two stages are joined at several speeds."""
    backbone = {"type": "ResNetTSM", "depth": 50, "num_segments": 8, "out_indices": (2, 3), "shift_div": 8}
    head = {"type": "TPNHead", "num_classes": num_classes, "in_channels": 2048, "dropout_ratio": 0.5}
    return recognizer_2d(backbone, head, frames(8), _neck(num_classes, 8))


@_model(
    params_millions=91.50,
    gflops=50.28,
    stated_cost=StatedCost(66.015, frames=8, size=256, counts="elements"),
    inputs=clips(8, 8),
)
def tpn_slowonly_r50(num_classes: int) -> ModelConfig:
    """SlowOnly whose last two stages are joined at several speeds."""
    backbone = {
        "type": "ResNet3dSlowOnly",
        "depth": 50,
        "lateral": False,
        "out_indices": (2, 3),
        "conv1_kernel": (1, 7, 7),
        "conv1_stride_t": 1,
        "pool1_stride_t": 1,
        "inflate": (0, 0, 1, 1),
        "norm_eval": False,
    }
    head = {"type": "TPNHead", "num_classes": num_classes, "in_channels": 2048, "dropout_ratio": 0.5}
    return {**recognizer_3d(backbone, head, clips(8, 8)), "neck": _neck(num_classes, 8)}
