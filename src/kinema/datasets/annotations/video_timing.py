"""When the frames of a video are shown, and how another program's frame numbers become times on that clock."""

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kinema.video.reader import VideoReader


@dataclass(frozen=True, eq=False)
class VideoTiming:
    """When each of the N frames of a video is shown, counted from the first.

    Attributes:
        borders: (N + 1,) float64 seconds, ascending: where each frame begins, and where the last
            ends; the first is 0.
        width, height: of a frame, pixels; None: not known.
    """

    borders: np.ndarray
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        if self.borders.ndim != 1 or len(self.borders) < 2 or self.borders[0] != 0 or (np.diff(self.borders) < 0).any():
            raise ValueError(
                "borders must be the ascending starts of one frame or more from 0 on, and the last one's end"
            )
        if not 0 < self.borders[-1] < np.inf:
            raise ValueError(f"a video must end after 0 s, got {self.borders[-1]} s")

    @classmethod
    def even(cls, num_frames: int, fps: float, width: int | None = None, height: int | None = None) -> "VideoTiming":
        """A video of constant rate.

        Args:
            num_frames: at least 1.
            fps: frames a second.
            width: of a frame, pixels.
            height: likewise.

        Raises:
            ValueError: there is no frame, or the rate is not positive.
        """
        if num_frames < 1 or not 0 < fps < float("inf"):
            raise ValueError(f"need at least 1 frame and a positive rate, got {num_frames=}, {fps=}")
        return cls(np.arange(num_frames + 1) / fps, width, height)

    @classmethod
    def of(cls, reader: VideoReader) -> "VideoTiming":
        """The frames of an open video."""
        starts = reader.timestamps_seconds - reader.timestamps_seconds[0]
        end = max(reader.duration_seconds, float(starts[-1]) + (1 / reader.fps if reader.fps else 0.0))
        return cls(np.append(starts, end), reader.width, reader.height)

    @classmethod
    def of_file(cls, path: str | os.PathLike) -> "VideoTiming":
        """The frames of a video file; none is decoded.

        Raises:
            VideoError: there is no such file, or it is no video.
        """
        with VideoReader(os.fspath(path)) as reader:
            return cls.of(reader)

    @property
    def num_frames(self) -> int:
        """N."""
        return len(self.borders) - 1

    @property
    def duration_seconds(self) -> float:
        """From the start of the first frame to the end of the last."""
        return float(self.borders[-1])

    @property
    def fps(self) -> float:
        """Frames a second, on average."""
        return self.num_frames / self.duration_seconds

    @property
    def even_rate(self) -> float:
        """Frames a second of a program that has frames of one length alone, so that it can name each of these.

        The average rate of a video of constant rate; of another the rate of its shortest frames, up
        to 240.
        """
        strays = np.abs(self.borders - np.arange(len(self.borders)) / self.fps).max()
        if strays < 0.25 / self.fps:
            return self.fps
        lasting = np.diff(self.borders)
        return float(min(1 / lasting[lasting > 0].min(), 240.0))

    def seconds_of(self, positions: np.ndarray) -> np.ndarray:
        """Places counted in frames, (K,), to seconds; N is the end, and 1.5 the middle of the second frame."""
        return np.interp(positions, np.arange(len(self.borders)), self.borders)

    def positions_of(self, seconds: np.ndarray) -> np.ndarray:
        """Seconds, (K,), to places counted in frames: what `seconds_of` turns into these."""
        return np.interp(seconds, self.borders, np.arange(len(self.borders)))

    def at_borders(self, seconds: np.ndarray, most_seconds: float) -> np.ndarray:
        """Seconds, (K,), each moved to the nearest border of a frame, where that is nearer than `most_seconds`."""
        above = np.clip(np.searchsorted(self.borders, seconds), 1, self.num_frames)
        is_below = seconds - self.borders[above - 1] <= self.borders[above] - seconds
        nearest = np.where(is_below, self.borders[above - 1], self.borders[above])
        return np.where(np.abs(nearest - seconds) < most_seconds, nearest, seconds)


@dataclass(frozen=True)
class Counting:
    """How a program counted the frames of a video that it annotated.

    Attributes:
        by: "rate": it multiplied the time by a rate, as programs in browsers do; "frames": it
            decoded the video and counted what came.
        num_frames: of the whole video, by its own count; None: it does not say.
        fps: the rate it believes the video has; None likewise.
        duration_seconds: how long it believes the video is; None likewise.
    """

    by: Literal["rate", "frames"]
    num_frames: float | None = None
    fps: float | None = None
    duration_seconds: float | None = None

    @property
    def declared_rate(self) -> float | None:
        """Frames a second by what the program says alone; None: it does not say enough."""
        if self.num_frames and self.duration_seconds:
            return self.num_frames / self.duration_seconds
        return self.fps or None

    def rate(self, timing: VideoTiming) -> float:
        """Its frames in a second, where it counts by a rate: what it says, else what its count means for this file."""
        if self.num_frames and not self.duration_seconds:
            return self.num_frames / timing.duration_seconds
        return self.declared_rate or timing.fps


def seconds_of_positions(positions: np.ndarray, counting: Counting, timing: VideoTiming) -> np.ndarray:
    """Another program's places in a video to seconds.

    Args:
        positions: (K,) borders of frames, by its count: 0 is the start of the first.
        counting: how it counted.
        timing: of the file.

    Returns:
        (K,) seconds from the first frame; behind its end where the program counted beyond that.
    """
    positions = np.asarray(positions, np.float64)
    if counting.by == "rate":
        rate = counting.rate(timing)
        return timing.at_borders(positions / rate, 0.5 / rate + 1e-9)
    scaled = positions * _scale(counting, timing)
    beyond = np.maximum(scaled - timing.num_frames, 0) / timing.fps
    return timing.seconds_of(scaled) + beyond


def positions_of_seconds(seconds: np.ndarray, counting: Counting, timing: VideoTiming) -> np.ndarray:
    """Seconds to the whole numbers of the nearest borders of another program's frames: `seconds_of_positions` back.

    Args:
        seconds: (K,) from the first frame.
        counting: how it counts.
        timing: of the file.

    Returns:
        (K,) int64.
    """
    seconds = np.asarray(seconds, np.float64)
    if counting.by == "rate":
        return np.rint(seconds * counting.rate(timing)).astype(np.int64)
    return np.rint(timing.positions_of(seconds) / _scale(counting, timing)).astype(np.int64)


def _scale(counting: Counting, timing: VideoTiming) -> float:
    """The file's frames for each that the program counted."""
    return timing.num_frames / counting.num_frames if counting.num_frames else 1.0
