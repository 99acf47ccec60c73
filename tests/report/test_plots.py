"""Plots as SVG for a page."""

import re

import numpy as np

from kinema.report import plots

HISTORY = [
    {"step": 2, "epoch": 1, "split": "train", "loss": 1.5, "top1_acc": 0.5, "lr": 0.1},
    {"step": 4, "epoch": 2, "split": "train", "loss": None, "top1_acc": 0.75, "lr": 0.05},
    {"step": 4, "epoch": 2, "split": "val", "acc/top1": 0.5, "loss": 1.25},
]


def test_a_training_has_curves_of_loss_accuracy_and_learning_rate() -> None:
    loss, accuracy, rate = plots.learning_curves({"run": HISTORY})
    assert [line.name for line in loss.series] == ["training", "validation"]
    assert [list(line.y) for line in accuracy.series] == [[0.5, 0.75], [0.5]]
    assert "training: from 0.5 at epoch 1 to 0.75 at epoch 2; lowest 0.5, highest 0.75." in accuracy.summary
    assert (rate.series, accuracy.note) == ((), "")
    with_interval = [*HISTORY[:2], {**HISTORY[2], "acc/top1_low": 0.3, "acc/top1_high": 0.7}]
    assert "95 % interval" in plots.learning_curves({"run": with_interval})[1].note
    assert plots.learning_curves({}) == plots.learning_curves({"run": []}) == []


def test_validations_of_several_runs_lie_over_each_other() -> None:
    loss, *_ = plots.learning_curves({"a": HISTORY, "b": HISTORY[1:]})
    assert [(line.name, line.colour) for line in loss.series] == [("a", 1), ("b", 2)]


def test_the_page_colours_a_plot_and_its_text_stays_text() -> None:
    (svg,) = (plot.svg for plot in plots.learning_curves({"run": HISTORY})[:1])
    assert "var(--s1)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#0[0-9]0[0-9]0[0-9]", svg)
    assert re.search(r"<text[^>]*>epoch</text>", svg)
    assert "http" not in svg.replace("http://www.w3.org/1999/xlink", "")
    assert 'id="figure' not in svg
    assert len(svg) < 30_000


def test_scores_of_right_and_wrong_clips_are_counted() -> None:
    scores, hits = np.array([0.9, 0.8, 0.3]), np.array([True, True, False])
    plot = plots.score_histogram(scores, hits)
    assert [line.name for line in plot.series] == ["right", "wrong"]
    assert plot.summary == "2 right with a mean score of 0.85, 1 wrong with a mean score of 0.30."
    several = plots.score_histogram(scores, ~hits & False, multi_label=True)
    assert several.summary == "0 there with a mean score of none, 3 not there with a mean score of 0.67."
    assert plots.thinned(np.arange(1000), np.arange(1000), 3) == ([0, 500, 999], [0, 500, 999])
    assert plots.thinned(np.array([]), np.array([])) == ([], [])
