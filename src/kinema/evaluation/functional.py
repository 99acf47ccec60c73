"""The mathematics of the metrics: arrays of scores and labels -> numbers. Pure numpy, usable alone."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from kinema.evaluation.thresholds import precision_recall_curve

Rows: TypeAlias = np.ndarray | Sequence[np.ndarray] | Sequence[Sequence[float]]
Labels: TypeAlias = np.ndarray | Sequence[int] | Sequence[np.integer]
Normalize: TypeAlias = Literal["true", "pred", "all"]


def _check(scores: Rows, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Scores as (B, N), labels as (B,) int64 in [0, N); or ValueError."""
    score_rows = np.asarray(scores)
    label_row = np.asarray(labels)
    if score_rows.ndim != 2 or score_rows.size == 0:
        raise ValueError(f"scores must be (samples, classes) with at least one of each, got shape {score_rows.shape}")
    if label_row.shape != score_rows.shape[:1]:
        raise ValueError(
            f"need one label a sample: {len(score_rows)} rows of scores, labels of shape {label_row.shape}"
        )
    undefined = np.flatnonzero(np.isnan(score_rows).any(axis=1))
    if undefined.size:  # argsort would rank NaN above everything
        raise ValueError(f"the scores of sample {undefined[0]} are not numbers (NaN): has training diverged?")
    label_row = _whole_numbers(label_row, "labels")
    outside = np.flatnonzero((label_row < 0) | (label_row >= score_rows.shape[1]))
    if outside.size:
        raise ValueError(
            f"label {label_row[outside[0]]} of sample {outside[0]} is out of range: "
            f"the scores have {score_rows.shape[1]} classes"
        )
    return score_rows, label_row


def _whole_numbers(values: np.ndarray, what: str) -> np.ndarray:
    if values.size and values.dtype.kind not in "iu":
        raise TypeError(f"{what} must be whole numbers, got {values.dtype}")
    return values.astype(np.int64)


def softmax(scores: np.ndarray, dim: int = -1) -> np.ndarray:
    """Scores of any range -> probabilities that add up to 1 along the axis `dim`."""
    shifted = np.exp(scores - np.max(scores, axis=dim, keepdims=True))
    probabilities: np.ndarray = shifted / shifted.sum(axis=dim, keepdims=True)
    return probabilities


def in_top_k(scores: Rows, labels: Labels, k: int) -> np.ndarray:
    """(B, N) scores, (B,) labels -> (B,) bool: is the label among the k highest scores?

    Equal scores rank as `numpy.argsort` orders them; k above N is True for every label.

    Raises:
        ValueError: k is below 1, a label is out of range, or the shapes do not fit.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    score_rows, label_row = _check(scores, labels)
    highest = np.argsort(score_rows, axis=1)[:, -k:]
    hits: np.ndarray = (highest == label_row[:, None]).any(axis=1)
    return hits


def top_k_accuracy(scores: Rows, labels: Labels, topk: Sequence[int] = (1,)) -> list[float]:
    """Share of samples whose label is among the k highest scores, for each k of `topk`.

    Args:
        scores: (B, N), or a list of B arrays (N,).
        labels: (B,) in [0, N).
        topk: the numbers k.
    """
    return [float(in_top_k(scores, labels, k).mean()) for k in topk]


def confusion_matrix(
    y_pred: Labels, y_real: Labels, normalize: Normalize | None = None, *, num_classes: int | None = None
) -> np.ndarray:
    """Count the pairs of true and predicted class.

    Args:
        y_pred: (B,) predicted classes.
        y_real: (B,) true classes.
        normalize: divide by the number of samples of the true class ("true"), of the predicted
            class ("pred"), or of all.
        num_classes: N; default: the highest class in either, plus one.

    Returns:
        (N, N), true classes down, predicted classes across: int64, float64 when normalized (a class
        without samples gives 0).

    Raises:
        TypeError: `y_pred` or `y_real` is no list or array of whole numbers.
        ValueError: lengths differ, a class is out of range, or `normalize` is unknown.
    """
    if normalize not in (None, "true", "pred", "all"):
        raise ValueError(f"normalize must be 'true', 'pred', 'all' or None, got {normalize!r}")
    pred, real = _classes(y_pred, "y_pred"), _classes(y_real, "y_real")
    if len(pred) != len(real):
        raise ValueError(f"y_pred has {len(pred)} entries, y_real {len(real)}")
    highest = int(max(pred.max(initial=-1), real.max(initial=-1)))
    size = highest + 1 if num_classes is None else num_classes
    for what, values in (("y_pred", pred), ("y_real", real)):
        outside = np.flatnonzero((values < 0) | (values >= size))
        if outside.size:
            raise ValueError(
                f"class {values[outside[0]]} at place {outside[0]} of {what} is out of range for {size} classes"
            )
    counts = np.bincount(size * real + pred, minlength=size * size).reshape(size, size)
    if normalize is None:
        return counts
    totals = counts.sum(axis={"true": 1, "pred": 0, "all": None}[normalize], keepdims=True)
    return counts / np.maximum(totals, 1)


def _classes(values: Labels, what: str) -> np.ndarray:
    if not isinstance(values, list | tuple | np.ndarray):
        raise TypeError(f"{what} must be a list or an array, got {type(values).__name__}")
    row = _whole_numbers(np.asarray(values), what)
    if row.ndim != 1:
        raise ValueError(f"{what} must have one dimension, got shape {row.shape}")
    return row


def _class_hit_rates(scores: Rows, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """(K,) classes that occur among labels or predictions, (K,) share of each one's samples that is recognized."""
    score_rows, label_row = _check(scores, labels)
    matrix = confusion_matrix(score_rows.argmax(axis=1), label_row)
    samples, predictions = matrix.sum(axis=1), matrix.sum(axis=0)
    present = np.flatnonzero(samples + predictions)
    return present, (np.diag(matrix) / np.maximum(samples, 1))[present]


def mean_class_accuracy(scores: Rows, labels: Labels) -> float:
    """Top-1 accuracy of each class, averaged over the classes that occur among labels or predictions.

    A class that is only ever predicted counts as 0, as in MMAction2.
    """
    return float(_class_hit_rates(scores, labels)[1].mean())


def top_k_classes(
    scores: Rows, labels: Labels, k: int = 10, mode: Literal["accurate", "inaccurate"] = "accurate"
) -> list[tuple[int, float]]:
    """The k classes that are recognized best, or worst, as (class, accuracy), the most extreme first.

    Of equal accuracies the class with the higher number comes first for "accurate", with the lower
    one for "inaccurate", as in MMAction2.

    Raises:
        ValueError: `mode` is neither.
    """
    if mode not in ("accurate", "inaccurate"):
        raise ValueError(f"mode must be 'accurate' or 'inaccurate', got {mode!r}")
    classes, rates = _class_hit_rates(scores, labels)
    order = np.argsort(rates, kind="stable")
    order = order[::-1][:k] if mode == "accurate" else order[:k]
    return [(int(classes[place]), float(rates[place])) for place in order]


def _multi_label(scores: Rows, labels: Rows) -> tuple[np.ndarray, np.ndarray]:
    score_rows, label_rows = np.asarray(scores), np.asarray(labels)
    if score_rows.ndim != 2 or score_rows.size == 0 or score_rows.shape != label_rows.shape:
        raise ValueError(
            "scores and multi-hot labels must both be (samples, classes) with at least one of each, "
            f"got shapes {score_rows.shape} and {label_rows.shape}"
        )
    if not np.isin(label_rows, (0, 1)).all():
        raise ValueError("multi-hot labels must be 0 or 1")
    return score_rows, label_rows.astype(bool)


def _average_precisions(scores: np.ndarray, positive: np.ndarray) -> list[float]:
    """Of each row; NaN of a row without positives."""
    return [precision_recall_curve(*row).average_precision for row in zip(scores, positive, strict=True)]


def _mean_defined(values: list[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def mean_average_precision(scores: Rows, labels: Rows) -> float:
    """Average precision of each class over the samples, averaged over the classes that have a positive sample.

    Args:
        scores: (B, N), or a list of B arrays (N,).
        labels: (B, N) of 0 and 1.

    Returns:
        NaN when no label is 1.
    """
    score_rows, label_rows = _multi_label(scores, labels)
    return _mean_defined(_average_precisions(score_rows.T, label_rows.T))


def mmit_mean_average_precision(scores: Rows, labels: Rows) -> float:
    """Average precision of each sample over the classes, averaged over the samples that have a label.

    Source: the evaluation of Multi-Moments in Time, Monfort et al. 2019, arXiv:1911.00232.
    Arguments as in `mean_average_precision`.
    """
    score_rows, label_rows = _multi_label(scores, labels)
    return _mean_defined(_average_precisions(score_rows, label_rows))


def get_weighted_score(score_list: Sequence[Rows], coeff_list: Sequence[float]) -> list[np.ndarray]:
    """Fuse the scores of several models: the sum of each one's scores times its coefficient.

    Args:
        score_list: for each model (B, N) scores.
        coeff_list: one weight a model.

    Returns:
        B arrays (N,).

    Raises:
        ValueError: the numbers of models or the shapes differ.
    """
    if len(score_list) != len(coeff_list) or not len(score_list):
        raise ValueError(
            f"need one coefficient a model, got {len(score_list)} score lists, {len(coeff_list)} coefficients"
        )
    arrays = [np.asarray(scores) for scores in score_list]
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1:
        raise ValueError(f"all models must score the same samples and classes, got shapes {shapes}")
    return list(np.tensordot(np.asarray(coeff_list), np.stack(arrays), axes=1))
