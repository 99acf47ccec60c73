"""Models beside each other on the same clips: their figures, and the clips on which they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kinema.errors import ConfigError
from kinema.evaluation.functional import confusion_matrix
from kinema.evaluation.paired import PairedComparison, compare_hits
from kinema.recipes.reporting.clips import animation, shown_path
from kinema.recipes.reporting.measuring import Measured, in_order_of, same_clips
from kinema.recipes.reporting.run_files import RunFiles
from kinema.report.clip_cards import CardGroup, ClipCard, Line
from kinema.report.page import Section

MOST_CLASSES = 60  # rows of the table of classes: those that differ most


@dataclass(frozen=True, eq=False)
class Rated:
    """A model that was measured.

    Attributes:
        name: what the report calls it.
        measured: its scores.
        figures: what it reaches.
        run: the files of its run.
        size: number of its parameters.
    """

    name: str
    measured: Measured
    figures: Mapping[str, Any]
    run: RunFiles
    size: int


class Cell(NamedTuple):
    """A figure of a model, with the ends of its interval, in words."""

    value: str
    interval: str = ""


class ModelRow(NamedTuple):
    """A model of the table: its name, its figures, and how it differs from the first."""

    name: str
    cells: tuple[Cell, ...]


class ClassDifference(NamedTuple):
    """A class, its clips, and the recall of each model; None without clips."""

    name: str
    clips: int
    recalls: tuple[float, ...]

    @property
    def spread(self) -> float:
        """How far the models lie apart."""
        return max(self.recalls) - min(self.recalls)


def with_classes_of(first: Measured, other: Measured) -> Measured:
    """The scores of another model with the classes of the first in their order.

    Raises:
        ConfigError: it knows other classes.
    """
    try:
        return in_order_of(first.classes, other)
    except ValueError as error:
        raise ConfigError(f"{error}: models can be compared that have the same classes") from error


_PAIRED = (
    " The p-value is that of McNemar's exact test: how likely so uneven a split of the clips on which two models differ"
    " is if both are equally good."
)
_COLUMNS = (
    ("acc/mean_average_precision", "mean average precision"),
    ("acc/top1", "top-1"),
    ("acc/top5", "top-5"),
    ("acc/mean1", "mean of the classes"),
)


def comparison_section(rated: Sequence[Rated], shown_clips: int) -> Section:
    """The models side by side.

    Args:
        rated: two or more, the first is what the others are compared with.
        shown_clips: clips that changed to show, of each kind.
    """
    first = rated[0]
    columns = [(key, title) for key, title in _COLUMNS if key in first.figures]
    several = first.measured.is_multi_label
    rows = []
    for model in rated:
        cells = [_cell(model.figures, key) for key, _ in columns]
        cells += [] if several else _difference(first, model)
        cells += [Cell(f"{model.figures['ece_before']:.3f}"), Cell(f"{model.size:,}")]
        rows.append(ModelRow(model.name, tuple(cells)))
    tested = [] if several else [f"top-1 against {first.name}", "p-value"]
    groups = [] if several else [group for other in rated[1:] for group in _changed(first, other, shown_clips)]
    return Section(
        "comparison",
        "Comparison",
        "comparison",
        {
            "rows": rows,
            "columns": [title for _, title in columns] + [*tested, "calibration error", "parameters"],
            "classes": [] if several else _classes(rated),
            "models": [model.name for model in rated],
            "num_classes": len(first.measured.classes),
            "groups": groups,
        },
        f"{len(rated)} models on the same {len(first.measured.places)} clips; the rest of the page is of {first.name}."
        + ("" if several else _PAIRED),
    )


def paired(first: Rated, other: Rated) -> PairedComparison:
    """Two models on the clips that both measured; one label a clip.

    Raises:
        ConfigError: there are no such clips.
    """
    left, right = same_clips(first.measured, other.measured)
    if not len(left):
        raise ConfigError(f"{first.name} and {other.name} have no clip in common that both could read")
    truth = first.measured.labels[left]
    sources = [first.measured.sources[place] for place in left.tolist()]
    return compare_hits(first.measured.predicted[left] == truth, other.measured.predicted[right] == truth, sources)


def _difference(first: Rated, other: Rated) -> list[Cell]:
    if other is first:
        return [Cell("–"), Cell("–")]  # noqa: RUF001
    pair = paired(first, other)
    ends = "" if pair.low is None else f"{100 * pair.low:+.0f} to {100 * (pair.high or 0.0):+.0f}"
    return [Cell(f"{100 * pair.difference:+.1f} points", ends), Cell(f"{pair.p_value:.2g}")]


def _cell(figures: Mapping[str, Any], key: str) -> Cell:
    ends = figures["intervals"].get(key)
    return Cell(f"{figures[key]:.1%}", "" if ends is None else f"{ends[0]:.0%} to {ends[1]:.0%}")


def _classes(rated: Sequence[Rated]) -> list[ClassDifference]:
    """The classes whose recalls differ most first."""
    names = rated[0].measured.classes
    recalls = []
    for model in rated:
        matrix = confusion_matrix(model.measured.predicted, model.measured.labels, num_classes=len(names))
        recalls.append(np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1))
    clips = np.bincount(rated[0].measured.labels, minlength=len(names))
    rows = [
        ClassDifference(name, int(clips[index]), tuple(float(row[index]) for row in recalls))
        for index, name in enumerate(names)
        if clips[index]
    ]
    return sorted(rows, key=lambda row: -row.spread)[:MOST_CLASSES]


def _changed(first: Rated, other: Rated, count: int) -> list[CardGroup]:
    """The clips that one of two models gets right and the other does not, the surest difference first."""
    left, right = same_clips(first.measured, other.measured)
    truth = first.measured.labels[left]
    of_first, of_other = first.measured.scores[left, truth], other.measured.scores[right, truth]
    hits = first.measured.predicted[left] == truth
    other_hits = other.measured.predicted[right] == truth
    groups = []
    for winner, loser, places, gain in (
        (other, first, other_hits & ~hits, of_other - of_first),
        (first, other, hits & ~other_hits, of_first - of_other),
    ):
        chosen = np.flatnonzero(places)
        chosen = chosen[np.argsort(-gain[chosen], kind="stable")]
        if len(chosen) and count:
            cards = [_card(first.measured, other, int(left[place]), int(right[place])) for place in chosen[:count]]
            title = f"Right in {winner.name}, wrong in {loser.name}: {len(chosen)} clips"
            groups.append(CardGroup(title, "The largest difference first.", cards))
    return groups


def _card(first: Measured, other: Rated, place: int, other_place: int) -> ClipCard:
    truth = int(first.labels[place])
    lines = [Line(f"is {first.classes[truth]}")]
    for name, measured, at in ((first.name, first, place), (other.name, other.measured, other_place)):
        best = int(measured.scores[at].argmax())
        said = f"{name}: {measured.classes[best]} {measured.scores[at, best]:.2f}"
        lines.append(Line(said, "good" if best == truth else "bad"))
    alt = f"{first.paths[place]}, a clip of {first.classes[truth]}"
    return ClipCard(shown_path(first, place), alt, animation(first, place), tuple(lines))
