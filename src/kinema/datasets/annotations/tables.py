"""Tables: one clip a row, in columns that are found by their names."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError

# What columns are called, the likeliest first.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "path": (
        *("path", "video_path", "file_path", "filepath", "filename", "file_name", "file", "video", "video_file"),
        *(
            "video_name",
            "clip",
            "clip_path",
            "clip_name",
            "frame_dir",
            "folder",
            "name",
            "video_id",
            "youtube_id",
            "id",
        ),
    ),
    "label": (
        *("label", "labels", "class", "class_name", "category", "action", "activity", "target", "choice"),
        *("label_name", "label_id", "class_id", "category_id", "class_index", "y"),
    ),
    "start_seconds": ("start_seconds", "start", "start_time", "time_start", "start_sec", "t_start", "begin"),
    "end_seconds": ("end_seconds", "end", "end_time", "time_end", "end_sec", "t_end", "stop"),
    "start_frame": ("start_frame", "frame_start"),
    "end_frame": ("end_frame", "frame_end", "stop_frame"),
    "split": ("split", "subset", "set", "partition"),
    "total_frames": ("total_frames", "num_frames", "n_frames", "frame_count"),
    "offset": ("offset", "frame_offset"),
}
MAX_NUMBER = 2**53  # no frame or second is counted so far
_SHOWN = 30  # columns, in a message
_SEPARATORS = re.compile(r"[|;,]")


@dataclass(frozen=True)
class TableColumns:
    """The table's name of each column that is used, by what it holds (a key of `COLUMN_NAMES`)."""

    names: Mapping[str, str]

    def __str__(self) -> str:
        return "columns: " + ", ".join(f"{role} from {name!r}" for role, name in self.names.items())


def find_columns(header: Sequence[str], chosen: Mapping[str, str] | None, place: str) -> TableColumns:
    """Which columns of a table hold what.

    Args:
        header: the table's column names.
        chosen: the user's choice, e.g. `dict(path="clip", label="verb")`; the others are found by their names.
        place: file and line of the header, for messages.

    Raises:
        AnnotationError: a chosen column is not there, or none looks like the path.
        ValueError: `chosen` has a key that is none of `COLUMN_NAMES`.
    """
    shown = shown_columns(list(map(repr, header)))
    for role, name in (chosen or {}).items():
        if role not in COLUMN_NAMES:
            raise ValueError(f"columns: expected {', '.join(COLUMN_NAMES)}, got {role!r}")
        if name not in header:
            raise AnnotationError(f"{place}: there is no column {name!r} for {role}: the columns are {shown}")
    plain = {re.sub(r"[ \-]+", "_", name.strip().lower()): name for name in reversed(header)}
    found = dict(chosen or {})
    for role, known in COLUMN_NAMES.items():
        likely = [plain[one] for one in known if one in plain and plain[one] not in found.values()]
        if role not in found and likely:
            found[role] = likely[0]
    doubled = next((name for name in found.values() if list(header).count(name) > 1), None)
    if doubled is not None:
        raise AnnotationError(f"{place}: two columns are called {doubled!r}: rename one: the columns are {shown}")
    if "path" not in found:
        raise AnnotationError(
            f"{place}: no column looks like the path of the video: the columns are {shown}; "
            "name it: columns=dict(path=..., label=...)"
        )
    return TableColumns({role: found[role] for role in COLUMN_NAMES if role in found})


def shown_columns(names: Sequence[str]) -> str:
    """Names of columns for a message."""
    return ", ".join(names[:_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _SHOWN else "")


def looks_like_header(fields: Sequence[str]) -> bool:
    """Is one of these fields a usual name of a path column, and none a number?"""
    known = {name for names in COLUMN_NAMES.values() for name in names}
    plain = [re.sub(r"[ \-]+", "_", field.strip().lower()) for field in fields]
    return any(one in known for one in plain) and not any(one.isdigit() for one in plain)


def collect_rows(
    source: Path,
    format: str,
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    columns: TableColumns,
    *,
    multi_label: bool,
    class_names: Sequence[str] | None,
) -> Annotations:
    """Rows to annotations.

    Args:
        source: the file, for messages.
        format: name of its format.
        rows: line number and values by column name.
        columns: as `find_columns` gives them.
        multi_label: a label cell holds several, separated by | ; or , (or a list).
        class_names: names by class index, when known.

    Raises:
        AnnotationError: a row has no path, or a number is none. Names file and line.
    """
    names = columns.names
    unit: Literal["seconds", "frames"] = (
        "frames" if "start_frame" in names and "start_seconds" not in names else "seconds"
    )
    start_role, end_role = ("start_frame", "end_frame") if unit == "frames" else ("start_seconds", "end_seconds")
    clips = ClipCollector(source, format)
    for line, row in rows:
        place = f"{source}:{line}"
        path = row.get(names["path"])
        if path is None or not str(path).strip():
            raise AnnotationError(f"{place}: the column {names['path']!r} is empty: expected the path of a video")
        split = row.get(names["split"]) if "split" in names else None
        total_frames = _number(row, names, "total_frames", place)
        offset = _number(row, names, "offset", place)
        clips.add(
            str(path).strip(None if format == "csv" else "\r\n\t"),  # outside of tables of text spaces are of the name
            _labels(row.get(names["label"]) if "label" in names else None, multi_label),
            line=line,
            start=_number(row, names, start_role, place),
            end=_number(row, names, end_role, place),
            total_frames=None if total_frames is None else int(total_frames),
            offset=None if offset is None else int(offset),
            split=(str(split or "unnamed") if "split" in names else None),
        )
    return clips.finish(class_names, clip_unit=unit, notes=(str(columns),))


def _labels(value: Any, multi_label: bool) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, float) and value.is_integer():
        return [int(value)]  # a column of whole numbers with gaps is read as one of floats
    text = str(value).strip()
    if multi_label:
        return [one.strip() for one in _SEPARATORS.split(text) if one.strip()]
    return [text] if text else []


def _number(row: Mapping[str, Any], names: Mapping[str, str], role: str, place: str) -> float | None:
    if role not in names:
        return None
    value = row.get(names[role])
    if value is None or not str(value).strip():
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isnan(number):
        return None
    if abs(number) > MAX_NUMBER:
        raise AnnotationError(f"{place}: the column {names[role]!r} must hold numbers, got {value!r}")
    return number
