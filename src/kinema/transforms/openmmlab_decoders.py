"""The names that OpenMMLab has for opening and decoding a video, one for each library.

All read and decode as `OpenVideo` and `DecodeVideo` do: exactly, whatever the name and the mode.
"""

import logging
from typing import Literal

import numpy as np

from kinema.registry import TRANSFORMS
from kinema.transforms.base import Sample
from kinema.transforms.decoding import DecodeVideo, OpenVideo

logger = logging.getLogger("kinema")

Mode = Literal["accurate", "efficient"]


@TRANSFORMS.register_module()
class DecordInit(OpenVideo):
    """`OpenVideo`, by the name for Decord. Arguments as there."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(io_backend={self.io_backend}, num_threads={self.num_threads})"


@TRANSFORMS.register_module()
class PyAVInit(OpenVideo):
    """`OpenVideo`, by the name for PyAV. Arguments as there."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(io_backend={self.io_backend})"


@TRANSFORMS.register_module()
class OpenCVInit(OpenVideo):
    """`OpenVideo`, by the name for OpenCV. Arguments as there. Writes `new_path` too, the path of the file."""

    def transform(self, results: Sample) -> Sample:
        results = super().transform(results)
        results["new_path"] = results["filename"]
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(io_backend={self.io_backend})"


@TRANSFORMS.register_module()
class PIMSInit(OpenVideo):
    """`OpenVideo`, by the name for PIMS.

    Args:
        io_backend: see `OpenVideo`.
        mode: shown, and named in the log if it is not "accurate": it changes nothing.
    """

    def __init__(self, io_backend: Literal["disk"] = "disk", mode: Mode = "accurate") -> None:
        super().__init__(io_backend)
        self.mode = checked_mode(type(self).__name__, mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(io_backend={self.io_backend}, mode={self.mode})"


@TRANSFORMS.register_module()
class DecordDecode(DecodeVideo):
    """`DecodeVideo`, by the name for Decord.

    Args:
        mode: shown, and named in the log if it is not "accurate": it changes nothing.
    """

    def __init__(self, mode: Mode = "accurate") -> None:
        super().__init__()
        self.mode = checked_mode(type(self).__name__, mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mode={self.mode})"


@TRANSFORMS.register_module()
class PyAVDecode(DecodeVideo):
    """`DecodeVideo`, by the name for PyAV.

    Args:
        multi_thread: shown, and named in the log if it is True: `num_threads` of the step that
            opens the video sets its threads.
        mode: shown, and named in the log if it is not "accurate": it changes nothing.
    """

    def __init__(self, multi_thread: bool = False, mode: Mode = "accurate") -> None:
        super().__init__()
        if multi_thread:
            logger.info("%s: multi_thread has no effect: set num_threads of PyAVInit", type(self).__name__)
        self.multi_thread = multi_thread
        self.mode = checked_mode(type(self).__name__, mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(multi_thread={self.multi_thread}, mode={self.mode})"


@TRANSFORMS.register_module()
class PyAVDecodeMotionVector(PyAVDecode):
    """Read the motion vectors of the chosen frames in place of their pixels, and close the video.

    Reads `video_reader`, `frame_inds`. Writes `motion_vectors` (num_frames, H, W, 2) int8, see
    `VideoReader.motion_vectors`, and `frame_inds` (num_frames,); `video_reader` becomes None.

    Arguments as in `PyAVDecode`.

    Raises:
        VideoError: a frame cannot be decoded.
    """

    def transform(self, results: Sample) -> Sample:
        reader = results["video_reader"]
        results["frame_inds"] = np.asarray(results["frame_inds"]).reshape(-1)
        results["motion_vectors"] = reader.motion_vectors(results["frame_inds"])
        reader.close()
        results["video_reader"] = None
        return results


@TRANSFORMS.register_module()
class OpenCVDecode(DecodeVideo):
    """`DecodeVideo`, by the name for OpenCV."""


@TRANSFORMS.register_module()
class PIMSDecode(DecodeVideo):
    """`DecodeVideo`, by the name for PIMS."""


def checked_mode(who: str, mode: Mode) -> Mode:
    """`mode`, which is named in the log where the original would take other frames.

    Raises:
        ValueError: there is no such mode.
    """
    if mode not in ("accurate", "efficient"):
        raise ValueError(f"{who}: mode must be 'accurate' or 'efficient', got {mode!r}")
    if mode == "efficient":
        logger.info("%s: mode='efficient' has no effect: the frames that were asked for are decoded", who)
    return mode
