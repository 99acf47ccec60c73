"""What the published networks of the zoo share: recipe, input, head, results, weights."""

from typing import Any

from kinema.models.zoo.cards import Result, Weights
from kinema.openmmlab.addresses import weights_url

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

IMAGENET = "ImageNet weights"
# Learning rates below are for so many clips a step, and grow and shrink with them.
BY_16_CLIPS: dict[str, Any] = {"enable": True, "base_batch_size": 16}
# Who trained files that OpenMMLab converted.
FACEBOOK = "Facebook Research"
OPENGVLAB = "OpenGVLab"


def adamw(
    lr: float,
    *,
    weight_decay: float = 0.05,
    max_norm: float = 1,
    backbone_rate: float = 1,
    layer_decay: float | None = None,
) -> dict[str, Any]:
    """The parts of a training config that suit transformers: no weight decay for norms and biases, and a warm-up.

    Args:
        lr: learning rate for 16 clips a step; it is proportional to them.
        weight_decay: of the other parameters.
        max_norm: largest norm of the gradient.
        backbone_rate: learning rate of the backbone, as a share of the classifier's.
        layer_decay: quotient of the learning rates of a block and the block behind it; None: 1.
    """
    groups: dict[str, Any] = {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}
    if backbone_rate != 1:
        groups["custom_keys"] = {"backbone": {"lr_mult": backbone_rate}}
    if layer_decay is not None:
        groups = {"decay_rate": layer_decay, "decay_type": "layer_wise"}
    wrapper: dict[str, Any] = {
        "optimizer": {"type": "AdamW", "lr": lr, "betas": (0.9, 0.999), "weight_decay": weight_decay},
        "paramwise_cfg": groups,
        "clip_grad": {"max_norm": max_norm, "norm_type": 2},
    }
    if layer_decay is not None:
        wrapper["constructor"] = "LearningRateDecayOptimizerConstructor"
    return {
        "optim_wrapper": wrapper,
        "auto_scale_lr": BY_16_CLIPS,
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.01, "begin": 0, "end": 1, "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "begin": 1, "convert_to_iter_based": True},
        ],
    }


def published(
    dataset: str,
    top1: float,
    top5: float | None,
    config: str,
    file: str | None,
    *,
    start: str | None = None,
    protocol: str = "10 x 3",
    size: int = 256,
    converted: str | None = None,
) -> Result:
    """What the weights of an OpenMMLab config reach, and where they are.

    Args:
        dataset: what they were trained and tested on.
        top1: see `Result`, as `top5`, `config`, `protocol` and `size`.
        top5: see there.
        config: see there.
        file: their file: its date and hash, after the config's name; where it lies elsewhere, its
            path below OpenMMLab's files of MMAction2; None: not published.
        start: what the training started from; None: from scratch.
        protocol: see there.
        size: see there.
        converted: who trained them, where OpenMMLab converted the file.
    """
    if file is None:
        return Result(top1, top5, dataset, protocol, size, config)
    origin = (
        "Published by OpenMMLab with MMAction2"
        + (f", converted from a file of {converted}" if converted else "")
        + f". Trained on {dataset}"
        + (f", starting from {start}" if start else "")
        + "; the data's own terms apply."
    )
    return Result(top1, top5, dataset, protocol, size, config, Weights(weights_url(config, file), "Apache-2.0", origin))


def kinetics(top1: float, top5: float | None, config: str, file: str | None, **others: Any) -> Result:
    """`published`, on Kinetics-400."""
    return published("Kinetics-400", top1, top5, config, file, **others)


def something(version: int, top1: float, top5: float, config: str, file: str, **others: Any) -> Result:
    """`published`, on Something-Something, from ImageNet weights; most: two clips of 8 frames and three crops."""
    dataset = f"Something-Something V{version}"
    return published(dataset, top1, top5, config, file, **{"start": IMAGENET, "protocol": "16 x 3", **others})
