import math
from dataclasses import astuple

import numpy as np
import pytest

from kinema.evaluation.functional import mean_average_precision
from kinema.evaluation.thresholds import choose_threshold, class_thresholds, precision_recall_curve


def counted(scores, positive, threshold):
    """Clips taken, hits and positives at a threshold, one clip after the other."""
    taken = [place for place, score in enumerate(scores) if score >= threshold]
    hits = sum(1 for place in taken if positive[place])
    return len(taken), hits, sum(map(bool, positive))


def rounded_case(seed):
    """Scores with many ties, and labels that follow them roughly."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 40))
    scores = np.round(generator.random(count), int(generator.integers(1, 3))).astype(np.float32)
    return scores, generator.random(count) < scores


@pytest.mark.parametrize("seed", range(8))
def test_curve_and_thresholds_are_those_of_counting_at_every_score(seed):
    scores, positive = rounded_case(seed)
    curve = precision_recall_curve(scores, positive)
    assert curve.thresholds.tolist() == sorted(set(scores.tolist()), reverse=True)
    slow = [counted(scores, positive, threshold) for threshold in curve.thresholds]
    assert [(int(taken), int(hits)) for taken, hits in zip(curve.taken, curve.hits, strict=True)] == [
        row[:2] for row in slow
    ]
    chosen = choose_threshold(scores, positive)
    if not positive.any():
        assert (chosen.threshold, chosen.note) == (None, "no clip of this class: no threshold")
        assert math.isnan(curve.average_precision)
        return
    assert curve.recall.tolist() == pytest.approx([hits / total for _, hits, total in slow])
    f1 = [0 if not hits else 2 / (taken / hits + total / hits) for taken, hits, total in slow]
    taken, hits, total = counted(scores, positive, chosen.threshold)
    assert chosen.f1 == pytest.approx(max(f1))
    assert (chosen.taken, chosen.precision, chosen.recall) == pytest.approx((taken, hits / taken, hits / total))
    area, recall = 0.0, 0.0
    for taken, hits, total in slow:
        area, recall = area + hits / taken * (hits / total - recall), hits / total
    assert chosen.average_precision == pytest.approx(area)
    assert mean_average_precision(scores[:, None], positive[:, None].astype(int)) == pytest.approx(area)
    for goal in (0.5, 0.8, 1.0):
        chosen = choose_threshold(scores, positive, least_precision=goal)
        taken, hits, total = counted(scores, positive, chosen.threshold)
        reached = [row for row in slow if row[1] / row[0] >= goal]
        best = max(hits / taken for taken, hits, _ in slow)
        assert (chosen.note == "") == bool(reached)
        assert chosen.precision == hits / taken
        candidates = reached or [row for row in slow if row[1] / row[0] == best]
        assert taken == max(row[0] for row in candidates), "the lowest threshold, so the highest recall"


def test_a_threshold_lies_between_scores_also_where_no_float32_does():
    assert choose_threshold(np.array([0.8, 0.4]), np.array([True, False])).threshold == pytest.approx(0.6)
    assert choose_threshold(np.array([0.8, 0.4]), np.array([True, True])).threshold == pytest.approx(0.2)
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    assert choose_threshold(np.array([high, low]), np.array([True, False])).threshold == float(high)
    assert choose_threshold(np.array([0.0, 0.0]), np.array([True, True])).threshold == 0.0


def test_of_equal_f1_the_higher_threshold_wins():
    chosen = choose_threshold(np.array([0.9, 0.5, 0.4, 0.3]), np.array([True, False, False, True]))
    assert chosen.f1 == pytest.approx(2 / 3)
    assert (chosen.taken, chosen.threshold) == (1, pytest.approx(0.7))


def test_classes_are_named_and_may_lack_clips_or_reach_no_goal():
    scores = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    fight, walk, fall = class_thresholds(scores, np.array([0, 1, 0]), ("fight", "walk", "fall"), least_precision=0.9)
    assert (fight.name, fight.clips, fight.precision, fight.recall) == ("fight", 2, 1.0, 0.5)
    assert walk.note == "no threshold has a precision of 0.9: this has the highest, 0.50"
    assert (fall.threshold, fall.note) == (None, "no clip of this class: no threshold")
    several = class_thresholds(scores, np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]), ("a", "b", "c"))
    assert [one.clips for one in several] == [2, 1, 1]


def test_held_out_clips_are_judged_by_the_thresholds_of_the_others():
    generator = np.random.default_rng(3)
    scores = generator.random((60, 2)).astype(np.float32)
    labels = (generator.random((60, 2)) < scores).astype(int)
    folds = np.arange(60) % 4
    for goal in (None, 0.9):
        chosen = class_thresholds(scores, labels, ("a", "b"), least_precision=goal, folds=folds)
        for index, one in enumerate(chosen):
            taken = hits = 0
            for number in range(4):
                others = [place for place in range(60) if folds[place] != number]
                threshold = choose_threshold(
                    scores[others, index], labels[others, index], least_precision=goal
                ).threshold
                held = [place for place in range(60) if folds[place] == number and scores[place, index] >= threshold]
                taken, hits = taken + len(held), hits + sum(labels[place, index] for place in held)
            clips = labels[:, index].sum()
            assert astuple(one.held_out) == pytest.approx((hits / taken, hits / clips, 2 * hits / (taken + clips)))
        assert sum(one.held_out.f1 for one in chosen) < sum(one.f1 for one in chosen)
    assert class_thresholds(scores, labels, ("a", "b"), folds=np.zeros(60, int))[0].held_out is None
    rare = np.zeros((60, 2), int)
    rare[0, 0] = 1  # of the only fold with a clip of the class the others know no threshold
    only, without = class_thresholds(scores, rare, ("a", "b"), folds=folds)
    assert (only.held_out.recall, only.held_out.f1 < 0.5) == (0, True)
    assert math.isnan(without.held_out.f1)


def test_wrong_arguments_of_thresholds_are_named():
    with pytest.raises(ValueError, match=r"one score and one truth a clip, got shapes \(2,\) and \(1,\)"):
        precision_recall_curve(np.zeros(2), np.zeros(1))
    with pytest.raises(ValueError, match=r"the score of clip 1 is not a number \(NaN\)"):
        precision_recall_curve(np.array([0, np.nan]), np.zeros(2))
    with pytest.raises(ValueError, match="above 0 and at most 1, got 2"):
        choose_threshold(np.zeros(1), np.ones(1), least_precision=2)
    with pytest.raises(ValueError, match=r"got \(2, 3\), \(2,\) and 1 names"):
        class_thresholds(np.zeros((2, 3)), np.zeros(2, int), ["a"])
