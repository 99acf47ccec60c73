"""The vision transformer of VideoMAE, small enough for a CPU."""

from kinema.models.zoo.cards import InputSpec, ModelConfig, model
from kinema.models.zoo.parts import recognizer_3d

_INPUT = InputSpec(clip_len=8, frame_interval=2, num_clips=1, size=56, short_side=64)


@model(
    params_millions=1.24,
    gflops=0.2999,
    num_classes=8,
    source="Kinema's own size, for pretraining and training on a CPU; VideoMAE, Tong et al. 2022, arXiv:2203.12602",
    inputs=_INPUT,
    training={
        "optim_wrapper": {
            "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05, "betas": (0.9, 0.999)},
            "clip_grad": {"max_norm": 5.0},
        },
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.01, "begin": 0, "end": 2, "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "begin": 2, "eta_min_ratio": 0.01, "convert_to_iter_based": True},
        ],
    },
)
def videomae_vit_tiny(num_classes: int) -> ModelConfig:
    """A vision transformer over 196 tubelets, to pretrain on clips without labels (`kinema pretrain`)."""
    backbone = {
        "type": "VisionTransformer",
        "img_size": _INPUT.size,
        "patch_size": 8,
        "embed_dims": 128,
        "depth": 6,
        "num_heads": 4,
        "num_frames": _INPUT.clip_len,
    }
    head = {"type": "TimeSformerHead", "num_classes": num_classes, "in_channels": 128}
    return recognizer_3d(backbone, head, _INPUT)
