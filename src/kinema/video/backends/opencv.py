"""OpenCV's VideoCapture, read frame by frame from the start: its own seeking lands on other frames in many files."""

import tempfile
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import VideoError
from kinema.video.backends.base import CheckedSource, errors_of
from kinema.video.backends.libraries import load_library
from kinema.video.backends.pyav import PyAVBackend
from kinema.video.limits import VideoLimits
from kinema.video.source import VideoSource


class OpenCVBackend:
    """A `Backend` over `cv2.VideoCapture`.

    Frames before the ones asked for are decoded but not converted.

    The header's number of frames, which VideoCapture reports, is wrong for many files: number and
    times of the frames come from the packets, by PyAV.

    Args:
        source: path, bytes, or seekable binary file object; what has no path goes through a
            temporary file.
        num_threads: decoder threads.
        rotate: turn the frames as the file's rotation metadata says.
        limits: what the file may ask for; None for `default_limits()`.

    Raises:
        VideoError: there is no such file, it is no video, or OpenCV has no decoder for it.
    """

    def __init__(
        self, source: VideoSource, *, num_threads: int = 1, rotate: bool = True, limits: VideoLimits | None = None
    ) -> None:
        self._library = load_library("opencv")
        self._checked = CheckedSource.check(source, limits)
        self.watch = self._checked.watch
        self._num_threads = num_threads
        self._rotate = rotate
        self._temporary_file: Path | None = None
        with closing(PyAVBackend(source, rotate=rotate, limits=limits)) as packets:
            self.num_frames = packets.num_frames
            self.fps = packets.fps
            self.width, self.height = packets.width, packets.height
        self._position = -1  # of the frame that the capture has grabbed
        self._capture: Any = self._open()

    def _open(self) -> Any:
        cv2 = self._library
        with errors_of("OpenCV", self._checked.name):
            # Named, because without it OpenCV takes "img_%02d.jpg" for a series of images.
            capture = cv2.VideoCapture(self._path(), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, self._num_threads])
            if not capture.isOpened():
                raise VideoError(f"{self._checked.name}: OpenCV cannot open it: use the backend 'pyav'")
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, float(self._rotate))
        self._position = -1
        return capture

    def _path(self) -> str:
        target = self._checked.target()
        if isinstance(target, str):
            return target
        if self._temporary_file is None:
            with tempfile.NamedTemporaryFile(prefix="kinema-", delete=False) as file:
                self._temporary_file = Path(file.name)
                file.write(target.getbuffer())
        return str(self._temporary_file)

    @cached_property
    def timestamps_seconds(self) -> np.ndarray:
        with closing(PyAVBackend(self._checked.source, limits=self.watch.limits)) as packets:
            return packets.timestamps_seconds

    def decode(self, indices: np.ndarray, *, stays: bool = False) -> np.ndarray:
        self.watch.check_memory(len(indices), self.height, self.width)
        out = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        for place, index in enumerate(indices.tolist()):
            out[place] = self._frame(index)
        return out

    def _frame(self, index: int) -> np.ndarray:
        """(H, W, 3) RGB, a view."""
        if self._capture is None or index < self._position:
            self._release()
            self._capture = self._open()
        with errors_of("OpenCV", self._checked.name):
            while self._position < index and self._capture.grab():
                self._position += 1
            frame: np.ndarray | None = self._capture.retrieve()[1] if self._position == index else None
        if frame is None:
            good = f"only the first {self._position + 1}" if self._position >= 0 else "none"
            self._release()  # after a failure, grab() continues behind the gap and numbers would be wrong
            raise VideoError(
                f"{self._checked.name}: frame {index} cannot be decoded: OpenCV decodes {good} of {self.num_frames}"
                " frames"
            )
        if frame.shape != (self.height, self.width, 3):
            height, width = frame.shape[:2]
            raise VideoError(
                f"{self._checked.name}: OpenCV reads frame {index} as {width}x{height}, expected"
                f" {self.width}x{self.height}"
            )
        return frame[..., ::-1]

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
        self._capture = None

    def close(self) -> None:
        self._release()
        if self._temporary_file is not None:
            self._temporary_file.unlink(missing_ok=True)
            self._temporary_file = None

    def __del__(self) -> None:
        with suppress(AttributeError):  # the constructor failed
            self.close()
