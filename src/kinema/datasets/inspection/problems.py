"""What can be wrong with labelled clips, as their annotations and files show it: each a sentence with examples."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kinema.datasets.annotations import Annotations, Split
from kinema.datasets.annotations.grouping import source_video_of
from kinema.datasets.annotations.labels import labels_out_of_range
from kinema.printable import plural

SHOWN = 5  # examples of a problem
FEW_VALIDATION_CLIPS = 50
FEW_TO_VALIDATE_ON = "few validation clips"  # kind of the problem
FEW_CLIPS_A_CLASS = 5


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data set.

    Attributes:
        kind: such as "missing file".
        count: how often.
        message: a sentence for people.
        examples: some places: `file:line` and path, or names.
    """

    kind: str
    count: int
    message: str
    examples: tuple[str, ...] = ()


def problems_of_splits(
    train: Annotations,
    val: Annotations,
    classes: Sequence[str],
    *,
    group_of: Callable[[str], str] = source_video_of,
) -> list[Problem]:
    """Problems of training and validation clips that the annotations alone show: no file is opened.

    Args:
        train: the training clips.
        val: the validation clips.
        classes: names by class index.
        group_of: from a clip's path to the video that it was cut from.

    Returns:
        Clips that are listed again, classes without clips or of very unequal size, few validation
        clips, videos and source videos in both parts; as `survey_dataset` finds them.
    """
    parts = {"train": train, "val": val}
    counts = {name: class_counts(clips, len(classes)) for name, clips in parts.items()}
    return [
        *(problem for name, clips in parts.items() for problem in listed_again(name, clips)),
        *class_problems(counts, classes),
        *few_validation_clips(counts, classes, len(val)),
        *leaks(train, val, group_of),
    ]


def class_counts(annotations: Annotations, num_classes: int) -> np.ndarray:
    """(num_classes,) clips of each class; labels out of range are left out."""
    values = annotations.labels.values
    return np.bincount(values[(values >= 0) & (values < num_classes)], minlength=num_classes)


def clips_in_words(count: int) -> str:
    """Such as "1 clip"."""
    return plural(count, "clip")


def examples_of(clips: Annotations, places: np.ndarray) -> tuple[str, ...]:
    """Where some clips stand in their annotations."""
    return tuple(f"{clips.place_of(place)}: {clips.paths[place]}" for place in places[:SHOWN].tolist())


def missing_files(name: str, split: Split, missing: np.ndarray) -> Iterator[Problem]:
    """Clips whose files are not there; `missing` is (N,) bool."""
    places = np.flatnonzero(missing)
    if len(places):
        message = f"{name}: the files of {clips_in_words(len(places))} are not in {split.video_root}"
        yield Problem("missing file", len(places), message, examples_of(split.annotations, places))


def bad_labels(name: str, clips: Annotations, num_classes: int, *, named: bool) -> Iterator[Problem]:
    """Labels out of range, and clips without one; `named`: the classes have names."""
    outside = clips.labels.owners()[labels_out_of_range(clips, num_classes)]
    if len(outside):
        known = (
            f"0 to {num_classes - 1}, as there are {num_classes} class names" if named else "class indices from 0 on"
        )
        message = f"{name}: the labels of {clips_in_words(len(outside))} are out of range: expected {known}"
        yield Problem("label out of range", len(outside), message, examples_of(clips, outside))
    without = np.flatnonzero(clips.labels.counts() == 0)
    if len(without):
        message = f"{name}: {clips_in_words(len(without))} without a label"
        yield Problem("no label", len(without), message, examples_of(clips, without))


def _clip_key(clips: Annotations, place: int) -> tuple[str, float, float]:
    """What makes a clip the same as another: its path and part."""
    if clips.clip_starts is None or clips.clip_ends is None:
        return clips.paths[place], 0.0, 0.0
    start, end = np.nan_to_num([clips.clip_starts[place], clips.clip_ends[place]], nan=-1.0).tolist()
    return clips.paths[place], start, end


def listed_again(name: str, clips: Annotations) -> Iterator[Problem]:
    """Clips that come twice by path and part, and those of them that have other labels then."""
    first: dict[tuple[str, float, float], int] = {}
    again, differently = [], []
    for place in range(len(clips)):
        before = first.setdefault(_clip_key(clips, place), place)
        if before != place:
            again.append(place)
            if clips.labels.of(before) != clips.labels.of(place):
                differently.append(place)
    if again:
        message = f"{name}: {clips_in_words(len(again))} listed again: a clip counts as often as it is listed"
        yield Problem("duplicate", len(again), message, examples_of(clips, np.array(again)))
    if differently:
        message = f"{name}: {clips_in_words(len(differently))} listed again with other labels"
        yield Problem("contradiction", len(differently), message, examples_of(clips, np.array(differently)))


def class_problems(counts: dict[str, np.ndarray], classes: Sequence[str]) -> Iterator[Problem]:
    """Classes without clips or with very few, a single class, classes of very unequal size; the first part trains."""
    for name, numbers in counts.items():
        absent = [classes[index] for index in np.flatnonzero(numbers == 0).tolist()]
        if absent and numbers.any():
            message = f"{name}: {len(absent)} of {len(classes)} classes without a clip"
            yield Problem("absent class", len(absent), message, tuple(absent[:SHOWN]))
    present = np.flatnonzero(sum(counts.values()))
    if len(present) == 1:
        message = f"all clips are of one class, {classes[present[0]]!r}: there is nothing to tell apart"
        yield Problem("one class", 1, message)
    yield from _small_classes(next(iter(counts.items())), classes)
    largest = max(int(numbers.max(initial=0)) for numbers in counts.values())
    least = _least_present(next(iter(counts.values())))
    if least and largest >= 10 * least:
        message = (
            f"the largest class has {largest // least} times the clips of the smallest: "
            "`kinema train --class-weights auto` lets each class count as much"
        )
        yield Problem("imbalance", 1, message)


def _small_classes(part: tuple[str, np.ndarray], classes: Sequence[str]) -> Iterator[Problem]:
    """Classes that have too few clips to learn what they have in common, where others have more."""
    name, numbers = part
    small = np.flatnonzero((numbers > 0) & (numbers < FEW_CLIPS_A_CLASS))
    if not len(small) or numbers.max() < 2 * FEW_CLIPS_A_CLASS:
        return
    shown = ", ".join(f"{classes[index]!r} {numbers[index]}" for index in small[:SHOWN].tolist())
    more = ", ..." if len(small) > SHOWN else ""
    message = (
        f"{name}: {plural(len(small), 'class')} with fewer than {FEW_CLIPS_A_CLASS} clips: {shown}{more}: too few to"
        " learn from; add clips, or leave the class out"
    )
    yield Problem("small class", len(small), message.replace("1 class with", "a class with"))


def few_validation_clips(
    counts: dict[str, np.ndarray], classes: Sequence[str], total: int | None = None
) -> Iterator[Problem]:
    """So few validation clips, `total` in all, that an accuracy on them says little; None: each has one label."""
    numbers = counts.get("val")
    if numbers is None or not numbers.any():
        return
    total = int(numbers.sum()) if total is None else total
    smallest = int(np.where(numbers > 0, numbers, total + 1).argmin())
    if total >= FEW_VALIDATION_CLIPS and numbers[smallest] >= FEW_CLIPS_A_CLASS:
        return
    margin = round(100 * 1.96 * (0.8 * 0.2 / total) ** 0.5)
    message = (
        f"val: {clips_in_words(total)}, {numbers[smallest]} of the smallest class {classes[smallest]!r}: an accuracy of"
        f" 80 % on so few is known to about {margin} points up or down; `kinema train --folds 5` measures on every clip"
    )
    yield Problem(FEW_TO_VALIDATE_ON, total, message)


def _least_present(numbers: np.ndarray) -> int:
    return int(numbers[numbers > 0].min(initial=numbers.max(initial=0)))


def leaks(train: Annotations, val: Annotations, group_of: Callable[[str], str]) -> Iterator[Problem]:
    """Videos, and source videos, that both parts have clips of."""
    if "shards" in (train.format, val.format):
        return  # the names in their tar files are numbers
    seen = set(train.paths)
    both = sorted({path for path in val.paths if path in seen})
    if both:
        message = f"{plural(len(both), 'video')} in train and in val: accuracy on val will be too good"
        yield Problem("video in both parts", len(both), message, tuple(both[:SHOWN]))
    groups = Counter(map(group_of, train.paths))
    leaking = sorted({group for path in val.paths if (group := group_of(path)) in groups and path not in seen})
    if leaking:
        message = (
            f"{plural(len(leaking), 'source video')} with clips in train and in val, by the clips' names: accuracy on"
            " val will be too good; `kinema data split` keeps them on one side"
        )
        yield Problem("source video in both parts", len(leaking), message, tuple(leaking[:SHOWN]))
