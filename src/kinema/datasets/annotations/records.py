"""What a reader of annotations gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".wmv", ".flv", ".gif", ".3gp", ".ts"}
)


class ClipRecord(NamedTuple):
    """One line of an annotation file: a path as written there, and its class indices (none: not labelled)."""

    path: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Annotations:
    """The clips of one split.

    Attributes:
        records: the clips, in the order of the file.
        source: the file or folder that was read.
        class_names: names by class index, where the format tells them; else empty.
    """

    records: list[ClipRecord]
    source: Path
    class_names: tuple[str, ...] = ()
