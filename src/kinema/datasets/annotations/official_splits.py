"""The official splits of UCF101 and HMDB51."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError
from kinema.files import read_text

FOLDS = (1, 2, 3)
_UCF_FILE = re.compile(r"(train|test)list0([123])\.txt")
_HMDB_FILE = re.compile(r"(.+)_test_split([123])\.txt")


def read_ucf101(
    path: str | os.PathLike,
    *,
    fold: int = 1,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read `trainlist01.txt`, `testlist01.txt` and `classInd.txt`.

    Their lines are `Class/v_Class_g08_c01.avi 1`, the same without labels, and `1 Class`.

    Args:
        path: the folder of these files, or one of the lists, which then is read alone.
        fold: which of the three splits; a list's name counts more.
        class_names: names by class index; default: those of classInd.txt, whose ids count from 1.
        video_root: folder of the class folders; default: a folder near the lists that has the first
            clip.

    Returns:
        The clips, of the splits "train" and "test".

    Raises:
        AnnotationError: a file is missing or a line is wrong. Names file and line.
        ValueError: `fold` is none of 1, 2, 3.
    """
    _check_fold(fold)
    source = Path(path)
    folder = source if source.is_dir() else source.parent
    names = tuple(class_names or _read_class_ids(folder / "classInd.txt"))
    named = _UCF_FILE.fullmatch(source.name)
    lists = [source] if named else [folder / f"{part}list0{fold}.txt" for part in ("train", "test")]
    clips = ClipCollector(source, "ucf101")
    first = ""
    for file in lists:
        part = "train" if file.name.startswith("train") else "test"
        for line, text in _lines(file):
            video, _, number = text.partition(" ")
            class_name = video.partition("/")[0]
            if class_name not in names:
                raise AnnotationError(
                    f"{file}:{line}: expected 'Class/video.avi' of a class in classInd.txt, got {text!r}"
                )
            if number.strip() and number.strip() != str(names.index(class_name) + 1):
                raise AnnotationError(
                    f"{file}:{line}: {class_name} is class {names.index(class_name) + 1} in classInd.txt, not"
                    f" {number.strip()}"
                )
            first = first or video
            clips.add(video, (class_name,), line=line if named else None, split=part)
    return clips.finish(names, labels_are_names=True, video_root=_root_near(folder, first, video_root))


def read_hmdb51(
    path: str | os.PathLike,
    *,
    fold: int = 1,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read the files `class_test_split1.txt`, lines `video.avi 0|1|2`: 1 is for training, 2 for testing, 0 for neither.

    Args:
        path: the folder of these files.
        fold: which of the three splits.
        class_names: names by class index; default: the classes in alphabetical order.
        video_root: folder of the class folders; default: a folder near the lists that has the first
            clip.

    Returns:
        The clips, of the splits "train" and "test".

    Raises:
        AnnotationError: there are no such files, or a line is wrong. Names file and line.
        ValueError: `fold` is none of 1, 2, 3.
    """
    _check_fold(fold)
    folder = Path(path)
    files = [(match[1], file) for file in sorted(folder.glob("*.txt")) if (match := _HMDB_FILE.fullmatch(file.name))]
    lists = [(name, file) for name, file in files if file.name.endswith(f"split{fold}.txt")]
    if not lists:
        raise AnnotationError(f"{folder}: expected files such as brush_hair_test_split{fold}.txt, found none")
    clips = ClipCollector(folder, "hmdb51")
    first = ""
    for class_name, file in lists:
        for line, text in _lines(file):
            video, _, use = text.rpartition(" ")
            if not video or use not in ("0", "1", "2"):
                raise AnnotationError(f"{file}:{line}: expected 'video.avi' and 0, 1 or 2, got {text!r}")
            if use == "0":
                continue
            video = f"{class_name}/{video.strip()}"
            first = first or video
            clips.add(video, (class_name,), split="train" if use == "1" else "test")
    names = class_names or sorted({name for name, _ in lists})
    return clips.finish(names, labels_are_names=True, video_root=_root_near(folder, first, video_root))


def is_ucf101(path: Path) -> bool:
    """Is this the folder of UCF101's lists, or one of them?"""
    if path.is_dir():
        return (path / "classInd.txt").is_file() and (path / "trainlist01.txt").is_file()
    return _UCF_FILE.fullmatch(path.name) is not None and (path.parent / "classInd.txt").is_file()


def is_hmdb51(path: Path) -> bool:
    """Is this the folder of HMDB51's lists?"""
    return path.is_dir() and any(_HMDB_FILE.fullmatch(file.name) for file in path.glob("*_test_split?.txt"))


def _check_fold(fold: int) -> None:
    if fold not in FOLDS:
        raise ValueError(f"fold must be one of the official splits 1, 2, 3, got {fold}")


def _read_class_ids(file: Path) -> list[str]:
    """Names by class index of lines `1 Name`, whose ids count from 1."""
    names: dict[int, str] = {}
    for line, text in _lines(file):
        number, _, name = text.partition(" ")
        if not (number.isdecimal() and len(number) < 10 and name.strip()):
            raise AnnotationError(f"{file}:{line}: expected 'number Name', got {text!r}")
        names[int(number)] = name.strip()
    if sorted(names) != list(range(1, len(names) + 1)):
        raise AnnotationError(f"{file}: expected the ids 1 to {len(names)}, each once")
    return [names[number] for number in sorted(names)]


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        text = read_text(file, "utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{file}: expected UTF-8 text") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def _root_near(folder: Path, first: str, video_root: str | os.PathLike | None) -> Path | None:
    """The folder that `first` lies below: the given one, or one in or beside `folder`."""
    if video_root is not None:
        return Path(video_root)
    around = [entry for place in (folder, folder.parent) if place.is_dir() for entry in sorted(place.iterdir())]
    candidates = [folder, folder.parent, *(entry for entry in around if entry.is_dir())]
    return next((place for place in candidates if (place / first).is_file()), None)
