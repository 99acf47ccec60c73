"""When do classes enter and leave? The state machine behind timelines and streams."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kinema.inference.decisions.settings import DecisionSettings
from kinema.inference.decisions.smoothing import TOLERANCE_SECONDS, Cell, MovingWindow
from kinema.structures.segment import Segment


@dataclass(frozen=True)
class Event:
    """A class enters or leaves.

    Attributes:
        kind: which of the two.
        label: name of the class.
        time_seconds: when, on the clock of the scores; the event may be certain later only.
        score: mean score of the class since it entered, as far as it is known.
        segment: with "left" the whole segment.
    """

    kind: Literal["entered", "left"]
    label: str
    time_seconds: float
    score: float
    segment: Segment | None = None


class EventTracker:
    """Turn scores over time into events and segments, one set of scores after another.

    The scores of a time hold until the next time. An event is returned as soon as it is certain: a
    class that entered must have been there for `min_seconds`; one that left must have been away for
    `merge_seconds`; with smoothing all is `smoothing_seconds / 2` later. The events carry the times
    at which it happened.

        tracker = EventTracker(["run", "jump"], DecisionSettings(min_seconds=0.5))
        events = tracker.update(0.0, [0.9, 0.1]) + tracker.update(0.5, [0.2, 0.1])
        events += tracker.finish(1.0)

    Args:
        classes: names of the N classes.
        settings: what it takes for a class to be there.
        video: what the segments name as their video.

    Raises:
        ValueError: the settings name a class that is not there.
    """

    def __init__(self, classes: Sequence[str], settings: DecisionSettings | None = None, *, video: str = "") -> None:
        self.classes = tuple(classes)
        self.settings = settings or DecisionSettings()
        seconds = self.settings.smoothing_seconds
        self._smoothing = MovingWindow(seconds, self.settings.smoothing) if seconds else None
        self._runs = _Runs(self.classes, self.settings, video)
        self._last: tuple[float, np.ndarray] | None = None
        self._end_seconds = 0.0  # of what is known

    @property
    def present(self) -> tuple[str, ...]:
        """The classes that entered and did not leave, as far as it is certain."""
        return self._runs.present()

    def update(self, time_seconds: float, scores: Sequence[float] | np.ndarray) -> list[Event]:
        """Say what the scores are from a time on.

        Args:
            time_seconds: 0 or later, above that of the update before, and not before a cut.
            scores: (N,) numbers.

        Returns:
            What is certain now, in the order in which it became so.

        Raises:
            ValueError: the time is negative or does not ascend, or the scores have another shape or are not finite.
        """
        values = np.array(scores, dtype=np.float64)
        if values.shape != (len(self.classes),):
            raise ValueError(f"expected {len(self.classes)} scores, one a class, got an array of shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"the scores at {time_seconds} s are not all finite numbers")
        if not 0 <= time_seconds < float("inf"):
            raise ValueError(f"times are 0 or more seconds, got {time_seconds}")
        events = self._until(time_seconds) if self._last is not None else []
        if time_seconds < self._end_seconds:
            raise ValueError(f"times must ascend: got {time_seconds} s after {self._end_seconds} s")
        self._last = time_seconds, values
        self._end_seconds = time_seconds
        return events if self._smoothing else [*events, *self._runs.begin(time_seconds, values)]

    def cut(self, time_seconds: float) -> list[Event]:
        """Say that nothing is known from a time on: every class leaves there, and nothing spans the gap.

        Args:
            time_seconds: until when the scores of the last update hold.

        Raises:
            ValueError: the time is not above that of the last update.
        """
        if self._last is None:
            return []
        events = self._until(time_seconds)
        self._last = None
        if self._smoothing is not None:
            events += self._cells(self._smoothing.flush())
        return [*events, *self._runs.end()]

    def finish(self, time_seconds: float | None = None) -> list[Event]:
        """The end: every class that is there leaves.

        Args:
            time_seconds: until when the scores of the last update hold; not needed after a cut.

        Raises:
            ValueError: the time is missing, or not above that of the last update.
        """
        if self._last is None:
            return []
        if time_seconds is None:
            raise ValueError(f"say until when the scores of {self._last[0]} s hold")
        return self.cut(time_seconds)

    def _until(self, time_seconds: float) -> list[Event]:
        """The scores of the last update hold until this time."""
        assert self._last is not None
        start, scores = self._last
        if not start < time_seconds < float("inf"):
            raise ValueError(f"times must ascend: got {time_seconds} s after {start} s")
        self._end_seconds = time_seconds
        if self._smoothing is None:
            return self._runs.advance(time_seconds)
        return self._cells(self._smoothing.push(Cell(start, time_seconds, scores)))

    def _cells(self, cells: Iterable[Cell]) -> list[Event]:
        events = []
        for start, end, scores in cells:
            events += self._runs.begin(start, scores)
            events += self._runs.advance(end)
        return events


class _Runs:
    """One run a class that may become a segment: open from its start until a gap of `merge_seconds`."""

    def __init__(self, classes: tuple[str, ...], settings: DecisionSettings, video: str) -> None:
        count = len(classes)
        self._classes, self._settings, self._video = classes, settings, video
        self._levels = settings.levels(classes)
        self._reported = settings.reported(classes)
        self._best = -1  # with `best_only`: the class that is there
        self._now = -float("inf")
        self._scores = np.zeros(count)
        self._is_on = np.zeros(count, dtype=bool)  # there now
        self._is_open = np.zeros(count, dtype=bool)  # there now, or away for less than `merge_seconds`
        self._has_entered = np.zeros(count, dtype=bool)  # long enough
        self._has_away = False  # is a class open that is not there now?
        self._has_waiting = False  # is a class there that has not entered?
        self._start = np.zeros(count)
        self._stop = np.zeros(count)  # end of what is on
        self._sum, self._gap_sum = np.zeros(count), np.zeros(count)  # integrals of scores over time
        self._peak, self._gap_peak = np.zeros(count), np.zeros(count)

    def present(self) -> tuple[str, ...]:
        return tuple(self._classes[index] for index in np.flatnonzero(self._has_entered))

    def advance(self, time_seconds: float) -> list[Event]:
        """Let the present scores hold until a time."""
        step = time_seconds - self._now
        self._now = time_seconds
        if not self._is_open.any():
            return []
        seen = step * self._scores
        np.add(self._sum, seen, out=self._sum, where=self._is_on)
        np.copyto(self._stop, time_seconds, where=self._is_on)
        if self._has_away:
            np.add(self._gap_sum, seen, out=self._gap_sum, where=self._is_open & ~self._is_on)
        return self._changes()

    def begin(self, time_seconds: float, scores: np.ndarray) -> list[Event]:
        """Other scores from now on; `advance` went up to this time."""
        self._now, self._scores = time_seconds, scores
        on = self._decide(scores) & self._reported
        has_changed = bool((on != self._is_on).any())
        if has_changed:
            self._switch(time_seconds, on)
        np.maximum(self._peak, scores, out=self._peak, where=on)
        if self._has_away:
            np.maximum(self._gap_peak, scores, out=self._gap_peak, where=self._is_open & ~on)
        return self._changes() if has_changed else []

    def _switch(self, time_seconds: float, on: np.ndarray) -> None:
        """Other classes are there from now on."""
        opened, resumed = on & ~self._is_open, on & self._is_open & ~self._is_on
        left = self._is_on & ~on
        self._start[opened] = time_seconds
        self._sum[opened], self._peak[opened] = 0.0, -float("inf")
        self._sum[resumed] += self._gap_sum[resumed]
        self._peak[resumed] = np.maximum(self._peak[resumed], self._gap_peak[resumed])
        self._gap_sum[left], self._gap_peak[left] = 0.0, -float("inf")
        self._stop[on] = time_seconds
        self._is_on, self._is_open = on, self._is_open | on
        self._has_away = bool((self._is_open & ~on).any())
        self._has_waiting = bool((on & ~self._has_entered).any())

    def end(self) -> list[Event]:
        """Nothing is known from now on."""
        self._is_on = np.zeros_like(self._is_on)
        self._has_waiting = False
        self._best = -1
        return self._close(self._is_open)

    def _decide(self, scores: np.ndarray) -> np.ndarray:
        """(N,) bool: which classes are there with these scores?"""
        stay = 1 - self._settings.hysteresis
        if not self._settings.best_only:
            on: np.ndarray = scores >= np.where(self._is_on, stay * self._levels, self._levels)
            return on
        best, there = int(scores.argmax()), self._best
        stays = there >= 0 and scores[there] >= stay * max(self._levels[there], scores[best])
        if not stays:
            self._best = best if scores[best] >= self._levels[best] else -1
        on = np.zeros(len(scores), dtype=bool)
        if self._best >= 0:
            on[self._best] = True
        return on

    def _changes(self) -> list[Event]:
        events: list[Event] = []
        if self._has_away:
            gap = self._now - self._stop
            over = self._is_open & ~self._is_on & (gap >= self._settings.merge_seconds - TOLERANCE_SECONDS)
            events = self._close(over)
        if not self._has_waiting:
            return events
        enough = self._stop - self._start >= self._settings.min_seconds - TOLERANCE_SECONDS
        entered = self._is_on & ~self._has_entered & enough
        self._has_entered |= entered
        self._has_waiting = bool((self._is_on & ~self._has_entered).any())
        for index in np.flatnonzero(entered):
            start, stop = float(self._start[index]), float(self._stop[index])
            score = self._sum[index] / (stop - start) if stop > start else self._scores[index]
            events.append(Event("entered", self._classes[index], start, float(score)))
        return events

    def _close(self, which: np.ndarray) -> list[Event]:
        events: list[Event] = []
        if not which.any():
            return events
        for index in np.flatnonzero(which & self._has_entered):
            start, stop, label = float(self._start[index]), float(self._stop[index]), self._classes[index]
            peak = float(self._peak[index])
            score = min(peak, float(self._sum[index] / (stop - start)))
            events.append(Event("left", label, stop, score, Segment(start, stop, label, score, peak, self._video)))
        closed = which.copy()
        self._is_open[closed] = False
        self._has_entered[closed] = False
        self._has_away = bool((self._is_open & ~self._is_on).any())
        return events
