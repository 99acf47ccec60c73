"""A confusion matrix as a page shows it: a table with counts, or of many classes a picture and the confused pairs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from kinema.evaluation.classes import worst_confusions

TABLE_CLASSES = 30  # numbers in more rows and columns would not be legible
MOST_PAIRS = 40
_RIGHT, _WRONG = (37, 99, 235), (234, 88, 12)  # RGB
_FAINTEST = 0.3  # of a cell that holds a clip


class Cell(NamedTuple):
    """A cell of the table: clips, their share of the row, and whether they are right."""

    clips: int
    share: float
    right: bool


class Pair(NamedTuple):
    """Clips of one class that are taken for another, and their share of the class."""

    label: str
    predicted: str
    clips: int
    share: float


@dataclass(frozen=True)
class ConfusionView:
    """A confusion matrix, ready to be shown.

    Attributes:
        names: (N,) classes, those that are confused beside each other.
        rows: (N, N) cells of the table; empty: there are too many, and `picture` stands in.
        picture: a PNG file as base64 text, a pixel a cell; empty beside a table.
        cells: of the cells of the picture that hold clips: row, column, count, flat.
        pairs: those that are confused most often, the worst first.
        num_pairs: how many pairs there are.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    picture: str
    cells: tuple[int, ...]
    pairs: tuple[Pair, ...]
    num_pairs: int


def confusion_view(matrix: np.ndarray, names: Sequence[str]) -> ConfusionView:
    """Prepare a confusion matrix.

    Args:
        matrix: (N, N) counts, true classes down, predicted classes across.
        names: (N,) of the classes.
    """
    sizes = matrix.sum(axis=1)
    pairs = [
        Pair(names[label], names[predicted], clips, clips / int(sizes[label]))
        for label, predicted, clips in worst_confusions(matrix, MOST_PAIRS)
    ]
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = neighbours_first(matrix)
    ordered = matrix[np.ix_(order, order)]
    shares = ordered / np.maximum(ordered.sum(axis=1, keepdims=True), 1)
    shown = tuple(names[index] for index in order)
    num_pairs = int((wrong > 0).sum())
    if len(names) <= TABLE_CLASSES:
        rows = tuple(
            tuple(
                Cell(int(ordered[row, column]), float(shares[row, column]), row == column)
                for column in range(len(names))
            )
            for row in range(len(names))
        )
        return ConfusionView(shown, rows, "", (), tuple(pairs), num_pairs)
    places = np.argwhere(ordered > 0)
    cells = np.column_stack([places, ordered[tuple(places.T)]])
    return ConfusionView(
        shown, (), _picture(shares), tuple(cells.astype(int).ravel().tolist()), tuple(pairs), num_pairs
    )


def neighbours_first(matrix: np.ndarray) -> list[int]:
    """An order of the classes that puts those that are confused beside each other.

    A chain: it begins with the classes confused most; each next class is the one confused most with
    the last, else with those before it.

    Args:
        matrix: (N, N) counts.

    Returns:
        (N,) class indices; without confusions in their order.
    """
    count = len(matrix)
    links = (matrix + matrix.T).astype(np.float64)
    np.fill_diagonal(links, 0)
    if not links.any():
        return list(range(count))
    order: list[int] = []
    waiting = np.ones(count, dtype=bool)
    near = links.sum(axis=1)  # how much a class is wanted next: at first the one confused most
    while waiting.any():
        chosen = int(np.argmax(np.where(waiting, near, -1.0)))
        waiting[chosen] = False
        near = links[chosen] + (0.5 * near if order else 0.0)
        order.append(chosen)
    return order


def _picture(shares: np.ndarray) -> str:
    """A pixel a cell: right ones blue, wrong ones orange, opaque by their share of the class."""
    count = len(shares)
    pixels = np.zeros((count, count, 4), np.uint8)
    pixels[..., :3] = _WRONG[::-1]
    pixels[np.arange(count), np.arange(count), :3] = _RIGHT[::-1]
    opacity = np.where(shares > 0, _FAINTEST + (1 - _FAINTEST) * shares, 0.0)
    pixels[..., 3] = np.round(255 * opacity)
    _, content = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return base64.b64encode(content.tobytes()).decode()
