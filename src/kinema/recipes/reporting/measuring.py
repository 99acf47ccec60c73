"""A model's scores of labelled clips, as a report needs them: also where clips have several labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kinema.datasets.annotations import Split
from kinema.datasets.annotations.grouping import source_video_of
from kinema.evaluation import BaseMetric, FailedClip
from kinema.evaluation.functional import softmax
from kinema.evaluation.metrics import DataSample, read_array
from kinema.inference import VideoRecognizer
from kinema.recipes.evaluation import Evaluation, evaluate


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model said of B clips, N classes.

    Attributes:
        name: what the report calls the model.
        classes: (N,) names.
        split: the labelled clips.
        places: (B,) which of the split's clips these are; those that failed are missing.
        labels: (B,) int64 class indices; (B, N) bool where a clip may have several.
        scores: (B, N) float64 probabilities.
        failed: clips that could not be read.
        evaluation: what the scores come from; None: they were made otherwise.
    """

    name: str
    classes: tuple[str, ...]
    split: Split
    places: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    failed: tuple[FailedClip, ...] = ()
    evaluation: Evaluation | None = None

    @property
    def is_multi_label(self) -> bool:
        """May a clip have several labels?"""
        return self.labels.ndim == 2

    @property
    def predicted(self) -> np.ndarray:
        """(B,) the class with the highest score."""
        best: np.ndarray = self.scores.argmax(axis=1)
        return best

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """(B,) of the clips, as their annotations write them."""
        return tuple(self.split.annotations.paths[place] for place in self.places.tolist())

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """(B,) source video of each clip."""
        return tuple(map(source_video_of, self.paths))

    def names_of(self, index: int) -> str:
        """The classes of clip `index`, to be shown."""
        if not self.is_multi_label:
            return self.classes[int(self.labels[index])]
        return ", ".join(self.classes[place] for place in np.flatnonzero(self.labels[index])) or "no class"


class _KeptScores(BaseMetric):
    """Keeps label and scores of each clip, in the order of the dataset."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[Any, np.ndarray]] = []

    def process(self, data_batch: Any, data_samples: Sequence[DataSample]) -> None:
        for sample in data_samples:
            scores = read_array(sample, "pred_score")
            self.results.append((read_array(sample, "gt_label"), scores.mean(axis=0) if scores.ndim > 1 else scores))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        self.kept = results
        return {}


def measure(recognizer: VideoRecognizer, split: Split, *, name: str, **settings: Any) -> Measured:
    """Run a model over labelled clips; those that cannot be read are left out and named.

    Args:
        recognizer: as `kinema.load` gives it.
        split: labelled clips.
        name: what the report calls the model.
        settings: `batch_size` and `workers` of `evaluate`.

    Raises:
        AnnotationError, CheckpointError, VideoError: see `evaluate`.
    """
    metric = _KeptScores()
    evaluation = evaluate(recognizer, split, metrics=[metric], allow_broken=True, **settings)
    scores = np.stack([scores for _, scores in metric.kept]).astype(np.float64)
    labels = [np.asarray(label) for label, _ in metric.kept]
    classes = recognizer.classes or tuple(map(str, range(scores.shape[1])))
    if recognizer.is_multi_label:
        truth = np.stack([_multi_hot(label, scores.shape[1]) for label in labels])
    else:
        truth = np.array([int(label.reshape(-1)[0]) for label in labels])
        if scores.min() < 0 or np.abs(scores.sum(axis=1) - 1).max() > 1e-3:
            scores = softmax(scores)  # of a head that gives logits
    return Measured(name, tuple(classes), split, evaluation.places, truth, scores, evaluation.failed, evaluation)


def _multi_hot(label: np.ndarray, num_classes: int) -> np.ndarray:
    if label.shape == (num_classes,) and np.isin(label, (0, 1)).all():
        return label.astype(bool)
    row = np.zeros(num_classes, dtype=bool)
    row[label.reshape(-1).astype(int)] = True
    return row


def same_clips(first: Measured, second: Measured) -> tuple[np.ndarray, np.ndarray]:
    """Places of the clips that both measured, matched by path and part.

    Returns:
        (M,) places in the first, (M,) places in the second.
    """
    known = {key: place for place, key in enumerate(_keys(second))}
    pairs = [(place, known[key]) for place, key in enumerate(_keys(first)) if key in known]
    left, right = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)


def _keys(measured: Measured) -> list[tuple[str, float, float]]:
    annotations = measured.split.annotations
    starts, ends = (
        np.zeros(len(measured.places)) if times is None else np.nan_to_num(times[measured.places], nan=-1.0)
        for times in (annotations.clip_starts, annotations.clip_ends)
    )
    paths = (str(measured.split.video_root / path) for path in measured.paths)
    return list(zip(paths, starts.tolist(), ends.tolist(), strict=True))


def in_order_of(classes: Sequence[str], measured: Measured) -> Measured:
    """The same scores with the classes in another order.

    Raises:
        ValueError: they are not the same classes.
    """
    if measured.classes == tuple(classes):
        return measured
    if sorted(measured.classes) != sorted(classes):
        raise ValueError(f"{measured.name} knows other classes than the first model")
    order: Mapping[str, int] = {name: place for place, name in enumerate(measured.classes)}
    columns = np.array([order[name] for name in classes])
    back = np.argsort(columns)
    labels = measured.labels[:, columns] if measured.is_multi_label else back[measured.labels]
    return Measured(
        measured.name,
        tuple(classes),
        measured.split,
        measured.places,
        labels,
        measured.scores[:, columns],
        measured.failed,
    )
