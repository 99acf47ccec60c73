"""What every writer of segments gets."""

import heapq
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from kinema.datasets.annotations.video_timing import VideoTiming
from kinema.datasets.annotations.writing.texts import has_scheme
from kinema.structures.segment import Segment


@dataclass(frozen=True)
class WriteRequest:
    """Segments to write, video by video.

    Attributes:
        path: of the file, for formats that name videos relative to it.
        segments: of each video in the order of time; also of videos without one.
        timings: what is known of the videos.
        model_version: what the segments come from.
    """

    path: Path
    segments: Mapping[str, Sequence[Segment]]
    timings: Mapping[str, VideoTiming]
    model_version: str

    @property
    def videos(self) -> list[str]:
        """All videos, in order."""
        return list(self.segments)

    @property
    def labels(self) -> list[str]:
        """Names of the classes that have a segment, sorted."""
        return sorted({segment.label for _, segment in self})

    def __iter__(self) -> Iterator[tuple[str, Segment]]:
        return ((video, segment) for video, own in self.segments.items() for segment in own)

    @cached_property
    def paths(self) -> dict[str, str]:
        """The videos as the file names them: relative paths of files from the folder of the file.

        Readers look there first, and whoever moves both takes the videos along.
        """
        return {video: self._path(video) for video in self.segments}

    def _path(self, video: str) -> str:
        if has_scheme(video) or Path(video).is_absolute() or not Path(video).is_file():
            return video
        try:
            return os.path.relpath(video, self.path.parent)
        except ValueError:  # on another drive of Windows
            return os.path.abspath(video)  # noqa: PTH100 - links stay as they are

    def only_video(self, program: str) -> tuple[str, Sequence[Segment]]:
        """The one video of a format that has no room for more.

        Raises:
            ValueError: there are several.
        """
        if not self.segments:
            return "", []
        if len(self.segments) != 1:
            raise ValueError(f"a file for {program} is of one video, got {len(self.segments)}: write one file for each")
        return next(iter(self.segments.items()))

    def timing_of(self, video: str, program: str) -> VideoTiming:
        """What is known of a video, for formats that cannot do without.

        Raises:
            ValueError: nothing is.
        """
        if video not in self.timings:
            raise ValueError(f"{program} counts frames: give the timing of {video!r} in `videos`")
        return self.timings[video]


def layers_by_label(segments: Sequence[Segment]) -> Iterator[tuple[str, int, list[Segment]]]:
    """Segments of a class that do not overlap, for programs that allow no more on a line.

    Yields:
        The class, the number of the layer from 0, and its segments in the order of time.
    """
    by_label = sorted(segments, key=lambda segment: (segment.label, segment.start_seconds, segment.end_seconds))
    for label, own in groupby(by_label, key=lambda segment: segment.label):
        layers: list[list[Segment]] = []
        busy: list[tuple[float, int]] = []  # ends of the layers' last segments
        free: list[int] = []
        for segment in own:
            while busy and busy[0][0] <= segment.start_seconds:
                heapq.heappush(free, heapq.heappop(busy)[1])
            if not free:
                layers.append([])
                free.append(len(layers) - 1)
            number = heapq.heappop(free)
            layers[number].append(segment)
            heapq.heappush(busy, (segment.end_seconds, number))
        yield from ((label, number, layer) for number, layer in enumerate(layers))
