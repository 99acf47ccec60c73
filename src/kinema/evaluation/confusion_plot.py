"""A confusion matrix as a picture."""

from collections.abc import Sequence
from itertools import product

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor


def draw_confusion(
    matrix: Tensor, include_values: bool, cmap: str, classes: Sequence[str] | None, colorbar: bool, show: bool
) -> Figure:
    """Draw a confusion matrix; arguments and errors as in `ConfusionMatrix.plot`."""
    count = len(matrix)
    names = [str(number) for number in range(count)] if classes is None else list(classes)
    if matrix.shape != (count, count) or len(names) != count:
        raise ValueError(f"a confusion matrix must be (N, N), with N names, got {tuple(matrix.shape)} and {len(names)}")
    side = min(max(10, count / 2), 30)  # inches; OpenMMLab's, and more where names would overlap
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    image = axes.imshow(matrix.numpy(), cmap=cmap)
    axes.set_xticks(range(count), names, rotation=45 if classes is None else 90)
    axes.set_yticks(range(count), names)
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")
    middle = (matrix.max() + matrix.min()) / 2
    for row, column in product(range(count) if include_values else (), range(count)):
        value = matrix[row, column]
        text = f"{value:.2f}" if value.is_floating_point() else f"{value}"
        colour = "black" if value > middle else "white"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    if colorbar:
        figure.colorbar(image, ax=axes)
    if show:
        plt.show()
    return figure
