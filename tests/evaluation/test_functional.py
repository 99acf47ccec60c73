import numpy as np
import pytest

from kinema.evaluation import (
    confusion_matrix,
    get_weighted_score,
    in_top_k,
    mean_average_precision,
    mean_class_accuracy,
    mmit_mean_average_precision,
    softmax,
    top_k_accuracy,
    top_k_classes,
)

SCORES = [
    np.array([0.1, 0.2, 0.3, 0.4]),  # ranks 3 2 1 0
    np.array([0.2, 0.4, 0.3, 0.1]),  # ranks 1 2 0 3
    np.array([0.1, 0.2, 0.6, 0.1]),  # ranks 2 1 ..
    np.array([0.5, 0.1, 0.3, 0.2]),  # ranks 0 2 3 1
]
LABELS = [3, 2, 2, 1]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_softmax_is_the_definition_and_does_not_overflow() -> None:
    expected = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    assert np.allclose(softmax(np.array([[1.0, 2.0], [1001.0, 1002.0]])), expected)
    assert np.allclose(softmax(np.array([[1.0], [2.0]]), dim=0)[:, 0], expected)


# ---- top-k


def test_top_k_accuracy_counts_labels_among_the_k_highest() -> None:
    assert top_k_accuracy(SCORES, LABELS, (1, 2, 3, 4)) == [0.5, 0.75, 0.75, 1.0]
    assert top_k_accuracy(np.array(SCORES), np.array(LABELS)) == [0.5]
    assert in_top_k(np.array(SCORES), np.array(LABELS), 2).tolist() == [True, True, True, False]


def test_top_k_accuracy_gives_python_floats() -> None:
    assert type(top_k_accuracy(SCORES, LABELS)[0]) is float


def test_top_k_accuracy_agrees_with_counting_one_by_one(random: np.random.Generator) -> None:
    scores, labels = random.random((200, 7)), random.integers(0, 7, 200)
    for k in (1, 3, 5):
        better = [(row > row[label]).sum() for row, label in zip(scores, labels, strict=True)]
        assert top_k_accuracy(scores, labels, (k,)) == [np.mean([one < k for one in better])]


def test_more_than_all_classes_is_right_for_every_label() -> None:
    assert top_k_accuracy([np.array([0.9, 0.1])], [1], (1, 5)) == [0.0, 1.0]


def test_equal_scores_rank_as_argsort_orders_them() -> None:
    scores = np.zeros((1, 4))
    order = np.argsort(scores, axis=1)[0]
    for k in (1, 2, 3):
        hits = [bool(in_top_k(scores, [label], k)[0]) for label in range(4)]
        assert hits == [label in order[-k:] for label in range(4)]


@pytest.mark.parametrize("label", [4, -1])
def test_a_label_out_of_range_is_named(label: int) -> None:
    for function in (top_k_accuracy, mean_class_accuracy, top_k_classes):
        with pytest.raises(ValueError, match=rf"label {label} of sample 2 is out of range: the scores have 4 classes"):
            function(SCORES, [0, 1, label, 1])


def test_scores_and_labels_must_fit() -> None:
    with pytest.raises(ValueError, match=r"need one label a sample: 4 rows of scores, labels of shape \(2,\)"):
        top_k_accuracy(SCORES, [0, 1])
    with pytest.raises(ValueError, match=r"scores must be \(samples, classes\).*got shape \(0,\)"):
        top_k_accuracy([], [])
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        top_k_accuracy(SCORES, LABELS, (0,))
    with pytest.raises(TypeError, match="labels must be whole numbers, got float64"):
        top_k_accuracy(SCORES, [0.5, 1, 1, 1])


def test_scores_that_are_not_numbers_are_refused() -> None:
    scores = np.array([[0.5, 0.5], [np.nan, 0.1]])
    with pytest.raises(ValueError, match="the scores of sample 1 are not numbers"):
        top_k_accuracy(scores, [0, 1])


# ---- classes


def test_confusion_matrix_counts_true_down_predicted_across() -> None:
    matrix = confusion_matrix([0, 1, 1, 3], [0, 1, 0, 1])
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_confusion_matrix_agrees_with_counting_one_by_one(random: np.random.Generator) -> None:
    pred, real = random.integers(0, 5, 300), random.integers(0, 5, 300)
    expected = np.zeros((6, 6))
    for one_pred, one_real in zip(pred, real, strict=True):
        expected[one_real, one_pred] += 1
    assert np.array_equal(confusion_matrix(pred, real, num_classes=6), expected)
    assert np.allclose(confusion_matrix(pred, real, "all").sum(), 1)
    assert np.allclose(
        confusion_matrix(pred, real, "true"), (expected / expected.sum(1, keepdims=True).clip(1))[:5, :5]
    )
    assert np.allclose(
        confusion_matrix(pred, real, "pred"), (expected / expected.sum(0, keepdims=True).clip(1))[:5, :5]
    )


def test_a_class_without_samples_is_normalized_to_zero() -> None:
    assert confusion_matrix([2], [0], "true").tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert confusion_matrix([], []).shape == (0, 0)


def test_confusion_matrix_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="normalize must be 'true', 'pred', 'all' or None, got 'both'"):
        confusion_matrix([1], [1], "both")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="y_pred must be a list or an array, got float"):
        confusion_matrix(0.5, [1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="y_real must be whole numbers, got float64"):
        confusion_matrix([1], [0.5])
    with pytest.raises(ValueError, match="y_pred has 1 entries, y_real 2"):
        confusion_matrix([1], [1, 2])
    with pytest.raises(ValueError, match=r"y_pred must have one dimension, got shape \(1, 1\)"):
        confusion_matrix(np.array([[1]]), [1])
    with pytest.raises(ValueError, match="class 3 at place 1 of y_real is out of range for 3 classes"):
        confusion_matrix([0, 1], [0, 3], num_classes=3)
    with pytest.raises(ValueError, match="class -1 at place 0 of y_pred is out of range for 2 classes"):
        confusion_matrix([-1], [1])


def test_mean_class_accuracy_averages_over_classes_that_occur() -> None:
    # Class 0 is only predicted (0), class 1 is missed (0), class 2 is right once of twice, class 3
    # always.
    assert mean_class_accuracy(SCORES, LABELS) == (0 + 0 + 0.5 + 1) / 4
    # Class 1 and 3 occur nowhere and do not count.
    assert mean_class_accuracy([[1, 0, 0, 0], [0, 0, 1, 0]], [0, 2]) == 1.0


def test_top_k_classes_gives_the_extremes_first() -> None:
    assert top_k_classes(SCORES, LABELS, 1) == [(3, 1.0)]
    assert top_k_classes(SCORES, LABELS, 3) == [(3, 1.0), (2, 0.5), (1, 0.0)]
    assert top_k_classes(SCORES, LABELS, 3, mode="inaccurate") == [(0, 0.0), (1, 0.0), (2, 0.5)]
    assert len(top_k_classes(SCORES, LABELS)) == 4
    with pytest.raises(ValueError, match="mode must be 'accurate' or 'inaccurate', got 'best'"):
        top_k_classes(SCORES, LABELS, mode="best")  # type: ignore[arg-type]


# ---- several labels


def slow_average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Definition: over falling thresholds, precision times the growth of recall."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        recall = positive[chosen].sum() / positive.sum()
        total += positive[chosen].mean() * (recall - recall_before)
        recall_before = recall
    return total


def test_mean_average_precision_is_the_definition_also_with_ties(random: np.random.Generator) -> None:
    scores = random.integers(0, 6, (40, 5)) / 5
    labels = random.integers(0, 2, (40, 5))
    by_class = [slow_average_precision(scores[:, one], labels[:, one]) for one in range(5)]
    assert mean_average_precision(scores, labels) == pytest.approx(np.mean(by_class))
    by_sample = [slow_average_precision(*pair) for pair in zip(scores, labels, strict=True) if pair[1].any()]
    assert mmit_mean_average_precision(list(scores), list(labels)) == pytest.approx(np.mean(by_sample))


def test_mean_average_precision_of_a_known_case() -> None:
    # One positive at rank 1 (precision 1) and one at rank 3 (precision 2/3).
    assert mean_average_precision([[0.9], [0.8], [0.7]], [[1], [0], [1]]) == pytest.approx((1 + 2 / 3) / 2)


def test_classes_without_positives_do_not_count() -> None:
    assert mean_average_precision([[0.9, 0.1], [0.2, 0.3]], [[1, 0], [0, 0]]) == 1.0
    assert np.isnan(mean_average_precision([[0.9, 0.1]], [[0, 0]]))


def test_multi_hot_labels_are_checked() -> None:
    with pytest.raises(ValueError, match=r"must both be \(samples, classes\).*got shapes \(1, 2\) and \(1,\)"):
        mean_average_precision([[0.1, 0.2]], [1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="multi-hot labels must be 0 or 1"):
        mmit_mean_average_precision([[0.1, 0.2]], [[0, 2]])


# ---- fusion


def test_weighted_scores_are_sums() -> None:
    fused = get_weighted_score([[[1, 2], [3, 4]], [[10, 20], [30, 40]]], [2, 0.5])
    assert isinstance(fused, list)
    assert np.allclose(fused, [[7, 14], [21, 28]])


def test_weighted_scores_must_fit() -> None:
    with pytest.raises(ValueError, match="need one coefficient a model, got 1 score lists, 2 coefficients"):
        get_weighted_score([[[1.0]]], [1, 2])
    with pytest.raises(ValueError, match=r"same samples and classes, got shapes \[\(1, 1\), \(1, 2\)\]"):
        get_weighted_score([[[1.0]], [[1.0, 2.0]]], [1, 2])


def test_of_equal_accuracies_the_higher_class_comes_first_and_the_lower_of_the_worst() -> None:
    scores, labels = np.array([[0.9, 0.1], [0.1, 0.9]]), [0, 1]
    assert top_k_classes(scores, labels, 2) == [(1, 1.0), (0, 1.0)]
    assert top_k_classes(scores, labels, 2, mode="inaccurate") == [(0, 1.0), (1, 1.0)]
