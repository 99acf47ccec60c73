"""What a report says of a model of several labels a clip in place of accuracies and confusions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema.evaluation.functional import mean_average_precision
from kinema.evaluation.intervals import FEW_SOURCES, precision_interval, wilson_interval
from kinema.evaluation.thresholds import precision_recall_curve
from kinema.recipes.reporting.clips import animation, shown_path
from kinema.recipes.reporting.measuring import Measured
from kinema.report.class_table import ClassRow, Share
from kinema.report.clip_cards import CardGroup, ClipCard, Line
from kinema.report.page import Section, Tile

DEFAULT_THRESHOLD = 0.5
_MOST_WORK = 40_000_000  # scores that are sorted for an interval, about ten seconds
_MOST_DRAWS, _LEAST_DRAWS = 500, 100
_SHOWN_CLASSES = 3  # below a clip


def figures_of(measured: Measured) -> dict[str, Any]:
    """The figures of a model with several labels a clip, as JSON holds them."""
    name = "acc/mean_average_precision"
    interval = mean_precision_interval(measured)
    return {
        name: mean_average_precision(measured.scores, measured.labels),
        "intervals": {} if interval is None else {name: list(interval)},
        "chance": float(measured.labels.mean(axis=0)[measured.labels.any(axis=0)].mean()),
        "clips": len(measured.places),
        "sources": len(set(measured.sources)),
        "failed": len(measured.failed),
    }


def mean_precision_interval(measured: Measured, seed: int = 0) -> tuple[float, float] | None:
    """95 % interval of the mean average precision, by drawing whole source videos again.

    Returns:
        None where there are fewer than 10 sources, or so many scores that it would take long.
    """
    draws = min(_MOST_DRAWS, _MOST_WORK // measured.scores.size)
    if len(set(measured.sources)) < FEW_SOURCES or draws < _LEAST_DRAWS:
        return None
    return precision_interval(measured.scores, measured.labels, measured.sources, draws=draws, seed=seed)


def tiles_of(measured: Measured, figures: Mapping[str, Any]) -> list[Tile]:
    """The figures on top."""
    name = "acc/mean_average_precision"
    ends = figures["intervals"].get(name)
    detail = "over the classes that have clips" if ends is None else f"95 % interval {ends[0]:.0%} to {ends[1]:.0%}"
    return [
        Tile("mean average precision", f"{figures[name]:.1%}", detail),
        Tile("chance", f"{figures['chance']:.1%}", "of scores that say nothing: the share of clips of a class"),
        Tile("labels a clip", f"{measured.labels.sum(axis=1).mean():.1f}", f"of {len(measured.classes)} classes"),
    ]


def class_section(measured: Measured, thresholds: Mapping[str, float]) -> Section:
    """Average precision of each class, and what its threshold does.

    Args:
        measured: the scores.
        thresholds: of the checkpoint, by class name; of others 0.5.
    """
    rows = []
    for index, name in enumerate(measured.classes):
        scores, positive = measured.scores[:, index], measured.labels[:, index]
        taken = scores >= thresholds.get(name, DEFAULT_THRESHOLD)
        right = taken & positive
        precise, recall, union = (_share(right, whole, measured) for whole in (taken, positive, taken | positive))
        f1, *f1_ends = (None if value is None else 2 * value / (1 + value) for value in union)
        average = precision_recall_curve(scores, positive).average_precision
        shares = {
            "average precision": Share(None if np.isnan(average) else average, None),
            "precision": _as_share(*precise),
            "recall": _as_share(*recall),
            "F1": _as_share(f1, *f1_ends),
        }
        rows.append(ClassRow(name, int(positive.sum()), shares))
    where = "its threshold in the checkpoint" if thresholds else f"the threshold {DEFAULT_THRESHOLD}"
    return Section(
        "classes",
        "Classes",
        "classes",
        {
            "rows": rows,
            "columns": tuple(rows[0].shares),
            "has_mistakes": False,
            "caption": f"{len(rows)} classes; precision, recall and F1 at {where}, with their 95 % intervals",
        },
        "Average precision: how well the scores put the clips of the class above the others, whatever the threshold.",
    )


_Figure = tuple[float | None, float | None, float | None]


def _share(part: np.ndarray, whole: np.ndarray, measured: Measured) -> _Figure:
    clips = int(whole.sum())
    if not clips:
        return None, None, None
    value = int(part.sum()) / clips
    sources = {measured.sources[place] for place in np.flatnonzero(whole).tolist()}
    return value, *wilson_interval(value, len(sources))


def _as_share(value: float | None, low: float | None, high: float | None) -> Share:
    return Share(value, None if low is None or high is None else (low, high))


def clip_groups(measured: Measured, count: int) -> list[CardGroup]:
    """The clips with the highest loss, and those whose scores are nearest to the middle.

    Args:
        measured: several labels a clip.
        count: clips of a group, at most.
    """
    scores = np.clip(measured.scores, 1e-7, 1 - 1e-7)
    loss = -np.where(measured.labels, np.log(scores), np.log1p(-scores)).sum(axis=1)
    unsure = np.abs(scores - 0.5).min(axis=1)
    groups = [
        ("Most wrong", "The highest loss over all classes first: look for wrong or missing labels.", np.argsort(-loss)),
        ("Least sure", "A class with a score near one half.", np.argsort(unsure)),
    ]
    return [
        CardGroup(title, note, [_card(measured, int(place)) for place in order[:count]])
        for title, note, order in groups
    ]


def _card(measured: Measured, place: int) -> ClipCard:
    scores, truth = measured.scores[place], measured.labels[place]
    lines = [
        Line(f"{measured.classes[index]} {scores[index]:.2f}", "good" if truth[index] else "bad")
        for index in np.argsort(-scores)[:_SHOWN_CLASSES].tolist()
    ]
    lines.append(Line(f"is {measured.names_of(place)}"))
    alt = f"{measured.paths[place]}, a clip of {measured.names_of(place)}"
    return ClipCard(shown_path(measured, place), alt, animation(measured, place), tuple(lines))
