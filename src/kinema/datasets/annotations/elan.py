"""Annotation documents of ELAN (.eaf): the annotations of all tiers with times become clips.

Source: the schema EAFv3.0.xsd of the Max Planck Institute for Psycholinguistics.
"""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from kinema.datasets.annotations.moved_videos import finder_of_moved, own_video, path_of_address
from kinema.datasets.annotations.program_clips import ProgramClips
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.safe_xml import parse_xml
from kinema.errors import AnnotationError
from kinema.video.suffixes import has_video_suffix

_UNIT_SECONDS = {"milliseconds": 1e-3, "NTSC-frames": 1001 / 30000, "PAL-frames": 1 / 25}
_MOST_TIERS = 10  # in a note


def read_elan(
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
    tiers: Sequence[str] | None = None,
) -> Annotations:
    """Read the annotations of a document that have times; one without a text is labelled by its tier's name.

    Annotations without times of their own (subdivisions, references to others) are left out and
    counted. The video is the first linked medium that is one, by its relative address, its own, or
    its name beside the document.

    Args:
        path: the document.
        class_names: names by class index; default: the labels in alphabetical order.
        video_root: folder of the videos; default: looked for beside the file.
        tiers: names of the tiers to read; default: all.

    Raises:
        AnnotationError: the file is no such document, links no video and has none beside it, a time
            is wrong, there is no tier of a name, or no annotation has times. Names the file, and the
            line of broken XML.
    """
    source = Path(path)
    root = parse_xml(source, "ELAN")
    if root.tag != "ANNOTATION_DOCUMENT":
        raise AnnotationError(f"{source}: expected ELAN's root 'ANNOTATION_DOCUMENT', got {root.tag[:200]!r}")
    header = root.find("HEADER")
    unit = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if unit not in _UNIT_SECONDS:
        raise AnnotationError(f"{source}: TIME_UNITS is {unit[:200]!r}: expected {', '.join(_UNIT_SECONDS)}")
    folder = None if video_root is None else Path(video_root)
    video, origin, notes = _video_of(root, source, folder)
    slots = {
        slot.get("TIME_SLOT_ID", ""): _time(slot.get("TIME_VALUE", ""), source) * _UNIT_SECONDS[unit]
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
        if slot.get("TIME_VALUE") is not None
    }
    clips = ProgramClips(source, "elan", "ELAN", folder)
    without_times = 0
    counts: dict[str, int] = {}
    for tier in _tiers(root, tiers, source):
        name = tier.get("TIER_ID", "")
        for annotation in tier.iterfind("ANNOTATION/*"):
            start = slots.get(annotation.get("TIME_SLOT_REF1", ""))
            end = slots.get(annotation.get("TIME_SLOT_REF2", ""))
            if start is None or end is None or end <= start:
                without_times += 1
                continue
            label = (annotation.findtext("ANNOTATION_VALUE") or "").strip() or name
            clips.add_seconds(video, [" ".join(label.split())], start + origin, end + origin)
            counts[name] = counts.get(name, 0) + 1
    if not len(clips):
        raise AnnotationError(f"{source}: holds no annotation with times")
    if len(counts) > 1 and any(clip_label not in counts for clip_label in clips.labels):
        shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:_MOST_TIERS])
        notes.append(f"the annotations of {len(counts)} tiers were read: {shown}; tiers=[...] (--tier) chooses")
    if without_times:
        notes.append(f"{without_times} annotations have no times of their own: they are left out")
    return clips.finish(class_names, video_root=folder, notes=notes)


def _tiers(root: ElementTree.Element, names: Sequence[str] | None, source: Path) -> list[ElementTree.Element]:
    """The tiers of these names, or all."""
    tiers = root.findall("TIER")
    there = [tier.get("TIER_ID", "") for tier in tiers]
    missing = next((name for name in names or () if name not in there), None)
    if missing is not None:
        shown = ", ".join(there[:_MOST_TIERS]) + (", ..." if len(there) > _MOST_TIERS else "")
        raise AnnotationError(f"{source}: there is no tier {missing!r}: it has {shown or 'none'}")
    return [tier for tier in tiers if names is None or tier.get("TIER_ID", "") in names]


def _time(text: str, source: Path) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise AnnotationError(f"{source}: a TIME_VALUE is {text[:200]!r}: expected a whole number")
    return int(text)


def _video_of(root: ElementTree.Element, source: Path, folder: Path | None) -> tuple[str, float, list[str]]:
    """The path of the video, where its second 0 lies in the time of the document, and notes."""
    linked = [
        media
        for media in root.iterfind("HEADER/MEDIA_DESCRIPTOR")
        if media.get("MIME_TYPE", "").startswith("video")
        or any(has_video_suffix(media.get(name, "")) for name in ("MEDIA_URL", "RELATIVE_MEDIA_URL"))
    ]
    if not linked:
        beside = own_video(source, folder)
        if beside is None:
            raise AnnotationError(f"{source}: links no video, and none of its name lies beside it")
        return beside, 0.0, [f"it links no video: all clips are of {beside}"]
    media = linked[0]
    relative, address = (
        path_of_address(media.get("RELATIVE_MEDIA_URL", "")),
        path_of_address(media.get("MEDIA_URL", "")),
    )
    candidates = [path for path in (relative, address) if path]
    video = next((path for path in candidates if _is_file(folder or source.parent, path)), None)
    notes = []
    if video is None and candidates:
        find = finder_of_moved(source, [candidates[0]], folder)
        video = candidates[0] if find is None else find(candidates[0])
        notes += [] if find is None else [f"{candidates[0]} was found as {video}, by its name"]
    if not video:
        raise AnnotationError(f"{source}: its MEDIA_DESCRIPTOR has no address: expected MEDIA_URL")
    if len(linked) > 1:
        notes.append(f"it links {len(linked)} videos: the annotations are read as of the first, {video}")
    origin = media.get("TIME_ORIGIN")
    return video, 0.0 if origin is None else _time(origin, source) / 1000, notes


def _is_file(folder: Path, path: str) -> bool:
    try:
        return (folder / path).is_file()
    except (OSError, ValueError):
        return False
