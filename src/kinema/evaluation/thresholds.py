"""From which score on a class is said to be there: precision, recall, and the threshold that suits a goal.

Pure numpy, usable alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision and recall at every threshold that makes a difference, M of them.

    Attributes:
        thresholds: (M,) the different scores, the highest first; a clip is taken for the class
            where its score is at least the threshold.
        taken: (M,) int64 clips that are.
        hits: (M,) int64 those of them that are of the class.
        positives: clips of the class.
    """

    thresholds: np.ndarray
    taken: np.ndarray
    hits: np.ndarray
    positives: int

    @property
    def precision(self) -> np.ndarray:
        """(M,) share of `taken` that is of the class."""
        shares: np.ndarray = self.hits / np.maximum(self.taken, 1)
        return shares

    @property
    def recall(self) -> np.ndarray:
        """(M,) share of the clips of the class that is taken for it; NaN without any."""
        return self.hits / self.positives if self.positives else np.full(len(self.hits), np.nan)

    @property
    def f1(self) -> np.ndarray:
        """(M,) harmonic mean of the two; 0 where nothing is right."""
        scores: np.ndarray = 2 * self.hits / np.maximum(self.taken + self.positives, 1)
        return scores

    @property
    def average_precision(self) -> float:
        """Area under the steps of precision over recall; NaN without a clip of the class."""
        if not self.positives:
            return math.nan
        return float((self.precision * (np.diff(self.hits, prepend=0) / self.positives)).sum())


def precision_recall_curve(scores: np.ndarray, positive: np.ndarray) -> PrecisionRecall:
    """Precision and recall of one class. Equal scores are one threshold: they are taken together.

    Args:
        scores: (B,) of the class.
        positive: (B,) bool: is the clip of the class?

    Raises:
        ValueError: shapes differ, or a score is NaN.
    """
    values, right = np.asarray(scores), np.asarray(positive, dtype=bool)
    if values.ndim != 1 or values.shape != right.shape:
        raise ValueError(f"need one score and one truth a clip, got shapes {values.shape} and {right.shape}")
    if np.isnan(values).any():
        raise ValueError(f"the score of clip {int(np.isnan(values).argmax())} is not a number (NaN)")
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) if len(ranked) else np.array([], dtype=int)
    hits = np.cumsum(right[order], dtype=np.int64)
    return PrecisionRecall(ranked[last], last + 1, hits[last], int(right.sum()))


@dataclass(frozen=True)
class ClassThreshold:
    """The threshold of a class, and what it does on the clips that it was chosen on.

    Attributes:
        name: of the class.
        clips: clips of the class.
        threshold: a clip is taken for the class where its score is at least this; None: there is
            no clip of the class to choose it by.
        taken: clips that are taken for it.
        precision: share of `taken` that is of the class; NaN where nothing is taken.
        recall: share of `clips` that is taken; NaN without clips.
        f1: harmonic mean of the two.
        average_precision: over all thresholds; NaN without clips.
        note: why there is no threshold, or why the goal is not reached; else empty.
        held_out: what thresholds do on clips that they were not chosen on, see `class_thresholds`;
            None where nothing was held out.
    """

    name: str
    clips: int
    threshold: float | None
    taken: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    note: str = ""
    held_out: "HeldOut | None" = None


@dataclass(frozen=True)
class HeldOut:
    """Precision, recall and F1 on clips that no threshold was chosen on; NaN where one is not defined."""

    precision: float
    recall: float
    f1: float


def choose_threshold(
    scores: np.ndarray, positive: np.ndarray, *, least_precision: float | None = None, name: str = ""
) -> ClassThreshold:
    """The threshold of a class that suits a goal, half-way to the next lower score of these clips.

    Args:
        scores: (B,) of the class, from 0 to 1.
        positive: (B,) bool: is the clip of the class?
        least_precision: None: the highest F1 (of equal ones the highest threshold). Else the lowest
            threshold with at least this precision, which has the highest recall; where none has it,
            that of the highest precision (of equal ones the lowest), and `note` says so.
        name: of the class.

    Raises:
        ValueError: see `precision_recall_curve`, or `least_precision` is not above 0 and at most 1.
    """
    if least_precision is not None and not 0 < least_precision <= 1:
        raise ValueError(f"the precision to reach must be above 0 and at most 1, got {least_precision}")
    curve = precision_recall_curve(scores, positive)
    if not curve.positives:
        return ClassThreshold(
            name, 0, None, 0, math.nan, math.nan, math.nan, math.nan, note="no clip of this class: no threshold"
        )
    note = ""
    if least_precision is None:
        place = int(curve.f1.argmax())
    else:
        reached = np.flatnonzero(curve.precision >= least_precision)
        highest = curve.precision.max()
        if not len(reached):
            reached = np.flatnonzero(curve.precision == highest)
            note = f"no threshold has a precision of {least_precision:g}: this has the highest, {highest:.2f}"
        place = int(reached[-1])
    return ClassThreshold(
        name,
        curve.positives,
        _between(curve.thresholds, place),
        int(curve.taken[place]),
        float(curve.precision[place]),
        float(curve.recall[place]),
        float(curve.f1[place]),
        curve.average_precision,
        note,
    )


def _between(thresholds: np.ndarray, place: int) -> float:
    """A number that separates a score from the next lower one, also in float32: the next run rounds otherwise."""
    score = np.float32(thresholds[place])
    lower = np.float32(thresholds[place + 1]) if place + 1 < len(thresholds) else np.float32(0)
    middle = np.float32((np.float64(score) + np.float64(lower)) / 2)
    return float(middle if lower < middle <= score else score)


def class_thresholds(
    scores: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    least_precision: float | None = None,
    folds: np.ndarray | None = None,
) -> tuple[ClassThreshold, ...]:
    """The thresholds of all classes.

    The figures of a threshold on the clips that it was chosen on are too good. With `folds` each
    part is also judged by the threshold that the other parts give, and these judgements together
    are `held_out`.

    Args:
        scores: (B, N) from 0 to 1.
        labels: (B,) classes, or (B, N) of 0 and 1.
        names: (N,) of the classes.
        least_precision: see `choose_threshold`.
        folds: (B,) which part each clip is of, such as `kinema.evaluation.calibration.fold_of`
            gives; None, or all of one part: nothing is held out.

    Raises:
        ValueError: shapes do not fit.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or len(names) != scores.shape[1] or labels.shape not in (scores.shape, scores.shape[:1]):
        raise ValueError(
            f"need scores (clips, classes), labels of the clips and names of the classes, got {scores.shape},"
            f" {labels.shape} and {len(names)} names"
        )
    positive = labels.astype(bool) if labels.ndim == 2 else labels[:, None] == np.arange(scores.shape[1])
    chosen = [
        choose_threshold(scores[:, index], positive[:, index], least_precision=least_precision, name=name)
        for index, name in enumerate(names)
    ]
    if folds is None or len(np.unique(folds)) < 2:
        return tuple(chosen)
    return tuple(
        replace(choice, held_out=_held_out(scores[:, index], positive[:, index], folds, least_precision))
        for index, choice in enumerate(chosen)
    )


def _held_out(scores: np.ndarray, positive: np.ndarray, folds: np.ndarray, least_precision: float | None) -> HeldOut:
    taken = np.zeros(len(scores), dtype=bool)
    for number in np.unique(folds).tolist():
        held = folds == number
        threshold = choose_threshold(scores[~held], positive[~held], least_precision=least_precision).threshold
        if threshold is not None:
            taken[held] = scores[held] >= threshold
    hits, count, clips = int((taken & positive).sum()), int(taken.sum()), int(positive.sum())
    return HeldOut(
        hits / count if count else math.nan,
        hits / clips if clips else math.nan,
        2 * hits / (count + clips) if clips else math.nan,
    )
