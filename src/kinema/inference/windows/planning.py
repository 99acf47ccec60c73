"""Which frames make up which window: arithmetic on the times of frames, which come one after another."""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TOLERANCE_SECONDS = 1e-6  # a time that was computed from a frame's number is that frame's
LEAST_STRIDE_SECONDS = 1e-3
LONE_FRAME_SECONDS = 0.04  # how long the only frame of a video lasts
_REMEMBERED_STEPS = 31
# Times in files are rounded, to a millisecond in some: what is as near as this to a usual rate is that rate.
_RATE_TOLERANCE = 1e-3
_NTSC = 1000 / 1001


@dataclass(frozen=True)
class Span:
    """A window before it has scores.

    Attributes:
        start_seconds: time of its first frame.
        end_seconds: where its last frame ends, but not behind the end of the window.
        first_frame: number of its first frame.
        stop_frame: number of the frame behind its last.
        fps: frames a second inside it; 0 of a single frame.
    """

    start_seconds: float
    end_seconds: float
    first_frame: int
    stop_frame: int
    fps: float

    def __len__(self) -> int:
        return self.stop_frame - self.first_frame


class WindowPlanner:
    """Divides a video or a stream into windows, by the times of its frames alone.

    Window k is the time [start + k * stride, start + k * stride + length), where `start` is the
    time of the first frame. The last window ends where the last frame does, so it may start
    between two others; a video shorter than a window is one. A window without a frame, or with the
    frames of the one before it, is left out. Every frame is in a window.

    Args:
        length_seconds: of a window.
        stride_seconds: from the start of a window to the start of the next.

    Attributes:
        next_frame: number of the frame that comes next.

    Raises:
        ValueError: a length that is not above 0, or a stride that is below a millisecond or above
            the length, so that frames would be in no window.
    """

    def __init__(self, length_seconds: float, stride_seconds: float) -> None:
        check_lengths(length_seconds, stride_seconds)
        self.length_seconds = length_seconds
        self.stride_seconds = stride_seconds
        self.next_frame = 0
        self._begin()

    def _begin(self) -> None:
        self._times: list[float] = []  # of the last frames: as far back as a window may begin
        self._steps: deque[float] = deque(maxlen=_REMEMBERED_STEPS)
        self._start = 0.0
        self._window = 0  # number of the window that comes next
        self._last: tuple[int, int] | None = None  # frames of the window before

    @property
    def first_needed(self) -> int:
        """Number of the first frame that a window to come may hold."""
        return self.next_frame - len(self._times)

    def add(self, time_seconds: float) -> list[Span]:
        """The windows that end before a further frame.

        Args:
            time_seconds: when it is shown.

        Raises:
            ValueError: the time is no number, or before that of the last frame.
        """
        check_time(time_seconds, self._times[-1] if self._times else None)
        if not self._times:
            self._start = time_seconds
            self._append(time_seconds)
            return []
        step = time_seconds - self._times[-1]
        spans = self._completed(time_seconds)
        if step > 0:
            self._steps.append(step)
        oldest = time_seconds - self.length_seconds - TOLERANCE_SECONDS
        del self._times[: bisect_left(self._times, oldest)]
        self._append(time_seconds)
        return spans

    def _append(self, time_seconds: float) -> None:
        self._times.append(time_seconds)
        self.next_frame += 1

    def cut(self) -> list[Span]:
        """The windows that are left at the end of a recording; what follows is another, on a grid of its own."""
        if not self._times:
            return []
        end = self._times[-1] + self._frame_seconds()
        spans = self._completed(end)
        if self._last is None or self._last[1] < self.next_frame:
            spans += self._span(max(self._start, end - self.length_seconds), end)
        self._begin()
        return spans

    def _frame_seconds(self) -> float:
        """How long a frame lasts, by the last of them."""
        return float(np.median(self._steps)) if self._steps else LONE_FRAME_SECONDS

    def _completed(self, time_seconds: float) -> list[Span]:
        """The windows that end at `time_seconds` or before."""
        spans: list[Span] = []
        while True:
            start = self._start + self._window * self.stride_seconds
            if start + self.length_seconds > time_seconds + TOLERANCE_SECONDS:
                return spans
            if start > self._times[-1] + TOLERANCE_SECONDS:  # a pause: the first window that may hold what comes next
                behind = (time_seconds - self.length_seconds - self._start) / self.stride_seconds
                self._window = max(self._window, math.floor(behind))
                start = self._start + self._window * self.stride_seconds
                while start + self.length_seconds <= time_seconds + TOLERANCE_SECONDS:
                    self._window += 1
                    start = self._start + self._window * self.stride_seconds
                return spans
            spans += self._span(start, min(start + self.length_seconds, time_seconds))
            self._window += 1

    def _span(self, start: float, end: float) -> list[Span]:
        """The window of the frames in [start, end); none of what would repeat the window before."""
        begin = bisect_left(self._times, start - TOLERANCE_SECONDS)
        stop = bisect_left(self._times, end - TOLERANCE_SECONDS)
        frames = self.first_needed + begin, self.first_needed + stop
        if begin == stop or frames == self._last:
            return []
        self._last = frames
        seconds = self._times[stop - 1] - self._times[begin]
        return [Span(self._times[begin], end, *frames, frame_rate(stop - begin, seconds))]


def check_time(time_seconds: float, before: float | None) -> None:
    """Raises ValueError: the time of a frame is no number, or is before that of the last, `before`."""
    if not math.isfinite(time_seconds):
        raise ValueError(f"the time of a frame must be a number of seconds, got {time_seconds}")
    if before is not None and time_seconds < before:
        raise ValueError(
            f"frames must come in the order of their times, got {time_seconds:g} s after {before:g} s:"
            " call cut() between two recordings"
        )


def check_lengths(length_seconds: float, stride_seconds: float) -> None:
    """Raises ValueError: there are no such windows, or frames would be in none; see `WindowPlanner`."""
    if not (math.isfinite(length_seconds) and length_seconds > 0):
        raise ValueError(f"length_seconds must be above 0, got {length_seconds}")
    if not (math.isfinite(stride_seconds) and stride_seconds >= LEAST_STRIDE_SECONDS):
        raise ValueError(f"stride_seconds must be at least {LEAST_STRIDE_SECONDS:g}, got {stride_seconds}")
    if stride_seconds > length_seconds:
        raise ValueError(
            f"stride_seconds must be at most length_seconds, else frames are in no window, got {stride_seconds:g} s for"
            f" windows of {length_seconds:g} s"
        )


def plan_windows(times: Iterable[float], length_seconds: float, stride_seconds: float) -> list[Span]:
    """The windows of a whole video, see `WindowPlanner`.

    Args:
        times: of its frames, ascending, in seconds.
        length_seconds: of a window.
        stride_seconds: from the start of a window to the start of the next.
    """
    planner = WindowPlanner(length_seconds, stride_seconds)
    spans: list[Span] = []
    for time in times:
        spans += planner.add(time)
    return spans + planner.cut()


def frame_rate(num_frames: int, seconds: float) -> float:
    """Frames a second of consecutive frames; 0 where that cannot be told.

    Args:
        num_frames: how many there are.
        seconds: from the time of the first to the time of the last.

    Returns:
        The rate. Near a whole number, or a whole number * 1000 / 1001, it is that: times in files
        are rounded.
    """
    if seconds <= 0:
        return 0.0
    rate = (num_frames - 1) / seconds
    usual = min((round(rate), round(rate / _NTSC) * _NTSC), key=lambda near: abs(near - rate))
    return float(usual) if abs(usual - rate) <= _RATE_TOLERANCE * rate else rate
