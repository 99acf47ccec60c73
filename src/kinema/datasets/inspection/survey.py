"""What a data set holds, and what is wrong with it: its classes, sizes and durations, before any training."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from kinema.datasets.annotations import Annotations, Split
from kinema.datasets.annotations.grouping import source_video_of
from kinema.datasets.annotations.splits import find_layout
from kinema.datasets.inspection.clip_facts import ClipFacts, iterate_unreadable, look_at_clips
from kinema.datasets.inspection.contents import content_problems
from kinema.datasets.inspection.problems import (
    SHOWN,
    Problem,
    bad_labels,
    class_counts,
    class_problems,
    few_validation_clips,
    leaks,
    listed_again,
    missing_files,
)

MAX_UNNAMED_CLASSES = 100_000  # above it a label is rather an identifier or a time than a class index
PROBED = 100  # videos of a part whose durations are looked at


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

    @property
    def is_complete(self) -> bool:
        """Was every clip opened, and not some of them?"""
        missing = sum(problem.count for problem in self.problems if problem.kind == "missing file")
        return sum(part.num_probed for part in self.parts) + missing >= sum(part.num_clips for part in self.parts)


def survey_dataset(
    path: str | os.PathLike,
    val: str | os.PathLike | None = None,
    *,
    num_probed: int = PROBED,
    group_of: Callable[[str], str] = source_video_of,
    columns: Mapping[str, str] | None = None,
    pictures: bool = False,
) -> DatasetSurvey:
    """Look over a data set of any format that `find_splits` finds.

    Args:
        path: annotations, or a folder of them or of class folders.
        val: the validation clips, when `path` does not lead to them.
        num_probed: how many videos of each part to open; the durations of 100 are enough.
        group_of: from a clip's path to the video that it was cut from.
        columns: names of a table's columns where they cannot be found out.
        pictures: also decode three frames of each opened video, and look for clips of both parts
            that show the same.

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
    return survey_splits(
        splits, names, layout.description, layout.notes, num_probed=num_probed, group_of=group_of, pictures=pictures
    )


def survey_splits(
    splits: Mapping[str, Split],
    names: Sequence[str],
    layout: str,
    notes: Sequence[str] = (),
    *,
    num_probed: int = PROBED,
    group_of: Callable[[str], str] = source_video_of,
    pictures: bool = False,
    seconds: float | None = None,
    seen: Callable[[], object] = lambda: None,
) -> DatasetSurvey:
    """Look over the parts of a data set.

    Args:
        splits: by name, "train" and "val", or "all".
        names: of the classes, by index; empty: not known.
        layout: how the data set was understood, for people.
        notes: what is done with its parts.
        num_probed: how many videos of each part to open.
        group_of: from a clip's path to the video that it was cut from.
        pictures: also decode three frames of each, and look for clips of both parts that show the
            same.
        seconds: look for no further file of a part after so long, and open no further video after as
            long again; None: no limit.
        seen: called after each video.
    """
    num_classes = len(names) or 1 + max(_largest_label(split.annotations) for split in splits.values())
    counts = {name: class_counts(split.annotations, num_classes) for name, split in splits.items()}
    classes = tuple(names) or tuple(map(str, range(num_classes)))
    problems: list[Problem] = []
    parts: list[PartSurvey] = []
    facts: dict[str, ClipFacts] = {}
    for name, split in splits.items():
        missing, num_bytes, num_videos = _look_at_files(split, seconds)
        problems += [
            *missing_files(name, split, missing),
            *bad_labels(name, split.annotations, num_classes, named=bool(names)),
            *listed_again(name, split.annotations),
        ]
        facts[name] = look_at_clips(
            split, np.flatnonzero(~missing), most=num_probed, pictures=pictures, seconds=seconds, seen=seen
        )
        parts.append(_part(name, split, num_bytes, num_videos, facts[name]))
        problems += _unreadable(name, split, facts[name])
    problems += class_problems(counts, classes)
    if "val" in splits:
        problems += leaks(splits["train"].annotations, splits["val"].annotations, group_of)
    problems += content_problems(splits, facts, classes, group_of)
    num_val = len(splits["val"].annotations) if "val" in splits else None
    few = (problem.message for problem in few_validation_clips(counts, classes, num_val))
    shown = {name: numbers.tolist() for name, numbers in counts.items()}
    return DatasetSurvey(layout, tuple(parts), classes, shown, tuple(problems), (*notes, *few))


def _largest_label(annotations: Annotations) -> int:
    values = annotations.labels.values
    return int(values[values < MAX_UNNAMED_CLASSES].max(initial=-1))


def _look_at_files(split: Split, seconds: float | None = None) -> tuple[np.ndarray, int, int]:
    """(N,) bool whether each clip's file is missing; bytes and number of the files.

    When `seconds` are over, the rest counts as there, and as large as those before.
    """
    began = time.monotonic()
    paths = list(split.annotations.paths)
    sizes: dict[str, int | None] = {}
    missing = np.zeros(len(paths), dtype=bool)
    for place, path in enumerate(paths):
        if path not in sizes:
            if seconds is not None and place % 1000 == 0 and time.monotonic() - began > seconds:
                break
            try:
                sizes[path] = split.size_of(place)
            except OSError:
                sizes[path] = None
        missing[place] = sizes[path] is None
    num_videos = len(set(paths))
    num_bytes = sum(size or 0 for size in sizes.values())
    return missing, round(num_bytes * num_videos / max(len(sizes), 1)), num_videos


def _part(name: str, split: Split, num_bytes: int, num_videos: int, facts: ClipFacts) -> PartSurvey:
    clips = split.annotations
    return PartSurvey(
        name,
        str(split.path),
        clips.format,
        str(split.video_root),
        len(clips),
        num_videos,
        num_bytes,
        float(clips.labels.counts().mean()),
        facts.num_looked_at,
        _spread(facts.seconds),
        _spread(facts.fps),
        _spread(facts.short_sides),
        clips.notes,
    )


def _unreadable(name: str, split: Split, facts: ClipFacts) -> Iterator[Problem]:
    count = len(facts.unreadable)
    if count:
        message = (
            f"{name}: {count} of {facts.num_looked_at} probed videos cannot be read (`kinema data check` looks at all)"
        )
        yield Problem("unreadable video", count, message, tuple(islice(iterate_unreadable(split, facts), SHOWN)))


def _spread(numbers: np.ndarray) -> Spread | None:
    if not len(numbers):
        return None
    return Spread(float(numbers.min()), float(np.median(numbers)), float(numbers.max()))
