"""A contact sheet: clips before and after the pipeline, as one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinema.report.document import write_page
from kinema.report.strips import strip_jpeg

_FRAME_WIDTH = 112  # pixels; of all frames, so that a frame before the pipeline stands above the one after it


@dataclass(frozen=True)
class Strip:
    """Frames beside each other.

    Attributes:
        frames: (H, W, 3) uint8 RGB, or (H, W) grey, each.
        caption: what they are, in a few words.
        numbers: of the frames, to stand below each; may be empty.
    """

    frames: Sequence[np.ndarray]
    caption: str
    numbers: Sequence[int] = ()


@dataclass(frozen=True)
class Version:
    """What one run of the pipeline made of a clip.

    Attributes:
        title: which run.
        facts: what is to be known of it.
        before: frames as decoded; None where they are not known, or are those of the version
            before.
        after: frames that reach the model, a strip a view.
    """

    title: str
    facts: str
    before: Strip | None
    after: Sequence[Strip]


@dataclass(frozen=True)
class SheetClip:
    """A clip of the sheet.

    Attributes:
        name: of its file.
        classes: names of its classes, as they are to be shown.
        facts: what is to be known of the video.
        versions: of the clip.
        error: what is wrong with it.
    """

    name: str
    classes: Sequence[str]
    facts: str
    versions: Sequence[Version] = ()
    error: str | None = None


def write_contact_sheet(path: Path, *, title: str, note: str, steps: Sequence[str], clips: Sequence[SheetClip]) -> Path:
    """Write the sheet.

    Args:
        path: of the HTML file.
        title: heading.
        note: a sentence below it.
        steps: of the pipeline, to read.
        clips: in the order to show.

    Returns:
        `path`.
    """
    return write_page(path, "contact_sheet.html", title=title, note=note, steps=steps, clips=clips, picture=_picture)


class _Picture(NamedTuple):
    """A strip as an image."""

    jpeg: str
    width: int
    height: int
    num_frames: int
    caption: str
    numbers: Sequence[int]


def _picture(strip: Strip) -> _Picture:
    return _Picture(*strip_jpeg(strip.frames, _FRAME_WIDTH), len(strip.frames), strip.caption, strip.numbers)
