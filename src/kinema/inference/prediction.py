"""What a recognizer says of a video."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinema.inference.views import Looked

SHOWN_CLASSES = 3  # of a prediction, as Python shows it
DEFAULT_THRESHOLD = 0.5  # of classes that were not tuned
DIGITS = 6  # of a score that is written down


@dataclass(frozen=True)
class Prediction:
    """What a recognizer says of one video.

    Attributes:
        source: the path or address of the video; of frames and bytes what they are.
        labels: names of the likeliest classes, the likeliest first.
        scores: their probabilities (or what the head's `average_clips` gives), in the same order.
        looked: which part of the video the model saw; None where the pipeline does not say.
        probabilities: (N,) float32 scores of all classes, in the order of `classes`.
        classes: (N,) names of all classes.
        start_seconds: where the part of the video begins that this is about.
        end_seconds: where it ends; None where the video has no frame rate.
        present: of a model of several labels a clip the names of all classes whose score reaches
            their threshold, the likeliest first; None for a model of one label a clip.
    """

    source: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    looked: Looked | None = None
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32), compare=False, repr=False)
    classes: tuple[str, ...] = ()
    start_seconds: float = 0.0
    end_seconds: float | None = None
    present: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.labels[0]

    @property
    def score(self) -> float:
        """The score of the likeliest class."""
        return self.scores[0]

    @property
    def path(self) -> str:
        """`source`, by the name that it has for a file."""
        return self.source

    def probability_of(self, label: str) -> float:
        """The score of a class.

        Raises:
            KeyError: there is no such class.
        """
        if label not in self.classes:
            raise KeyError(f"there is no class {label!r}; there are: {', '.join(self.classes)}")
        return float(self.probabilities[self.classes.index(label)])

    def to_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """The prediction as JSON holds it.

        Args:
            probabilities: with the scores of all classes by name.
        """
        value: dict[str, Any] = {
            "path": self.source,
            "label": self.label,
            "score": round(self.score, DIGITS),
            "labels": list(self.labels),
            "scores": [round(score, DIGITS) for score in self.scores],
            "start_seconds": self.start_seconds,
            "end_seconds": None if self.end_seconds is None else round(self.end_seconds, DIGITS),
        }
        if self.present is not None:
            value["present"] = list(self.present)
        if self.looked is not None:
            value["looked"] = {
                "frames": self.looked.total_frames,
                "spans": [list(span) for span in self.looked.spans],
                "fps": round(self.looked.fps, DIGITS),
                "time_share": round(self.looked.time_share, 4),
                "frame_share": round(self.looked.frame_share, 4),
            }
        if probabilities:
            pairs = zip(self.classes, self.probabilities.tolist(), strict=True)
            value["probabilities"] = {name: round(score, DIGITS) for name, score in pairs}
        return value

    def __repr__(self) -> str:
        shown = zip(self.labels[:SHOWN_CLASSES], self.scores[:SHOWN_CLASSES], strict=True)
        more = f", {len(self.labels) - SHOWN_CLASSES} more" if len(self.labels) > SHOWN_CLASSES else ""
        text = f"{self.source!r}: {', '.join(f'{label} {score:.3f}' for label, score in shown)}{more}"
        if self.present is not None:
            text += f"; present: {', '.join(self.present) or 'none'}"
        return f"Prediction({text})"


@dataclass(frozen=True)
class FailedInput:
    """A video that could not be read.

    Attributes:
        source: the path or address of the video; of frames and bytes what they are.
        error: why not, in one line.
    """

    source: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """What failed as JSON holds it."""
        return {"path": self.source, "error": self.error}


def make_prediction(
    source: str,
    scores: np.ndarray,
    classes: tuple[str, ...],
    *,
    top_k: int,
    looked: Looked | None = None,
    thresholds: float | Mapping[str, float] | None = None,
) -> Prediction:
    """The prediction that scores of all classes are.

    Args:
        source: of the video.
        scores: (N,) float32.
        classes: (N,) names; empty: the indices are the names.
        top_k: how many classes to name; of equal scores the class of the lower index first.
        looked: see `Prediction`.
        thresholds: of classes by name, `DEFAULT_THRESHOLD` for the others; or one for all; None: a
            model of one label a clip.
    """
    classes = classes or tuple(str(index) for index in range(len(scores)))
    order = np.argsort(-scores, kind="stable")
    best = order[:top_k]
    present = None
    if thresholds is not None:
        by_name = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(classes, thresholds)
        limits = [by_name.get(name, DEFAULT_THRESHOLD) for name in classes]
        present = tuple(classes[index] for index in order.tolist() if scores[index] >= limits[index])
    end_seconds = looked.total_frames / looked.fps if looked is not None and looked.fps > 0 else None
    return Prediction(
        source,
        tuple(classes[index] for index in best.tolist()),
        tuple(scores[best].tolist()),
        looked,
        scores,
        classes,
        0.0,
        end_seconds,
        present,
    )
