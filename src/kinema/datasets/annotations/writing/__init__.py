"""Writers of segments: one function a format, for other programs and for training."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.datasets.annotations.video_timing import VideoTiming
from kinema.datasets.annotations.writing.boris import boris_file
from kinema.datasets.annotations.writing.elan import elan_file
from kinema.datasets.annotations.writing.label_studio import label_studio_file, labelling_interface
from kinema.datasets.annotations.writing.request import WriteRequest
from kinema.datasets.annotations.writing.subtitles import srt_file, vtt_file
from kinema.datasets.annotations.writing.tables import csv_file, json_file
from kinema.datasets.annotations.writing.via import via_file
from kinema.errors import AnnotationError
from kinema.files import write_text
from kinema.printable import breaks_lines
from kinema.structures.segment import Segment

__all__ = ["WRITERS", "SegmentWriter", "VideoTiming", "labelling_interface", "write_segments", "writer_of"]


@dataclass(frozen=True)
class SegmentWriter:
    """A format that segments can be written in.

    Attributes:
        suffix: of its files; a suffix that two formats share stands for the first.
        read_as: the format of `kinema.datasets.annotations.FORMATS` that reads it back.
        text: the content of the file.
        has_one_video: a file has room for one video alone.
        needs_timing: it counts frames, so the timing of every video must be known.
        notes_timing: it notes the lengths and rates of videos, where they are known.
        has_scores: it keeps the scores.
        note: what the program must be set to; "": nothing.
    """

    suffix: str
    read_as: str
    text: Callable[[WriteRequest], str]
    has_one_video: bool = False
    needs_timing: bool = False
    notes_timing: bool = False
    has_scores: bool = False
    note: str = ""


WRITERS: dict[str, SegmentWriter] = {
    "csv": SegmentWriter(".csv", "csv", csv_file, has_scores=True),
    "json": SegmentWriter(".json", "json", json_file, notes_timing=True, has_scores=True),
    "srt": SegmentWriter(".srt", "subtitles", srt_file, has_one_video=True),
    "vtt": SegmentWriter(".vtt", "subtitles", vtt_file, has_one_video=True),
    "elan": SegmentWriter(".eaf", "elan", elan_file, has_one_video=True),
    "boris": SegmentWriter(".boris", "boris", boris_file, notes_timing=True),
    "label-studio": SegmentWriter(
        *(".json", "label-studio", label_studio_file),
        needs_timing=True,
        has_scores=True,
        note='Label Studio\'s interface needs <Video name="video" value="$video" frameRate="$fps"/>, else frames shift',
    ),
    "via": SegmentWriter(".json", "via", via_file),
}


def writer_of(path: str | os.PathLike, format: str = "auto") -> SegmentWriter:
    """The writer of a format.

    Args:
        path: of the file; its suffix says the format for "auto".
        format: a name of `WRITERS`, or "auto".

    Raises:
        ValueError: there is no such format, or the suffix belongs to none.
    """
    names = ", ".join(WRITERS)
    if format != "auto":
        if format not in WRITERS:
            raise ValueError(f"segments cannot be written as {format!r}: expected auto, {names}")
        return WRITERS[format]
    suffix = Path(path).suffix.lower()
    writer = next((writer for writer in WRITERS.values() if writer.suffix == suffix), None)
    if writer is None:
        suffixes = ", ".join(dict.fromkeys(writer.suffix for writer in WRITERS.values()))
        raise ValueError(f"{path}: no format has the suffix {suffix!r}: expected {suffixes}, or format= {names}")
    return writer


def write_segments(
    path: str | os.PathLike,
    segments: Sequence[Segment],
    format: str = "auto",
    *,
    videos: Mapping[str, VideoTiming | None] | None = None,
    model_version: str = "kinema",
) -> None:
    """Write segments into one file, whole or not at all; the same segments give the same bytes.

    Times count from the first frame of the video. In formats of milliseconds they are cut, so that
    the frames between two times stay the same; `read_annotations` gives all formats back.

    Args:
        path: of the file; its folder must exist.
        segments: in any order; videos come in the order of `videos`, then of `segments`. A segment
            without a video is of the only one that `videos` names.
        format: a name of `WRITERS`; "auto" goes by the suffix (".json" is "json").
        videos: their timings by path or address, also of videos without a segment; None where only
            the name is known. "label-studio" needs them, "boris" and "json" note them.
        model_version: what the segments come from, where the format has a place for it.

    Raises:
        ValueError: there is no such format; it is of one video and there are several; it counts
            frames and the timing of a video is missing; or a segment has no video where the format
            names them.
        AnnotationError: the name of a video has a line break, or characters that no name of a file
            can have.
        OSError: the file cannot be written.
    """
    writer = writer_of(path, format)
    known = dict(videos or {})
    only = next(iter(known)) if len(known) == 1 else ""
    by_video: dict[str, list[Segment]] = {video: [] for video in known}
    for segment in segments:
        by_video.setdefault(segment.video or only, []).append(segment)
    if "" in by_video and writer.suffix not in (".srt", ".vtt"):
        raise ValueError(f"{path}: a segment has no video: set Segment.video, or name its video in `videos`")
    for video in by_video:
        _require_name(video)
    timings = {video: timing for video, timing in known.items() if timing is not None}
    ordered = {video: sorted(own, key=_by_time) for video, own in by_video.items()}
    text = writer.text(WriteRequest(Path(path), ordered, timings, model_version))
    write_text(Path(path), text, newline="", errors="surrogateescape")


def _require_name(video: str) -> None:
    try:
        os.fsencode(video)
    except UnicodeEncodeError:
        raise AnnotationError(f"the name {video!r} of a video has characters that no name of a file can have") from None
    if breaks_lines(video):
        raise AnnotationError(
            f"the name {video!r} of a video has a line break, which no list can hold: rename the file"
        )


def _by_time(segment: Segment) -> tuple[float, float, str]:
    return segment.start_seconds, segment.end_seconds, segment.label
