"""Subtitles as annotations: SubRip (.srt) and WebVTT (.vtt), whose texts are the labels."""

import html
import os
import re
from collections.abc import Sequence
from pathlib import Path

from kinema.datasets.annotations.headings import seconds_of_clock
from kinema.datasets.annotations.lines import check_utf8, read_text_bytes
from kinema.datasets.annotations.moved_videos import own_video
from kinema.datasets.annotations.program_clips import ProgramClips
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError

_TIMES = re.compile(r"\s*([\d:.,]{1,20})[ \t]+-->[ \t]+([\d:.,]{1,20})(?:[ \t].*)?")
_EXPECTED = "subtitles"


def read_subtitles(
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read subtitles of the video beside them that has their name, or is the only one there.

    Args:
        path: the file, UTF-8.
        class_names: names by class index; default: the labels in alphabetical order.
        video_root: folder of the videos; default: looked for beside the file.

    Raises:
        AnnotationError: the file cannot be read, there is no such video, a time is none, or nothing
            has a time. Names file and line.
    """
    source = Path(path)
    folder = None if video_root is None else Path(video_root)
    content = read_text_bytes(source, _EXPECTED)
    check_utf8(content, source, _EXPECTED)
    is_vtt = source.suffix.lower() == ".vtt"
    lines = re.split(r"\r\n|\r|\n", content.tobytes().decode("utf-8", "surrogateescape"))
    cues = list(_cues(lines, source))
    if not cues:
        raise AnnotationError(
            f"{source}: holds no subtitles: expected 'HH:MM:SS,mmm --> HH:MM:SS,mmm' and a text below"
        )
    video = own_video(source, folder)
    if video is None:
        raise AnnotationError(f"{source}: subtitles name no video: put the video beside them, as {source.stem}.mp4")
    clips = ProgramClips(source, "subtitles", "the file", folder)
    for line, start, end, text in cues:
        label = " ".join((html.unescape(text) if is_vtt else text).split())
        if label and end > start:
            clips.add_seconds(video, [label], start, end, line=line)
    return clips.finish(class_names, video_root=folder)


def _cues(lines: Sequence[str], source: Path) -> "list[tuple[int, float, float, str]]":
    """Line, start, end and text of each."""
    cues = []
    for place, line in enumerate(lines):
        match = _TIMES.fullmatch(line)
        if match is None:
            continue
        if place and lines[place - 1].strip() and _TIMES.fullmatch(lines[place - 1]):
            continue  # a text that looks like times
        start, end = (seconds_of_clock(time) for time in match.groups())
        if start is None or end is None:
            raise AnnotationError(f"{source}:{place + 1}: expected times as HH:MM:SS,mmm, got {line.strip()[:200]!r}")
        text = []
        for below in lines[place + 1 :]:
            if not below.strip():
                break
            text.append(below)
        cues.append((place + 1, start, end, " ".join(text)))
    return cues
