"""Clips as a page shows them: an animation of each, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kinema.report.animation import ClipAnimation


class Line(NamedTuple):
    """A line below a clip; `kind` is "good", "bad" or "" and gives its colour."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class ClipCard:
    """A clip of a page.

    Attributes:
        path: of its file, to be shown.
        alt: what the picture shows, for those who cannot see it.
        picture: the clip.
        lines: what is said of it.
    """

    path: str
    alt: str
    picture: ClipAnimation
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class CardGroup:
    """Clips under a heading."""

    title: str
    note: str
    cards: Sequence[ClipCard]
