"""What VideoReader needs of a decoding library, and what all of these files share."""

import io
import re
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kinema.errors import KinemaError, VideoError
from kinema.video.index import PacketIndex
from kinema.video.limits import VideoLimits, Watch
from kinema.video.source import VideoSource, open_video, path_of, watch_of

# Where in the library's own source code a check failed: noise to everybody else.
_PLACE_IN_SOURCE = re.compile(r"(\[[\d:]+\] )?\S*/src/\S+?:\d+[:,] ")


class Backend(Protocol):
    """Frames of one video by number, as one library sees them.

    Attributes:
        num_frames: frames that the library counts.
        fps: average frames per second; 0.0 when unknown.
        width: pixels a row of what `decode` returns.
        height: pixels a column of what `decode` returns.
        timestamps_seconds: (num_frames,) float64, when each frame is shown. May read the whole file
            at first use.
        watch: holds the calls to the limits; `VideoReader` starts it at each of its own calls.
    """

    watch: Watch

    @property
    def num_frames(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def timestamps_seconds(self) -> np.ndarray: ...

    def decode(self, indices: np.ndarray, *, stays: bool = False) -> np.ndarray:
        """Decode some frames.

        Args:
            indices: (N,) int64, N at least 1, ascending, distinct, in [0, num_frames). Not checked
                again.
            stays: a hint that the caller will ask for the frames that follow. Does not change
                frames.

        Returns:
            (N, H, W, 3) uint8 RGB; a folder of flow frames (N, H, W, 2).

        Raises:
            VideoError: a frame cannot be decoded.
        """
        ...

    def close(self) -> None:
        """Release file and decoder. Closing twice is fine."""
        ...


class ExactBackend(Backend):
    """A `Backend` that knows the packets of the file, and so which of its frames are damaged."""

    @property
    @abstractmethod
    def index(self) -> PacketIndex:
        """What the packets say."""

    @property
    @abstractmethod
    def rotation_degrees(self) -> int:
        """Counter-clockwise turn that is applied: 0, 90, 180 or 270."""

    @abstractmethod
    def lost_frames(self) -> dict[int, str]:
        """Number of each frame that cannot be decoded -> why. Decodes the whole file once."""

    @abstractmethod
    def damage(self) -> VideoError | None:
        """The error that names the first frame that cannot be decoded; None when all can."""


@dataclass(frozen=True)
class CheckedSource:
    """A source in which FFmpeg, by PyAV, found a video stream.

    Libraries differ in what they do with a text file or an empty one, crashes included, so none
    sees a source before.

    Attributes:
        source: as the user gave it.
        watch: holds it to its limits.
        name: what messages call it.
        stream_index: place of the stream among all streams of the file.
        is_best_stream: FFmpeg would choose this stream too, were it free to.
    """

    source: VideoSource
    watch: Watch
    name: str
    stream_index: int
    is_best_stream: bool

    @classmethod
    def check(cls, source: VideoSource, limits: VideoLimits | None = None) -> "CheckedSource":
        """Raises VideoError: there is no such file, it is no video, or above a limit.

        TypeError: it is nothing that can be read.
        """
        watch = watch_of(source, limits)
        if watch.is_remote:
            raise VideoError(
                f"{watch.name}: only backend='pyav' opens addresses, with time-outs: use it, or download the file first"
            )
        container, stream = open_video(source, watch=watch)
        with container:
            best = container.streams.best("video")
            return cls(source, watch, watch.name, stream.index, best is None or best.index == stream.index)

    def target(self) -> str | io.BytesIO:
        """Absolute path, or the content of what has no path."""
        if isinstance(self.source, (str, Path)):
            return str(
                Path(path_of(self.source)).absolute()
            )  # FFmpeg would take a relative "a:b.mp4" for a protocol named a
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        self.source.seek(0)
        return io.BytesIO(self.source.read())

    def rotation_quarter_turns(self) -> int:
        """Counter-clockwise quarter turns that the file asks for, in [0, 4).

        Decodes one frame: only a frame says it.
        """
        container, stream = open_video(self.source, watch=self.watch)
        stream.codec_context.thread_count = 1  # it is dropped halfway; see contexts.let_go
        with container, errors_of("PyAV", self.name):
            frame = next(container.decode(stream), None)
        if frame is None:
            raise VideoError(f"{self.name}: has a video stream without any frame")
        return round(frame.rotation / 90) % 4


@contextmanager
def errors_of(library: str, name: str) -> Iterator[None]:
    """Turn whatever `library` raises about the video `name` into one line."""
    try:
        yield
    except (KinemaError, MemoryError):
        raise
    except Exception as error:  # libraries promise no kind of error: seen were RuntimeError, ValueError, their own
        raise VideoError(f"{name}: {library} cannot decode it ({reason_line(error)})") from error


def reason_line(error: Exception) -> str:
    """The first line of an error's text, without places in the source code of a library."""
    lines = _PLACE_IN_SOURCE.sub("", str(error)).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
