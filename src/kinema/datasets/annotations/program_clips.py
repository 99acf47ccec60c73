"""Clips of an annotation program, set against the video files: frames counted in another way become exact times."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.layout import root_candidates
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.tables import MAX_NUMBER
from kinema.datasets.annotations.video_timing import Counting, VideoTiming, seconds_of_positions
from kinema.errors import AnnotationError, VideoError

MOST_NAMED = 5  # videos with a note of their own; the others are summed up
_SAME_SHARE, _SAME_SECONDS = 0.01, 0.25  # lengths nearer than this are the same: sound may outlast the picture


@dataclass(frozen=True)
class _Clip:
    video: str
    labels: tuple[str, ...]
    line: int | None
    start: float | None  # None: the whole video
    end: float | None
    counting: Counting | None  # None: start and end are seconds


@dataclass(frozen=True)
class _Shift:
    """What the comparison with a file gave.

    Attributes:
        text: about one video, without its name.
        seconds: by which times moved at most.
    """

    video: str
    text: str
    seconds: float = 0.0


class ProgramClips:
    """Gathers clips; `finish()` compares them with the files and gives `Annotations` in seconds.

    Where a video is not there and its program did not say at what rate it counts, all clips stay in
    frames; those of the other videos are then frames of the file.

    Args:
        source: the file that is read.
        format: name of its format.
        program: name of the program, for notes.
        video_root: folder of the videos; None: it is looked for as commands do.
        timing_of: gives the frames of a video in place of opening it there; None: it has none.
    """

    def __init__(
        self,
        source: Path,
        format: str,
        program: str,
        video_root: Path | None = None,
        *,
        timing_of: Callable[[str], VideoTiming | None] | None = None,
    ) -> None:
        self.source = source
        self.format = format
        self.program = program
        self._roots = root_candidates(source) if video_root is None else [video_root]
        self._timing_of = self._open if timing_of is None else timing_of
        self._clips: list[_Clip] = []
        self._lengths: dict[str, float] = {}
        self._timings: dict[str, VideoTiming | None] = {}
        self._absent: list[str] = []
        self._broken: list[str] = []
        self._shifts: dict[str, list[_Shift]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def labels(self) -> set[str]:
        """All labels so far."""
        return {label for clip in self._clips for label in clip.labels}

    def add(self, video: str, labels: Sequence[str], *, line: int | None = None) -> None:
        """A whole video."""
        self._clips.append(_Clip(video, tuple(labels), line, None, None, None))

    def add_seconds(
        self, video: str, labels: Sequence[str], start: float, end: float, *, line: int | None = None
    ) -> None:
        """A part of a video, in seconds from its first frame; raises `AnnotationError` where it is none."""
        self._require_part(video, start, end, line)
        self._clips.append(_Clip(video, tuple(labels), line, start, end, None))

    def add_frames(
        self,
        video: str,
        labels: Sequence[str],
        start: float,
        end: float,
        counting: Counting,
        *,
        line: int | None = None,
    ) -> None:
        """A part of a video: its frames [start, end) as the program counts them, from 0; raises likewise."""
        self._require_part(video, start, end, line)
        self._clips.append(_Clip(video, tuple(labels), line, start, end, counting))

    def _require_part(self, video: str, start: float, end: float, line: int | None) -> None:
        if not 0 <= start < end < MAX_NUMBER:
            place = self.source if line is None else f"{self.source}:{line}"
            raise AnnotationError(
                f"{place}: a clip of {video!r} goes from {start:g} to {end:g}: expected a start of 0 or above, and an"
                " end above it"
            )

    def expect_length(self, video: str, seconds: float) -> None:
        """What the program believes to be the length of a video whose parts are in seconds."""
        self._lengths[video] = seconds

    def timing(self, video: str) -> VideoTiming | None:
        """The frames of a video; None where it is not there or cannot be read, which the notes then say."""
        if video not in self._timings:
            self._timings[video] = self._timing_of(video)
            if self._timings[video] is None and self._timing_of != self._open:
                self._absent.append(video)
        return self._timings[video]

    def finish(
        self,
        class_names: Sequence[str] | None = None,
        *,
        video_root: Path | None = None,
        notes: Iterable[str] = (),
    ) -> Annotations:
        """The clips as columns, compared with the files; the notes say what was moved and by how much.

        Args:
            class_names: names by class index, when known.
            video_root: see `Annotations`.
            notes: further ones, which come first.

        Raises:
            AnnotationError: there are no clips, none lies inside its video, one is wrong, or some
                are in seconds, others in frames of a video that is not there. Names the file.
        """
        by_video: dict[str, list[int]] = defaultdict(list)
        for place, clip in enumerate(self._clips):
            if clip.start is not None:
                by_video[clip.video].append(place)
        spans = np.full((len(self._clips), 2), np.nan)
        unknown: set[int] = set()
        for video, places in by_video.items():
            unknown.update(self._settle(video, places, spans))
        in_frames = bool(unknown)
        if in_frames and any(clip.start is not None and clip.counting is None for clip in self._clips):
            raise AnnotationError(
                f"{self.source}: some labels count frames, others seconds, and {self._clips[min(unknown)].video!r} is"
                " not there to compare them: put the videos beside the file, or export the two kinds apart"
            )
        collector = ClipCollector(self.source, self.format)
        for place, clip in enumerate(self._clips):
            start, end = spans[place].tolist()
            if clip.start is not None and np.isnan(start):
                continue  # behind the end of the video
            if in_frames and clip.start is not None and place not in unknown:
                start, end = self._as_frames(clip, start, end)
            collector.add(
                clip.video,
                clip.labels,
                line=clip.line,
                start=None if clip.start is None else start,
                end=None if clip.start is None else end,
            )
        if self._clips and not len(collector):
            raise AnnotationError(f"{self.source}: no clip lies inside its video: {'; '.join(self._notes())}")
        return collector.finish(
            class_names,
            labels_are_names=True,
            clip_unit="frames" if in_frames else "seconds",
            video_root=video_root,
            notes=(*notes, *self._notes()),
        )

    def _settle(self, video: str, places: list[int], spans: np.ndarray) -> list[int]:
        """Fill in the seconds of a video's clips; returns those that have to stay in frames."""
        timing = self.timing(video)
        unknown = []
        moved: list[tuple[float, Counting]] = []
        for place in places:
            clip = self._clips[place]
            given = np.array([clip.start, clip.end], np.float64)
            if clip.counting is None:
                spans[place] = given
            elif timing is not None:
                spans[place] = seconds_of_positions(given, clip.counting, timing)
                naive = timing.seconds_of(given) + np.maximum(given - timing.num_frames, 0) / timing.fps
                moved.append((float(np.abs(naive - spans[place]).max()), clip.counting))
            elif clip.counting.by == "rate" and clip.counting.declared_rate is not None:
                spans[place] = given / clip.counting.declared_rate
            else:
                spans[place] = given
                unknown.append(place)
        if timing is not None:
            if moved:
                self._note_shift(video, timing, *max(moved, key=lambda pair: pair[0]))
            self._note_length(video, timing)
            self._leave_out_beyond(video, places, spans, timing)
        return unknown

    def _note_shift(self, video: str, timing: VideoTiming, seconds: float, counting: Counting) -> None:
        if seconds <= 0.5 / timing.fps:
            return
        moved = f"(up to {seconds:.1f} s)" if seconds >= 0.1 else f"(up to {seconds * 1000:.0f} ms)"
        if counting.num_frames and abs(counting.num_frames - timing.num_frames) >= 1:
            text = (
                f"{self.program} counted {counting.num_frames:.0f} frames, the file has {timing.num_frames}: frame"
                f" numbers scaled by {timing.num_frames / counting.num_frames:.4g} {moved}"
            )
        elif abs(counting.rate(timing) / timing.fps - 1) > 1e-4:
            text = (
                f"{self.program} counted {counting.rate(timing):.6g} frames a second, the file has {timing.fps:.6g}:"
                f" frame numbers scaled by {timing.fps / counting.rate(timing):.4g} {moved}"
            )
        else:
            text = (
                f"{self.program} counted {counting.rate(timing):.6g} frames a second, the rate of the file varies:"
                f" frame numbers follow its times {moved}"
            )
        self._shifts["moved"].append(_Shift(video, text, seconds))

    def _note_length(self, video: str, timing: VideoTiming) -> None:
        declared = self._lengths.get(video)
        if declared is None:
            return
        apart = abs(declared - timing.duration_seconds)
        if apart > max(_SAME_SECONDS, _SAME_SHARE * timing.duration_seconds):
            text = (
                f"{self.program} has {declared:.2f} s for it, the file lasts {timing.duration_seconds:.2f} s: times are"
                " kept; is it the same file?"
            )
            self._shifts["other length"].append(_Shift(video, text, apart))

    def _leave_out_beyond(self, video: str, places: list[int], spans: np.ndarray, timing: VideoTiming) -> None:
        own = spans[places]
        length = timing.duration_seconds
        outside = own[:, 0] >= length
        over = np.where(outside, 0.0, own[:, 1] - length)
        if outside.any():
            text = f"{outside.sum()} of {len(places)} annotations begin behind its end ({length:.2f} s): left out"
            self._shifts["left out"].append(_Shift(video, text))
        if (over > 1 / timing.fps).any():
            text = f"annotations end up to {over.max():.2f} s behind its end ({length:.2f} s): cut there"
            self._shifts["cut"].append(_Shift(video, text, float(over.max())))
        own[:, 1] = np.minimum(own[:, 1], length)
        own[outside] = np.nan
        spans[places] = own

    def _as_frames(self, clip: _Clip, start: float, end: float) -> tuple[float, float]:
        timing = self.timing(clip.video)
        if timing is None:  # the rate alone was known: these frames cannot be checked either
            return clip.start or 0.0, clip.end or 0.0
        first, stop = np.rint(timing.positions_of(np.array([start, end]))).tolist()
        return first, max(stop, first + 1)

    def _open(self, video: str) -> VideoTiming | None:
        for root in self._roots:
            path = os.path.join(root, video)  # noqa: PTH118 - a Path refuses some names
            try:
                if os.path.isfile(path):  # noqa: PTH113
                    return VideoTiming.of_file(path)
            except VideoError as error:
                self._broken.append(str(error))
                return None
            except (OSError, ValueError):
                continue
        self._absent.append(video)
        return None

    def _notes(self) -> list[str]:
        notes = []
        for kind, shifts in self._shifts.items():
            notes += [f"{shift.video}: {shift.text}" for shift in shifts[:MOST_NAMED]]
            if rest := shifts[MOST_NAMED:]:
                most = max(shift.seconds for shift in rest)
                notes.append(f"{len(rest)} more videos likewise ({kind}{f', by up to {most:.1f} s' if most else ''})")
        if self._absent:
            notes.append(f"{_listed(self._absent)} not there, so nothing could be compared")
        if self._broken:
            notes.append(f"{len(self._broken)} videos cannot be read and were not compared: {self._broken[0]}")
        return notes


def number_of(value: Any, what: str, place: object) -> float:
    """A number that stands in a file of a program.

    Raises:
        AnnotationError: it is none. Says where and what it should be.
    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(f"{place}: expected {what} in seconds, got {str(value)[:100]!r}") from None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    if len(names) == 1:
        return f"{shown} is"
    return f"{len(names)} videos ({shown}{', ...' if len(names) > MOST_NAMED else ''}) are"
