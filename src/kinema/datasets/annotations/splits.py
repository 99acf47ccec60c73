"""The training and the validation clips of what a user names; writing lists."""

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from kinema.datasets.annotations.folders import holds_videos, root_of_classes
from kinema.datasets.annotations.formats import FORMATS, LABELLED_BY_INDEX, find_format, read_annotations
from kinema.datasets.annotations.layout import (
    VAL_NAMES,
    find_video_root,
    is_training_list,
    split_of_name,
    testing_part,
    training_part,
    validation_part,
    visible_folders,
)
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.several_labels import lists_numbers_behind_videos, says_several_labels
from kinema.datasets.annotations.shard_index import ShardIndex, load_index
from kinema.errors import AnnotationError
from kinema.files import written_whole
from kinema.printable import breaks_lines, plural
from kinema.video import VideoReader
from kinema.video.remote import NamedBytes

SHAPED_CLIPS = 1000  # so many paths say how deep the clips of a folder lie


@dataclass(frozen=True)
class Split:
    """The clips of one split.

    Attributes:
        annotations: the clips.
        video_root: folder that their paths are relative to.
        part: the part taken of a file or folder that holds several, such as "train".
        columns: the columns of its table that the user named.
        shards: where the videos lie in tar files, of a folder of these.
        options: further keywords of the dataset that reads these clips, such as `hold_out`.
        multi_label: a clip may have several labels.
    """

    annotations: Annotations
    video_root: Path
    part: str | None = None
    columns: Mapping[str, str] | None = None
    shards: ShardIndex | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    multi_label: bool = False

    @property
    def path(self) -> Path:
        """The file or folder that was read."""
        return self.annotations.source

    @property
    def validation_name(self) -> str | None:
        """What the annotations call their validation clips; None: they have no such part."""
        return next((name for name in VAL_NAMES if name in self.annotations.split_names), None)

    def of_part(self, name: str) -> "Split":
        """Only the clips of one part, such as "train"."""
        return replace(self, annotations=self.annotations.of_split(name), part=name)

    @property
    def dataset_type(self) -> str:
        """Name of the dataset that reads these clips."""
        return "VideoDataset" if self.shards is None else "ShardDataset"

    def size_of(self, place: int) -> int:
        """Bytes of the video of a clip.

        Raises:
            OSError: it is not there.
        """
        if self.shards is not None:
            return int(self.shards.sizes[place])
        return (self.video_root / self.annotations.paths[place]).stat().st_size

    def open_video(self, place: int, **options: Any) -> VideoReader:
        """Open the video of a clip, whole also where the clip is a part of it.

        Args:
            place: of the clip.
            options: of `VideoReader`.

        Raises:
            VideoError: it cannot be read.
        """
        path = self.video_root / self.annotations.paths[place]
        if self.shards is None:
            return VideoReader(path, **options)
        return VideoReader(NamedBytes(self.shards.slice_of(place).read(), str(path)), **options)

    def dataset_config(self) -> dict[str, Any]:
        """Keywords of the dataset that reads these clips, see `dataset_type`."""
        if self.shards is not None:
            several = {"multi_class": True} if self.multi_label else {}
            return {"folder": os.fspath(self.path), **several, **self.options}
        config: dict[str, Any] = {
            "ann_file": os.fspath(self.path),
            "data_prefix": {"video": os.fspath(self.video_root)},
        }
        # A list of several labels a clip looks like one of folders of frames.
        if self.multi_label or self.annotations.format not in ("list", "class-folders"):
            config["ann_format"] = self.annotations.format
        if self.columns:
            config["columns"] = dict(self.columns)
        if self.multi_label:
            config["multi_class"] = True
        return {**config, **({} if self.part is None else {"split": self.part}), **self.options}


@dataclass(frozen=True)
class DataLayout:
    """A data set as it was understood.

    Attributes:
        train: the training clips, or all.
        val: the validation clips; None: there are none.
        description: where what lies and how much, a line such as "clips/SPLIT/CLASS/*.mp4: train 80
            clips, val 20 clips, 4 classes".
        notes: what is done with parts of other names, a sentence each; what the readers say is in
            `annotations.notes`.
    """

    train: Split
    val: Split | None
    description: str
    notes: tuple[str, ...]


def find_splits(
    data: str | os.PathLike, val: str | os.PathLike | None = None, columns: Mapping[str, str] | None = None
) -> tuple[Split, Split | None]:
    """Find the training and the validation clips; `find_layout` also says how they lie.

    Args:
        data: annotations of any format that `read_annotations` reads; a folder with `train.txt`
            (and `val.txt`), or with these in another format; a folder `root/train/class/*`,
            `root/val/class/*`; or a folder `root/class/*`. `training`, `valid`, `validation`,
            `dev`, `test`, `testing`, `eval` do as well, in any case of letters, and all of it may
            lie a level deeper.
        val: annotations of the validation clips, when `data` does not lead to them.
        columns: names of a table's columns where they cannot be found out, e.g.
            `dict(path="clip", label="verb")`.

    Returns:
        The two splits; the second is None when there is none.

    Raises:
        AnnotationError: nothing of the kind is there, or it is wrong.
    """
    layout = find_layout(data, val, columns)
    return layout.train, layout.val


def require_there(path: Path) -> None:
    """Raise `AnnotationError` where annotations or clips are asked for that are not there."""
    if not path.exists():
        raise AnnotationError(
            f"{path}: there is no such file or folder: expected a list of 'path label' lines, or a folder of class"
            " folders"
        )


def find_layout(
    data: str | os.PathLike,
    val: str | os.PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    multi_label: bool | None = False,
) -> DataLayout:
    """Find the training and the validation clips, and put into words how they lie.

    Arguments and errors of `find_splits`; `multi_label` of `read_split`, for the training clips:
    the validation clips follow them.
    """
    path = Path(data)
    for given in (path, *(() if val is None else (Path(val),))):
        require_there(given)
    beside: Path | None
    if not path.is_dir():  # a file, or what reading it names as none
        train, beside = path, (path.parent if is_training_list(path) else None)
    else:
        path = root_of_classes(path) if find_format(path) == "class-folders" else path
        train_part = training_part(path)
        train, beside = (path, None) if train_part is None else (train_part, path)
    train_split, val_split = _read_both(train, beside, None if val is None else Path(val), columns, multi_label)
    notes = () if val is not None else tuple(_notes_on_parts(train_split, val_split, beside))
    return DataLayout(train_split, val_split, describe_splits(train_split, val_split), notes)


def _read_both(
    train: Path,
    beside: Path | None,
    val: Path | None,
    columns: Mapping[str, str] | None,
    multi_label: bool | None,
) -> tuple[Split, Split | None]:
    whole = read_split(train, columns=columns, multi_label=multi_label)
    parts = whole.annotations.split_names
    if "train" in parts:
        own_val = whole.validation_name
        train_split = whole.of_part("train")
        if val is None and own_val is not None:
            return train_split, whole.of_part(own_val)
    else:
        train_split = whole
    if val is None and beside is not None:
        val = validation_part(beside, train)
    if val is None:
        return train_split, None
    names = train_split.annotations.class_names
    return train_split, read_split(val, class_names=names, columns=columns, multi_label=train_split.multi_label)


def _notes_on_parts(train: Split, val: Split | None, beside: Path | None) -> Iterator[str]:
    """What is done with test clips, and which folders beside the training's are left out."""
    if val is not None and val.part is not None:
        name = val.part
        left = "test" if name != "test" and "test" in val.annotations.split_names else None
    else:
        test = None if beside is None else testing_part(beside, train.path)
        name = "" if val is None else _name_of(val)
        left = test.name if test is not None and (val is None or test != val.path) else None
    if val is not None and split_of_name(Path(name).stem) == "test":
        yield (
            f"there are no validation clips but {name!r}: these are validated on and choose the best checkpoint, so the"
            " accuracy on them is no independent test"
        )
    if left is not None:
        yield f"{left!r} is left for `kinema test`"
    if beside is not None and train.path.is_dir():
        known = {train.path.name, left, name}
        for folder in visible_folders(beside):
            if folder.name not in known and holds_videos(folder):
                yield f"{str(folder)!r} holds videos and is left out: it is no part that training knows"


def describe_splits(train: Split, val: Split | None) -> str:
    """Where the clips lie and how many there are.

    Such as "clips/SPLIT/CLASS/*.mp4: train 80 clips, val 20 clips, 4 classes".
    """
    classes = len(train.annotations.class_names) or len(np.unique(train.annotations.labels.values))
    numbers = plural(classes, "class")
    splits = [train] if val is None else [train, val]
    if (
        val is not None
        and train.shards is None
        and train.path.is_dir()
        and val.path.is_dir()
        and train.path.parent == val.path.parent
    ):
        root = train.path if train.path == val.path else train.path.parent / "SPLIT"
        shape = root / _shape_in_folder(train)
        parts = [f"{_name_of(split)} {_clips(split)}" for split in splits]
        return f"{shape}: {', '.join([*parts, numbers])}"
    if val is not None and train.path == val.path and train.part != val.part:
        return f"{train.path}: {', '.join([*(f'{split.part} {_clips(split)}' for split in splits), numbers])}"
    if train.shards is not None:
        parts = [f"{split.path / '*.tar'}: {_clips(split)}" for split in splits]
        return ", ".join([*parts, numbers])
    shapes = (
        split.path / _shape_in_folder(split) if split.annotations.format == "class-folders" else split.path
        for split in splits
    )
    return ", ".join([*(f"{shape}: {_clips(split)}" for shape, split in zip(shapes, splits, strict=True)), numbers])


def _name_of(split: Split) -> str:
    return split.part or split.path.name


def _clips(split: Split) -> str:
    count = len(split.annotations)
    return f"{count:,} clip" + ("" if count == 1 else "s")


def _shape_in_folder(split: Split) -> str:
    """Such as "CLASS/*.mp4", of what lies in a folder of class folders."""
    paths = [PurePath(path) for path in islice(split.annotations.paths, SHAPED_CLIPS)]
    suffixes = sorted({path.suffix.lower() for path in paths})
    deeper = "" if all(len(path.parts) == 2 for path in paths) else ("SPLIT/" if split.part else "**/")
    return f"CLASS/{deeper}*" + (suffixes[0] if len(suffixes) == 1 else "")


def read_split(
    path: Path,
    *,
    class_names: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    multi_label: bool | None = False,
) -> Split:
    """Read annotations of any format and find the folder of their videos.

    Args:
        path: the file or folder.
        class_names: the training split's, for formats that label by name.
        columns: names of a table's columns where they cannot be found out.
        multi_label: a clip may have several labels; None: as `says_several_labels` finds.

    Raises:
        AnnotationError: the annotations are wrong, or the clips are not where they say.
    """
    format = find_format(path, columns)
    if format == "rawframes" and multi_label is not False and lists_numbers_behind_videos(path):
        format = "list"  # several labels look like a number of frames and a label
    if format == "shards":
        index = load_index(path)
        several = bool(multi_label) or (multi_label is None and bool((index.annotations.labels.counts() > 1).any()))
        return Split(index.annotations, path, shards=index, multi_label=several)
    options: dict[str, Any] = {
        "class_names": None if format in LABELLED_BY_INDEX else class_names or None,
        "columns": columns,
    }
    separated = "multi_label" in FORMATS[format].options
    annotations = read_annotations(path, format, **options, multi_label=bool(multi_label))
    if multi_label is None:
        multi_label = separated and says_several_labels(annotations)
        if multi_label:
            annotations = read_annotations(path, format, **options, multi_label=True)
    root = annotations.video_root
    return Split(
        annotations,
        find_video_root(annotations) if root is None else root,
        columns=columns,
        multi_label=multi_label,
    )


def write_list(path: Path, annotations: Annotations, video_root: Path) -> Path:
    """Write clips with absolute paths, so that the file can lie anywhere.

    Args:
        path: the file. Whole videos are written as `path label` lines, folders of frames as
            `folder total_frames label` (`folder offset total_frames label`) lines; parts of videos
            as a table, with the suffix .csv.
        annotations: the clips.
        video_root: folder that their paths are relative to.

    Returns:
        The file that was written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    root = video_root.resolve()
    if annotations.clip_starts is None or annotations.clip_ends is None:
        numbers = [column for column in (annotations.frame_offsets, annotations.total_frames) if column is not None]
        with written_whole(path, errors="surrogateescape", newline="\n") as file:
            for place, (name, labels) in enumerate(annotations):
                file.write(list_line(str(root / name), *(int(column[place]) for column in numbers), *labels))
        return path
    path = path.with_suffix(".csv")
    unit = annotations.clip_unit if annotations.clip_unit == "seconds" else "frame"
    with written_whole(path, errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", f"start_{unit}", f"end_{unit}"])
        for (name, labels), start, end in zip(annotations, annotations.clip_starts, annotations.clip_ends, strict=True):
            times = ["" if math.isnan(seconds) else f"{seconds:.15g}" for seconds in (start, end)]
            table.writerow([listable(str(root / name)), "|".join(map(str, labels)), *times])
    return path


def list_line(path: str, *numbers: int) -> str:
    """A line of a list that `read_list` gives back: the path and the numbers behind it.

    Raises:
        AnnotationError: no list can hold the path. Names it.
    """
    path = listable(path)
    if path[0].isspace() or path[0] in "#\"'\ufeff":
        path = f"./{path}"  # else a comment, a quote or white space to leave out
    return " ".join([path, *map(str, numbers)]) + "\n"


def listable(path: str) -> str:
    """The path, where a line of a list can hold it.

    Raises:
        AnnotationError: it has a line break, or ends in a space. Names it.
    """
    if breaks_lines(path):
        raise AnnotationError(f"the name {path!r} has a line break, which no list can hold: rename the file or folder")
    if path != path.rstrip():
        raise AnnotationError(f"the name {path!r} ends in a space, which no list can hold: rename the file")
    return path
