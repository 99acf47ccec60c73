"""A backend that threads may share."""

import numpy as np

from kinema.video.backends.base import Backend
from kinema.video.fork_safe import ForkSafeLock


class LockedBackend:
    """A `Backend` over another one whose calls wait for each other.

    Args:
        backend: used by nobody else.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.watch = backend.watch
        self._lock = ForkSafeLock()

    @property
    def num_frames(self) -> int:
        with self._lock:
            return self._backend.num_frames

    @property
    def fps(self) -> float:
        with self._lock:
            return self._backend.fps

    @property
    def width(self) -> int:
        with self._lock:
            return self._backend.width

    @property
    def height(self) -> int:
        with self._lock:
            return self._backend.height

    @property
    def timestamps_seconds(self) -> np.ndarray:
        with self._lock:
            return self._backend.timestamps_seconds

    def decode(self, indices: np.ndarray, *, stays: bool = False) -> np.ndarray:
        with self._lock:
            return self._backend.decode(indices, stays=stays)

    def close(self) -> None:
        with self._lock:
            self._backend.close()
