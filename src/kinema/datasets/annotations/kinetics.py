"""The official lists of Kinetics: `label,youtube_id,time_start,time_end,split`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.delimited import read_csv_rows
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.walking import videos_below
from kinema.errors import AnnotationError

KINETICS_COLUMNS = ("youtube_id", "time_start", "time_end")


def read_kinetics(
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read an official list and find the videos that are there; many of them are no longer to be had.

    A video is named `id_000010_000020.mp4` or `id.mp4` (any suffix that videos have), and is the
    ten seconds already: it is not cut. It may lie anywhere below the folder.

    Args:
        path: the CSV file; without the column `label` (test sets) the clips are not labelled.
        class_names: names by class index; default: the labels of the file in alphabetical order.
        video_root: folder of the videos; default: one beside the list that holds some.

    Returns:
        The clips that are there; `notes` say how many are not.

    Raises:
        AnnotationError: the file cannot be read or has other columns, or none of its videos is
            there. Names file and line.
    """
    source = Path(path)
    header, rows = read_csv_rows(source)
    if not set(KINETICS_COLUMNS) <= set(header):
        raise AnnotationError(
            f"{source}:1: expected the columns {', '.join(KINETICS_COLUMNS)}, got {', '.join(header)}"
        )
    root, videos = _find_videos(source, video_root)
    clips = ClipCollector(source, "kinetics")
    missing = 0
    first_missing = ""
    all_labels: set[str] = set()
    for line, row in rows:
        name = _file_name(row, f"{source}:{line}")
        label = row.get("label", "")
        all_labels.update([label] if label else [])
        video = videos.get(name) or videos.get(row["youtube_id"])
        if video is None:
            missing += 1
            first_missing = first_missing or f"{name} (line {line})"
            continue
        clips.add(video, [label] if label else [], line=line, split=row.get("split") or None)
    if not len(clips):
        raise AnnotationError(
            f"{source}: none of its {missing} videos is in {root}: expected files such as"
            f" {first_missing.split()[0] or 'id'}.mp4"
            if missing
            else f"{source}: the list is empty: expected one clip a line"
        )
    # Classes whose videos are all missing keep their place, so that the class indices are those of
    # everybody else.
    names = class_names or sorted(all_labels) or None
    note = f"{missing} of {missing + len(clips)} videos are not there, the first is {first_missing}"
    return clips.finish(
        names, labels_are_names=True, video_root=root, notes=(note,) if missing else ("all videos are there",)
    )


def _file_name(row: Mapping[str, str], place: str) -> str:
    try:
        start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
    except (ValueError, OverflowError):
        raise AnnotationError(
            f"{place}: time_start and time_end must be seconds, got {row['time_start']!r} and {row['time_end']!r}"
        ) from None
    return f"{row['youtube_id']}_{start:06d}_{end:06d}"


def _find_videos(source: Path, video_root: str | os.PathLike | None) -> tuple[Path, dict[str, str]]:
    """The folder of the videos, and their paths below it by name without suffix."""
    if video_root is not None:
        candidates = [Path(video_root)]
    else:
        candidates = [source.parent / source.stem, source.parent / "videos", source.parent]
    for folder in candidates:
        if folder.is_dir():
            videos = videos_below(folder)
            if videos:
                return folder, {path.rpartition("/")[2].rpartition(".")[0]: path for path in videos}
    tried = ", ".join(map(str, candidates))
    raise AnnotationError(f"{source}: found no videos in {tried}: name their folder (video_root, or data_prefix)")
