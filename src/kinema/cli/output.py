"""What several commands print: tables for people, one JSON value for programs."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_json(value: Any) -> None:
    """The one JSON value of a command's `--json`."""
    print(json.dumps(value))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; the first column is left-aligned, the others right-aligned when they are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for place, name in enumerate(columns):
        numeric = place > 0 and all(_is_number(row[place]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _is_number(text: str) -> bool:
    return text.strip().rstrip("%s").replace(".", "", 1).replace("-", "", 1).isdigit() or text == ""
