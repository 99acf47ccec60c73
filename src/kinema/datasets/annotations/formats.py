"""All formats by name, and finding out which one a file or folder has."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.datasets.annotations.boris import is_boris, read_boris
from kinema.datasets.annotations.cvat import read_cvat
from kinema.datasets.annotations.delimited import csv_header, has_columns, read_csv
from kinema.datasets.annotations.elan import read_elan
from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.headerless import find_layout, has_header, lists_frame_folders, read_headerless
from kinema.datasets.annotations.json_files import load_json, read_json, read_jsonl
from kinema.datasets.annotations.kinetics import KINETICS_COLUMNS, read_kinetics
from kinema.datasets.annotations.label_studio import is_label_studio, read_label_studio
from kinema.datasets.annotations.layout import split_folder, visible_folders
from kinema.datasets.annotations.lists import read_list, read_rawframe_list
from kinema.datasets.annotations.mistaken import require_annotations
from kinema.datasets.annotations.official_splits import is_hmdb51, is_ucf101, read_hmdb51, read_ucf101
from kinema.datasets.annotations.parquet import read_parquet
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.shard_index import load_index
from kinema.datasets.annotations.something_something import read_something_something
from kinema.datasets.annotations.subtitles import read_subtitles
from kinema.datasets.annotations.via import is_via, read_via
from kinema.datasets.annotations.walking import holds_videos
from kinema.errors import AnnotationError, KinemaError

logger = logging.getLogger("kinema")


@dataclass(frozen=True)
class Format:
    """A format of annotations: what it looks like, its reader, and the options that this takes."""

    looks_like: str
    read: Callable[..., Annotations]
    options: frozenset[str]


def _format(looks_like: str, read: Callable[..., Annotations], *options: str) -> Format:
    return Format(looks_like, read, frozenset(options) | {"class_names"})


FORMATS: dict[str, Format] = {
    "list": _format("lines 'path label'", read_list, "delimiter", "multi_label"),
    "rawframes": _format(
        "lines 'folder total_frames label'", read_rawframe_list, "delimiter", "multi_label", "with_offset"
    ),
    "headerless": _format("a table without a header", read_headerless),
    "csv": _format("a table with a header", read_csv, "delimiter", "multi_label", "columns"),
    "json": _format("a list of objects", read_json, "multi_label", "columns"),
    "jsonl": _format("one object a line", read_jsonl, "multi_label", "columns"),
    "parquet": _format("a parquet table", read_parquet, "multi_label", "columns"),
    "class-folders": _format("one folder of videos a class", read_class_folders),
    "kinetics": _format("label,youtube_id,time_start,time_end,split", read_kinetics, "video_root"),
    "something-something": _format("a list of ids and templates", read_something_something, "video_root"),
    "ucf101": _format("trainlist01.txt, testlist01.txt, classInd.txt", read_ucf101, "fold", "video_root"),
    "hmdb51": _format("brush_hair_test_split1.txt, ...", read_hmdb51, "fold", "video_root"),
    "label-studio": _format("Label Studio's JSON export", read_label_studio, "multi_label", "video_root", "frame_rate"),
    "cvat": _format("CVAT's annotations.xml", read_cvat, "video_root"),
    "elan": _format("ELAN's annotation document", read_elan, "video_root", "tiers"),
    "boris": _format("a project of BORIS", read_boris, "video_root"),
    "via": _format("a project of VIA 3 (video)", read_via, "multi_label", "video_root"),
    "subtitles": _format("subtitles of the video beside them", read_subtitles, "video_root"),
    "shards": _format("tar files of videos", lambda path, **known: _read_shards(path, **known)),
}
USUAL_FORMATS = ("list", "rawframes", "class-folders")
TABLE_SUFFIXES = (".csv", ".tsv")
LABELLED_BY_INDEX = ("list", "rawframes")  # their own classes.txt names the classes


def read_annotations(
    path: str | os.PathLike,
    format: str = "auto",
    *,
    split: str | None = None,
    fold: int = 1,
    delimiter: str | None = None,
    multi_label: bool = False,
    with_offset: bool = False,
    columns: Mapping[str, str] | None = None,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
    frame_rate: float | None = None,
    tiers: Sequence[str] | None = None,
) -> Annotations:
    """Read annotations of any format.

    Args:
        path: the file or folder.
        format: a name of `FORMATS`; "auto" finds out, and logs which it took.
        split: the part to take, such as "train", of a file that holds several, or of a folder
            `root/train/class/*`; default: all.
        fold: which of the official splits, of UCF101 and HMDB51.
        delimiter: between the fields of a list or table; default: white space for lists, what the
            header shows for tables.
        multi_label: a clip may have several labels; no difference to formats that give it one.
        with_offset: lists of folders of frames have the column `offset`.
        columns: names of a table's columns where they cannot be found out, e.g.
            `dict(path="clip", label="verb")`.
        class_names: names by class index, when known (from the training split).
        video_root: folder of the videos, for formats whose files do not hold their full names.
        frame_rate: at which Label Studio counted frames, where its export does not say.
        tiers: names of the tiers to read of ELAN's documents; default: all.

    Returns:
        The clips, with columns rather than a Python object a clip.

    Raises:
        AnnotationError: the file is missing or wrong, or has no such split. Names file and line.
        ValueError: there is no such format, or it does not take one of the options.
        MissingDependencyError: the format needs a library that is not installed.
    """
    path = Path(path)
    if split is not None and path.is_dir() and (part := split_folder(path, split)) is not None:
        path, split = part, None
    if format == "auto":
        format = find_format(path, columns)
        if format == "headerless" and (multi_label or delimiter is not None):
            format = "list"  # the caller knows what the fields are
        level = logging.DEBUG if format in USUAL_FORMATS else logging.INFO
        logger.log(level, "%s: read as %s (%s)", path, format, FORMATS[format].looks_like)
    if format not in FORMATS:
        raise ValueError(f"there is no annotation format {format!r}: expected auto, {', '.join(FORMATS)}")
    if format in LABELLED_BY_INDEX and delimiter is None:
        layout = find_layout(path)
        delimiter = None if layout is None or layout.delimiter == " " else layout.delimiter
    given = {
        **({"fold": fold} if fold != 1 else {}),
        **({"delimiter": delimiter} if delimiter is not None else {}),
        **({"multi_label": True} if multi_label and "multi_label" in FORMATS[format].options else {}),
        **({"with_offset": with_offset} if with_offset else {}),
        **({"columns": columns} if columns else {}),
        **({"frame_rate": frame_rate} if frame_rate is not None else {}),
        **({"tiers": tiers} if tiers else {}),
    }
    taken = FORMATS[format].options
    unfit = sorted(set(given) - taken)
    if unfit:
        raise ValueError(f"{path}: the format {format} takes no {unfit[0]}")
    hints: dict[str, Any] = {"class_names": class_names or None, "video_root": video_root}
    hints = {name: value for name, value in hints.items() if name in taken}
    try:
        annotations = FORMATS[format].read(path, **given, **hints)
    except (
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        UnicodeError,
        MemoryError,
    ) as error:
        if isinstance(error, KinemaError):
            raise
        # Files of wild forms: the readers name the usual mistakes, this is for the others.
        raise AnnotationError(
            f"{path}: is not {FORMATS[format].looks_like} (format {format!r}): {type(error).__name__}:"
            f" {str(error)[:200]}"
        ) from error
    return annotations if split is None else _take_split(annotations, split)


def _take_split(annotations: Annotations, split: str) -> Annotations:
    if split in annotations.split_names:
        return annotations.of_split(split)
    there = f"it has {', '.join(annotations.split_names)}" if annotations.split_names else "it names no splits"
    raise AnnotationError(f"{annotations.source}: there is no split {split!r}: {there}")


def find_format(path: str | os.PathLike, columns: Mapping[str, str] | None = None) -> str:
    """The format of a file or folder, a name of `FORMATS`.

    By its suffix, and by how it begins where that is not enough.

    Args:
        path: the file or folder.
        columns: names of columns; a text whose first line holds one of them is a table.

    Raises:
        AnnotationError: the file is packed, or is a video, a web page or the like; or one whose
            beginning decides the format cannot be read.
    """
    path = Path(path)
    require_annotations(path)
    if is_ucf101(path):
        return "ucf101"
    if path.is_dir():
        if is_hmdb51(path):
            return "hmdb51"
        return "shards" if holds_shards(path) else "class-folders"
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return "csv" if columns and has_columns(path, columns) else _find_table_format(path)
    if suffix == ".json":
        return _find_json_format(path)
    by_suffix = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet", ".xml": "cvat"}
    by_suffix |= {".eaf": "elan", ".boris": "boris", ".srt": "subtitles", ".vtt": "subtitles"}
    if suffix in (".zip", ".gz", ".tar"):
        raise AnnotationError(f"{path}: is packed: unpack it and name the file or folder inside")
    if suffix in by_suffix:
        return by_suffix[suffix]
    if columns and path.is_file() and has_columns(path, columns):
        return "csv"
    return _find_table_format(path) if has_header(path) else _find_list_format(path)


def holds_shards(folder: Path) -> bool:
    """Does a folder hold tar files of videos, and no class folders beside them?"""
    return any(folder.glob("*.tar")) and not any(map(holds_videos, visible_folders(folder)))


def _read_shards(path: Path, *, class_names: Sequence[str] | None = None) -> Annotations:
    """What tar files of videos hold; `Split.open_video` and `ShardDataset` know where in them the videos lie."""
    return load_index(path).annotations


def _find_table_format(path: Path) -> str:
    header = csv_header(path)
    if header is None:
        return _find_list_format(path)
    return "kinetics" if set(KINETICS_COLUMNS) <= set(header) else "csv"


def _find_list_format(path: Path) -> str:
    if lists_frame_folders(path):
        return "rawframes"
    layout = find_layout(path)
    return "list" if layout is None or layout.is_plain else "headerless"


def _find_json_format(path: Path) -> str:
    content = load_json(path)
    if is_label_studio(content):
        return "label-studio"
    if is_boris(content):
        return "boris"
    if is_via(content):
        return "via"
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, Mapping) and "id" in first and (set(first) == {"id"} or "template" in first):
        return "something-something"
    return "json"
