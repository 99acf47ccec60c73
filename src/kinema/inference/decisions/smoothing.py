"""Smoothed scores over time, as soon as they are certain."""

import math
from collections import deque
from typing import Literal, NamedTuple

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


Smoothing = Literal["mean", "median", "gaussian"]


class MovingWindow:
    """Replace the scores of each cell by those of some seconds around its middle.

    A cell comes out when the scores of all these seconds are known, or after `flush`. Where the
    scores begin and end, the seconds are those that are there.

    Args:
        seconds: length of the moving window, above 0.
        kind: "mean"; "median" over time, class by class, which keeps edges and drops what is
            shorter than half a window; "gaussian": a mean with weights of a bell whose standard
            deviation is a quarter of the window.
    """

    def __init__(self, seconds: float, kind: Smoothing = "mean") -> None:
        self._half = seconds / 2
        self._kind = kind
        self._cells: deque[Cell] = deque()
        self._done = 0  # cells of the queue that came out already

    def push(self, cell: Cell) -> list[Cell]:
        """Add the next cell, which begins where the last ended; those whose scores are certain now."""
        self._cells.append(cell)
        return self._certain(cell.end_seconds)

    def flush(self) -> list[Cell]:
        """All that is left; the next cell begins anew."""
        rest = self._certain(float("inf"))
        self._cells.clear()
        self._done = 0
        return rest

    def _certain(self, known_seconds: float) -> list[Cell]:
        smoothed = []
        while self._done < len(self._cells):
            start, end, _ = self._cells[self._done]
            middle = (start + end) / 2
            if middle + self._half > known_seconds + TOLERANCE_SECONDS:
                break
            while self._cells[0].end_seconds <= middle - self._half:
                self._cells.popleft()
                self._done -= 1
            smoothed.append(Cell(start, end, self._smoothed(middle)))
            self._done += 1
        return smoothed

    def _smoothed(self, middle: float) -> np.ndarray:
        weights, scores = [], []
        for start, end, values in self._cells:
            if start >= middle + self._half:
                break
            weights.append(self._weight(max(start - middle, -self._half), min(end - middle, self._half)))
            scores.append(values)
        if self._kind == "median":
            return _weighted_median(np.asarray(scores), np.asarray(weights))
        mean: np.ndarray = np.asarray(weights) @ np.asarray(scores) / sum(weights)
        return mean

    def _weight(self, start: float, end: float) -> float:
        """Of a stretch, in seconds from the middle."""
        if self._kind != "gaussian":
            return end - start
        scale = self._half / math.sqrt(2)  # of two standard deviations, for the error function
        return math.erf(end / scale) - math.erf(start / scale)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T, N) values, (T,) weights -> (N,): half of the weight is at or below it."""
    order = values.argsort(axis=0, kind="stable")
    reached = weights[order].cumsum(axis=0) >= weights.sum() / 2
    chosen = np.take_along_axis(order, reached.argmax(axis=0)[None], axis=0)
    median: np.ndarray = np.take_along_axis(values, chosen, axis=0)[0]
    return median
