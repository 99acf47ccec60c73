"""How far an accuracy on some clips may be from that on all others of their kind: 95 % intervals.

Pure numpy, usable alone.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

FEW_SOURCES = 10  # of fewer, a bootstrap would draw the same ones again and again
DRAWS = 2000
NUMBERS_AT_ONCE = 1 << 20  # drawn groups in memory


@dataclass(frozen=True)
class AccuracyInterval:
    """An accuracy, and where it may lie.

    Attributes:
        value: share of clips that are right, from 0 to 1.
        low: lower end of the interval.
        high: upper end.
        num_clips: clips that the share is of.
        num_sources: different source videos (or persons, ...) among them; clips of one are no
            independent witnesses.
        method: how the interval was found, "wilson" or "bootstrap".
    """

    value: float
    low: float
    high: float
    num_clips: int
    num_sources: int
    method: str


def wilson_interval(share: float, count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Args:
        share: of successes, from 0 to 1.
        count: independent trials, above 0.
        confidence: chance that the interval holds the true share.

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        ValueError: an argument is out of range.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= share <= 1 or not count > 0 or not 0 < confidence < 1:
        raise ValueError(
            f"expected a share from 0 to 1 of more than 0 trials and a confidence between 0 and 1, got {share=},"
            f" {count=}, {confidence=}"
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    denominator = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / denominator
    half = z / denominator * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(
    hits: np.ndarray | Sequence[bool],
    groups: Sequence[Hashable],
    confidence: float = 0.95,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the share of hits when whole groups are drawn again, with replacement.

    Args:
        hits: (B,) is the clip right?
        groups: (B,) which group it belongs to, such as its source video.
        confidence: share of draws within the interval.
        draws: how often as many groups as there are are drawn.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        Lower and upper end. Both are 1 when all clips are right, which says nothing: see
        `accuracy_interval`.

    Raises:
        ValueError: there are no clips, or not one group a clip.

    Source: the cluster bootstrap, Davison and Hinkley 1997, section 3.8.
    """
    right = np.asarray(hits, dtype=np.float64)
    if right.ndim != 1 or not right.size or len(groups) != right.size:
        raise ValueError(f"need one group a clip and at least one clip, got {right.size} clips, {len(groups)} groups")
    codes: dict[Hashable, int] = {}
    members = np.array([codes.setdefault(group, len(codes)) for group in groups])
    sizes, sums = np.bincount(members).astype(np.float64), np.bincount(members, weights=right)
    generator = np.random.default_rng(seed)
    shares = np.empty(draws)
    at_once = max(1, NUMBERS_AT_ONCE // len(sizes))  # a matrix of all draws would not fit for a large set
    for first in range(0, draws, at_once):
        drawn = generator.integers(len(sizes), size=(min(at_once, draws - first), len(sizes)))
        shares[first : first + at_once] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def precision_interval(
    scores: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[Hashable],
    confidence: float = 0.95,
    *,
    draws: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the mean average precision when whole groups are drawn again, with replacement.

    Args:
        scores: (B, N).
        labels: (B, N) of 0 and 1.
        groups: (B,) which group each clip belongs to, such as its source video.
        confidence: share of draws within the interval.
        draws: how often as many groups as there are are drawn.
        seed: of the draws.

    Returns:
        Lower and upper end; NaN where no label is 1.

    Raises:
        ValueError: there are no clips, or not one group a clip.
    """
    hot = np.asarray(labels, dtype=bool)
    if hot.ndim != 2 or not hot.size or len(groups) != len(hot):
        raise ValueError(f"need one group a clip and at least one clip, got {len(hot)} clips, {len(groups)} groups")
    codes: dict[Hashable, int] = {}
    members = np.array([codes.setdefault(group, len(codes)) for group in groups])
    generator = np.random.default_rng(seed)
    order = np.argsort(-np.asarray(scores), axis=0, kind="stable")  # (B, N)
    ranked = np.take_along_axis(hot, order, axis=0)
    ends = _ends_of_ties(np.take_along_axis(np.asarray(scores), order, axis=0))
    values = []
    for _ in range(draws):
        drawn = np.bincount(generator.integers(len(codes), size=len(codes)), minlength=len(codes))
        times = drawn[members][order]  # (B, N) how often the clip at each rank was drawn
        hits, seen = np.cumsum(times * ranked, axis=0), np.cumsum(times, axis=0)
        precision = np.take_along_axis(hits / np.maximum(seen, 1), ends, axis=0)
        match = hits[-1]
        if match.any():
            average = (precision * times * ranked).sum(axis=0)[match > 0] / match[match > 0]
            values.append(float(average.mean()))
    if not values:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def _ends_of_ties(ordered: np.ndarray) -> np.ndarray:
    """(B, N) scores, descending -> (B, N) rows of the last entry that is equal to each: one threshold takes all."""
    rows = np.arange(len(ordered))[:, None]
    is_last = np.vstack([ordered[:-1] != ordered[1:], np.ones((1, ordered.shape[1]), dtype=bool)])
    ends: np.ndarray = np.minimum.accumulate(np.where(is_last, rows, len(ordered))[::-1], axis=0)[::-1]
    return ends


def accuracy_interval(
    hits: np.ndarray | Sequence[bool], sources: Sequence[Hashable] | None = None, confidence: float = 0.95
) -> AccuracyInterval:
    """Share of hits, and its interval by source.

    Clips that were cut from one video are rather right together or wrong together, so that they say
    less than as many independent ones: whole sources are drawn again (`bootstrap_interval`).
    Wilson's interval stands in where that does not work: over the clips when each is its own source
    (or none are known); over the sources when these are fewer than `FEW_SOURCES`, or when all clips
    are right or all wrong.

    Args:
        hits: (B,) is the clip right?
        sources: (B,) the source video (or person, ...) of each; None: not known.
        confidence: chance that the interval holds the accuracy on all clips of this kind.

    Raises:
        ValueError: there are no clips, or not one source a clip.
    """
    right = np.asarray(hits, dtype=bool)
    groups: Sequence[Hashable] = range(right.size) if sources is None else sources
    if right.ndim != 1 or not right.size or len(groups) != right.size:
        raise ValueError(f"need one source a clip and at least one clip, got {right.size} clips, {len(groups)} sources")
    share, count = float(right.mean()), len(set(groups))
    if count == right.size or count < FEW_SOURCES or share in (0.0, 1.0):
        low, high = wilson_interval(share, count, confidence)
        return AccuracyInterval(share, low, high, right.size, count, "wilson")
    low, high = bootstrap_interval(right, groups, confidence)
    return AccuracyInterval(share, low, high, right.size, count, "bootstrap")
