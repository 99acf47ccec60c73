"""From the scores of overlapping windows to scores at a time: a weighted mean of the windows that hold it."""

from typing import Literal, get_args

import numpy as np

Weights = Literal["uniform", "triangular", "hann"]

# Of a window at its very borders: a time that only one window holds is covered there, too.
LEAST_WEIGHT = 1e-3
_CELLS_AT_ONCE = 4_000_000  # numbers of the float64 sums


def window_weights(places: np.ndarray, weights: Weights = "triangular") -> np.ndarray:
    """How much a window counts at places inside it.

    Args:
        places: any shape; 0 is where the window starts, 1 where it ends.
        weights: "uniform": 1 everywhere. "triangular": 1 in the middle, falling evenly to both
            ends. "hann": the square of a sine, flat in the middle and at the ends. The last two
            fall to `LEAST_WEIGHT` instead of 0.

    Returns:
        Weights of the same shape, above 0 and at most 1.

    Raises:
        ValueError: `weights` is none of these.
    """
    if weights not in get_args(Weights):
        raise ValueError(f"weights must be one of {', '.join(get_args(Weights))}, got {weights!r}")
    if weights == "uniform":
        return np.ones_like(places)
    shape = 1 - np.abs(2 * places - 1) if weights == "triangular" else np.sin(np.pi * places) ** 2
    return LEAST_WEIGHT + (1 - LEAST_WEIGHT) * np.clip(shape, 0, 1)


def overlap_mean(
    starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, times: np.ndarray, weights: Weights = "triangular"
) -> np.ndarray:
    """Weighted mean of the scores of all windows that hold a time.

    So probabilities that sum to 1 in every window do so at every time. A time that no window holds,
    as in a pause of the recording, has the scores of the window before it, or of the first window
    when it is before all.

    Args:
        starts: (W,) where windows start, ascending, in seconds.
        ends: (W,) where they end, ascending.
        scores: (W, N).
        times: (T,) in any order.
        weights: see `window_weights`.

    Returns:
        (T, N) float32.
    """
    means = np.empty((len(times), scores.shape[1]), np.float32)
    rows = max(1, _CELLS_AT_ONCE // max(scores.shape[1], 1))
    for begin in range(0, len(times), rows):
        part = slice(begin, begin + rows)
        means[part] = _means(starts, ends, scores, times[part], weights)
    return means


def _means(starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, times: np.ndarray, weights: Weights) -> np.ndarray:
    # The windows that hold a time are neighbours: from the first that has not ended to the last
    # that has begun.
    stops = np.searchsorted(starts, times, "right")
    firsts = np.minimum(np.searchsorted(ends, times, "right"), np.maximum(stops - 1, 0))
    stops = np.maximum(stops, firsts + 1)
    sums = np.zeros((len(times), scores.shape[1]))
    totals = np.zeros(len(times))
    for step in range(int((stops - firsts).max(initial=0))):
        inside = np.flatnonzero(firsts + step < stops)
        windows = firsts[inside] + step
        seconds = np.maximum(ends[windows] - starts[windows], np.finfo(np.float64).tiny)
        places = np.clip((times[inside] - starts[windows]) / seconds, 0, 1)
        weight = window_weights(places, weights)
        sums[inside] += weight[:, None] * scores[windows]
        totals[inside] += weight
    return sums / totals[:, None]
