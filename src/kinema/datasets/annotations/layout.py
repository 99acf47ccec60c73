"""How data sets lie on disk: which file or folder beside which holds training clips, validation clips, videos."""

from pathlib import Path

import numpy as np

from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError

VAL_NAMES = ("val", "validation", "valid", "test")
LOOKED_FOR = 50  # clips, before a list's videos count as gone
LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".xml", ".lst", ".list")


def training_part(folder: Path) -> Path | None:
    """The `train.txt` (or .csv, .json, ...), else the `train/` of a data set; None: it has none."""
    listed = [entry for suffix in LIST_SUFFIXES if (entry := entry_of(folder, f"train{suffix}")) is not None]
    files = [entry for entry in listed if entry.is_file()]
    if files:
        return files[0]
    sorted_ = entry_of(folder, "train")
    return sorted_ if sorted_ is not None and sorted_.is_dir() else None


def validation_part(folder: Path, train: Path) -> Path | None:
    """What lies beside the training clips under a name such as `val`, and is of the same kind."""
    names = [name + train.suffix for name in VAL_NAMES]
    found = [entry for name in names if (entry := entry_of(folder, name)) is not None]
    return next((entry for entry in found if entry != train and entry.is_dir() == train.is_dir()), None)


def has_splits(folder: Path) -> bool:
    """Is `folder` a data set with a training part, such as `train.txt` or `train/`, not just class folders?"""
    return training_part(folder) is not None


def entry_of(folder: Path, name: str) -> Path | None:
    """The file or folder `name`; in any case of letters, for `Train` is hardly ever meant as a class."""
    if (folder / name).exists():
        return folder / name
    return next((entry for entry in sorted(folder.iterdir()) if entry.name.lower() == name), None)


def root_candidates(source: Path) -> list[Path]:
    """Folders that the paths in the file `source` may be relative to, the likeliest first."""
    own = source.parent
    return [own, own / source.stem, own / "videos", own / "clips", own.parent, own.parent / "videos", Path()]


def find_video_root(annotations: Annotations) -> Path:
    """The folder that the paths of a file are relative to: the file's own, one named like it, a neighbour, or the working one.

    Raises:
        AnnotationError: none of the clips that were looked for, the first among them, is in one of these.
    """
    candidates = root_candidates(annotations.source)
    # Some clips may have been lost: look for others before giving up.
    for place in np.linspace(0, len(annotations) - 1, min(len(annotations), LOOKED_FOR)).astype(int).tolist():
        for folder in candidates:
            if (folder / annotations.paths[place]).exists():
                return folder
    tried = ", ".join(dict.fromkeys(str(folder) for folder in candidates))
    hint = "" if len(annotations.labels.values) else "; expected 'path label' lines with whole-number labels"
    raise AnnotationError(
        f"{annotations.place_of(0)}: the clip {annotations.paths[0]!r} is not there: looked in {tried}{hint}"
    )
