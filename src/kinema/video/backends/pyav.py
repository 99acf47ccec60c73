"""Exact frames through PyAV: the backend that every other is measured against."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame

from kinema.errors import KinemaError, VideoError
from kinema.video.backends.base import ExactBackend
from kinema.video.convert import FrameConverter
from kinema.video.damage import FrameLost
from kinema.video.decoder import Decoder
from kinema.video.index import PacketIndex
from kinema.video.limits import VideoLimits
from kinema.video.source import VideoSource, reason_of, watch_of

# A header's average rate may be wrong: over frames that an edit list cuts away, or rounded to
# centiseconds (GIF).
_RATE_TOLERANCE = 0.01
# FFmpeg's words for a picture above `max_pixels`, and for little else.
_TOO_LARGE = "Invalid argument"


class _OtherSize(Exception):  # noqa: N818 - never leaves this file
    """The first frame that came is not of the size that the headers say: frame 0 has to be asked."""


P = ParamSpec("P")
R = TypeVar("R")


def only_video_errors(
    method: Callable[Concatenate["PyAVBackend", P], R],
) -> Callable[Concatenate["PyAVBackend", P], R]:
    """Turn whatever goes wrong in a method into a `VideoError` that names the file.

    A training counts those and continues; any other error, of FFmpeg, of the user's file object or
    of our own, would end it without saying at which file.
    """

    @wraps(method)
    def guarded(self: "PyAVBackend", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            if _is_said_well(error):
                raise
            raise VideoError(f"{self._name}: cannot be decoded ({reason_of(error)})") from error

    return guarded


def _is_said_well(error: Exception) -> bool:
    # Memory that runs out says nothing about the file; FFmpeg's error of that name does.
    return isinstance(error, KinemaError) or (isinstance(error, MemoryError) and not isinstance(error, FFmpegError))


class PyAVBackend(ExactBackend):
    """A `Backend` whose frame i is the i-th one that a decode of the whole file outputs, bit for bit.

    Args:
        source: what `VideoReader` takes.
        num_threads: decoder threads.
        rotate: turn frames as the file says.
        index: of this file, from an earlier reader; None reads all packets.
        short_side: let the colour conversion scale frames to this, in pixels.
        size: likewise, to this height and width.
        limits: what the file may ask for; None for `default_limits()`.

    Raises:
        VideoError: there is no such file, or it is no video.
    """

    def __init__(
        self,
        source: VideoSource,
        *,
        num_threads: int = 1,
        rotate: bool = True,
        index: PacketIndex | None = None,
        short_side: int | None = None,
        size: tuple[int, int] | None = None,
        limits: VideoLimits | None = None,
    ) -> None:
        self.watch = watch_of(source, limits)
        self._name = self.watch.name
        self.watch.start()
        self._decoder = self._opened(source, num_threads, index)
        self.watch.stop()
        self._rotate, self._short_side, self._size = rotate, short_side, size
        self._known_converter: FrameConverter | None = None
        self._known_lost: dict[int, str] | None = None

    def _opened(self, source: VideoSource, num_threads: int, index: PacketIndex | None) -> Decoder:
        try:
            return Decoder(source, num_threads, index, watch=self.watch)
        except Exception as error:
            if _is_said_well(error) or isinstance(error, TypeError):  # `source` is nothing that can be read
                raise
            raise VideoError(f"{self._name}: is no video that can be read ({reason_of(error)})") from error

    @property
    @only_video_errors
    def index(self) -> PacketIndex:
        """What the packets say."""
        index = self._decoder.index
        self.watch.check_frames(index.num_frames)
        if index.num_frames == 0:
            raise VideoError(f"{self._name}: has a video stream without any frame")
        return index

    @property
    @only_video_errors
    def num_frames(self) -> int:
        """Counted from the packets."""
        return self.index.num_frames

    @property
    @only_video_errors
    def fps(self) -> float:
        """Frames per second of the time they are shown; 0.0 when the file does not say."""
        header_rate, index = self._decoder.header_rate, self.index
        if not index.shown_seconds:
            return header_rate
        rate = len(index.packet_of_frame) / index.shown_seconds
        return header_rate if abs(rate - header_rate) <= _RATE_TOLERANCE * rate else rate

    @property
    @only_video_errors
    def timestamps_seconds(self) -> np.ndarray:
        """(num_frames,) float64: the file's own presentation times; made from the rate where it has none."""
        index, fps = self.index, self.fps
        seconds = index.seconds_of_frames()
        step = 1 / fps if fps else 0.0
        if seconds is None:
            return np.arange(index.num_frames) * step
        missing = seconds[-1] + step * np.arange(1, index.num_missing + 1)
        return np.concatenate([seconds, missing])

    @property
    @only_video_errors
    def height(self) -> int:
        """Of what `decode` returns."""
        return self._converter().shown[0]

    @property
    @only_video_errors
    def width(self) -> int:
        """Of what `decode` returns."""
        return self._converter().shown[1]

    @property
    @only_video_errors
    def rotation_degrees(self) -> int:
        """Counter-clockwise turn that is applied: 0, 90, 180 or 270."""
        return self._converter().orientation.quarter_turns * 90

    @only_video_errors
    def decode(self, indices: Sequence[int] | np.ndarray, *, stays: bool = False) -> np.ndarray:
        """Decode some frames; see `Backend.decode`.

        Args:
            indices: (N,) ascending, distinct, in [0, num_frames).
            stays: the frames that follow will be asked for next.
        """
        numbers = [int(index) for index in indices]
        if self._known_converter is None and numbers[0] != 0 and not self._decoder.has_one_size:
            self._converter()
        try:
            return self._decoded(numbers, stays=stays)
        except _OtherSize:
            pass
        self._converter()  # by frame 0
        return self._decoded(numbers, stays=stays)

    def _decoded(self, numbers: list[int], *, stays: bool) -> np.ndarray:
        row_of = {number: row for row, number in enumerate(numbers)}
        out: np.ndarray | None = None

        def write(number: int, frame: VideoFrame) -> None:
            nonlocal out
            if (
                self._known_converter is None
                and number != 0
                and (frame.height, frame.width) != self._decoder.header_size
            ):
                raise _OtherSize
            converter = self._converter(frame)
            if out is None:
                self.watch.check_memory(len(numbers), *converter.shown)
                out = np.empty((len(numbers), *converter.shown, 3), np.uint8)
            converter.write(frame, out[row_of[number]])

        try:
            self._decoder.decode(numbers, write, stays=stays)
        except FrameLost as failure:
            lost = failure.frame, failure.reason
        else:
            assert out is not None
            return out
        # Outside of the clause above: what decodes there keeps the exception, and with it this
        # reader, alive in a cycle.
        raise self._damage_error(*lost)

    def _converter(self, frame: VideoFrame | None = None) -> FrameConverter:
        """Made for the size of frame 0, which only a frame carries, as it does its rotation.

        Args:
            frame: frame 0, or one that is certain to have its size; None decodes frame 0.
        """
        if self._known_converter is None:
            frame = frame or self._first_frame()
            self._known_converter = FrameConverter(
                frame, rotate=self._rotate, short_side=self._short_side, size=self._size
            )
        return self._known_converter

    def _first_frame(self) -> VideoFrame:
        """Frame 0; where it cannot be decoded, the first that can."""
        try:
            return self._decoder.one_frame()
        except FrameLost as failure:
            lost = failure.frame, failure.reason
        lost_frames = self.lost_frames()
        for number in range(self.num_frames):
            if number not in lost_frames:
                return self._decoder.one_frame(number)
        raise self._damage_error(*lost)

    # ---- damage

    @only_video_errors
    def lost_frames(self) -> dict[int, str]:
        """Number of each frame that cannot be decoded -> why. Decodes the whole file once."""
        if self._known_lost is None:
            self._known_lost = self._decoder.lost_frames()
        return self._known_lost

    @only_video_errors
    def damage(self) -> VideoError | None:
        """The error that names the first frame that cannot be decoded; None when all can."""
        lost = self.lost_frames()
        if not lost:
            return None
        first = min(lost)
        return self._damage_error(first, lost[first])

    def _damage_error(self, frame: int, reason: str) -> VideoError:
        lost, total = self.lost_frames(), self.num_frames
        good = total - len(lost)
        if not good:
            extent = "none is good"
        elif min(lost, default=total) == good:
            extent = f"the first {good} are good"
        else:
            extent = f"{good} are good"
        if reason == _TOO_LARGE:  # where only the decoder learns how large pictures are
            limit = self.watch.limits.pixels
            reason += f", as for one above the limit pixels={limit:.15g} (VideoLimits(pixels=...) raises it)"
        return VideoError(f"{self._name}: frame {frame} cannot be decoded: {reason}; of {total} frames {extent}")

    @only_video_errors
    def close(self) -> None:
        """Release the file and the decoder."""
        self._decoder.close()
