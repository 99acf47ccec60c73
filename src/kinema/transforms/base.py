"""What passes between transforms (`Sample`), what a transform is, and how transforms are chained."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from kinema.errors import SampleError
from kinema.registry import TRANSFORMS


class Sample(TypedDict, total=False):
    """Every key of a sample dict that Kinema's transforms read or write. Users may add keys of their own.

    Sizes are in pixels, frame counts in frames. A key's writer is named in brackets.
    """

    filename: str  # path of the video [dataset]
    frame_dir: str  # folder of the frames' files [dataset]
    filename_tmpl: str  # name of a frame's file, such as "img_{:05}.jpg", or "flow_{}_{:05d}.jpg" [dataset]
    offset: int  # added to the numbers of frames' files [dataset]
    array: np.ndarray  # (T, H, W, C) frames in memory [dataset]
    label: Any  # class index, or (N,) float multi-hot [dataset]
    sample_idx: int  # place in the dataset [dataset]
    modality: str  # "RGB" or "Flow" [dataset]
    start_index: int  # number of the first frame: 0 for videos, 1 for frame folders [dataset]
    video_reader: Any  # an open reader; None after decoding [OpenVideo]
    total_frames: int  # length of the video [OpenVideo, or the dataset]
    avg_fps: float  # average frames per second [OpenVideo]
    frame_inds: np.ndarray  # (num_clips * clip_len,) int32, frames to decode, clip after clip [SampleFrames]
    clip_len: int  # frames of a clip, T [SampleFrames]
    num_clips: int  # clips of a sample [SampleFrames]
    frame_interval: int | None  # frames between two neighbours of a clip; None when they vary [SampleFrames]
    clip_interval: int  # frames between the middles of two clips [UntrimmedSampleFrames]
    imgs: Any  # list of, or stacked, (H, W, 3) uint8 RGB frames [DecodeVideo]; after FormatShape one array
    original_shape: tuple[int, int]  # (H, W) as decoded [DecodeVideo]
    img_shape: tuple[int, int]  # (H, W) of `imgs` now [DecodeVideo, Resize, crops]
    keep_ratio: bool  # whether the last resize kept the shape of the image [Resize]
    scale_factor: np.ndarray  # (2,) float32, width and height now over the decoded ones [Resize]
    short_edge: int  # short side drawn [RandomRescale]
    scales: tuple[float, ...]  # shares of the short side to crop [MultiScaleCrop]
    crop_bbox: (
        np.ndarray
    )  # (4,) int, left, top, right, bottom of the last crop in its input; (frames, 4) of several [crops]
    crop_quadruple: np.ndarray  # (4,) float32, left, top, width, height kept of the decoded frame, in [0, 1] [crops]
    flip: bool  # whether the frames are mirrored [Flip]
    flip_direction: str  # "horizontal" or "vertical" [Flip]
    input_shape: tuple[int, ...]  # shape of `imgs` after FormatShape [FormatShape]


# Who writes what the others read: the hint when a key is missing.
_WRITERS = {
    "filename": "the dataset",
    "frame_dir": "a dataset of frame folders",
    "filename_tmpl": "a dataset of frame folders",
    "array": "the dataset",
    "label": "the dataset",
    "total_frames": "OpenVideo (or a dataset of frame folders)",
    "video_reader": "OpenVideo",
    "avg_fps": "OpenVideo",
    "frame_inds": "SampleFrames",
    "clip_len": "SampleFrames",
    "num_clips": "SampleFrames",
    "imgs": "DecodeVideo",
    "img_shape": "DecodeVideo",
}


class BaseTransform(ABC):
    """A step of a pipeline: `transform(sample)` changes the dict it is given and returns it, or None to reject the sample."""

    def __call__(self, results: Any) -> Any:
        """Call `transform`, naming the transform and the key's writer when `results` misses a key."""
        try:
            return self.transform(results)
        except KeyError as error:
            key = error.args[0] if error.args else None
            if (
                isinstance(error, SampleError)
                or not isinstance(results, Mapping)
                or key not in _WRITERS
                or key in results
            ):
                raise
            raise SampleError(
                f"{type(self).__name__} needs the key {key!r}, which {_WRITERS[key]} writes: put that before it in the "
                f"pipeline (the sample has {', '.join(map(str, results)) or 'no keys'})"
            ) from error

    @abstractmethod
    def transform(self, results: Any) -> Any:
        """Change `results` and return it; None rejects the sample.

        Args:
            results: the sample, a dict; see `Sample`.
        """


class Compose:
    """Run transforms one after the other; stop with None as soon as one returns None.

    Args:
        transforms: callables, or configs of transforms (`dict(type="Resize", scale=(-1, 256))`).

    Raises:
        TypeError: an entry is neither.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any] | Callable[[Any], Any]] | None = None) -> None:
        self.transforms: list[Callable[[Any], Any]] = []
        for transform in transforms or []:
            if isinstance(transform, Mapping):
                transform = TRANSFORMS.build(transform)
            if not callable(transform):
                raise TypeError(
                    f"a transform must be a callable or a dict with 'type', got {type(transform).__name__}: {transform!r}"
                )
            self.transforms.append(transform)

    def __call__(self, data: Any) -> Any:
        for transform in self.transforms:
            data = transform(data)
            if data is None:
                return None
        return data

    def __repr__(self) -> str:
        steps = "".join(f"\n    {transform!r}" for transform in self.transforms)
        return f"{type(self).__name__}({steps}\n)"
