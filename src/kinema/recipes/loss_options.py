"""What users change of how a model learns: weights of classes, smoothed labels, mixup, several labels a clip."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema.errors import ConfigError

CLASS_WEIGHTS = ("auto", "none")
MOST_WEIGHT = 10.0  # of a class: a step of a few clips must not be decided by one


def balanced_weights(counts: np.ndarray) -> list[float]:
    """Factors of the classes with which all count alike: the mean size of a class by its own, at most 10.

    Args:
        counts: (N,) training clips of each class.

    Returns:
        N factors; 1 of a class without clips.
    """
    present = counts > 0
    mean = counts[present].mean() if present.any() else 1.0
    weights = np.where(present, np.minimum(mean / np.maximum(counts, 1), MOST_WEIGHT), 1.0)
    return [round(float(weight), 4) for weight in weights]


def with_loss_options(
    model: Mapping[str, Any],
    counts: np.ndarray,
    *,
    multi_label: bool = False,
    class_weights: str | None = None,
    label_smoothing: float | None = None,
    mixup: float | None = None,
) -> dict[str, Any]:
    """The config of a recognizer that learns as the options say.

    Args:
        model: config of a recognizer, as the zoo gives it.
        counts: (N,) training clips of each class.
        multi_label: a clip may have several labels: every class by itself, by a sigmoid.
        class_weights: "auto": see `balanced_weights`; "none", None: all classes 1.
        label_smoothing: share of a label that is spread over all classes, from 0 to below 1.
        mixup: alpha of `MixupBlending`, above 0; None: none.

    Raises:
        ConfigError: a value is out of range, or two do not go together.
    """
    if class_weights not in (None, *CLASS_WEIGHTS):
        raise ConfigError(f"--class-weights: expected {' or '.join(CLASS_WEIGHTS)}, got {class_weights!r}")
    if label_smoothing is not None and not 0 <= label_smoothing < 1:
        raise ConfigError(f"--label-smoothing: expected a share from 0 to below 1, got {label_smoothing:g}")
    if mixup is not None and not mixup > 0:
        raise ConfigError(f"--mixup: expected an alpha above 0, such as 0.2, got {mixup:g}")
    if multi_label and label_smoothing:
        raise ConfigError(
            "--label-smoothing spreads one label over all classes, but clips here have several labels: leave it out, or"
            " train with --single-label"
        )
    head = dict(model["cls_head"])
    loss: dict[str, Any] = {"type": "BCELossWithLogits"} if multi_label else {"type": "CrossEntropyLoss"}
    if class_weights == "auto":
        loss["class_weight"] = balanced_weights(counts)
    if multi_label:
        head["multi_class"] = True
    if multi_label or class_weights == "auto":
        head["loss_cls"] = loss
    if label_smoothing:
        head["label_smooth_eps"] = label_smoothing
    changed = {**model, "cls_head": head}
    if mixup is not None:
        blending = {"type": "MixupBlending", "num_classes": len(counts), "alpha": mixup}
        changed["data_preprocessor"] = {**model["data_preprocessor"], "blending": blending}
    return changed


def describe_loss_options(
    *, multi_label: bool, class_weights: str | None, label_smoothing: float | None, mixup: float | None
) -> list[str]:
    """What the options change, for people; empty: nothing."""
    words = []
    if multi_label:
        words.append("several labels a clip: each class by itself, measured by mAP")
    if class_weights == "auto":
        words.append("small classes count more")
    if label_smoothing:
        words.append(f"labels smoothed by {label_smoothing:g}")
    if mixup is not None:
        words.append(f"mixup {mixup:g}")
    return words
