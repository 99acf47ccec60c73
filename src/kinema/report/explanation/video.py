"""Explaining what a recognizer says of a video: which places, and which moments, spoke for a class."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from kinema.datasets import pseudo_collate
from kinema.errors import ConfigError
from kinema.inference import VideoRecognizer
from kinema.report.explanation.explainer import Explainer
from kinema.report.explanation.gradcam import GradCam
from kinema.report.explanation.overlay import beside, overlay
from kinema.report.strips import model_views, normalisation_of
from kinema.spelling import nearest
from kinema.transforms import Compose

_IMPORTANT = 0.5  # of the relevance of the most relevant frame, from which a frame belongs to a moment

_LONGEST_GAP = 3  # usual distances of frames; a longer one lies between two clips


@dataclass(frozen=True)
class Moment:
    """A stretch of a video that spoke for the class.

    Attributes:
        start_seconds: of its first frame, on the clock of the video.
        end_seconds: where the time of its last frame ends.
        share: of the relevance of all frames, 0 to 1.
    """

    start_seconds: float
    end_seconds: float
    share: float

    def __str__(self) -> str:
        """Such as `1.2-1.9 s (46 %)`."""
        return f"{self.start_seconds:.1f}-{self.end_seconds:.1f} s ({self.share:.0%})"


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a recognizer looked at in a video: V views of T frames.

    Attributes:
        video: the video, as messages call it.
        label: the class that is explained.
        score: what the recognizer gives it, as in a prediction.
        frames: (V, T, H, W, 3) uint8 RGB, as the model saw them.
        maps: (V, T, H, W) float32, 0 to 1: how much each place spoke for the class. All 0: nothing
            did.
        frame_numbers: (V, T) of the frames in the video.
        times_seconds: (V, T) when they are shown, on the clock of the video; None: not known.
        boxes: (V, T, 4) left, top, right, bottom of what each frame shows, in pixels of the video's
            frames.
        frame_shape: (H, W) of the video's frames.
        layer: the layer that was looked into.
        end_seconds: where the video ends, on its clock; None: not known.
    """

    video: str
    label: str
    score: float
    frames: np.ndarray
    maps: np.ndarray
    frame_numbers: np.ndarray
    times_seconds: np.ndarray | None
    boxes: np.ndarray
    frame_shape: tuple[int, int]
    layer: str
    end_seconds: float | None = None

    @cached_property
    def over_time(self) -> np.ndarray:
        """(V, T) share of the relevance of each frame, 1 in sum; all 0 where nothing spoke for the class."""
        sums = self.maps.sum(axis=(2, 3), dtype=np.float64)
        shares: np.ndarray = sums / sums.sum() if sums.any() else sums
        return shares

    def overlay(self) -> np.ndarray:
        """(V, T, H, W, 3) uint8 RGB: the frames, coloured where they spoke for the class."""
        return overlay(self.frames, self.maps)

    def pictures(self, *, height: int = 240) -> np.ndarray:
        """Frames for an animation, view after view.

        The frame as it is, with the overlay, and a bar below them that shows how much each frame
        of the view mattered. What the model saw squeezed has its own shape again.

        Args:
            height: of the frames in the picture, pixels.

        Returns:
            (V * T, height', width', 3) uint8 RGB.
        """
        left, top, right, bottom = self.boxes[0, 0].tolist()
        aspect = (right - left) / (bottom - top)
        views = zip(self.frames, self.maps, self.over_time, strict=True)
        return np.concatenate([beside(*view, height=height, aspect=aspect) for view in views])

    @property
    def fps(self) -> float:
        """Frames a second at which the views play at their own speed; 5 where times are not known."""
        if self.times_seconds is None or self.times_seconds.shape[1] < 2:
            return 5.0
        steps = np.diff(self.times_seconds, axis=1)
        steps = steps[steps > 0]
        return float(1 / np.median(steps)) if steps.size else 5.0

    def moments(self, count: int = 3) -> list[Moment]:
        """The stretches that spoke for the class, the one with the largest share first.

        A stretch has the frames, neighbours among those that the model saw, that mattered at least
        half as much as the one that mattered most. Empty where times are not known, or nothing
        spoke for the class.

        Args:
            count: at most so many.
        """
        if self.times_seconds is None or not self.over_time.any():
            return []
        times, places = np.unique(self.times_seconds, return_inverse=True)
        shares = np.bincount(places.reshape(-1), weights=self.over_time.reshape(-1))
        important = np.flatnonzero(shares >= _IMPORTANT * shares.max())
        step = 1 / self.fps
        end = times[-1] + step if self.end_seconds is None else max(self.end_seconds, times[-1])
        gaps = np.diff(times, append=end)  # to the next frame
        breaks = (np.diff(important) > 1) | (gaps[important[:-1]] > _LONGEST_GAP * step)
        stretches = [
            Moment(
                float(times[run[0]]),
                float(times[run[-1]] + min(gaps[run[-1]], step)),
                float(shares[run].sum()),
            )
            for run in np.split(important, np.flatnonzero(breaks) + 1)
        ]
        return sorted(stretches, key=lambda moment: -moment.share)[:count]

    def on_video(self, view: int, frame: int) -> np.ndarray:
        """A map in the geometry of the video's own frames, 0 outside of what the model saw.

        Args:
            view: which of the V.
            frame: which of its T.

        Returns:
            (H, W) = `frame_shape`, float32.
        """
        height, width = self.frame_shape
        left, top, right, bottom = self.boxes[view, frame].round().astype(int).tolist()
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        whole = np.zeros((height, width), np.float32)
        size = (max(right - left, 1), max(bottom - top, 1))
        whole[top:bottom, left:right] = cv2.resize(self.maps[view, frame], size, interpolation=cv2.INTER_LINEAR)
        return whole

    def __repr__(self) -> str:
        views, frames = self.maps.shape[:2]
        return f"Explanation({self.video!r}: {self.label} {self.score:.3f}, {views} x {frames} frames, {self.layer})"


def explain_video(
    recognizer: VideoRecognizer,
    video: Any,
    *,
    class_name: str | None = None,
    views: str | None = None,
    fps: float | None = None,
    explainer: Explainer | None = None,
) -> Explanation:
    """What in a video speaks for a class, by the eyes of a recognizer.

    Args:
        recognizer: as `kinema.load` gives it. Other threads that use it wait meanwhile.
        video: one video, whatever `recognizer.predict` takes.
        class_name: the class to explain; None: the likeliest.
        views: clips and crops to look at, as in `predict`.
        fps: frames a second of frames that do not state it.
        explainer: None: `GradCam(recognizer.model)`.

    Raises:
        ConfigError: there is no such class, or the model cannot be explained.
        VideoError: the video cannot be read.
        CheckpointError: the model gives scores that are not numbers.
    """
    target = None if class_name is None else class_index(recognizer, class_name)
    explainer = explainer or GradCam(recognizer.model)
    prepared = recognizer.prepare(video, views=views, fps=fps, with_times=True)
    (scores,) = recognizer.scores_of_samples([prepared.packed], prepared.name, views=views)
    target = int(scores.argmax()) if target is None else target
    with recognizer.turn_at_model(prepared.name):
        data = recognizer.model.data_preprocessor(pseudo_collate([prepared.packed]), False)
        saliency = explainer.explain(data["inputs"], target)
    watcher = prepared.watcher
    numbers = np.asarray(watcher.facts.get("frame_inds", ())).reshape(-1).astype(np.int64)
    try:
        normalised_by = normalisation_of(Compose(recognizer.pipeline).transforms)
        seen = model_views(prepared.packed["inputs"], num_decoded=len(numbers), normalised_by=normalised_by)
    except ValueError as error:
        raise ConfigError(
            f"{recognizer.name}: only models of frames can be shown what they look at: {error}"
        ) from error
    shape = seen.frames.shape[:2]
    boxes = watcher.boxes
    if boxes is None:
        height, width = watcher.original_shape or seen.frames.shape[2:4]
        boxes = np.array([[0, 0, width, height]], np.float64)
    return Explanation(
        video=prepared.name,
        label=recognizer.classes[target] if recognizer.classes else str(target),
        score=float(scores[target]),
        frames=seen.frames,
        maps=saliency.maps.reshape(seen.frames.shape[:4]),
        frame_numbers=_by_view(numbers, shape),
        times_seconds=None if watcher.times_seconds is None else _by_view(watcher.times_seconds, shape),
        boxes=np.broadcast_to(boxes, (shape[0] * shape[1], 4)).reshape(*shape, 4),
        frame_shape=watcher.original_shape or seen.frames.shape[2:4],
        layer=saliency.layer,
        end_seconds=watcher.end_seconds,
    )


def class_index(recognizer: VideoRecognizer, name: str) -> int:
    """Index of a class; `ConfigError` where there is none of that name."""
    names = recognizer.classes or tuple(str(index) for index in range(recognizer.model.num_classes or 0))
    if name not in names:
        near = nearest(name, names)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"it has {', '.join(names[:10])}{', ...' * (len(names) > 10)}"
        )
        raise ConfigError(f"{recognizer.name}: has no class {name!r}: {hint}")
    return names.index(name)


def _by_view(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(n,) of the chosen frames, which each crop shows once more -> (V, T)."""
    return np.resize(values, shape)
