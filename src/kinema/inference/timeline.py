"""What happens in a video, and when: segments from the scores of its windows."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kinema.errors import VideoError
from kinema.inference.bouts import BoutStatistics, bout_statistics
from kinema.inference.decisions.settings import DecisionSettings
from kinema.inference.decisions.windows import OverlapMean, WindowTracker
from kinema.inference.windows.score import WindowScore
from kinema.inference.windows.scores import WindowScores
from kinema.printable import plural, printable
from kinema.structures.segment import Segment

_SHOWN_CLASSES = 3  # as Python shows a timeline


@dataclass(frozen=True, eq=False)
class Timeline:
    """The segments of a video, and the scores that they come from.

        timeline = recognizer.timeline("game.mp4")
        timeline.segments[0].label, timeline.segments[0].start_seconds
        timeline.decide(threshold=0.7, min_seconds=1).save("game.srt")  # the network does not run

    All times are seconds from the first frame of the video.

    Attributes:
        scores: of its windows.
        settings: what it takes for a class to be there.

    Raises:
        ValueError: the settings name a class that is not there.
    """

    scores: WindowScores
    settings: DecisionSettings

    def __post_init__(self) -> None:
        self.settings.check(self.classes)

    @classmethod
    def of(cls, scores: WindowScores, settings: DecisionSettings | None = None) -> "Timeline":
        """The timeline of scores.

        Args:
            scores: of the windows of a video.
            settings: None: what suits the model, see `DecisionSettings.of_model`.

        Raises:
            ValueError: the settings name a class that is not there.
        """
        return cls(scores, default_settings(scores) if settings is None else settings)

    def decide(self, **changes: Any) -> "Timeline":
        """The same scores with other settings.

        Args:
            changes: attributes of `DecisionSettings`; the others stay.

        Raises:
            TypeError: there is no such setting.
            ValueError: a value is out of its range, or names a class that is not there.
        """
        return Timeline(self.scores, replace(self.settings, **changes))

    @property
    def video(self) -> str:
        """Path or address of the video."""
        return self.scores.video

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the N classes."""
        return self.scores.classes

    @property
    def reported_classes(self) -> tuple[str, ...]:
        """The classes that may have segments."""
        reported = self.settings.reported(self.classes)
        return tuple(label for label, is_reported in zip(self.classes, reported, strict=True) if is_reported)

    @property
    def duration_seconds(self) -> float:
        """From the start of the first frame to the end of the last."""
        return self.scores.duration_seconds

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """In the order of their starts; those of one class do not overlap."""
        tracker = WindowTracker(self.classes, self.scores.facts.stride_seconds, self.settings, video=self.video)
        events = [event for window in self._windows() for event in tracker.push(window)] + tracker.finish()
        return tuple(sorted(event.segment for event in events if event.segment is not None))

    def over_time(self) -> tuple[np.ndarray, np.ndarray]:
        """The scores as the decisions see them, before smoothing: of one stretch of time after another.

        Returns:
            (T,) float64, where the stretches begin, and (T, N) float32, their scores.
        """
        mean = OverlapMean(self.scores.facts.stride_seconds)
        updates = [update for window in self._windows() for update in mean.push(window)] + mean.finish()
        times, scores = zip(*updates, strict=True)
        return np.array(times), np.array(scores, dtype=np.float32)

    def bouts(self) -> list[BoutStatistics]:
        """Count, total, mean and median duration, latency of each reported class."""
        return bout_statistics(
            self.segments, duration_seconds=self.duration_seconds, classes=self.reported_classes, video=self.video
        )

    def save(self, path: str | os.PathLike, format: str = "auto") -> None:
        """Write the segments into a file, whole or not at all.

        Args:
            path: of the file; its folder must exist.
            format: "csv", "json", "srt", "vtt", "elan", "boris", "label-studio", ...; "auto": by the
                suffix (.csv, .json, .srt, .vtt, .eaf, .boris).

        Raises:
            ValueError: there is no such format.
            VideoError: the format counts frames, and the video is not there any more.
            OSError: the file cannot be written.
        """
        save_segments(path, [self], format)

    def _windows(self) -> Iterator[WindowScore]:
        """The windows on a clock that starts with the first frame."""
        start = self.scores.start_seconds
        for window in self.scores:
            yield replace(window, start_seconds=window.start_seconds - start, end_seconds=window.end_seconds - start)

    def __repr__(self) -> str:
        bouts = sorted((bout for bout in self.bouts() if bout.count), key=lambda bout: -bout.total_seconds)
        parts = [
            f"{printable(bout.label)} {bout.count} ({bout.total_seconds:.1f} s)" for bout in bouts[:_SHOWN_CLASSES]
        ]
        if len(bouts) > _SHOWN_CLASSES:
            parts.append(f"{len(bouts) - _SHOWN_CLASSES} more")
        shown = f": {', '.join(parts)}" if parts else ""
        segments = plural(len(self.segments), "segment")
        return f"Timeline({printable(self.video)!r}, {self.duration_seconds:.1f} s, {segments}{shown})"


def default_settings(scores: WindowScores) -> DecisionSettings:
    """What suits the model of the scores, see `DecisionSettings.of_model`."""
    return DecisionSettings.of_model(thresholds=scores.facts.thresholds, is_multi_label=scores.facts.is_multi_label)


def save_segments(path: str | os.PathLike, timelines: Sequence[Timeline], format: str = "auto") -> None:
    """Write the segments of several videos into one file; see `Timeline.save`.

    Raises:
        ValueError: there is no such format, or it is of one video and there are several.
        VideoError: the format counts frames, and a video is not there any more.
        OSError: the file cannot be written.
    """
    # Reading annotations needs torch, deciding over stored scores does not.
    from kinema.datasets.annotations.writing import VideoTiming, write_segments, writer_of

    writer = writer_of(path, format)
    videos: dict[str, VideoTiming | None] = {timeline.video: None for timeline in timelines}
    for video in videos if writer.needs_timing or writer.notes_timing else ():
        try:
            videos[video] = VideoTiming.of_file(video)
        except VideoError:
            if writer.needs_timing:
                raise
    segments = [segment for timeline in timelines for segment in timeline.segments]
    model = timelines[0].scores.facts.model if timelines else ""
    write_segments(path, segments, format, videos=videos, model_version=f"kinema {model}".strip())
