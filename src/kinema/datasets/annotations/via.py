"""Projects of the VGG Image Annotator 3 (video): their temporal segments become clips.

Source: the documentation of the JSON projects of VIA 3.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kinema.datasets.annotations.json_files import load_json
from kinema.datasets.annotations.moved_videos import finder_of_moved, path_of_address
from kinema.datasets.annotations.program_clips import ProgramClips, number_of
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError
from kinema.video.suffixes import has_video_suffix

_CHECKBOX, _RADIO, _SELECT = 2, 3, 4  # its numbers for attributes whose values are keys of their options


def read_via(
    path: str | os.PathLike,
    *,
    multi_label: bool = False,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read the temporal segments of a project; regions of single frames are left out and counted.

    Args:
        path: the project, JSON.
        multi_label: a segment has the values of all attributes; else its first counts.
        class_names: names by class index; default: the labels in alphabetical order.
        video_root: folder of the videos; default: looked for beside the file.

    Raises:
        AnnotationError: the file is no such project, or has no temporal segment with a value. Names
            the file.
    """
    source = Path(path)
    folder = None if video_root is None else Path(video_root)
    project = load_json(source)
    if isinstance(project, Mapping) and "_via_img_metadata" in project:
        raise AnnotationError(f"{source}: is a project of VIA 2, which annotates images: expected one of VIA 3 (video)")
    if not is_via(project):
        raise AnnotationError(f"{source}: expected a project of VIA 3: an object with 'file', 'view' and 'metadata'")
    files = {str(number): _video(entry) for number, entry in project["file"].items()}
    find = finder_of_moved(source, list(files.values()), folder)
    notes = [] if find is None else ["the videos do not lie where the project says: they were found by their names"]
    attributes = project.get("attribute") or {}
    order = {name: place for place, name in enumerate(attributes)}
    clips = ProgramClips(source, "via", "VIA", folder)
    regions = without_value = 0
    for entry in project["metadata"].values():
        span = entry.get("z") or []
        if len(span) != 2:
            regions += 1
            continue
        labels = _labels(entry.get("av") or {}, attributes, order)
        if not labels:
            without_value += 1
            continue
        view = project["view"].get(str(entry.get("vid")), {}).get("fid_list") or [None]
        video = files.get(str(view[0]))
        if video is None:
            raise AnnotationError(f"{source}: a segment is of the view {entry.get('vid')!r}, which has no file")
        start, end = (number_of(time, "the times of a segment", source) for time in span)
        if end > start:
            clips.add_seconds(video if find is None else find(video), labels if multi_label else labels[:1], start, end)
    if regions:
        notes.append(f"{regions} annotations are of a frame or of a whole file, not of a part of a video: left out")
    if without_value:
        notes.append(f"{without_value} segments have no value: left out")
    if not len(clips):
        raise AnnotationError(f"{source}: holds no temporal segment" + "".join(f"; {note}" for note in notes))
    return clips.finish(class_names, video_root=folder, notes=notes)


def is_via(content: Any) -> bool:
    """Is this the content of a project of VIA, also of a version that cannot be read?"""
    if not isinstance(content, Mapping):
        return False
    parts = (content.get(name) for name in ("file", "view", "metadata"))
    return "_via_img_metadata" in content or all(isinstance(part, Mapping) for part in parts)


def _video(entry: Mapping[str, Any]) -> str:
    """The path or address of a file: its source where that is one, else its name."""
    address = str(entry.get("src") or "")
    path = path_of_address(address)
    return path if has_video_suffix(path) and not address.startswith("data:") else str(entry.get("fname") or path)


def _labels(values: Mapping[str, Any], attributes: Mapping[str, Any], order: Mapping[str, int]) -> list[str]:
    """The values of a segment as words, in the order of the attributes."""
    labels: list[str] = []
    for name in sorted(values, key=lambda name: order.get(name, len(order))):
        value = str(values.get(name) or "").strip()
        attribute = attributes.get(name) or {}
        options = attribute.get("options") or {}
        keys = value.split(",") if attribute.get("type") == _CHECKBOX else [value]
        if attribute.get("type") in (_CHECKBOX, _RADIO, _SELECT):
            keys = [str(options.get(key.strip(), key)).strip() for key in keys]
        labels += [" ".join(key.split()) for key in keys if key.strip()]
    return labels
