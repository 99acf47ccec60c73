"""Clips as a page shows them: a short film of each, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kinema.errors import VideoError
from kinema.report.strips import strip_jpeg
from kinema.video import VideoReader

FILM_FRAMES = 10
FILM_WIDTH = 128  # pixels


class Film(NamedTuple):
    """Frames of a clip beside each other, as a JPEG file in base64, which a page shows after each other."""

    jpeg: str
    width: int
    height: int
    num_frames: int


class Line(NamedTuple):
    """A line below a film; `kind` is "good", "bad" or "" and gives its colour."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class ClipCard:
    """A clip of a page.

    Attributes:
        path: of its file, to be shown.
        truth: its classes.
        film: its frames; None: they cannot be read.
        lines: what is said of it.
    """

    path: str
    truth: str
    film: Film | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class CardGroup:
    """Clips under a heading."""

    title: str
    note: str
    cards: Sequence[ClipCard]


def film_of(reader: VideoReader, start: int = 0, stop: int | None = None) -> Film | None:
    """A film of evenly spaced frames of a video, or of its frames from `start` up to `stop`.

    Returns:
        None where they cannot be read.
    """
    last = min(len(reader), len(reader) if stop is None else stop) - 1
    first = min(max(0, start), max(0, last))
    if last < 0:
        return None
    count = min(FILM_FRAMES, last - first + 1)
    try:
        frames = reader.get_batch(np.linspace(first, last, count).round().astype(int))
    except VideoError:
        return None
    return Film(*strip_jpeg(list(frames), FILM_WIDTH), count)
