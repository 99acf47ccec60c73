"""What the published networks of the zoo share: recipe, input, head, results."""

from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, Result

# The published recipes' SGD, with a learning rate for batches of 16.
SGD: dict[str, Any] = {
    "optim_wrapper": {
        "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
        "clip_grad": {"max_norm": 40, "norm_type": 2},
    },
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 1, "convert_to_iter_based": True},
        {"type": "CosineAnnealingLR", "begin": 1, "convert_to_iter_based": True},
    ],
}


def clips(clip_len: int, frame_interval: int, **others: Any) -> InputSpec:
    """Input of most: ten clips of 224 x 224 pixels."""
    return InputSpec(clip_len, frame_interval, **{"num_clips": 10, "size": 224, "short_side": 256, **others})


def kinetics(top1: float, top5: float | None, config: str, protocol: str = "10 x 3") -> Result:
    """What the weights of an OpenMMLab config reach on Kinetics-400."""
    return Result(top1, top5, "Kinetics-400", protocol, config)


def i3d_head(num_classes: int, in_channels: int = 2048) -> ModelConfig:
    """The head of most: average, drop half of the features, classify."""
    return {"type": "I3DHead", "num_classes": num_classes, "in_channels": in_channels, "dropout_ratio": 0.5}
