"""TimeSformer: attention over space and time, together, one after the other, or over space alone."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.published import BY_16_CLIPS, kinetics

_IMAGENET = "ImageNet-21K weights"
_INPUT = clips(8, 32, num_clips=1, short_side=224, mean=(127.5,) * 3, std=(127.5,) * 3)
_RESULTS = {
    "timesformer_b_divided": kinetics(
        *(77.69, 93.45, "timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb", "20220815-a4d0d01f"),
        start=_IMAGENET,
        protocol="1 x 3",
        size=224,
    ),
    "timesformer_b_joint": kinetics(
        *(76.95, 93.28, "timesformer_jointST_8xb8-8x32x1-15e_kinetics400-rgb", "20220815-8022d1c0"),
        start=_IMAGENET,
        protocol="1 x 3",
        size=224,
    ),
    "timesformer_b_space": kinetics(
        *(76.93, 92.88, "timesformer_spaceOnly_8xb8-8x32x1-15e_kinetics400-rgb", "20220815-78f05367"),
        start=_IMAGENET,
        protocol="1 x 3",
        size=224,
    ),
}


def _training(*undecayed: str) -> dict[str, Any]:
    """The published recipe, with a learning rate for batches of 16."""
    return {
        "optim_wrapper": {
            "optimizer": {"type": "SGD", "lr": 0.00125, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": True},
            "paramwise_cfg": {"custom_keys": {name: {"decay_mult": 0.0} for name in undecayed}},
            "clip_grad": {"max_norm": 40, "norm_type": 2},
        },
        "auto_scale_lr": BY_16_CLIPS,
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 1, "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "begin": 1, "convert_to_iter_based": True},
        ],
    }


_model = partial(
    model,
    inputs=_INPUT,
    training=_training("cls_token", "pos_embed", "time_embed"),
    source="TimeSformer, Bertasius et al. 2021",
    results=_RESULTS,
)


def _timesformer(num_classes: int, attention: str, **arguments: Any) -> ModelConfig:
    backbone = {
        "type": "TimeSformer",
        "num_frames": 8,
        "img_size": 224,
        "patch_size": 16,
        "embed_dims": 768,
        "attention_type": attention,
        "norm_cfg": {"type": "LN", "eps": 1e-6},
        **arguments,
    }
    head = {"type": "TimeSformerHead", "num_classes": num_classes, "in_channels": 768}
    return recognizer_3d(backbone, head, _INPUT)


@_model(params_millions=121.57, gflops=196.51, stated_cost=StatedCost(196.0, frames=8, size=224))
def timesformer_b_divided(num_classes: int) -> ModelConfig:
    """TimeSformer, base: attention over time, then over space."""
    return _timesformer(num_classes, "divided_space_time")


@_model(params_millions=86.11, gflops=179.56, stated_cost=StatedCost(180.0, frames=8, size=224))
def timesformer_b_joint(num_classes: int) -> ModelConfig:
    """TimeSformer, base: attention over space and time at once."""
    return _timesformer(num_classes, "joint_space_time")


@_model(
    params_millions=86.11,
    gflops=140.50,
    stated_cost=StatedCost(141.0, frames=8, size=224),
    training=_training("cls_token", "pos_embed"),  # it has no positions in time
)
def timesformer_b_space(num_classes: int) -> ModelConfig:
    """TimeSformer, base: attention over each frame alone."""
    return _timesformer(num_classes, "space_only")
