"""All clips of a data set as one list, whether it has training and validation parts or not."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from kinema.datasets.annotations.folders import root_of_classes
from kinema.datasets.annotations.formats import find_format
from kinema.datasets.annotations.layout import VAL_NAMES, entry_of, training_part
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.splits import Split, read_split, require_there
from kinema.datasets.storage.columns import LabelColumn, TextColumn
from kinema.errors import AnnotationError


def read_whole(path: str | os.PathLike, columns: Mapping[str, str] | None = None) -> Split:
    """Read all clips of a data set.

    Of a folder with `train.txt`, `val.txt`, `test.txt` (or such folders) those of all parts.

    Args:
        path: annotations of any format; a folder of class folders; or a folder of parts.
        columns: names of a table's columns where they cannot be found out.

    Raises:
        AnnotationError: the annotations are wrong, the clips are not where they say, or the parts
            do not go together.
    """
    path = Path(path)
    require_there(path)
    if path.is_dir() and find_format(path) == "class-folders":
        path = root_of_classes(path)
    train = training_part(path) if path.is_dir() else None
    if train is None:
        return read_split(path, columns=columns)
    whole = read_split(train, columns=columns)
    named = [entry_of(path, name + train.suffix) for name in VAL_NAMES]
    others = [part for part in named if part is not None and part.is_dir() == train.is_dir()]
    names = whole.annotations.class_names
    return join_splits([whole, *(read_split(other, class_names=names, columns=columns) for other in others)])


def join_splits(splits: Sequence[Split]) -> Split:
    """The clips of several splits one after the other, with paths below the nearest folder of all.

    Raises:
        AnnotationError: they name different classes, or are of videos and of folders of frames.
    """
    first = splits[0]
    if len(splits) == 1:
        return first
    parts = [split.annotations for split in splits]
    for split in splits[1:]:
        if split.annotations.class_names != first.annotations.class_names:
            raise AnnotationError(
                f"{split.path}: names other classes than {first.path}: they cannot be put together "
                f"({_shown(split.annotations)} and {_shown(first.annotations)})"
            )
        if (split.annotations.total_frames is None) != (first.annotations.total_frames is None):
            raise AnnotationError(f"{split.path}: of {first.path} and this one only one lists folders of frames")
    roots = [Path(os.path.abspath(split.video_root)) for split in splits]  # noqa: PTH100 - links stay as they are
    root = Path(os.path.commonpath(roots))
    paths = TextColumn.from_texts(
        os.path.relpath(own / name, root) if PurePath(name).is_absolute() else (own.relative_to(root) / name).as_posix()
        for own, part in zip(roots, parts, strict=True)
        for name in part.paths
    )
    labels = LabelColumn.from_counts(
        np.concatenate([part.labels.values for part in parts]), np.concatenate([part.labels.counts() for part in parts])
    )
    joined = Annotations(
        paths,
        labels,
        source=Path(os.path.commonpath([os.path.abspath(split.path) for split in splits])),  # noqa: PTH100
        class_names=first.annotations.class_names,
        format=first.annotations.format,
        total_frames=_joined(parts, "total_frames", 0),
        frame_offsets=_joined(parts, "frame_offsets", 0),
        clip_starts=_joined(parts, "clip_starts", np.nan),
        clip_ends=_joined(parts, "clip_ends", np.nan),
        clip_unit=_unit(splits),
    )
    return Split(joined, root)


def _joined(parts: Sequence[Annotations], name: str, absent: float) -> np.ndarray | None:
    columns = [getattr(part, name) for part in parts]
    if all(column is None for column in columns):
        return None
    return np.concatenate(
        [np.full(len(part), absent) if column is None else column for part, column in zip(parts, columns, strict=True)]
    )


def _unit(splits: Sequence[Split]) -> Literal["seconds", "frames"]:
    units = {split.annotations.clip_unit: split for split in splits if split.annotations.clip_starts is not None}
    if len(units) > 1:
        raise AnnotationError(
            " and ".join(f"{split.path} counts in {unit}" for unit, split in units.items())
            + ": they cannot be put together"
        )
    return next(iter(units), "seconds")


def _shown(annotations: Annotations) -> str:
    return ", ".join(annotations.class_names[:3]) + (", ..." if len(annotations.class_names) > 3 else "") or "none"
