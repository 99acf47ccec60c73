"""Figures of a stream that take the same memory after a minute and after a year."""

import bisect
import itertools
import math

_SHORTEST_SECONDS = 1e-3
_STEP = 1.05  # of the bounds: a quantile is within 2.5 %
_BOUNDS = [_SHORTEST_SECONDS * _STEP**step for step in range(math.ceil(math.log(1e5 / _SHORTEST_SECONDS, _STEP)))]


class Quantiles:
    """Quantiles of any number of durations from 1 ms to a day, within 2.5 %.

    Attributes:
        num_values: durations so far.
        highest: of them, in seconds; 0 before the first.
    """

    def __init__(self) -> None:
        self.num_values = 0
        self.highest = 0.0
        self._counts = [0] * (len(_BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """Note a duration."""
        self._counts[bisect.bisect_left(_BOUNDS, seconds)] += 1
        self.num_values += 1
        self.highest = max(self.highest, seconds)

    def quantile(self, share: float) -> float | None:
        """The duration below which this share of all lie, in seconds; None before the first.

        Args:
            share: 0 to 1; 0.5 is the median.
        """
        if not self.num_values:
            return None
        rank = max(1, math.ceil(share * self.num_values))
        place = bisect.bisect_left(list(itertools.accumulate(self._counts)), rank)
        if place == 0:
            return min(_SHORTEST_SECONDS, self.highest)
        return min(self.highest, _BOUNDS[place - 1] * math.sqrt(_STEP))
