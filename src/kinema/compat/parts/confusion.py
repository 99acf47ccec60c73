"""The confusion matrix of `mmaction.evaluation.functional`, of the classes that occur."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from kinema import evaluation

Classes = Sequence[int] | np.ndarray


def confusion_matrix(
    y_pred: Classes, y_real: Classes, normalize: Literal["true", "pred", "all"] | None = None
) -> np.ndarray:
    """Count the pairs of true and predicted class.

    Args:
        y_pred: (B,) predicted classes.
        y_real: (B,) true classes.
        normalize: see `kinema.evaluation.confusion_matrix`.

    Returns:
        (K, K), a row and a column for each of the K classes that occur in either, in their order.

    Raises:
        TypeError: one of them is no list or array of whole numbers.
        ValueError: lengths differ, a class is negative, or `normalize` is unknown.
    """
    matrix = evaluation.confusion_matrix(y_pred, y_real)
    present = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    places = np.zeros(len(matrix), dtype=np.int64)
    places[present] = np.arange(len(present))
    pred, real = (places[np.asarray(values)] for values in (y_pred, y_real))
    return evaluation.confusion_matrix(pred, real, normalize, num_classes=len(present))
