"""How many clips each class has, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kinema.printable import printable
from kinema.report.fonts import drawing_names, short_name

COLOURS = ("#2563eb", "#ea580c", "#16a34a")
MOST_NAMES = 80  # names of more classes would not be legible


def draw_class_histogram(path: Path, classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> None:
    """Draw the clips of each class, the largest first; the parts beside each other.

    Args:
        path: the picture; its suffix chooses the kind (.png, .svg, .pdf).
        classes: N names.
        counts: (N,) clips of each class, by the name of the part.

    Raises:
        ValueError: no picture has this suffix.
    """
    names = [short_name(name) for name in classes]
    with drawing_names(*names, *map(printable, counts), is_svg=path.suffix.lower() == ".svg"):
        _figure(names, counts).savefig(path, dpi=120)


def _figure(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    numbers = np.array(list(counts.values()))  # (parts, N)
    order = np.argsort(-numbers.sum(axis=0), kind="stable")
    named = len(classes) <= MOST_NAMES
    figure = Figure(figsize=(6.5, 1.5 + 0.24 * len(classes)) if named else (9, 4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(classes))
    thick = 0.8 / len(numbers)
    for part, (name, colour) in enumerate(zip(counts, COLOURS, strict=False)):
        shifted = places + (part - (len(numbers) - 1) / 2) * thick
        label = printable(f"{name}, {int(numbers[part].sum())} clips")
        if named:
            axes.barh(shifted, numbers[part][order], height=thick, color=colour, label=label)
        else:
            axes.step(places, numbers[part][order], where="mid", color=colour, label=label)
    if named:
        axes.set_yticks(places, [classes[index] for index in order], parse_math=False)
        axes.set(xlabel="clips", ylim=(len(classes) - 0.5, -0.5), xlim=(0, None))
        axes.grid(axis="x", alpha=0.25)
    else:
        axes.set(
            xlabel=f"{len(classes)} classes, the largest first", ylabel="clips", ylim=(0, None), xlim=(0, len(classes))
        )
        axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    legend = figure.legend(frameon=False, loc="outside upper right", ncols=len(numbers))
    for text in legend.get_texts():
        text.set_parse_math(False)  # a `$` in a name begins no formula
    return figure
