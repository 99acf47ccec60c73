"""Results class by class, from counts of true and predicted classes. Pure numpy, usable alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class ClassResult:
    """How well one class is recognized.

    Attributes:
        clips: clips of the class.
        right: those that are recognized.
        predicted: clips that are taken for it, rightly or not.
        precision: share of `predicted` that is right; NaN where nothing is taken for it.
        recall: share of `clips` that is recognized, its top-1 accuracy; NaN without clips.
        f1: harmonic mean of the two; NaN where neither clips nor predictions are of the class.
    """

    clips: int
    right: int
    predicted: int
    precision: float
    recall: float
    f1: float


class Confusion(NamedTuple):
    """Clips of one class that are taken for another."""

    label: int
    predicted: int
    clips: int


def class_results(matrix: np.ndarray) -> list[ClassResult]:
    """One result a class.

    Args:
        matrix: (N, N) counts, true classes down, predicted classes across, as `confusion_matrix`
            gives them.

    Raises:
        ValueError: it is no square of counts.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix < 0).any():
        raise ValueError(f"expected a square of counts, true by predicted class, got shape {matrix.shape}")
    rows = zip(matrix.sum(axis=1).tolist(), np.diag(matrix).tolist(), matrix.sum(axis=0).tolist(), strict=True)
    return [
        ClassResult(
            *(clips, right, predicted),
            precision=_share(right, predicted),
            recall=_share(right, clips),
            f1=_share(2 * right, clips + predicted),
        )
        for clips, right, predicted in rows
    ]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def worst_confusions(matrix: np.ndarray, count: int = 10) -> list[Confusion]:
    """The pairs of classes that are confused most often, the worst first.

    Of equal counts the one of the smaller class first.

    Args:
        matrix: see `class_results`.
        count: at most so many.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    labels, predicted = np.nonzero(wrong)
    counts, sizes = wrong[labels, predicted], matrix.sum(axis=1)[labels]
    order = np.lexsort((predicted, labels, sizes, -counts))[:count]
    return [Confusion(int(labels[cell]), int(predicted[cell]), int(counts[cell])) for cell in order]
