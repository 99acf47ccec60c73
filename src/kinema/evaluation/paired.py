"""Two models on the same clips: is one better, and on which clips do they differ?"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kinema.datasets.annotations.grouping import source_video_of
from kinema.evaluation.clip_scores import ClipId, ClipScores
from kinema.evaluation.fusion import matched_rows
from kinema.evaluation.intervals import FEW_SOURCES, bootstrap_interval


@dataclass(frozen=True)
class PairedComparison:
    """How two models did on the same clips.

    Attributes:
        num_clips: clips that both were measured on.
        num_sources: source videos among them.
        both_right: clips that both recognize.
        only_first: clips that the first model alone recognizes.
        only_second: clips that the second alone recognizes.
        both_wrong: clips that none recognizes.
        p_value: of McNemar's exact test: how likely so uneven a split of the clips that one model
            alone recognizes is, if both models are equally good. It takes clips for independent;
            where many are of one video, the interval says more.
        low: lower end of the 95 % interval of `difference`, by source video; None of fewer than 10
            sources, which are too few to be drawn again.
        high: its upper end.
    """

    num_clips: int
    num_sources: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float
    low: float | None
    high: float | None

    @property
    def first(self) -> float:
        """Accuracy of the first model."""
        return (self.both_right + self.only_first) / self.num_clips

    @property
    def second(self) -> float:
        """Accuracy of the second model."""
        return (self.both_right + self.only_second) / self.num_clips

    @property
    def difference(self) -> float:
        """By how much the second is better, from -1 to 1."""
        return (self.only_second - self.only_first) / self.num_clips


class ChangedClip(NamedTuple):
    """A clip for which two models say different classes; numbers are class indices."""

    clip: ClipId
    label: int
    first: int
    second: int
    first_score: float
    second_score: float

    @property
    def is_gained(self) -> bool:
        """The second model alone is right."""
        return self.second == self.label

    @property
    def is_lost(self) -> bool:
        """The first model alone is right."""
        return self.first == self.label


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test.

    Twice the chance of the rarer count or a rarer one, of `only_first + only_second` throws of a
    fair coin, at most 1.

    Args:
        only_first: clips that the first model alone recognizes.
        only_second: clips that the second alone recognizes.

    Raises:
        ValueError: a count is below 0.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions or percentages"; the exact form is the sign test.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"counts must be at least 0, got {only_first} and {only_second}")
    count, rarer = only_first + only_second, min(only_first, only_second)
    ways = total = 1  # whole numbers: exact for any count
    for number in range(rarer):
        ways = ways * (count - number) // (number + 1)
        total += ways
    return 1.0 if 2 * total >= 1 << count else 2 * total / (1 << count)


def compare_hits(
    first: np.ndarray | Sequence[bool], second: np.ndarray | Sequence[bool], sources: Sequence[Hashable] | None = None
) -> PairedComparison:
    """Compare two models by which clips each recognizes.

    The interval of the difference draws whole sources again, both models' outcomes together
    (`bootstrap_interval`).

    Args:
        first: (B,) bool: is the first model right?
        second: (B,) bool: is the second right, of the same clips in the same order?
        sources: (B,) source video of each clip; None: each is its own.

    Raises:
        ValueError: there are no clips, or lengths differ.
    """
    right, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    groups: Sequence[Hashable] = range(right.size) if sources is None else sources
    if right.ndim != 1 or not right.size or right.shape != other.shape or len(groups) != right.size:
        raise ValueError(
            f"need two outcomes and a source a clip and at least one clip, got {right.shape}, {other.shape} and"
            f" {len(groups)} sources"
        )
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    num_sources = len(set(groups))
    low = high = None
    if num_sources >= FEW_SOURCES:
        low, high = bootstrap_interval(other.astype(float) - right.astype(float), groups)
    return PairedComparison(
        right.size,
        num_sources,
        int((right & other).sum()),
        only_first,
        only_second,
        int((~right & ~other).sum()),
        mcnemar_exact(only_first, only_second),
        low,
        high,
    )


def compare_clips(
    first: ClipScores, second: ClipScores, *, common: bool = False, names: Sequence[str] = ("the first", "the second")
) -> tuple[PairedComparison, tuple[ChangedClip, ...]]:
    """Compare two models by the scores of their clips, which are matched by what names a clip.

    Args:
        first: scores of the first model.
        second: scores of the second.
        common: compare the clips that both have; without it a missing one is an error.
        names: what messages call the models.

    Returns:
        The comparison, and the clips for which the models say different classes: those that the
        second lost first, then those that it gained, then those that both have wrong.

    Raises:
        DumpError: see `kinema.evaluation.fusion.matched_rows`.
    """
    own, other = matched_rows([first, second], names, common=common)
    labels, said, said_second = first.labels[own], first.predicted[own], second.predicted[other]
    sources = [source_video_of(first.paths[place]) for place in own.tolist()]
    comparison = compare_hits(said == labels, said_second == labels, sources)
    changed = [
        ChangedClip(
            first.ids[own[place]],
            int(labels[place]),
            int(said[place]),
            int(said_second[place]),
            float(first.scores[own[place], said[place]]),
            float(second.scores[other[place], said_second[place]]),
        )
        for place in np.flatnonzero(said != said_second).tolist()
    ]
    changed.sort(key=lambda clip: (not clip.is_lost, not clip.is_gained))  # stable: else in the order of the clips
    return comparison, tuple(changed)
