"""The moving average of scores over time, as soon as it is certain."""

from collections import deque
from typing import NamedTuple

import numpy as np

TOLERANCE_SECONDS = 1e-9  # times that were computed in two ways are equal within it


class Cell(NamedTuple):
    """A stretch of time in which the scores do not change.

    Attributes:
        start_seconds: where it begins.
        end_seconds: where it ends.
        scores: (N,) float64.
    """

    start_seconds: float
    end_seconds: float
    scores: np.ndarray


class MovingMean:
    """Replace the scores of each cell by their mean over some seconds around its middle.

    A cell comes out when the scores of all these seconds are known, or after `flush`. Where the
    scores begin and end, the mean is over those seconds that are there.

    Args:
        seconds: length of the moving window, above 0.
    """

    def __init__(self, seconds: float) -> None:
        self._half = seconds / 2
        self._cells: deque[Cell] = deque()
        self._done = 0  # cells of the queue whose means came out already

    def push(self, cell: Cell) -> list[Cell]:
        """Add the next cell, which begins where the last ended; those whose means are certain now."""
        self._cells.append(cell)
        return self._certain(cell.end_seconds)

    def flush(self) -> list[Cell]:
        """All that is left; the next cell begins anew."""
        rest = self._certain(float("inf"))
        self._cells.clear()
        self._done = 0
        return rest

    def _certain(self, known_seconds: float) -> list[Cell]:
        means = []
        while self._done < len(self._cells):
            start, end, _ = self._cells[self._done]
            middle = (start + end) / 2
            if middle + self._half > known_seconds + TOLERANCE_SECONDS:
                break
            while self._cells[0].end_seconds <= middle - self._half:
                self._cells.popleft()
                self._done -= 1
            means.append(Cell(start, end, self._mean(middle)))
            self._done += 1
        return means

    def _mean(self, middle: float) -> np.ndarray:
        weights, scores = [], []
        for start, end, values in self._cells:
            if start >= middle + self._half:
                break
            weights.append(min(end, middle + self._half) - max(start, middle - self._half))
            scores.append(values)
        mean: np.ndarray = np.asarray(weights) @ np.asarray(scores) / sum(weights)
        return mean
