"""From a source of frames to updates: the loop that runs the model, and says what is missing."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from kinema.inference.stream.addresses import SourceKind, parse_source
from kinema.inference.stream.file_source import FileSource
from kinema.inference.stream.frame_queue import StreamFrame
from kinema.inference.stream.live_source import LiveSource, SourceOptions
from kinema.inference.stream.recorder import EventRecorder
from kinema.inference.stream.stream import Stream
from kinema.inference.stream.updates import StreamFigures, StreamGap, StreamUpdate
from kinema.video import VideoReader
from kinema.video.limits import default_limits

# Without frames for longer, as a share of a window and in steps of the frames before, there is a gap.
_GAP_SHARE = 0.25
_GAP_STEPS = 3.0
_LONGEST_HOLE_SECONDS = 1.0
_LEAST_GAP_SECONDS = 1e-3  # frames that follow each other are no gap, however late they came
_POLL_SECONDS = 0.2  # until Ctrl-C and silence are noticed


def open_source(
    source: str, span_seconds: float, options: SourceOptions | None = None, *, is_realtime: bool = False
) -> LiveSource | FileSource:
    """A source of frames, by what a user writes.

    Args:
        source: see `parse_source`.
        span_seconds: how much time the frames that wait for the model may cover.
        options: how it is read.
        is_realtime: a file is read at its own pace.

    Raises:
        VideoError: see `parse_source`.
        ValueError: `is_realtime` of what is no file.
    """
    options = options or SourceOptions()
    address = parse_source(source, options.limits or default_limits())
    if address.kind is SourceKind.FILE:
        return FileSource(address, span_seconds, options, is_realtime=is_realtime)
    if is_realtime:
        raise ValueError(f"only files have a pace of their own to be read at, {address.name} is none")
    return LiveSource(address, span_seconds, options)


def frame_rate_of(source: str) -> float:
    """Frames a second of a file; 0 of all else, which does not state it before it is connected.

    Args:
        source: see `parse_source`.

    Raises:
        VideoError: see `parse_source`; or the file is no video.
    """
    address = parse_source(source, default_limits())
    if address.kind is not SourceKind.FILE:
        return 0.0
    with VideoReader(address.target) as reader:
        return reader.fps


class Watching:
    """Iterate over it for what a stream shows: updates with something new, and gaps.

    Args:
        stream: the model.
        source: of the frames; it is started, and closed at the end.
        recorder: gets the frames, too.
        most_seconds: how much of the stream to take; None: all. A live stream ends after that time
            whether frames came or not.
        is_stopped: asked several times a second; True ends it after the frames so far.

    Attributes:
        figures: of the stream so far.
    """

    def __init__(
        self,
        stream: Stream,
        source: LiveSource | FileSource,
        *,
        recorder: EventRecorder | None = None,
        most_seconds: float | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.figures = StreamFigures()
        self._stream = stream
        self._source = source
        self._recorder = recorder
        self._most_seconds = float("inf") if most_seconds is None else most_seconds
        self._is_stopped = is_stopped
        self._started = self._taken = 0.0  # by time.monotonic: the whole, and the last frame
        self._received: deque[tuple[float, float]] = deque()  # of the last frames: time, and when they came
        self._last: StreamFrame | None = None
        self._step = 0.0
        self._is_cut = True
        self._wall_at_zero: float | None = None
        self._start_seconds = 0.0

    def __iter__(self) -> Generator[StreamUpdate | StreamGap, None, None]:
        self._source.start()
        self._started = time.monotonic()
        try:
            while not self._is_over():
                frame = self._source.frames.get(_POLL_SECONDS)
                if frame is not None:
                    yield from self._gap_before(frame)
                    yield from self._push(frame)
                elif self._source.frames.is_ended:
                    break
                elif self._is_stalled():
                    yield from self._cut()
        finally:
            self._source.close()
            self._count()

    def finish(self) -> StreamUpdate:
        """What is left after the last frame."""
        return self._noted(self._stream.finish())

    def clock_time(self, time_seconds: float) -> datetime | None:
        """When a frame of this time was received, by the clock on the wall; None where that says nothing of the frame.

        Args:
            time_seconds: on the clock of the stream.
        """
        if not self._source.is_live or self._wall_at_zero is None:
            return None
        return datetime.fromtimestamp(self._wall_at_zero + time_seconds, tz=UTC)

    def _is_over(self) -> bool:
        if self._is_stopped():
            return True
        passed = time.monotonic() - self._started if self._source.is_live else self.figures.stream_seconds
        return passed >= self._most_seconds

    def _is_stalled(self) -> bool:
        """Is the connection gone, or silent for so long that what waits may as well be scored?"""
        if self._last is None or not self._source.is_live:
            return False
        return not self._source.is_connected or time.monotonic() - self._taken > self._source.options.stall_seconds

    def _cut(self) -> Iterator[StreamUpdate]:
        if self._is_cut:
            return
        self._is_cut = True
        update = self._noted(self._stream.cut())
        if update:
            yield update
        if self._recorder is not None:
            self._recorder.cut()  # behind the events, which may begin clips of the frames so far

    def _gap_before(self, frame: StreamFrame) -> Iterator[StreamUpdate | StreamGap]:
        last = self._last
        if last is None:
            self._start_seconds = frame.time_seconds
            return
        reason = self._gap_reason(last, frame)
        if not reason:
            return
        yield from self._cut()
        seconds = frame.time_seconds - last.end_seconds
        if seconds > _LEAST_GAP_SECONDS:
            self.figures.num_gaps += 1
            self.figures.gap_seconds += seconds
            yield StreamGap(last.end_seconds, frame.time_seconds, reason)

    def _gap_reason(self, last: StreamFrame, frame: StreamFrame) -> str:
        """Why a window must not span the place before a frame; "" where it may."""
        if frame.break_reason:
            return frame.break_reason
        hole = min(_LONGEST_HOLE_SECONDS, _GAP_SHARE * self._stream.length_seconds)
        is_hole = frame.time_seconds - last.end_seconds > max(hole, _GAP_STEPS * self._step)
        if self._is_cut:
            return f"no frame for {self._source.options.stall_seconds:g} s"
        if not is_hole or not (self._source.is_live or frame.num_dropped):
            return ""
        return "frames gave way to newer ones" if frame.num_dropped else "the stream paused"

    def _push(self, frame: StreamFrame) -> Iterator[StreamUpdate]:
        if self._last is not None and not self._is_cut and not frame.num_dropped:
            self._step = frame.time_seconds - self._last.time_seconds
        self._is_cut = False
        self._last, self._taken = frame, time.monotonic()
        self._received.append((frame.time_seconds, frame.received))
        while self._received[0][0] < frame.time_seconds - 2 * self._stream.length_seconds:
            self._received.popleft()
        self._wall_at_zero = time.time() - (time.monotonic() - frame.received) - frame.time_seconds
        self.figures.num_frames += 1
        pixels = frame.rgb()
        if self._recorder is not None:
            self._recorder.push(pixels, frame.time_seconds)
        update = self._noted(self._stream.push(pixels, frame.time_seconds))
        if update:
            yield update

    def _noted(self, update: StreamUpdate) -> StreamUpdate:
        """With the latency of its windows; and counted."""
        now = time.monotonic()
        windows = []
        for window in update.windows:
            seconds = self._latency(window.end_seconds, now)
            if seconds is not None:
                self.figures.latency.add(seconds)
            windows.append(replace(window, latency_seconds=seconds))
        self.figures.num_windows += len(windows)
        self.figures.num_events += sum(event.kind == "entered" for event in update.events)
        self._count()
        return replace(update, windows=tuple(windows))

    def _latency(self, end_seconds: float, now: float) -> float | None:
        if not self._source.is_live:
            return None
        inside = (received for time_seconds, received in reversed(self._received) if time_seconds < end_seconds)
        received = next(inside, None)
        return None if received is None else max(0.0, now - received)

    def _count(self) -> None:
        figures, source = self.figures, self._source
        figures.num_dropped, figures.num_skipped = source.num_dropped, source.num_skipped
        figures.num_late, figures.num_reconnects = source.num_late, source.num_reconnects
        if self._last is not None:
            figures.stream_seconds = self._last.end_seconds - self._start_seconds
