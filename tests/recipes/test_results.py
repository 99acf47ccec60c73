import numpy as np
import pytest

from kinema.evaluation.intervals import accuracy_interval
from kinema.recipes.results import ConfusedPair, results_of, summarize
from kinema.recipes.tuning import LabelledScores

NAMES = ("hit", "punch", "wave")


def scores_of(predicted, num_classes=3):
    return np.eye(num_classes, dtype=np.float32)[predicted] * 0.6 + 0.4 / num_classes


def test_classes_and_the_confusions_that_matter():
    labels = np.repeat([0, 1, 2], [20, 12, 8])
    predicted = labels.copy()
    predicted[20:25] = 0  # punches taken for hits
    predicted[0] = 1  # one hit of twenty taken for a punch: does not matter
    sources = tuple(f"video {place // 2}" for place in range(40))
    results = summarize(LabelledScores(scores_of(predicted), labels, sources, "clips", 2), NAMES, commands=("next",))
    assert results.confusions == (ConfusedPair("punch", "hit", 5, 12),)
    hit, punch, wave = results.classes
    assert (hit.clips, hit.right, hit.recall, hit.precision) == (20, 19, 0.95, pytest.approx(19 / 24))
    assert punch.recall_interval[0] < punch.recall < punch.recall_interval[1]
    assert (wave.recall, wave.threshold, wave.average_precision) == (1.0, None, None)
    whole = accuracy_interval(predicted == labels, sources)
    assert (results.metric, results.value, results.interval) == ("acc/top1", whole.value, (whole.low, whole.high))
    assert (results.num_clips, results.num_sources, results.failed) == (40, 20, 2)


def test_a_class_without_clips_has_no_figures():
    labels = np.repeat([0, 1], 5)
    results = summarize(LabelledScores(scores_of(labels), labels, tuple("abcdefghij"), "clips"), NAMES)
    assert (results.classes[2].recall, results.classes[2].recall_interval, results.confusions) == (None, None, ())


def test_several_labels_a_clip_have_average_precisions():
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=bool)
    scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.9], [0.1, 0.3]], dtype=np.float32)
    results = summarize(LabelledScores(scores, labels, tuple("abcd"), "clips"), ("run", "jump"))
    assert (results.metric, results.value) == ("acc/mean_average_precision", 1.0)
    assert [(one.clips, one.average_precision) for one in results.classes] == [(2, 1.0), (2, 1.0)]


def test_a_folder_without_a_run_has_no_results(tmp_path):
    assert results_of(tmp_path) is None
