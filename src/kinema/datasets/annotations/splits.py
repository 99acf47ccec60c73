"""Which files or folders hold the training and the validation clips of what a user names."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.labels import line_of
from kinema.datasets.annotations.lists import read_list
from kinema.datasets.annotations.records import Annotations, ClipRecord
from kinema.errors import AnnotationError

_VAL_NAMES = ("val", "validation", "valid", "test")


@dataclass(frozen=True)
class Split:
    """The clips of one split, and the folder that their paths are relative to."""

    annotations: Annotations
    video_root: Path

    @property
    def path(self) -> Path:
        """The list file or the folder of class folders."""
        return self.annotations.source


def find_splits(data: str | os.PathLike, val: str | os.PathLike | None = None) -> tuple[Split, Split | None]:
    """Find the training and the validation clips.

    Args:
        data: a list of `path label` lines; a folder with `train.txt` (and `val.txt`); a folder `root/train/class/*`,
            `root/val/class/*`; or a folder `root/class/*`.
        val: list or folder of the validation clips, when `data` does not lead to them.

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
        found = _training_part(path)
        train, beside = (path, None) if found is None else (found, path)
    train_split = read_split(train)
    val_path = Path(val) if val is not None else _find_val(beside, train)
    if val_path is None:
        return train_split, None
    return train_split, read_split(val_path, class_names=train_split.annotations.class_names)


def _find_val(folder: Path | None, train: Path) -> Path | None:
    """What lies beside the training clips under a name such as `val`, and is of the same kind."""
    if folder is None:
        return None
    names = [name + train.suffix for name in _VAL_NAMES]
    found = [entry for name in names if (entry := _entry(folder, name)) is not None]
    return next((entry for entry in found if entry != train and entry.is_dir() == train.is_dir()), None)


def has_splits(folder: Path) -> bool:
    """Is `folder` a data set with a training part, `train.txt` or `train/`, not just class folders?"""
    return _training_part(folder) is not None


def _training_part(folder: Path) -> Path | None:
    listed, sorted_ = _entry(folder, "train.txt"), _entry(folder, "train")
    if listed is not None and listed.is_file():
        return listed
    return sorted_ if sorted_ is not None and sorted_.is_dir() else None


def _entry(folder: Path, name: str) -> Path | None:
    """The file or folder `name`; in any case of letters, for `Train` is hardly ever meant as a class."""
    if (folder / name).exists():
        return folder / name
    return next((entry for entry in sorted(folder.iterdir()) if entry.name.lower() == name), None)


def read_split(path: Path, *, class_names: Sequence[str] = ()) -> Split:
    """Read a list or a folder of class folders; `class_names` are the training split's, for folders.

    Raises:
        AnnotationError: the annotations are wrong, or the clips are not where they say.
    """
    if path.is_dir():
        return Split(read_class_folders(path, class_names=class_names or None), path)
    annotations = read_list(path)
    return Split(annotations, _video_root(annotations))


def _video_root(annotations: Annotations) -> Path:
    """The folder that the paths of a list are relative to: the list's own, one named like the list, or the working one."""
    source = annotations.source
    record = annotations.records[0]
    first = record.path
    candidates = [source.parent, source.parent / source.stem, Path()]
    for folder in candidates:
        if (folder / first).is_file():
            return folder
    tried = ", ".join(str(folder) for folder in candidates)
    hint = "" if record.labels else "; expected 'path label' lines with whole-number labels"
    raise AnnotationError(
        f"{source}:{line_of(source, record)}: the clip {first!r} is not there: looked in {tried}{hint}"
    )


def hold_out(split: Split, share: float = 0.2, seed: int = 0) -> tuple[list[ClipRecord], list[ClipRecord]]:
    """Part a split in two, class by class: a clip's side depends on its path and `seed` alone.

    Args:
        split: labelled clips.
        share: of each class's clips to hold out, rounded, at least one of a class with two.
        seed: another seed holds out other clips.

    Returns:
        The clips to train on, and those held out; each in the order of `split`.
    """
    by_class: dict[tuple[int, ...], set[str]] = defaultdict(set)
    for record in split.annotations.records:
        by_class[record.labels].add(record.path)  # a clip that is listed twice must not come to lie on both sides
    held: set[str] = set()
    for paths in by_class.values():
        count = max(round(len(paths) * share), 1) if len(paths) > 1 else 0
        held.update(sorted(paths, key=lambda path: _rank(path, seed))[:count])
    records = split.annotations.records
    return [one for one in records if one.path not in held], [one for one in records if one.path in held]


def _rank(path: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{path}".encode()).digest()


def write_list(path: Path, records: Sequence[ClipRecord], video_root: Path) -> None:
    """Write `path label` lines with absolute paths, so that the list can lie anywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = video_root.resolve()
    lines = [f"{root / record.path} {' '.join(map(str, record.labels))}\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8")
