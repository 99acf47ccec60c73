"""What the published networks of the zoo share: recipe, input, head, results, weights."""

import re
from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, Result, Weights

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
_FILES = "https://download.openmmlab.com/mmaction/"
_FOLDERS = {"ircsn": "csn", "ipcsn": "csn"}


def clips(clip_len: int, frame_interval: int, **others: Any) -> InputSpec:
    """Input of most: ten clips of 224 x 224 pixels."""
    return InputSpec(clip_len, frame_interval, **{"num_clips": 10, "size": 224, "short_side": 256, **others})


def i3d_head(num_classes: int, in_channels: int = 2048) -> ModelConfig:
    """The head of most: average, drop half of the features, classify."""
    return {"type": "I3DHead", "num_classes": num_classes, "in_channels": in_channels, "dropout_ratio": 0.5}


def non_local_blocks(mode: str, *, use_scale: bool, first: int = 0) -> dict[str, Any]:
    """Settings of a backbone of 50 layers with a non-local block behind every second block of its two middle stages.

    Args:
        mode: how they compare positions, see `NonLocal3d`, as `use_scale`.
        use_scale: see there.
        first: the first block of a stage that has one behind it, 0 or 1.
    """
    stages = tuple(tuple(int(block % 2 == first) for block in range(count)) for count in (4, 6))
    norm = {"type": "BN3d", "requires_grad": True}
    return {
        "non_local": ((0, 0, 0), *stages, (0, 0, 0)),
        "non_local_cfg": {"sub_sample": True, "use_scale": use_scale, "norm_cfg": norm, "mode": mode},
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
    converted: bool = False,
) -> Result:
    """What the weights of an OpenMMLab config reach, and where they are.

    Args:
        dataset: what they were trained and tested on.
        top1: see `Result`, as `top5`, `config`, `protocol` and `size`.
        top5: see there.
        config: see there.
        file: their file: its date and hash, after the config's name; where it lies elsewhere, its path below OpenMMLab's files of
            MMAction2; None: not published.
        start: what the training started from; None: from scratch.
        protocol: see there.
        size: see there.
        converted: Facebook Research trained them, and OpenMMLab converted the file.
    """
    if file is None:
        return Result(top1, top5, dataset, protocol, size, config)
    if "/" not in file:
        family = re.split("[-_]", config)[0]
        file = f"v1.0/recognition/{_FOLDERS.get(family, family)}/{config}/{config}_{file}.pth"
    origin = (
        "Published by OpenMMLab with MMAction2"
        + (", converted from a file of Facebook Research" if converted else "")
        + f". Trained on {dataset}"
        + (f", starting from {start}" if start else "")
        + "; the data's own terms apply."
    )
    return Result(top1, top5, dataset, protocol, size, config, Weights(_FILES + file, "Apache-2.0", origin))


def kinetics(top1: float, top5: float | None, config: str, file: str | None, **others: Any) -> Result:
    """`published`, on Kinetics-400."""
    return published("Kinetics-400", top1, top5, config, file, **others)


def something(version: int, top1: float, top5: float, config: str, file: str, **others: Any) -> Result:
    """`published`, on Something-Something, from ImageNet weights; most: two clips of 8 frames and three crops."""
    dataset = f"Something-Something V{version}"
    return published(dataset, top1, top5, config, file, **{"start": IMAGENET, "protocol": "16 x 3", **others})
