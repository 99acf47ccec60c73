"""Exports of Label Studio: video classification, and labelled stretches of videos."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from kinema.datasets.annotations.json_files import load_json
from kinema.datasets.annotations.program_clips import ProgramClips
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.video_timing import Counting
from kinema.errors import AnnotationError
from kinema.video.suffixes import has_video_suffix

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
DEFAULT_RATE = 24.0  # frames a second, of its tag `Video` without `frameRate`


@dataclass(frozen=True)
class _Stretch:
    """Labels with the part of the video that they are about; without a start the whole of it.

    Attributes:
        labels: names of classes.
        start, end: in seconds, or in frames where `counting` says how these are counted.
        counting: None: seconds.
    """

    labels: list[str]
    start: float | None = None
    end: float = 0.0
    counting: Counting | None = None


def read_label_studio(
    path: str | os.PathLike,
    *,
    multi_label: bool = False,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
    frame_rate: float | None = None,
) -> Annotations:
    """Read the JSON export (not JSON-MIN, which `read_json` reads), or pre-annotations.

    Of each task the first annotation that was not cancelled counts; of a file without annotations
    the first prediction. Choices label the whole video; time-line labels, segments and the frames
    in which a box is to be seen label parts, in frames or in seconds. Uploaded files are named as
    in the export (`1a2b3c4d-clip.mp4`), or without what Label Studio put before the name where only
    that file is there.

    Label Studio counts frames by multiplying the time by a rate: by the task's `fps`, by
    `framesCount` and `duration` of a label, or by `frame_rate`. Where it says none, the file's rate
    is taken.

    Args:
        path: the export.
        multi_label: a video may have several choices; else the first counts.
        class_names: names by class index; default: the labels in alphabetical order.
        video_root: folder of the videos; default: that of the export.
        frame_rate: `frameRate` of the tag `Video` of the labelling interface; default: what the
            export says.

    Returns:
        The clips, in seconds; in frames where a video is not there and no rate is known.

    Raises:
        AnnotationError: the file is no such export, no task is labelled, or some labels count
            frames and others seconds and the videos are not there. Names file and task.
        ValueError: `frame_rate` is not positive.
    """
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise ValueError(f"frame_rate must be positive, got {frame_rate}")
    source = Path(path)
    tasks = load_json(source)
    if not is_label_studio(tasks):
        raise AnnotationError(
            f"{source}: expected Label Studio's JSON export: a list of tasks with 'data' and 'annotations'"
        )
    given = None if video_root is None else Path(video_root)
    root = source.parent if given is None else given
    clips = ProgramClips(source, "label-studio", "Label Studio", given)
    key = "annotations" if any(map(_annotations_of, tasks)) else "predictions"
    skipped = without_rate = 0
    for number, task in enumerate(tasks, start=1):
        place = f"{source}: task {task.get('id', number)}"
        video = _video_of(task["data"], place, root)
        entries = _annotations_of(task) if key == "annotations" else task.get(key) or []
        stretches = list(_stretches(entries[0] if entries else {}, task["data"], frame_rate))
        skipped += not stretches
        for stretch in stretches:
            labels = stretch.labels if multi_label else stretch.labels[:1]
            if stretch.start is None:
                clips.add(video, labels, line=number)
            elif stretch.counting is None:
                clips.add_seconds(video, labels, stretch.start, stretch.end, line=number)
            else:
                without_rate += stretch.counting == Counting("rate")
                clips.add_frames(video, labels, stretch.start, stretch.end, stretch.counting, line=number)
    if not len(clips):
        raise AnnotationError(f"{source}: none of its {len(tasks)} tasks is labelled")
    notes = [f"{skipped} of {len(tasks)} tasks are not labelled and were left out"] if skipped else []
    if key == "predictions":
        notes.append("no task has annotations: its predictions were read")
    if without_rate:
        notes.append(
            f"{without_rate} labels do not say at what rate their frames were counted: they are read as frames of the"
            f" files; Label Studio counts {DEFAULT_RATE:g} a second unless its labelling interface has frameRate=...,"
            " which frame_rate (--frame-rate) gives"
        )
    return clips.finish(class_names, video_root=given, notes=notes)


def is_label_studio(content: Any) -> bool:
    """Is this the content of a JSON export, or of pre-annotations?"""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, Mapping) and isinstance(task.get("data"), Mapping) for task in content)
        and any(key in task for task in content for key in ("annotations", "completions", "predictions"))
    )


def _annotations_of(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Annotations of a task that were not cancelled."""
    entries = task.get("annotations") or task.get("completions") or []
    return [entry for entry in entries if not entry.get("was_cancelled")]


def _stretches(entry: Mapping[str, Any], data: Mapping[str, Any], frame_rate: float | None) -> Iterator[_Stretch]:
    """Labels of an annotation with the part of the video that they are about."""
    for result in entry.get("result") or []:
        value = result.get("value", {})
        kind = result.get("type", "")
        if kind == "choices" and value.get("choices"):
            yield _Stretch(list(value["choices"]))
        elif kind == "timelinelabels":
            counting = _counting(value, result, data, frame_rate)
            for span in value.get("ranges", []):  # frames from 1, both ends belong to it
                labels = list(value["timelinelabels"])
                yield _Stretch(labels, max(_number(span["start"]) - 1, 0), _number(span["end"]), counting)
        elif kind == "videorectangle" and value.get("labels"):
            counting = _counting(value, result, data, frame_rate)
            for start, end in _seen(value.get("sequence") or [], counting.num_frames):
                yield _Stretch(list(value["labels"]), start, end, counting)
        elif value.get("labels") and "start" in value and "end" in value:
            yield _Stretch(list(value["labels"]), _number(value["start"]), _number(value["end"]))


def _seen(sequence: Sequence[Mapping[str, Any]], num_frames: float | None) -> Iterator[tuple[float, float]]:
    """Stretches of frames in which a box is to be seen: from a key frame to the next that is not `enabled`."""
    keys = sorted((_number(key["frame"]), bool(key.get("enabled", True))) for key in sequence)
    start = None
    for frame, enabled in keys:
        if start is None and enabled:
            start = max(frame - 1, 0)
        elif start is not None and not enabled:
            yield start, frame
            start = None
    if start is not None:  # to the end of the video
        yield start, max(num_frames or 0, keys[-1][0])


def _counting(
    value: Mapping[str, Any], result: Mapping[str, Any], data: Mapping[str, Any], frame_rate: float | None
) -> Counting:
    """How frames of a label were counted, by what stands in it or in its task."""
    if frame_rate is not None:
        return Counting("rate", fps=frame_rate)
    frames, duration, length = (
        next((_number(own[key]) for own in (value, result) if own.get(key)), None)
        for key in ("framesCount", "duration", "original_length")
    )
    rate = next((_number(data[key]) for key in ("fps", "frame_rate", "frameRate", "framerate") if data.get(key)), None)
    return Counting(
        "rate", num_frames=_positive(frames), fps=_positive(rate), duration_seconds=_positive(duration or length)
    )


def _positive(number: float | None) -> float | None:
    return number if number is not None and 0 < number < float("inf") else None


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise TypeError(f"expected a number, got {value!r}") from None  # `read_annotations` names the file


def _parts_of(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # such as "http://["
        return SplitResult("", "", address, "", "")


def _video_of(data: Mapping[str, Any], place: str, root: Path) -> str:
    """The path of a task's video below `root`, as well as it can be known."""
    texts = [data[key] for key in ("video", "video_url", "url", "path", "file") if isinstance(data.get(key), str)]
    texts += [text for text in data.values() if isinstance(text, str) and has_video_suffix(_parts_of(text).path)]
    if not texts:
        raise AnnotationError(f"{place}: no value of its 'data' looks like a video: {', '.join(map(repr, data))}")
    parts = _parts_of(texts[0])
    if parts.path.endswith("/local-files/") and "d" in parse_qs(parts.query):
        return parse_qs(parts.query)["d"][0]
    if "/data/upload/" in parts.path or "/upload/" in parts.path:
        name = unquote(parts.path).rpartition("/")[2]
        plain = _UPLOAD_PREFIX.sub("", name)
        return plain if (root / plain).is_file() and not (root / name).is_file() else name
    return texts[0] if parts.scheme else unquote(parts.path)
