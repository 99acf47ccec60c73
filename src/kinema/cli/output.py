"""What commands print: tables and lines for people, one JSON value for programs.

Names of files and classes, keys of checkpoints and the like go through here, so that none of them
acts on a terminal.
"""

import io
import json
import logging
import math
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kinema.printable import PrintableFormatter, printable

WIDE = 10_000  # columns, where no terminal has a width


def prepare_streams() -> None:
    """Let no character end a command: what the encoding of stdout or stderr lacks is shown as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None, where there is no console
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:  # shows warnings of commands that set up no log
        logging.lastResort.setFormatter(PrintableFormatter("%(message)s"))


def can_show(text: str) -> bool:
    """Does the encoding of stdout have these characters?"""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def print_json(value: Any) -> None:
    """The one JSON value of a command's `--json`, in ASCII."""
    print(json.dumps(value))


def print_line(text: str = "") -> None:
    """A line on stdout."""
    print(printable(text))


def print_note(text: str) -> None:
    """A line on stderr: a warning, an error, a hint beside the results."""
    print(printable(text), file=sys.stderr)


def print_lines(text: str, *, to_stderr: bool = False) -> None:
    """A text of several lines, of which none comes from a name."""
    print(printable(text, keep="\n"), file=sys.stderr if to_stderr else sys.stdout)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]], *, to_stderr: bool = False
) -> None:
    """A table on stdout, or on stderr.

    Columns of numbers are right-aligned, empty column names leave the head out; a `Text` has a
    style.
    """
    table = Table(
        title=escape(printable(title)) or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE,
        show_header=any(columns),
        pad_edge=False,
    )
    for place, name in enumerate(columns):
        numeric = place > 0 and all(_is_number(str(row[place])) for row in rows)
        table.add_column(escape(printable(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else escape(printable(cell)) for cell in row))
    # A program that reads the output wants a row a line, however long its paths.
    is_terminal = (sys.stderr if to_stderr else sys.stdout).isatty()
    Console(highlight=False, stderr=to_stderr, width=None if is_terminal else WIDE).print(table)


def terminal_width() -> int:
    """Columns of the terminal on stdout; many where there is none."""
    return Console().width if sys.stdout.isatty() else WIDE


def _is_number(text: str) -> bool:
    return text.strip().rstrip("%").replace(".", "", 1).replace("-", "", 1).isdigit()


def share_text(value: float) -> str:
    """A share in a table, such as "0.83"; "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:.2f}"
