"""The training and the validation clips of what a user names; writing lists."""

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.datasets.annotations.formats import LABELLED_BY_INDEX, find_format, read_annotations
from kinema.datasets.annotations.layout import VAL_NAMES, find_video_root, training_part, validation_part
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError


@dataclass(frozen=True)
class Split:
    """The clips of one split.

    Attributes:
        annotations: the clips.
        video_root: folder that their paths are relative to.
        part: the part taken of a file or folder that holds several, such as "train".
    """

    annotations: Annotations
    video_root: Path
    part: str | None = None

    @property
    def path(self) -> Path:
        """The file or folder that was read."""
        return self.annotations.source

    @property
    def validation_name(self) -> str | None:
        """What the annotations call their validation clips; None: they tell no such part."""
        return next((name for name in VAL_NAMES if name in self.annotations.split_names), None)

    def of_part(self, name: str) -> "Split":
        """Only the clips of one part, such as "train"."""
        return Split(self.annotations.of_split(name), self.video_root, name)

    def dataset_config(self) -> dict[str, Any]:
        """Keywords of `VideoDataset` that read these clips."""
        config: dict[str, Any] = {
            "ann_file": os.fspath(self.path),
            "data_prefix": {"video": os.fspath(self.video_root)},
        }
        if self.annotations.format not in ("list", "class-folders"):
            config["ann_format"] = self.annotations.format
        return config if self.part is None else {**config, "split": self.part}


def find_splits(data: str | os.PathLike, val: str | os.PathLike | None = None) -> tuple[Split, Split | None]:
    """Find the training and the validation clips.

    Args:
        data: annotations of any format that `read_annotations` reads; a folder with `train.txt` (and `val.txt`), or with these in
            another format; a folder `root/train/class/*`, `root/val/class/*`; or a folder `root/class/*`.
        val: annotations of the validation clips, when `data` does not lead to them.

    Returns:
        The two splits; the second is None when there is none.

    Raises:
        AnnotationError: nothing of the kind is there, or it is wrong.
    """
    path = Path(data)
    if not path.exists():
        raise AnnotationError(
            f"{path}: there is no such file or folder: expected a list of 'path label' lines, or a folder of class folders"
        )
    beside: Path | None
    if path.is_file():
        train, beside = path, (path.parent if path.stem.lower().startswith("train") else None)
    else:
        found = training_part(path)
        train, beside = (path, None) if found is None else (found, path)
    whole = read_split(train)
    parts = whole.annotations.split_names
    if "train" in parts:
        own_val = whole.validation_name
        train_split = whole.of_part("train")
        if val is None and own_val is not None:
            return train_split, whole.of_part(own_val)
    else:
        train_split = whole
    if val is not None:
        val_path: Path | None = Path(val)
    else:
        val_path = None if beside is None else validation_part(beside, train)
    if val_path is None:
        return train_split, None
    return train_split, read_split(val_path, class_names=train_split.annotations.class_names)


def read_split(path: Path, *, class_names: Sequence[str] = ()) -> Split:
    """Read annotations of any format and find the folder of their videos.

    Args:
        path: the file or folder.
        class_names: the training split's, for formats that label by name.

    Raises:
        AnnotationError: the annotations are wrong, or the clips are not where they say.
    """
    format = find_format(path)
    names = None if format in LABELLED_BY_INDEX else class_names or None
    annotations = read_annotations(path, format, class_names=names)
    root = annotations.video_root
    return Split(annotations, find_video_root(annotations) if root is None else root)


def write_list(path: Path, annotations: Annotations, video_root: Path) -> Path:
    """Write clips with absolute paths, so that the file can lie anywhere.

    Args:
        path: the file. Whole videos are written as `path label` lines, folders of frames as `folder total_frames label` (`folder offset
            total_frames label`) lines; parts of videos as a table, with the suffix .csv.
        annotations: the clips.
        video_root: folder that their paths are relative to.

    Returns:
        The file that was written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    root = video_root.resolve()
    if annotations.clip_starts is None or annotations.clip_ends is None:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            numbers = [one for one in (annotations.frame_offsets, annotations.total_frames) if one is not None]
            for place, (name, labels) in enumerate(annotations):
                file.write(" ".join(map(str, [root / name, *(int(one[place]) for one in numbers), *labels])) + "\n")
        return path
    path = path.with_suffix(".csv")
    unit = annotations.clip_unit if annotations.clip_unit == "seconds" else "frame"
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", f"start_{unit}", f"end_{unit}"])
        for (name, labels), start, end in zip(annotations, annotations.clip_starts, annotations.clip_ends, strict=True):
            times = ["" if math.isnan(one) else f"{one:.15g}" for one in (start, end)]
            table.writerow([root / name, "|".join(map(str, labels)), *times])
    return path
