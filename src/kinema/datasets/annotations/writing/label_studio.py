"""Segments as pre-annotations of Label Studio: tasks with predictions, which its "Import" reads.

Source: Label Studio's documentation, "Import pre-annotated data" and the tag `TimelineLabels`.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from kinema.datasets.annotations.video_timing import Counting, VideoTiming, positions_of_seconds
from kinema.datasets.annotations.writing.request import WriteRequest
from kinema.datasets.annotations.writing.texts import decimal_seconds, has_scheme, json_text, label_text
from kinema.structures.segment import Segment


def label_studio_file(request: WriteRequest) -> str:
    """A task for each video with one prediction, whose regions are frame ranges of `TimelineLabels`.

    Label Studio counts frames by multiplying the time by `frameRate` of the tag `Video`. The task
    holds that rate as `fps`, so the labelling interface must say `frameRate="$fps"`: the file's
    rate, or that of its shortest frames where it varies. The first frame is 1, and both ends of a
    range belong to it.
    """
    return json_text([_task(request, video, number) for number, video in enumerate(request.videos, start=1)])


def labelling_interface(labels: Sequence[str]) -> str:
    """The labelling interface (XML) for a project that takes these pre-annotations."""
    values = "".join(f"\n    <Label value={quoteattr(label_text(label))}/>" for label in labels)
    return (
        '<View>\n  <TimelineLabels name="label" toName="video">'
        f'{values}\n  </TimelineLabels>\n  <Video name="video" value="$video" frameRate="$fps"/>\n</View>\n'
    )


def _task(request: WriteRequest, video: str, number: int) -> dict[str, Any]:
    timing = request.timing_of(video, "Label Studio")
    segments = request.segments[video]
    regions = [_region(segment, timing, place) for place, segment in enumerate(segments, start=1)]
    scores = [segment.score for segment in segments if segment.score is not None]
    prediction = {
        "model_version": request.model_version,
        **({"score": float(np.mean(scores))} if scores else {}),  # least sure tasks first: its "Prediction score"
        "result": regions,
    }
    data = {
        "video": video if has_scheme(video) else f"/data/local-files/?d={quote(video, errors='surrogateescape')}",
        "fps": timing.even_rate,
        "frames": timing.num_frames,
        "duration_seconds": decimal_seconds(timing.duration_seconds),
    }
    return {"id": number, "data": data, "predictions": [prediction]}


def _region(segment: Segment, timing: VideoTiming, place: int) -> dict[str, Any]:
    span = np.array([segment.start_seconds, segment.end_seconds])
    start, end = positions_of_seconds(span, Counting("rate", fps=timing.even_rate), timing).tolist()
    return {
        "id": f"segment-{place}",
        "from_name": "label",
        "to_name": "video",
        "type": "timelinelabels",
        "value": {
            "ranges": [{"start": start + 1, "end": max(end, start + 1)}],
            "timelinelabels": [label_text(segment.label)],
        },
        **({} if segment.score is None else {"score": segment.score}),
    }
