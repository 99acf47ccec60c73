"""What several commands print: tables for people, one JSON value for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text


def print_json(value: Any) -> None:
    """The one JSON value of a command's `--json`."""
    print(json.dumps(value))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """A table on stdout; columns of numbers are right-aligned, empty column names leave the head out; a `Text` has a style."""
    table = Table(
        title=escape(title) or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE,
        show_header=any(columns),
        pad_edge=False,
    )
    for place, name in enumerate(columns):
        numeric = place > 0 and all(_is_number(str(row[place])) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else escape(cell) for cell in row))
    # A program that reads the output wants a row a line, however long its paths.
    width = None if sys.stdout.isatty() else 10_000
    Console(highlight=False, width=width).print(table)


def _is_number(text: str) -> bool:
    return text.strip().rstrip("%").replace(".", "", 1).replace("-", "", 1).isdigit()
