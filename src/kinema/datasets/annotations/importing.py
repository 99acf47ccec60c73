"""Annotations of any format as segments of video files, checked against these."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.datasets.annotations.formats import find_format, read_annotations
from kinema.datasets.annotations.layout import root_candidates
from kinema.datasets.annotations.program_clips import ProgramClips
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.segments import segments_of
from kinema.datasets.annotations.video_timing import VideoTiming
from kinema.errors import AnnotationError, VideoError
from kinema.structures.segment import Segment

# Their readers compare with the files themselves.
COMPARED_FORMATS = frozenset({"label-studio", "cvat", "elan", "boris", "via", "subtitles"})


@dataclass(frozen=True)
class ImportedSegments:
    """What an export says, in seconds of the files.

    Attributes:
        format: of the export, a name of `FORMATS`.
        segments: with the absolute paths of the videos that are there, those of others as written.
        timings: of the videos by these paths; None: not there, or cannot be read.
        class_names: in the order of the class indices.
        notes: what was found, moved and left out, a sentence each.
    """

    format: str
    segments: list[Segment]
    timings: dict[str, VideoTiming | None]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def durations(self) -> dict[str, float]:
        """Seconds of each video.

        Raises:
            AnnotationError: one is not there.
        """
        absent = next((video for video, timing in self.timings.items() if timing is None), None)
        if absent is not None:
            raise AnnotationError(f"{absent}: the video is not there or cannot be read, so its length is not known")
        return {video: timing.duration_seconds for video, timing in self.timings.items() if timing is not None}


def import_segments(
    path: str | os.PathLike,
    format: str = "auto",
    *,
    video_root: str | os.PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    frame_rate: float | None = None,
    tiers: Sequence[str] | None = None,
) -> ImportedSegments:
    """Read annotations of any format and set them against the video files.

    Args:
        path: the export.
        format: a name of `FORMATS`, or "auto".
        video_root: folder of the videos; default: looked for beside the export.
        columns: see `read_annotations`.
        frame_rate: see `read_annotations`.
        tiers: see `read_annotations`.

    Raises:
        AnnotationError: the export is wrong, or frames of a video that is not there would have to
            become times. Names file and line.
        ValueError: the format does not take one of the options.
    """
    source = Path(path)
    format = find_format(source, columns) if format == "auto" else format
    annotations = read_annotations(
        source, format, columns=columns, video_root=video_root, frame_rate=frame_rate, tiers=tiers
    )
    files = _Files(source, video_root if annotations.video_root is None else annotations.video_root)
    if format not in COMPARED_FORMATS:
        annotations = _compared(annotations, files)
    segments = [
        Segment(part.start_seconds, part.end_seconds, part.label, video=files.path_of(part.video))
        for part in segments_of(annotations, files.timing)
    ]
    timings = {files.path_of(video): files.timing(video) for video in dict.fromkeys(annotations.paths)}
    return ImportedSegments(format, segments, timings, annotations.class_names, annotations.notes)


class _Files:
    """The videos of an export, each opened once."""

    def __init__(self, source: Path, video_root: str | os.PathLike | None) -> None:
        self.folders = root_candidates(source) if video_root is None else [Path(video_root)]
        self._paths: dict[str, str] = {}
        self._timings: dict[str, VideoTiming | None] = {}

    def path_of(self, video: str) -> str:
        if video not in self._paths:
            self._paths[video] = self._find(video)
        return self._paths[video]

    def _find(self, video: str) -> str:
        for folder in self.folders:
            path = os.path.join(folder, video)  # noqa: PTH118 - a Path refuses some names
            try:
                if os.path.isfile(path):  # noqa: PTH113
                    return os.path.abspath(path)  # noqa: PTH100 - links stay as they are
            except (OSError, ValueError):
                continue
        return video

    def timing(self, video: str) -> VideoTiming | None:
        if video not in self._timings:
            try:
                self._timings[video] = VideoTiming.of_file(self.path_of(video))
            except (VideoError, OSError, ValueError):
                self._timings[video] = None
        return self._timings[video]


def _compared(annotations: Annotations, files: _Files) -> Annotations:
    """The same clips in seconds, without what lies behind the ends of the files, which the notes say."""
    names = annotations.class_names
    clips = ProgramClips(annotations.source, annotations.format, "the file", timing_of=files.timing)
    for part in segments_of(annotations, files.timing):
        clips.add_seconds(part.video, [part.label], part.start_seconds, part.end_seconds)
    return clips.finish(names or None, video_root=annotations.video_root, notes=annotations.notes)
