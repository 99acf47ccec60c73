"""Intervals of the figures of classes."""

import numpy as np
import pytest

from kinema.evaluation.class_intervals import class_intervals, mean_recall_interval
from kinema.evaluation.intervals import wilson_interval

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
PREDICTED = np.array([0, 0, 0, 1, 1, 1, 0, 0])


def test_each_figure_of_a_class_has_wilsons_interval_over_its_source_videos() -> None:
    first, second, none = class_intervals(PREDICTED, LABELS, range(8), 3)
    assert first.recall == pytest.approx(wilson_interval(3 / 4, 4))
    assert first.precision == pytest.approx(wilson_interval(3 / 5, 5))
    low, high = wilson_interval(3 / 6, 6)  # 3 right ones among the 6 that are of the class or taken for it
    assert first.f1 == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))
    assert second.recall == pytest.approx(wilson_interval(2 / 4, 4))
    assert none == (None, None, None)
    grouped = class_intervals(PREDICTED, LABELS, ["a", "a", "b", "b"] * 2, 2)[0]
    assert grouped.recall == pytest.approx(wilson_interval(3 / 4, 2))


def test_the_interval_of_one_class_alone_is_that_of_its_recall() -> None:
    mean, low, high = mean_recall_interval(PREDICTED[:4], LABELS[:4], range(4), 2)
    assert (mean, low, high) == pytest.approx((3 / 4, *wilson_interval(3 / 4, 4)))


def test_the_interval_of_the_mean_recall_holds_it_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    truth, held = np.array([0.9, 0.6, 0.3]), 0
    labels = np.repeat([0, 1, 2], 20)
    for _ in range(400):
        predicted = np.where(generator.random(60) < truth[labels], labels, (labels + 1) % 3)
        _, low, high = mean_recall_interval(predicted, labels, range(60), 3)
        held += low <= truth.mean() <= high
    assert 0.92 <= held / 400 <= 0.98


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="need one label and one source a clip, got 8 clips, 8 labels, 2"):
        class_intervals(PREDICTED, LABELS, "ab", 2)
    with pytest.raises(ValueError, match="need at least one clip"):
        mean_recall_interval(PREDICTED[:0], LABELS[:0], [], 2)
