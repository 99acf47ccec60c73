"""`decord.VideoReader` over `kinema.video.VideoReader`: RGB frames, exact for any order of indices."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from kinema.errors import NotYetError
from kinema.transforms.geometry import resize_frames
from kinema.video import VideoReader as _VideoReader
from kinema.video import VideoSource


class Device(NamedTuple):
    """Where decord is asked to decode. Kinema decodes on the CPU wherever that is."""

    device_type: str
    device_id: int


def cpu(dev_id: int = 0) -> Device:
    """The CPU."""
    return Device("cpu", dev_id)


def gpu(dev_id: int = 0) -> Device:
    """A GPU; frames are decoded on the CPU and are the same."""
    return Device("gpu", dev_id)


class NDArray(np.ndarray):
    """An array with decord's `asnumpy()`."""

    def asnumpy(self) -> np.ndarray:
        """The same numbers as a plain array, without a copy."""
        return self.view(np.ndarray)


_bridge = "native"


def set_bridge(new_bridge: str) -> None:
    """What readers return from now on: `"native"` arrays with `asnumpy()`, or `"torch"` tensors.

    Raises:
        NotYetError: another bridge.
    """
    global _bridge
    if new_bridge not in ("native", "torch"):
        raise NotYetError(f"decord bridge {new_bridge!r} is not in Kinema: 'native' and 'torch' are")
    _bridge = new_bridge


def reset_bridge() -> None:
    """Return native arrays again."""
    set_bridge("native")


@contextmanager
def use_torch() -> Iterator[None]:
    """Return torch tensors inside a `with` block."""
    before = _bridge
    set_bridge("torch")
    try:
        yield
    finally:
        set_bridge(before)


def _bridged(array: np.ndarray) -> Any:
    if _bridge == "torch":
        import torch

        return torch.from_numpy(np.ascontiguousarray(array))
    return array.view(NDArray)


class VideoReader:
    """Frames of a video by index.

    Args:
        uri: path, bytes, open binary file or URL.
        ctx: `cpu(0)`, `gpu(0)`; decoding is on the CPU.
        width: of the frames, in pixels; -1 keeps the video's.
        height: of the frames, in pixels; -1 keeps the video's.
        num_threads: threads that decode; 0 for one.
        fault_tol: without effect: a frame that cannot be decoded is a `VideoError`.

    Raises:
        VideoError: it cannot be opened as a video.
    """

    def __init__(
        self,
        uri: VideoSource,
        ctx: Device | None = None,
        width: int = -1,
        height: int = -1,
        num_threads: int = 0,
        fault_tol: int = -1,
    ) -> None:
        self._reader = _VideoReader(uri, num_threads=max(num_threads, 1))
        self._width, self._height = width, height
        self._position = 0

    def __len__(self) -> int:
        return len(self._reader)

    def _batch(self, indices: Any) -> np.ndarray:
        frames = self._reader.get_batch(np.asarray(indices))
        if self._width <= 0 and self._height <= 0:
            return frames
        height, width = frames.shape[1:3]
        return resize_frames(
            frames, (self._width if self._width > 0 else width, self._height if self._height > 0 else height)
        )

    def __getitem__(self, idx: int | slice) -> Any:
        if isinstance(idx, slice):
            return self.get_batch(range(*idx.indices(len(self))))
        return _bridged(self._batch([idx])[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> Any:
        """(N, H, W, 3) uint8 RGB, in the order asked; negative indices count from the end, repeated ones are fine.

        Raises:
            IndexError: an index is outside of the video.
        """
        return _bridged(self._batch(indices))

    def next(self) -> Any:
        """The frame at the reader's position, which moves on by one.

        Raises:
            StopIteration: the video is at its end.
        """
        if self._position >= len(self):
            raise StopIteration
        self._position += 1
        return self[self._position - 1]

    def seek(self, pos: int) -> None:
        """Move the position of `next()` to frame `pos`, exactly (decord goes to the key frame near it).

        Raises:
            IndexError: `pos` is outside of the video.
        """
        if not 0 <= pos < len(self):
            raise IndexError(f"cannot seek to frame {pos} of a video with {len(self)} frames")
        self._position = pos

    seek_accurate = seek

    def skip_frames(self, num: int = 1) -> None:
        """Move the position of `next()` on by `num` frames."""
        self._position += num

    def get_avg_fps(self) -> float:
        """Frames a second, on average."""
        return float(self._reader.fps)

    def get_key_indices(self) -> list[int]:
        """The frames at which decoding can start, ascending."""
        index = self._reader.index
        frames = index.frame_of_packet[index.entries]
        return sorted(set(frames[frames >= 0].tolist()))

    def get_frame_timestamp(self, idx: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """When frames are shown, from and until, in seconds of the file's clock.

        Args:
            idx: a frame, or several; negative ones count from the end.

        Returns:
            (2,) float32 of one frame, (N, 2) of several.

        Raises:
            IndexError: a frame is outside of the video.
        """
        starts = self._reader.timestamps_seconds
        usual = 1 / self._reader.fps if self._reader.fps else 0.0
        ends = np.append(starts[1:], starts[-1:] + usual)
        frames = range(*idx.indices(len(self))) if isinstance(idx, slice) else idx
        return np.stack([starts, ends], axis=1).astype(np.float32)[np.asarray(frames, dtype=np.int64)]
