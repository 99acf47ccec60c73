"""Which files or folders hold the training and the validation clips of what a user names."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.datasets.annotations.folders import read_class_folders
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
    if path.is_file():
        train, beside = path, (path.parent if path.stem.startswith("train") else None)
    elif (path / "train.txt").is_file():
        train, beside = path / "train.txt", path
    elif (path / "train").is_dir():
        train, beside = path / "train", path
    else:
        train, beside = path, None
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
    found = [folder / name for name in names if (folder / name).exists() and folder / name != train]
    return found[0] if found else None


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
    first = annotations.records[0].path
    candidates = [source.parent, source.parent / source.stem, Path()]
    for folder in candidates:
        if (folder / first).is_file():
            return folder
    tried = ", ".join(str(folder) for folder in candidates)
    raise AnnotationError(f"{source}:1: the clip {first!r} is not there: looked in {tried}")


def hold_out(split: Split, share: float = 0.2, seed: int = 0) -> tuple[list[ClipRecord], list[ClipRecord]]:
    """Part a split in two, class by class: a clip's side depends on its path and `seed` alone.

    Args:
        split: labelled clips.
        share: of each class's clips to hold out, rounded, at least one of a class with two.
        seed: another seed holds out other clips.

    Returns:
        The clips to train on, and those held out; each in the order of `split`.
    """
    by_class: dict[tuple[int, ...], list[ClipRecord]] = defaultdict(list)
    for record in split.annotations.records:
        by_class[record.labels].append(record)
    held: set[ClipRecord] = set()
    for records in by_class.values():
        count = max(round(len(records) * share), 1) if len(records) > 1 else 0
        held.update(sorted(records, key=lambda record: _rank(record.path, seed))[:count])
    records = split.annotations.records
    return [record for record in records if record not in held], [record for record in records if record in held]


def _rank(path: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{path}".encode()).digest()


def write_list(path: Path, records: Sequence[ClipRecord], video_root: Path) -> None:
    """Write `path label` lines with absolute paths, so that the list can lie anywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = video_root.resolve()
    lines = [f"{root / record.path} {' '.join(map(str, record.labels))}\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8")
