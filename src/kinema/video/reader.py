"""VideoReader: exact frames of a video by their number."""

import os
from collections.abc import Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, cast, overload

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from kinema.errors import VideoError
from kinema.video.index import PacketIndex, scan_packets
from kinema.video.source import VideoSource, open_video, reason_of, source_name

# A header's average rate may be wrong: over frames that an edit list cuts away, or rounded to centiseconds (GIF).
_RATE_TOLERANCE = 0.01


# What forked processes inherited: freeing a decoder there would wait for threads that only the parent has.
_inherited: list[object] = []


class _Damage(Exception):  # noqa: N818 - never leaves this file
    """Decoding stopped before the frame that was asked for."""


class _Pass:
    """One sequential decode from the first frame on; it holds the frame it has reached."""

    def __init__(self, source: VideoSource, num_threads: int) -> None:
        self.owner = os.getpid()
        self._container, stream = open_video(source)
        stream.codec_context.thread_count = num_threads
        stream.codec_context.thread_type = "NONE" if num_threads == 1 else "AUTO"
        self._frames = cast(Generator[VideoFrame], self._container.decode(stream))
        self.header_rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.frame: VideoFrame | None = None
        self.position = -1

    def advance_to(self, index: int) -> VideoFrame:
        """Decode up to frame `index`, which must not lie behind.

        Raises:
            _Damage: the decoder failed on the way, or the stream ended.
        """
        while self.position < index:
            try:
                self.frame = next(self._frames)
            except StopIteration:
                raise _Damage("the stream ends there") from None
            except (av.FFmpegError, OSError) as error:
                raise _Damage(reason_of(error)) from error
            self.position += 1
        assert self.frame is not None
        return self.frame

    def close(self) -> None:
        self.frame = None
        self._frames.close()  # the generator keeps the container alive
        self._container.close()

    def __del__(self) -> None:
        # PyAV's containers sit in reference cycles, so that dropping one does not close its file.
        if "_frames" not in self.__dict__:
            return
        if os.getpid() == self.owner:
            self.close()
        else:
            _inherited.append((self._frames, self._container))


class VideoReader:
    """Frames of a video by number, exactly: frame i is the i-th one that a decode of the whole file outputs.

    Frames are (H, W, 3) uint8 RGB arrays. Any order of numbers gives the same frames; ascending order is the fastest.
    A reader can be pickled and used after a fork: the copy opens the file itself. One that is dropped closes itself.

    Args:
        source: path, bytes, seekable binary file object, or URL. A file object must not be shared with another process.
        num_threads: decoder threads; 1 suits data loading with worker processes. Does not change frames.
        rotate: turn the frames as the file's rotation metadata says, as players do.

    Raises:
        VideoError: there is no such file, or it is no video.
        ValueError: `num_threads` is below 1.
    """

    def __init__(self, source: VideoSource, *, num_threads: int = 1, rotate: bool = True) -> None:
        if num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, got {num_threads}")
        self._source = source
        self._num_threads = num_threads
        self._rotate = rotate
        self._index: PacketIndex | None = None
        self._shape: tuple[int, int] | None = None  # coded height and width, before rotation
        self._quarter_turns = 0  # counter-clockwise
        self._damage: tuple[int, str] | None = None  # number of frames before the damage, and what it is
        self._closed = False
        self._pass: _Pass | None = _Pass(source, num_threads)

    # ---- the video as a whole

    def __len__(self) -> int:
        """Number of frames, counted from the packets."""
        return self._packet_index().num_frames

    @property
    def fps(self) -> float:
        """Average frame rate: frames per second of the time they are shown. 0.0 when the file does not tell."""
        index = self._packet_index()
        header_rate = self._current_pass().header_rate
        if not index.shown_seconds:
            return header_rate
        rate = index.num_frames / index.shown_seconds
        return header_rate if abs(rate - header_rate) <= _RATE_TOLERANCE * rate else rate

    @property
    def duration_seconds(self) -> float:
        """Time from the start of the first frame to the end of the last one."""
        return len(self) / self.fps if self.fps else 0.0

    @property
    def width(self) -> int:
        """Pixels a row, after rotation."""
        return self._frame_shape()[1]

    @property
    def height(self) -> int:
        """Pixels a column, after rotation."""
        return self._frame_shape()[0]

    # ---- frames

    @overload
    def __getitem__(self, key: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, key: slice) -> np.ndarray: ...
    def __getitem__(self, key: int | slice) -> np.ndarray:
        """Frame `key` (H, W, 3), or the frames of a slice (N, H, W, 3)."""
        if isinstance(key, slice):
            return self.get_batch(range(len(self))[key])
        return self.get_batch([key])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        for index in range(len(self)):
            yield self[index]

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Several frames in one pass over the video.

        Args:
            indices: (N,) integers in [-len, len), in any order, repeats allowed.

        Returns:
            (N, H, W, 3) uint8 RGB, in the order asked.

        Raises:
            IndexError: there is no such frame.
            TypeError: indices are no integers.
            VideoError: a frame cannot be decoded.
        """
        wanted = self._checked(indices)
        if len(wanted) == 0:
            return np.empty((0, *self._frame_shape(), 3), np.uint8)
        out: np.ndarray | None = None
        reformatter = VideoReformatter()
        written = -1  # place of the last frame written
        for place in np.argsort(wanted, kind="stable"):
            index = int(wanted[place])
            if out is not None and index == wanted[written]:
                out[place] = out[written]
                continue
            frame = self._decode(index)
            if out is None:
                out = np.empty((len(wanted), *self._frame_shape(), 3), np.uint8)
            self._write_rgb(frame, index, out[place], reformatter)
            written = place
        assert out is not None
        return out

    def _checked(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        wanted = np.asarray(indices)
        if wanted.size == 0:
            return np.empty(0, np.int64)
        if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer):
            raise TypeError(
                f"frame numbers must be a flat list of integers, got {wanted.dtype} of shape {wanted.shape}"
            )
        length = len(self)
        for index in wanted:
            if not -length <= index < length:
                raise IndexError(f"{self._name}: there is no frame {index}, the video has {length} frames")
        return np.where(wanted < 0, wanted.astype(np.int64) + length, wanted)

    def _write_rgb(self, frame: VideoFrame, index: int, out: np.ndarray, reformatter: VideoReformatter) -> None:
        """Convert a decoded frame into `out`, an (H, W, 3) view."""
        if (frame.height, frame.width) != self._shape:
            assert self._shape is not None
            height, width = self._shape
            raise VideoError(
                f"{self._name}: frame {index} is {frame.width}x{frame.height}, others are {width}x{height}: "
                "re-encode the file to one size"
            )
        rgb = reformatter.reformat(frame, format="rgb24", threads=1)
        plane = rgb.planes[0]
        strides = (plane.line_size, 3, 1)
        shape = (rgb.height, rgb.width, 3)
        pixels: np.ndarray = np.ndarray(shape, np.uint8, buffer=memoryview(plane), strides=strides)
        out[:] = np.rot90(pixels, self._quarter_turns) if self._quarter_turns else pixels

    # ---- decoding

    def _decode(self, index: int) -> VideoFrame:
        if self._damage is not None and index >= self._damage[0]:
            raise self._damage_error(index)
        current = self._current_pass()
        if index < current.position:
            current = self._restart()
        try:
            frame = current.advance_to(index)
        except _Damage as damage:
            self._damage = (current.position + 1, str(damage))
            self._drop_pass()  # a decoder that failed has no defined next frame
            raise self._damage_error(index) from damage
        if self._shape is None:
            self._shape = (frame.height, frame.width)
            self._quarter_turns = round(frame.rotation / 90) % 4 if self._rotate else 0
        return frame

    def _damage_error(self, index: int) -> VideoError:
        assert self._damage is not None
        num_good, reason = self._damage
        return VideoError(
            f"{self._name}: frame {index} cannot be decoded: {reason}; of {len(self)} frames "
            + (f"the first {num_good} are good" if num_good else "none is good")
        )

    def _frame_shape(self) -> tuple[int, int]:
        """Height and width after rotation. Only a frame tells its rotation, so the first one is decoded."""
        if self._shape is None:
            self._decode(0)
        assert self._shape is not None
        height, width = self._shape
        return (width, height) if self._quarter_turns % 2 else (height, width)

    def _packet_index(self) -> PacketIndex:
        if self._index is None:
            self._check_open()
            container, stream = open_video(self._source)
            with container:
                index = scan_packets(container, stream)
            if index.num_frames == 0:
                raise VideoError(f"{self._name}: has a video stream without any frame")
            if hasattr(self._source, "seek"):
                self._drop_pass()  # it reads from the object whose position the scan moved
            self._index = index
        return self._index

    # ---- opening and closing

    @property
    def _name(self) -> str:
        return source_name(self._source)

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self._name}: this VideoReader is closed")

    def _current_pass(self) -> _Pass:
        self._check_open()
        # A forked copy shares the file position with its parent, so it opens the file itself.
        if self._pass is None or self._pass.owner != os.getpid():
            self._pass = _Pass(self._source, self._num_threads)
        return self._pass

    def _restart(self) -> _Pass:
        self._drop_pass()
        return self._current_pass()

    def _drop_pass(self) -> None:
        if self._pass is not None and self._pass.owner == os.getpid():
            self._pass.close()
        self._pass = None

    def close(self) -> None:
        """Release the file and the decoder. Closing twice is fine."""
        self._closed = True
        self._drop_pass()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pass": None}
