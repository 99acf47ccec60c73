"""Tables of events: one row where a behaviour starts and one where it stops, as BORIS exports them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kinema.datasets.annotations.headings import read_heading, seconds_of_clock
from kinema.errors import AnnotationError

_STATUS_NAMES = ("status", "behavior_type", "behaviour_type", "event_type", "state")
_TIME_NAMES = ("time", "event_time", "timestamp")
_WHO_NAMES = ("subject", "observation_id", "observation", "modifiers", "modifier", "individual", "focal")
START, STOP, POINT = "start", "stop", "point"
_STATES = {START: START, "begin": START, "stop": STOP, "end": STOP, "point": POINT}


@dataclass
class EventTable:
    """How a table of events is to be read.

    Attributes:
        status: the column that says START, STOP or POINT.
        time: the column of the time.
        seconds: of a unit of that.
        who: further columns that separate events at the same time.
        notes: what was left out, a sentence each; complete when all rows were read.
    """

    status: str
    time: str
    seconds: float
    who: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def find_events(header: Sequence[str]) -> EventTable | None:
    """The columns of a table of events; None where the heads do not look like one."""
    heads = [read_heading(text) for text in header]

    def column(names: Sequence[str]) -> Any:
        return next((head for name in names for head in heads if head.name == name), None)

    status, time = column(_STATUS_NAMES), column(_TIME_NAMES)
    if status is None or time is None or time.seconds == 0:
        return None
    who = tuple(head.text for name in _WHO_NAMES for head in heads if head.name == name)
    return EventTable(status.text, time.text, 1.0 if time.seconds is None else time.seconds, who)


def without_points(
    rows: Iterable[tuple[int, dict[str, Any]]], header: Sequence[str], notes: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows without those that a column of their kind calls points in time.

    `notes` says how many, when all were read.
    """
    heads = [read_heading(text) for text in header]
    kind = next((head.text for name in _STATUS_NAMES for head in heads if head.name == name), None)
    points = 0
    for line, row in rows:
        if kind is not None and str(row[kind]).strip().lower() == POINT:
            points += 1
        else:
            yield line, row
    if points:
        notes.append(_on_points(points))


def _on_points(count: int) -> str:
    return f"{count} events are points in time, not parts of a video: they are left out"


def is_status(value: Any) -> bool:
    """Does a cell say that a behaviour starts, stops or is a point in time?"""
    return str(value).strip().lower() in _STATES


def paired_events(
    rows: Iterable[tuple[int, Mapping[str, Any]]], table: EventTable, path: str | None, label: str, source: Any
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of starts and stops -> a row for each event, with `start` and `end` in seconds.

    Events that are points in time, and those without a stop, are left out; `table.notes` says how
    many.

    Args:
        rows: line number and cells by column.
        table: see `EventTable`.
        path: the column of the video; None: all are of one.
        label: the column of the behaviour.
        source: the file, for messages.

    Raises:
        AnnotationError: a cell says neither START nor STOP nor POINT, holds no time, or a behaviour
            stops that has not started. Names file and line.
    """
    begun: dict[tuple[Any, ...], list[tuple[int, float, Mapping[str, Any]]]] = {}
    points = 0
    for line, row in rows:
        state = _STATES.get(str(row[table.status]).strip().lower())
        if state is None:
            raise AnnotationError(
                f"{source}:{line}: the column {table.status!r} must say START, STOP or POINT, got {row[table.status]!r}"
            )
        if state == POINT:
            points += 1
            continue
        time = _seconds(row[table.time], table, f"{source}:{line}")
        key = (None if path is None else row[path], row[label], *(row[name] for name in table.who))
        if state == START:
            begun.setdefault(key, []).append((line, time, row))
            continue
        if not begun.get(key):
            raise AnnotationError(f"{source}:{line}: {row[label]!r} stops here, but did not start before")
        first_line, start, first = begun[key].pop(0)
        if time > start:
            yield first_line, {**first, "start": start, "end": time}
    if points:
        table.notes.append(_on_points(points))
    left = sum(map(len, begun.values()))
    if left:
        table.notes.append(f"{left} events start and never stop: they are left out")


def _seconds(value: Any, table: EventTable, place: str) -> float:
    clock = seconds_of_clock(value)
    if clock is not None:
        return clock
    try:
        return float(str(value).replace(",", ".")) * table.seconds
    except ValueError:
        raise AnnotationError(f"{place}: the column {table.time!r} must hold times, got {value!r}") from None
