"""Parting the clips of one long recording by time, where there is no second recording to hold out."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema.datasets.annotations.grouping import rank_of
from kinema.datasets.annotations.records import Annotations

MOST_RECORDINGS = 200
BLOCKS = 20  # of a recording, about; some of them are held out
GAP = {"seconds": 1.0, "frames": 25.0}  # clips nearer than this to a held-out block are left out of training


@dataclass(frozen=True)
class TimeSplit:
    """Clips split by time.

    Attributes:
        train: the clips to train on.
        held: those held out: whole stretches of their recordings.
        num_between: clips in neither, for they overlap or touch what was held out.
        num_stretches: stretches held out.
        num_recordings: recordings that the clips are parts of.
    """

    train: Annotations
    held: Annotations
    num_between: int
    num_stretches: int
    num_recordings: int

    def __str__(self) -> str:
        total = len(self.train) + len(self.held) + self.num_between
        recordings = "one recording" if self.num_recordings == 1 else f"{self.num_recordings} recordings"
        stretches = "one stretch" if self.num_stretches == 1 else f"{self.num_stretches} stretches"
        between = f"; {self.num_between} clips beside it are in neither" if self.num_between else ""
        return (
            f"the {total} clips are parts of {recordings}: held out {len(self.held)} by time, {stretches} of"
            f" it{between}. Both sides show the same scene: on another recording the accuracy will be lower"
        )


def split_by_time(annotations: Annotations, share: float = 0.2, seed: int = 0) -> TimeSplit | None:
    """Split the clips of recordings in two, about class by class.

    What is held out are stretches of time, with a gap around them.

    Neighbouring clips look alike, so clips drawn one by one would be known from training. Each
    recording becomes blocks of neighbouring clips; blocks are held out as long as they fill what a
    class lacks and leave it some. Clips that overlap a block, or are nearer to it than a second (25
    frames), are in neither part.

    Args:
        annotations: labelled parts of videos.
        share: of each class's clips to hold out, rounded, at least one of a class with two.
        seed: another seed prefers other blocks.

    Returns:
        The two parts, each in the order of `annotations`; None where the clips are no parts of
        videos, nothing can be held out, or they are of more than `MOST_RECORDINGS` videos, of which
        whole ones are better held out.
    """
    if annotations.clip_starts is None or annotations.clip_ends is None:
        return None
    starts, ends = np.nan_to_num(annotations.clip_starts, nan=0.0), np.nan_to_num(annotations.clip_ends, nan=np.inf)
    recordings: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(annotations.paths):
        recordings[path].append(place)
    if len(recordings) > MOST_RECORDINGS:
        return None
    blocks = _blocks(annotations, recordings, starts)
    held = _choose_blocks(annotations, blocks, share, seed)
    if not held:
        return None
    role = np.zeros(len(annotations), dtype=np.int8)  # 0: train, 1: held out, 2: neither
    stretches = _stretches(blocks, held)
    for stretch in stretches:
        role[stretch] = 1
    for stretch in stretches:
        own = np.array(recordings[annotations.paths[stretch[0]]])
        first, last = starts[stretch].min(), ends[stretch].max()
        gap = GAP[annotations.clip_unit]
        near = own[(starts[own] < last + gap) & (ends[own] > first - gap)]
        role[near[role[near] == 0]] = 2
    parts = [annotations.take(np.flatnonzero(role == number)) for number in (0, 1)]
    if not all(map(len, parts)):
        return None
    return TimeSplit(parts[0], parts[1], int((role == 2).sum()), len(stretches), len(recordings))


def _blocks(
    annotations: Annotations, recordings: dict[str, list[int]], starts: np.ndarray
) -> list[tuple[str, list[int]]]:
    """Runs of neighbouring clips, recording after recording, in the order of time."""
    blocks = []
    for path, places in recordings.items():
        ordered = sorted(places, key=lambda place: (starts[place], place))
        count = min(BLOCKS, len(ordered))
        cuts = np.linspace(0, len(ordered), count + 1).astype(int)
        blocks += [(path, ordered[begin:end]) for begin, end in itertools.pairwise(cuts.tolist())]
    return blocks


def _choose_blocks(
    annotations: Annotations, blocks: Sequence[tuple[str, list[int]]], share: float, seed: int
) -> list[int]:
    classes = [Counter(label for place in places for label in annotations.labels.of(place)) for _, places in blocks]
    left: Counter[int] = Counter()
    for own in classes:
        left.update(own)
    lacking = {label: max(round(count * share), 1) for label, count in left.items() if count > 1}
    order = sorted(range(len(blocks)), key=lambda number: rank_of(f"{blocks[number][0]}:{number}", seed))
    held: set[int] = set()

    def is_beside(number: int) -> bool:
        others = (other for other in (number - 1, number + 1) if other in held)
        return any(blocks[number][0] == blocks[other][0] for other in others)

    while any(count > 0 for count in lacking.values()):
        best, best_score = None, 0.0
        for number in order:
            own = classes[number]
            if number in held or any(count >= left[label] for label, count in own.items()):
                continue  # it is all that there is of a class
            useful = sum(min(count, max(lacking.get(label, 0), 0)) for label, count in own.items())
            # A longer stretch has fewer borders.
            score = useful / own.total() + (0.25 if useful and is_beside(number) else 0)
            if score > best_score:
                best, best_score = number, score
        if best is None:
            break
        held.add(best)
        left.subtract(classes[best])
        for label, count in classes[best].items():
            if label in lacking:
                lacking[label] -= count
    return sorted(held)


def _stretches(blocks: Sequence[tuple[str, list[int]]], held: Sequence[int]) -> list[list[int]]:
    """The clips of held-out blocks, those of neighbouring blocks together."""
    stretches: list[list[int]] = []
    for place, number in enumerate(held):
        path, places = blocks[number]
        if place and held[place - 1] == number - 1 and blocks[number - 1][0] == path:
            stretches[-1] += places
        else:
            stretches.append(list(places))
    return stretches
