"""CSV files: a header, then one clip a line."""

import csv
import io
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from kinema.datasets.annotations.events import find_events, is_status, paired_events, without_points
from kinema.datasets.annotations.headings import read_heading
from kinema.datasets.annotations.layout import LOOKED_FOR
from kinema.datasets.annotations.lines import check_utf8, read_text_bytes
from kinema.datasets.annotations.moved_videos import finder_of_moved, own_video
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.tables import (
    COLUMN_NAMES,
    TableColumns,
    collect_rows,
    find_columns,
    looks_like_header,
    shown_columns,
)
from kinema.errors import AnnotationError

Rows: TypeAlias = Iterator[tuple[int, dict[str, Any]]]
PREAMBLE_LINES = 100
LONGEST_HEADER = 1 << 16  # characters of a line that may be one below a preamble
MOST_COLUMNS = 10_000
DELIMITERS = ",\t;|"
_EXPECTED = "a table with a header line"


def read_csv(
    path: str | os.PathLike,
    *,
    delimiter: str | None = None,
    multi_label: bool = False,
    columns: Mapping[str, str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Annotations:
    """Read a table with a header, such as `path,label,start,end,split`.

    Args:
        path: the file, UTF-8.
        delimiter: between fields; default: the one that the header shows, of comma, tab, semicolon
            and |.
        multi_label: a label field holds several, separated by | ; or , (in quotes).
        columns: names of columns where they cannot be found out, e.g.
            `dict(path="clip", label="verb")`; see `COLUMN_NAMES`.
        class_names: names by class index, when known.

    Returns:
        The clips. Labels that are all whole numbers are class indices, else names. Empty lines, and
        those that begin with #, are skipped.

    Raises:
        AnnotationError: the file cannot be read or is empty, a column is missing, a line has
            another number of fields than the header, or a value is wrong. Names file and line.
    """
    source = Path(path)
    text = _open(source)
    header, header_line, delimiter = _read_header(text, source, delimiter)
    by_role = find_columns(header, columns, f"{source}:{header_line}", needs_path=False)
    rows = _rows(text, source, header, header_line, delimiter)
    notes: list[str] = []
    if "path" in by_role.names:
        rows = _found_again(source, rows, by_role.names["path"], notes)
    events = find_events(header) if "start_seconds" not in by_role.names and "label" in by_role.names else None
    if events is not None:
        rows, are_events = _with_first(rows, lambda row: is_status(row[events.status]))
        if are_events:
            names = {role: name for role, name in by_role.names.items() if role in ("path", "label", "split")}
            rows = paired_events(rows, events, names.get("path"), names["label"], source)
            by_role = TableColumns({**names, "start_seconds": "start", "end_seconds": "end"})
            events.notes = notes
    if "start_seconds" in by_role.names:
        rows = without_points(rows, header, notes)
    only_video = None
    if "path" not in by_role.names:
        is_of_parts = {"label", "start_seconds"} <= set(by_role.names)
        only_video = own_video(source) if is_of_parts else None
        if only_video is None:
            find_columns(header, columns, f"{source}:{header_line}")  # says which columns there are
        notes.append(f"all clips are of the video {only_video}, for no column names another")
    return collect_rows(
        *(source, "csv", rows, by_role),
        multi_label=multi_label,
        class_names=class_names,
        only_video=only_video,
        notes=lambda: notes,
    )


def _with_first(rows: Rows, holds: Callable[[Mapping[str, Any]], bool]) -> tuple[Rows, bool]:
    """The rows, and whether something holds for the first of them."""
    rows = iter(rows)
    first = next(rows, None)
    return (iter(()), False) if first is None else (itertools.chain([first], rows), holds(first[1]))


def _found_again(source: Path, rows: Rows, column: str, notes: list[str]) -> Rows:
    """Rows whose videos lie elsewhere than the table says, with the paths that they have here; others as they are."""
    head = list(itertools.islice(rows, LOOKED_FOR))
    find = finder_of_moved(source, [row[column] for _, row in head])
    rows = itertools.chain(head, rows)
    if find is None:
        return rows
    notes.append("the videos do not lie where the table says: they were found by their names")
    return ((line, {**row, column: find(row[column])}) for line, row in rows)


def read_csv_rows(source: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Column names, and line number and fields by column name of each line; raises as `read_csv` does."""
    text = _open(source)
    header, header_line, delimiter = _read_header(text, source, None)
    return header, _rows(text, source, header, header_line, delimiter)


def csv_header(path: Path) -> list[str] | None:
    """Column names of a table; None when its first line is no header."""
    header, _, _ = _read_header(_open(path), path, None)
    return header if looks_like_header(header) else None


def has_columns(path: Path, columns: Mapping[str, str]) -> bool:
    """Is the first line of a text a table's header with one of these columns?"""
    header = {name.lower() for name in _read_header(_open(path), path, None)[0]}
    return any(name.strip().lower() in header for name in columns.values())


def _open(source: Path) -> io.TextIOWrapper:
    content = read_text_bytes(source, _EXPECTED)
    check_utf8(content, source, _EXPECTED)
    return io.TextIOWrapper(io.BytesIO(content.data), encoding="utf-8", errors="surrogateescape", newline="")


def _read_header(text: io.TextIOWrapper, source: Path, delimiter: str | None) -> tuple[list[str], int, str]:
    """The first line that holds something: its fields, its number, the delimiter."""
    first = _line_of_header(text, delimiter)
    text.seek(0)
    for number, line in itertools.islice(enumerate(text, start=1), first - 1, None):
        if line.strip() and not line.startswith("#"):
            separator = delimiter or max(DELIMITERS, key=line.count)
            if line.count(separator) >= MOST_COLUMNS:
                raise AnnotationError(
                    f"{source}:{number}: expected {_EXPECTED}, got {line.count(separator) + 1:,} columns: at most"
                    f" {MOST_COLUMNS:,} are read"
                )
            try:
                fields = next(csv.reader([line.strip()], delimiter=separator))
            except csv.Error as error:
                raise AnnotationError(f"{source}:{number}: expected {_EXPECTED}: {error}") from error
            return [field.strip() for field in fields], number, separator
    raise AnnotationError(f"{source}: the table is empty: expected {_EXPECTED}, then one clip a line")


def _line_of_header(text: io.TextIOWrapper, delimiter: str | None) -> int:
    """The line that the columns' names stand in.

    The first, or one below what BORIS and others say of an observation.
    """
    lines = [
        (number, line)
        for number, line in enumerate(itertools.islice(text, PREAMBLE_LINES), start=1)
        if line.strip() and line[0] != "#" and len(line) <= LONGEST_HEADER
    ]
    for place, (number, line) in enumerate(lines):
        fields = [field.strip().strip('"') for field in line.split(delimiter or max(DELIMITERS, key=line.count))]
        if place == 0 and len(fields) > 2:
            return 1
        names = {read_heading(field).name for field in fields}
        is_of_times = names & set(COLUMN_NAMES["start_seconds"]) or find_events(fields) is not None
        if len(fields) > 3 and is_of_times and names & set(COLUMN_NAMES["label"]):
            return number
    return 1


def _rows(text: io.TextIOWrapper, source: Path, header: list[str], header_line: int, delimiter: str) -> Rows:
    reader = csv.reader(text, delimiter=delimiter)
    while True:
        line = header_line + reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise AnnotationError(f"{source}:{line}: expected fields separated by {delimiter!r}: {error}") from error
        if not any(field.strip() for field in fields) or fields[0].startswith("#"):
            continue
        while len(fields) > len(header) and not fields[-1].strip():
            fields.pop()  # a separator at the end of each line
        if len(fields) != len(header):
            raise AnnotationError(
                f"{source}:{line}: expected {len(header)} fields ({shown_columns(header)}), got {len(fields)}; "
                "put a field that holds the separator in double quotes"
            )
        yield line, dict(zip(header, fields, strict=True))
