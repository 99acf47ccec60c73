"""decord 0.6, of 2021.

It counts packets that are no frames, and finds frames by times that some files repeat.
"""

from functools import cached_property
from typing import Any

import numpy as np

from kinema.errors import VideoError
from kinema.video.backends.base import CheckedSource, errors_of
from kinema.video.backends.libraries import load_library
from kinema.video.limits import VideoLimits
from kinema.video.source import VideoSource


class DecordBackend:
    """A `Backend` over `decord.VideoReader`, on the CPU.

    decord reads ahead in a thread: in a damaged file a call for good frames may fail as well, one
    time and not another.

    Args:
        source: path, bytes, or seekable binary file object; what has no path is read into memory.
        num_threads: decoder threads.
        rotate: turn the frames as the file's rotation metadata says.
        limits: what the file may ask for; None for `default_limits()`.

    Raises:
        MissingDependencyError: decord does not load.
        VideoError: there is no such file, it is no video, or decord would read another of its video
            streams.
    """

    def __init__(
        self, source: VideoSource, *, num_threads: int = 1, rotate: bool = True, limits: VideoLimits | None = None
    ) -> None:
        self._library = load_library("decord")
        self._checked = CheckedSource.check(source, limits)
        self.watch = self._checked.watch
        if not self._checked.is_best_stream:
            raise VideoError(
                f"{self._checked.name}: decord cannot be told to read the first of several video streams: "
                "use the backend 'pyav'"
            )
        self._num_threads = num_threads
        # decord always turns frames.
        self._undone_quarter_turns = 0 if rotate else self._checked.rotation_quarter_turns()
        self._reader: Any = self._open()
        self.num_frames = len(self._reader)
        self.watch.check_frames(self.num_frames)
        with errors_of("decord", self._checked.name):
            self.fps = float(self._reader.get_avg_fps())

    def _open(self) -> Any:
        with errors_of("decord", self._checked.name):
            return self._library.VideoReader(self._checked.target(), num_threads=self._num_threads)

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """Height and width: decord gives them only with a frame."""
        _, height, width, _ = self.decode(np.zeros(1, np.int64)).shape
        return height, width

    @property
    def width(self) -> int:
        return self._shape[1]

    @property
    def height(self) -> int:
        return self._shape[0]

    @cached_property
    def timestamps_seconds(self) -> np.ndarray:
        self._reader = self._reader or self._open()
        with errors_of("decord", self._checked.name):
            starts_and_ends = self._reader.get_frame_timestamp(np.arange(self.num_frames))  # (num_frames, 2)
            return starts_and_ends[:, 0].astype(np.float64)

    def decode(self, indices: np.ndarray, *, stays: bool = False) -> np.ndarray:
        if "_shape" in self.__dict__:
            self.watch.check_memory(len(indices), *self._shape)
        reader, self._reader = self._reader or self._open(), None  # one that fails is not asked again
        with errors_of("decord", self._checked.name):
            batch = reader.get_batch(indices)
            # What the user's `decord.bridge` made of it: decord's own array, or a torch tensor.
            frames: np.ndarray = batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)
        self._reader = reader
        if self._undone_quarter_turns:
            frames = np.ascontiguousarray(np.rot90(frames, -self._undone_quarter_turns, axes=(1, 2)))
        return frames

    def close(self) -> None:
        self._reader = None
