"""Plots as SVG text, to be put into a page.

Names of others are drawn as they are: a `$` begins no formula.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kinema.printable import printable

_BLUE, _ORANGE = "#2563eb", "#ea580c"


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def curves(history: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Training loss and one validation metric over the epochs.

    Args:
        history: lines of `metrics.jsonl`.
        metric: e.g. `acc/top1`.

    Returns:
        An SVG element.
    """
    train = [line for line in history if line["split"] == "train" and line.get("loss") is not None]
    val = [line for line in history if line["split"] == "val" and line.get(metric) is not None]
    steps_per_epoch = max((line["step"] / line["epoch"] for line in history), default=1)
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([line["step"] / steps_per_epoch for line in train], [line["loss"] for line in train], color=_BLUE)
    left.set(title="Training loss", xlabel="epoch", ylim=(0, None))
    right.plot([line["epoch"] for line in val], [line[metric] for line in val], color=_ORANGE, marker="o", markersize=3)
    right.set(xlabel="epoch", ylim=(0, 1.02))
    right.set_title(printable(f"Validation {metric}"), parse_math=False)
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def confusion(matrix: np.ndarray, class_names: Sequence[str]) -> str:
    """A confusion matrix, coloured by the share of each true class.

    Args:
        matrix: (N, N) counts, rows are true classes, columns predicted ones.
        class_names: N names.

    Returns:
        An SVG element.
    """
    count = len(class_names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.42 * count
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = list(map(printable, class_names))
    axes.set_xticks(range(count), names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(count), names, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    if count <= 30:  # numbers would not be legible in more cells
        for row, column in np.argwhere(matrix > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(int(matrix[row, column])), ha="center", va="center", color=colour, fontsize=9)
    return _svg(figure)
