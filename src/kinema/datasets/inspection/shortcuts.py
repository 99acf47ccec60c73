"""Do facts that have nothing to do with the action tell the class: durations, sizes, frame rates? Pure numpy."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 5
SHUFFLES = 200
LEAST_GAIN = 0.1  # above what shuffled labels reach by luck, for a warning
LEAST_SOURCES = 8  # of fewer nothing can be said


@dataclass(frozen=True)
class Shortcut:
    """How well one fact alone tells the class.

    Attributes:
        name: of the fact, such as "duration".
        accuracy: mean over the classes of the share of clips whose class it tells, of sources that
            were left out when it was learned.
        chance: the same of labels that say nothing, one by the number of classes.
        lucky: what labels shuffled among the sources reach with one of all facts in one of a hundred
            cases.
    """

    name: str
    accuracy: float
    chance: float
    lucky: float

    @property
    def tells(self) -> bool:
        """Is it clearly better than luck?"""
        return self.accuracy > max(self.lucky, self.chance + LEAST_GAIN)


def find_shortcuts(
    facts: Mapping[str, np.ndarray], labels: np.ndarray, sources: Sequence[Hashable], *, seed: int = 0
) -> list[Shortcut]:
    """What each fact alone tells of the class, by the classes of the nearest clips of other sources.

    A clip gets the class that is most frequent, weighted by the inverse of the classes' sizes, among
    the five clips of other sources (and all that are as near as the fifth) whose fact is nearest.

    Args:
        facts: by name (M,) numbers.
        labels: (M,) classes.
        sources: (M,) the source video of each clip.
        seed: of the shuffled labels.

    Returns:
        One for each fact that is not the same of all clips, the most telling first; none where there
        are fewer than eight sources, or a single class.
    """
    labels = np.unique(labels, return_inverse=True)[1]
    num_classes = int(labels.max(initial=-1)) + 1
    codes = np.unique([str(source) for source in sources], return_inverse=True)[1]
    if num_classes < 2 or len(np.unique(codes)) < LEAST_SOURCES:
        return []
    generator = np.random.default_rng(seed)
    shuffled = [_shuffled(labels, codes, generator) for _ in range(SHUFFLES)]
    shortcuts = []
    for name, values in facts.items():
        if np.ptp(values) == 0:
            continue
        near = _neighbours(np.asarray(values, dtype=np.float64), codes)
        by_luck = [_accuracy(near, other, num_classes) for other in shuffled]
        lucky = float(np.quantile(by_luck, 1 - 0.01 / len(facts)))
        shortcuts.append(Shortcut(name, _accuracy(near, labels, num_classes), 1 / num_classes, lucky))
    return sorted(shortcuts, key=lambda shortcut: -shortcut.accuracy)


def _neighbours(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(M, M) bool: which clips of other sources are nearest to each."""
    distances = np.abs(values[:, None] - values[None])
    distances[codes[:, None] == codes[None]] = np.inf
    kth = min(NEIGHBOURS, len(values)) - 1
    limit = np.partition(distances, kth, axis=1)[:, kth]
    near: np.ndarray = (distances <= limit[:, None]) & np.isfinite(distances)
    return near


def _accuracy(near: np.ndarray, labels: np.ndarray, num_classes: int) -> float:
    """Mean recall of the classes; a tie counts for its share."""
    hot = np.eye(num_classes)[labels]
    votes = near @ (hot / np.maximum(hot.sum(axis=0), 1))
    best = votes == votes.max(axis=1, keepdims=True)
    right = best[np.arange(len(labels)), labels] / best.sum(axis=1)
    sizes = np.bincount(labels, minlength=num_classes)
    return float((np.bincount(labels, weights=right, minlength=num_classes) / sizes).mean())


def _shuffled(labels: np.ndarray, codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The labels dealt to the sources anew: each takes those of another one, so that clips of one stay alike."""
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    pool = np.concatenate([labels[members[code]] for code in generator.permutation(len(members))])
    dealt = np.empty_like(labels)
    dealt[np.concatenate(members)] = pool
    return dealt
