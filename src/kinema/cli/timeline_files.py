"""The files that `kinema timeline` writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import KinemaError
from kinema.inference.bouts import write_bouts
from kinema.inference.timeline import Timeline, save_segments
from kinema.video.suffixes import has_video_suffix

if TYPE_CHECKING:
    from kinema.datasets.annotations.writing import SegmentWriter

SHOWN_CLASSES = 12  # of an annotated video, those that are there for the longest time


class TimelineFiles:
    """Writes what was asked for, each file whole or not at all, and keeps the names.

    Args:
        folder: of the files; see `folders`.
        formats: of the segments.
        ethogram: file of the picture; None: none.
        annotates: write each video with classes and scores over its frames.
        keeps_scores: write the scores of each video; without them and without formats there are no
            files in the folder.
    """

    def __init__(
        self, folder: Path, formats: Sequence[str], ethogram: Path | None, *, annotates: bool, keeps_scores: bool
    ) -> None:
        self._folder = folder
        self._formats = formats
        self._ethogram = ethogram
        self._annotates = annotates
        self._keeps_scores = keeps_scores
        self._names: set[str] = set()
        self.written: list[Path] = []
        self.errors: list[str] = []  # of files that could not be written, for a video is gone

    @property
    def notes(self) -> list[str]:
        """What the programs of the formats must be set to, where files were written."""
        return [note for format in self._formats if self.written and (note := _writers()[format].note)]

    @contextmanager
    def folders(self) -> Iterator[None]:
        """Have the folders of the files inside the block, and no empty ones behind it.

        That they cannot be made shows before hours of work are lost.

        Raises:
            OSError: a folder cannot be made.
        """
        folders = [self._folder] if self._keeps_scores or self._formats or self._annotates else []
        if self._ethogram is not None:
            folders.append(self._ethogram.parent)
        new = [place for folder in folders for place in (folder, *folder.parents) if not place.exists()]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            for folder in dict.fromkeys(new):
                with suppress(OSError):  # it is not empty, or it is gone
                    folder.rmdir()

    def write_video(self, timeline: Timeline) -> list[Path]:
        """Write what belongs to one video alone; the files.

        Raises:
            OSError: a file cannot be written.
        """
        name = self._name_of(timeline.video)
        files: list[Path] = []
        if self._keeps_scores:
            self._write(files, f"{name}.npz", timeline.scores.save)
        for format in self._formats:
            writer = _writers()[format]
            if writer.has_one_video:
                self._write(files, f"{name}{writer.suffix}", partial(timeline.save, format=format))
        if self._annotates:
            self._write(files, f"{name}.annotated.mp4", partial(_annotate, timeline=timeline))
        self.written += files
        return files

    def write_all(self, timelines: Sequence[Timeline]) -> list[Path]:
        """Write what is of all videos together; the files.

        Raises:
            OSError: a file cannot be written.
        """
        files: list[Path] = []
        if not timelines:
            return files
        if self._keeps_scores or self._formats:
            bouts = [bout for timeline in timelines for bout in timeline.bouts()]
            self._write(files, "bouts.csv", partial(write_bouts, statistics=bouts))
        for format in self._formats:
            writer = _writers()[format]
            if not writer.has_one_video:
                name = format if writer.suffix == ".json" != f".{format}" else "segments"
                save = partial(save_segments, timelines=timelines, format=format)
                self._write(files, f"{name}{writer.suffix}", save)
        if self._ethogram is not None:
            _draw(self._ethogram, timelines)
            files.append(self._ethogram)
        self.written += files
        return files

    def _write(self, files: list[Path], name: str, write: Callable[[Path], Any]) -> None:
        path = self._folder / name
        try:
            write(path)
        except KinemaError as error:
            from kinema.report.annotated_video import CutShortError

            if not isinstance(error, CutShortError):
                self.errors.append(f"{path}: not written: {error}")
                return
            self.errors.append(str(error))
        files.append(path)

    def _name_of(self, video: str) -> str:
        """The name of the video without its suffix; of equal ones the second gets a number."""
        last = Path(video.rstrip("/")).name.partition("?")[0] or "video"
        plain = Path(last).stem if has_video_suffix(last) else last
        name, number = plain, 1
        while name.lower() in self._names:  # some file systems take capitals for small letters
            number += 1
            name = f"{plain}-{number}"
        self._names.add(name.lower())
        return name


def _writers() -> "dict[str, SegmentWriter]":
    from kinema.datasets.annotations.writing import WRITERS

    return WRITERS


def _draw(path: Path, timelines: Sequence[Timeline]) -> None:
    from kinema.report.ethogram import EthogramVideo, write_ethogram

    videos = [EthogramVideo(Path(scored.video).name, scored.duration_seconds, scored.segments) for scored in timelines]
    names = dict.fromkeys(label for scored in timelines for label in scored.reported_classes)
    present = {segment.label for scored in timelines for segment in scored.segments}
    # Classes that never occur are shown while there are few: that they do not is an answer, too.
    classes = [label for label in names if label in present or len(names) <= SHOWN_CLASSES]
    write_ethogram(path, videos, classes=classes)


def _annotate(path: Path, timeline: Timeline) -> None:
    from kinema.report.annotated_video import Annotation, write_annotated_video

    totals = {bout.label: bout.total_seconds for bout in timeline.bouts()}
    shown = sorted(totals, key=lambda label: -totals[label])[:SHOWN_CLASSES]
    indices = [index for index, label in enumerate(timeline.classes) if label in shown]
    times, scores = timeline.over_time()
    labels = [timeline.classes[index] for index in indices]
    segments = [segment for segment in timeline.segments if segment.label in shown]
    write_annotated_video(path, timeline.video, Annotation(labels, times, scores[:, indices], segments), progress=True)
