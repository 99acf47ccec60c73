"""Frames between a source and the model: as many as one window holds, and the oldest give way."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

_TOLERANCE_SECONDS = 1e-6


@dataclass(frozen=True, eq=False)
class StreamFrame:
    """A decoded frame on its way to the model.

    Attributes:
        picture: as the decoder gave it; see `rgb`.
        to_rgb: makes (H, W, 3) uint8 RGB of `picture`.
        num_bytes: that `picture` takes.
        time_seconds: of its start, on the clock of the stream.
        end_seconds: of its end.
        received: by `time.monotonic`, when it would have been received without a delay on its way.
        break_reason: why frames before it are missing, such as "the server closed the connection";
            "" where none are.
        num_dropped: frames before it that gave way to newer ones.
    """

    picture: Any = field(repr=False)
    to_rgb: Callable[[Any], np.ndarray] = field(repr=False)
    num_bytes: int
    time_seconds: float
    end_seconds: float
    received: float
    break_reason: str = ""
    num_dropped: int = 0

    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return self.to_rgb(self.picture)


class FrameQueue:
    """A bounded queue between the thread that decodes and the one that runs the model.

    Args:
        span_seconds: how much time the frames in it may cover.
        most_bytes: that they may take.
        drops: the oldest frame gives way to a new one that has no room; else the new one waits.
    """

    def __init__(self, span_seconds: float, *, most_bytes: int, drops: bool) -> None:
        self.drops = drops
        self.num_dropped = 0
        self._span_seconds = span_seconds
        self._most_bytes = most_bytes
        self._frames: deque[StreamFrame] = deque()
        self._num_bytes = 0
        self._is_ended = False
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: StreamFrame) -> bool:
        """Append a frame; False when the queue has ended, and nobody will take it."""
        with self._changed:
            while not self.drops and not self._is_ended and not self._has_room(frame):
                self._changed.wait()
            if self._is_ended:
                return False
            lost, reason = 0, ""
            while not self._has_room(frame):
                oldest = self._take()
                lost += 1 + oldest.num_dropped
                reason = reason or oldest.break_reason
                self.num_dropped += 1
            if lost:
                frame = self._with_loss(frame, lost, reason)
            self._frames.append(frame)
            self._num_bytes += frame.num_bytes
            self._changed.notify_all()
        return True

    def _has_room(self, frame: StreamFrame) -> bool:
        if not self._frames:
            return True
        covers = frame.end_seconds - self._frames[0].time_seconds
        return (
            covers <= self._span_seconds + _TOLERANCE_SECONDS and self._num_bytes + frame.num_bytes <= self._most_bytes
        )

    def _with_loss(self, frame: StreamFrame, lost: int, reason: str) -> StreamFrame:
        """Note the loss at the frame that now comes first; `frame` itself where none is left."""
        first = self._frames.popleft() if self._frames else frame
        noted = replace(first, num_dropped=first.num_dropped + lost, break_reason=first.break_reason or reason)
        if first is frame:
            return noted
        self._frames.appendleft(noted)
        return frame

    def get(self, timeout_seconds: float | None = None) -> StreamFrame | None:
        """The oldest frame.

        Returns:
            None when none came within the time, or, with `is_ended`, when none will come.

        Raises:
            Exception: what `end` was given, after the last frame.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._is_ended, timeout_seconds)
            if not self._frames:
                if self._error is not None:
                    raise self._error
                return None
            frame = self._take()
            self._changed.notify_all()
            return frame

    def _take(self) -> StreamFrame:
        frame = self._frames.popleft()
        self._num_bytes -= frame.num_bytes
        return frame

    @property
    def is_ended(self) -> bool:
        """No further frame will come, and all that came were taken."""
        with self._changed:
            return self._is_ended and not self._frames

    def end(self, error: Exception | None = None) -> None:
        """No frame will follow; `get` raises `error` when the frames so far were taken."""
        with self._changed:
            if not self._is_ended:
                self._is_ended, self._error = True, error
            self._changed.notify_all()
