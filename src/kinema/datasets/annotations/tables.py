"""Tables: one clip a row, in columns that are found by their names."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kinema.datasets.annotations.class_names import read_class_names
from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.headings import read_heading, seconds_of_clock
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError
from kinema.printable import is_formula
from kinema.video.suffixes import has_video_suffix

# What columns are called, the likeliest first.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "path": (
        *("path", "video_path", "file_path", "filepath", "filename", "file_name", "file", "video", "video_file"),
        *(
            "video_name",
            "clip",
            "clip_path",
            "clip_name",
            "clip_file",
            "media_file_name",
            "media_file",
            "media_file_path",
            "media",
        ),
        *(
            "media_path",
            "media_name",
            "movie",
            "movie_file",
            "recording",
            "video_filename",
            "video_file_name",
            "clip_id",
            "frame_dir",
            "folder",
            "name",
            "video_id",
            "youtube_id",
            "id",
        ),
        *("observation", "observation_id"),
    ),
    "label": (
        *("label", "labels", "class", "class_name", "category", "action", "activity", "target", "choice"),
        *("label_name", "label_id", "class_id", "category_id", "class_index", "y"),
        *("behavior", "behaviour", "behaviors", "behaviours", "verb", "gesture", "event", "annotation", "tag", "gloss"),
        *(
            "behavior_name",
            "behaviour_name",
            "behavior_code",
            "behaviour_code",
            "action_name",
            "activity_name",
            "action_label",
        ),
    ),
    "start_seconds": (
        *("start_seconds", "start", "start_time", "time_start", "start_sec", "t_start", "begin", "begin_time"),
        *("onset", "start_s", "from", "starttime", "begintime"),
    ),
    "end_seconds": (
        *(
            "end_seconds",
            "end",
            "end_time",
            "time_end",
            "end_sec",
            "t_end",
            "stop",
            "stop_time",
            "end_s",
            "to",
            "endtime",
        ),
        *("stoptime", "finish"),
    ),
    "duration_seconds": ("duration_seconds", "duration", "duration_s"),
    "start_frame": ("start_frame", "frame_start"),
    "end_frame": ("end_frame", "frame_end", "stop_frame"),
    "split": ("split", "subset", "set", "partition"),
    "total_frames": ("total_frames", "num_frames", "n_frames", "frame_count"),
    "offset": ("offset", "frame_offset"),
}
# Other words for these, where a user names columns.
ROLE_WORDS = {
    **{"start": "start_seconds", "begin": "start_seconds", "end": "end_seconds", "stop": "end_seconds"},
    **{"video": "path", "file": "path", "class": "label", "duration": "duration_seconds"},
}
MAX_NUMBER = 2**53  # no frame or second is counted so far
_SHOWN = 30  # columns, in a message
_SEPARATORS = re.compile(r"[|;,]")


@dataclass(frozen=True)
class TableColumns:
    """The table's columns that are used.

    Attributes:
        names: the column's name, by what it holds (a key of `COLUMN_NAMES`).
        seconds: of those with times, how many seconds a unit of them has, where that is not 1.
    """

    names: Mapping[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return "columns: " + ", ".join(f"{role} from {name!r}" for role, name in self.names.items())


def find_columns(
    header: Sequence[str], chosen: Mapping[str, str] | None, place: str, *, needs_path: bool = True
) -> TableColumns:
    """Which columns of a table hold what.

    Args:
        header: the table's column names.
        chosen: the user's choice, e.g. `dict(path="clip", label="verb")`; the others are found by
            their names, also with a unit behind them ("Start (s)"). `start` and `end` stand for
            `start_seconds` and `end_seconds`.
        place: file and line of the header, for messages.
        needs_path: a table without a path is an error.

    Raises:
        AnnotationError: a chosen column is not there, or none looks like the path.
        ValueError: `chosen` has a key that is none of `COLUMN_NAMES`.
    """
    shown = shown_columns(list(map(repr, header)))
    picked: dict[str, str] = {}
    for word, name in (chosen or {}).items():
        role = ROLE_WORDS.get(word, word)
        if role not in COLUMN_NAMES:
            raise ValueError(f"columns: expected {', '.join(COLUMN_NAMES)}, got {word!r}")
        match = next((own for own in header if own == name), None) or next(
            (own for own in header if own.strip().lower() == name.strip().lower()), None
        )
        if match is None:
            raise AnnotationError(f"{place}: there is no column {name!r} for {role}: the columns are {shown}")
        picked[role] = match
    heads = sorted(map(read_heading, header), key=lambda head: head.seconds not in (None, 1.0))  # rather seconds
    for role, known in COLUMN_NAMES.items():
        if role in picked:
            continue
        fitting = [head for head in heads if _fits(role, head.seconds) and head.text not in picked.values()]
        words = (*known, "offset") if role == "end_seconds" and _is_onset(picked) else known
        likely = [head.text for word in words for head in fitting if head.name == word]
        if role.endswith("_frame"):  # "Start (frame)"
            word = role.removesuffix("_frame")
            likely += [
                head.text for head in fitting if head.seconds == 0 and head.name in COLUMN_NAMES[f"{word}_seconds"]
            ]
        if likely:
            picked[role] = likely[0]
    doubled = next((name for name in picked.values() if list(header).count(name) > 1), None)
    if doubled is not None:
        raise AnnotationError(f"{place}: two columns are called {doubled!r}: rename one: the columns are {shown}")
    if "path" not in picked and needs_path:
        raise AnnotationError(
            f"{place}: no column looks like the path of the video: the columns are {shown}; "
            "name it: columns=dict(path=..., label=...), or --columns path=...,label=... on the command line"
        )
    units = {role: read_heading(name).seconds for role, name in picked.items() if role.endswith("_seconds")}
    seconds = {role: unit for role, unit in units.items() if unit not in (None, 0.0, 1.0)}
    return TableColumns({role: picked[role] for role in COLUMN_NAMES if role in picked}, seconds)


def _fits(role: str, seconds: float | None) -> bool:
    """May a column with this unit hold that?"""
    return seconds is None or (seconds == 0) == role.endswith(("_frame", "_frames"))


def _is_onset(picked: Mapping[str, str]) -> bool:
    """Does the table speak of onset and offset, so that `offset` is an end?"""
    return read_heading(picked.get("start_seconds", "")).name == "onset"


def shown_columns(names: Sequence[str]) -> str:
    """Names of columns for a message."""
    return ", ".join(names[:_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _SHOWN else "")


def looks_like_header(fields: Sequence[str]) -> bool:
    """Is one of these fields a usual name of a column, and none a number or a video?"""
    known = {name for names in COLUMN_NAMES.values() for name in names}
    heads = [read_heading(field) for field in fields]
    return any(head.name in known for head in heads) and not any(
        head.name.isdigit() or has_video_suffix(head.text) for head in heads
    )


def collect_rows(
    source: Path,
    format: str,
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    columns: TableColumns,
    *,
    multi_label: bool,
    class_names: Sequence[str] | None,
    only_video: str | None = None,
    notes: Callable[[], Sequence[str]] = tuple,
) -> Annotations:
    """Rows to annotations.

    Args:
        source: the file, for messages.
        format: name of its format.
        rows: line number and values by column name.
        columns: as `find_columns` gives them.
        multi_label: a label cell holds several, separated by | ; or , (or a list).
        class_names: names by class index, when known; of a text table with class indices a
            `classes.txt` beside it names them.
        only_video: the video of a table that has no column for it.
        notes: asked behind the last row for what a user should know.

    Raises:
        AnnotationError: a row has no path, a number is none, or a part starts in seconds and ends in
            frames. Names file and line.
    """
    names = dict(columns.names)
    unit, unused = _clip_unit(names, str(source))
    start_role, end_role = ("start_frame", "end_frame") if unit == "frames" else ("start_seconds", "end_seconds")
    clips = ClipCollector(source, format)
    for line, row in rows:
        place = f"{source}:{line}"
        path = row.get(names["path"]) if "path" in names else only_video
        if path is None or not str(path).strip():
            raise AnnotationError(f"{place}: the column {names['path']!r} is empty: expected the path of a video")
        split = row.get(names["split"]) if "split" in names else None
        total_frames = _number(row, columns, "total_frames", place)
        offset = _number(row, columns, "offset", place)
        start, end = _number(row, columns, start_role, place), _number(row, columns, end_role, place)
        if end is None and start is not None and unit == "seconds":
            duration = _number(row, columns, "duration_seconds", place)
            end = None if duration is None else start + duration
        clips.add(
            str(path).strip(None if format == "csv" else "\r\n\t"),  # outside of tables of text spaces are of the name
            _labels(row.get(names["label"]) if "label" in names else None, multi_label),
            line=line,
            start=start,
            end=end,
            total_frames=None if total_frames is None else int(total_frames),
            offset=None if offset is None else int(offset),
            split=(str(split or "unnamed") if "split" in names else None),
        )
    if class_names is None and format == "csv" and clips.has_numbers_alone:
        class_names = read_class_names(source.parent / "classes.txt") or None
    used = TableColumns({role: name for role, name in names.items() if role not in unused})
    left = (
        [f"the columns {', '.join(repr(names[role]) for role in unused)} are not used: {unit} count"] if unused else []
    )
    return clips.finish(class_names, clip_unit=unit, notes=(str(used), *left, *notes()))


def _clip_unit(names: Mapping[str, str], source: str) -> tuple[Literal["seconds", "frames"], list[str]]:
    """What the parts of videos are counted in, and the roles of columns that this leaves unused."""
    seconds = [role for role in ("start_seconds", "end_seconds") if role in names]
    frames = [role for role in ("start_frame", "end_frame") if role in names]
    if not seconds or not frames:
        return ("frames" if frames else "seconds"), []
    if len(seconds) == 2 or (seconds == ["start_seconds"] and "duration_seconds" in names):
        return "seconds", frames
    if len(frames) == 2:
        return "frames", seconds
    raise AnnotationError(
        f"{source}: the column {names[seconds[0]]!r} counts seconds, {names[frames[0]]!r} frames: give start and end in"
        " one unit"
    )


def _labels(value: Any, multi_label: bool) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, float) and value.is_integer():
        return [int(value)]  # a column of whole numbers with gaps is read as one of floats
    text = str(value).strip()
    if text.startswith("'") and is_formula(text[1:]):  # as tables for spreadsheets guard such texts
        text = text[1:]
    if multi_label:
        return [part.strip() for part in _SEPARATORS.split(text) if part.strip()]
    return [text] if text else []


def _number(row: Mapping[str, Any], columns: TableColumns, role: str, place: str) -> float | None:
    if role not in columns.names:
        return None
    name = columns.names[role]
    value = row.get(name)
    if value is None or not str(value).strip():
        return None
    number = seconds_of_clock(value) if role.endswith("_seconds") else None
    if number is not None:
        return number
    try:
        number = float(_with_point(value))
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isnan(number):
        return None
    if abs(number) > MAX_NUMBER:
        raise AnnotationError(f"{place}: the column {name!r} must hold numbers, got {value!r}")
    return number * columns.seconds.get(role, 1.0)


def _with_point(value: Any) -> Any:
    """A decimal comma, as spreadsheets of many languages write it, as a point."""
    return value.replace(",", ".") if isinstance(value, str) and re.fullmatch(r"\s*-?\d+,\d+\s*", value) else value
