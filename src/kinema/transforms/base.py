"""What passes between transforms (`Sample`), what a transform is, and how transforms are chained."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypedDict, get_type_hints

import numpy as np

from kinema.errors import SampleError
from kinema.registry import TRANSFORMS

_FRAME_FOLDERS = "a dataset of frame folders"
_GROUPS = "a dataset of labels in groups"


class LazySteps(TypedDict):
    """What `Fuse` has to do yet: crop, then resize to the sample's `img_shape`, then mirror."""

    original_shape: tuple[int, int]  # (H, W) of the frames as they are
    crop_bbox: np.ndarray  # (4,) float32 left, top, right, bottom in the frames as they are
    flip: bool
    flip_direction: str | None
    interpolation: str | None  # of the last resize


class Sample(TypedDict, total=False):
    """Every key of a sample dict that Kinema's transforms read or write, and who writes it.

    Users may add keys of their own.

    Sizes are in pixels, frame counts in frames.
    """

    filename: Annotated[str, "the dataset"]  # path of the video
    video_bytes: Annotated[Any, "ShardDataset"]  # the video's file in memory, or a FileSlice, until OpenVideo takes it
    start_seconds: Annotated[float, "the dataset"]  # of a part of a video, from its first frame on; NaN: its start
    end_seconds: Annotated[float, "the dataset"]  # a frame that is shown then is not part of it; NaN: the video's end
    start_frame: Annotated[float, "the dataset"]  # the same in frames, in place of seconds
    end_frame: Annotated[float, "the dataset"]  # the first frame behind the part
    frame_dir: Annotated[str, _FRAME_FOLDERS]  # folder of the frames' files
    filename_tmpl: Annotated[str, _FRAME_FOLDERS]  # a frame file's name: "img_{:05}.jpg", "flow_{}_{:05d}.jpg"
    offset: Annotated[int, _FRAME_FOLDERS]  # added to the numbers of frames' files
    array: Annotated[np.ndarray, "the dataset"]  # (T, H, W, C) frames in memory
    img_path: Annotated[str, "a dataset of images"]  # path of one image
    label: Annotated[Any, "the dataset"]  # class index, or (N,) float multi-hot
    categories: Annotated[Sequence[str], _GROUPS]  # names of the groups
    category_nums: Annotated[Sequence[int], _GROUPS]  # classes of each
    mask: Annotated[Any, "LoadHVULabel"]  # (N,) float32, 1 where a class is annotated
    category_mask: Annotated[Any, "LoadHVULabel"]  # (groups,) float32
    sample_idx: Annotated[int, "the dataset"]  # place in the dataset
    modality: Annotated[str, "the dataset"]  # "RGB", "Flow" or "Pose"
    start_index: Annotated[
        int, "the dataset"
    ]  # number of the first frame: 0 for videos (OpenVideo adds that of a part), 1 for folders
    text: Annotated[Any, "the dataset"]  # a caption
    audio_path: Annotated[str, "a dataset of sound"]  # file of features of the sound
    audios: Annotated[np.ndarray, "LoadAudioFeature"]  # (rows, bands) of the sound; then (clips, rows, bands)
    audios_shape: Annotated[tuple[int, ...], "AudioFeatureSelector"]  # shape of `audios` after it
    length: Annotated[int, "LoadAudioFeature"]  # rows of the sound's features
    video_reader: Annotated[Any, "OpenVideo"]  # an open reader; None after decoding
    new_path: Annotated[str, "OpenCVInit"]  # path of the file that is open
    total_frames: Annotated[int, "OpenVideo (or the dataset)"]  # length of the video, or of its part
    num_replaced_frames: Annotated[int, "OpenVideo"]  # of errors="keep-good": frames of `imgs` in place of damaged ones
    avg_fps: Annotated[float, "OpenVideo"]  # average frames per second
    frame_inds: Annotated[
        np.ndarray, "SampleFrames"
    ]  # (num_clips * clip_len,) int32, frames to decode, clip after clip
    clip_len: Annotated[int, "SampleFrames"]  # frames of a clip, T; a dict by modality when there are several
    num_clips: Annotated[int, "SampleFrames"]  # clips of a sample
    frame_interval: Annotated[int | None, "SampleFrames"]  # between two neighbours of a clip; None when it varies
    clip_interval: Annotated[int, "UntrimmedSampleFrames"]  # frames between the middles of two clips
    imgs: Annotated[Any, "DecodeVideo"]  # list of, or stacked, (H, W, 3) uint8 RGB; after FormatShape one array
    original_shape: Annotated[tuple[int, int], "DecodeVideo"]  # (H, W) as decoded
    img_shape: Annotated[tuple[int, int], "DecodeVideo"]  # (H, W) of `imgs` now
    motion_vectors: Annotated[np.ndarray, "PyAVDecodeMotionVector"]  # (num_frames, H, W, 2) int8
    img: Annotated[np.ndarray, "LoadRGBFromFile"]  # (H, W, 3) uint8 RGB, one image
    ori_shape: Annotated[tuple[int, ...], "LoadRGBFromFile"]  # (H, W) of `img` as read
    keypoint: Annotated[np.ndarray, "a dataset of poses"]  # (M, T, K, 2) x and y of joints, in pixels
    keypoint_score: Annotated[np.ndarray, "a dataset of poses"]  # (M, T, K) confidence of the joints
    gt_bboxes: Annotated[np.ndarray, "a dataset of boxes"]  # (boxes, 4) left, top, right, bottom
    gt_labels: Annotated[np.ndarray, "a dataset of boxes"]  # (boxes, ...) their classes
    proposals: Annotated[np.ndarray, "a dataset of boxes"]  # (boxes, 4) boxes that a detector proposed
    num_proposals: Annotated[int, "a dataset of boxes"]  # parts of the video whose clips `imgs` holds
    keep_ratio: Annotated[bool, "Resize"]  # whether the last resize kept the shape of the image
    scale_factor: Annotated[np.ndarray, "Resize"]  # (2,) float32, width and height now over the decoded ones
    short_edge: Annotated[int, "RandomRescale"]  # short side drawn
    scales: Annotated[tuple[float, ...], "MultiScaleCrop"]  # shares of the short side to crop
    crop_bbox: Annotated[np.ndarray, "a crop"]  # (4,) int, left, top, right, bottom of the last; (frames, 4) of several
    crop_quadruple: Annotated[
        np.ndarray, "a crop"
    ]  # (4,) float32, x, y, width, height kept of the decoded frame, 0 to 1
    flip: Annotated[bool, "Flip"]  # whether the frames are mirrored
    flip_direction: Annotated[str, "Flip"]  # "horizontal" or "vertical"
    lazy: Annotated[LazySteps, "a step with lazy=True"]  # what `Fuse` has to do yet
    heatmap_imgs: Annotated[np.ndarray, "a transform of poses"]  # (frames, K, H, W) float32 heat maps of joints
    heatmap_input_shape: Annotated[tuple[int, ...], "FormatShape"]  # shape of `heatmap_imgs` after it
    input_shape: Annotated[tuple[int, ...], "FormatShape"]  # shape of `imgs` after it


_WRITERS: dict[str, str] = {
    key: hint.__metadata__[0] for key, hint in get_type_hints(Sample, include_extras=True).items()
}


def explain_missing_key(error: KeyError, who: str, sample: Any) -> None:
    """Raise a SampleError when `sample` lacks a documented key; names the transform and the writer.

    Args:
        error: what the transform raised.
        who: name of the transform.
        sample: what it was given.
    """
    key = error.args[0] if error.args else None
    if isinstance(error, SampleError) or not isinstance(sample, Mapping) or key not in _WRITERS or key in sample:
        return
    raise SampleError(
        f"{who} needs the key {key!r}, which {_WRITERS[key]} writes: put that before it in the pipeline "
        f"(the sample has {', '.join(map(str, sample)) or 'no keys'})"
    ) from error


def name_of(results: Sample) -> str:
    """The file of a sample, for errors."""
    return str(results.get("filename") or results.get("frame_dir") or "unnamed sample")


class BaseTransform(ABC):
    """A step of a pipeline.

    `transform(sample)` changes the dict it is given and returns it, or None to reject the sample.
    """

    def __call__(self, results: Any) -> Any:
        """Call `transform`; the error of a missing key names the transform and the key's writer."""
        try:
            return self.transform(results)
        except KeyError as error:
            explain_missing_key(error, type(self).__name__, results)
            raise

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

    Attributes:
        configs: the configs that it was made from; None where an entry was none.

    Raises:
        TypeError: an entry is neither.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any] | Callable[[Any], Any]] | None = None) -> None:
        self.transforms: list[Callable[[Any], Any]] = []
        steps = list(transforms or [])
        configs = [dict(step) for step in steps if isinstance(step, Mapping)]
        self.configs: list[dict[str, Any]] | None = configs if len(configs) == len(steps) else None
        for transform in steps:
            if isinstance(transform, Mapping):
                transform = TRANSFORMS.build(transform)
            if not callable(transform):
                raise TypeError(
                    f"a transform must be a callable or a dict with 'type', got {type(transform).__name__}:"
                    f" {transform!r}"
                )
            self.transforms.append(transform)

    def __call__(self, data: Any) -> Any:
        for transform in self.transforms:
            try:
                data = transform(data)
            except KeyError as error:  # of a function, or of a class that has a __call__ of its own
                explain_missing_key(error, getattr(transform, "__name__", type(transform).__name__), data)
                raise
            if data is None:
                return None
        return data

    def __repr__(self) -> str:
        steps = "".join(f"\n    {transform!r}" for transform in self.transforms)
        return f"{type(self).__name__}({steps}\n)"
