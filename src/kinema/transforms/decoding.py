"""From a file name to frames."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample
from kinema.video import VideoReader


@TRANSFORMS.register_module(name=["OpenVideo", "DecordInit", "PyAVInit", "OpenCVInit"])
class OpenVideo(BaseTransform):
    """Open the video of a sample.

    Reads `filename`; a name without an extension means an mp4 file. Writes `video_reader`, `total_frames`, `avg_fps`.

    Args:
        io_backend: only "disk": the file is read where it lies.
        num_threads: threads that decode this video.

    Raises:
        ValueError: `io_backend` is another.
        VideoError: the file cannot be opened as a video.
    """

    def __init__(self, io_backend: Literal["disk"] = "disk", num_threads: int = 1) -> None:
        if io_backend not in ("disk", "local"):
            raise ValueError(f"OpenVideo reads files where they lie: io_backend must be 'disk', got {io_backend!r}")
        self.num_threads = num_threads

    def transform(self, results: Sample) -> Sample:
        path = Path(results["filename"])
        reader = VideoReader(path if path.suffix else path.with_suffix(".mp4"), num_threads=self.num_threads)
        results["video_reader"] = reader
        results["total_frames"] = len(reader)
        results["avg_fps"] = reader.fps
        return results

    def __repr__(self) -> str:
        return f"OpenVideo(num_threads={self.num_threads})"


@TRANSFORMS.register_module(name=["DecodeVideo", "DecordDecode", "OpenCVDecode"])
class DecodeVideo(BaseTransform):
    """Decode the chosen frames, exactly, and close the video.

    Reads `video_reader`, `frame_inds`. Writes `imgs` (num_frames, H, W, 3) uint8 RGB, `original_shape`, `img_shape`;
    `video_reader` becomes None.

    Args:
        mode: "accurate"; the "efficient" of old configs, which took key frames in place of the frames asked for,
            decodes the exact frames too.

    Raises:
        ValueError: `mode` is neither.
        VideoError: a frame cannot be decoded.
    """

    def __init__(self, mode: Literal["accurate", "efficient"] = "accurate") -> None:
        if mode not in ("accurate", "efficient"):
            raise ValueError(f"DecodeVideo: mode must be 'accurate' or 'efficient', got {mode!r}")
        self.mode = mode

    def transform(self, results: Sample) -> Sample:
        reader: Any = results["video_reader"]
        frames = np.asarray(results["frame_inds"]).reshape(-1)
        images = reader.get_batch(frames)
        reader.close()
        results["video_reader"] = None
        results["imgs"] = images
        results["original_shape"] = results["img_shape"] = images.shape[1:3]
        return results

    def __repr__(self) -> str:
        return f"DecodeVideo(mode={self.mode!r})"


@TRANSFORMS.register_module(name="PyAVDecode")
def pyav_decode(multi_thread: bool = False, mode: Literal["accurate", "efficient"] = "accurate") -> DecodeVideo:
    """`DecodeVideo` with the arguments that configs give `PyAVDecode`; threads are set where the video is opened."""
    return DecodeVideo(mode)
