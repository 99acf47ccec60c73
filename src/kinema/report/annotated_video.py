"""A copy of a video with what the model says drawn over the frames."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kinema.errors import VideoError
from kinema.printable import printable
from kinema.progress import ProgressBar
from kinema.report.ethogram import COLOURS
from kinema.report.fonts import fonts_of
from kinema.structures.segment import Segment
from kinema.video import VideoReader, VideoWriter

_LINE_SHARE, _LEAST_LINE, _MOST_LINE = 1 / 18, 15, 48  # of the height; pixels of a line of text
_LETTER_SHARE = 0.68  # of the line, for the size of the font
_POINTS = 72  # in an inch: with so many dots a point is a pixel
_MOST_ROWS_SHARE = 0.5  # of the height that rows may cover
_SHADE = 0.35  # brightness that is left behind the text
_NAME_SHARE = 0.62  # of the panel's width for names, the rest for bars
_WHITE, _GREY = (255, 255, 255), (150, 150, 150)
_TIMED_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Annotation:
    """What to draw, all times in seconds from the first frame.

    Attributes:
        classes: names of the N classes to show.
        times: (T,) where stretches of equal scores begin, ascending.
        scores: (T, N) from 0 to 1.
        segments: of these classes.
    """

    classes: Sequence[str]
    times: np.ndarray
    scores: np.ndarray
    segments: Sequence[Segment]


class CutShortError(VideoError):
    """The file was written, and ends before a frame of the video that cannot be decoded."""


def write_annotated_video(
    path: str | os.PathLike,
    video: str | os.PathLike,
    annotation: Annotation,
    *,
    most_rows: int = 5,
    quality: int = 75,
    progress: bool = False,
) -> Path:
    """Write a copy of a video with a row for each class: its name, a bar of its score, and whether it is there.

    Frames keep their size (an odd one grows by a pixel) and their times, those of a variable rate
    too. One frame is in memory at a time; there is no sound.

    Args:
        path: .mp4, .mov, .mkv or .webm; the file appears when it is complete.
        video: path of the video.
        annotation: what to draw.
        most_rows: classes to show at a time, at most: those that are there first, then those with
            the highest scores. Fewer on frames that have no room for them.
        quality: 0 (small) to 100 (near lossless).
        progress: show the progress on standard error.

    Returns:
        `path`.

    Raises:
        ValueError: another suffix, or no class to show.
        VideoError: the video cannot be read, or the file cannot be written.
        CutShortError: the file was written up to a frame that cannot be decoded.
    """
    target = Path(path)
    if target.suffix.lower() not in _TIMED_SUFFIXES:
        raise ValueError(f"{target}: an annotated video is written as {', '.join(_TIMED_SUFFIXES)}")
    if most_rows < 1 or not annotation.classes:
        raise ValueError(f"{target}: there is no class to show: {most_rows=}, {len(annotation.classes)} classes")
    with VideoReader(os.fspath(video)) as reader:
        times = reader.timestamps_seconds - reader.timestamps_seconds[0]
        if target.exists() and target.samefile(video):
            raise ValueError(f"{target}: is the video itself: write the annotated one under another name")
        bar = ProgressBar(len(times)) if progress else None
        painter = _Painter(annotation, reader.height, reader.width, most_rows)
        lost: VideoError | None = None
        try:
            with VideoWriter(target, reader.fps or 25.0, quality=quality) as writer:
                for number, time in enumerate(_ascending(times)):
                    try:
                        frame = reader[number]
                    except VideoError as error:
                        if not number:
                            raise
                        lost = error
                        break
                    painter.paint(frame, time)
                    writer.write(frame, time)
                    if bar is not None:
                        bar.update()
        finally:
            if bar is not None:
                bar.close()
    if lost is not None:
        raise CutShortError(f"{target}: ends early: {lost}") from lost
    return target


def _ascending(times: np.ndarray) -> Sequence[float]:
    """Times of frames for a file: frames that the video shows at once come a millisecond apart."""
    shown: list[float] = []
    for time in times.tolist():
        shown.append(max(time, shown[-1] + 1e-3) if shown else time)
    return shown


class _Painter:
    """Draws a panel into the upper left corner of frames of one size."""

    def __init__(self, annotation: Annotation, height: int, width: int, most_rows: int) -> None:
        self._annotation = annotation
        self._line = round(min(max(height * _LINE_SHARE, _LEAST_LINE), _MOST_LINE))
        self._width = min(width, max(self._line * 16, width // 3))
        room = int(height * _MOST_ROWS_SHARE) // self._line
        self._num_rows = min(most_rows, len(annotation.classes), max(room, 1))
        self._names: dict[int, np.ndarray] = {}
        self._colours = [_rgb(COLOURS[place % len(COLOURS)]) for place in range(len(annotation.classes))]
        index = {label: place for place, label in enumerate(annotation.classes)}
        spans = [(segment.start_seconds, segment.end_seconds, index[segment.label]) for segment in annotation.segments]
        self._spans = sorted(spans)
        self._next = 0
        self._present: list[tuple[float, int]] = []  # (end, class) of the segments at the last time

    def paint(self, frame: np.ndarray, time: float) -> None:
        """Draw into a frame (H, W, 3) what is true at a time; times ascend from call to call."""
        present = self._present_at(time)
        place = max(int(np.searchsorted(self._annotation.times, time + 1e-6, "right")) - 1, 0)
        scores = self._annotation.scores[place]
        order = sorted(range(len(scores)), key=lambda position: (position not in present, -scores[position], position))
        rows = order[: self._num_rows]
        panel = frame[: self._line * len(rows), : self._width]
        panel[:] = (panel * _SHADE).astype(np.uint8)
        # The rows keep the order of the classes, so that names stay in their places.
        for row, number in enumerate(sorted(rows)):
            area = panel[row * self._line : (row + 1) * self._line]
            self._paint_row(area, number, float(scores[number]), is_present=number in present)

    def _paint_row(self, area: np.ndarray, number: int, score: float, *, is_present: bool) -> None:
        pad = max(self._line // 6, 1)
        left = int(self._width * _NAME_SHARE)
        if is_present:
            area[:, :pad] = self._colours[number]
        name = self._name(number, left - 3 * pad)
        self._blend(area[:, 2 * pad : 2 * pad + name.shape[1]], name, _WHITE if is_present else _GREY)
        room = max(self._width - left - pad, 1)
        bar = area[2 * pad : self._line - 2 * pad or None, left : left + room]
        bar[:] = (90, 90, 90)
        bar[:, : round(room * min(max(score, 0.0), 1.0))] = self._colours[number] if is_present else _GREY

    @staticmethod
    def _blend(area: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
        mask = mask[: area.shape[0], : area.shape[1]]
        share = mask[..., None] / 255
        area[:] = (area * (1 - share) + np.array(colour) * share).astype(np.uint8)

    def _name(self, number: int, room: int) -> np.ndarray:
        """(line, width) uint8: how much of a pixel the name of a class covers."""
        if number not in self._names:
            mask = text_mask(self._annotation.classes[number], max(room, 1), self._line)
            self._names[number] = mask
        return self._names[number]

    def _present_at(self, time: float) -> set[int]:
        time += 1e-6  # a time that was computed from a frame's number is that frame's
        while self._next < len(self._spans) and self._spans[self._next][0] <= time:
            _, end, number = self._spans[self._next]
            self._present.append((end, number))
            self._next += 1
        self._present = [(end, number) for end, number in self._present if end > time]
        return {number for _, number in self._present}


def text_mask(name: str, width: int, height: int) -> np.ndarray:
    """A name as a picture of one line.

    Args:
        name: drawn as it can be shown; letters that no font has are boxes.
        width: of the picture, in pixels; a name that is longer ends with "..".
        height: likewise.

    Returns:
        (height, width) uint8: how much of each pixel the letters cover.
    """
    figure = Figure(figsize=(width / _POINTS, height / _POINTS), dpi=_POINTS, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    shown = printable(name)
    look: dict[str, Any] = {"color": "white", "fontsize": _LETTER_SHARE * height, "fontfamily": fonts_of(shown)}
    text = figure.text(0, 0.5, shown, va="center_baseline", parse_math=False, **look)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        while shown and text.get_window_extent(canvas.get_renderer()).width > width:
            shown = shown[: min(len(shown) - 1, 4 * width // height + 8)]  # no letter is that narrow
            text.set_text(f"{shown}..")
        canvas.draw()
    mask: np.ndarray = np.asarray(canvas.buffer_rgba())[..., 0].copy()
    return mask


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue
