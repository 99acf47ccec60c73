"""How data sets lie on disk: which file or folder beside which holds training clips, validation clips, videos."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kinema.datasets.annotations.mistaken import hint_on_missing
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.walking import is_junk_folder
from kinema.errors import AnnotationError

TRAIN_NAMES = ("train", "training")
_VAL_ONLY = ("val", "validation", "valid", "validate", "dev")
TEST_NAMES = ("test", "testing", "eval", "evaluation")
VAL_NAMES = (*_VAL_ONLY, *TEST_NAMES)  # test clips are validated on where there are no others
SPLIT_NAMES = {
    **dict.fromkeys(TRAIN_NAMES, "train"),
    **dict.fromkeys(_VAL_ONLY, "val"),
    **dict.fromkeys(TEST_NAMES, "test"),
}
LOOKED_FOR = 50  # clips, before a list's videos count as gone
TEXT_SUFFIXES = (
    ".txt",
    ".csv",
    ".tsv",
    ".lst",
    ".list",
)  # of which one may list the training and another the validation clips
_PROGRAM_SUFFIXES = (".xml", ".eaf", ".boris", ".srt", ".vtt")  # of programs of annotation
LIST_SUFFIXES = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"),
    *(".lst", ".list"),
    *_PROGRAM_SUFFIXES,
)
_TRAIN_IN_STEM = re.compile(r"(?<![a-z])(?:training|train)(?![a-z])", re.IGNORECASE)


def split_of_name(name: str) -> str | None:
    """Split, "train", "val" or "test", where `name` is how people call such a part, in any case of letters."""
    return SPLIT_NAMES.get(name.lower())


def is_visible_folder(path: Path) -> bool:
    """Is this a folder that a person made, not one of a system's or a hidden one?"""
    return not is_junk_folder(path.name) and path.is_dir()


def visible_folders(folder: Path) -> list[Path]:
    """Folders in `folder`, sorted, without those of systems and hidden ones."""
    return sorted(entry for entry in folder.iterdir() if is_visible_folder(entry))


def training_part(folder: Path) -> Path | None:
    """The `train.txt` (or training.csv, ...), else the `train/` (or Training/) of a data set; None: it has none.

    Raises:
        AnnotationError: there are two such folders.
    """
    for suffix in LIST_SUFFIXES:
        for name in TRAIN_NAMES:
            listed = entry_of(folder, name + suffix)
            if listed is not None and listed.is_file():
                return listed
    folders = [entry for entry in visible_folders(folder) if split_of_name(entry.name) == "train"]
    if len(folders) > 1:
        raise AnnotationError(
            f"{folder}: holds {folders[0].name!r} and {folders[1].name!r}, which both name the training clips: keep one"
            " of them"
        )
    return folders[0] if folders else None


def is_training_list(path: Path) -> bool:
    """Does the name of a file say that it lists training clips?

    Such are `train.txt`, `trainlist.txt`, `my_train.csv`.
    """
    return path.stem.lower().startswith("train") or _TRAIN_IN_STEM.search(path.stem) is not None


def validation_part(folder: Path, train: Path) -> Path | None:
    """What lies beside the training clips under a name such as `val`, and is of the same kind.

    Rather not the test clips.
    """
    return next(_parts_beside(folder, train, VAL_NAMES), None)


def testing_part(folder: Path, train: Path) -> Path | None:
    """What lies beside the training clips under a name such as `test`, and is of the same kind."""
    return next(_parts_beside(folder, train, TEST_NAMES), None)


def _parts_beside(folder: Path, train: Path, names: Sequence[str]) -> Iterator[Path]:
    if train.is_dir():
        candidates = list(names)
    else:
        own = train.suffix.lower()
        suffixes = dict.fromkeys((own, *(TEXT_SUFFIXES if own in TEXT_SUFFIXES else ())))
        plain = train.stem.lower().startswith("train")
        stems = [stem for name in names for stem in (_TRAIN_IN_STEM.sub(name, train.stem), *([name] if plain else []))]
        candidates = [stem + suffix for suffix in suffixes for stem in stems]
    for name in candidates:
        entry = entry_of(folder, name)
        if entry is not None and entry != train and entry.is_dir() == train.is_dir():
            yield entry


def split_folder(root: Path, split: str) -> Path | None:
    """The folder of a part of the data set in `root`; of "val" that of the test clips, where there is no other."""
    names = {"train": TRAIN_NAMES, "val": VAL_NAMES, "test": TEST_NAMES}.get(split, (split.lower(),))
    entries = (entry_of(root, name) for name in (split.lower(), *names))
    return next((entry for entry in entries if entry is not None and entry.is_dir()), None)


def entry_of(folder: Path, name: str) -> Path | None:
    """The file or folder `name`; in any case of letters, for `Train` is hardly ever meant as a class."""
    if (folder / name).exists():
        return folder / name
    return next((entry for entry in sorted(folder.iterdir()) if entry.name.lower() == name.lower()), None)


def root_candidates(source: Path) -> list[Path]:
    """Folders that the paths in the file `source` may be relative to, the likeliest first."""
    own = source.parent
    return [own, own / source.stem, own / "videos", own / "clips", own.parent, own.parent / "videos", Path()]


def is_there(path: Path) -> bool:
    """Does the path exist? False where it is none: too long, or with a zero byte."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def find_video_root(annotations: Annotations) -> Path:
    """The folder that the paths of a file are relative to.

    That is the file's own, one named like it, a neighbour, or the working one.

    Raises:
        AnnotationError: none of the clips that were looked for, the first among them, is in one of
            these.
    """
    candidates = root_candidates(annotations.source)
    # Some clips may have been lost: look for others before giving up.
    for place in np.linspace(0, len(annotations) - 1, min(len(annotations), LOOKED_FOR)).astype(int).tolist():
        for folder in candidates:
            if is_there(folder / annotations.paths[place]):
                return folder
    tried = ", ".join(dict.fromkeys(str(folder) for folder in candidates))
    hint = hint_on_missing(annotations.paths[0], candidates)
    if not hint and not len(annotations.labels.values):
        hint = "expected 'path label' lines with whole-number labels"
    hint = f"; {hint}" if hint else ""
    raise AnnotationError(
        f"{annotations.place_of(0)}: the clip {annotations.paths[0]!r} is not there: looked in {tried}{hint}"
    )
