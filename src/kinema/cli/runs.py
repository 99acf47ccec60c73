"""`kinema runs`: the runs below a folder, and what each has reached."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema.cli.options import Json
from kinema.cli.output import print_json, print_note, print_table, terminal_width
from kinema.progress import format_seconds

if TYPE_CHECKING:
    from rich.text import Text

    from kinema.runs.listing import RunRow

_WIDTH_OF_DATA = 112  # columns of a terminal below which a list leaves out the data, and first:
_WIDTH_OF_START = 132
_STYLES = {"running": "bold cyan", "finished": "green", "stopped": "yellow", "failed": "red", "killed": "red"}
_STYLES["unknown"] = "dim"


def runs(
    folder: Annotated[Path, typer.Argument(help="A folder that work folders are below.")] = Path("work"),
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="The best first by this figure of the validation, e.g. acc/top1; else the newest."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs below a folder, with their states and best figures."""
    from kinema.runs.listing import list_runs, sort_rows

    rows = list_runs(folder)
    if sort is not None and rows:
        rows = sort_rows(rows, sort)
    if as_json:
        print_json([row.as_dict() for row in rows])
    elif rows:
        _show(rows, sort)
    else:
        print_note(f"no runs below {folder}: `kinema train DATA` makes one in work/NAME")
    if not as_json:
        for row in rows:
            for problem in row.problems:
                print_note(f"warning: {problem}")


def _show(rows: Sequence["RunRow"], sort: str | None) -> None:
    metrics = {row.metric for row in rows if row.metric}
    common = sort or (metrics.pop() if len(metrics) == 1 else None)
    columns = [
        "run",
        "state",
        "epochs",
        "steps",
        f"best {common}" if common else "best",
        "last",
        "time",
        "model",
        "data",
    ]
    table: list[list[str | Text]] = [
        [
            row.name,
            _state(row),
            _of(row.epochs, row.max_epochs),
            _of(row.steps, row.max_steps),
            _figure(row, sort, common),
            "" if row.last is None or sort not in (None, row.metric) else f"{row.last:.4f}",
            "" if row.seconds is None else format_seconds(row.seconds),
            row.model or "",
            _short(row.data or ""),
            _when(row.started),
        ]
        for row in rows
    ]
    shown = len(columns) + 1 - (terminal_width() < _WIDTH_OF_START) - (terminal_width() < _WIDTH_OF_DATA)
    print_table("", [*columns, "started"][:shown], [row[:shown] for row in table])


def _state(row: "RunRow") -> "Text":
    from rich.text import Text

    return Text(row.state, style=_STYLES[row.state])


def _of(done: int | None, planned: int | None) -> str:
    """Such as 3/12; a run that has reported nothing has done nothing."""
    if planned:
        return f"{done or 0}/{planned}"
    return "" if done is None else str(done)


def _figure(row: "RunRow", sort: str | None, common: str | None) -> str:
    """The best value with its interval; with its name where the head of the table does not have it."""
    if sort is not None and sort != row.metric:
        return f"{row.metrics[sort]:.4f}" if sort in row.metrics else ""
    if row.best is None:
        return ""
    interval = "" if row.interval is None else f" ({row.interval[0]:.2f} to {row.interval[1]:.2f})"
    return f"{'' if common else f'{row.metric} '}{row.best:.4f}{interval}"


def _short(path: str) -> str:
    """The last two parts of a path."""
    return "/".join(Path(path).parts[-2:]) if len(Path(path).parts) > 3 else path


def _when(started: str | None) -> str:
    """In local time."""
    try:
        return "" if started is None else datetime.fromisoformat(started).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return ""
