import math

import numpy as np
import pytest

from kinema.evaluation import class_results, confusion_matrix, worst_confusions

LABELS = np.array([0, 0, 0, 0, 1, 1, 3])
PREDICTED = np.array([0, 0, 1, 2, 1, 0, 1])


def test_results_of_a_class_are_those_of_its_definition():
    for one, result in enumerate(class_results(confusion_matrix(PREDICTED, LABELS, num_classes=4))):
        of_class, taken = np.equal(LABELS, one), np.equal(PREDICTED, one)
        right = (of_class & taken).sum()
        assert (result.clips, result.right, result.predicted) == (of_class.sum(), right, taken.sum())
        precision = right / taken.sum() if taken.any() else math.nan
        recall = right / of_class.sum() if of_class.any() else math.nan
        assert (result.precision, result.recall) == pytest.approx((precision, recall), nan_ok=True)
        if right:
            assert result.f1 == pytest.approx(2 * precision * recall / (precision + recall))
        else:
            assert result.f1 == 0


def test_a_class_of_nothing_has_no_numbers():
    (result,) = class_results(np.zeros((1, 1), dtype=np.int64))
    assert math.isnan(result.precision)
    assert math.isnan(result.recall)
    assert math.isnan(result.f1)


def test_the_worst_confusions_come_first():
    matrix = np.array([[5, 2, 0], [2, 1, 1], [0, 0, 9]])
    assert worst_confusions(matrix) == [(1, 0, 2), (0, 1, 2), (1, 2, 1)]
    assert worst_confusions(matrix, 1) == [(1, 0, 2)]
    assert worst_confusions(np.eye(3, dtype=np.int64)) == []


def test_what_is_no_square_of_counts_is_refused():
    for matrix in (np.zeros((2, 3)), np.zeros(4), -np.eye(2)):
        with pytest.raises(ValueError, match="expected a square of counts, true by predicted class"):
            class_results(matrix)
