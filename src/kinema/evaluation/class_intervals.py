"""How far the figures of a class may be from those on all other clips: 95 % intervals. Pure numpy, usable alone."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from kinema.evaluation.intervals import wilson_interval

Ends = tuple[float, float]


class ClassInterval(NamedTuple):
    """Where precision, recall and F1 of a class may lie; None where the figure is not defined."""

    precision: Ends | None
    recall: Ends | None
    f1: Ends | None


def class_intervals(
    predicted: np.ndarray, labels: np.ndarray, sources: Sequence[Hashable], num_classes: int
) -> list[ClassInterval]:
    """Wilson's intervals of each class, where the clips of one source video count as one witness.

    The F1 value is 2 J / (1 + J) of J, the share of right ones among the clips that are of the
    class or taken for it; its interval is that of J.

    Args:
        predicted: (B,) predicted classes.
        labels: (B,) true classes.
        sources: (B,) source video of each clip.
        num_classes: N.

    Returns:
        (N,) intervals.

    Raises:
        ValueError: not one label and source a clip.
    """
    if not len(predicted) == len(labels) == len(sources):
        raise ValueError(
            f"need one label and one source a clip, got {len(predicted)} clips, {len(labels)} labels, {len(sources)}"
            " sources"
        )
    codes: dict[Hashable, int] = {}
    members = np.array([codes.setdefault(source, len(codes)) for source in sources], dtype=np.int64)
    intervals = []
    for number in range(num_classes):
        taken, real = predicted == number, labels == number
        union = _share_interval(taken & real, taken | real, members)
        intervals.append(
            ClassInterval(
                _share_interval(taken & real, taken, members),
                _share_interval(taken & real, real, members),
                None if union is None else (2 * union[0] / (1 + union[0]), 2 * union[1] / (1 + union[1])),
            )
        )
    return intervals


def _share_interval(part: np.ndarray, whole: np.ndarray, members: np.ndarray) -> Ends | None:
    clips = int(whole.sum())
    if not clips:
        return None
    return wilson_interval(int(part.sum()) / clips, len(np.unique(members[whole])))


def mean_recall_interval(
    predicted: np.ndarray, labels: np.ndarray, sources: Sequence[Hashable], num_classes: int
) -> tuple[float, float, float]:
    """Mean of the recalls of the classes that have clips (macro accuracy), and its 95 % interval.

    Each class adds the distance from its recall to the end of its Wilson interval, in squares.

    Args:
        predicted: (B,) predicted classes.
        labels: (B,) true classes.
        sources: (B,) source video of each clip.
        num_classes: N.

    Returns:
        The mean, lower and upper end.

    Raises:
        ValueError: there are no clips, or not one label and source a clip.

    Source: the square-and-add method, Newcombe 1998; Zou and Donner 2008, "Construction of
    confidence limits about effect measures", for sums of independent shares.
    """
    if not len(labels):
        raise ValueError("need at least one clip")
    ends = [interval.recall for interval in class_intervals(predicted, labels, sources, num_classes)]
    clips = np.bincount(labels, minlength=num_classes)
    right = np.bincount(labels[predicted == labels], minlength=num_classes)
    present = np.flatnonzero(clips)
    recalls = right[present] / clips[present]
    low, high = np.array([ends[index] for index in present.tolist()]).T
    mean = float(recalls.mean())
    below, above = (float(np.sqrt((distance**2).sum())) / len(present) for distance in (recalls - low, high - recalls))
    return mean, max(0.0, mean - below), min(1.0, mean + above)
