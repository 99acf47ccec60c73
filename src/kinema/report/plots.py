"""Plots as SVG text, to be put into a page whose style sheet colours them.

Names of others never are in a plot: they stand in the page beside it, where they are escaped.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinema.evaluation.calibration import ReliabilityBin

WIDTH, HEIGHT = 4.0, 2.6  # inches; narrow, so that the text can be read on a telephone
_MARGINS = {"left": 0.145, "right": 0.975, "top": 0.97, "bottom": 0.175}  # a layout that measures text takes 0.1 s
SERIES = 6  # colours for lines; a page has no more of them
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it is small, can be searched, and takes the page's font
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
}
# What matplotlib draws in these colours, the page's style sheet colours.
_VARIABLES = {"#010101": "--ink", "#020202": "--line", **{f"#0{n}0300": f"--s{n}" for n in range(1, SERIES + 1)}}
_INKED = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
_INK, _GRID = "#010101", "#020202"
_NAMED_PLACES = re.compile(r'<g id="[^"]*"')
_NAMESPACES = re.compile(r' xmlns(?::xlink)?="[^"]*"')
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_FONT = re.compile(r"(font: [^;\"]*?)'DejaVu Sans'[^;\"]*")


class Series(NamedTuple):
    """A line of a plot.

    Attributes:
        name: what it shows; of others, too.
        x: (P,) places.
        y: (P,) values.
        colour: which of the page's colours, from 1 to `SERIES`.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 1


@dataclass(frozen=True)
class Plot:
    """A plot of a page.

    Attributes:
        title: what it shows.
        svg: an SVG element, without names of others.
        summary: the plot in words, for those who cannot see it.
        series: the lines, for the key below it; empty: it needs none.
        note: how to read it.
    """

    title: str
    svg: str
    summary: str
    series: tuple[Series, ...] = ()
    note: str = ""


def colour_of(number: int) -> str:
    """The colour in which a plot draws line `number`, counted from 1; lines beyond `SERIES` begin again."""
    return f"#0{(number - 1) % SERIES + 1}0300"


def draw(name: str, drawn: Callable[[Axes], None], *, size: tuple[float, float] = (WIDTH, HEIGHT)) -> str:
    """An SVG element.

    Args:
        name: of the plot, which no other of its page has; its parts are named after it.
        drawn: draws into the axes that it gets.
        size: width and height in inches.
    """
    with rc_context(_STYLE | {"svg.hashsalt": name} | dict.fromkeys(_INKED, _INK)):
        figure = Figure(figsize=size)
        figure.patch.set_alpha(0)
        axes = figure.subplots(gridspec_kw=_MARGINS)
        axes.patch.set_alpha(0)
        axes.spines[:].set_color(_GRID)
        axes.grid(color=_GRID)
        axes.set_axisbelow(True)
        drawn(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _for_a_page(buffer.getvalue())


def _for_a_page(text: str) -> str:
    """Only the element, in the page's colours and font, without what a page has once or not at all."""
    svg = _METADATA.sub("", text[text.index("<svg") :])
    svg = _NAMED_PLACES.sub("<g", _NAMESPACES.sub("", svg))
    svg = _FONT.sub(r"\1var(--font)", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def line_plot(
    title: str,
    series: Sequence[Series],
    *,
    x: str,
    y: str = "",
    y_range: tuple[float | None, float | None] = (None, None),
    x_range: tuple[float | None, float | None] = (None, None),
    band: tuple[Sequence[float], ...] | None = None,
    diagonal: bool = False,
    note: str = "",
    key: bool = True,
) -> Plot:
    """Lines over one axis.

    Args:
        title: of the plot.
        series: the lines; values that are no numbers leave gaps.
        x: what the horizontal axis counts.
        y: what the vertical axis counts.
        y_range: limits of the vertical axis; None: those of the values.
        x_range: of the horizontal one.
        band: places, lower and upper ends of an area in the colour of the last line.
        diagonal: draw the line x = y.
        note: how to read it.
        key: name the lines below the plot.
    """

    def drawn(axes: Axes) -> None:
        if band is not None:
            axes.fill_between(
                list(band[0]), list(band[1]), list(band[2]), color=colour_of(series[-1].colour), alpha=0.15, linewidth=0
            )
        if diagonal:
            axes.plot([0, 1], [0, 1], color=_INK, alpha=0.4, linewidth=1, linestyle=(0, (4, 3)))
        for line in series:
            few = len(line.x) <= 30
            axes.plot(
                *(list(line.x), list(line.y)),
                color=colour_of(line.colour),
                marker="o" if few else None,
                markersize=3,
            )
        axes.set(xlabel=x, ylabel=y, ylim=y_range, xlim=x_range)

    return Plot(title, draw(title, drawn), _in_words(series, x), tuple(series) if key else (), note)


def _in_words(series: Sequence[Series], x: str) -> str:
    """What a line plot shows, in a sentence a line."""
    sentences = []
    for line in series:
        values = np.asarray(line.y, dtype=np.float64)
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            continue
        first, last = known[0], known[-1]
        sentences.append(
            f"{line.name}: from {values[first]:.3g} at {x} {line.x[first]:.3g} to {values[last]:.3g} at {x}"
            f" {line.x[last]:.3g}; lowest {values[known].min():.3g}, highest {values[known].max():.3g}."
        )
    return " ".join(sentences) or "No values."


# ---- the course of a training


def learning_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Plot]:
    """Loss, accuracy and learning rate over the epochs.

    Args:
        runs: for each run's name the lines of its `metrics.jsonl`. Of several runs the validations
            lie over each other; of one run training and validation do.

    Returns:
        The plots that there are figures for.
    """
    several = len(runs) > 1
    plots = []
    for title, train_name, val_name, y_range in (
        ("Loss", "loss", "loss", (0, None)),
        ("Accuracy, top-1", "top1_acc", "acc/top1", (0, 1.02)),
        ("Mean average precision", "", "acc/mean_average_precision", (0, 1.02)),
    ):
        series: list[Series] = []
        for number, (run, history) in enumerate(runs.items(), start=1):
            val = _course(history, "val", val_name, run if several else "validation", 2 if not several else number)
            train = _course(history, "train", train_name, "training", 1)
            series += [line for line in ([val] if several else [train, val]) if line.x]
        if series:
            suffix = " on validation clips" if several else ""
            band = None if several else _interval(next(iter(runs.values())), val_name)
            note = "" if band is None else "The area is the 95 % interval on the validation clips."
            plots.append(line_plot(title + suffix, series, x="epoch", y_range=y_range, band=band, note=note))
    rates = [
        _course(history, "train", "lr", run if several else "learning rate", number)
        for number, (run, history) in enumerate(runs.items(), start=1)
    ]
    if any(line.x for line in rates):
        plots.append(
            line_plot("Learning rate", [line for line in rates if line.x], x="epoch", y_range=(0, None), key=several)
        )
    return plots


def _course(history: Sequence[Mapping[str, Any]], split: str, name: str, shown: str, colour: int) -> Series:
    """A figure over the epochs, in parts of these where it was written within one."""
    lines = [line for line in history if _is_number(line.get("epoch")) and line["epoch"] > 0]
    steps = max((line["step"] / line["epoch"] for line in lines), default=1) or 1
    points = [
        (line["step"] / steps, line[name])
        for line in lines
        if line.get("split") == split and _is_number(line.get(name))
    ]
    return Series(shown, [x for x, _ in points], [y for _, y in points], colour)


def _interval(history: Sequence[Mapping[str, Any]], name: str) -> tuple[Sequence[float], ...] | None:
    """Places, lower and upper ends of the interval of a validation's figure; None where it is not written."""
    low, high = (_course(history, "val", f"{name}_{end}", "", 1) for end in ("low", "high"))
    return (low.x, low.y, high.y) if low.x and low.x == high.x else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


# ---- how far scores can be believed


def reliability_plot(title: str, bins: Mapping[str, Sequence[ReliabilityBin]], note: str = "") -> Plot:
    """A reliability diagram: how often scores of each range are right; on the diagonal they are probabilities.

    Args:
        title: of the plot.
        bins: by the name of a line.
        note: how to read it.
    """
    series = []
    for number, (name, row) in enumerate(bins.items(), start=1):
        known = [point for point in row if point.count]
        series.append(Series(name, [point.confidence for point in known], [point.accuracy for point in known], number))
    return line_plot(
        title,
        series,
        x="score",
        y="share that is right",
        y_range=(0, 1.02),
        x_range=(0, 1.02),
        diagonal=True,
        note=note,
    )


def score_histogram(
    confidences: np.ndarray, hits: np.ndarray, *, multi_label: bool = False, num_bins: int = 20
) -> Plot:
    """How many scores there are of each height, right ones and wrong ones above each other.

    Args:
        confidences: (M,) scores from 0 to 1.
        hits: (M,) bool: was it right?
        multi_label: the scores are those of every class of every clip, not of predicted classes.
        num_bins: of equal width.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    right, wrong = (np.histogram(confidences[chosen], edges)[0] for chosen in (hits, ~hits))
    names, of, counted = ("right", "wrong"), "score of the predicted class", "clips"
    title, note = "Scores of right and wrong clips", "Wrong clips with high scores are mistakes that look sure."
    if multi_label:
        names, of, counted = ("there", "not there"), "score", "classes of clips"
        title, note = "Scores of what is there and what is not", "The less the two overlap, the better."

    def drawn(axes: Axes) -> None:
        axes.bar(edges[:-1], right, width=0.9 / num_bins, align="edge", color=colour_of(1))
        axes.bar(edges[:-1], wrong, width=0.9 / num_bins, align="edge", bottom=right, color=colour_of(2))
        axes.set(xlabel=of, ylabel=counted, xlim=(0, 1))
        axes.grid(visible=False, axis="x")

    means = [
        f"{int(chosen.sum())} {name} with a mean score of {_mean(confidences[chosen])}"
        for name, chosen in zip(names, (hits, ~hits), strict=True)
    ]
    key = tuple(Series(name, (), (), number) for number, name in enumerate(names, start=1))
    return Plot(title, draw(title, drawn), f"{', '.join(means)}.", key, note)


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.2f}" if len(values) else "none"


def thinned(x: np.ndarray, y: np.ndarray, most: int = 150) -> tuple[list[float], list[float]]:
    """At most so many points of a line, evenly spread over its own, the last one too."""
    chosen = np.unique(np.linspace(0, max(len(x) - 1, 0), min(most, len(x))).round().astype(int))
    return x[chosen].tolist(), y[chosen].tolist()
