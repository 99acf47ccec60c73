"""What a recognizer said of each clip, as a table that a spreadsheet opens."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from kinema.files import written_whole
from kinema.printable import is_formula


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and is_formula(value) else value


def write_clip_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, UTF-8, complete or not at all.

    Texts that look like formulas get an apostrophe before them.

    Args:
        path: the file; its folder is made.
        columns: names of the columns.
        rows: values by column; a row may lack some.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, newline="", errors="surrogateescape") as file:
        write_rows(file, columns, rows)


def write_rows(file: IO[str], columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV into an open file; see `write_clip_table`."""
    table = csv.writer(file)
    table.writerow([safe_cell(name) for name in columns])
    table.writerows([safe_cell(row.get(name, "")) for name in columns] for row in rows)
