"""Clips of annotations as segments in seconds, for writers and for labels over time."""

from collections.abc import Callable

import numpy as np

from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.video_timing import VideoTiming
from kinema.errors import AnnotationError
from kinema.structures.segment import Segment

TimingOf = Callable[[str], VideoTiming | None]


def segments_of(annotations: Annotations, timing_of: TimingOf) -> list[Segment]:
    """A segment for each label of each clip, in the order of the clips.

    Args:
        annotations: labelled clips, whole videos or parts.
        timing_of: the frames of a video by its path as the annotations write it; None: not known.
            Asked where a clip is a whole video, has no end, or counts frames.

    Returns:
        Segments in seconds from the first frame. A label without a name has its number as one.

    Raises:
        AnnotationError: a video's timing is needed and not known, or a clip holds none of its
            frames. Names file and line.
    """
    count = len(annotations)
    starts = np.full(count, np.nan) if annotations.clip_starts is None else annotations.clip_starts
    ends = np.full(count, np.nan) if annotations.clip_ends is None else annotations.clip_ends
    names = annotations.class_names
    segments = []
    for place, (video, labels) in enumerate(annotations):
        start, end = _span(annotations, place, float(starts[place]), float(ends[place]), timing_of)
        if not labels:
            raise AnnotationError(f"{annotations.place_of(place)}: {video!r} has no label: expected one")
        for label in labels:
            name = names[label] if 0 <= label < len(names) else str(label)
            segments.append(Segment(start, end, name, video=video))
    return segments


def _span(annotations: Annotations, place: int, start: float, end: float, timing_of: TimingOf) -> tuple[float, float]:
    """Seconds of a clip."""
    start = 0.0 if np.isnan(start) else start
    in_frames = annotations.clip_unit == "frames" and annotations.clip_starts is not None
    if not in_frames and not np.isnan(end):
        return start, end
    video = annotations.paths[place]
    timing = timing_of(video)
    if timing is None:
        needed = "the times of its frames are" if in_frames else "its length is"
        raise AnnotationError(f"{annotations.place_of(place)}: {video!r} is not there, so {needed} not known")
    if in_frames:
        end = timing.num_frames if np.isnan(end) else end
        start, end = timing.seconds_of(np.array([start, end])).tolist()
    else:
        end = timing.duration_seconds
    if end <= start:
        raise AnnotationError(
            f"{annotations.place_of(place)}: the clip begins at {start:g} s, where {video!r} has ended"
            f" ({timing.duration_seconds:g} s)"
        )
    return start, end
