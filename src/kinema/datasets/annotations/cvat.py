"""Exports of CVAT (XML): tags of frames and tracks of a video become clips."""

import os
import re
import xml.etree.ElementTree as ElementTree
import xml.parsers.expat as expat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.lines import MAX_DIGITS
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError
from kinema.files import read_bytes
from kinema.video.suffixes import has_video_suffix

_FRAME_NUMBER = re.compile(r"(?a:\d{1,18})$")


def read_cvat(path: str | os.PathLike, *, class_names: Sequence[str] | None = None) -> Annotations:
    """Read "CVAT for images 1.1" or "CVAT for video 1.1" of tasks over videos.

    Frames of one video in a row that have the same tag are a clip, [first, last + 1) in frames; so
    are those in a row in which a track of a label is to be seen. An image named like a video
    (`clip.mp4`) is that whole video.

    Args:
        path: `annotations.xml`.
        class_names: names by class index; default: the labels of the task in their order there.

    Raises:
        AnnotationError: the file is no such export or holds neither tags nor tracks. Names the
            file, and the line of broken XML.
    """
    source = Path(path)
    root = _parse(source)
    if root.tag != "annotations":
        raise AnnotationError(f"{source}: expected CVAT's XML with the root 'annotations', got {root.tag!r}")
    videos = {
        task.findtext("id") or "": task.findtext("source") or task.findtext("name") or ""
        for task in root.iterfind("meta//task")
    }
    named = [text for element in root.iterfind("meta//label/name") if (text := (element.text or "").strip())]
    clips = ClipCollector(source, "cvat")
    for image in root.iterfind("image"):
        name = image.get("name", "")
        if has_video_suffix(name):
            labels = [tag.get("label", "") for tag in image.iterfind("tag")]
            if labels:
                clips.add(name, labels)
    frames = _frames(root, videos, source)
    for (video, label), numbers in frames.items():
        for start, end in _runs(numbers):
            clips.add(video, (label,), start=start, end=end)
    if not len(clips):
        raise AnnotationError(
            f"{source}: holds neither tags nor tracks: expected frames with a tag, or tracks with a label"
        )
    return clips.finish(class_names or list(dict.fromkeys(named)) or None, labels_are_names=True, clip_unit="frames")


def _parse(source: Path) -> ElementTree.Element:
    try:
        content = read_bytes(source)
    except OSError as error:
        raise AnnotationError(f"{source}: the annotation file cannot be read: {error.strerror or error}") from error
    try:
        if _defines_entities(content):  # which can name each other and fill all memory
            raise AnnotationError(f"{source}: defines XML entities, which CVAT's exports never do")
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, expat.ExpatError) as error:
        place = error.position[0] if isinstance(error, ElementTree.ParseError) else error.lineno
        raise AnnotationError(f"{source}:{place}: expected XML: {error}") from error
    except (ValueError, LookupError, RecursionError, MemoryError) as error:  # an encoding that nobody knows
        raise AnnotationError(f"{source}: expected XML: {error}") from error


class _Root(Exception):  # noqa: N818 - ends the reading of what stands before the root
    pass


class _Entity(Exception):  # noqa: N818 - ends it at the first definition
    pass


def _defines_entities(content: bytes) -> bool:
    """Is there an entity among the definitions before the root, in whatever encoding?"""

    def at_root(*_: object) -> None:
        raise _Root

    def at_entity(*_: object) -> None:
        raise _Entity

    parser = expat.ParserCreate()
    parser.StartElementHandler = at_root
    parser.EntityDeclHandler = at_entity
    try:
        parser.Parse(content, True)
    except _Root:
        return False
    except _Entity:
        return True
    return False


def _frames(root: ElementTree.Element, videos: dict[str, str], source: Path) -> dict[tuple[str, str], set[int]]:
    """Frame numbers by video and label, of tags and of tracks."""
    frames: dict[tuple[str, str], set[int]] = defaultdict(set)
    only = next(iter(videos.values())) if len(videos) == 1 else ""
    for image in root.iterfind("image"):
        name = image.get("name", "")
        tags = [tag.get("label", "") for tag in image.iterfind("tag")]
        if not tags or has_video_suffix(name):
            continue
        number = _FRAME_NUMBER.search(name.rpartition(".")[0]) or _FRAME_NUMBER.search(name)
        video = videos.get(image.get("task_id", ""), only)
        if number is None or not video:
            raise AnnotationError(
                f"{source}: the image {name[:200]!r} tells no video and frame: export a task over a video"
            )
        for label in tags:
            frames[video, label].add(int(number[0]))
    for track in root.iterfind("track"):
        video = videos.get(track.get("task_id", ""), only)
        for shape in track:
            frame = shape.get("frame", "")
            if shape.get("outside") != "1" and frame.isdecimal() and len(frame) <= MAX_DIGITS:
                frames[video or track.get("source", ""), track.get("label", "")].add(int(frame))
    return frames


def _runs(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """Stretches [first, last + 1) of numbers in a row."""
    start = previous = None
    for number in sorted(numbers):
        if start is None or previous is None:
            start = number
        elif number != previous + 1:
            yield start, previous + 1
            start = number
        previous = number
    if start is not None and previous is not None:
        yield start, previous + 1
