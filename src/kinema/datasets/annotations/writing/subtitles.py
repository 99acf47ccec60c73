"""Segments as subtitles, which players show over the video: SubRip and WebVTT."""

import html

from kinema.datasets.annotations.writing.request import WriteRequest
from kinema.datasets.annotations.writing.texts import clock, label_text


def srt_file(request: WriteRequest) -> str:
    """SubRip: a number, the times, the class; an empty line behind each."""
    _, segments = request.only_video("SubRip")
    cues = (
        f"{number}\n{clock(segment.start_seconds, ',')} --> {clock(segment.end_seconds, ',')}\n"
        f"{label_text(segment.label)}\n"
        for number, segment in enumerate(segments, start=1)
    )
    return "\n".join(cues)


def vtt_file(request: WriteRequest) -> str:
    """WebVTT: the times and the class, in which `&`, `<` and `>` stand as entities."""
    _, segments = request.only_video("WebVTT")
    cues = (
        f"{clock(segment.start_seconds, '.')} --> {clock(segment.end_seconds, '.')}\n"
        f"{html.escape(label_text(segment.label), quote=False)}\n"
        for segment in segments
    )
    return "\n".join(["WEBVTT\n", *cues])
