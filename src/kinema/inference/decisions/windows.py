"""From windows to events: the scores of overlapping windows become scores over time, and these events."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from kinema.inference.decisions.settings import DecisionSettings
from kinema.inference.decisions.tracker import Event, EventTracker
from kinema.inference.windows.overlap import window_weights
from kinema.inference.windows.planning import LEAST_STRIDE_SECONDS
from kinema.inference.windows.score import WindowScore
from kinema.inference.windows.scores import MOST_OVERLAP

_TOLERANCE_SECONDS = 1e-6  # shorter stretches come from rounding


class OverlapMean:
    """Scores over time from windows that come one after another.

    Time is divided into stretches of half a stride. The scores of a stretch are the mean of the
    windows that hold its middle, weighted by `window_weights` (triangular); they are known as soon
    as the window has come that starts the stride. The windows' scores of classes that exclude each
    other sum to 1, and so do the means.

    Args:
        stride_seconds: from the start of a window to the start of the next.

    Raises:
        ValueError: the stride is below a millisecond.
    """

    def __init__(self, stride_seconds: float) -> None:
        if not LEAST_STRIDE_SECONDS <= stride_seconds < float("inf"):
            raise ValueError(f"stride_seconds must be at least {LEAST_STRIDE_SECONDS:g}, got {stride_seconds}")
        self._stride = stride_seconds
        self._windows: deque[WindowScore] = deque()  # that may hold what comes
        self._until = -float("inf")  # the scores are known up to here

    @property
    def end_seconds(self) -> float:
        """Where the last window ends."""
        return max(window.end_seconds for window in self._windows)

    def push(self, window: WindowScore) -> list[tuple[float, np.ndarray]]:
        """Add the next window.

        Args:
            window: which starts at or after the start of the one before.

        Returns:
            Times, ascending, and (N,) float64 the scores from each time until the next.

        Raises:
            ValueError: the window is longer than 100,000 strides.
        """
        if window.end_seconds - window.start_seconds > MOST_OVERLAP * self._stride:
            raise ValueError(
                f"a window from {window.start_seconds:g} to {window.end_seconds:g} s is longer than {MOST_OVERLAP}"
                f" strides of {self._stride:g} s"
            )
        updates = self._between(window.start_seconds) if self._windows else []
        self._windows.append(window)
        start = max(window.start_seconds, self._until)
        stop = min(window.start_seconds + self._stride, window.end_seconds)
        half = window.start_seconds + self._stride / 2
        if start < half - _TOLERANCE_SECONDS and half < stop - _TOLERANCE_SECONDS:
            updates += self._means(start, half)
            start = half
        return updates + self._means(start, stop)

    def finish(self) -> list[tuple[float, np.ndarray]]:
        """What follows from the windows so far, up to `end_seconds`.

        The next window begins anew. How long the last frame lasts is a guess: where the next window
        starts before the end, its scores count from there on.
        """
        if not self._windows:
            return []
        updates = self._between(self.end_seconds)
        self._until = max(self._until, self.end_seconds)
        self._windows.clear()
        return updates

    def _between(self, stop: float) -> list[tuple[float, np.ndarray]]:
        """The rest of the windows so far, before a time."""
        updates = []
        stop = min(stop, self.end_seconds)
        while self._until < stop - _TOLERANCE_SECONDS:
            updates += self._means(self._until, min(self._until + self._stride / 2, stop))
        return updates

    def _means(self, start: float, stop: float) -> list[tuple[float, np.ndarray]]:
        if stop - start <= _TOLERANCE_SECONDS:
            return []
        self._until = stop
        middle = (start + stop) / 2
        inside = [window for window in self._windows if window.start_seconds <= middle < window.end_seconds]
        while len(self._windows) > 1 and self._windows[0].end_seconds <= middle:
            self._windows.popleft()
        places = [(middle - window.start_seconds) / (window.end_seconds - window.start_seconds) for window in inside]
        weights = window_weights(np.array(places))
        mean: np.ndarray = weights @ np.array([window.scores for window in inside], dtype=np.float64) / weights.sum()
        return [(start, mean)]


class WindowTracker:
    """Events from windows: `OverlapMean` followed by an `EventTracker`, for files and streams alike.

    Args:
        classes: names of the N classes.
        stride_seconds: of the windows.
        settings: what it takes for a class to be there.
        video: what the segments name as their video.

    Raises:
        ValueError: the settings name a class that is not there.
    """

    def __init__(
        self,
        classes: Sequence[str],
        stride_seconds: float,
        settings: DecisionSettings | None = None,
        *,
        video: str = "",
    ) -> None:
        self._mean = OverlapMean(stride_seconds)
        self._tracker = EventTracker(classes, settings, video=video)
        self._has_windows = False

    @property
    def present(self) -> tuple[str, ...]:
        """The classes that entered and did not leave, as far as it is certain."""
        return self._tracker.present

    def push(self, window: WindowScore) -> list[Event]:
        """Add the next window; what is certain now.

        Args:
            window: it starts at 0 s or later, and not before the one before it.

        Raises:
            ValueError: as `EventTracker.update` does.
        """
        self._has_windows = True
        return self._update(self._mean.push(window))

    def cut(self) -> list[Event]:
        """End a recording: every class leaves where the last window ends.

        The next window may start a little before that: how long the last frame lasts is a guess.
        """
        if not self._has_windows:
            return []
        self._has_windows = False
        end = self._mean.end_seconds
        return [*self._update(self._mean.finish()), *self._tracker.cut(end)]

    def finish(self) -> list[Event]:
        """The end; as `cut`."""
        return self.cut()

    def _update(self, updates: Sequence[tuple[float, np.ndarray]]) -> list[Event]:
        return [event for time, scores in updates for event in self._tracker.update(time, scores)]
