"""VideoReader: frames of a video by number or by time."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np

from kinema.errors import VideoError
from kinema.video.backends import Backend, ExactBackend
from kinema.video.backends.choosing import make_backend, refuse_exact_options
from kinema.video.fork_safe import ForkSafeLock
from kinema.video.index import PacketIndex
from kinema.video.limits import VideoLimitError, VideoLimits, default_limits
from kinema.video.motion import decode_motion
from kinema.video.remote import seekable
from kinema.video.source import VideoSource, source_name, stat_of, watch_of

# A time that was computed from a frame's number must find that frame.
_TIME_TOLERANCE_SECONDS = 1e-6


class VideoReader:
    """Frames of a video by number, exactly.

    Frame i is the i-th one that a decode of the whole file outputs, bit for bit.

    Frames are (H, W, 3) uint8 RGB arrays. Any order of numbers gives the same frames, but of some
    damaged MPEG-1, -2 and -4 files (docs/video.md, Damage); ascending order is the fastest. A
    reader can be pickled and used after a fork: the copy opens the file itself. One that is dropped
    closes itself. Threads may share a reader: they take turns, call by call. For speed give each
    thread a reader of its own.

    Args:
        source: path, bytes, seekable binary file object, URL, or a folder of frames. A file object
            must not be shared with another process.
        num_threads: decoder threads; 1 suits data loading with worker processes. Does not change
            frames.
        backend: "auto" (PyAV for files, "frames" for folders), "pyav", "torchcodec",
            "torchcodec:cuda", "decord", "opencv", "frames". Only PyAV is exact on every file; see
            docs/video.md.
        rotate: turn the frames as the file's rotation metadata says, as players do.
        errors: what becomes of a frame that cannot be decoded: "strict" is a `VideoError`,
            "keep-good" gives the nearest good frame in its place and counts it in `num_replaced`.
            PyAV only.
        index: `index` of an earlier reader of the same file, which saves reading all packets. PyAV
            only.
        short_side: let the colour conversion scale the frames so that their short side has this
            many pixels. Saves memory and some time on large frames, but the pixels are FFmpeg's
            averages over areas, not those of `Resize`. PyAV only.
        size: likewise, to (height, width).
        limits: what the file may ask for (pixels, frames, memory, seconds); None for
            `default_limits()`. What is above is a `VideoError` that names the limit.

    Raises:
        VideoError: there is no such file, or it is no video.
        ValueError: an argument is out of its range, or the backend does not have it.
        MissingDependencyError: the backend's library does not load.
    """

    def __init__(
        self,
        source: VideoSource,
        *,
        num_threads: int = 1,
        backend: str = "auto",
        rotate: bool = True,
        errors: Literal["strict", "keep-good"] = "strict",
        index: PacketIndex | None = None,
        short_side: int | None = None,
        size: tuple[int, int] | None = None,
        limits: VideoLimits | None = None,
    ) -> None:
        if num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, got {num_threads}")
        if errors not in ("strict", "keep-good"):
            raise ValueError(f"errors must be 'strict' or 'keep-good', got {errors!r}")
        _check_size(short_side, size)
        if backend == "auto":
            backend = "frames" if _is_folder(source) else "pyav"
        exact_options = {"index": index, "short_side": short_side, "size": size}
        refuse_exact_options(backend, {"errors='keep-good'": errors != "strict", **exact_options})
        limits = limits or default_limits()
        self._source = seekable(source, watch_of(source, limits)) if backend == "pyav" else source
        self._backend_name = backend
        common_options = {"num_threads": num_threads, "rotate": rotate, "limits": limits}
        self._options: dict[str, Any] = {**common_options, **exact_options}
        self._errors = errors
        self._num_replaced = 0
        self._closed = False
        self._owner = os.getpid()
        # Two threads must not call a decoder at once, and its calls release Python's lock.
        self._lock = ForkSafeLock()
        with self._lock:
            self._backend: Backend | None = self._open()

    def _open(self) -> Backend:
        return make_backend(self._backend_name, self._source, **self._options)

    # ---- the video as a whole

    def __len__(self) -> int:
        """Number of frames that should decode, counted from the packets."""
        with self._lock:
            return self._current().num_frames

    @property
    def fps(self) -> float:
        """Average frame rate: frames per second of the time they are shown.

        0.0 when the file does not say.
        """
        with self._lock:
            return self._current().fps

    @property
    def duration_seconds(self) -> float:
        """Time from the start of the first frame to the end of the last one."""
        with self._lock:
            return len(self) / self.fps if self.fps else 0.0

    @property
    def width(self) -> int:
        """Pixels a row, after rotation and scaling."""
        with self._lock:
            return self._current().width

    @property
    def height(self) -> int:
        """Pixels a column, after rotation and scaling."""
        with self._lock:
            return self._current().height

    @property
    def rotation_degrees(self) -> int:
        """How far frames are turned counter-clockwise for showing: 0, 90, 180 or 270; 0 with `rotate=False`."""
        with self._lock:
            return self._current_exact("rotation_degrees").rotation_degrees

    @property
    def timestamps_seconds(self) -> np.ndarray:
        """(len,) float64, ascending: when each frame is shown, by the file's own clock, which need not start at 0."""
        with self._lock:
            return self._current().timestamps_seconds

    @property
    def index(self) -> PacketIndex:
        """What the packets say. Keep it, and give it to a later reader of the same file."""
        with self._lock:
            return self._current_exact("index").index

    @property
    def num_replaced(self) -> int:
        """Frames asked for so far in whose place another was given, with `errors="keep-good"`."""
        return self._num_replaced

    def find_damage(self) -> VideoError | None:
        """Decode every frame, converting none.

        Returns:
            The error that names the first frame that cannot be decoded and the number of good ones;
            None when all is well.
        """
        with self._lock:
            backend = self._current_exact("find_damage")
            backend.watch.stop()
            return backend.damage()

    # ---- frames

    @overload
    def __getitem__(self, key: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, key: slice) -> np.ndarray: ...
    def __getitem__(self, key: int | slice) -> np.ndarray:
        """Frame `key` (H, W, 3), or the frames of a slice (N, H, W, 3)."""
        if isinstance(key, slice):
            return self.get_batch(range(len(self))[key])
        return self._frames([key], stays=True)[0]

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
        return self._frames(indices, stays=False)

    def motion_vectors(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """How far the pixels of frames are from those that the codec predicted them from.

        The video is decoded from its start. Key frames, and codecs whose decoder exports no vectors
        (HEVC, AV1), have zeros.

        Args:
            indices: see `get_batch`.

        Returns:
            (N, H, W, 2) int8, across and down, in pixels, of frames that are neither scaled nor
            turned; see `kinema.video.motion.motion_field`.

        Raises:
            IndexError, TypeError: see `get_batch`.
            ValueError: the backend is another than PyAV, or the reader is closed.
            VideoError: a frame cannot be decoded.
        """
        with self._lock:
            backend = self._current_exact("motion vectors")
            wanted = self._checked(indices)
            backend.close()  # a file object is at one place only; the next call opens it again
            self._backend = None
            return decode_motion(self._source, wanted.tolist(), self._options["limits"])

    def frames_at(self, seconds: Sequence[float] | np.ndarray) -> np.ndarray:
        """The frames that are shown at some times.

        Args:
            seconds: (N,) times by the clock of `timestamps_seconds`, in any order, repeats allowed.

        Returns:
            (N, H, W, 3) uint8 RGB, in the order asked.

        Raises:
            ValueError: nothing is shown at that time.
            VideoError: a frame cannot be decoded.
        """
        times = np.asarray(seconds, np.float64).reshape(-1)
        with self._lock:
            starts = self.timestamps_seconds
            end = starts[-1] + (1 / self.fps if self.fps else 0.0)
        frames = np.searchsorted(starts, times + _TIME_TOLERANCE_SECONDS, "right") - 1
        outside = times[~((frames >= 0) & (times < end))]
        if len(outside):
            raise ValueError(
                f"{self._name}: nothing is shown at {outside[0]:g} s, the video runs from {starts[0]:g} to {end:g} s"
            )
        return self._frames(frames, stays=False)

    def _frames(self, indices: Sequence[int] | np.ndarray, *, stays: bool) -> np.ndarray:
        with self._lock:
            backend = self._current()
            wanted = self._checked(indices)
            if len(wanted) == 0:
                return np.empty((0, backend.height, backend.width, 3), np.uint8)
            try:
                return self._decode(backend, wanted, stays=stays)
            except VideoLimitError:
                raise
            except VideoError:
                if self._errors == "strict":
                    raise
            return self._decode(backend, self._replaced(wanted), stays=False)

    def _decode(self, backend: Backend, wanted: np.ndarray, *, stays: bool) -> np.ndarray:
        if (wanted[1:] > wanted[:-1]).all():
            return backend.decode(wanted, stays=stays)
        ascending, row_of = np.unique(wanted, return_inverse=True)
        frames = backend.decode(ascending, stays=stays)
        backend.watch.check_memory(len(wanted), *frames.shape[1:])
        return frames[row_of]

    def _checked(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        wanted = np.asarray(indices)
        if wanted.size == 0:
            return np.empty(0, np.int64)
        if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer):
            raise TypeError(
                f"frame numbers must be a flat list of integers, got {wanted.dtype} of shape {wanted.shape}"
            )
        wanted = wanted.astype(np.int64)
        length = len(self)
        outside = wanted[(wanted < -length) | (wanted >= length)]
        if len(outside):
            raise IndexError(f"{self._name}: there is no frame {outside[0]}, the video has {length} frames")
        return np.where(wanted < 0, wanted + length, wanted)

    def _replaced(self, wanted: np.ndarray) -> np.ndarray:
        """The nearest good frame for each one that is lost."""
        backend = self._current_exact("errors")
        lost = np.fromiter(backend.lost_frames(), np.int64)
        good = np.setdiff1d(np.arange(backend.num_frames), lost)
        error = backend.damage()
        if error is not None and not len(good):
            raise error
        above = np.minimum(np.searchsorted(good, wanted), len(good) - 1)
        below = np.maximum(above - 1, 0)
        nearer_below = wanted - good[below] <= np.abs(good[above] - wanted)
        nearest = np.where(good[above] == wanted, wanted, np.where(nearer_below, good[below], good[above]))
        self._num_replaced += int((nearest != wanted).sum())
        return nearest

    # ---- opening and closing

    @property
    def _name(self) -> str:
        return source_name(self._source)

    def _current(self) -> Backend:
        if self._closed:
            raise ValueError(f"{self._name}: this VideoReader is closed")
        # A forked copy shares the file position with its parent, so it opens the file itself.
        if self._backend is None or self._owner != os.getpid():
            self._backend = self._open()
            self._owner = os.getpid()
        self._backend.watch.start()
        return self._backend

    def _current_exact(self, what: str) -> ExactBackend:
        backend = self._current()
        if not isinstance(backend, ExactBackend):
            raise ValueError(f"the video backend {self._backend_name!r} has no {what}: use backend='pyav'")
        return backend

    def close(self) -> None:
        """Release the file and the decoder, once no other thread is reading. Closing twice is fine."""
        with self._lock:
            self._closed = True
            if self._backend is not None and self._owner == os.getpid():
                self._backend.close()
            self._backend = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {**self.__dict__, "_backend": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=ForkSafeLock())


def _is_folder(source: VideoSource) -> bool:
    try:
        return isinstance(source, (str, Path)) and stat.S_ISDIR(stat_of(source).st_mode)
    except (OSError, ValueError):
        return False


def _check_size(short_side: int | None, size: tuple[int, int] | None) -> None:
    if short_side is not None and size is not None:
        raise ValueError(f"give short_side or size, not both: got {short_side} and {size}")
    if short_side is not None and short_side < 1:
        raise ValueError(f"short_side must be at least 1 pixel, got {short_side}")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"size must be a height and a width of at least 1 pixel, got {size}")
