"""Exports of Label Studio: video classification, and labelled stretches of videos."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.json_files import load_json
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError
from kinema.video.suffixes import has_video_suffix

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_Stretch = tuple[list[str], float | None, float | None, str]  # labels, start, end, unit


def read_label_studio(
    path: str | os.PathLike,
    *,
    multi_label: bool = False,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read the JSON export (not JSON-MIN, which `read_json` reads).

    Of each task the first annotation that was not cancelled counts. Choices label the whole video;
    time-line labels and segments label their parts, in frames or in seconds. Uploaded files are
    named as in the export (`1a2b3c4d-clip.mp4`), or without what Label Studio put before the name
    where only that file is there.

    Args:
        path: the export.
        multi_label: a video may have several choices; else the first counts.
        class_names: names by class index; default: the labels in alphabetical order.
        video_root: folder of the videos; default: that of the export.

    Raises:
        AnnotationError: the file is no such export, no task is labelled, or some labels count
            frames and others seconds. Names file and task.
    """
    source = Path(path)
    tasks = load_json(source)
    if not is_label_studio(tasks):
        raise AnnotationError(
            f"{source}: expected Label Studio's JSON export: a list of tasks with 'data' and 'annotations'"
        )
    root = source.parent if video_root is None else Path(video_root)
    clips = ClipCollector(source, "label-studio")
    skipped = 0
    units: set[str] = set()
    for number, task in enumerate(tasks, start=1):
        place = f"{source}: task {task.get('id', number)}"
        video = _video_of(task["data"], place, root)
        stretches = list(_stretches(task))
        skipped += not stretches
        for labels, start, end, unit in stretches:
            clips.add(video, labels if multi_label else labels[:1], start=start, end=end, line=number)
            units.update([unit] if start is not None else [])
    if not len(clips):
        raise AnnotationError(f"{source}: none of its {len(tasks)} tasks is labelled")
    if len(units) > 1:
        raise AnnotationError(
            f"{source}: some labels count frames, others seconds: export the time-line labels and the segments apart"
        )
    notes = (f"{skipped} of {len(tasks)} tasks are not labelled and were left out",) if skipped else ()
    unit = "frames" if "frames" in units else "seconds"
    return clips.finish(class_names, labels_are_names=True, clip_unit=unit, video_root=video_root and root, notes=notes)  # type: ignore[arg-type]


def is_label_studio(content: Any) -> bool:
    """Is this the content of a JSON export?"""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, Mapping) and isinstance(task.get("data"), Mapping) for task in content)
        and any("annotations" in task or "completions" in task for task in content)
    )


def _stretches(task: Mapping[str, Any]) -> Iterator[_Stretch]:
    """Labels of a task with the part of the video that they are about."""
    annotations = [
        entry for entry in task.get("annotations") or task.get("completions") or [] if not entry.get("was_cancelled")
    ]
    for result in annotations[0].get("result", []) if annotations else []:
        value = result.get("value", {})
        kind = result.get("type", "")
        if kind == "choices" and value.get("choices"):
            yield list(value["choices"]), None, None, "seconds"
        elif kind == "timelinelabels":
            for span in value.get("ranges", []):  # frames from 1, both ends belong to it
                yield list(value["timelinelabels"]), _number(span["start"]) - 1, _number(span["end"]), "frames"
        elif value.get("labels") and "start" in value and "end" in value:
            yield list(value["labels"]), _number(value["start"]), _number(value["end"]), "seconds"


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
