"""Smoothed scores against their definition on a fine grid of time."""

import numpy as np
import pytest

from kinema.inference.decisions.smoothing import Cell, MovingWindow, Smoothing


@pytest.mark.parametrize("kind", ["mean", "median", "gaussian"])
@pytest.mark.parametrize("seconds", [0.2, 1.5, 40.0])
def test_each_cell_gets_what_its_definition_says(kind: Smoothing, seconds: float) -> None:
    random = np.random.default_rng(0)
    borders = np.concatenate([[0.0], np.cumsum(random.uniform(0.1, 0.7, 30))])
    scores = random.random((30, 3))
    window = MovingWindow(seconds, kind)
    cells = [Cell(*cell) for cell in zip(borders, borders[1:], scores, strict=False)]
    smoothed = [done for cell in cells for done in window.push(cell)] + window.flush()
    assert [(cell.start_seconds, cell.end_seconds) for cell in smoothed] == [cell[:2] for cell in cells]
    for cell in smoothed:
        middle = (cell.start_seconds + cell.end_seconds) / 2
        times = np.linspace(middle - seconds / 2, middle + seconds / 2, 20_001)
        times = times[(times >= 0) & (times < borders[-1])]
        values = scores[np.searchsorted(borders, times, "right") - 1]
        bell = np.exp(-0.5 * ((times - middle) / (seconds / 4)) ** 2)
        expected = {
            "mean": values.mean(0),
            "median": np.sort(values, axis=0)[(len(values) - 1) // 2],
            "gaussian": bell @ values / bell.sum(),
        }[kind]
        np.testing.assert_allclose(cell.scores, expected, atol=2e-3)


def test_a_median_drops_what_is_short_and_keeps_edges() -> None:
    scores = np.array([0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1], dtype=np.float64)
    window = MovingWindow(3.0, "median")
    cells = [Cell(float(place), place + 1.0, np.array([score])) for place, score in enumerate(scores)]
    smoothed = [done.scores[0] for cell in cells for done in window.push(cell)]
    smoothed += [done.scores[0] for done in window.flush()]
    assert smoothed == [0] * 7 + [1] * 5
