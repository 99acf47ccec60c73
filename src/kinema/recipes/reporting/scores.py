"""The sections of a report on scores: are they probabilities, and from which score on is a class there?"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kinema.evaluation.calibration import (
    ReliabilityBin,
    calibrate,
    calibrated,
    expected_calibration_error,
    reliability_bins,
    top_label,
)
from kinema.evaluation.thresholds import ClassThreshold, PrecisionRecall, class_thresholds, precision_recall_curve
from kinema.recipes.reporting.measuring import Measured
from kinema.report.page import Section
from kinema.report.plots import SERIES, Plot, Series, line_plot, reliability_plot, score_histogram, thinned


class Reliability(NamedTuple):
    """How far scores are probabilities, before and after a temperature.

    Attributes:
        temperature: what logits are divided by; None: there is none.
        of_model: it is in the checkpoint; else it was found on these clips.
        before: bins of the scores without it.
        after: bins of the scores with it; those of clips that the temperature did not see, where it
            is not of the model.
        reason: why there is no temperature.
    """

    temperature: float | None
    of_model: bool
    before: Sequence[ReliabilityBin]
    after: Sequence[ReliabilityBin]
    reason: str = ""


def reliability(measured: Measured, temperature: float | None) -> Reliability:
    """Bins of a model's scores without and with a temperature.

    Args:
        measured: its scores, calibrated where the checkpoint has a temperature.
        temperature: of the checkpoint.
    """
    several = measured.is_multi_label
    if temperature is None:
        result = calibrate(measured.scores, measured.labels, measured.sources, multi_label=several)
        return Reliability(result.temperature, False, result.before, result.after, result.reason)
    plain = calibrated(measured.scores, 1 / temperature, multi_label=several)
    before, after = (
        reliability_bins(*top_label(scores, measured.labels, multi_label=several))
        for scores in (plain, measured.scores)
    )
    return Reliability(temperature, True, before, after)


def calibration_figures(result: Reliability) -> dict[str, Any]:
    """The figures of the section, as JSON holds them."""
    before, after = (expected_calibration_error(bins) for bins in (result.before, result.after))
    return {
        "temperature": result.temperature,
        "temperature_of_model": result.of_model,
        "ece_before": before,
        "ece_after": before if result.temperature is None else after,
    }


def calibration_section(measured: Measured, result: Reliability) -> Section:
    """Are the scores probabilities?"""
    figures = calibration_figures(result)
    lines: dict[str, Sequence[ReliabilityBin]] = {"as they are": result.before}
    if result.of_model:
        lines = {"without the model's temperature": result.before, "as they are": result.after}
    elif result.temperature is not None:
        lines["with a temperature"] = result.after
    confidences, hits = top_label(measured.scores, measured.labels, multi_label=measured.is_multi_label)
    return Section(
        "calibration",
        "Calibration",
        "plots",
        {
            "plots": [
                reliability_plot(
                    "Reliability", lines, "Below the diagonal scores promise too much, above it too little."
                ),
                score_histogram(confidences, hits, multi_label=measured.is_multi_label),
            ]
        },
        _calibration_note(result, figures),
    )


def _calibration_note(result: Reliability, figures: Mapping[str, Any]) -> str:
    before, after = figures["ece_before"], figures["ece_after"]
    said = "The expected calibration error is the mean distance of a score from how often such scores are right."
    if result.of_model:
        return f"{said} With the model's temperature {result.temperature:.2f} it is {after:.3f}, without {before:.3f}."
    if result.temperature is None:
        return f"{said} It is {before:.3f}. No temperature is proposed: {result.reason}."
    better = "`kinema tune` writes one into the checkpoint." if after < before else "That is no gain."
    return (
        f"{said} It is {before:.3f}; divided by a temperature of about {result.temperature:.2f}, on clips that it was"
        f" not chosen on, {after:.3f}. {better}"
    )


# ---- thresholds


class ThresholdRow(NamedTuple):
    """A class of the table of thresholds: what suits these clips, and what the checkpoint has (None: nothing)."""

    chosen: ClassThreshold
    of_model: float | None


def curves_of(measured: Measured) -> list[PrecisionRecall]:
    """(N,) precision and recall of each class over all thresholds."""
    count = measured.scores.shape[1]
    positive = measured.labels if measured.is_multi_label else measured.labels[:, None] == np.arange(count)
    return [precision_recall_curve(measured.scores[:, index], positive[:, index]) for index in range(count)]


def threshold_section(measured: Measured, thresholds: Mapping[str, float]) -> Section:
    """Precision, recall and F1 over thresholds.

    Args:
        measured: the scores.
        thresholds: those of the checkpoint, by class name.
    """
    curves = curves_of(measured)
    known = [index for index, curve in enumerate(curves) if curve.positives]
    worst = sorted(known, key=lambda index: curves[index].average_precision)[:SERIES]
    worst.sort()
    plots = [_accuracy_over_threshold(measured)] if not measured.is_multi_label else []
    which = "" if len(worst) == len(curves) else f", the {len(worst)} hardest classes"
    plots += [
        line_plot(
            f"Precision over recall{which}",
            [
                Series(measured.classes[index], *thinned(curves[index].recall, curves[index].precision), number)
                for number, index in enumerate(worst, start=1)
            ],
            x="recall",
            y="precision",
            x_range=(0, 1.02),
            y_range=(0, 1.02),
        ),
        line_plot(
            f"F1 over the threshold{which}",
            [
                Series(measured.classes[index], *thinned(curves[index].thresholds, curves[index].f1), number)
                for number, index in enumerate(worst, start=1)
            ],
            x="threshold",
            x_range=(0, 1.02),
            y_range=(0, 1.02),
            note="A flat top means that the threshold matters little.",
        ),
    ]
    chosen = class_thresholds(measured.scores, measured.labels, measured.classes)
    rows = [ThresholdRow(row, thresholds.get(row.name)) for row in chosen]
    return Section(
        "thresholds",
        "Thresholds",
        "thresholds",
        {"plots": plots, "rows": rows, "has_own": bool(thresholds)},
        "From which score on a class is said to be there, as `kinema timeline` and `kinema stream` ask for each class"
        " by itself. The best F1 of these clips is too good for others; `kinema tune` writes thresholds into the"
        " checkpoint.",
    )


def _accuracy_over_threshold(measured: Measured) -> Plot:
    """What is gained by leaving out clips that the model is not sure of."""
    best = measured.scores.max(axis=1)
    order = np.argsort(-best, kind="stable")
    hits = (measured.predicted == measured.labels)[order]
    answered = np.arange(1, len(order) + 1)
    last = np.append(np.flatnonzero(np.diff(best[order])), len(order) - 1)
    places = best[order][last][::-1]
    return line_plot(
        "Clips above a score",
        [
            Series("accuracy of these", *thinned(places, (np.cumsum(hits) / answered)[last][::-1]), 1),
            Series("share of all clips", *thinned(places, (answered / len(order))[last][::-1]), 2),
        ],
        x="score of the predicted class",
        x_range=(None, 1.02),
        y_range=(0, 1.02),
        note="How right the model is where it is sure, and how often it is.",
    )
