"""What `kinema timeline` prints of a timeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.cli.output import print_line, print_table
from kinema.progress import format_seconds

if TYPE_CHECKING:
    from kinema.inference.bouts import BoutStatistics
    from kinema.inference.timeline import Timeline

MOST_SEGMENTS = 60  # of a video in the table
MOST_BOUTS = 60  # classes likewise


def print_segments(timeline: "Timeline") -> None:
    """The segments of a video as a table, after a line that names it."""
    facts = timeline.scores.facts
    print_line(
        f"{timeline.video}: {format_seconds(timeline.duration_seconds, 1)}, {len(timeline.scores)} window"
        f"{'' if len(timeline.scores) == 1 else 's'} of"
        f" {facts.length_seconds:.3g} s, every {facts.stride_seconds:.3g} s"
    )
    if facts.broken:
        print_line(f"  broken: this is what comes before frame {facts.num_frames}")
    if not timeline.segments:
        print_line("  no class is there at any time")
        print_line()
        return
    rows = [
        [
            format_seconds(segment.start_seconds, 1),
            format_seconds(segment.end_seconds, 1),
            f"{segment.seconds:.1f}",
            segment.label,
            f"{segment.score:.2f}",
            f"{segment.peak:.2f}",
        ]
        for segment in timeline.segments[:MOST_SEGMENTS]
    ]
    print_table("", ["start", "end", "seconds", "class", "mean score", "peak"], rows)
    if len(timeline.segments) > len(rows):
        print_line(f"  ... and {len(timeline.segments) - len(rows)} more (all: --json, --to csv)")
        print_line()


def print_bouts(timeline: "Timeline") -> None:
    """The bouts of the classes that are there, as a table."""
    bouts = [bout for bout in timeline.bouts() if bout.count]
    if not bouts:
        return
    columns = ["class", "bouts", "total s", "share", "mean s", "median s", "longest s", "first at"]
    print_table("bouts", columns, [_row(bout) for bout in bouts[:MOST_BOUTS]])
    if len(bouts) > MOST_BOUTS:
        print_line(f"  ... and {len(bouts) - MOST_BOUTS} more (all: --json)")
        print_line()


def _row(bout: "BoutStatistics") -> list[str]:
    seconds = (bout.mean_seconds, bout.median_seconds, bout.longest_seconds)
    return [
        bout.label,
        str(bout.count),
        f"{bout.total_seconds:.1f}",
        f"{bout.share:.0%}",
        *("" if value is None else f"{value:.1f}" for value in seconds),
        "" if bout.latency_seconds is None else format_seconds(bout.latency_seconds, 1),
    ]


def json_of(timeline: "Timeline", files: Sequence[Path]) -> dict[str, Any]:
    """A timeline as JSON: segments and bouts, times in seconds from the first frame."""
    facts, settings = timeline.scores.facts, timeline.settings
    return {
        "video": timeline.video,
        **({"error": facts.broken} if facts.broken else {}),
        "model": facts.model,
        "duration_seconds": round(timeline.duration_seconds, 6),
        "windows": len(timeline.scores),
        "window_seconds": facts.length_seconds,
        "stride_seconds": facts.stride_seconds,
        "settings": {
            "best_only": settings.best_only,
            "thresholds": {
                label: float(level)
                for label, level in zip(timeline.classes, settings.levels(timeline.classes), strict=True)
            },
            "hysteresis": settings.hysteresis,
            "smoothing_seconds": settings.smoothing_seconds,
            "smoothing": settings.smoothing,
            "min_seconds": settings.min_seconds,
            "merge_seconds": settings.merge_seconds,
            "reported_classes": list(timeline.reported_classes),
        },
        "segments": [
            {
                "start_seconds": round(segment.start_seconds, 6),
                "end_seconds": round(segment.end_seconds, 6),
                "label": segment.label,
                "score": None if segment.score is None else round(segment.score, 6),
                "peak": None if segment.peak is None else round(segment.peak, 6),
            }
            for segment in timeline.segments
        ],
        "bouts": [
            {name: value for name, value in bout.to_dict().items() if name != "video"} for bout in timeline.bouts()
        ],
        "files": [str(path) for path in files],
    }
