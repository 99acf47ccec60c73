"""Kinema's own small networks."""

from kinema.models.zoo.cards import InputSpec, ModelConfig, model
from kinema.models.zoo.parts import recognizer_3d

_COMPACT_INPUT = InputSpec(clip_len=8, frame_interval=2, num_clips=1, size=56, short_side=64)


@model(
    params_millions=0.20,
    gflops=0.043,
    num_classes=8,
    source="Kinema's own, for training on a CPU",
    inputs=_COMPACT_INPUT,
    training={
        "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 8e-3, "weight_decay": 0.02}},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.05, "begin": 0, "end": 1, "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "begin": 1, "convert_to_iter_based": True},
        ],
    },
)
def compact3d(num_classes: int) -> ModelConfig:
    """The small network for small sets of short clips, from scratch."""
    backbone = {"type": "CompactNet3D", "width": 24}
    head = {"type": "I3DHead", "num_classes": num_classes, "in_channels": 96, "dropout_ratio": 0.1}
    return recognizer_3d(backbone, head, _COMPACT_INPUT)
