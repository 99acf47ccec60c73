"""Test protocols by name ("10x3": ten clips, three crops of each), and which part of a video a model saw."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema.errors import ConfigError

Step = dict[str, Any]

NAMED_VIEWS = ("1x1", "5x3", "10x3")
TEST_AUGMENTATIONS = ("flip",)
MAX_CLIPS = 1000
TSN_FRAMES = 25  # the test protocol of TSN, Wang et al. 2016, arXiv:1608.00859, section 5.1
_CROPS = ("CenterCrop", "ThreeCrop", "TenCrop")
# These take `num_clips` over the whole video.
_SPREAD_CLIPS = ("SampleFrames", "SegmentSampleFrames", "UniformSample", "UniformSampleFrames")


@dataclass(frozen=True)
class Views:
    """How many clips of a video are looked at, and how many crops of each; the scores of all are averaged."""

    clips: int
    crops: int

    def __str__(self) -> str:
        return f"{self.clips}x{self.crops}"


def parse_views(text: str) -> Views:
    """`"10x3"` -> ten clips with three crops each.

    Raises:
        ValueError: it is no such text, or the crops are neither 1 nor 3.
    """
    match = re.fullmatch(r"([0-9]{1,4})\s?[x×*]\s?([0-9]{1,4})", text.strip().lower())  # noqa: RUF001 - as papers write it
    clips, crops = map(int, match.groups()) if match else (0, 0)
    if not (1 <= clips <= MAX_CLIPS and crops in (1, 3)):
        raise ValueError(
            f"views must be clips x crops, such as {', '.join(NAMED_VIEWS)}: 1 to {MAX_CLIPS} clips, 1 or 3 crops; got"
            f" {text!r}"
        )
    return Views(clips, crops)


def with_views(pipeline: Sequence[Mapping[str, Any]], views: Views, *, joined_frames: int | None = None) -> list[Step]:
    """A test pipeline that takes other clips and crops.

    Clips of a clip model are spread evenly over the video. A segment model (`input_format="NCHW"`)
    sees frames of the whole video already; several clips mean its own protocol: twice the frames,
    the middles and the beginnings of the segments, where its layers join a fixed number of them
    (TSM); 25 frames where its head averages single frames (TSN). Three crops are squares of the
    crop's size at both ends and in the middle of the longer side of frames whose shorter side has
    that size: together they show all of it. A pipeline that crops nothing shows frames whole
    already, and is not changed for crops.

    Args:
        pipeline: configs of transforms.
        views: what to take.
        joined_frames: frames that the layers of a segment model join; None: any number.

    Raises:
        ConfigError: a step chooses frames or crops in a way that has no such number.
    """
    steps = [dict(step) for step in pipeline]
    is_segments = any(step.get("type") == "FormatShape" and step.get("input_format") == "NCHW" for step in steps)
    change = (lambda step: _more_segments(step, views.clips, joined_frames)) if is_segments else None
    return _with_crops([_with_clips(step, views.clips, change) for step in steps], views.crops)


def with_augmentation(pipeline: Sequence[Mapping[str, Any]], name: str) -> list[Step]:
    """A test pipeline that shows every view in further ways, whose scores are averaged.

    Args:
        pipeline: configs of transforms.
        name: of `TEST_AUGMENTATIONS`. "flip": mirrored too, which suits actions that a mirror does
            not change.

    Raises:
        ValueError: there is no such augmentation.
        ConfigError: no step joins views, `FormatShape`.
    """
    if name not in TEST_AUGMENTATIONS:
        raise ValueError(f"tta must be one of {', '.join(TEST_AUGMENTATIONS)}, got {name!r}")
    steps = [dict(step) for step in pipeline]
    place = next((place for place, step in enumerate(steps) if step.get("type") == "FormatShape"), None)
    if place is None:
        raise ConfigError(f"tta={name!r}: the pipeline has no FormatShape, which joins the views of a video")
    return [*steps[:place], {"type": "MirroredViews"}, *steps[place:]]


def _with_clips(step: Step, clips: int, change: Callable[[Step], Step] | None) -> Step:
    name = str(step.get("type"))
    if name == "DenseSampleFrames":
        return {**step, "num_sample_positions": clips}
    if name in _SPREAD_CLIPS:
        return {**step, "num_clips": clips} if change is None else change(step)
    if "Sample" in name and "Frames" in name:
        raise ConfigError(
            f"views: {name} chooses frames in a way of its own, which has no number of clips: leave views out"
        )
    return step


def _more_segments(step: Step, clips: int, joined_frames: int | None) -> Step:
    if step["type"] != "SampleFrames":
        return {**step, "num_clips": clips}
    if clips == 1:
        return {key: value for key, value in step.items() if key != "twice_sample"}
    if joined_frames is None:
        return {**step, "num_clips": max(TSN_FRAMES, int(step.get("num_clips", 1)))}
    return {**step, "twice_sample": True}


def _with_crops(steps: list[Step], crops: int) -> list[Step]:
    places = [place for place, step in enumerate(steps) if step.get("type") in _CROPS]
    if not places:
        return steps  # frames are seen whole, and there is nothing else to see
    place = places[-1]
    size = steps[place].get("crop_size")
    if crops == 1:
        return [*steps[:place], {"type": "CenterCrop", "crop_size": size}, *steps[place + 1 :]]
    width, height = (size, size) if isinstance(size, int) else tuple(size or (0, 0))
    if width != height or width < 1:
        raise ConfigError(f"views: three crops need a square crop_size, the pipeline has {size!r}")
    resized = max((number for number in range(place) if steps[number].get("type") == "Resize"), default=None)
    resize: Step = {"type": "Resize", "scale": (-1, width)}
    before = steps[:place]
    if resized is None:
        before = [*before, resize]
    else:
        kept = {key: value for key, value in steps[resized].items() if key == "interpolation"}
        before[resized] = resize | kept
    return [*before, {"type": "ThreeCrop", "crop_size": width}, *steps[place + 1 :]]


@dataclass(frozen=True)
class Looked:
    """Which part of a video a model saw.

    Attributes:
        total_frames: of the video, or of its part that the sample is about.
        spans: (first, behind the last) frames that clips span, in order, none touching another.
        fps: frames a second; 0 where unknown.
        frame_share: share of a frame's area that lies in a crop, 0 to 1.
    """

    total_frames: int
    spans: tuple[tuple[int, int], ...]
    fps: float = 0.0
    frame_share: float = 1.0

    @property
    def time_share(self) -> float:
        """Share of the video that lies in a clip, 0 to 1."""
        return sum(stop - first for first, stop in self.spans) / max(self.total_frames, 1)

    @property
    def unseen_seconds(self) -> float:
        """Seconds of the video in no clip; 0 where the frame rate is unknown."""
        return (1 - self.time_share) * self.total_frames / self.fps if self.fps > 0 else 0.0

    def __str__(self) -> str:
        """Such as `4.0-6.1 of 10.0 s`; in frames where the frame rate is unknown."""
        if self.time_share > 0.99:
            return f"all of {self._length}"
        if len(self.spans) == 1:
            first, stop = self.spans[0]
            if self.fps > 0:
                return f"{first / self.fps:.1f}-{stop / self.fps:.1f} of {self._length}"
            return f"{first}-{stop - 1} of {self._length}"
        seen = sum(stop - first for first, stop in self.spans)
        amount = f"{seen / self.fps:.1f}" if self.fps > 0 else str(seen)
        return f"{amount} of {self._length}, in {len(self.spans)} clips"

    @property
    def _length(self) -> str:
        return f"{self.total_frames / self.fps:.1f} s" if self.fps > 0 else f"{self.total_frames} frames"


class Watcher:
    """Notes what the steps of a pipeline choose; call it around each of them.

    Args:
        with_times: ask the video when the chosen frames are shown, which can mean to read all of
            it.

    Attributes:
        facts: `frame_inds`, `clip_len`, `total_frames`, `avg_fps` and `start_index` of the sample,
            once frames are chosen.
        times_seconds: with `with_times`, when the chosen frames are shown, on the clock of the
            video; None where neither the file nor a frame rate says it.
        end_seconds: with `with_times`, where the video ends on that clock; None likewise.
        frame_share: share of a frame's area that lies in a crop, 0 to 1.
        boxes: (1 or frames, 4) left, top, right, bottom of what crops left of each frame, in pixels
            of the frames as they were decoded; None until a step crops.
        original_shape: (H, W) of the frames as they were decoded, once they are.
    """

    def __init__(self, *, with_times: bool = False) -> None:
        self.with_times = with_times
        self.facts: dict[str, Any] = {}
        self.times_seconds: np.ndarray | None = None
        self.end_seconds: float | None = None
        self.frame_share = 1.0
        self.boxes: np.ndarray | None = None
        self.original_shape: tuple[int, int] | None = None

    def run(self, steps: Sequence[Callable[[Any], Any]], sample: Any) -> Any:
        """The sample behind all steps; None when one rejects it."""
        for step in steps:
            shape, boxes = sample.get("img_shape"), sample.get("crop_bbox")
            sample = step(sample)
            if not isinstance(sample, Mapping):
                return sample
            if "frame_inds" in sample and not self.facts:
                keys = ("frame_inds", "clip_len", "total_frames", "avg_fps", "start_index")
                self.facts = {key: sample.get(key) for key in keys}
                if self.with_times:
                    self.times_seconds, self.end_seconds = _times_of(sample)
            self.original_shape = sample.get("original_shape", self.original_shape)
            if shape is not None and sample.get("crop_bbox", boxes) is not boxes:
                crops = np.asarray(sample["crop_bbox"]).reshape(-1, 4)
                self.frame_share *= covered_share(crops, shape)
                whole = (0, 0, *reversed(self.original_shape or shape))
                self.boxes = boxes_within(np.array([whole]) if self.boxes is None else self.boxes, shape, crops)
        return sample

    def looked(self) -> Looked | None:
        """What was seen; None when no step chose frames."""
        total, length = self.facts.get("total_frames"), self.facts.get("clip_len")
        if not isinstance(total, int | np.integer) or not isinstance(length, int | np.integer) or total < 1:
            return None
        frames = np.asarray(self.facts["frame_inds"]).astype(np.int64) - int(self.facts.get("start_index") or 0)
        # Single frames are those of segments, which a model sees together.
        clips = frames.reshape(-1, int(length)) if length > 1 else frames.reshape(1, -1)
        fps = float(self.facts.get("avg_fps") or 0)
        return Looked(int(total), _joined(clips.min(axis=1), clips.max(axis=1) + 1), fps, self.frame_share)


def _joined(firsts: np.ndarray, stops: np.ndarray) -> tuple[tuple[int, int], ...]:
    spans: list[tuple[int, int]] = []
    for first, stop in sorted(zip(firsts.tolist(), stops.tolist(), strict=True)):
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((first, stop))
    return tuple(spans)


def _times_of(sample: Mapping[str, Any]) -> tuple[np.ndarray | None, float | None]:
    """When the chosen frames of a sample are shown, and where its video ends."""
    frames = np.asarray(sample["frame_inds"]).astype(np.int64).reshape(-1)
    fps = float(sample.get("avg_fps") or 0)
    times = getattr(sample.get("video_reader"), "timestamps_seconds", None)
    if times is not None and len(frames) and frames.min() >= 0 and frames.max() < len(times):
        return np.asarray(times, np.float64)[frames], float(times[-1] + (1 / fps if fps > 0 else 0))
    if fps <= 0:
        return None, None
    return (frames - int(sample.get("start_index") or 0)) / fps, int(sample.get("total_frames") or 0) / fps


def boxes_within(boxes: np.ndarray, shape: tuple[int, int], crops: np.ndarray) -> np.ndarray:
    """What a crop leaves of pictures that show boxes of others.

    Args:
        boxes: (1 or n, 4) left, top, right, bottom: what the pictures show, scaled.
        shape: (H, W) of the pictures.
        crops: (1 or n, 4) boxes within them.

    Returns:
        (1 or n, 4) float64, in the coordinates of `boxes`. A crop into more pictures than there
        were shows the first box in each.
    """
    if len(boxes) > 1 and len(crops) not in (1, len(boxes)):
        boxes = boxes[:1]
    scale = (boxes[:, 2:] - boxes[:, :2]) / np.array([shape[1], shape[0]], np.float64)
    corner = boxes[:, :2]
    return np.concatenate([corner + crops[:, :2] * scale, corner + crops[:, 2:] * scale], axis=1)


def covered_share(boxes: np.ndarray, shape: tuple[int, int]) -> float:
    """Share of an image's area that lies in at least one box.

    Args:
        boxes: (n, 4) left, top, right, bottom, pixels.
        shape: (H, W) of the image.
    """
    covered = np.zeros(shape, dtype=bool)
    for left, top, right, bottom in np.unique(boxes, axis=0).astype(int).tolist():
        covered[max(top, 0) : bottom, max(left, 0) : right] = True
    return float(covered.mean()) if covered.size else 1.0
