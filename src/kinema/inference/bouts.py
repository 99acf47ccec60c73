"""Bouts: how often, how long and how soon a class is there."""

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from kinema.files import written_whole
from kinema.printable import is_formula
from kinema.structures.segment import Segment


@dataclass(frozen=True)
class BoutStatistics:
    """The segments of one class in one video, in numbers.

    Attributes:
        video: path or address.
        label: name of the class.
        count: number of segments.
        total_seconds: time in which the class is there; what two segments share counts once.
        share: of the video, from 0 to 1.
        mean_seconds: duration of a segment; None without any, as what follows.
        median_seconds: likewise.
        longest_seconds: likewise.
        latency_seconds: from the beginning of the video to the first segment.
    """

    video: str
    label: str
    count: int
    total_seconds: float
    share: float
    mean_seconds: float | None = None
    median_seconds: float | None = None
    longest_seconds: float | None = None
    latency_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def bout_statistics(
    segments: Iterable[Segment],
    *,
    duration_seconds: float,
    classes: Sequence[str] | None = None,
    video: str = "",
) -> list[BoutStatistics]:
    """The bouts of each class in one video.

    Args:
        segments: of the video, times from its beginning on, in any order.
        duration_seconds: of the video.
        classes: which, in this order, also those without a segment; None: those with one, by name.
        video: what the statistics name as their video.

    Raises:
        ValueError: the duration is not positive.
    """
    if not 0 < duration_seconds < float("inf"):
        raise ValueError(f"duration_seconds must be above 0, got {duration_seconds}")
    by_label: dict[str, list[Segment]] = {label: [] for label in classes or ()}
    for segment in segments:
        if classes is None or segment.label in by_label:
            by_label.setdefault(segment.label, []).append(segment)
    labels = sorted(by_label) if classes is None else classes
    return [_of_class(video, label, by_label[label], duration_seconds) for label in labels]


def _of_class(video: str, label: str, segments: Sequence[Segment], duration_seconds: float) -> BoutStatistics:
    if not segments:
        return BoutStatistics(video, label, 0, 0.0, 0.0)
    lengths = np.array([segment.seconds for segment in segments])
    total = covered_seconds(segments)
    return BoutStatistics(
        video,
        label,
        len(segments),
        total,
        min(total / duration_seconds, 1.0),
        float(lengths.mean()),
        float(np.median(lengths)),
        float(lengths.max()),
        min(segment.start_seconds for segment in segments),
    )


def covered_seconds(segments: Iterable[Segment]) -> float:
    """The time that some segment covers; what several share counts once."""
    total, end = 0.0, 0.0
    for segment in sorted(segments):
        total += max(0.0, segment.end_seconds - max(segment.start_seconds, end))
        end = max(end, segment.end_seconds)
    return total


def write_bouts(path: str | os.PathLike, statistics: Iterable[BoutStatistics]) -> None:
    """Write a CSV table with a row for each class of each video, whole or not at all.

    Times are in seconds, to the millisecond. What is unknown is an empty cell; a name that a
    spreadsheet would run as a formula gets an apostrophe before it.

    Args:
        path: of the file; its folder must exist.
        statistics: in the order to write.

    Raises:
        OSError: the file cannot be written.
    """
    with written_whole(Path(path), newline="", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow([entry.name for entry in fields(BoutStatistics)])
        table.writerows([_cell(value) for value in bout.to_dict().values()] for bout in statistics)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, str) and is_formula(value):
        return f"'{value}"
    return "" if value is None else value
