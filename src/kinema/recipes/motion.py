"""How much of a model's accuracy is motion: what is left of it when the frames of each clip come in another order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from kinema.datasets.annotations import Split
from kinema.datasets.annotations.grouping import source_video_of
from kinema.errors import ConfigError, SampleValueError
from kinema.evaluation import AccuracyInterval
from kinema.evaluation.intervals import accuracy_interval
from kinema.evaluation.paired import PairedComparison, compare_hits
from kinema.inference import VideoRecognizer
from kinema.models.features import joined_frames
from kinema.recipes.evaluation import Evaluation, evaluate
from kinema.registry import TRANSFORMS
from kinema.transforms import BaseTransform
from kinema.transforms.base import Sample, name_of
from kinema.transforms.decoding import ArrayDecode, DecodeVideo, RawFrameDecode, is_kind

FrameOrder = Literal["shuffled", "reversed", "one_frame"]
FRAME_ORDERS: tuple[FrameOrder, ...] = get_args(FrameOrder)
_ONE_LABEL = "{}: how much of the accuracy is motion is measured where each clip has one label and one score a class"
_CERTAIN = 0.05  # the p-value below which a difference is one


@dataclass(frozen=True)
class MotionShare:
    """How a recognizer does on the same clips with their frames in other orders.

    Attributes:
        unchanged: accuracy with the frames as they are.
        shuffled: with the frames of each clip in a random order: what they show, without how it
            changes.
        reversed: with each clip played backwards.
        one_frame: with the middle frame of each clip in the place of all: no motion at all.
        losses: for each of the three, the comparison of the clips as they are (first) with the
            changed ones (second), clip by clip.
        chance: accuracy of always saying the most frequent class of these clips.
    """

    unchanged: AccuracyInterval
    shuffled: AccuracyInterval
    reversed: AccuracyInterval
    one_frame: AccuracyInterval
    losses: Mapping[str, PairedComparison]
    chance: float

    def points(self, order: FrameOrder) -> float:
        """Points of accuracy, of 100, that are lost with the frames in that order."""
        return -100 * self.losses[order].difference

    def is_certain(self, order: FrameOrder) -> bool:
        """Do the clips show that this order makes a difference (McNemar's exact test, 5 %)?"""
        return self.losses[order].p_value < _CERTAIN

    @property
    def sentence(self) -> str:
        """What it means, in a sentence."""
        frames, order, direction = self._amount("one_frame"), self._amount("shuffled"), self._amount("reversed")
        return (
            f"Of {self.unchanged.value:.0%} accuracy on {self.unchanged.num_clips} clips, {frames} need more than one"
            f" frame, {order} need the order of the frames, and the direction of time matters for {direction}."
        )

    def _amount(self, order: FrameOrder) -> str:
        points = round(self.points(order))
        if points < 1:
            better = f" ({-points} more are right without)" if points and self.is_certain(order) else ""
            return f"no points{better}"
        unit = "point" if points == 1 else "points"
        return f"{points} {unit}" if self.is_certain(order) else f"{points} {unit} (which may be chance)"

    def to_dict(self) -> dict[str, Any]:
        """As JSON: accuracies with their intervals, points lost, p-values, and the sentence."""
        intervals: dict[str, AccuracyInterval] = {name: getattr(self, name) for name in ("unchanged", *FRAME_ORDERS)}
        accuracies = {
            name: {"accuracy": interval.value, "low": interval.low, "high": interval.high}
            for name, interval in intervals.items()
        }
        return {
            **accuracies,
            "points_lost": {order: self.points(order) for order in FRAME_ORDERS},
            "p_values": {order: self.losses[order].p_value for order in FRAME_ORDERS},
            "num_clips": self.unchanged.num_clips,
            "chance": self.chance,
            "sentence": self.sentence,
        }


def motion_share(
    recognizer: VideoRecognizer,
    split: Split,
    *,
    seed: int = 0,
    unchanged: Evaluation | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    allow_broken: bool = False,
    views: str | None = None,
) -> MotionShare:
    """Measure how much of a recognizer's accuracy is motion, by the frames of labelled clips in other orders.

    Args:
        recognizer: as `kinema.load` gives it.
        split: labelled clips.
        seed: of the shuffled orders; a clip's order depends on it and the clip's place alone.
        unchanged: the evaluation of these clips as they are, with the same `views`, where there is
            one; None: it is measured too.
        batch_size: see `evaluate`, as the rest.
        workers: see there.
        allow_broken: see there.
        views: see there.

    Raises:
        ConfigError: the clips have several labels, or the pipeline decodes no frames.
        AnnotationError: see `evaluate`.
        VideoError: see there.
        CheckpointError: see there.
    """
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "workers": workers,
        "allow_broken": allow_broken,
        "views": views,
    }
    if recognizer.is_multi_label:
        raise ConfigError(_ONE_LABEL.format(recognizer.name))
    hits = {"unchanged": _hits(unchanged or evaluate(recognizer, split, **options))}
    for order in FRAME_ORDERS:
        change = frames_in_order(recognizer, order, seed=seed)
        hits[order] = _hits(evaluate(recognizer, split, change_pipeline=change, **options))
    common = [place for place in hits["unchanged"] if all(place in others for others in hits.values())]
    right = {name: np.array([places[place] for place in common]) for name, places in hits.items()}
    paths, labels = split.annotations.paths, split.annotations.labels
    sources = [source_video_of(paths[place]) for place in common]
    counts = np.unique([labels.of(place)[0] for place in common], return_counts=True)[1]
    return MotionShare(
        **{name: accuracy_interval(outcome, sources) for name, outcome in right.items()},
        losses={order: compare_hits(right["unchanged"], right[order], sources) for order in FRAME_ORDERS},
        chance=float(counts.max() / len(common)),
    )


def _hits(evaluation: Evaluation) -> dict[int, bool]:
    """Is the clip at each place of the split right?"""
    if evaluation.clips is None or evaluation.clips.is_multi_label:
        raise ConfigError(_ONE_LABEL.format(evaluation.source))
    return dict(zip(evaluation.places.tolist(), evaluation.clips.hits.tolist(), strict=True))


def frames_in_order(
    recognizer: VideoRecognizer, order: FrameOrder, *, seed: int = 0
) -> Callable[[list[Any]], list[Any]]:
    """What `evaluate` takes as `change_pipeline`: the frames of each clip in another order.

    Args:
        recognizer: says which frames its model sees together.
        order: see `MotionShare`.
        seed: of shuffled orders.

    Raises:
        ConfigError: by what is returned, where the pipeline decodes no frames.
    """
    together = joined_frames(recognizer.model)

    def change(pipeline: list[Any]) -> list[Any]:
        kinds = [step.get("type") if isinstance(step, Mapping) else type(step) for step in pipeline]
        classes = [TRANSFORMS.get(kind) if isinstance(kind, str) else kind for kind in kinds]
        decoders = DecodeVideo, RawFrameDecode, ArrayDecode
        places = [place for place, kind in enumerate(classes) if is_kind(kind, *decoders)]
        if not places:
            raise ConfigError(f"{recognizer.name}: its pipeline decodes no frames, whose order could be changed")
        is_segments = any(isinstance(step, Mapping) and step.get("input_format") == "NCHW" for step in pipeline)
        reorder = ReorderFrames(order, seed=seed, segments=is_segments, together=together if is_segments else None)
        return [*pipeline[: places[0]], reorder, *pipeline[places[0] :]]

    return change


class ReorderFrames(BaseTransform):
    """Put the chosen frames of each clip into another order. Reads and writes `frame_inds`.

    Reads `clip_len`, `sample_idx` too. It stands between the step that chooses frames and the one
    that decodes them.

    Args:
        order: see `MotionShare`.
        seed: of shuffled orders.
        segments: single frames of a whole video make up one clip, as models of segments see them.
        together: of segments, how many; None: all.

    Raises:
        ValueError: there is no such order.
        SampleValueError: the frames are no multiple of those of a clip.
    """

    def __init__(
        self, order: FrameOrder, *, seed: int = 0, segments: bool = False, together: int | None = None
    ) -> None:
        if order not in FRAME_ORDERS:
            raise ValueError(f"order must be one of {', '.join(FRAME_ORDERS)}, got {order!r}")
        self.order = order
        self.seed = seed
        self.segments = segments
        self.together = together

    def transform(self, results: Sample) -> Sample:
        frames = np.asarray(results["frame_inds"]).reshape(-1)
        length: Any = (self.together or len(frames)) if self.segments else results["clip_len"]
        if not isinstance(length, int | np.integer) or length < 1 or len(frames) % length:
            raise SampleValueError(f"{len(frames)} frames are not clips of {length!r} ({name_of(results)})")
        rng = np.random.default_rng([self.seed, int(results.get("sample_idx", 0))])
        clips = [self._reordered(clip, rng) for clip in frames.reshape(-1, length)]
        results["frame_inds"] = np.concatenate(clips)
        return results

    def _reordered(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.order == "reversed":
            return clip[::-1]
        if self.order == "one_frame" or (clip == clip[0]).all():
            return np.full_like(clip, clip[len(clip) // 2])
        while True:  # by chance nothing may change, in short clips
            shuffled = rng.permutation(clip)
            if (shuffled != clip).any():
                return shuffled

    def __repr__(self) -> str:
        return f"ReorderFrames(order={self.order!r}, seed={self.seed})"
