"""Labels for all of a long video: windows or frames with the class that is there, and a background class."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from kinema.datasets.annotations.video_timing import VideoTiming
from kinema.structures.segment import Segment

BACKGROUND = "background"
MOST_WINDOWS = 10_000_000  # of a video


def fill_background(
    segments: Iterable[Segment],
    durations: Mapping[str, float],
    *,
    label: str = BACKGROUND,
    shortest_seconds: float = 0.0,
) -> list[Segment]:
    """Segments, and those of the background where none of them is.

    Args:
        segments: of any videos of `durations`; they may overlap.
        durations: length of each video in seconds; one without a segment is background as a whole.
        label: name of the background class.
        shortest_seconds: shorter stretches between segments stay without a label.

    Returns:
        All of them, video by video in the order of time.

    Raises:
        ValueError: a video has no duration, or a class has the name of the background.
    """
    filled = []
    for video, own in _by_video(segments, durations, label):
        covered = 0.0
        gaps = []
        for start, end in [*((segment.start_seconds, segment.end_seconds) for segment in own), (durations[video],) * 2]:
            if start > covered and start - covered >= shortest_seconds:
                gaps.append(Segment(covered, start, label, video=video))
            covered = max(covered, end)
        filled += sorted([*own, *gaps], key=lambda segment: (segment.start_seconds, segment.end_seconds, segment.label))
    return filled


def label_windows(
    segments: Iterable[Segment],
    durations: Mapping[str, float],
    *,
    seconds: float,
    stride_seconds: float | None = None,
    background: str | None = BACKGROUND,
    share: float = 0.5,
) -> list[Segment]:
    """Windows over whole videos, each with the class that fills most of it: training clips of one length.

    Args:
        segments: of any videos of `durations`.
        durations: length of each video in seconds.
        seconds: length of a window. Where half a stride or more is left behind the last one, a
            further one ends with the video; a video shorter than a window is one.
        stride_seconds: from one window to the next; default: they touch.
        background: name of the class of windows that no class fills enough; None leaves them out.
        share: of a window that a class must fill, above 0 and up to 1.

    Returns:
        Windows in order, each as a segment. Of two classes that fill the same the first by name
        counts.

    Raises:
        ValueError: a length or the share is out of its range, a video would have very many windows
            or has no duration, or a class has the name of the background.
    """
    stride = seconds if stride_seconds is None else stride_seconds
    longest = max(durations.values(), default=0.0)
    if not (0 < seconds < float("inf") and 0 < stride < float("inf") and 0 < share <= 1):
        raise ValueError(
            f"windows need a positive length and stride, and a share above 0 and up to 1: got {seconds=},"
            f" {stride_seconds=}, {share=}"
        )
    if longest / stride > MOST_WINDOWS:
        raise ValueError(
            f"{stride=} s gives a video of {longest:.0f} s more than {MOST_WINDOWS:,} windows: take a longer one"
        )
    windows = []
    for video, own in _by_video(segments, durations, background):
        starts = _window_starts(durations[video], seconds, stride)
        ends = np.minimum(starts + seconds, durations[video])
        best = _best_classes(own, starts, ends, share)
        for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            name = best.get(place, background)
            if name is not None:
                windows.append(Segment(start, end, name, video=video))
    return windows


def frame_labels(segments: Iterable[Segment], timing: VideoTiming, classes: Sequence[str]) -> np.ndarray:
    """The class of every frame of a video.

    Args:
        segments: of this video. Where they overlap the later one counts.
        timing: of its N frames.
        classes: names by class index; the background among them has no segments.

    Returns:
        (N,) int64 class indices; that of "background" where no segment is, -1 where there is no
        such class.

    Raises:
        ValueError: a segment's class is none of `classes`.
    """
    index = {name: number for number, name in enumerate(classes)}
    labels = np.full(timing.num_frames, index.get(BACKGROUND, -1), np.int64)
    starts = timing.borders[:-1] + 1e-6  # times are binary fractions of what files and people write
    for segment in sorted(segments, key=lambda segment: (segment.start_seconds, segment.end_seconds)):
        if segment.label not in index:
            raise ValueError(f"there is no class {segment.label!r}: expected {', '.join(classes)}")
        first, stop = np.searchsorted(starts, [segment.start_seconds, segment.end_seconds])
        labels[first:stop] = index[segment.label]
    return labels


def _by_video(
    segments: Iterable[Segment], durations: Mapping[str, float], background: str | None
) -> Iterator[tuple[str, list[Segment]]]:
    ordered = sorted(segments, key=lambda segment: (segment.video, segment.start_seconds, segment.end_seconds))
    groups = {video: list(own) for video, own in groupby(ordered, key=lambda segment: segment.video)}
    for video in groups:
        if video not in durations:
            raise ValueError(f"the duration of {video!r} is not known: give it in `durations`")
    if any(segment.label == background for segment in ordered):
        raise ValueError(f"a class is called {background!r} already: give the background another name")
    return ((video, groups.get(video, [])) for video in durations)


def _window_starts(duration: float, seconds: float, stride: float) -> np.ndarray:
    """Starts of windows; the last of them ends with the video where much would be left."""
    if duration <= seconds:
        return np.zeros(1)
    last = duration - seconds
    starts = np.arange(int(last / stride + 1e-9) + 1) * stride
    return starts if last - starts[-1] < stride / 2 else np.append(starts, last)


def _best_classes(segments: Sequence[Segment], starts: np.ndarray, ends: np.ndarray, share: float) -> dict[int, str]:
    """The class that fills most of a window, for windows of which one fills enough.

    Args:
        segments: of one video, by their starts.
        starts: (W,) of the windows, ascending.
        ends: (W,) likewise.
        share: of a window that is enough.
    """
    labels = sorted({segment.label for segment in segments})
    index = {label: number for number, label in enumerate(labels)}
    reached = dict.fromkeys(labels, 0.0)
    places, classes, lengths = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    for segment in segments:
        start = max(segment.start_seconds, reached[segment.label])  # what overlaps counts once
        if segment.end_seconds <= start:
            continue
        reached[segment.label] = segment.end_seconds
        met = np.arange(np.searchsorted(ends, start, "right"), np.searchsorted(starts, segment.end_seconds))
        places.append(met)
        classes.append(np.full(len(met), index[segment.label]))
        lengths.append(np.minimum(segment.end_seconds, ends[met]) - np.maximum(start, starts[met]))
    keys, owner = np.unique(np.concatenate(places) * max(len(labels), 1) + np.concatenate(classes), return_inverse=True)
    filled = np.bincount(owner, np.concatenate(lengths), minlength=len(keys))
    window, label = np.divmod(keys, max(len(labels), 1))
    enough = filled >= share * (ends - starts)[window] * (1 - 1e-9)
    window, label, filled = window[enough], label[enough], filled[enough]
    order = np.lexsort((label, -filled, window))
    first = order[np.flatnonzero(np.diff(window[order], prepend=-1))]
    return {int(place): labels[number] for place, number in zip(window[first], label[first], strict=True)}
