"""CSV files: a header, then one clip a line."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kinema.datasets.annotations.lines import check_utf8, read_text_bytes
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.tables import collect_rows, find_columns, looks_like_header, shown_columns
from kinema.errors import AnnotationError

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
        delimiter: between fields; default: the one that the header shows, of comma, tab, semicolon and |.
        multi_label: a label field holds several, separated by | ; or , (in quotes).
        columns: names of columns where they cannot be found out, e.g. `dict(path="clip", label="verb")`; see `COLUMN_NAMES`.
        class_names: names by class index, when known.

    Returns:
        The clips. Labels that are all whole numbers are class indices, else names. Empty lines, and those that begin with #, are
        skipped.

    Raises:
        AnnotationError: the file cannot be read or is empty, a column is missing, a line has another number of fields than the
            header, or a value is wrong. Names file and line.
    """
    source = Path(path)
    text = _open(source)
    header, header_line, delimiter = _read_header(text, source, delimiter)
    found = find_columns(header, columns, f"{source}:{header_line}")
    rows = _rows(text, source, header, header_line, delimiter)
    return collect_rows(source, "csv", rows, found, multi_label=multi_label, class_names=class_names)


def read_csv_rows(source: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Column names, and line number and fields by column name of each line; raises as `read_csv` does."""
    text = _open(source)
    header, header_line, delimiter = _read_header(text, source, None)
    return header, _rows(text, source, header, header_line, delimiter)


def csv_header(path: Path) -> list[str] | None:
    """Column names of a table; None when its first line is no header."""
    header, _, _ = _read_header(_open(path), path, None)
    return header if looks_like_header(header) else None


def _open(source: Path) -> io.TextIOWrapper:
    content = read_text_bytes(source, _EXPECTED)
    check_utf8(content, source, _EXPECTED)
    return io.TextIOWrapper(io.BytesIO(content.data), encoding="utf-8", errors="surrogateescape", newline="")


def _read_header(text: io.TextIOWrapper, source: Path, delimiter: str | None) -> tuple[list[str], int, str]:
    """The first line that holds something: its fields, its number, the delimiter."""
    for number, line in enumerate(text, start=1):
        if line.strip() and not line.startswith("#"):
            found = delimiter or max(DELIMITERS, key=line.count)
            if line.count(found) >= MOST_COLUMNS:
                raise AnnotationError(
                    f"{source}:{number}: expected {_EXPECTED}, got {line.count(found) + 1:,} columns: at most {MOST_COLUMNS:,} are read"
                )
            try:
                fields = next(csv.reader([line.strip()], delimiter=found))
            except csv.Error as error:
                raise AnnotationError(f"{source}:{number}: expected {_EXPECTED}: {error}") from error
            return [field.strip() for field in fields], number, found
    raise AnnotationError(f"{source}: the table is empty: expected {_EXPECTED}, then one clip a line")


def _rows(
    text: io.TextIOWrapper, source: Path, header: list[str], header_line: int, delimiter: str
) -> Iterator[tuple[int, dict[str, str]]]:
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
        if len(fields) != len(header):
            raise AnnotationError(
                f"{source}:{line}: expected {len(header)} fields ({shown_columns(header)}), got {len(fields)}; "
                "put a field that holds the separator in double quotes"
            )
        yield line, dict(zip(header, fields, strict=True))
