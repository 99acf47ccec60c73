"""The report of a model: one HTML file of sections that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kinema.report.document import write_page


class Tile(NamedTuple):
    """A figure on top of a report: what it is, how it is shown, and what it stands on."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        anchor: its place in the page's address, a word.
        title: heading.
        template: name of a file in `templates/sections/`, without `.html`.
        values: what the template shows, under the name `shown`.
        note: what the section says, in a sentence or two.
    """

    anchor: str
    title: str
    template: str
    values: Mapping[str, Any]
    note: str = ""


def write_report(path: Path, *, title: str, note: str, sections: Sequence[Section]) -> Path:
    """Write a report.

    Args:
        path: of the HTML file.
        title: heading.
        note: a sentence below it.
        sections: in the order to show.

    Returns:
        `path`.

    Raises:
        OSError: the file cannot be written.
    """
    return write_page(path, "report.html", title=title, note=note, sections=sections)
