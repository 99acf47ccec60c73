"""Exports of CVAT (XML): tags of frames and tracks of a video become clips."""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.datasets.annotations.lines import MAX_DIGITS
from kinema.datasets.annotations.program_clips import ProgramClips
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.safe_xml import parse_xml
from kinema.datasets.annotations.video_timing import Counting
from kinema.errors import AnnotationError
from kinema.video.suffixes import has_video_suffix

_FRAME_NUMBER = re.compile(r"(?a:\d{1,18})$")


@dataclass(frozen=True)
class _Task:
    """A video and how a task counts its frames.

    Attributes:
        video: its name.
        size: frames that the task has; None: it does not say.
        step: it has each such frame.
        is_whole: it begins at the first frame and leaves none out.
    """

    video: str
    size: int | None = None
    step: int = 1
    is_whole: bool = True

    def counting(self, clips: ProgramClips) -> tuple[Counting, str | None]:
        """How frame numbers become times, and what a user should know.

        CVAT numbers the frames that it decodes, so they are those of the file. A task with fewer
        frames may be of the video's beginning alone; one with more is of another file.
        """
        timing = clips.timing(self.video)
        if timing is None or self.size is None or not self.is_whole or self.size == timing.num_frames:
            return Counting("frames"), None
        if self.size > timing.num_frames:
            return Counting("frames", num_frames=self.size), None
        return Counting("frames"), (
            f"{self.video}: CVAT's task has {self.size} frames, the file {timing.num_frames}: frame numbers are kept,"
            " as of a task over its beginning"
        )


def read_cvat(
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read "CVAT for images 1.1" or "CVAT for video 1.1" of tasks over videos.

    Frames of one video in a row that have the same tag are a clip, [first, last + 1); so are those
    in a row in which a track of a label is to be seen. An image named like a video (`clip.mp4`) is
    that whole video. Where the videos are there, clips are in seconds, else in frames.

    Args:
        path: `annotations.xml`.
        class_names: names by class index; default: the labels of the task in their order there.
        video_root: folder of the videos; default: looked for beside the export.

    Raises:
        AnnotationError: the file is no such export or holds neither tags nor tracks. Names the
            file, and the line of broken XML.
    """
    source = Path(path)
    root = parse_xml(source, "CVAT")
    if root.tag != "annotations":
        raise AnnotationError(f"{source}: expected CVAT's XML with the root 'annotations', got {root.tag!r}")
    tasks = {task.findtext("id") or "": _task(task) for task in root.iterfind("meta//task")}
    named = [text for element in root.iterfind("meta//label/name") if (text := (element.text or "").strip())]
    clips = ProgramClips(source, "cvat", "CVAT", None if video_root is None else Path(video_root))
    for image in root.iterfind("image"):
        name = image.get("name", "")
        if has_video_suffix(name):
            labels = [tag.get("label", "") for tag in image.iterfind("tag")]
            if labels:
                clips.add(name, labels)
    notes: list[str] = []
    for task, by_label in _frames(root, tasks, source).items():
        counting, note = task.counting(clips)
        notes += [] if note is None else [note]
        for label, numbers in by_label.items():
            for start, end in _runs(numbers, task.step):
                clips.add_frames(task.video, (label,), start, end, counting)
    if not len(clips):
        raise AnnotationError(
            f"{source}: holds neither tags nor tracks: expected frames with a tag, or tracks with a label"
        )
    names = class_names or list(dict.fromkeys(named)) or None
    return clips.finish(names, video_root=None if video_root is None else Path(video_root), notes=notes)


def _task(task: ElementTree.Element) -> _Task:
    step = re.search(r"step\s*=\s*(\d{1,6})", task.findtext("frame_filter") or "")
    every = max(int(step[1]), 1) if step else 1
    begins = (task.findtext("start_frame") or "0").strip() == "0"
    size = (task.findtext("size") or "").strip()
    is_number = size.isdecimal() and size.isascii() and len(size) <= MAX_DIGITS
    video = task.findtext("source") or task.findtext("name") or ""
    return _Task(video, int(size) or None if is_number else None, every, begins and every == 1)


def _frames(root: ElementTree.Element, tasks: dict[str, _Task], source: Path) -> dict[_Task, dict[str, set[int]]]:
    """Frame numbers by task and label, of tags and of tracks."""
    frames: dict[_Task, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    only = next(iter(tasks.values())) if len(tasks) == 1 else _Task("")
    for image in root.iterfind("image"):
        name = image.get("name", "")
        tags = [tag.get("label", "") for tag in image.iterfind("tag")]
        if not tags or has_video_suffix(name):
            continue
        number = _FRAME_NUMBER.search(name.rpartition(".")[0]) or _FRAME_NUMBER.search(name)
        task = tasks.get(image.get("task_id", ""), only)
        if number is None or not task.video:
            raise AnnotationError(
                f"{source}: the image {name[:200]!r} names no video and frame: export a task over a video"
            )
        for label in tags:
            frames[task][label].add(int(number[0]))
    for track in root.iterfind("track"):
        task = tasks.get(track.get("task_id", ""), only)
        for shape in track:
            frame = shape.get("frame", "")
            if shape.get("outside") != "1" and frame.isdecimal() and len(frame) <= MAX_DIGITS:
                own = task if task.video else _Task(track.get("source", ""))
                frames[own][track.get("label", "")].add(int(frame))
    return frames


def _runs(numbers: set[int], step: int) -> Iterator[tuple[int, int]]:
    """Stretches [first, last + step) of numbers of which each is `step` above the one before, or nearer."""
    start = previous = None
    for number in sorted(numbers):
        if start is None or previous is None:
            start = number
        elif number > previous + step:
            yield start, previous + step
            start = number
        previous = number
    if start is not None and previous is not None:
        yield start, previous + step
