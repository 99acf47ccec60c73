"""Checking labels against the classes, with the line that a wrong one stands in."""

import numpy as np

from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError


def check_labels(annotations: Annotations, num_classes: int | None, *, lowest: int = 0) -> None:
    """Require every label to be a class index.

    Args:
        annotations: the clips of one split.
        num_classes: number of classes, N; None when it is not known, which leaves only the lower
            bound.
        lowest: the least label allowed; -1 lets "not labelled" pass.

    Raises:
        AnnotationError: a label is below `lowest` or above N - 1. Names file and line.
    """
    wrong = labels_out_of_range(annotations, num_classes, lowest=lowest)
    if not len(wrong):
        return
    place = int(annotations.labels.owners()[wrong[0]])
    allowed = f"0 to {num_classes - 1} ({num_classes} classes)" if num_classes is not None else "0 or above"
    raise AnnotationError(
        f"{annotations.place_of(place)}: label {annotations.labels.values[wrong[0]]} of {annotations.paths[place]!r} "
        f"is out of range: expected {allowed}"
    )


def labels_out_of_range(annotations: Annotations, num_classes: int | None, *, lowest: int = 0) -> np.ndarray:
    """Places in `annotations.labels.values` of labels below `lowest` or above `num_classes` - 1."""
    values = annotations.labels.values
    outside = values < lowest
    if num_classes is not None:
        outside |= values >= num_classes
    return np.flatnonzero(outside)
