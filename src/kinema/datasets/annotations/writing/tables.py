"""Segments as tables that `read_csv` and `read_json` give back."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from kinema.datasets.annotations.writing.request import WriteRequest
from kinema.datasets.annotations.writing.texts import decimal_seconds, json_text, label_text
from kinema.printable import is_formula
from kinema.structures.segment import Segment

_SCORES = ("score", "peak")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


def csv_file(request: WriteRequest) -> str:
    """`video,start,end,label` in seconds; with `score,peak` where a segment has one.

    A label that a spreadsheet would run as a formula gets an apostrophe before it, which `read_csv`
    takes away again; a path like that begins with `./`.
    """
    columns = _columns(request)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    for video, segment in request:
        row = _row(request, video, segment)
        row["video"] = f"./{row['video']}" if is_formula(row["video"]) else row["video"]
        if is_formula(row["label"]) and not _NUMBER.fullmatch(row["label"]):
            row["label"] = f"'{row['label']}"
        table.writerow(["" if row[name] is None else row[name] for name in columns])
    return file.getvalue()


def json_file(request: WriteRequest) -> str:
    """`{"videos": [...], "clips": [{"video", "start", "end", "label"}, ...]}`; scores where there are some."""
    columns = _columns(request)
    clips = [
        {name: value for name, value in _row(request, video, segment).items() if name in columns}
        for video, segment in request
    ]
    return json_text({"clips": clips, "videos": list(_videos(request))})


def _videos(request: WriteRequest) -> Iterator[dict[str, Any]]:
    for video in request.videos:
        timing = request.timings.get(video)
        facts = (
            {}
            if timing is None
            else {
                "num_frames": timing.num_frames,
                "fps": decimal_seconds(timing.fps),
                "duration_seconds": decimal_seconds(timing.duration_seconds),
            }
        )
        yield {"video": request.paths[video], **facts}


def _columns(request: WriteRequest) -> list[str]:
    scores = [name for name in _SCORES if any(getattr(segment, name) is not None for _, segment in request)]
    return ["video", "start", "end", "label", *scores]


def _row(request: WriteRequest, video: str, segment: Segment) -> dict[str, Any]:
    return {
        "video": request.paths[video],
        "start": decimal_seconds(segment.start_seconds),
        "end": decimal_seconds(segment.end_seconds),
        "label": label_text(segment.label),
        "score": segment.score,
        "peak": segment.peak,
    }
