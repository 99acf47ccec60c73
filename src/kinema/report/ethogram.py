"""An ethogram: which class was there when, as a picture, for one or many videos."""

import io
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from kinema.files import written_whole
from kinema.printable import printable
from kinema.report.fonts import drawing_names, short_name
from kinema.structures.segment import Segment

SUFFIXES = (".png", ".svg", ".pdf")
MOST_ROWS = 120  # of a picture
_MOST_CLASS_LANES = 6  # of a video's row
# Okabe and Ito 2008, "Color Universal Design": told apart with every kind of colour blindness. Their
# yellow is left to the end, for it is pale on white.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c6d31", "#f0e442")
HATCHES = ("", "///", "...", "xxx")
_OTHERS = "#9ca3af"  # of classes behind those that have a colour
_PIXELS = 2400  # along the axis of time: shorter things are not told apart
_MINUTES, _HOURS = 180, 7200  # seconds from which the axis has minutes, hours
_TICKS = 10  # on the axis, at most
_LONG_TICKS = (20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_ROW_INCHES, _WIDTH_INCHES = 0.32, 10.0


@dataclass(frozen=True)
class EthogramVideo:
    """A video of an ethogram.

    Attributes:
        name: as it is to be shown.
        duration_seconds: its length.
        segments: times from its beginning on, in any order.
    """

    name: str
    duration_seconds: float
    segments: Sequence[Segment]


def write_ethogram(
    path: str | os.PathLike,
    videos: Sequence[EthogramVideo],
    *,
    classes: Sequence[str] | None = None,
    rows: Literal["auto", "classes", "videos"] = "auto",
) -> None:
    """Draw when which class was there, whole or not at all.

    Colours differ with colour blindness, too; more than eight classes have patterns too. Of more
    than 32, those that are there for the shortest time are grey where the colour alone names them.
    Of more than 120 classes those that are there for the longest time have rows, of more videos the
    first, and the picture says how many there are. Memory does not grow with the number of segments.

    Args:
        path: its suffix says the format: .png, .svg or .pdf.
        videos: one or more.
        classes: which, in this order, also those without a segment; None: those with a segment.
        rows: "classes": a row a class, one block a video; "videos": a row a video, in which classes
            that are there at once share the height; "auto": "videos" for several.

    Raises:
        ValueError: there are no videos, or the suffix is another one.
        OSError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: an ethogram is a picture: expected the suffix {', '.join(SUFFIXES)}")
    if not videos:
        raise ValueError(f"{path}: there is no video to draw")
    labels = _labels(videos) if classes is None else list(dict.fromkeys(classes))
    by_class = rows == "classes" or (rows == "auto" and len(videos) == 1)
    styles = _styles_of_rows(labels) if by_class else _styles(videos, labels)
    names = map(printable, [*labels, *(video.name for video in videos)])
    is_svg = suffix == ".svg"
    with drawing_names(*names, is_svg=is_svg), mpl.rc_context({"svg.hashsalt": "kinema", "hatch.linewidth": 0.6}):
        figure = _of_classes(videos, labels, styles) if by_class else _of_videos(videos, labels, styles)
        content = io.BytesIO()
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}[suffix]
        figure.savefig(content, format=suffix[1:], dpi=144, bbox_inches="tight", metadata=metadata)
    with written_whole(path, "wb") as file:
        file.write(content.getbuffer())


# ---- one picture


def _of_classes(videos: Sequence[EthogramVideo], labels: Sequence[str], styles: "dict[str, _Style]") -> Figure:
    """A block a video, a row a class in each."""
    shown_labels = _longest(videos, labels, MOST_ROWS) or [""]
    shown = videos[: max(1, MOST_ROWS // len(shown_labels))]
    block_inches = _ROW_INCHES * len(shown_labels) + 0.9
    figure = Figure(figsize=(_WIDTH_INCHES, block_inches * len(shown) + 0.3), layout="constrained")
    blocks = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, video in zip(blocks, shown, strict=True):
        for row, label in enumerate(shown_labels):
            own = [segment for segment in video.segments if segment.label == label]
            _bars(axes, own, video.duration_seconds, row - 0.4, 0.8, styles.get(label))
        _finish(axes, [short_name(label) for label in shown_labels], video.duration_seconds)
        axes.set_title(short_name(video.name, 90), loc="left", fontsize=10, parse_math=False)
    _note(figure, len(labels) - len(shown_labels) if labels else 0, "class", "classes")
    _note(figure, len(videos) - len(shown), "video", "videos")
    return figure


def _of_videos(videos: Sequence[EthogramVideo], labels: Sequence[str], styles: "dict[str, _Style]") -> Figure:
    """A row a video; classes that are there at once lie below each other in it."""
    shown = videos[:MOST_ROWS]
    longest = max(video.duration_seconds for video in shown)
    legend_rows = -(-min(len(labels), len(COLOURS) * len(HATCHES)) // 5)
    height = _ROW_INCHES * len(shown) + 0.9 + 0.25 * legend_rows
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    axes = figure.subplots()
    for row, video in enumerate(shown):
        axes.barh(row, video.duration_seconds, height=0.86, color="#f3f4f6", zorder=0)
        own_labels = set(labels)
        lanes = _lanes([segment for segment in video.segments if segment.label in own_labels])
        for lane, segments in enumerate(lanes):
            for label in dict.fromkeys(segment.label for segment in segments):
                own = [segment for segment in segments if segment.label == label]
                top = row - 0.43 + 0.86 * lane / len(lanes)
                _bars(axes, own, longest, top, 0.86 / len(lanes), styles[label])
    _finish(axes, [short_name(video.name) for video in shown], longest)
    _legend(figure, labels, styles)
    _note(figure, len(videos) - len(shown), "video", "videos")
    return figure


def _finish(axes: Axes, names: Sequence[str], duration_seconds: float) -> None:
    axes.set_yticks(range(len(names)), names, parse_math=False, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, duration_seconds)
    axes.xaxis.set_major_locator(MultipleLocator(_tick_seconds(duration_seconds)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _time_text(seconds, duration_seconds)))
    unit = "s" if duration_seconds < _MINUTES else "min:s" if duration_seconds < _HOURS else "h:min"
    axes.set_xlabel(f"time ({unit})", fontsize=9)
    axes.tick_params(axis="x", labelsize=9)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _tick_seconds(duration_seconds: float) -> float:
    """A step of the axis, in round seconds, minutes or hours."""
    power = 10 ** math.floor(math.log10(duration_seconds / _TICKS))
    steps = [step * power for step in (1, 2, 5, 10)] if duration_seconds < _MINUTES else _LONG_TICKS
    return next((step for step in steps if duration_seconds / step <= _TICKS), duration_seconds / _TICKS)


def _time_text(seconds: float, duration_seconds: float) -> str:
    if duration_seconds < _MINUTES:
        return f"{seconds:g}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if duration_seconds < _HOURS else f"{minutes // 60}:{minutes % 60:02}"


def _legend(figure: Figure, labels: Sequence[str], styles: "dict[str, _Style]") -> None:
    styled = [label for label in labels if styles[label].colour != _OTHERS]
    patches = [styles[label].patch(short_name(label)) for label in styled]
    if len(styled) < len(labels):
        patches.append(Patch(facecolor=_OTHERS, label=f"{len(labels) - len(styled)} other classes"))
    if patches:
        legend = figure.legend(handles=patches, loc="outside lower center", ncols=5, fontsize=9, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _note(figure: Figure, left_out: int, singular: str, plural: str) -> None:
    if left_out > 0:
        text = f"and {left_out} more {singular if left_out == 1 else plural}, not drawn"
        figure.text(0.99, 0.0, text, ha="right", va="top", fontsize=9, style="italic")


# ---- bars


@dataclass(frozen=True)
class _Style:
    colour: str
    hatch: str

    def patch(self, label: str) -> Patch:
        return Patch(facecolor=self.colour, hatch=self.hatch, edgecolor="white", linewidth=0, label=label)


def _longest(videos: Sequence[EthogramVideo], labels: Sequence[str], most: int) -> list[str]:
    """At most so many classes, those that are there for the longest time, in their order."""
    if len(labels) <= most:
        return list(labels)
    totals = dict.fromkeys(labels, 0.0)
    for video in videos:
        for segment in video.segments:
            if segment.label in totals:
                totals[segment.label] += segment.seconds
    longest = set(sorted(labels, key=lambda label: -totals[label])[:most])
    return [label for label in labels if label in longest]


def _styles_of_rows(labels: Sequence[str]) -> dict[str, _Style]:
    """Colours and patterns of classes that have rows with names: they may come again."""
    kinds = [_Style(colour, hatch) for hatch in HATCHES for colour in COLOURS]
    return {label: kinds[place % len(kinds)] for place, label in enumerate(labels)}


def _styles(videos: Sequence[EthogramVideo], labels: Sequence[str]) -> dict[str, _Style]:
    """Colour and pattern of each class; grey for those that there is none left for."""
    styled = _longest(videos, labels, len(COLOURS) * len(HATCHES))
    styles = dict.fromkeys(labels, _Style(_OTHERS, ""))
    for place, label in enumerate(styled):
        styles[label] = _Style(COLOURS[place % len(COLOURS)], HATCHES[place // len(COLOURS)])
    return styles


def _bars(
    axes: Axes, segments: Sequence[Segment], span_seconds: float, top: float, height: float, style: _Style | None
) -> None:
    spans = list(_drawn_spans(segments, span_seconds))
    if spans and style is not None:
        axes.broken_barh(
            spans, (top, height), facecolor=style.colour, hatch=style.hatch, edgecolor="white", linewidth=0
        )


def _drawn_spans(segments: Sequence[Segment], span_seconds: float) -> Iterator[tuple[float, float]]:
    """(start, length) to draw: what is nearer than a pixel becomes one bar, and no bar is thinner than one."""
    pixel = span_seconds / _PIXELS
    start = end = -1.0
    for segment in sorted(segments):
        if end >= 0 and segment.start_seconds < end + pixel:
            end = max(end, segment.end_seconds)
            continue
        if end >= 0:
            yield start, end - start
        start, end = segment.start_seconds, max(segment.end_seconds, segment.start_seconds + pixel)
    if end >= 0:
        yield start, end - start


def _lanes(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments that overlap none of their lane: a lane a class if that is few, else as few as it needs."""
    lanes: list[list[Segment]] = []
    for segment in sorted(segments):
        free = next((lane for lane in lanes if lane[-1].end_seconds <= segment.start_seconds + 1e-9), None)
        if free is None:
            lanes.append([segment])
        else:
            free.append(segment)
    labels = sorted({segment.label for segment in segments})
    if len(lanes) > 1 and len(labels) <= _MOST_CLASS_LANES:
        return [[segment for segment in segments if segment.label == label] for label in labels]
    return lanes or [[]]


def _labels(videos: Sequence[EthogramVideo]) -> list[str]:
    return sorted({segment.label for video in videos for segment in video.segments})
