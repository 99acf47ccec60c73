"""What a data set holds, and what is wrong with it: its classes, sizes and durations, before any training."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinema.datasets.annotations import Annotations, Split
from kinema.datasets.annotations.grouping import source_video_of
from kinema.datasets.annotations.labels import labels_out_of_range
from kinema.datasets.annotations.splits import find_layout
from kinema.errors import VideoError
from kinema.video import VideoReader

SHOWN = 5  # examples of a problem
MAX_UNNAMED_CLASSES = 100_000  # above it a label is rather an identifier or a time than a class index
FEW_VALIDATION_CLIPS = 50
FEW_CLIPS_A_CLASS = 5
PROBED = 100  # videos of a part whose durations are looked at


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


@dataclass(frozen=True)
class Spread:
    """Least, middle and greatest of some numbers."""

    least: float
    middle: float
    greatest: float


@dataclass(frozen=True)
class PartSurvey:
    """One part of a data set, such as its training clips.

    Attributes:
        name: "train", "val", or "all" where there is one part.
        source: the file or folder that was read.
        format: the format that it was read as.
        video_root: folder that the paths are relative to.
        num_clips: clips.
        num_videos: different files among them.
        num_bytes: of these files, those that are there.
        labels_per_clip: mean number of labels.
        num_probed: videos that were opened for the following; evenly spread over the part.
        duration_seconds: of the probed clips; None: none could be opened.
        fps: their frame rates.
        short_side: their short sides, in pixels.
        notes: what the reader had to say.
    """

    name: str
    source: str
    format: str
    video_root: str
    num_clips: int
    num_videos: int
    num_bytes: int
    labels_per_clip: float
    num_probed: int
    duration_seconds: Spread | None
    fps: Spread | None
    short_side: Spread | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DatasetSurvey:
    """A data set.

    Attributes:
        layout: how it was understood, see `kinema.datasets.annotations.DataLayout`.
        parts: its training and its validation clips, or all.
        classes: names by class index; indices where no names are known.
        counts: clips of each class, by part: `counts[part name][class index]`.
        problems: what is wrong, the worst first.
        notes: what is done with its parts, where that is not plain, and how sure a figure over its
            validation clips is.
    """

    layout: str
    parts: tuple[PartSurvey, ...]
    classes: tuple[str, ...]
    counts: dict[str, list[int]]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


def survey_dataset(
    path: str | os.PathLike,
    val: str | os.PathLike | None = None,
    *,
    num_probed: int = PROBED,
    group_of: Callable[[str], str] = source_video_of,
    columns: Mapping[str, str] | None = None,
) -> DatasetSurvey:
    """Look over a data set of any format that `find_splits` finds.

    Args:
        path: annotations, or a folder of them or of class folders.
        val: the validation clips, when `path` does not lead to them.
        num_probed: how many videos of each part to open; the durations of 100 are enough.
        group_of: from a clip's path to the video that it was cut from.
        columns: names of a table's columns where they cannot be found out.

    Returns:
        What there is, and its problems. Labels out of range, missing files and the like are
        problems, not errors.

    Raises:
        AnnotationError: the annotations cannot be read at all.
    """
    layout = find_layout(path, val, columns)
    train, held = layout.train, layout.val
    splits = {"all": train} if held is None else {"train": train, "val": held}
    names = next((split.annotations.class_names for split in splits.values() if split.annotations.class_names), ())
    num_classes = len(names) or 1 + max(_largest_label(split.annotations) for split in splits.values())
    counts = {name: _class_counts(split.annotations, num_classes) for name, split in splits.items()}
    classes = names or tuple(map(str, range(num_classes)))
    problems: list[Problem] = []
    parts = []
    for name, split in splits.items():
        missing, num_bytes, num_videos = _look_at_files(split)
        problems += [
            *_missing_files(name, split, missing),
            *_bad_labels(name, split.annotations, num_classes, named=bool(names)),
            *_duplicates(name, split.annotations),
        ]
        part, unreadable = _part(name, split, num_bytes, num_videos, missing, num_probed)
        parts.append(part)
        problems += unreadable
    problems += _class_problems(counts, classes)
    if held is not None:
        problems += _leaks(train.annotations, held.annotations, group_of)
    few = (problem.message for problem in _few_validation_clips(counts, classes))
    shown = {name: numbers.tolist() for name, numbers in counts.items()}
    return DatasetSurvey(
        layout.description, tuple(parts), tuple(classes), shown, tuple(problems), (*layout.notes, *few)
    )


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
    counts = {name: _class_counts(clips, len(classes)) for name, clips in parts.items()}
    return [
        *(problem for name, clips in parts.items() for problem in _duplicates(name, clips)),
        *_class_problems(counts, classes),
        *_few_validation_clips(counts, classes),
        *_leaks(train, val, group_of),
    ]


def _largest_label(annotations: Annotations) -> int:
    values = annotations.labels.values
    return int(values[values < MAX_UNNAMED_CLASSES].max(initial=-1))


def _class_counts(annotations: Annotations, num_classes: int) -> np.ndarray:
    """(num_classes,) clips of each class; labels out of range are left out."""
    values = annotations.labels.values
    return np.bincount(values[(values >= 0) & (values < num_classes)], minlength=num_classes)


def _look_at_files(split: Split) -> tuple[np.ndarray, int, int]:
    """(N,) bool whether each clip's file is missing; bytes and number of the files."""
    sizes: dict[str, int | None] = {}
    missing = np.zeros(len(split.annotations), dtype=bool)
    for place, path in enumerate(split.annotations.paths):
        if path not in sizes:
            try:
                sizes[path] = split.size_of(place)
            except OSError:
                sizes[path] = None
        missing[place] = sizes[path] is None
    return missing, sum(size or 0 for size in sizes.values()), len(sizes)


def _part(
    name: str, split: Split, num_bytes: int, num_videos: int, missing: np.ndarray, num_probed: int
) -> tuple[PartSurvey, list[Problem]]:
    clips = split.annotations
    there = np.flatnonzero(~missing)
    places = there[np.linspace(0, len(there) - 1, min(num_probed, len(there))).astype(int)] if len(there) else there
    figures: list[tuple[float, float, float]] = []
    unreadable: list[str] = []
    if clips.total_frames is None:  # folders of frames have no durations
        for place in places.tolist():
            try:
                with split.open_video(place) as reader:
                    figures.append((_duration(clips, place, reader), reader.fps, min(reader.width, reader.height)))
            except VideoError as error:
                unreadable.append(str(error))
    durations, rates, sides = zip(*figures, strict=True) if figures else ((), (), ())
    part = PartSurvey(
        name,
        str(split.path),
        clips.format,
        str(split.video_root),
        len(clips),
        num_videos,
        num_bytes,
        float(clips.labels.counts().mean()),
        len(places),
        _spread(durations),
        _spread(rates),
        _spread(sides),
        clips.notes,
    )
    message = (
        f"{name}: {len(unreadable)} of {len(places)} probed videos cannot be opened (`kinema data check` looks at all)"
    )
    return part, (
        [Problem("unreadable video", len(unreadable), message, tuple(unreadable[:SHOWN]))] if unreadable else []
    )


def _duration(clips: Annotations, place: int, reader: VideoReader) -> float:
    """Seconds of a clip: those of its video, or of its part."""
    whole = reader.duration_seconds
    if clips.clip_starts is None or clips.clip_ends is None:
        return whole
    rate = 1.0 if clips.clip_unit == "seconds" else reader.fps or 1.0
    start, end = clips.clip_starts[place] / rate, clips.clip_ends[place] / rate
    return float(max(0.0, min(whole, whole if np.isnan(end) else end) - (0 if np.isnan(start) else start)))


def _spread(numbers: Sequence[float]) -> Spread | None:
    return Spread(min(numbers), float(np.median(numbers)), max(numbers)) if numbers else None


# ---- problems


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _clips(count: int) -> str:
    return _plural(count, "clip")


def _examples(clips: Annotations, places: np.ndarray) -> tuple[str, ...]:
    return tuple(f"{clips.place_of(place)}: {clips.paths[place]}" for place in places[:SHOWN].tolist())


def _missing_files(name: str, split: Split, missing: np.ndarray) -> Iterator[Problem]:
    places = np.flatnonzero(missing)
    if len(places):
        message = f"{name}: the files of {_clips(len(places))} are not in {split.video_root}"
        yield Problem("missing file", len(places), message, _examples(split.annotations, places))


def _bad_labels(name: str, clips: Annotations, num_classes: int, *, named: bool) -> Iterator[Problem]:
    outside = clips.labels.owners()[labels_out_of_range(clips, num_classes)]
    if len(outside):
        known = (
            f"0 to {num_classes - 1}, as there are {num_classes} class names" if named else "class indices from 0 on"
        )
        message = f"{name}: the labels of {_clips(len(outside))} are out of range: expected {known}"
        yield Problem("label out of range", len(outside), message, _examples(clips, outside))
    without = np.flatnonzero(clips.labels.counts() == 0)
    if len(without):
        message = f"{name}: {_clips(len(without))} without a label"
        yield Problem("no label", len(without), message, _examples(clips, without))


def _clip_key(clips: Annotations, place: int) -> tuple[str, float, float]:
    """What makes a clip the same as another: its path and part."""
    if clips.clip_starts is None or clips.clip_ends is None:
        return clips.paths[place], 0.0, 0.0
    start, end = np.nan_to_num([clips.clip_starts[place], clips.clip_ends[place]], nan=-1.0).tolist()
    return clips.paths[place], start, end


def _duplicates(name: str, clips: Annotations) -> Iterator[Problem]:
    first: dict[tuple[str, float, float], int] = {}
    again, differently = [], []
    for place in range(len(clips)):
        before = first.setdefault(_clip_key(clips, place), place)
        if before != place:
            again.append(place)
            if clips.labels.of(before) != clips.labels.of(place):
                differently.append(place)
    if again:
        message = f"{name}: {_clips(len(again))} listed again: a clip counts as often as it is listed"
        yield Problem("duplicate", len(again), message, _examples(clips, np.array(again)))
    if differently:
        message = f"{name}: {_clips(len(differently))} listed again with other labels"
        yield Problem("contradiction", len(differently), message, _examples(clips, np.array(differently)))


def _class_problems(counts: dict[str, np.ndarray], classes: Sequence[str]) -> Iterator[Problem]:
    for name, numbers in counts.items():
        absent = [classes[index] for index in np.flatnonzero(numbers == 0).tolist()]
        if absent and numbers.any():
            message = f"{name}: {len(absent)} of {len(classes)} classes without a clip"
            yield Problem("absent class", len(absent), message, tuple(absent[:SHOWN]))
    present = np.flatnonzero(sum(counts.values()))
    if len(present) == 1:
        message = f"all clips are of one class, {classes[present[0]]!r}: there is nothing to tell apart"
        yield Problem("one class", 1, message)
    largest = max(int(numbers.max(initial=0)) for numbers in counts.values())
    least = _least_present(next(iter(counts.values())))
    if least and largest >= 10 * least:
        message = (
            f"the largest class has {largest // least} times the clips of the smallest: "
            "`--set train_dataloader.sampler.type=ClassBalancedSampler` evens them out"
        )
        yield Problem("imbalance", 1, message)


def _few_validation_clips(counts: dict[str, np.ndarray], classes: Sequence[str]) -> Iterator[Problem]:
    numbers = counts.get("val")
    if numbers is None or not numbers.any():
        return
    total = int(numbers.sum())
    smallest = int(np.where(numbers > 0, numbers, total + 1).argmin())
    if total >= FEW_VALIDATION_CLIPS and numbers[smallest] >= FEW_CLIPS_A_CLASS:
        return
    margin = round(100 * 1.96 * (0.8 * 0.2 / total) ** 0.5)
    message = (
        f"val: {_clips(total)}, {numbers[smallest]} of the smallest class {classes[smallest]!r}: an accuracy of 80 % on"
        f" so few is known to about {margin} points up or down; `kinema train --folds 5` measures on every clip"
    )
    yield Problem("few validation clips", total, message)


def _least_present(numbers: np.ndarray) -> int:
    return int(numbers[numbers > 0].min(initial=numbers.max(initial=0)))


def _leaks(train: Annotations, val: Annotations, group_of: Callable[[str], str]) -> Iterator[Problem]:
    """Videos, and source videos, that both parts have clips of."""
    if "shards" in (train.format, val.format):
        return  # the names in their tar files are numbers
    seen = set(train.paths)
    both = sorted({path for path in val.paths if path in seen})
    if both:
        message = f"{_plural(len(both), 'video')} in train and in val: accuracy on val will be too good"
        yield Problem("video in both parts", len(both), message, tuple(both[:SHOWN]))
    groups = Counter(map(group_of, train.paths))
    leaking = sorted({group for path in val.paths if (group := group_of(path)) in groups and path not in seen})
    if leaking:
        message = (
            f"{_plural(len(leaking), 'source video')} with clips in train and in val, by the clips' names: accuracy on"
            " val will be too good; `kinema data split` keeps them on one side"
        )
        yield Problem("source video in both parts", len(leaking), message, tuple(leaking[:SHOWN]))
