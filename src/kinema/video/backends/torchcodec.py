"""torchcodec, on the CPU or on a CUDA device.

It numbers frames by their time: packed B-frames in AVI lose order.
"""

from contextlib import closing
from functools import cached_property
from typing import Any

import numpy as np

from kinema.errors import MissingDependencyError, VideoError
from kinema.video.backends.base import CheckedSource, errors_of
from kinema.video.backends.libraries import load_library
from kinema.video.backends.pyav import PyAVBackend
from kinema.video.limits import VideoLimits
from kinema.video.source import VideoSource


class TorchcodecBackend:
    """A `Backend` over `torchcodec.decoders.VideoDecoder` in its exact seek mode.

    Args:
        source: path, bytes, or seekable binary file object.
        device: "cpu", "cuda" or "cuda:1", ...: where to decode. Frames come back to the CPU as
            arrays.
        num_threads: decoder threads, on the CPU.
        rotate: turn the frames as the file's rotation metadata says.
        limits: what the file may ask for; None for `default_limits()`.

    Raises:
        MissingDependencyError: torchcodec does not load or is too old, or torch sees no CUDA
            device.
        VideoError: there is no such file, or it is no video.
    """

    def __init__(
        self,
        source: VideoSource,
        device: str = "cpu",
        *,
        num_threads: int = 1,
        rotate: bool = True,
        limits: VideoLimits | None = None,
    ) -> None:
        self._library = load_library("torchcodec")
        if device != "cpu":
            _check_cuda(device)
        self._checked = CheckedSource.check(source, limits)
        self.watch = self._checked.watch
        self._device = device
        self._num_threads = num_threads
        self._decoder: Any = self._open()
        metadata = self._decoder.metadata
        applied = _applied_quarter_turns(metadata)
        self._undone_quarter_turns = 0 if rotate else applied
        self.num_frames: int = metadata.num_frames
        self.watch.check_frames(self.num_frames)
        self.fps = float(metadata.average_fps or 0)
        self.width: int = metadata.width
        self.height: int = metadata.height
        if self._undone_quarter_turns % 2:
            self.width, self.height = self.height, self.width

    def _open(self) -> Any:
        with errors_of("torchcodec", self._checked.name):
            return self._library.VideoDecoder(
                self._checked.target(),
                stream_index=self._checked.stream_index,
                dimension_order="NHWC",
                num_ffmpeg_threads=self._num_threads,
                device=self._device,
                seek_mode="exact",
            )

    @cached_property
    def timestamps_seconds(self) -> np.ndarray:
        """(num_frames,) float64, from the packets: torchcodec gives the time of a frame only together with the frame.

        Raises:
            VideoError: torchcodec counts other frames than the packets say.
        """
        with closing(PyAVBackend(self._checked.source, limits=self.watch.limits)) as packets:
            if packets.num_frames != self.num_frames:
                raise VideoError(
                    f"{self._checked.name}: torchcodec counts {self.num_frames} frames of {packets.num_frames}, so"
                    " their times are unknown: use the backend 'pyav'"
                )
            return np.sort(packets.timestamps_seconds)  # torchcodec's order

    def decode(self, indices: np.ndarray, *, stays: bool = False) -> np.ndarray:
        self.watch.check_memory(len(indices), self.height, self.width)
        decoder, self._decoder = self._decoder or self._open(), None  # one that fails is not asked again
        with errors_of("torchcodec", self._checked.name):
            frames: np.ndarray = decoder.get_frames_at(indices.tolist()).data.cpu().numpy()
        self._decoder = decoder
        if self._undone_quarter_turns:
            frames = np.ascontiguousarray(np.rot90(frames, -self._undone_quarter_turns, axes=(1, 2)))
        return frames

    def close(self) -> None:
        self._decoder = None


def _check_cuda(device: str) -> None:
    import torch

    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise MissingDependencyError(
            f"the video backend 'torchcodec:{device}' is absent: torch sees {torch.cuda.device_count()} CUDA devices; "
            "use 'torchcodec' to decode on the CPU"
        )


def _applied_quarter_turns(metadata: Any) -> int:
    """Counter-clockwise quarter turns that torchcodec gives each frame.

    Raises:
        MissingDependencyError: this version neither turns frames nor reports that the file asks for
            it.
    """
    if not hasattr(metadata, "rotation"):
        raise MissingDependencyError(
            "this torchcodec does not know of rotated videos: pip install 'torchcodec>=0.11', built for the torch you"
            " have"
        )
    return round((metadata.rotation or 0) / 90) % 4
